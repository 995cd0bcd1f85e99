/** What this agent gives to others before it leaves: blobs that only it has, and what it knows of possession. */
import type { InheritRequest, KnownFact } from '../../core/directory/messages.ts'
import { limits } from '../../core/limits.ts'
import type { Digest } from '../../core/oci/digest.ts'
import type { PeerId } from '../../core/ports.ts'
import type { TakeAnswer, TakeRequest } from './wire.ts'

export interface HandOverComponents {
  readonly self: PeerId
  /** Who may take a blob, best first. */
  readonly heirs: (digest: Digest) => readonly PeerId[]
  /** Who hosts a digest's directory, best first. */
  readonly hosts: (digest: Digest) => readonly PeerId[]
  /** Both reject when the member does not answer. */
  readonly take: (peer: PeerId, request: TakeRequest) => Promise<TakeAnswer>
  readonly inherit: (peer: PeerId, request: InheritRequest) => Promise<object>
}

/** Asks one after the other, since one is enough. */
export async function offer({ heirs, self, take }: HandOverComponents, digest: Digest, size: number): Promise<boolean> {
  for (const heir of heirs(digest)) {
    const answer = await take(heir, { from: self, digest, size }).catch(() => undefined)
    if (answer?.isTaken === true) return true
  }
  return false
}

/** Who does not hear of it asks, or finds out anew. */
export async function bequeath(components: HandOverComponents, known: readonly KnownFact[]): Promise<void> {
  const { inherit, self } = components
  const byHost = Map.groupBy(
    known.flatMap((one) => hostsAfter(components, one.digest).map((host) => ({ host, one }))),
    ({ host }) => host,
  )
  const tell = async ([host, told]: [PeerId, { one: KnownFact }[]]): Promise<void> => {
    const facts = told.map(({ one }) => one)
    for (let at = 0; at < facts.length; at += limits.handOverFactsPerMessage)
      await inherit(host, { from: self, facts: facts.slice(at, at + limits.handOverFactsPerMessage) }).catch(() => {})
  }
  await Promise.all([...byHost].map(tell))
}

function hostsAfter({ hosts, self }: HandOverComponents, digest: Digest): PeerId[] {
  return hosts(digest)
    .filter((host) => host !== self)
    .slice(0, limits.hostsPerDigest)
}
