import { expect, test } from 'vitest'
import { digestFromHex } from '../../core/oci/digest.ts'
import type { LessonStore } from '../../core/ports.ts'
import type { Lessons } from '../../core/swarm/lessons.ts'

export interface LessonsUnderTest {
  readonly lessons: LessonStore
  /** The process dies, and another one opens what it has kept. */
  readonly restart: () => Promise<LessonStore>
  /** Time goes by, whether a process runs or not. */
  readonly pass: (ms: number) => void
}

const peer = `12D3KooW${'1'.repeat(44)}`
const digest = digestFromHex('ab'.repeat(32))

/** Some of each kind, by a clock that has nothing to do with the store's. */
export const someLessons: Lessons = {
  nowMs: 5000.5,
  suspects: [
    [peer, { digest, untilMs: 605_000 }],
    ['strangers', { digest, untilMs: 605_000 }],
  ],
  disbelieved: [[`registry.example:5000 ${peer}`, { untilMs: 604_000.25 }]],
  cautions: [
    ['10.0.0.66', { caution: { peer, address: '10.0.0.66', origin: 'registry.example:5000' }, untilMs: 604_000 }],
    [peer, { caution: { peer }, untilMs: 603_000 }],
  ],
}

/** What every LessonStore holds to; `create` gives one that is empty each time. */
export function lessonsContract(create: () => Promise<LessonsUnderTest>): void {
  test('has nothing at first', async () => {
    const { lessons } = await create()
    expect(lessons.kept()).toMatchObject({ suspects: [], disbelieved: [], cautions: [] })
  })

  test('has what was kept last, and so has the next process', async () => {
    const { lessons, restart } = await create()
    await lessons.keep({ ...someLessons, suspects: [], cautions: [] })
    await lessons.keep(someLessons)
    expect(lessons.kept()).toEqual(someLessons)
    expect((await restart()).kept()).toEqual(someLessons)
  })

  test('keeps the last of what is given at once', async () => {
    const { lessons, restart } = await create()
    const given = [1, 2, 3].map((nowMs) => lessons.keep({ ...someLessons, nowMs }))
    await Promise.all(given)
    expect((await restart()).kept()).toEqual({ ...someLessons, nowMs: 3 })
  })

  test('tells how old it has become', async () => {
    const { lessons, pass, restart } = await create()
    await lessons.keep(someLessons)
    pass(1000)
    expect(lessons.kept()).toEqual({ ...someLessons, nowMs: 6000.5 })
    const next = await restart()
    pass(500)
    expect(next.kept()).toEqual({ ...someLessons, nowMs: 6500.5 })
  })
}
