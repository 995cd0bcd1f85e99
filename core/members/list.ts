/**
 * The list of members: one record each, merged as SWIM does (Das, Gupta and Motivala 2002), and hashed in buckets so that
 * two lists find cheaply where they differ. Only live members are hashed: the departed are forgotten at each one's own time.
 */
import { createHash } from 'node:crypto'
import { createNeighbourhood } from '../directory/neighbourhood.ts'
import { markOf, scoreOf } from '../directory/rendezvous.ts'
import type { Mark } from '../directory/rendezvous.ts'
import { limits } from '../limits.ts'
import type { PeerId, Random } from '../ports.ts'
import type { MemberRecord, MemberState } from './messages.ts'

export interface MemberList {
  get(peer: PeerId): MemberRecord | undefined
  /** Keeps the record in place of any other of the same peer, or, where list or bucket are full, of whoever departed first. */
  put(record: MemberRecord, nowMs: number): void
  /** Live members, in no order; the same array until a record is put or forgotten. */
  live(): readonly PeerId[]
  /** Members that left or died and are not forgotten yet. */
  departed(): readonly PeerId[]
  /** A random live member that `admits` accepts. */
  pick(random: Random, admits: (peer: PeerId) => boolean): PeerId | undefined
  /** The live member that follows `peer` on the ring of hashed names and that `admits` accepts. */
  successor(peer: PeerId, admits: (peer: PeerId) => boolean): PeerId | undefined
  /**
   * The live members that rank highest as neighbours of `peer`, those near it first: within a zone, and among all, the same pairs
   * as seen from the other side.
   */
  nearest(peer: PeerId, count: number): MemberRecord[]
  /** May another live member come? The departed make room. */
  hasRoomFor(peer: PeerId): boolean
  hash(): string
  bucketHashes(): readonly number[]
  /** Records of these buckets, whole buckets at a time until `limits.membersPerMessage` is passed. */
  inBuckets(buckets: readonly number[]): MemberRecord[]
  /** Drops who departed longer than `limits.departedKeptMs` ago. */
  forgetDeparted(nowMs: number): void
}

interface Kept {
  readonly record: MemberRecord
  readonly mark: Mark
  readonly hash: number
  readonly putMs: number
}

export function createMemberList(): MemberList {
  const kept = new Map<PeerId, Kept>()
  const buckets = Array.from({ length: limits.memberBuckets }, () => new Set<PeerId>())
  const hashes = new Uint32Array(limits.memberBuckets)
  const departed = new Set<PeerId>()
  let live: PeerId[] | undefined
  let hash: string | undefined

  const drop = (entry: Kept): void => {
    const bucket = bucketOf(entry.mark)
    hashes[bucket]! ^= entry.hash
    buckets[bucket]?.delete(entry.record.peer)
    departed.delete(entry.record.peer)
    kept.delete(entry.record.peer)
    live = undefined
    hash = undefined
  }
  const bucketWith = (mark: Mark): ReadonlySet<PeerId> => buckets[bucketOf(mark)]!
  /** Sets have members in the order in which their last records were put. */
  const forgetFirst = (peers: ReadonlySet<PeerId>): void => {
    for (const peer of peers) if (departed.has(peer)) return drop(kept.get(peer)!)
  }
  const liveMembers = (): PeerId[] => (live ??= [...kept.keys()].filter((peer) => !departed.has(peer)))

  return {
    get: (peer) => kept.get(peer)?.record,
    put(record, nowMs) {
      const before = kept.get(record.peer)
      if (before !== undefined) drop(before)
      const mark = before?.mark ?? markOf(record.peer)
      if (kept.size >= limits.membersMax) forgetFirst(departed)
      if (bucketWith(mark).size >= limits.membersPerBucketMax) forgetFirst(bucketWith(mark))
      const entry: Kept = { record, mark, hash: record.state === 'alive' ? hashOf(record) : 0, putMs: nowMs }
      kept.set(record.peer, entry)
      hashes[bucketOf(mark)]! ^= entry.hash
      buckets[bucketOf(mark)]?.add(record.peer)
      if (record.state !== 'alive') departed.add(record.peer)
      live = undefined
      hash = undefined
    },
    live: liveMembers,
    departed: () => [...departed],
    pick: (random, admits) => pick(liveMembers(), random, admits),
    successor: (peer, admits) => successor(kept, liveMembers(), peer, admits),
    nearest(peer, count) {
      const own = kept.get(peer)
      const ownMark = own?.mark ?? markOf(peer)
      const neighbours = createNeighbourhood<MemberRecord>(own?.record, count)
      for (const name of liveMembers()) {
        if (name === peer) continue
        const { mark, record } = kept.get(name)!
        neighbours.add(record, scoreOf(ownMark, mark), name, record)
      }
      return neighbours.best()
    },
    hasRoomFor(peer) {
      const others = bucketWith(markOf(peer))
      const isCrowded = others.size >= limits.membersPerBucketMax && others.isDisjointFrom(departed)
      return !isCrowded && kept.size - departed.size < limits.membersMax
    },
    hash: () => (hash ??= createHash('sha256').update(hashes).digest('base64url').slice(0, 22)),
    bucketHashes: () => [...hashes],
    inBuckets(wanted) {
      const records: MemberRecord[] = []
      for (const bucket of wanted) {
        if (records.length >= limits.membersPerMessage) break
        for (const peer of buckets[bucket] ?? []) records.push(kept.get(peer)!.record)
      }
      return records
    },
    forgetDeparted(nowMs) {
      for (const peer of departed) {
        const entry = kept.get(peer)
        if (entry !== undefined && nowMs - entry.putMs > limits.departedKeptMs) drop(entry)
      }
    },
  }
}

function bucketOf(mark: Mark): number {
  return (mark.low >>> 0) % limits.memberBuckets
}

function textOf({ peer, incarnation, life, cluster, addresses, zone, region }: MemberRecord): string {
  return JSON.stringify([peer, incarnation, life, cluster, addresses, zone ?? null, region ?? null])
}

function hashOf(record: MemberRecord): number {
  return createHash('sha256').update(textOf(record)).digest().readUInt32LE(0)
}

const ranks: Record<MemberState, number> = { alive: 0, dead: 1, left: 2 }

/**
 * Does `told` replace `known`? The higher incarnation does; within one, a departure does; records that claim the same
 * and differ are ordered by their text, so that all lists keep the same one.
 */
export function replaces(told: MemberRecord, known: MemberRecord): boolean {
  if (told.incarnation !== known.incarnation) return told.incarnation > known.incarnation
  if (told.state !== known.state) return ranks[told.state] > ranks[known.state]
  return textOf(told) > textOf(known)
}

function pick(live: readonly PeerId[], random: Random, admits: (peer: PeerId) => boolean): PeerId | undefined {
  if (live.length === 0) return undefined
  const start = random.below(live.length)
  for (let step = 0; step < live.length; step++) {
    const peer = live[(start + step) % live.length]!
    if (admits(peer)) return peer
  }
  return undefined
}

function successor(
  kept: ReadonlyMap<PeerId, Kept>,
  live: readonly PeerId[],
  peer: PeerId,
  admits: (peer: PeerId) => boolean,
): PeerId | undefined {
  const own = kept.get(peer)?.mark.high ?? markOf(peer).high
  let best: PeerId | undefined
  let bestDistance = Number.POSITIVE_INFINITY
  for (const other of live) {
    if (other === peer) continue
    const distance = (kept.get(other)!.mark.high - own) >>> 0
    if (distance < bestDistance && admits(other)) {
      best = other
      bestDistance = distance
    }
  }
  return best
}
