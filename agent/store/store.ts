/**
 * The disk behind the `BlobStore` port: the blobs that this node keeps, how long it keeps them, and containerd's own
 * copies beside them. What a blob is on disk is in own-blob.ts; when it must go, in space.ts.
 */
import { constants as fsConstants } from 'node:fs'
import { access, mkdir } from 'node:fs/promises'
import { join, resolve } from 'node:path'
import { ShoalError } from '../../core/errors.ts'
import { limits } from '../../core/limits.ts'
import type { Digest } from '../../core/oci/digest.ts'
import type { BlobStore, Clock, StoredBlob, StoredBlobState } from '../../core/ports.ts'
import { createContainerdContent, type ContainerdContent } from './containerd-content.ts'
import { lockDirectory, type DirectoryLock } from './directory-lock.ts'
import { errnoOf, realDisk, type Disk } from './disk.ts'
import { createEviction } from './eviction.ts'
import type { StoreLogger } from './logger.ts'
import { scanBlobs, type FoundBlob, type ScanComponents } from './scan.ts'
import { createShelves, sizeConflict, type UsedShelf } from './shelves.ts'
import { createSpace } from './space.ts'
import { createSyncer } from './syncer.ts'
import { createWriter } from './writer.ts'

export interface StoreComponents {
  readonly clock: Clock
  readonly logger: StoreLogger
  /** The disk calls; another one than the real disk only where a test needs a disk that fails. */
  readonly disk?: Disk
}

export interface StoreOptions {
  /** Made with mode 0700 where it is not. Never shared by two agents. */
  readonly directory: string
  /** The most that the store takes on disk. At 0 everything passes through unkept. */
  readonly maxBytes: number
  /** The share of the filesystem in use, whoever uses it, at which the store begins to shrink; below 0.85, where kubelet collects images. */
  readonly highWatermark: number
  /** The share at which it stops shrinking. */
  readonly lowWatermark: number
  /** containerd's `…/io.containerd.content.v1.content`; without it containerd's copies are not used. */
  readonly containerdContentDirectory?: string
}

export interface StoreStats {
  /** `pass-through`: the disk failed when the store opened, and nothing is kept until the agent restarts. */
  readonly mode: 'disk' | 'pass-through'
  readonly completeBlobs: number
  readonly partialBlobs: number
  readonly usedBytes: number
  readonly maxBytes: number
  /** The share of the filesystem in use, whoever uses it; undefined where it does not say. */
  readonly filesystemUsed: number | undefined
  readonly evictedBlobs: number
  readonly evictedBytes: number
  readonly droppedChunks: number
  /** Chunks that passed through unkept, for want of room or because the disk failed. */
  readonly refusedFull: number
  readonly refusedFailed: number
  readonly containerdBlobs: number
  readonly containerdWaiting: number
}

export interface DiskStore extends BlobStore {
  /** Begins to watch the filesystem's fullness and containerd's directory; listeners should be there by then. */
  start(): Promise<void>
  /** Waits for what is under way, makes everything durable and lets the directory go. Open blobs can not be read any more. */
  stop(): Promise<void>
  /** Could so much more be kept, and no blob need go for it? */
  hasRoomFor(bytes: number): boolean
  /** A pinned blob is not evicted. Pins are the caller's to remember over a restart. */
  pin(digest: Digest): void
  unpin(digest: Digest): void
  stats(): StoreStats
}

/**
 * Rejects with `STORE_DIRECTORY_INVALID` or `STORE_LOCKED` when the directory can not be ours. When it is the disk that
 * fails, the store opens all the same and keeps nothing: a pull never fails because Shoal's disk does.
 */
export async function openStore(components: StoreComponents, options: StoreOptions): Promise<DiskStore> {
  const directory = resolve(options.directory)
  const blobsDirectory = join(directory, 'blobs', 'sha256')
  const complete = { disk: realDisk, ...components }
  const prepared = await prepare(complete, directory, blobsDirectory)
  return createStore(complete, { ...options, directory, blobsDirectory }, prepared)
}

interface Prepared {
  readonly lock: DirectoryLock | undefined
  readonly found: readonly FoundBlob[]
}

