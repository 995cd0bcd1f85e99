import { mkdir, readdir, readFile, rm, stat, writeFile } from 'node:fs/promises'
import path from 'node:path'
import { expect, test } from 'vitest'
import { openLessonFile } from '../../agent/lesson-file.ts'
import { createLogger } from '../../agent/logging.ts'
import type { LessonStore } from '../../core/ports.ts'
import { noLessons } from '../../core/swarm/lessons.ts'
import { someLessons } from '../contracts/lessons.ts'
import { directoryForTest } from '../support/disk-store.ts'

interface Opening {
  readonly lessons: LessonStore
  /** Messages that were logged. */
  readonly said: string[]
}

async function open(directory: string, nowMs = 1000): Promise<Opening> {
  const said: string[] = []
  const logger = createLogger({ level: 'info', format: 'json' }, { write: (line) => said.push(JSON.parse(line).msg) })
  return { lessons: await openLessonFile({ logger, now: () => nowMs }, { directory }), said }
}

const fileIn = (directory: string): string => path.join(directory, 'lessons.json')

test('is one file, for its owner only, and none before there is anything to keep', async () => {
  const directory = directoryForTest()
  const { lessons } = await open(directory)
  expect(await readdir(directory)).toEqual([])
  await lessons.keep(someLessons)
  await lessons.keep(someLessons)
  expect(await readdir(directory)).toEqual(['lessons.json'])
  expect((await stat(fileIn(directory))).mode & 0o777).toBe(0o600)
})

test.each([
  ['torn', (text: string) => text.slice(0, -10)],
  ['empty', () => ''],
  ['of another form', () => '{"lessons":[]}'],
  ['about what is no digest', (text: string) => text.replace('sha256:', 'sha256-')],
])('a file that is %s counts for nothing, and gives way', async (_how, damage) => {
  const directory = directoryForTest()
  await (await open(directory)).lessons.keep(someLessons)
  await writeFile(fileIn(directory), damage(await readFile(fileIn(directory), 'utf8')))
  const { lessons, said } = await open(directory)
  expect(lessons.kept()).toEqual(noLessons)
  expect(said).toEqual(['lessons can not be read'])
  await lessons.keep(someLessons)
  expect((await open(directory)).lessons.kept()).toEqual(someLessons)
})

test('what can not be kept is known to this process, and said', async () => {
  const directory = directoryForTest()
  const { lessons, said } = await open(directory)
  await mkdir(fileIn(directory))
  await lessons.keep(noLessons)
  await lessons.keep(someLessons)
  expect(lessons.kept()).toEqual(someLessons)
  expect(said).toEqual(['lessons can not be kept', 'lessons can not be kept'])
  expect(await readdir(directory)).toEqual(['lessons.json'])
  await rm(fileIn(directory), { recursive: true })
  await lessons.keep(someLessons)
  expect((await open(directory)).lessons.kept()).toEqual(someLessons)
})

test('a wall clock that was put back makes nothing newer than it was', async () => {
  const directory = directoryForTest()
  await (await open(directory, 9000)).lessons.keep(someLessons)
  expect((await open(directory, 1000)).lessons.kept()).toEqual(someLessons)
})
