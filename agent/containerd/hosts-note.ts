/**
 * What `shoal configure` wrote, for an agent that may not read it: hosts.toml is for root alone, since it holds the node's secret. By the
 * note the agent sees whether each file is still there and still the same one, and says how to write it again as it was.
 */
import { lstat } from 'node:fs/promises'
import path from 'node:path'
import { z } from 'zod'
import { hostName } from '../config.ts'
import { parseJson } from '../parse-json.ts'
import { readIfThere, replaceDurably } from '../kept-file.ts'

/** What `shoal configure` was told beside the options that it shares with the agent. */
export interface Configured {
  /** None: all. */
  readonly mirroredRegistries: readonly string[]
  readonly resolveTags: boolean
  readonly dataDirOwner?: number | undefined
}

export interface HostsNote {
  /** `config_path`. */
  readonly root: string
  /** Undefined in a note of an older version. */
  readonly configured?: Configured | undefined
  /** What each file is known by (`identityOf`), by its path. */
  readonly files: Readonly<Record<string, string>>
}

const note = z.strictObject({
  root: z.string(),
  configured: z
    .strictObject({
      mirroredRegistries: z.array(hostName),
      resolveTags: z.boolean(),
      dataDirOwner: z.int().min(0).optional(),
    })
    .optional(),
  files: z.record(z.string(), z.string()),
})

const hostsNoteName = 'hosts-written.json'

/** Of a file that is replaced or written to, this changes; through another mount of its directory it stays. Rejects as `lstat`. */
export async function identityOf(file: string): Promise<string> {
  const { ino, mtimeMs, size } = await lstat(file)
  return `${ino} ${mtimeMs} ${size}`
}

/** Takes the place of what was noted before. Resolves with the note's own path; rejects as `node:fs` does. */
export async function writeHostsNote(
  dataDirectory: string,
  written: { readonly root: string; readonly configured: Configured; readonly files: readonly string[] },
): Promise<string> {
  const { root, configured, files } = written
  const identities = await Promise.all(files.map(async (file) => [file, await identityOf(file)] as const))
  const target = path.join(dataDirectory, hostsNoteName)
  await replaceDurably(target, JSON.stringify({ root, configured, files: Object.fromEntries(identities) }))
  return target
}

/** Undefined where there is none, of this root, that can be read. */
export async function readHostsNote(dataDirectory: string, root: string): Promise<HostsNote | undefined> {
  const text = await readIfThere(path.join(dataDirectory, hostsNoteName)).catch(() => undefined)
  const parsed = text === undefined ? undefined : note.safeParse(parseJson(text)).data
  return parsed?.root === root ? parsed : undefined
}
