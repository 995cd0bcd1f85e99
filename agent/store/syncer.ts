/** Makes what was written durable, every `limits.storeSyncMs` while anything is: a power loss takes no more. */
import { open } from 'node:fs/promises'
import { limits } from '../../core/limits.ts'
import { errnoOf } from './disk.ts'
import type { StoreLogger } from './logger.ts'
import type { OwnBlob } from './own-blob.ts'

export interface SyncerComponents {
  readonly logger: StoreLogger
  readonly onFailed: (error: unknown) => void
}

export interface Syncer {
  /** The blob may have something to sync. */
  note(blob: OwnBlob): void
  /** Files were created in the directory. */
  noteCreated(): void
  /** Syncs this blob now. Never rejects: what could not be made durable was dropped and logged. */
  sync(blob: OwnBlob): Promise<void>
  /** Syncs all that is noted, a last time. */
  stop(): Promise<void>
}

export function createSyncer(
  { logger, onFailed }: SyncerComponents,
  { directory }: { readonly directory: string },
): Syncer {
  const dirty = new Set<OwnBlob>()
  let isDirectoryDirty = false
  let timer: NodeJS.Timeout | undefined
  let syncing: Promise<void> = Promise.resolve()
  let isStopped = false

  async function sync(blob: OwnBlob): Promise<void> {
    dirty.delete(blob)
    try {
      await blob.sync()
    } catch (error) {
      logger.error({ err: error }, 'a blob could not be synced: its newest chunks are dropped')
      onFailed(error)
    }
  }

  async function syncDirectory(): Promise<void> {
    isDirectoryDirty = false
    try {
      await using file = await open(directory)
      await file.sync()
    } catch (error) {
      logger.error({ errno: errnoOf(error) }, 'the data directory could not be synced')
      onFailed(error)
    }
  }

  function syncAll(): Promise<void> {
    timer = undefined
    syncing = syncAllAfter(syncing)
    return syncing
  }

  async function syncAllAfter(previous: Promise<void>): Promise<void> {
    await previous
    // A copy: what becomes dirty meanwhile has a timer of its own.
    const blobs = [...dirty]
    for (const blob of blobs) await sync(blob)
    if (isDirectoryDirty) await syncDirectory()
  }

  return {
    note(blob) {
      if (!blob.isDirty) return
      dirty.add(blob)
      if (!isStopped) timer ??= setTimeout(() => void syncAll(), limits.storeSyncMs).unref()
    },
    noteCreated() {
      isDirectoryDirty = true
    },
    sync,
    async stop() {
      isStopped = true
      clearTimeout(timer)
      await syncAll()
    },
  }
}
