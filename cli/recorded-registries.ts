/** What the tests of registries recorded (test/integration/registries), for docs/registries.md. */
import { readdirSync, readFileSync } from 'node:fs'
import path from 'node:path'
import { z } from 'zod'

const counts = z.record(z.string(), z.number())

const recorded = z.object({
  name: z.string(),
  origin: z.string(),
  baseUrl: z.string().optional(),
  scheme: z.enum(['basic', 'bearer']),
  storage: z.string().optional(),
  sources: z.record(z.string(), z.string()),
  refused: z.object({ nobody: z.number(), wrongSecret: z.number() }),
  /** Requests by kind. */
  open: counts.optional(),
  private: counts,
  again: counts,
})

export type RecordedRegistry = z.output<typeof recorded>

export function readRecordedRegistries(root: string): RecordedRegistry[] {
  const directory = path.join(root, 'test/integration/registries/recorded')
  return readdirSync(directory)
    .toSorted()
    .map((file) => recorded.parse(JSON.parse(readFileSync(path.join(directory, file), 'utf8'))))
}
