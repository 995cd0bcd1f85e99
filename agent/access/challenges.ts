/** The challenges that origins gave last: relayed where the origin can't give one now, but the caller's credential would help. */
import { createBoundedMap } from '../../core/bounded-map.ts'
import { limits } from '../../core/limits.ts'
import type { OriginRepository } from '../upstream/origin-client.ts'

export interface KnownChallenges {
  note(at: OriginRepository, challenges: readonly string[]): void
  /** For this repository; else as for another one of the same origin, with this one's name in the scope. */
  for(at: OriginRepository): readonly string[]
}

interface Known {
  readonly repository: string
  readonly challenges: readonly string[]
}

export function createKnownChallenges(): KnownChallenges {
  const ofRepositories = createBoundedMap<string, Known>(limits.accessRecordsMax)
  const ofOrigins = createBoundedMap<string, Known>(limits.originHostsMax)
  return {
    note({ origin, repository }, challenges) {
      if (challenges.length === 0) return
      ofRepositories.set(`${origin} ${repository}`, { repository, challenges })
      ofOrigins.set(origin, { repository, challenges })
    },
    for({ origin, repository }) {
      const known = ofRepositories.get(`${origin} ${repository}`) ?? ofOrigins.get(origin)
      if (known === undefined) return []
      return known.challenges.map((text) =>
        text.replaceAll(`repository:${known.repository}:`, `repository:${repository}:`),
      )
    },
  }
}
