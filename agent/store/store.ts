/**
 * The disk behind the `BlobStore` port: the blobs that this node keeps, how long it keeps them, and containerd's own
 * copies beside them. What a blob is on disk is in own-blob.ts; when it must go, in space.ts.
 */
import { constants as fsConstants } from 'node:fs'
import { access, chmod, mkdir, open as openFile, utimes } from 'node:fs/promises'
import { join, resolve } from 'node:path'
import { ShoalError } from '../../core/errors.ts'
import { limits } from '../../core/limits.ts'
import type { Digest } from '../../core/oci/digest.ts'
import type { BlobStore, Clock, StoredBlob, StoredBlobState } from '../../core/ports.ts'
import { countBits, hasBit } from '../../core/swarm/bitfield.ts'
import { chunkCountOf, chunkLengthOf } from '../../core/swarm/chunks.ts'
import type { Entry } from '../../core/swarm/entry.ts'
import { blobPaths } from './blob-files.ts'
import { createContainerdContent, type ContainerdContent } from './containerd-content.ts'
import { lockDirectory, type DirectoryLock } from './directory-lock.ts'
import { diskError, errnoOf, realDisk, type Disk } from './disk.ts'
import { createHasher } from './hasher.ts'
import type { StoreLogger } from './logger.ts'
import { createOwnBlob, type OwnBlob, type OwnBlobOptions } from './own-blob.ts'
import { scanBlobs, type FoundBlob } from './scan.ts'
import { createSpace, type Excess } from './space.ts'

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
  readonly blobs: number
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
  /** Makes everything durable and lets the directory go. Open blobs can not be read any more. */
  stop(): Promise<void>
  /** A pinned blob is not evicted. Pins are the caller's to remember over a restart. */
  pin(digest: Digest): void
  unpin(digest: Digest): void
  stats(): StoreStats
}

/** One of our own blobs and who uses it. */
interface Shelf {
  readonly blob: OwnBlob
  /** Open handles, and operations under way. */
  users: number
  lastUsedAt: number
  loading?: Promise<void> | undefined
}

/**
 * Rejects with `STORE_DIRECTORY_INVALID` or `STORE_LOCKED` when the directory can not be ours. When it is the disk that
 * fails, the store opens all the same and keeps nothing: a pull never fails because Shoal's disk does.
 */
export async function openStore(components: StoreComponents, options: StoreOptions): Promise<DiskStore> {
  const directory = resolve(options.directory)
  const blobsDirectory = join(directory, 'blobs', 'sha256')
  const prepared = await prepare(components.logger, directory, blobsDirectory)
  return createStore(components, { ...options, directory, blobsDirectory }, prepared)
}

interface Prepared {
  readonly lock: DirectoryLock | undefined
  readonly found: readonly FoundBlob[]
}

async function prepare(logger: StoreLogger, directory: string, blobsDirectory: string): Promise<Prepared> {
  let lock: DirectoryLock | undefined
  try {
    await makeDirectories(directory, blobsDirectory)
    lock = lockDirectory(directory)
    return { lock, found: await scanBlobs(logger, blobsDirectory) }
  } catch (error) {
    lock?.release()
    if (error instanceof ShoalError) throw error
    logger.error({ directory, error }, 'the data directory can not be used: all blobs pass through unkept')
    return { lock: undefined, found: [] }
  }
}

/** What the operator got wrong, rather than the disk. */
const misconfiguredErrnos = new Set(['EACCES', 'EEXIST', 'ELOOP', 'ENAMETOOLONG', 'ENOENT', 'ENOTDIR', 'EPERM'])

async function makeDirectories(directory: string, blobsDirectory: string): Promise<void> {
  try {
    await mkdir(blobsDirectory, { recursive: true, mode: 0o700 })
    await access(blobsDirectory, fsConstants.R_OK | fsConstants.W_OK | fsConstants.X_OK)
    await chmod(directory, 0o700)
  } catch (error) {
    if (!misconfiguredErrnos.has(errnoOf(error) ?? '')) throw error
    throw new ShoalError('STORE_DIRECTORY_INVALID', `can not use ${directory}: ${errnoOf(error)}`, { cause: error })
  }
}

