import { describe } from 'vitest'
import { openLessonFile } from '../../agent/lesson-file.ts'
import { createLogger } from '../../agent/logging.ts'
import { directoryForTest } from '../support/disk-store.ts'
import { createMemoryLessons } from '../support/memory-lessons.ts'
import { virtualClock } from '../support/virtual-clock.ts'
import { lessonsContract } from './lessons.ts'

describe('the lessons of tests', () => {
  lessonsContract(async () => {
    const clock = virtualClock()
    const lessons = createMemoryLessons(() => clock.now())
    return { lessons, restart: async () => lessons, pass: (ms) => clock.advance(ms) }
  })
})

describe('lessons in a file', () => {
  lessonsContract(async () => {
    const clock = virtualClock()
    const directory = directoryForTest()
    const logger = createLogger({ level: 'fatal', format: 'json' })
    const open = () => openLessonFile({ logger, now: () => clock.now() }, { directory })
    return { lessons: await open(), restart: open, pass: (ms) => clock.advance(ms) }
  })
})
