/** A swarm on virtual time whose commands are collected, with what a runner and a peer would say made short. */
import { chunkCountOf, chunkLengthOf } from '../../../core/swarm/chunks.ts'
import { bitfieldOf, fullBitfield, setBit } from '../../../core/swarm/bitfield.ts'
import { entryPayload, type Entry, type Witness } from '../../../core/swarm/entry.ts'
import type { SwarmCommand, SwarmEvent } from '../../../core/swarm/events.ts'
import type { PeerMessage } from '../../../core/swarm/messages.ts'
import { createSwarm, type Swarm } from '../../../core/swarm/swarm.ts'
import { createState, type SwarmOptions, type SwarmState } from '../../../core/swarm/state.ts'
import type { AnnounceItem, AnswerItem } from '../../../core/directory/messages.ts'
import { digestFromHex, type Digest } from '../../../core/oci/digest.ts'
import type { PeerId } from '../../../core/ports.ts'
import { limits } from '../../../core/limits.ts'
import { KiB } from '../../../core/units.ts'
import { createMemoryNotary } from '../../support/memory-notary.ts'
import { seededRandom } from '../../support/seeded-random.ts'
import { virtualClock, type VirtualClock } from '../../support/virtual-clock.ts'

export const digest: Digest = digestFromHex('ab'.repeat(32))
export const origin = 'registry.example'
export const fetched: Witness = { kind: 'fetched', origin }
export const proved: Witness = { kind: 'proved' }

export type CommandOf<Type extends SwarmCommand['type']> = Extract<SwarmCommand, { type: Type }>
type MessageOf<Type extends PeerMessage['type']> = Extract<PeerMessage, { type: Type }>

export function sizeOf(chunks: number): number {
  return chunks * limits.chunkSizeMinBytes
}

export function bitsOf(chunks: number, indices: Iterable<number>): Uint8Array {
  const bits = bitfieldOf(chunks)
  for (const index of indices) setBit(bits, index)
  return bits
}

export function span(start: number, end: number): number[] {
  return Array.from({ length: end - start }, (_, offset) => start + offset)
}

export interface Bench {
  readonly clock: VirtualClock
  readonly swarm: Swarm
  /** Commands of this type since they were last taken. */
  take<Type extends SwarmCommand['type']>(type: Type): CommandOf<Type>[]
  /** Messages of this type sent to `peer` (to anybody) since they were last taken. */
  told<Type extends PeerMessage['type']>(type: Type, peer?: PeerId): (MessageOf<Type> & { readonly to: PeerId })[]
  handle(event: SwarmEvent): void
  /** Time passes, tick by tick. */
  pass(ms: number): void
  /** A whole reader (unless said otherwise) of the blob of `chunks` chunks. */
  read(change?: Partial<Extract<SwarmEvent, { type: 'reader-opened' }>>): void
  answer(change: Partial<AnswerItem>): void
  /** The peer connects and joins with these chunks. */
  joins(peer: PeerId, indices: Iterable<number>, of?: Digest): void
  says(peer: PeerId, message: PeerMessage): void
  /** The peer answers a request, whole or up to `bytes`, with an entry that is right unless said otherwise. */
  sends(
    request: {
      readonly to: PeerId
      readonly id: number
      readonly index: number
      readonly offset: number
      /** `digest` unless given. */
      readonly digest?: Digest
    },
    how?: Sending,
  ): void
  /** The runner has hashed and kept what it was told to. */
  settle(): void
  readonly chunks: number
}

export interface Sending {
  readonly bytes?: number
  readonly witness?: Witness
  readonly signer?: PeerId
  readonly hash?: string
}

export interface BenchOptions extends SwarmOptions {
  readonly self?: PeerId
  readonly chunks?: number
  readonly clock?: VirtualClock
}