interface CreateOptions extends StoreOptions {
  readonly blobsDirectory: string
}

function createStore(components: StoreComponents, options: CreateOptions, { lock, found }: Prepared): DiskStore {
  const { clock, logger, disk = realDisk } = components
  const { maxBytes, blobsDirectory } = options
  const shelves = new Map<Digest, Shelf>()
  /** Nobody uses these, but their files are still open for whoever comes next; least recent first. */
  const idle = new Set<Shelf>()
  const dirty = new Set<Shelf>()
  const pins = new Set<Digest>()
  const removals = new Map<Digest, Promise<void>>()
  const evictedListeners: ((digest: Digest) => void)[] = []
  const foundListeners: ((state: StoredBlobState) => void)[] = []
  const counts = { evictedBlobs: 0, evictedBytes: 0, droppedChunks: 0, refusedFull: 0, refusedFailed: 0 }
  let isDirectoryDirty = false
  let syncTimer: NodeJS.Timeout | undefined
  let lookTimer: NodeJS.Timeout | undefined
  let syncing: Promise<void> = Promise.resolve()
  let isStopped = false

  const space = createSpace({ clock, disk, logger, evict }, options)
  const containerd = watchContainerd()
  for (const blob of found) shelve({ ...blob, found: blob }, clock.now() - Math.max(0, Date.now() - blob.lastUsedAt))
  if (lock === undefined) space.close()

  function watchContainerd(): ContainerdContent | undefined {
    if (options.containerdContentDirectory === undefined) return undefined
    return createContainerdContent(
      {
        disk,
        hasher: createHasher(),
        logger,
        isHeldElsewhere: (digest) => shelves.get(digest)?.blob.complete === true,
        onVouched: emitFound,
        onForgotten(digest) {
          if (shelves.get(digest)?.blob.complete === true) return
          emitEvicted(digest)
          if (shelves.has(digest)) emitFound(digest)
        },
      },
      { directory: options.containerdContentDirectory },
    )
  }

  function emitEvicted(digest: Digest): void {
    for (const listener of evictedListeners) listener(digest)
  }

  function emitFound(digest: Digest): void {
    const now = state(digest)
    if (now !== undefined) for (const listener of foundListeners) listener(now)
  }

  function state(digest: Digest): StoredBlobState | undefined {
    const own = shelves.get(digest)?.blob
    if (own?.complete === true) return stateOf(own)
    return containerd?.state(digest) ?? (own === undefined ? undefined : stateOf(own))
  }

  function* list(): Iterable<StoredBlobState> {
    for (const copy of containerd?.list() ?? []) if (shelves.get(copy.digest)?.blob.complete !== true) yield copy
    for (const { blob } of shelves.values())
      if (blob.complete || containerd?.state(blob.digest) === undefined) yield stateOf(blob)
  }

  // Opening and closing

  async function open(digest: Digest, size: number): Promise<StoredBlob> {
    if (!Number.isSafeInteger(size) || size < 0) throw new RangeError(`a blob of ${size} bytes`)
    if (isStopped) throw new ShoalError('DISK_FAILED', 'the store has stopped')
    return (await openContainerd(digest, size)) ?? handle(await useShelf(digest, size))
  }

  async function openContainerd(digest: Digest, size: number): Promise<StoredBlob | undefined> {
    if (containerd === undefined || shelves.get(digest)?.blob.complete === true) return undefined
    const held = containerd.state(digest)
    if (held !== undefined && held.size !== size) throw sizeConflict(held, size)
    containerd.consider(digest)
    return containerd.open(digest)
  }

  /** The shelf of `digest`, new where there is none, loaded and with one more user. */
  async function useShelf(digest: Digest, size: number): Promise<Shelf> {
    const shelf = shelves.get(digest)
    if (shelf === undefined) return useNewShelf(digest, size)
    if (shelf.blob.size !== size) return replaceShelf(shelf, size)
    shelf.users++
    idle.delete(shelf)
    try {
      shelf.loading ??= shelf.blob.load().finally(() => {
        shelf.loading = undefined
      })
      await shelf.loading
      return shelf
    } catch (error) {
      shelf.users--
      return useInsteadOf(shelf, error)
    }
  }

  function useNewShelf(digest: Digest, size: number): Shelf {
    const shelf = shelve({ digest, size, after: removals.get(digest) })
    shelf.users++
    return shelf
  }

  /** An unproven copy of another size may come from a lying manifest: it must not keep the right one out. */
  async function replaceShelf(shelf: Shelf, size: number): Promise<Shelf> {
    const { blob } = shelf
    if (shelf.users > 0 || blob.complete) throw sizeConflict(blob, size)
    await removeShelf(shelf)
    return useShelf(blob.digest, size)
  }

  /** The files are not what they were at the scan. Their absence or damage is final; for want of descriptors it is not. */
  async function useInsteadOf(shelf: Shelf, error: unknown): Promise<Shelf> {
    const { digest, size } = shelf.blob
    const isGone = error instanceof ShoalError || errnoOf(error) === 'ENOENT'
    if (!isGone) throw diskError(error, `open ${digest}`)
    if (shelves.get(digest) === shelf) {
      logger.warn({ digest, error }, 'dropped a blob: its files were changed by somebody else')
      await removeShelf(shelf)
    }
    return useShelf(digest, size)
  }

  function shelve(
    blob: Pick<OwnBlobOptions, 'digest' | 'size' | 'found'> & { after?: Promise<void> | undefined },
    lastUsedAt = clock.now(),
  ): Shelf {
    const { digest, size, found: foundBlob, after } = blob
    const own = createOwnBlob(
      { disk, logger, onDropped, onUsed: (bytes) => space.add(bytes), onCreated: () => (isDirectoryDirty = true) },
      {
        digest,
        size,
        paths: blobPaths(blobsDirectory, digest),
        ...(foundBlob === undefined ? {} : { found: foundBlob }),
        ...(after === undefined ? {} : { after }),
      },
    )
    space.add(own.usedBytes)
    const shelf: Shelf = { blob: own, users: 0, lastUsedAt }
    shelves.set(digest, shelf)
    return shelf

    function onDropped(): void {
      counts.droppedChunks++
      containerd?.consider(digest)
    }
  }

  function release(shelf: Shelf): void {
    shelf.users--
    if (shelf.users > 0 || shelves.get(shelf.blob.digest) !== shelf) return
    shelf.lastUsedAt = clock.now()
    if (isEmpty(shelf.blob)) {
      void forgetShelf(shelf)
      return
    }
    // The log's time is how the next process knows which blobs were wanted last.
    const now = new Date()
    utimes(blobPaths(blobsDirectory, shelf.blob.digest).log, now, now).catch(() => {})
    idle.add(shelf)
    void trimIdle()
  }

  async function trimIdle(): Promise<void> {
    while (idle.size > limits.storeIdleBlobsMax) {
      const [shelf] = idle
      if (shelf === undefined) return
      idle.delete(shelf)
      await syncShelf(shelf)
      if (shelf.users === 0) await shelf.blob.unload()
    }
  }

  /** Runs `work` as a user of the blob, so that nothing takes its files away meanwhile. */
  async function using<Result>(shelf: Shelf, work: () => Promise<Result>): Promise<Result> {
    shelf.users++
    try {
      return await work()
    } finally {
      release(shelf)
    }
  }

  function handle(shelf: Shelf): StoredBlob {
    const { blob } = shelf
    let isOpen = true

    function whileOpen<Result>(work: () => Promise<Result>): Promise<Result> {
      if (!isOpen) return Promise.reject(new TypeError(`${blob.digest} was closed`))
      if (isStopped) return Promise.reject(new ShoalError('DISK_FAILED', 'the store has stopped'))
      return using(shelf, work)
    }

    return {
      digest: blob.digest,
      size: blob.size,
      source: 'shoal',
      have: blob.have,
      get complete() {
        return blob.complete
      },
      entry: (index) => blob.entry(index),
      hash: (index) => blob.entry(index)?.hash,
      write: (index, parts, entry) => whileOpen(() => write(shelf, index, parts, entry)),
      read: (offset, length, into) => whileOpen(() => blob.read(offset, length, into)),
      markComplete: () => whileOpen(() => noteDirty(shelf, blob.markComplete())),
      discard: () => whileOpen(() => blob.discard()),
      async close() {
        if (!isOpen) return
        isOpen = false
        release(shelf)
      },
    }
  }

  // Writing

  async function write(shelf: Shelf, index: number, parts: readonly Uint8Array[], entry: Entry): Promise<void> {
    const { blob } = shelf
    if (hasBit(blob.have, index)) return
    try {
      await writeInRoom(shelf, index, parts, entry)
    } catch (error) {
      if (error instanceof ShoalError && error.code === 'DISK_FULL') counts.refusedFull++
      if (error instanceof ShoalError && error.code === 'DISK_FAILED') counts.refusedFailed++
      space.failed(error)
      throw error
    }
  }

  async function writeInRoom(shelf: Shelf, index: number, parts: readonly Uint8Array[], entry: Entry): Promise<void> {
    const { blob } = shelf
    // It could never be whole here, and would push everything else out.
    if (blob.size > maxBytes) throw new ShoalError('DISK_FULL', `${blob.digest} is larger than the store may be`)
    const length = chunkLengthOf(blob.size, index)
    const free = await space.reserve(length)
    try {
      await noteDirty(shelf, blob.write(index, parts, entry))
    } catch (error) {
      if (!(error instanceof ShoalError) || error.code !== 'DISK_FULL') throw error
      await space.refused(length)
      await noteDirty(shelf, blob.write(index, parts, entry))
    } finally {
      free()
    }
  }

  /** Whether or not `work` succeeds, it may have left something to sync. */
  async function noteDirty(shelf: Shelf, work: Promise<void>): Promise<void> {
    try {
      await work
    } finally {
      if (shelf.blob.isDirty) dirty.add(shelf)
      if (!isStopped) syncTimer ??= setTimeout(() => void syncDirty(), limits.storeSyncMs).unref()
    }
  }

  function syncDirty(): Promise<void> {
    syncTimer = undefined
    syncing = syncAfter(syncing)
    return syncing
  }

  async function syncAfter(previous: Promise<void>): Promise<void> {
    await previous
    // A copy: what becomes dirty meanwhile has a timer of its own.
    const shelvesNow = [...dirty]
    for (const shelf of shelvesNow) await syncShelf(shelf)
    if (isDirectoryDirty) await syncDirectory()
  }

  async function syncShelf(shelf: Shelf): Promise<void> {
    dirty.delete(shelf)
    await shelf.blob.sync().catch((error: unknown) => {
      logger.error(
        { digest: shelf.blob.digest, errno: errnoOf(error) },
        'could not sync a blob: its newest chunks are dropped',
      )
      space.failed(error)
    })
  }

  async function syncDirectory(): Promise<void> {
    isDirectoryDirty = false
    try {
      await using file = await openFile(blobsDirectory)
      await file.sync()
    } catch (error) {
      logger.error({ errno: errnoOf(error) }, 'could not sync the data directory')
      space.failed(error)
    }
  }

  // Removing

  /** Blobs that containerd holds too go first, then those used longest ago. */
  async function evict(excess: Excess): Promise<void> {
    const candidates = [...shelves.values()].filter(isEvictable)
    candidates.sort((a, b) => timesElsewhere(b) - timesElsewhere(a) || a.lastUsedAt - b.lastUsedAt)
    let { bytes, blobs } = excess
    for (const shelf of candidates) {
      if (bytes <= 0 && blobs <= 0) return
      const { usedBytes } = shelf.blob
      if (!(await evictShelf(shelf))) continue
      bytes -= usedBytes
      blobs--
    }
  }

  function timesElsewhere({ blob }: Shelf): number {
    return containerd?.holds(blob.digest) === true ? 1 : 0
  }

  function isEvictable(shelf: Shelf): boolean {
    const { digest } = shelf.blob
    return shelf.users === 0 && !pins.has(digest) && shelves.get(digest) === shelf
  }

  async function evictShelf(shelf: Shelf): Promise<boolean> {
    await handOver(shelf)
    if (!isEvictable(shelf)) return false
    counts.evictedBlobs++
    counts.evictedBytes += shelf.blob.usedBytes
    await removeShelf(shelf)
    return true
  }

  /** containerd's copy of a proven blob takes over with the hashes that we know, so that the blob never leaves the store. */
  async function handOver(shelf: Shelf): Promise<void> {
    const { blob } = shelf
    if (!blob.complete || containerd?.holds(blob.digest) !== true) return
    const hashes = await using(shelf, async () => {
      await blob.load().catch(() => {})
      return hashesOf(blob)
    })
    if (hashes !== undefined && blob.complete) containerd.adopt(blob.digest, blob.size, hashes)
  }

  async function removeShelf(shelf: Shelf): Promise<void> {
    const { digest } = shelf.blob
    const removing = forgetShelf(shelf)
    if (state(digest) === undefined) emitEvicted(digest)
    containerd?.consider(digest)
    await removing
  }

  async function forgetShelf(shelf: Shelf): Promise<void> {
    const { digest } = shelf.blob
    shelves.delete(digest)
    idle.delete(shelf)
    dirty.delete(shelf)
    const removal = shelf.blob.remove().catch((error: unknown) => {
      logger.error({ digest, errno: errnoOf(error) }, 'could not delete a blob')
      space.failed(error)
    })
    removals.set(digest, removal)
    await removal
    if (removals.get(digest) === removal) removals.delete(digest)
  }

  return {
    state,
    list,
    open,
    async remove(digest) {
      const shelf = shelves.get(digest)
      if (shelf === undefined || shelf.users > 0) return false
      await removeShelf(shelf)
      return true
    },
    onEvicted: (listener) => void evictedListeners.push(listener),
    onFound: (listener) => void foundListeners.push(listener),
    async start() {
      lookTimer = setInterval(() => void space.look(), limits.storeSpaceLookMs).unref()
      await space.look()
      await containerd?.start()
    },
    async stop() {
      isStopped = true
      clearInterval(lookTimer)
      clearTimeout(syncTimer)
      await containerd?.stop()
      await syncDirty()
      await Promise.all(removals.values())
      await Promise.all([...shelves.values()].map(({ blob }) => blob.unload()))
      lock?.release()
    },
    pin: (digest) => void pins.add(digest),
    unpin: (digest) => void pins.delete(digest),
    stats: () => ({
      mode: lock === undefined ? 'pass-through' : 'disk',
      blobs: shelves.size,
      usedBytes: space.usedBytes,
      maxBytes,
      filesystemUsed:
        space.filesystem === undefined ? undefined : 1 - space.filesystem.availableBytes / space.filesystem.sizeBytes,
      ...counts,
      containerdBlobs: [...(containerd?.list() ?? [])].length,
      containerdWaiting: containerd?.waiting ?? 0,
    }),
  }
}

function stateOf({ digest, size, complete, have }: OwnBlob): StoredBlobState {
  return { digest, size, complete, have }
}

function isEmpty(blob: OwnBlob): boolean {
  return !blob.complete && countBits(blob.have) === 0
}

/** 32 bytes per chunk; undefined when one is not known. */
function hashesOf(blob: OwnBlob): Uint8Array | undefined {
  const hashes: Buffer[] = []
  for (let index = 0; index < chunkCountOf(blob.size); index++) {
    const hash = blob.entry(index)?.hash
    if (hash === undefined) return undefined
    hashes.push(Buffer.from(hash, 'hex'))
  }
  return Buffer.concat(hashes)
}

function sizeConflict(held: StoredBlobState, size: number): ShoalError {
  return new ShoalError('SIZE_CONFLICT', `${held.digest} has ${held.size} bytes here, not ${size}`)
}
