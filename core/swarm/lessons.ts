/**
 * What lies have taught this node, for its next life: an agent that dies is not deceived again by whom it had found out, nor by one of
 * those whom it suspected (trust.ts), and goes on to caution others (caution.ts). Bans end with the process; who was banned for a lie is
 * among those of whom no word is taken.
 */
import type { BoundedMap } from '../bounded-map.ts'
import type { DatedCaution } from './caution.ts'
import type { SwarmState } from './state.ts'
import type { Suspicion } from './trust.ts'

export interface Dated {
  readonly untilMs: number
}

/** By the names of those tables of the state. */
export interface Lessons {
  /** What time it is, on the clock by which the rest is dated. */
  readonly nowMs: number
  readonly suspects: readonly Named<Suspicion>[]
  readonly disbelieved: readonly Named<Dated>[]
  readonly cautions: readonly Named<DatedCaution>[]
}

type Named<Lesson> = readonly [name: string, lesson: Lesson]

/** A node that no liar has met. */
export const noLessons: Lessons = { nowMs: 0, suspects: [], disbelieved: [], cautions: [] }

export function lessonsOf({ cautions, clock, disbelieved, suspects }: SwarmState): Lessons {
  const nowMs = clock.now()
  const current = <Lesson extends Dated>(learnt: BoundedMap<string, Lesson>): Named<Lesson>[] =>
    [...learnt].filter(([, { untilMs }]) => untilMs > nowMs)
  return { nowMs, suspects: current(suspects), disbelieved: current(disbelieved), cautions: current(cautions) }
}

/** They hold for as long as they would have, and for as long as a ban at most: who dated them may have had another time. */
export function recall({ cautions, clock, disbelieved, limits, suspects }: SwarmState, lessons: Lessons): void {
  const take = <Lesson extends Dated>(learnt: BoundedMap<string, Lesson>, named: readonly Named<Lesson>[]): void => {
    for (const [name, lesson] of named) {
      const leftMs = Math.min(lesson.untilMs - lessons.nowMs, limits.banMs)
      learnt.set(name, { ...lesson, untilMs: clock.now() + leftMs })
    }
  }
  take(suspects, lessons.suspects)
  take(disbelieved, lessons.disbelieved)
  take(cautions, lessons.cautions)
}
