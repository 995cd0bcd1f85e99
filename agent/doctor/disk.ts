/** Can the data directory do what the store needs of it? It is tried, with a file that nobody ever sees. */
import { randomBytes } from 'node:crypto'
import { type FileHandle, open, statfs, unlink } from 'node:fs/promises'
import path from 'node:path'
import type { Checked, DiskFacts } from '../../core/doctor/facts.ts'
import { limits } from '../../core/limits.ts'
import { realDisk } from '../store/disk.ts'
import { check } from './reasons.ts'

/** statfs(2): magic numbers of filesystems that live in memory. */
const volatileTypes: ReadonlyMap<number, string> = new Map([
  [0x01021994, 'tmpfs'],
  [0x858458f6, 'ramfs'],
])

export async function lookAtDisk(directory: string): Promise<DiskFacts> {
  const { writable, sparse } = await tryWriting(directory)
  const usage = await realDisk.usage(directory).catch(() => undefined)
  const type = await statfs(directory).then(
    (filesystem) => filesystem.type,
    () => undefined,
  )
  return {
    directory,
    writable,
    sparse,
    volatile: type === undefined ? undefined : volatileTypes.get(type),
    usedPercent: usage && 100 * (1 - usage.availableBytes / usage.sizeBytes),
    inodesFreePercent: usage === undefined || usage.inodes === 0 ? undefined : (100 * usage.inodesFree) / usage.inodes,
  }
}

/** One byte far into a new file: how much room does that take? */
async function tryWriting(directory: string): Promise<{ writable: Checked; sparse: boolean | undefined }> {
  let takenBytes: number | undefined
  const writable = await check(async () => {
    await using file = await openUnnamed(directory)
    await file.write(Uint8Array.of(1), 0, 1, limits.doctorSparseBytes - 1)
    await file.datasync()
    takenBytes = (await file.stat()).blocks * 512
  })
  return { writable, sparse: takenBytes === undefined ? undefined : takenBytes < limits.doctorSparseBytes }
}

async function openUnnamed(directory: string): Promise<FileHandle> {
  const name = path.join(directory, `.doctor-${randomBytes(6).toString('hex')}`)
  const file = await open(name, 'wx', 0o600)
  await unlink(name)
  return file
}
