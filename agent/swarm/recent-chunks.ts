import { limits } from '../../core/limits.ts'
import type { BufferPool } from './buffer-pool.ts'

/**
 * Chunks that were just written, by their key, until newer ones take their place: the proof, the client and the peers who
 * hear of a chunk all want it within moments, and memory spares each of them a read from disk.
 */
export interface RecentChunks {
  /** The bytes are this cache's from here on. */
  put(chunk: string, bytes: Uint8Array): void
  /** Copies `[offset, offset + length)` of the chunk to the start of `into`; false when it is not here. */
  copy(chunk: string, offset: number, length: number, into: Uint8Array): boolean
  drop(chunk: string): void
}

export function createRecentChunks(pool: BufferPool): RecentChunks {
  /** Oldest first. */
  const chunks = new Map<string, Uint8Array>()
  let total = 0

  function drop(chunk: string): void {
    const bytes = chunks.get(chunk)
    if (bytes === undefined) return
    chunks.delete(chunk)
    total -= bytes.length
    pool.give(bytes)
  }

  function put(chunk: string, bytes: Uint8Array): void {
    drop(chunk)
    chunks.set(chunk, bytes)
    total += bytes.length
    for (const oldest of chunks.keys()) {
      if (total <= limits.recentChunksMaxBytes) return
      drop(oldest)
    }
  }

  function copy(chunk: string, offset: number, length: number, into: Uint8Array): boolean {
    const bytes = chunks.get(chunk)
    if (bytes === undefined) return false
    into.set(bytes.subarray(offset, offset + length))
    return true
  }

  return { put, copy, drop }
}