export function createBench(setup: BenchOptions = {}): Bench {
  const { chunks = 100, clock = virtualClock(1000), self = 'self', ...options } = setup
  const commands: SwarmCommand[] = []
  const size = sizeOf(chunks)
  const emit = (command: SwarmCommand): void => void commands.push(command)
  const swarm = createSwarm(
    { self, clock, random: seededRandom('swarm'), notary: createMemoryNotary(self), emit },
    options,
  )

  function take<Type extends SwarmCommand['type']>(type: Type): CommandOf<Type>[] {
    const taken: CommandOf<Type>[] = []
    for (let at = 0; at < commands.length;) {
      const command = commands[at]!
      if (command.type === type) taken.push(...(commands.splice(at, 1) as CommandOf<Type>[]))
      else at++
    }
    return taken
  }

  function told<Type extends PeerMessage['type']>(type: Type, peer?: PeerId): (MessageOf<Type> & { to: PeerId })[] {
    const taken: (MessageOf<Type> & { to: PeerId })[] = []
    for (let at = 0; at < commands.length;) {
      const command = commands[at]!
      const isIt = command.type === 'send' && command.message.type === type && (peer ?? command.peer) === command.peer
      if (isIt) {
        taken.push({ ...(command.message as MessageOf<Type>), to: command.peer })
        commands.splice(at, 1)
      } else at++
    }
    return taken
  }

  const handle = (event: SwarmEvent): void => swarm.handle(event)
  const bench: Bench = {
    clock,
    swarm,
    chunks,
    take,
    told,
    handle,
    pass(ms) {
      for (let passed = 0; passed < ms; passed += 25) {
        clock.advance(Math.min(25, ms - passed))
        handle({ type: 'tick' })
      }
    },
    read(change = {}) {
      const whole = { start: 0, end: size, whole: true, prefetch: false }
      handle({ type: 'reader-opened', digest, size, origin, reader: 1, ...whole, ...change })
    },
    answer: (change) => handle({ type: 'directory', answer: { digest, size, peers: [], ...change } }),
    joins(peer, indices, of = digest) {
      handle({ type: 'peer-connected', peer, address: peer })
      bench.says(peer, { type: 'join', digest: of, size, have: bitsOf(chunks, indices) })
    },
    says: (peer, message) => handle({ type: 'message', peer, message }),
    sends({ id, index, offset, to, digest: of }, how = {}) {
      const entry = entryOf(size, index, how.signer ?? to, how.witness ?? proved, how.hash, of)
      handle({ type: 'chunk-started', peer: to, id, offset, entry })
      for (let left = how.bytes ?? chunkLengthOf(size, index) - offset; left > 0; left -= 64 * KiB)
        handle({ type: 'frame', peer: to, id, bytes: Math.min(left, 64 * KiB) })
    },
    settle() {
      for (const { digest: of, index } of take('hash'))
        handle({ type: 'hashed', digest: of, index, hash: hashOf(index) })
      for (const { digest: of, index } of take('keep')) handle({ type: 'kept', digest: of, index, ok: true })
      for (const { digest: of } of take('prove')) handle({ type: 'proved', digest: of, ok: true })
    },
  }
  return bench
}

/** A lease of the first four chunks. */
export const lease = { id: 7, start: 0, end: 4, ttlMs: 1750 }

/** A reader's node that holds that lease and fetches it. */
export function createHolder(options: BenchOptions = {}): { bench: Bench; fetch: number } {
  const bench = createBench(options)
  bench.read()
  bench.answer({ lease })
  return { bench, fetch: bench.take('fetch-origin')[0]!.fetch }
}

/** The same once three of its chunks have come, and `bytes` of the fourth; a second lease has the next four. */
export function createAhead(bytes: number): { bench: Bench; fetch: number } {
  const { bench, fetch } = createHolder()
  bench.answer({ lease: { ...lease, id: 8, start: 4, end: 8 } })
  bench.pass(50)
  for (const index of span(0, 3)) {
    comes(bench, fetch, index)
    bench.pass(100)
  }
  comes(bench, fetch, 3, bytes)
  return { bench, fetch }
}

/** The lease that it wishes for. */
export function wishOf({ swarm }: Bench, of = digest): AnnounceItem['lease'] {
  return swarm.announceState(of)?.lease
}

/** What a lease is wished for while no rate is known. */
export const firstChunks = limits.leaseFirstBytes / limits.chunkSizeMinBytes

/** So many bytes of a chunk come from the origin. */
export function comes(bench: Bench, fetch: number, index: number, bytes = limits.chunkSizeMinBytes): void {
  for (let left = bytes; left > 0; left -= 16_384)
    bench.handle({ type: 'origin-frame', digest, fetch, index, bytes: Math.min(left, 16_384) })
}

/** What a swarm knows before its first event, for tests of its parts; commands go nowhere. */
export function createStateOn(clock: VirtualClock, options: SwarmOptions = {}, seed = 'swarm'): SwarmState {
  const notary = createMemoryNotary('self')
  return createState({ self: 'self', clock, random: seededRandom(seed), notary, emit: () => undefined }, options)
}

/** What chunk `index` truly hashes to. */
export function hashOf(index: number): string {
  return index.toString(16).padStart(64, '0')
}

export function entryOf(
  size: number,
  index: number,
  signer: PeerId,
  witness: Witness,
  hash = hashOf(index),
  of = digest,
): Entry {
  const payload = entryPayload(of, size, { index, hash, witness })
  return { index, hash, witness, signer, signature: createMemoryNotary(signer).sign(payload) }
}

export function allOf(bench: Bench): Uint8Array {
  return fullBitfield(chunkCountOf(sizeOf(bench.chunks)))
}

export function connects(bench: Bench, peer: string, address = peer): void {
  bench.handle({ type: 'peer-connected', peer, address })
}

/** The reader of chunk 0 is shown two words of `signer` that differ. */
export function contradict(bench: Bench, signer: string, witness = proved, of = digest): void {
  for (const [from, hash] of [
    ['a', hashOf(0)],
    ['b', hashOf(77)],
  ] as const) {
    bench.joins(from, [0], of)
    const request = bench.told('request').find((one) => one.digest === of)
    bench.sends(request!, { bytes: 1000, signer, witness, hash })
    bench.handle({ type: 'peer-disconnected', peer: from })
  }
}
