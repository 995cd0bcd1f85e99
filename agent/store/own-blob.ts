/** One blob of the store's own: chunks in a sparse file, vouched for by the log beside it. Knows nothing of other blobs. */
import { readFile } from 'node:fs/promises'
import { ShoalError } from '../../core/errors.ts'
import type { Digest } from '../../core/oci/digest.ts'
import { bitfieldOf, clearBit, countBits, hasBit, setBit } from '../../core/swarm/bitfield.ts'
import { chunkCountOf, chunkLengthOf, chunkSizeOf } from '../../core/swarm/chunks.ts'
import type { Entry } from '../../core/swarm/entry.ts'
import { KiB } from '../../core/units.ts'
import { createBlobFiles, openBlobFiles, removeBlobFiles, type BlobFiles, type BlobPaths } from './blob-files.ts'
import { diskError, errnoOf, writeFully, type Disk } from './disk.ts'
import { entryOf, readLog, type LogRecord, type LogView } from './log-format.ts'
import type { StoreLogger } from './logger.ts'
import { createVerifiedReader, type ReadRange } from './verified-reader.ts'

/** What filesystems allot at a time: the first guess at what a write takes, until `sync` asks. */
const blockBytes = 4 * KiB

/** What is known of a blob even while its files are closed: as little as will do, for there are thousands. */
export interface BlobRecord {
  readonly digest: Digest
  readonly size: number
  readonly have: Uint8Array
  /** Chunks that this process wrote or hashed; made when first needed. */
  verified: Uint8Array | undefined
  complete: boolean
  /** What its files take on disk. */
  usedBytes: number
  isOnDisk: boolean
}

export interface OwnBlobComponents {
  readonly disk: Disk
  readonly logger: StoreLogger
  /** Hears of every chunk that is dropped because its bytes were wrong. */
  readonly onDropped: (digest: Digest) => void
  /** Hears by how much the blob's share of the disk grew, or shrank. */
  readonly onUsed: (deltaBytes: number) => void
  /** Hears that files were created, whose directory entries are not durable yet. */
  readonly onCreated: () => void
}

export interface OwnBlobOptions {
  readonly paths: BlobPaths
  /** Files are created only after this: the end of an older copy's removal. */
  readonly after: Promise<void> | undefined
}

/** Works on its record, which outlives it. */
export interface OwnBlob {
  /** Something was written that a power loss would take back. */
  readonly isDirty: boolean
  /** How often all was discarded: a write that began before does not count after. */
  readonly discards: number
  /** Opens the files and reads the log, where there are any. Rejects when they are not what the scan saw. */
  load(): Promise<void>
  entry(index: number): Entry | undefined
  write(index: number, parts: readonly Uint8Array[], entry: Entry): Promise<void>
  readonly read: ReadRange
  markComplete(): Promise<void>
  discard(indices?: readonly number[]): Promise<void>
  /** Makes what was written before durable, data before log. Chunks whose sync fails are dropped. */
  sync(): Promise<void>
  /** Closes the files; nothing may be under way. The blob can be loaded again. */
  unload(): Promise<void>
  /** Deletes the files. */
  remove(): Promise<void>
}

