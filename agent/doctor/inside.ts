/** What an agent can find out about itself and nobody else could. */
import { readdir, readFile, stat } from 'node:fs/promises'
import path from 'node:path'

/** How long ago the newest finished file was written; ms. Undefined where there is none, or nothing can be seen. */
export async function newContentAgoMs(contentDirectory: string): Promise<number | undefined> {
  const directory = path.join(contentDirectory, 'blobs', 'sha256')
  const names = await readdir(directory).catch(() => [])
  const times = await Promise.all(names.map((name) => writtenMs(path.join(directory, name))))
  const newestMs = Math.max(...times)
  return Number.isFinite(newestMs) ? Date.now() - newestMs : undefined
}

/** Content goes at any time. */
async function writtenMs(file: string): Promise<number> {
  return stat(file).then(
    ({ mtimeMs }) => mtimeMs,
    () => Number.NEGATIVE_INFINITY,
  )
}

/** How many files and connections this process may open; undefined where the kernel does not say. */
export async function descriptorsMax(): Promise<number | undefined> {
  const limitsText = await readFile('/proc/self/limits', 'utf8').catch(() => '')
  const soft = /^Max open files\s+(\d+)/m.exec(limitsText)?.[1]
  return soft === undefined ? undefined : Number(soft)
}
