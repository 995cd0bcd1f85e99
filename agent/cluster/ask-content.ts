/** Small content from peers: asks the digest's directory whom to ask, then asks that peer (core/directory/relays.ts). */
import { createHash } from 'node:crypto'
import type { BoundedMap } from '../../core/bounded-map.ts'
import type { LocateAnswer, LocateRequest } from '../../core/directory/messages.ts'
import { limits } from '../../core/limits.ts'
import { type Digest, digestFromHex } from '../../core/oci/digest.ts'
import type { Clock, PeerId } from '../../core/ports.ts'
import type { Sleep } from '../upstream/retry.ts'
import { askHosts } from './ask-hosts.ts'

export interface ContentRequest {
  readonly from: PeerId
  readonly digest: Digest
}

export type ContentAnswer =
  | { readonly kind: 'content'; readonly bytes: Uint8Array }
  /** The peer is getting it: ask again. */
  | { readonly kind: 'coming' }
  | { readonly kind: 'none' }

export interface AskContentComponents {
  readonly self: PeerId
  readonly clock: Clock
  readonly sleep: Sleep
  /** Peers that promised in vain or gave something else, and until when they are passed over. */
  readonly resting: BoundedMap<PeerId, number>
  /** Who hosts a digest's directory, best first. */
  readonly hosts: (digest: Digest) => readonly PeerId[]
  /** Rejects when the host does not answer. */
  readonly locate: (host: PeerId, request: LocateRequest) => Promise<LocateAnswer>
  /** Rejects when the peer does not answer within so long. */
  readonly read: (peer: PeerId, request: ContentRequest, withinMs: number) => Promise<ContentAnswer>
}

export type AskedContent =
  /** Checked against its digest. */
  | { readonly kind: 'content'; readonly bytes: Uint8Array }
  /** It is this agent's turn to fetch it from the origin: nobody else is getting it, or nothing has come of those who are. */
  | { readonly kind: 'fetch' }
  /** Nobody may fetch it yet: the origin limits its rate, or the hosts are silent or do not know the members. */
  | { readonly kind: 'held-back' }

/**
 * Takes about `limits.relayPatienceMs` at most; rejects with the signal's reason alone. A relay that is silent for `relayCallMs` is
 * passed over as one that hangs. The next one has the rest of the time: two that hang are rare, and where all are slow, on busy
 * cores, all would turn to the origin.
 */
export async function askContent(
  components: AskContentComponents,
  digest: Digest,
  origin: string,
  signal: AbortSignal,
): Promise<AskedContent> {
  const { clock, sleep } = components
  const deadlineMs = clock.now() + limits.relayPatienceMs
  const except: PeerId[] = []
  let callMs: number = limits.relayCallMs
  while (except.length < limits.relaysTriedMax && clock.now() < deadlineMs) {
    signal.throwIfAborted()
    const found = await locate(components, digest, origin, except)
    if (found.againMs !== undefined) {
      if (clock.now() + found.againMs >= deadlineMs) return { kind: 'held-back' }
      await sleep(found.againMs, signal)
      continue
    }
    if (found.relay === undefined) break
    const isResting = clock.now() < (components.resting.get(found.relay) ?? 0)
    const told = isResting ? 'nothing' : await readFrom(components, found.relay, digest, { callMs, deadlineMs }, signal)
    if (told instanceof Uint8Array) return { kind: 'content', bytes: told }
    if (told === 'silent') callMs = limits.relayPatienceMs
    except.push(found.relay)
  }
  return { kind: 'fetch' }
}

/** How long the blob is, as its directory knows it. */
export async function askSize(
  components: AskContentComponents,
  digest: Digest,
  origin: string,
): Promise<number | undefined> {
  return (await locate(components, digest, origin, [])).size
}

const silence: LocateAnswer = { againMs: limits.relayAgainMs }

async function locate(
  components: AskContentComponents,
  digest: Digest,
  origin: string,
  except: readonly PeerId[],
): Promise<LocateAnswer> {
  const request = { from: components.self, digest, origin, except }
  const answer = await askHosts(components.hosts(digest), (host) => components.locate(host, request))
  return answer ?? silence
}

async function readFrom(
  { self, clock, sleep, resting, read }: AskContentComponents,
  relay: PeerId,
  digest: Digest,
  { callMs, deadlineMs }: { readonly callMs: number; readonly deadlineMs: number },
  signal: AbortSignal,
): Promise<Uint8Array | 'silent' | 'nothing'> {
  while (clock.now() < deadlineMs) {
    signal.throwIfAborted()
    const withinMs = Math.min(callMs, deadlineMs - clock.now())
    const answer = await read(relay, { from: self, digest }, withinMs).catch(() => 'silent' as const)
    if (answer === 'silent') return answer
    if (answer.kind === 'content' && isContentOf(digest, answer.bytes)) return answer.bytes
    if (answer.kind === 'content') break
    if (answer.kind === 'none') return 'nothing'
    // An honest peer has held the question for a while already.
    await sleep(limits.relayAgainMs, signal)
  }
  resting.set(relay, clock.now() + limits.relayRestMs)
  return 'nothing'
}

function isContentOf(digest: Digest, bytes: Uint8Array): boolean {
  return digestFromHex(createHash('sha256').update(bytes).digest('hex')) === digest
}
