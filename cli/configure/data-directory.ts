/** The data directory on a node where only root can make it: given to an agent that does not run as root, and emptied when that has gone. */
import { lchown, lstat, mkdir, readdir, rm } from 'node:fs/promises'
import path from 'node:path'
import { codeOf, namesIn } from '../../agent/kept-file.ts'
import { type DirectoryLock, lockDirectory } from '../../agent/store/directory-lock.ts'
import { ShoalError } from '../../core/errors.ts'

/**
 * Makes the directory where it lacks, and gives it and all that is in it to the user and group of that number. Rejects with
 * `STORE_DIRECTORY_INVALID`.
 */
export async function giveDirectory(directory: string, owner: number): Promise<void> {
  try {
    await mkdir(directory, { recursive: true })
    await giveFile(directory, owner)
    for (const name of await readdir(directory, { recursive: true })) await giveFile(path.join(directory, name), owner)
  } catch (cause) {
    const detail = `${directory} can not be given to user ${owner}: ${codeOf(cause)}`
    throw new ShoalError('STORE_DIRECTORY_INVALID', detail, { cause })
  }
}

/** A symbolic link itself, never what it leads to; what has gone meanwhile needs no owner. */
export async function giveFile(file: string, owner: number): Promise<void> {
  try {
    const { uid, gid } = await lstat(file)
    if (uid !== owner || gid !== owner) await lchown(file, owner, owner)
  } catch (error) {
    if (codeOf(error) !== 'ENOENT') throw error
  }
}

/** What agents keep there, and drafts of it. Nothing else is touched, whatever directory was named by mistake. */
const keptThere =
  /^(blobs|containerd-hashes|hosts-written|identity\.pem|lessons|lock|mirror-ca\.pem|mirror-secret|owner|unshared)([.-].*)?$/

/**
 * Removes what an agent has kept there; the directory stays, since it may be a mount. False where nothing was. Rejects with
 * `STORE_LOCKED` while an agent runs, and with `STORE_DIRECTORY_INVALID`.
 */
export async function emptyDirectory(directory: string): Promise<boolean> {
  if ((await keptIn(directory)).length === 0) return false
  let lock: DirectoryLock | undefined
  try {
    lock = lockDirectory(directory)
    for (const name of await keptIn(directory)) await rm(path.join(directory, name), { recursive: true, force: true })
    return true
  } catch (cause) {
    if (cause instanceof ShoalError) throw cause
    const detail = `${directory} can not be emptied: ${codeOf(cause)}`
    throw new ShoalError('STORE_DIRECTORY_INVALID', detail, { cause })
  } finally {
    lock?.release()
  }
}

async function keptIn(directory: string): Promise<string[]> {
  const names = await namesIn(directory)
  return names.filter((name) => keptThere.test(name))
}
