/** Whom a node should have as neighbours: those that its pair with them ranks highest, more of them near it than elsewhere. */
import { limits } from '../limits.ts'
import { nearness, type Place } from '../members/places.ts'
import { insertRanked } from './rendezvous.ts'
import type { Scored } from './rendezvous.ts'

export interface Neighbourhood<T> {
  /** `place`: where the candidate is. */
  add(item: T, score: number, name: string, place: Place | undefined): void
  /** Best first: those that are near, which are at most `limits.nearShare` of them, then the others. */
  best(): T[]
}

/** At most `count` neighbours of who is at `own`. */
export function createNeighbourhood<T>(own: Place | undefined, count: number): Neighbourhood<T> {
  const near: Scored<T>[] = []
  const anywhere: Scored<T>[] = []
  return {
    add(item, score, name, place) {
      insertRanked(anywhere, count, item, score, name)
      insertRanked(near, count * limits.nearShare, item, score + nearness(own, place) * aboveScores, name)
    },
    best: () => [...new Set([...near, ...anywhere].map(({ item }) => item))].slice(0, count),
  }
}

/** Nearness comes before the pair's score, which has 32 bits. */
const aboveScores = 2 ** 32
