/** Writes chunks into blobs while there is room and the disk obliges; counts those that pass through unkept instead. */
import { ShoalError } from '../../core/errors.ts'
import { hasBit } from '../../core/swarm/bitfield.ts'
import { chunkLengthOf } from '../../core/swarm/chunks.ts'
import type { Entry } from '../../core/swarm/entry.ts'
import { discardedMeanwhile } from './own-blob.ts'
import type { UsedShelf } from './shelves.ts'
import type { Space } from './space.ts'
import type { Syncer } from './syncer.ts'

export interface Writer {
  readonly refusedFull: number
  readonly refusedFailed: number
  /** See `StoredBlob.write`. */
  write(used: UsedShelf, index: number, parts: readonly Uint8Array[], entry: Entry): Promise<void>
}

export function createWriter(
  { space, syncer }: { readonly space: Space; readonly syncer: Syncer },
  { maxBytes }: { readonly maxBytes: number },
): Writer {
  let refusedFull = 0
  let refusedFailed = 0

  async function writeInRoom(
    used: UsedShelf,
    index: number,
    parts: readonly Uint8Array[],
    entry: Entry,
  ): Promise<void> {
    const { digest, size } = used.shelf
    // It could never be whole here, and would push everything else out.
    if (size > maxBytes) throw new ShoalError('DISK_FULL', `${digest} is larger than the store may be`)
    const { discards } = used.blob
    const length = chunkLengthOf(size, index)
    const free = await space.reserve(length)
    const { roomsMade } = space
    try {
      if (used.blob.discards !== discards) throw discardedMeanwhile(digest, index)
      await used.blob.write(index, parts, entry)
    } catch (error) {
      if (!isFull(error)) throw error
      await space.refused(length, roomsMade)
      if (used.blob.discards !== discards) throw discardedMeanwhile(digest, index)
      await used.blob.write(index, parts, entry)
    } finally {
      free()
      syncer.note(used.blob)
    }
  }

  function count(error: unknown): void {
    if (isFull(error)) refusedFull++
    if (error instanceof ShoalError && error.code === 'DISK_FAILED') refusedFailed++
  }

  return {
    get refusedFull() {
      return refusedFull
    },
    get refusedFailed() {
      return refusedFailed
    },
    async write(used, index, parts, entry) {
      if (hasBit(used.shelf.have, index)) return
      try {
        await writeInRoom(used, index, parts, entry)
      } catch (error) {
        count(error)
        space.failed(error)
        throw error
      }
    },
  }
}

function isFull(error: unknown): boolean {
  return error instanceof ShoalError && error.code === 'DISK_FULL'
}
