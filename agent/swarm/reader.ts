/** The bytes of one read, in order and verified, as the swarm brings them. */
import { ShoalError } from '../../core/errors.ts'
import { limits } from '../../core/limits.ts'
import type { ByteRange } from '../../core/oci/range.ts'
import { chunkSizeOf } from '../../core/swarm/chunks.ts'
import { failureError } from './failures.ts'
import { holdsChunk, readHeld, type BlobSession } from './sessions.ts'

/**
 * Yields the bytes of `range` as soon as they are held; `moved` hears how far they have been taken. The blob's last byte waits until the whole digest matched
 * (facts/protocols.md §0, rule 3). Throws the session's failure, or the signal's reason.
 */
export async function* readVerified(
  session: BlobSession,
  range: ByteRange,
  signal: AbortSignal,
  moved: (position: number) => void,
): AsyncGenerator<Uint8Array, void, undefined> {
  const { generation } = session
  let position = range.start
  while (position < range.end) {
    const end = readableEnd(session, position, range.end)
    if (end > position) {
      const piece = await readHeld(session, position, end - position)
      if (session.generation !== generation) throw new ShoalError('BLOB_CORRUPT', `${session.digest} was thrown away`)
      if (piece === undefined) continue
      yield piece
      position += piece.length
      moved(position)
    } else {
      await waitForMore(session, signal)
      if (session.generation !== generation && position > range.start)
        throw new ShoalError('BLOB_CORRUPT', `${session.digest} was thrown away`)
    }
  }
}

/** Where the bytes that may be handed out now end, at most one piece after `position`. */
function readableEnd(session: BlobSession, position: number, rangeEnd: number): number {
  const chunkSize = chunkSizeOf(session.size)
  const index = Math.floor(position / chunkSize)
  if (!holdsChunk(session, index)) return position
  const end = Math.min(rangeEnd, (index + 1) * chunkSize, position + limits.readPieceSizeBytes)
  return end === session.size && !session.proved ? end - 1 : end
}

async function waitForMore(session: BlobSession, signal: AbortSignal): Promise<void> {
  if (session.failure !== undefined) throw failureError(session.failure, session.digest)
  await session.changed.next(signal)
}
