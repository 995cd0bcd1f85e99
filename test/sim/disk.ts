/** What a node keeps over a crash: chunks with their entries, by digest, and what lies have taught it. */
import type { Digest } from '../../core/oci/digest.ts'
import { bitfieldOf, clearBit, countBits, setBit } from '../../core/swarm/bitfield.ts'
import { chunkCountOf } from '../../core/swarm/chunks.ts'
import type { LessonStore } from '../../core/ports.ts'
import type { Entry } from '../../core/swarm/entry.ts'
import { createMemoryLessons } from '../support/memory-lessons.ts'
import type { Blob, Piece } from './matter.ts'

export interface KeptBlob {
  readonly blob: Blob
  readonly have: Uint8Array
  /** By index; holes where a chunk is missing. */
  readonly pieces: (readonly Piece[] | undefined)[]
  readonly entries: (Entry | undefined)[]
  complete: boolean
  /** The proof runs along with the chunks, as far as they are held without a gap, and is so far at that time. */
  provedChunks: number
  provedAtMs: number
  /** How often chunks were discarded. */
  discards: number
}

export interface Disk {
  readonly lessons: LessonStore
  of(digest: Digest): KeptBlob | undefined
  all(): Iterable<KeptBlob>
  keep(blob: Blob, index: number, pieces: readonly Piece[], entry: Entry): KeptBlob
  discard(digest: Digest, indices?: readonly number[]): void
  heldCount(): number
}

export function createDisk(now: () => number): Disk {
  const blobs = new Map<Digest, KeptBlob>()
  const open = (blob: Blob): KeptBlob => {
    const known = blobs.get(blob.digest)
    if (known !== undefined) return known
    const have = bitfieldOf(chunkCountOf(blob.size))
    const kept = { blob, have, pieces: [], entries: [], complete: false, provedChunks: 0, provedAtMs: 0, discards: 0 }
    blobs.set(blob.digest, kept)
    return kept
  }
  return {
    lessons: createMemoryLessons(now),
    of: (digest) => blobs.get(digest),
    all: () => blobs.values(),
    keep(blob, index, pieces, entry) {
      const kept = open(blob)
      setBit(kept.have, index)
      kept.pieces[index] = pieces
      kept.entries[index] = entry
      return kept
    },
    discard(digest, indices) {
      const kept = blobs.get(digest)
      if (kept === undefined) return
      for (const index of indices ?? kept.pieces.keys()) {
        clearBit(kept.have, index)
        kept.pieces[index] = undefined
        kept.entries[index] = undefined
      }
      kept.complete = false
      kept.provedChunks = 0
      kept.discards++
    },
    heldCount: () => [...blobs.values()].reduce((sum, { have }) => sum + countBits(have), 0),
  }
}
