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
 * Takes about `limits.relayPatienceMs` at most, of time in which this process ran; rejects with the signal's reason alone. A relay
 * that is silent for `relayCallMs` is passed over as one that hangs. The next one has the rest of the time: two that hang are rare,
 * and where all are slow, on busy cores, all would turn to the origin.
 */
export async function askContent(
  components: AskContentComponents,
  digest: Digest,
  origin: string,
  signal: AbortSignal,
): Promise<AskedContent> {
  const patience = createPatience(components.clock, limits.relayPatienceMs)
  const patient: AskContentComponents = {
    ...components,
    locate: (host, request) => patience.during(limits.relayCallMs, () => components.locate(host, request)),
  }
  const except: PeerId[] = []
  let callMs: number = limits.relayCallMs
  while (except.length < limits.relaysTriedMax && patience.leftMs() > 0) {
    signal.throwIfAborted()
    const { againMs: toldMs, relay } = await locate(patient, digest, origin, except)
    if (toldMs !== undefined) {
      // No host has itself asked without end.
      const againMs = Math.max(toldMs, limits.relayAgainMs)
      if (againMs >= patience.leftMs()) return { kind: 'held-back' }
      await patience.during(againMs, () => components.sleep(againMs, signal))
      continue
    }
    if (relay === undefined || patience.leftMs() <= 0) break
    const isResting = components.clock.now() < (components.resting.get(relay) ?? 0)
    const told = isResting ? 'nothing' : await readFrom(components, { relay, digest, callMs, patience }, signal)
    if (told instanceof Uint8Array) return { kind: 'content', bytes: told }
    if (told === 'silent') callMs = limits.relayPatienceMs
    except.push(relay)
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
  // Who was named passes it on in turn: the members' lists do not agree yet, and it is nobody's turn.
  return answer?.ask === undefined ? (answer ?? silence) : silence
}

interface Question {
  readonly relay: PeerId
  readonly digest: Digest
  readonly callMs: number
  readonly patience: Patience
}

async function readFrom(
  { self, clock, sleep, resting, read }: AskContentComponents,
  { relay, digest, callMs, patience }: Question,
  signal: AbortSignal,
): Promise<Uint8Array | 'silent' | 'nothing'> {
  while (patience.leftMs() > 0) {
    signal.throwIfAborted()
    const withinMs = Math.min(callMs, patience.leftMs())
    const reading = (): Promise<ContentAnswer> => read(relay, { from: self, digest }, withinMs)
    const answer = await patience.during(withinMs, reading).catch(() => 'silent' as const)
    if (answer === 'silent') return answer
    if (answer.kind === 'content' && isContentOf(digest, answer.bytes)) return answer.bytes
    if (answer.kind === 'content') break
    if (answer.kind === 'none') return 'nothing'
    // An honest peer has held the question for a while already.
    await patience.during(limits.relayAgainMs, () => sleep(limits.relayAgainMs, signal))
  }
  resting.set(relay, clock.now() + limits.relayRestMs)
  return 'nothing'
}

function isContentOf(digest: Digest, bytes: Uint8Array): boolean {
  return digestFromHex(createHash('sha256').update(bytes).digest('hex')) === digest
}

interface Patience {
  leftMs(): number
  /** Does `work`, which takes `mostMs` at most: if it took longer this process was held up, and that is not spent. */
  during<Result>(mostMs: number, work: () => Promise<Result>): Promise<Result>
}

function createPatience(clock: Clock, ms: number): Patience {
  let leftMs = ms
  return {
    leftMs: () => leftMs,
    async during(mostMs, work) {
      const beganMs = clock.now()
      try {
        return await work()
      } finally {
        leftMs -= Math.min(clock.now() - beganMs, mostMs)
      }
    },
  }
}
