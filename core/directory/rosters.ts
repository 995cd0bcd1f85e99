/**
 * The whole blobs that an agent merely holds, and that a host has heard of: both keep this list, so that the agent says once a minute that
 * all is as before, with a sum of it, and not a line for each. Where the sums differ it says everything anew.
 */
import type { Digest } from '../oci/digest.ts'
import type { AnnounceItem, RosterSum } from './messages.ts'
import { markOf } from './rendezvous.ts'

export interface Roster {
  readonly size: number
  has(digest: Digest): boolean
  add(digest: Digest): void
  delete(digest: Digest): void
  digests(): Iterable<Digest>
  sum(): RosterSum
}

export function createRoster(): Roster {
  const digests = new Set<Digest>()
  let low = 0
  let high = 0

  /** Well-mixed bits of each, added up without carry: in or out of the list is the same step. */
  function toggle(digest: Digest): void {
    const mark = markOf(digest)
    low = (low ^ mark.low) >>> 0
    high = (high ^ mark.high) >>> 0
  }

  return {
    get size() {
      return digests.size
    },
    has: (digest) => digests.has(digest),
    add(digest) {
      if (digests.has(digest)) return
      digests.add(digest)
      toggle(digest)
    },
    delete(digest) {
      if (digests.delete(digest)) toggle(digest)
    },
    digests: () => digests,
    sum: () => ({ count: digests.size, low, high }),
  }
}

export function isSameSum(one: RosterSum, other: RosterSum): boolean {
  return one.count === other.count && one.low === other.low && one.high === other.high
}

/** Is there nothing to say of it but that it is still so? */
export function isAtRest({ departs, fetching, have, lease, leaves, wants }: AnnounceItem): boolean {
  return have.complete && !wants && fetching.length === 0 && lease === undefined && departs !== true && leaves !== true
}
