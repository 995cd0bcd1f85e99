/** Chunks on their way into a node: each source goes on from what was there when it began, as agent/swarm/chunk-buffers does. */
import { cut, lengthOf, type Piece } from './matter.ts'

export interface Assembly {
  begin(chunk: string, source: string, offset: number): void
  /** Ignored when the source never began, or has ended. */
  append(source: string, piece: Piece): void
  /** Nothing more is taken from the source; what it brought stays for others to go on from. */
  end(source: string): void
  /** The pieces of the first source that has `length` bytes. */
  whole(chunk: string, length: number): readonly Piece[] | undefined
  drop(chunk: string): void
}

interface Part {
  readonly pieces: Piece[]
}

export function createAssembly(): Assembly {
  const chunks = new Map<string, Part[]>()
  const sources = new Map<string, Part>()
  return {
    begin(chunk, source, offset) {
      const parts = chunks.get(chunk) ?? []
      const part = { pieces: offset === 0 ? [] : prefixOf(parts, offset) }
      parts.push(part)
      chunks.set(chunk, parts)
      sources.set(source, part)
    },
    append: (source, piece) => void sources.get(source)?.pieces.push(piece),
    end: (source) => void sources.delete(source),
    whole(chunk, length) {
      return chunks.get(chunk)?.find(({ pieces }) => lengthOf(pieces) === length)?.pieces
    },
    drop: (chunk) => void chunks.delete(chunk),
  }
}

function prefixOf(parts: readonly Part[], offset: number): Piece[] {
  for (const { pieces } of parts) if (lengthOf(pieces) >= offset) return firstOf(pieces, offset)
  throw new Error(`nobody has the first ${offset} bytes that a request goes on from`)
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
