/** The store's own blobs by digest: who uses them, whose files stay open, and how they come and go. */
import { utimes } from 'node:fs/promises'
import { ShoalError } from '../../core/errors.ts'
import { limits } from '../../core/limits.ts'
import type { Digest } from '../../core/oci/digest.ts'
import type { Clock, StoredBlobState } from '../../core/ports.ts'
import { bitfieldOf, countBits } from '../../core/swarm/bitfield.ts'
import { chunkCountOf } from '../../core/swarm/chunks.ts'
import { blobPaths } from './blob-files.ts'
import { diskError, errnoOf } from './disk.ts'
import type { StoreLogger } from './logger.ts'
import { createOwnBlob, type BlobRecord, type OwnBlob, type OwnBlobComponents } from './own-blob.ts'
import type { FoundBlob } from './scan.ts'
import type { Syncer } from './syncer.ts'

/** One blob and who uses it. */
export interface Shelf extends BlobRecord {
  /** Open handles, and operations under way. While there are any, nothing takes the blob away. */
  users: number
  /** By the clock; the least recent is evicted first. */
  lastUsedAt: number
  /** The blob with its files open; undefined while nobody has used it for a while. */
  blob: OwnBlob | undefined
  loading: Promise<void> | undefined
}

export interface UsedShelf {
  readonly shelf: Shelf
  readonly blob: OwnBlob
}

export interface ShelvesComponents extends OwnBlobComponents {
  readonly clock: Clock
  readonly logger: StoreLogger
  readonly syncer: Syncer
  /** Hears of a blob that is no longer here. */
  readonly onRemoved: (digest: Digest) => void
  readonly onFailed: (error: unknown) => void
}

export interface Shelves {
  readonly size: number
  get(digest: Digest): Shelf | undefined
  values(): Iterable<Shelf>
  /** Takes in what the start-up scan found. */
  add(found: FoundBlob): void
  /** The blob, new where there is none, loaded and with one more user, who calls `release`. See `BlobStore.open` for what it rejects with. */
  use(digest: Digest, size: number): Promise<UsedShelf>
  release(shelf: Shelf): void
  /** Deletes a blob that nobody uses. */
  remove(shelf: Shelf): Promise<void>
  /** Waits for removals and closes all files. */
  stop(): Promise<void>
}

