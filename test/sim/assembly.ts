/** Chunks on their way into a node: each source goes on from what was there when it began, as agent/swarm/chunk-buffers does. */
import type { Digest } from '../../core/oci/digest.ts'
import { cut, lengthOf, type Piece } from './matter.ts'

export interface Assembly {
  /** From now on request (or fetch) `id` of `source` brings bytes of this chunk, which has `length`, from `offset` on. */
  begin(digest: Digest, index: number, source: string, id: number, offset: number, length: number): void
  /** Ignored when the source never began, or has ended; and what is more than the chunk has. */
  append(source: string, id: number, piece: Piece): void
  /** Nothing more is taken from the source; what it brought stays for others to go on from. */
  end(source: string, id: number): void
  /** The pieces of the first source that has `length` bytes. */
  whole(digest: Digest, index: number, length: number): readonly Piece[] | undefined
  /** The same, and forgets the chunk. */
  take(digest: Digest, index: number, length: number): readonly Piece[]
  drop(digest: Digest, index: number): void
}

interface Part {
  readonly pieces: Piece[]
  /** Of the whole chunk. */
  readonly length: number
}

export function createAssembly(): Assembly {
  const chunks = new Map<string, Part[]>()
  const sources = new Map<string, Part>()
  const whole = (digest: Digest, index: number, length: number): readonly Piece[] | undefined =>
    chunks.get(`${digest} ${index}`)?.find(({ pieces }) => lengthOf(pieces) === length)?.pieces
  return {
    begin(digest, index, source, id, offset, length) {
      const chunk = `${digest} ${index}`
      const parts = chunks.get(chunk) ?? []
      const part = { pieces: offset === 0 ? [] : prefixOf(parts, offset), length }
      parts.push(part)
      chunks.set(chunk, parts)
      sources.set(`${source} ${id}`, part)
    },
    append(source, id, piece) {
      const part = sources.get(`${source} ${id}`)
      if (part !== undefined && lengthOf(part.pieces) + piece.length <= part.length) part.pieces.push(piece)
    },
    end: (source, id) => void sources.delete(`${source} ${id}`),
    whole,
    take(digest, index, length) {
      const pieces = whole(digest, index, length)
      if (pieces === undefined) throw new Error(`nobody has brought chunk ${index}, which is to be kept`)
      chunks.delete(`${digest} ${index}`)
      return pieces
    },
    drop: (digest, index) => void chunks.delete(`${digest} ${index}`),
  }
}

const nothing = (): undefined => undefined
/** By length: 10,000 nodes hold millions of them. */
const hollowWholes = new Map<number, readonly Piece[]>()

function hollowWhole(length: number): readonly Piece[] {
  const known = hollowWholes.get(length)
  if (known !== undefined) return known
  const whole = [{ length }]
  hollowWholes.set(length, whole)
  return whole
}

/** Where only time matters nothing is put together: every chunk that is asked for is whole. */
export const hollowAssembly: Assembly = {
  begin: nothing,
  append: nothing,
  end: nothing,
  whole: (_digest, _index, length) => hollowWhole(length),
  take: (_digest, _index, length) => hollowWhole(length),
  drop: nothing,
}

function prefixOf(parts: readonly Part[], offset: number): Piece[] {
  const latest = parts.findLast(({ pieces }) => lengthOf(pieces) >= offset)
  if (latest === undefined) throw new Error(`nobody has the first ${offset} bytes that a request goes on from`)
  return firstOf(latest.pieces, offset)
}

function firstOf(pieces: readonly Piece[], length: number): Piece[] {
  const taken: Piece[] = []
  let left = length
  for (const piece of pieces) {
    if (left === 0) break
    taken.push(cut(piece, left))
    left -= Math.min(left, piece.length)
  }
  return taken
}
