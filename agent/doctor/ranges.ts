/** Which registries send parts of a blob, as their answers to this node have shown. */
import { createBoundedMap } from '../../core/bounded-map.ts'
import { limits } from '../../core/limits.ts'
import type { OriginClient } from '../upstream/origin-client.ts'

export interface RangeNotes {
  readonly origin: OriginClient
  /** Registries whose last answer was a whole blob where a part was asked for. */
  unranged(): readonly string[]
}

export function createRangeNotes(origin: OriginClient): RangeNotes {
  const ranged = createBoundedMap<string, boolean>(limits.originHostsMax)
  return {
    origin: {
      ...origin,
      async fetchRange(wanted, credential, signal) {
        const answer = await origin.fetchRange(wanted, credential, signal)
        const isPart = wanted.end - wanted.start < wanted.size
        if (isPart) ranged.set(origin.site(wanted.origin).origin, answer.ranged)
        return answer
      },
    },
    unranged: () => [...ranged].flatMap(([name, isRanged]) => (isRanged ? [] : [name])),
  }
}
