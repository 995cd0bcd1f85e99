import type { Entry } from '../../core/swarm/entry.ts'
import type { BufferPool } from './buffer-pool.ts'

/** Chunks of one blob that the disk refused: here for the readers of now, and gone once these and the proof have them behind them. */
export interface UnkeptChunks {
  readonly size: number
  has(index: number): boolean
  /** Under whose word the chunk is here. */
  entry(index: number): Entry | undefined
  indices(): Iterable<number>
  /** The bytes, which are the pool's, are this collection's from here on. */
  put(index: number, bytes: Uint8Array, entry: Entry): void
  /** Copies `[offset, offset + length)` of the chunk to the start of `into`; false when it is not here. */
  copy(index: number, offset: number, length: number, into: Uint8Array): boolean
  /** Gives its memory back to the pool. */
  drop(index: number): void
  clear(): void
}

export function createUnkeptChunks(pool: BufferPool): UnkeptChunks {
  const chunks = new Map<number, { readonly bytes: Uint8Array; readonly entry: Entry }>()

  function put(index: number, bytes: Uint8Array, entry: Entry): void {
    drop(index)
    chunks.set(index, { bytes, entry })
  }

  function copy(index: number, offset: number, length: number, into: Uint8Array): boolean {
    const bytes = chunks.get(index)?.bytes
    if (bytes === undefined) return false
    into.set(bytes.subarray(offset, offset + length))
    return true
  }

  function drop(index: number): void {
    const bytes = chunks.get(index)?.bytes
    if (bytes === undefined) return
    chunks.delete(index)
    pool.give(bytes)
  }

  return {
    get size() {
      return chunks.size
    },
    has: (index) => chunks.has(index),
    entry: (index) => chunks.get(index)?.entry,
    indices: () => chunks.keys(),
    put,
    copy,
    drop,
    clear: () => {
      for (const index of chunks.keys()) drop(index)
    },
  }
}
