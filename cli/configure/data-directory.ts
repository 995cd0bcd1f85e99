/** The data directory for an agent that does not run as root, on a node where only root can make it. */
import { lchown, lstat, mkdir, readdir } from 'node:fs/promises'
import path from 'node:path'
import { codeOf } from '../../agent/kept-file.ts'
import { ShoalError } from '../../core/errors.ts'

/**
 * Makes the directory where it lacks, and gives it and all that is in it to the user and group of that number. Rejects with
 * `STORE_DIRECTORY_INVALID`.
 */
export async function giveDirectory(directory: string, owner: number): Promise<void> {
  try {
    await mkdir(directory, { recursive: true })
    await give(directory, owner)
    for (const name of await readdir(directory, { recursive: true })) await give(path.join(directory, name), owner)
  } catch (cause) {
    const detail = `${directory} can not be given to user ${owner}: ${codeOf(cause)}`
    throw new ShoalError('STORE_DIRECTORY_INVALID', detail, { cause })
  }
}

/** A symbolic link itself, never what it leads to; what has gone meanwhile needs no owner. */
async function give(file: string, owner: number): Promise<void> {
  try {
    const { uid, gid } = await lstat(file)
    if (uid !== owner || gid !== owner) await lchown(file, owner, owner)
  } catch (error) {
    if (codeOf(error) !== 'ENOENT') throw error
  }
}
