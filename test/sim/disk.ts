/** What a node keeps over a crash: chunks with their entries, by digest. */
import type { Digest } from '../../core/oci/digest.ts'
import { bitfieldOf, countBits, setBit } from '../../core/swarm/bitfield.ts'
import { chunkCountOf } from '../../core/swarm/chunks.ts'
import type { Entry } from '../../core/swarm/entry.ts'
import type { Blob, Piece } from './matter.ts'

export interface KeptBlob {
  readonly blob: Blob
  readonly have: Uint8Array
  readonly chunks: Map<number, { readonly pieces: readonly Piece[]; entry: Entry }>
  complete: boolean
}

export interface Disk {
  of(digest: Digest): KeptBlob | undefined
  all(): Iterable<KeptBlob>
  keep(blob: Blob, index: number, pieces: readonly Piece[], entry: Entry): void
  discard(digest: Digest): void
  heldCount(): number
}

export function createDisk(): Disk {
  const blobs = new Map<Digest, KeptBlob>()
  const open = (blob: Blob): KeptBlob => {
    const known = blobs.get(blob.digest)
    if (known !== undefined) return known
    const kept = { blob, have: bitfieldOf(chunkCountOf(blob.size)), chunks: new Map(), complete: false }
    blobs.set(blob.digest, kept)
    return kept
  }
  return {
    of: (digest) => blobs.get(digest),
    all: () => blobs.values(),
    keep(blob, index, pieces, entry) {
      const kept = open(blob)
      setBit(kept.have, index)
      kept.chunks.set(index, { pieces, entry })
    },
    discard: (digest) => void blobs.delete(digest),
    heldCount: () => [...blobs.values()].reduce((sum, { have }) => sum + countBits(have), 0),
  }
}
