/** All that is in a directory, for tests that say it is as it was. */
import { lstat, readdir, readFile, readlink } from 'node:fs/promises'
import path from 'node:path'

/** Names, owners, modes and bytes. */
export async function snapshotOf(root: string): Promise<unknown[]> {
  const names = (await readdir(root, { recursive: true })).toSorted()
  return Promise.all(names.map(async (name) => ({ name, ...(await describe(path.join(root, name))) })))
}

async function describe(file: string): Promise<object> {
  const stats = await lstat(file)
  const { mode, uid, gid } = stats
  if (stats.isSymbolicLink()) return { mode, uid, gid, target: await readlink(file) }
  return { mode, uid, gid, content: stats.isFile() ? await readFile(file, 'utf8') : undefined }
}