export function createShelves(components: ShelvesComponents, { directory }: { readonly directory: string }): Shelves {
  const { clock, logger, syncer } = components
  const shelves = new Map<Digest, Shelf>()
  /** Nobody uses these, but their files are still open for whoever comes next; least recent first. */
  const idle = new Set<Shelf>()
  const removals = new Map<Digest, Promise<void>>()

  function place(record: Pick<BlobRecord, 'digest' | 'size'> & Partial<BlobRecord>, lastUsedAt: number): Shelf {
    const shelf: Shelf = {
      have: bitfieldOf(chunkCountOf(record.size)),
      verified: undefined,
      complete: false,
      usedBytes: 0,
      isOnDisk: false,
      ...record,
      users: 0,
      lastUsedAt,
      blob: undefined,
      loading: undefined,
    }
    shelves.set(shelf.digest, shelf)
    return shelf
  }

  async function use(digest: Digest, size: number): Promise<UsedShelf> {
    const shelf = shelves.get(digest) ?? place({ digest, size }, clock.now())
    if (shelf.size !== size) return replace(shelf, size)
    shelf.users++
    idle.delete(shelf)
    try {
      return { shelf, blob: await load(shelf) }
    } catch (error) {
      shelf.users--
      return useInsteadOf(shelf, error)
    }
  }

  async function load(shelf: Shelf): Promise<OwnBlob> {
    const paths = blobPaths(directory, shelf.digest)
    const blob = (shelf.blob ??= createOwnBlob(components, shelf, { paths, after: removals.get(shelf.digest) }))
    shelf.loading ??= blob.load().finally(() => {
      shelf.loading = undefined
    })
    await shelf.loading
    return blob
  }

  /** An unproven copy of another size may come from a lying manifest: it must not keep the right one out. */
  async function replace(shelf: Shelf, size: number): Promise<UsedShelf> {
    if (shelf.users > 0 || shelf.complete) throw sizeConflict(shelf, size)
    await remove(shelf)
    return use(shelf.digest, size)
  }

  /** The files are not what they were at the scan. Their absence or damage is final; want of descriptors is not. */
  async function useInsteadOf(shelf: Shelf, error: unknown): Promise<UsedShelf> {
    const { digest, size } = shelf
    const isGone = error instanceof ShoalError || errnoOf(error) === 'ENOENT'
    if (!isGone) throw diskError(error, `open ${digest}`)
    // Whoever else uses it waits for the same load, and comes here too.
    if (shelves.get(digest) === shelf) {
      logger.warn({ digest, err: error }, 'dropped a blob: its files were changed by somebody else')
      await remove(shelf)
    }
    return use(digest, size)
  }

  function release(shelf: Shelf): void {
    shelf.users--
    if (shelf.users > 0 || shelves.get(shelf.digest) !== shelf) return
    shelf.lastUsedAt = clock.now()
    if (isEmpty(shelf)) void forget(shelf)
    else void rest(shelf)
  }

  async function rest(shelf: Shelf): Promise<void> {
    idle.add(shelf)
    // The log's time is how the next process knows which blobs were wanted last.
    const now = new Date()
    await utimes(blobPaths(directory, shelf.digest).log, now, now).catch(() => {})
    for (const oldest of idle) {
      if (idle.size <= limits.storeIdleBlobsMax) return
      idle.delete(oldest)
      await unload(oldest)
    }
  }

  async function unload(shelf: Shelf): Promise<void> {
    const { blob } = shelf
    if (blob === undefined) return
    await syncer.sync(blob)
    if (shelf.users > 0 || shelf.blob !== blob) return
    shelf.blob = undefined
    await blob.unload().catch(components.onFailed)
  }

  async function remove(shelf: Shelf): Promise<void> {
    const removal = forget(shelf)
    components.onRemoved(shelf.digest)
    await removal
  }

  function forget(shelf: Shelf): Promise<void> {
    const { digest } = shelf
    shelves.delete(digest)
    idle.delete(shelf)
    const removal = deleteFiles(shelf, removals.get(digest)).finally(() => {
      if (removals.get(digest) === removal) removals.delete(digest)
    })
    removals.set(digest, removal)
    return removal
  }

  async function deleteFiles(shelf: Shelf, earlier: Promise<void> | undefined): Promise<void> {
    const paths = blobPaths(directory, shelf.digest)
    const blob = shelf.blob ?? createOwnBlob(components, shelf, { paths, after: undefined })
    try {
      await blob.remove()
    } catch (error) {
      logger.error({ digest: shelf.digest, errno: errnoOf(error) }, 'a blob could not be deleted')
      components.onFailed(error)
    }
    // Of a blob that was never written there is nothing to delete, but the files of the one before it may still be there.
    await earlier
  }

  return {
    get size() {
      return shelves.size
    },
    get: (digest) => shelves.get(digest),
    values: () => shelves.values(),
    add({ lastUsedAt, ...found }) {
      components.onUsed(found.usedBytes)
      place({ ...found, isOnDisk: true }, clock.now() - Math.max(0, Date.now() - lastUsedAt))
    },
    use,
    release,
    remove,
    async stop() {
      await Promise.all(removals.values())
      await Promise.all([...shelves.values()].map(async ({ blob }) => blob?.unload()))
    },
  }
}

export function sizeConflict(held: Pick<StoredBlobState, 'digest' | 'size'>, size: number): ShoalError {
  return new ShoalError('SIZE_CONFLICT', `${held.digest} has ${held.size} bytes here, not ${size}`)
}

function isEmpty(shelf: Shelf): boolean {
  return !shelf.complete && countBits(shelf.have) === 0
}
