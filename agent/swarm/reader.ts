/** The bytes of one read, in order and verified, as the swarm brings them. */
import { ShoalError } from '../../core/errors.ts'
import { limits } from '../../core/limits.ts'
import type { ByteRange } from '../../core/oci/range.ts'
import { chunkCountOf, chunkSizeOf } from '../../core/swarm/chunks.ts'
import type { ReadOptions } from '../registry/ports.ts'
import { within } from '../system/within.ts'
import { hashOf, holdsChunk, readHeld, type BlobSession } from './sessions.ts'
import type { Showing } from './showing.ts'

export interface ReadProgress {
  /** What the reader hears, should nothing more come for it. */
  failed(): Error | undefined
  /** Everything before `position` has been taken. */
  moved(position: number): void
  /** What comes at `position` is not held, or not vouched for by enough: others must bring it, or their word. */
  lacking(position: number): void
  /** Is chunk `index`, which is held, vouched for by enough to be handed out before the whole blob is proved? */
  mayTake(index: number): boolean
}

/** Memory for two pieces of `pieceSizeOf`: one is on its way to the client while the other is read. */
export type PieceBuffers = readonly [Uint8Array, Uint8Array]

/**
 * Yields the bytes of `range` as soon as they are held and vouched for, each piece good until the next one is asked for;
 * the next is read meanwhile. The blob's last byte waits until the whole digest matched (facts/protocols.md §0, rule 3),
 * unless it is read as a part of which nobody reads the rest.
 * When the blob turns out to be wrong and is taken anew, the rest waits for its proof; should a chunk that was handed out be
 * among what was wrong, it throws `BLOB_CORRUPT`. Throws the session's failure, or the signal's reason.
 */
export async function* readVerified(
  session: BlobSession,
  range: ByteRange,
  options: ReadOptions,
  progress: ReadProgress,
  showing: Showing,
  [buffer, otherBuffer]: PieceBuffers,
): AsyncGenerator<Uint8Array, void, undefined> {
  const taken = new Map<number, string | undefined>()
  let { generation } = session
  let isAnew = false
  let ahead: Piece | undefined
  const reading: Reading = {
    session,
    rangeEnd: range.end,
    failed: () => progress.failed(),
    mayTake: (index) => holdsChunk(session, index) && (session.proved || (!isAnew && progress.mayTake(index))),
    isEndFree: false,
  }
  try {
    for (let position = range.start; position < range.end;) {
      const piece = ahead ?? readPiece(reading, position, buffer)
      ahead = undefined
      const bytes = await piece?.bytes
      const isOld = session.generation !== generation
      if (isOld) {
        generation = session.generation
        isAnew ||= position > range.start
      }
      // At every piece: a chunk taken anew has its hash only once it is here. Before the proof it may be the new one that is wrong,
      // of which the reader of a part can't wait to hear.
      if (isAnew && (session.proved || !options.whole)) requireSame(session, taken)
      if (isOld) continue
      // What was vouched for when the read began may not be any more.
      if (piece === undefined || bytes === undefined || !reading.mayTake(piece.index)) {
        progress.lacking(position)
        await waitForMore(reading, position, options)
        continue
      }
      if (!showing.mayShow(piece.index, piece.hash)) {
        // Others' chunks may have to wait until the blob is proved, for which all of it must come.
        if (!session.proved) progress.lacking(position)
        await showing.seek(piece.index)
        continue
      }
      requireWhole(session, taken, piece)
      taken.set(piece.index, piece.hash)
      // What the proof read may have come in the place of what was handed out.
      if (session.proved && position + bytes.length === range.end) requireSame(session, taken)
      position += bytes.length
      ahead = readPiece(reading, position, piece.buffer === buffer ? otherBuffer : buffer)
      yield bytes
      progress.moved(position)
    }
  } finally {
    await ahead?.bytes.catch(() => undefined)
  }
}

/** Bytes that are being read into `buffer`, and the hash that their chunk had when that began. */
interface Piece {
  readonly index: number
  readonly hash: string | undefined
  readonly buffer: Uint8Array
  /** Undefined when they turned out not to be held. */
  readonly bytes: Promise<Uint8Array | undefined>
}

/** Undefined where nothing may be handed out now. */
function readPiece(reading: Reading, position: number, buffer: Uint8Array): Piece | undefined {
  const { session } = reading
  const end = readableEnd(reading, position)
  if (end <= position) return undefined
  const index = Math.floor(position / chunkSizeOf(session.size))
  const bytes = readHeld(session, position, end - position, buffer)
  // Whoever asks for the piece hears of its failure.
  bytes.catch(() => undefined)
  return { index, hash: hashOf(session, index), buffer, bytes }
}

/** Throws when a chunk that was handed out is known to be another by now. */
function requireSame(session: BlobSession, taken: ReadonlyMap<number, string | undefined>): void {
  for (const [index, hash] of taken) {
    const now = (session.proved ? session.genuine[index] : undefined) ?? session.stored.hash(index)
    if (now !== undefined && now !== hash)
      throw new ShoalError('BLOB_CORRUPT', `chunk ${index} of ${session.digest} was handed out wrong`)
  }
}

/** Throws when the piece's chunk is another than the one of which the reader has had a part. */
function requireWhole({ digest }: BlobSession, taken: ReadonlyMap<number, string | undefined>, piece: Piece): void {
  const { hash, index } = piece
  const before = taken.get(index)
  if (before !== undefined && hash !== undefined && before !== hash)
    throw new ShoalError('BLOB_CORRUPT', `chunk ${index} of ${digest} was replaced while it was handed out`)
}

interface Reading {
  readonly session: BlobSession
  readonly rangeEnd: number
  readonly mayTake: (index: number) => boolean
  /** The blob's last byte needs no proof, as there will be none: this is a part, all of it is here, and nobody reads the rest. */
  isEndFree: boolean
  readonly failed: ReadProgress['failed']
}

/** How much of a blob is handed out at once. */
export function pieceSizeOf(size: number): number {
  return Math.min(limits.readPieceSizeBytes, chunkSizeOf(size))
}

/** Where the bytes that may be handed out now end, at most one piece after `position`. */
function readableEnd({ session, rangeEnd, mayTake, isEndFree }: Reading, position: number): number {
  const chunkSize = chunkSizeOf(session.size)
  const index = Math.floor(position / chunkSize)
  if (!mayTake(index)) return position
  const end = Math.min(rangeEnd, (index + 1) * chunkSize, position + pieceSizeOf(session.size))
  return end === session.size && !session.proved && !isEndFree ? end - 1 : end
}

async function waitForMore(reading: Reading, position: number, { signal, whole }: ReadOptions): Promise<void> {
  const { session } = reading
  const failure = reading.failed()
  if (failure !== undefined) throw failure
  if (readableEnd(reading, position) > position) return
  const changed = session.changed.next(signal)
  if (whole || position < session.size - 1 || !reading.mayTake(chunkCountOf(session.size) - 1)) return changed
  const isMoving = await within(changed, limits.heldBackPartMs)
  reading.isEndFree = !isMoving && session.positions.size <= 1
}
