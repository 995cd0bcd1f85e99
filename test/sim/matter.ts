/** What blobs are made of: real bytes, where wrong ones must be possible, or mere lengths, where only time matters. */
import { createHash } from 'node:crypto'
import { digestFromHex, type Digest } from '../../core/oci/digest.ts'
import type { Random } from '../../core/ports.ts'
import { chunkCountOf, chunkLengthOf, chunkSizeOf } from '../../core/swarm/chunks.ts'

/** A run of a chunk's bytes. Without `bytes` it is right. */
export interface Piece {
  readonly length: number
  readonly bytes?: Uint8Array
}

export interface Blob {
  readonly digest: Digest
  readonly size: number
  /** Bytes `[from, to)` of chunk `index`. */
  piece(index: number, from: number, to: number): Piece
  /** SHA-256 of a chunk's pieces (a name for it where there are no bytes). */
  hash(index: number, pieces: readonly Piece[]): string
  /** Are these exactly the chunk's bytes, from its first to its last? */
  isTrue(index: number, pieces: readonly Piece[]): boolean
}

export function realBlob(random: Random, size: number): Blob {
  const bytes = new Uint8Array(size)
  for (let at = 0; at < size; at += 4) bytes[at] = random.below(256)
  const digest = digestFromHex(createHash('sha256').update(bytes).digest('hex'))
  const chunkSize = chunkSizeOf(size)
  const view = (index: number, from: number, to: number): Uint8Array =>
    bytes.subarray(index * chunkSize + from, index * chunkSize + to)
  const isTrue = (index: number, pieces: readonly Piece[]): boolean => {
    let at = 0
    const isSoFar = pieces.every((piece) => isSame(bytesOf(piece), view(index, at, (at += piece.length))))
    return isSoFar && at === chunkLengthOf(size, index)
  }
  const hashes: string[] = []
  return {
    digest,
    size,
    piece: (index, from, to) => ({ length: to - from, bytes: view(index, from, to) }),
    hash: (index, pieces) => (isTrue(index, pieces) ? (hashes[index] ??= hashOf(pieces)) : hashOf(pieces)),
    isTrue,
  }
}

/** Most pieces are views of the very bytes that they are compared with. */
function isSame(one: Uint8Array, other: Uint8Array): boolean {
  const isView = one.buffer === other.buffer && one.byteOffset === other.byteOffset && one.length === other.length
  return isView || Buffer.compare(one, other) === 0
}

/** `name` makes the digest; the hash of a chunk is its index as a hash would be written. */
export function hollowBlob(name: string, size: number): Blob {
  const digest = digestFromHex(createHash('sha256').update(name).digest('hex'))
  const hashes = Array.from({ length: chunkCountOf(size) }, (_, index) => index.toString(16).padStart(64, '0'))
  return {
    digest,
    size,
    piece: (_index, from, to) => ({ length: to - from }),
    hash: (index) => hashes[index]!,
    isTrue: () => true,
  }
}

/** The same length, other bytes; hollow ones stay as they are. */
export function spoil(piece: Piece, how: string): Piece {
  if (piece.bytes === undefined) return piece
  const bytes = Uint8Array.from(piece.bytes)
  bytes[0] = (bytes[0] ?? 0) ^ (how.length + 1)
  return { length: piece.length, bytes }
}

export function cut(piece: Piece, length: number): Piece {
  if (length >= piece.length) return piece
  return { ...piece, length, ...(piece.bytes === undefined ? {} : { bytes: piece.bytes.subarray(0, length) }) }
}

/** Bytes `[from, to)` of a chunk's pieces. */
export function sliceOf(pieces: readonly Piece[], from: number, to: number): Piece {
  const parts: Uint8Array[] = []
  let at = 0
  for (const { bytes, length } of pieces) {
    if (bytes !== undefined && at < to && at + length > from)
      parts.push(bytes.subarray(Math.max(from - at, 0), Math.min(to - at, length)))
    at += length
  }
  const [whole] = parts
  if (whole === undefined) return { length: to - from }
  return { length: to - from, bytes: parts.length === 1 ? whole : Buffer.concat(parts) }
}

export function lengthOf(pieces: readonly Piece[]): number {
  return pieces.reduce((sum, piece) => sum + piece.length, 0)
}

function bytesOf(piece: Piece): Uint8Array {
  return piece.bytes ?? new Uint8Array(0)
}

function hashOf(pieces: readonly Piece[]): string {
  const hash = createHash('sha256')
  for (const piece of pieces) hash.update(bytesOf(piece))
  return hash.digest('hex')
}