async function prepare(components: ScanComponents, directory: string, blobsDirectory: string): Promise<Prepared> {
  const { logger } = components
  let lock: DirectoryLock | undefined
  try {
    await makeDirectories(directory, blobsDirectory)
    lock = lockDirectory(directory)
    return { lock, found: await scanBlobs(components, blobsDirectory) }
  } catch (error) {
    lock?.release()
    if (error instanceof ShoalError) throw error
    logger.error({ directory, err: error }, 'the data directory can not be used: all blobs pass through unkept')
    return { lock: undefined, found: [] }
  }
}

/** What the operator got wrong, rather than the disk. */
const misconfiguredErrnos = new Set(['EACCES', 'EEXIST', 'ELOOP', 'ENAMETOOLONG', 'ENOENT', 'ENOTDIR', 'EPERM'])

async function makeDirectories(directory: string, blobsDirectory: string): Promise<void> {
  try {
    await mkdir(blobsDirectory, { recursive: true, mode: 0o700 })
    await access(blobsDirectory, fsConstants.R_OK | fsConstants.W_OK | fsConstants.X_OK)
  } catch (error) {
    if (!misconfiguredErrnos.has(errnoOf(error) ?? '')) throw error
    throw new ShoalError('STORE_DIRECTORY_INVALID', `can not use ${directory}: ${errnoOf(error)}`, { cause: error })
  }
}

interface CreateOptions extends StoreOptions {
  readonly blobsDirectory: string
}

