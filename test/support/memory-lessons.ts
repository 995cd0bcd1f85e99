/** The LessonStore of tests. */
import type { LessonStore } from '../../core/ports.ts'
import { noLessons } from '../../core/swarm/lessons.ts'

/** `now` is a clock that goes on while no process runs. */
export function createMemoryLessons(now: () => number): LessonStore {
  let latest = { lessons: noLessons, keptAt: now() }
  return {
    kept: () => ({ ...latest.lessons, nowMs: latest.lessons.nowMs + now() - latest.keptAt }),
    async keep(lessons) {
      latest = { lessons, keptAt: now() }
    },
  }
}
