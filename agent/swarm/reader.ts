/** The bytes of one read, in order and verified, as the swarm brings them. */
import { ShoalError } from '../../core/errors.ts'
import { limits } from '../../core/limits.ts'
import type { ByteRange } from '../../core/oci/range.ts'
import { chunkSizeOf } from '../../core/swarm/chunks.ts'
import { failureError } from './failures.ts'
import { holdsChunk, readHeld, type BlobSession } from './sessions.ts'

export interface ReadProgress {
  /** Everything before `position` has been taken. */
  moved(position: number): void
  /** What comes at `position` is not held: others must bring it. */
  lacking(position: number): void
}

/**
 * Yields the bytes of `range` as soon as they are held, each piece in `buffer` and good until the next one is asked for. The blob's last byte waits until the whole digest matched
 * (facts/protocols.md §0, rule 3). Throws the session's failure, or the signal's reason.
 */
export async function* readVerified(
  session: BlobSession,
  range: ByteRange,
  signal: AbortSignal,
  progress: ReadProgress,
  buffer: Uint8Array,
): AsyncGenerator<Uint8Array, void, undefined> {
  let { generation } = session
  for (let position = range.start; position < range.end;) {
    const end = readableEnd(session, position, range.end)
    const piece = end > position ? await readHeld(session, position, end - position, buffer) : undefined
    if (session.generation !== generation) {
      if (position > range.start) throw new ShoalError('BLOB_CORRUPT', `${session.digest} was thrown away`)
      generation = session.generation
      continue
    }
    if (piece === undefined) {
      progress.lacking(position)
      await waitForMore(session, position, range.end, signal)
    } else {
      yield piece
      position += piece.length
      progress.moved(position)
    }
  }
}

/** How much of a blob is handed out at once. */
export function pieceSizeOf(size: number): number {
  return Math.min(limits.readPieceSizeBytes, chunkSizeOf(size))
}

/** Where the bytes that may be handed out now end, at most one piece after `position`. */
function readableEnd(session: BlobSession, position: number, rangeEnd: number): number {
  const chunkSize = chunkSizeOf(session.size)
  const index = Math.floor(position / chunkSize)
  if (!holdsChunk(session, index)) return position
  const end = Math.min(rangeEnd, (index + 1) * chunkSize, position + pieceSizeOf(session.size))
  return end === session.size && !session.proved ? end - 1 : end
}

async function waitForMore(
  session: BlobSession,
  position: number,
  rangeEnd: number,
  signal: AbortSignal,
): Promise<void> {
  if (session.failure !== undefined) throw failureError(session.failure, session.digest)
  if (readableEnd(session, position, rangeEnd) <= position) await session.changed.next(signal)
}
