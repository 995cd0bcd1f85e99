/** A blob's two files, open: the sparse data and the log that says which of it is real. */
import fs from 'node:fs'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { digestHex, type Digest } from '../../core/oci/digest.ts'
import { writeFully, type Disk } from './disk.ts'
import { encodeBody, encodeHeader, frameBodies, tailOfHeader, type LogRecord, type LogTail } from './log-format.ts'
import type { HeldFile } from './verified-reader.ts'

const open = promisify(fs.open)
const close = promisify(fs.close)
const fstat = promisify(fs.fstat)
const { O_CREAT, O_EXCL, O_NOFOLLOW, O_RDWR } = fs.constants

export interface BlobPaths {
  readonly data: string
  readonly log: string
}

export interface BlobFiles {
  /** Appends to the log; records appended while another append is under way go out as one write. */
  append(record: LogRecord): Promise<void>
  hold(): HeldFile
  /** Syncs the data, then the log. Resolves with the bytes that the two files take on disk, holes left out. */
  sync(): Promise<number>
  /** Closes both files once nobody holds them. */
  close(): Promise<void>
}

/** Only a `Digest` makes a path, so none leads out of `directory`. */
export function blobPaths(directory: string, digest: Digest): BlobPaths {
  const stem = join(directory, digestHex(digest))
  return { data: `${stem}.data`, log: `${stem}.log` }
}

/** The log goes first: data without a log is nothing, a log without data would be a lie. */
export async function removeBlobFiles(disk: Disk, paths: BlobPaths): Promise<void> {
  await disk.remove(paths.log)
  await disk.remove(paths.data)
}

export async function createBlobFiles(disk: Disk, paths: BlobPaths, digest: Digest, size: number): Promise<BlobFiles> {
  const fds = await openBoth(disk, paths, O_RDWR | O_CREAT | O_EXCL | O_NOFOLLOW)
  try {
    const header = encodeHeader(digest, size)
    await writeFully(disk, fds.log, [header], 0)
    return shareFiles(disk, fds, tailOfHeader(header))
  } catch (error) {
    await closeBoth(fds)
    await removeBlobFiles(disk, paths)
    throw error
  }
}

export async function openBlobFiles(disk: Disk, paths: BlobPaths, tail: LogTail): Promise<BlobFiles> {
  return shareFiles(disk, await openBoth(disk, paths, O_RDWR | O_NOFOLLOW), tail)
}

interface Fds {
  readonly data: number
  readonly log: number
}

async function openBoth(disk: Disk, paths: BlobPaths, flags: number): Promise<Fds> {
  const data = await open(paths.data, flags, 0o600)
  try {
    return { data, log: await open(paths.log, flags, 0o600) }
  } catch (error) {
    await close(data)
    if ((flags & O_CREAT) !== 0) await disk.remove(paths.data)
    throw error
  }
}

async function closeBoth(fds: Fds): Promise<void> {
  await close(fds.data)
  await close(fds.log)
}

function shareFiles(disk: Disk, fds: Fds, tail: LogTail): BlobFiles {
  let holds = 0
  const idle = Promise.withResolvers<void>()
  let isClosing = false

  function hold(): HeldFile {
    if (isClosing) throw new Error('a closing file was held')
    holds++
    return { fd: fds.data, release }
  }

  function release(): void {
    holds--
    if (isClosing && holds === 0) idle.resolve()
  }

  async function whileHeld<Result>(work: () => Promise<Result>): Promise<Result> {
    hold()
    try {
      return await work()
    } finally {
      release()
    }
  }

  const append = createAppender(disk, fds.log, tail)
  return {
    append: (record) => whileHeld(async () => append(record)),
    hold,
    sync: () =>
      whileHeld(async () => {
        await disk.sync(fds.data)
        await disk.sync(fds.log)
        return (await usedBy(fds.data)) + (await usedBy(fds.log))
      }),
    async close() {
      isClosing = true
      if (holds > 0) await idle.promise
      await closeBoth(fds)
    },
  }
}

async function usedBy(fd: number): Promise<number> {
  return (await fstat(fd)).blocks * 512
}

/** A failed append leaves the tail where it was: the next one overwrites whatever part of it reached the file. */
function createAppender(disk: Disk, fd: number, start: LogTail): (record: LogRecord) => Promise<void> {
  let tail = start
  let waiting: Buffer[] = []
  let flushed: Promise<void> = Promise.resolve()

  async function flushAfter(previous: Promise<void>): Promise<void> {
    await previous.catch(() => {})
    const next = frameBodies(waiting, tail)
    waiting = []
    await writeFully(disk, fd, [next.bytes], tail.offset)
    tail = next.tail
  }

  return (record) => {
    waiting.push(encodeBody(record))
    if (waiting.length === 1) flushed = flushAfter(flushed)
    return flushed
  }
}