export function createOwnBlob(components: OwnBlobComponents, record: BlobRecord, options: OwnBlobOptions): OwnBlob {
  const { disk, logger } = components
  const { paths } = options
  const { digest, size, have } = record
  const count = chunkCountOf(size)
  const verified = (record.verified ??= bitfieldOf(count))
  /** Kept since the log was read. */
  const entries = new Map<number, Entry>()
  const writes = new Map<number, Promise<void>>()
  let generation = 0
  let discards = 0
  let isDirty = false
  let unsynced = new Set<number>()
  let syncing: Promise<void> = Promise.resolve()
  let failedSyncs = 0
  let files: BlobFiles | undefined
  let log: LogView | undefined
  let creating: Promise<BlobFiles> | undefined
  let removed = options.after ?? Promise.resolve()

  const read = createVerifiedReader(disk, {
    digest,
    size,
    have,
    verified,
    get generation() {
      return generation
    },
    hash: (index) => entry(index)?.hash,
    hold: () => files?.hold(),
    drop,
  })

  function account(bytes: number): void {
    components.onUsed(bytes - record.usedBytes)
    record.usedBytes = bytes
  }

  async function load(): Promise<void> {
    if (files !== undefined || !record.isOnDisk) return
    const view = readLog(await readFile(paths.log))
    if (view === undefined || view.digest !== digest || view.size !== size) {
      throw new ShoalError('DISK_FAILED', `the log of ${digest} is damaged`)
    }
    files = await openBlobFiles(disk, paths, view.tail)
    log = view
    have.set(view.have)
    record.complete = view.complete
  }

  function entry(index: number): Entry | undefined {
    return entries.get(index) ?? (log === undefined ? undefined : entryOf(log, index))
  }

  function filesForWriting(): Promise<BlobFiles> {
    if (files !== undefined) return Promise.resolve(files)
    creating ??= create().finally(() => {
      creating = undefined
    })
    return creating
  }

  async function create(): Promise<BlobFiles> {
    await removed
    files = await createBlobFiles(disk, paths, digest, size).catch(async (error: unknown) => {
      if (errnoOf(error) !== 'EEXIST') throw error
      // An older copy that could not be deleted when it should have been.
      await removeBlobFiles(disk, paths)
      return createBlobFiles(disk, paths, digest, size)
    })
    record.isOnDisk = true
    components.onCreated()
    return files
  }

  async function write(index: number, parts: readonly Uint8Array[], chunkEntry: Entry): Promise<void> {
    requireChunk(size, index, parts, chunkEntry)
    if (hasBit(have, index)) return
    const ongoing = writes.get(index)
    if (ongoing !== undefined) return ongoing
    const writing = keep(index, parts, chunkEntry).finally(() => writes.delete(index))
    writes.set(index, writing)
    return writing
  }

  async function keep(index: number, parts: readonly Uint8Array[], chunkEntry: Entry): Promise<void> {
    const target = await orDiskError(filesForWriting(), 'create')
    const failedBefore = failedSyncs
    await orDiskError(writeData(target, index, parts), 'write')
    await appendTo(target, { kind: 'chunk', entry: chunkEntry })
    if (target !== files) throw discardedMeanwhile(digest, index)
    // The data may be among what the disk does not have, though it came too late to be dropped with that.
    if (failedSyncs !== failedBefore) {
      await dropKept(index)
      throw new ShoalError('DISK_FAILED', `${digest} could not be synced while chunk ${index} was written`)
    }
    entries.set(index, chunkEntry)
    setBit(verified, index)
    setBit(have, index)
    unsynced.add(index)
  }

  async function writeData(target: BlobFiles, index: number, parts: readonly Uint8Array[]): Promise<void> {
    const file = target.hold()
    isDirty = true
    try {
      await writeFully(disk, file.fd, parts, index * chunkSizeOf(size))
    } finally {
      file.release()
    }
    if (target === files) account(record.usedBytes + Math.ceil(chunkLengthOf(size, index) / blockBytes) * blockBytes)
  }

  async function appendTo(target: BlobFiles, logRecord: LogRecord): Promise<void> {
    await orDiskError(target.append(logRecord), 'write the log of')
    // Not before: a sync that begins meanwhile may miss the record.
    isDirty = true
  }

  async function drop(index: number, reason: string): Promise<void> {
    if (!hasBit(have, index)) return
    const noted = dropKept(index)
    logger.warn({ digest, index, reason }, 'dropped a chunk: it will be fetched again')
    components.onDropped(digest)
    await noted
  }

  async function dropKept(index: number): Promise<void> {
    forget(index)
    try {
      if (files !== undefined) await appendTo(files, { kind: 'dropped', index })
    } catch (error) {
      // The next process hashes the chunk before it serves it, and drops it then.
      logger.warn({ digest, index, err: error }, 'could not note in the log that a chunk was dropped')
    }
  }

  function forget(index: number): void {
    generation++
    record.complete = false
    clearBit(have, index)
    clearBit(verified, index)
    unsynced.delete(index)
    entries.delete(index)
    if (log !== undefined) log.positions[index] = 0
  }

  async function markComplete(): Promise<void> {
    if (record.complete) return
    if (countBits(have) !== count) throw new RangeError(`${digest} lacks chunks, so it can not be complete`)
    // True of the bytes whether or not the disk takes the note of it.
    record.complete = true
    const before = generation
    const target = await orDiskError(filesForWriting(), 'create')
    // To the next process a log that says so after a chunk was lost is damaged, and nothing that follows counts.
    if (generation !== before) throw new ShoalError('CHUNK_CORRUPT', `${digest} lost chunks while its proof was noted`)
    await appendTo(target, { kind: 'complete' })
  }

  async function discard(indices?: readonly number[]): Promise<void> {
    if (indices === undefined) await discardAll()
    else await Promise.all(indices.filter((index) => hasBit(have, index)).map(dropKept))
  }

  async function discardAll(): Promise<void> {
    discards++
    for (let index = 0; index < count; index++) forget(index)
    record.complete = false
    await remove()
  }

  async function remove(): Promise<void> {
    await creating?.catch(() => {})
    if (!record.isOnDisk) return
    const old = files
    files = undefined
    log = undefined
    isDirty = false
    record.isOnDisk = false
    account(0)
    const removal = removed.then(() => removeBlobFiles(disk, paths))
    // What could not be deleted keeps nothing out for ever: `create` tries again.
    removed = removal.catch(() => {})
    await Promise.all([orDiskError(removal, 'delete'), old?.close()])
  }

  /** One after the other: whoever puts the files away next must know how the sync that is under way ends. */
  function sync(): Promise<void> {
    syncing = syncing.catch(() => {}).then(syncNow)
    return syncing
  }

  async function syncNow(): Promise<void> {
    const target = files
    if (!isDirty) return
    isDirty = false
    if (target === undefined) return
    const pending = unsynced
    unsynced = new Set()
    try {
      const bytes = await target.sync()
      if (target === files) account(bytes)
    } catch (error) {
      // After a failed sync the kernel holds such pages clean while the disk may not have them: their bytes are no longer known.
      // So are those of what came meanwhile, but not of what was discarded and came anew: that is in other files.
      if (target === files) {
        failedSyncs++
        await Promise.all([...pending.union(unsynced)].map((index) => drop(index, 'could not be made durable')))
      }
      throw diskError(error, `sync ${digest}`)
    }
  }

  async function unload(): Promise<void> {
    const old = files
    files = undefined
    log = undefined
    entries.clear()
    await old?.close()
  }

  function orDiskError<Result>(work: Promise<Result>, doing: string): Promise<Result> {
    return work.catch((error: unknown) => {
      throw diskError(error, `${doing} ${digest}`)
    })
  }

  return {
    get discards() {
      return discards
    },
    get isDirty() {
      return isDirty
    },
    load,
    entry,
    write,
    read,
    markComplete,
    discard,
    sync,
    unload,
    remove,
  }
}

export function discardedMeanwhile(digest: Digest, index: number): ShoalError {
  return new ShoalError('CHUNK_CORRUPT', `${digest} was discarded while chunk ${index} was written`)
}

function requireChunk(size: number, index: number, parts: readonly Uint8Array[], entry: Entry): void {
  const isIndex = Number.isInteger(index) && index >= 0 && index < chunkCountOf(size)
  if (!isIndex || entry.index !== index) throw new RangeError(`chunk ${index} of a blob of ${size} bytes`)
  let length = 0
  for (const part of parts) length += part.length
  if (length !== chunkLengthOf(size, index)) throw new RangeError(`chunk ${index} has ${length} bytes`)
}
