/** Files with secrets that are made once and kept: whole or not at all, on disk before anybody relies on them, for their owner only. */
import { randomBytes } from 'node:crypto'
import { link, mkdir, open, readdir, readFile, rename, rm, unlink } from 'node:fs/promises'
import path from 'node:path'

/** The text of a file; undefined where there is none. Rejects as `node:fs` does. */
export async function readIfThere(file: string): Promise<string | undefined> {
  try {
    return await readFile(file, 'utf8')
  } catch (error) {
    if (codeOf(error) === 'ENOENT') return undefined
    throw error
  }
}

/** What is in a directory; nothing where there is none. Rejects as `node:fs` does. */
export async function namesIn(directory: string): Promise<string[]> {
  try {
    return await readdir(directory)
  } catch (error) {
    if (codeOf(error) === 'ENOENT') return []
    throw error
  }
}

/** Writes the file, and its directory where that lacks, but never over another; false where one is there already. */
export async function keepOnce(file: string, content: string): Promise<boolean> {
  const directory = path.dirname(file)
  const draft = draftOf(file)
  await mkdir(directory, { recursive: true })
  await writeDurably(draft, content)
  try {
    await link(draft, file)
  } catch (error) {
    if (codeOf(error) === 'EEXIST') return false
    throw error
  } finally {
    await unlink(draft)
  }
  await syncDirectory(directory)
  return true
}

/** Rejects where the file is there already. */
async function writeDurably(file: string, content: string): Promise<void> {
  await using handle = await open(file, 'wx', 0o600)
  try {
    await handle.writeFile(content)
    await handle.sync()
  } catch (error) {
    // Of a full disk there would be one more at each restart.
    await rm(file, { force: true }).catch(() => {})
    throw error
  }
}

/** Takes the place of the file, if there is one, as a whole. A crash may leave the draft. Rejects as `node:fs` does. */
export async function replaceDurably(file: string, content: string, draft = draftOf(file)): Promise<void> {
  await writeDurably(draft, content)
  try {
    await rename(draft, file)
  } catch (error) {
    await rm(draft, { force: true }).catch(() => {})
    throw error
  }
  await syncDirectory(path.dirname(file))
}

function draftOf(file: string): string {
  return `${file}.${randomBytes(6).toString('hex')}`
}

/** Makes what was renamed, linked or removed in it survive a power loss. */
export async function syncDirectory(directory: string): Promise<void> {
  await using handle = await open(directory)
  await handle.sync()
}

/** `ENOENT` and the like; the text of an error that has none: a DOMException's is a number, which says nothing. */
export function codeOf(error: unknown): string {
  return error instanceof Error && 'code' in error && typeof error.code === 'string' ? error.code : String(error)
}
