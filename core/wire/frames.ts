/** Cuts a stream of bytes into frames: a varint with the length, then that many bytes. */
import { createVarintReader } from './bytes.ts'

export interface FrameDecoder {
  /** The frames that `piece` completes: views of it, or, where a frame came in several pieces, an array of its own. */
  push(piece: Uint8Array): Generator<Uint8Array>
}

/** Holds at most one frame of `frameMaxBytes`. `push` throws `PEER_PROTOCOL` at a longer one; then the stream is lost. */
export function createFrameDecoder(frameMaxBytes: number): FrameDecoder {
  const length = createVarintReader(frameMaxBytes)
  /** The frame that is arriving in pieces, and how much of it is here. */
  let partial: Uint8Array | undefined
  let filled = 0

  function fill(frame: Uint8Array, piece: Uint8Array, start: number): number {
    const end = Math.min(piece.length, start + frame.length - filled)
    frame.set(piece.subarray(start, end), filled)
    filled += end - start
    return end
  }

  return {
    *push(piece) {
      let position = 0
      while (position < piece.length) {
        if (partial !== undefined) {
          position = fill(partial, piece, position)
          if (filled < partial.length) return
          const whole = partial
          partial = undefined
          yield whole
          continue
        }
        const frameLength = length.feed(piece[position] ?? 0)
        position++
        if (frameLength === undefined) continue
        if (position + frameLength <= piece.length) {
          position += frameLength
          yield piece.subarray(position - frameLength, position)
        } else {
          partial = new Uint8Array(frameLength)
          filled = 0
        }
      }
    },
  }
}

/** The same as a transform of a pipeline: pieces of any size in, frames out. */
export async function* splitFrames(
  source: AsyncIterable<Uint8Array | Iterable<Uint8Array>>,
  frameMaxBytes: number,
): AsyncGenerator<Uint8Array> {
  const decoder = createFrameDecoder(frameMaxBytes)
  for await (const pieces of source) {
    for (const piece of pieces instanceof Uint8Array ? [pieces] : pieces) yield* decoder.push(piece)
  }
}
