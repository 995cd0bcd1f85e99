/** Which members host a digest's directory, and whether this one has done so for long enough to grant leases. */
import { limits } from '../limits.ts'
import type { Digest } from '../oci/digest.ts'
import type { Clock, PeerId } from '../ports.ts'
import { insertRanked, markOf, outranks, scoreOf, scoreOfWords } from './rendezvous.ts'
import type { Mark, Scored } from './rendezvous.ts'

export interface OwnersComponents {
  readonly self: PeerId
  readonly clock: Clock
}

/**
 * The live members as rendezvous hashing sees them. A member is listed from `add` to `remove`; one that this agent
 * found silent keeps its place but is passed over until it is heard again.
 */
export interface Owners {
  add(peer: PeerId): void
  remove(peer: PeerId): void
  silence(peer: PeerId): void
  hear(peer: PeerId): void
  /** This agent has just come (back) into a running cluster, so any digest may have been another's a moment ago. */
  arrive(): void
  /** The members for a digest, best first: owner, standby, and those who would follow; `limits.hostsRankedMax` of them. */
  of(digest: Digest): readonly PeerId[]
  /** Who takes over what this member has of a digest, best first: who ranks highest of those that are eligible; `limits.handOverAskedMax` of them. */
  heirsOf(digest: Digest, isEligible: (peer: PeerId) => boolean): readonly PeerId[]
  /** How long this host, if first for the digest and without a table, must still listen to know what its predecessor granted. */
  learningMs(digest: Digest): number
  /**
   * The same with a table. A standby's lacks only what was granted last; but where two that came before this host have gone, it
   * was neither owner nor standby until the first of them went, and its table is of a time when fewer members were known.
   */
  catchingUpMs(digest: Digest): number
  /** How long it must still listen since it arrived, whatever tables it has. */
  arrivingMs(): number
}

export function createOwners({ self, clock }: OwnersComponents): Owners {
  const members = new Map<PeerId, Mark>()
  const silent = new Set<PeerId>()
  /** Who ceased to be eligible, and when; kept while it matters. */
  const former = new Map<PeerId, { readonly mark: Mark; readonly sinceMs: number }>()
  const ranked = new Map<Digest, readonly PeerId[]>()
  let arrivedMs = Number.NEGATIVE_INFINITY

  const depose = (peer: PeerId, mark: Mark): void => {
    for (const [name, { sinceMs }] of former) if (sinceMs + limits.directoryLearnMs <= clock.now()) former.delete(name)
    former.set(peer, { mark, sinceMs: clock.now() })
    ranked.clear()
  }

  /** When those went that came before this host, the last first. */
  const predecessorsMs = (digest: Digest): number[] => {
    const own = rankOf(self, members.get(self) ?? markOf(self), digest)
    const gone = [...former].filter(([peer, { mark }]) => outranks(rankOf(peer, mark, digest), own))
    return gone.map(([, { sinceMs }]) => sinceMs).toSorted((a, b) => b - a)
  }
  const leftOf = (listensMs: number, sinceMs = Number.NEGATIVE_INFINITY): number =>
    Math.max(0, sinceMs + listensMs - clock.now())

  return {
    add(peer) {
      if (members.has(peer)) return
      members.set(peer, markOf(peer))
      ranked.clear()
    },
    remove(peer) {
      const mark = members.get(peer)
      if (mark === undefined) return
      members.delete(peer)
      if (!silent.delete(peer)) depose(peer, mark)
      ranked.clear()
    },
    silence(peer) {
      const mark = members.get(peer)
      if (mark === undefined || peer === self || silent.has(peer)) return
      silent.add(peer)
      depose(peer, mark)
    },
    hear(peer) {
      if (silent.delete(peer)) ranked.clear()
    },
    arrive() {
      arrivedMs = clock.now()
    },
    of(digest) {
      const known = ranked.get(digest)
      if (known !== undefined) return known
      const hosts = rank(members, markOf(digest), limits.hostsRankedMax, (peer) => !silent.has(peer))
      if (ranked.size >= limits.rankedDigestsMax) ranked.clear()
      ranked.set(digest, hosts)
      return hosts
    },
    heirsOf(digest, isEligible) {
      const mayTake = (peer: PeerId): boolean => peer !== self && !silent.has(peer) && isEligible(peer)
      return rank(members, markOf(digest), limits.handOverAskedMax, mayTake)
    },
    learningMs: (digest) => leftOf(limits.directoryLearnMs, predecessorsMs(digest)[0]),
    catchingUpMs(digest) {
      const [last, before] = predecessorsMs(digest)
      return Math.max(leftOf(limits.standbyLearnMs, last), leftOf(limits.directoryLearnMs, before))
    },
    arrivingMs: () => leftOf(limits.directoryLearnMs, arrivedMs),
  }
}

function rankOf(peer: PeerId, mark: Mark, digest: Digest): Scored<PeerId> {
  return { item: peer, score: scoreOf(mark, markOf(digest)), name: peer }
}

function rank(
  members: ReadonlyMap<PeerId, Mark>,
  key: Mark,
  count: number,
  isEligible: (peer: PeerId) => boolean,
): PeerId[] {
  const best: Scored<PeerId>[] = []
  let floor = -1
  for (const [peer, mark] of members) {
    const score = scoreOfWords(mark.low, mark.high, key.low, key.high)
    if (score < floor || !isEligible(peer)) continue
    insertRanked(best, count, peer, score, peer)
    if (best.length >= count) floor = best.at(-1)?.score ?? floor
  }
  return best.map((scored) => scored.item)
}
