/**
 * What lies have taught this node (core/swarm/lessons.ts), in a file of the data directory. It names members, addresses, origins and digests,
 * and holds no secret. There are as many as core/limits.ts lets the swarm remember, in 0.6 MB at most, and on nearly all nodes never one.
 */
import { rm } from 'node:fs/promises'
import path from 'node:path'
import { z } from 'zod'
import type { LessonStore } from '../core/ports.ts'
import { type Lessons, noLessons } from '../core/swarm/lessons.ts'
import { caution, digest } from './cluster/wire.ts'
import { codeOf, readIfThere, replaceDurably } from './kept-file.ts'
import type { Logger } from './logging.ts'
import { parseJson } from './parse-json.ts'

const fileName = 'lessons.json'

/** Wall clock, milliseconds: the next process has another clock for all else. */
const keptAt = z.number()
const untilMs = z.number()
const keptLessons = z.strictObject({
  keptAt,
  lessons: z.strictObject({
    nowMs: z.number(),
    suspects: z.array(z.tuple([z.string(), z.strictObject({ digest, untilMs })])),
    disbelieved: z.array(z.tuple([z.string(), z.strictObject({ untilMs })])),
    cautions: z.array(z.tuple([z.string(), z.strictObject({ caution, untilMs })])),
  }),
})

/** Of an agent without peers: nobody lies to it. */
export const forgetful: LessonStore = { kept: () => noLessons, keep: async () => {} }

interface KeptLessons {
  readonly keptAt: number
  readonly lessons: Lessons
}

interface LessonFileComponents {
  readonly logger: Logger
  /** Wall clock, milliseconds. */
  readonly now: () => number
}

/** Never rejects: what can't be read counts as nothing. */
export async function openLessonFile(
  { logger, now }: LessonFileComponents,
  { directory }: { readonly directory: string },
): Promise<LessonStore> {
  const file = path.join(directory, fileName)
  // One name, so that crashes and a failing disk leave one draft at most.
  const draft = `${file}.draft`
  let latest = (await readKept(file, logger)) ?? { keptAt: now(), lessons: noLessons }
  let isWritten = true
  let writing: Promise<void> | undefined

  /** What is learnt while a write is under way goes along with the next one. */
  async function write(): Promise<void> {
    while (!isWritten) {
      isWritten = true
      await rm(draft, { force: true })
      await replaceDurably(file, JSON.stringify(latest), draft)
    }
  }

  return {
    // A wall clock that was put back makes nothing hold for longer.
    kept: () => ({ ...latest.lessons, nowMs: latest.lessons.nowMs + Math.max(0, now() - latest.keptAt) }),
    keep(lessons) {
      latest = { keptAt: now(), lessons }
      isWritten = false
      writing ??= write()
        .catch((error: unknown) => logger.warn({ file, errno: codeOf(error) }, 'lessons can not be kept'))
        .finally(() => (writing = undefined))
      return writing
    },
  }
}

async function readKept(file: string, logger: Logger): Promise<KeptLessons | undefined> {
  try {
    const text = await readIfThere(file)
    return text === undefined ? undefined : keptLessons.parse(parseJson(text))
  } catch (error) {
    logger.warn({ file, err: error }, 'lessons can not be read')
    return undefined
  }
}