function createStore(
  { clock, logger, disk }: Required<StoreComponents>,
  options: CreateOptions,
  { lock, found }: Prepared,
): DiskStore {
  const { maxBytes, blobsDirectory: directory } = options
  const evicted: ((digest: Digest) => void)[] = []
  const arrived: ((state: StoredBlobState) => void)[] = []
  let lookTimer: NodeJS.Timeout | undefined
  let isStopped = false
  /** What is being done with blobs: until it ends, files may be opened and written. */
  const underWay = new Set<Promise<unknown>>()

  const space = createSpace({ clock, disk, logger, evict: (excess) => eviction.evict(excess) }, options)
  const onFailed = (error: unknown): void => space.failed(error)
  const syncer = createSyncer({ logger, onFailed }, { directory })
  const shelves = createShelves(
    {
      clock,
      disk,
      logger,
      syncer,
      onFailed,
      onCreated: () => syncer.noteCreated(),
      onUsed: (deltaBytes) => space.add(deltaBytes),
      onDropped: noteDropped,
      onRemoved: noteLost,
    },
    { directory },
  )
  const containerd = createContainerd()
  const eviction = createEviction({ shelves, containerd })
  const writer = createWriter({ space, syncer }, { maxBytes })
  let droppedChunks = 0
  for (const blob of found) shelves.add(blob)
  if (lock === undefined) space.close()

  function createContainerd(): ContainerdContent | undefined {
    if (options.containerdContentDirectory === undefined) return undefined
    return createContainerdContent(
      { disk, logger, isHeldElsewhere: isProven, onVouched: noteArrived, onForgotten: noteLost },
      {
        directory: options.containerdContentDirectory,
        hashesDirectory: join(options.directory, 'containerd-hashes'),
      },
    )
  }

  function isProven(digest: Digest): boolean {
    return shelves.get(digest)?.complete === true
  }

  function noteDropped(digest: Digest): void {
    droppedChunks++
    containerd?.consider(digest)
  }

  function noteArrived(digest: Digest): void {
    const now = state(digest)
    if (now !== undefined) for (const listener of arrived) listener(now)
  }

  /** One of two copies is gone. What is left, if anything, may be less than there was. */
  function noteLost(digest: Digest): void {
    const left = state(digest)
    if (left?.complete === true) return
    for (const listener of evicted) listener(digest)
    if (left !== undefined) noteArrived(digest)
    containerd?.consider(digest)
  }

  function state(digest: Digest): StoredBlobState | undefined {
    const shelf = shelves.get(digest)
    const copy = shelf?.complete === true ? shelf : (containerd?.state(digest) ?? shelf)
    return copy === undefined ? undefined : stateOf(copy)
  }

  function* list(): Iterable<StoredBlobState> {
    for (const copy of containerd?.list() ?? []) if (!isProven(copy.digest)) yield stateOf(copy)
    for (const shelf of shelves.values())
      if (shelf.complete || containerd?.state(shelf.digest) === undefined) yield stateOf(shelf)
  }

  async function open(digest: Digest, size: number): Promise<StoredBlob> {
    if (!Number.isSafeInteger(size) || size < 0) throw new RangeError(`a blob of ${size} bytes`)
    return whileRunning(async () => (await openContainerd(digest, size)) ?? handleOf(await shelves.use(digest, size)))
  }

  /** Begins nothing once the store has been told to stop, and has it wait for what had begun. */
  async function whileRunning<Result>(work: () => Promise<Result>): Promise<Result> {
    if (isStopped) throw stopped()
    const working = work()
    underWay.add(working)
    try {
      return await working
    } finally {
      underWay.delete(working)
    }
  }

  async function openContainerd(digest: Digest, size: number): Promise<StoredBlob | undefined> {
    if (containerd === undefined || isProven(digest)) return undefined
    const held = containerd.state(digest)
    if (held !== undefined && held.size !== size) throw sizeConflict(held, size)
    containerd.consider(digest)
    return containerd.open(digest)
  }

  function handleOf(used: UsedShelf): StoredBlob {
    const { shelf, blob } = used
    let isOpen = true

    /** A user of its own, so that closing the handle meanwhile takes nothing away from `work`. */
    async function whileOpen<Result>(work: () => Promise<Result>): Promise<Result> {
      if (!isOpen) throw new TypeError(`${shelf.digest} was closed`)
      return whileRunning(async () => {
        shelf.users++
        try {
          return await work()
        } finally {
          shelves.release(shelf)
        }
      })
    }

    return {
      digest: shelf.digest,
      size: shelf.size,
      source: 'shoal',
      have: shelf.have,
      get complete() {
        return shelf.complete
      },
      entry: (index) => blob.entry(index),
      hash: (index) => blob.entry(index)?.hash,
      write: (index, parts, entry) => whileOpen(() => writer.write(used, index, parts, entry)),
      read: (offset, length, into) => whileOpen(() => blob.read(offset, length, into)),
      markComplete: () => whileOpen(() => blob.markComplete().finally(() => syncer.note(blob))),
      discard: (indices) => whileOpen(() => blob.discard(indices)),
      async close() {
        if (!isOpen) return
        isOpen = false
        shelves.release(shelf)
      },
    }
  }

  function stats(): StoreStats {
    const { filesystem } = space
    const completeBlobs = [...shelves.values()].filter((shelf) => shelf.complete).length
    return {
      mode: lock === undefined ? 'pass-through' : 'disk',
      completeBlobs,
      partialBlobs: shelves.size - completeBlobs,
      usedBytes: space.usedBytes,
      maxBytes,
      filesystemUsed: filesystem === undefined ? undefined : 1 - filesystem.availableBytes / filesystem.sizeBytes,
      evictedBlobs: eviction.evictedBlobs,
      evictedBytes: eviction.evictedBytes,
      droppedChunks,
      refusedFull: writer.refusedFull,
      refusedFailed: writer.refusedFailed,
      containerdBlobs: [...(containerd?.list() ?? [])].length,
      containerdWaiting: containerd?.waiting ?? 0,
    }
  }

  return {
    state,
    list,
    open,
    async remove(digest) {
      const shelf = shelves.get(digest)
      if (shelf === undefined || shelf.users > 0) return false
      await shelves.remove(shelf)
      return true
    },
    onEvicted: (listener) => void evicted.push(listener),
    onFound: (listener) => void arrived.push(listener),
    async start() {
      lookTimer = setInterval(() => void whileRunning(() => space.look()), limits.storeSpaceLookMs).unref()
      await whileRunning(() => space.look())
      await containerd?.start()
    },
    async stop() {
      if (isStopped) return
      isStopped = true
      space.close()
      clearInterval(lookTimer)
      await containerd?.stop()
      await Promise.allSettled(underWay)
      await syncer.stop()
      await shelves.stop()
      lock?.release()
    },
    hasRoomFor: (bytes) => space.hasRoomFor(bytes),
    pin: (digest) => void eviction.pins.add(digest),
    unpin: (digest) => void eviction.pins.delete(digest),
    stats,
  }
}

function stateOf({ digest, size, complete, have }: StoredBlobState): StoredBlobState {
  return { digest, size, complete, have }
}

function stopped(): ShoalError {
  return new ShoalError('DISK_FAILED', 'the store has stopped')
}
