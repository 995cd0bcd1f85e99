/**
 * Which of the bytes that are here may go to one reader (DESIGN, Access: possession). Whatever any of our agents took from the
 * reader's own origin, once its repository has said that it has the content; the rest, once that origin is known to hold it.
 *
 *     chunk here ─▶ has the repository it? ─▶ fetched from this origin ──────────────────────────────────▶ shown
 *                        (no: the read ends)  └▶ from elsewhere ─▶ does the origin hold the content?
 *                                                  known to others ─────────────────────────────────────▶ shown
 *                                                  proved here: the origin gives random parts of it ────▶ shown
 *                                                  will be: wait for that; won't, takes long, or the
 *                                                       disk refused some of it, so that it passes through:
 *                                                       the origin is asked for this very chunk ────────▶ shown
 */
import type { Findings } from '../access/findings.ts'
import type { Possession } from '../access/possession.ts'
import { limits } from '../../core/limits.ts'
import type { ByteRange } from '../../core/oci/range.ts'
import type { Clock } from '../../core/ports.ts'
import { countBits } from '../../core/swarm/bitfield.ts'
import { chunkCountOf, chunkLengthOf, chunkSizeOf } from '../../core/swarm/chunks.ts'
import type { ReadOptions, Want } from '../registry/ports.ts'
import { within } from '../system/within.ts'
import { entryOf, hashOf, readHeld, type BlobSession } from './sessions.ts'

export interface Showing {
  /** May the reader have chunk `index`, which had this hash when it was read? */
  mayShow(index: number, hash: string | undefined): boolean
  /** Resolves when that may have changed. Rejects when the origin, or its repository, has not got the content. */
  seek(index: number): Promise<void>
}

export interface ShowingComponents {
  readonly clock: Clock
  readonly possession: Possession
  readonly findings: Pick<Findings, 'has' | 'isHeld'>
}

export function createShowing(
  { clock, possession, findings }: ShowingComponents,
  session: BlobSession,
  want: Want,
  { whole, signal, failed }: ReadOptions & { readonly failed: () => Error | undefined },
): Showing {
  /** What was once found holds until the read is over: a credential may expire meanwhile. */
  let isHad = false
  let isHeld = false
  const parts = new Map<number, string>()
  let askedMs = Number.NEGATIVE_INFINITY
  let waiting: { readonly index: number; readonly sinceMs: number } | undefined

  function mayShow(index: number, hash: string | undefined): boolean {
    isHad ||= findings.has(want)
    isHeld ||= findings.isHeld(want)
    return isHad && (isHeld || (hash !== undefined && (parts.get(index) === hash || isFetched(index, hash))))
  }

  function isFetched(index: number, hash: string): boolean {
    const entry = entryOf(session, index)
    return entry?.witness.kind === 'fetched' && entry.witness.origin === want.origin && entry.hash === hash
  }

  async function seek(index: number): Promise<void> {
    if (!isHad) await possession.prove(want, signal)
    isHad = true
    const hash = hashOf(session, index)
    if (mayShow(index, hash)) return
    if (isComparable(session)) return compare()
    if (hash === undefined || (await isKnown())) return
    // While others were asked the proof may have come.
    if (isComparable(session)) return compare()
    if (mayWait(index)) return wait()
    await possession.provePart(want, { size: session.size, hash, ...rangeOf(session, index) }, signal)
    parts.set(index, hash)
  }

  function compare(): Promise<void> {
    return possession.proveHeld(want, contentOf(session), signal)
  }

  async function isKnown(): Promise<boolean> {
    if (clock.now() - askedMs < limits.possessionWaitMs) return false
    askedMs = clock.now()
    return possession.isKnownToHold(want, signal)
  }

  /** A part is never proved, and what the disk refused must not wait in memory. */
  function mayWait(index: number): boolean {
    if (waiting?.index !== index) waiting = { index, sinceMs: clock.now() }
    return whole && !session.proved && !session.unkept.has(index) && clock.now() - waiting.sinceMs < limits.heldBackMs
  }

  async function wait(): Promise<void> {
    const failure = failed()
    if (failure !== undefined) throw failure
    await within(session.changed.next(signal), limits.possessionWaitMs)
  }

  return { mayShow, seek }
}

/** It is proved, and all of it is on disk: what that refused is let go once it is read. */
function isComparable({ proved, size, stored }: BlobSession): boolean {
  return proved && countBits(stored.have) === chunkCountOf(size)
}

function rangeOf({ size }: BlobSession, index: number): ByteRange {
  const start = index * chunkSizeOf(size)
  return { start, end: start + chunkLengthOf(size, index) }
}

/** The content of a session that is proved. */
function contentOf(session: BlobSession) {
  return {
    size: session.size,
    async read({ start, end }: ByteRange): Promise<Uint8Array | undefined> {
      const pieces: Uint8Array[] = []
      const chunkSize = chunkSizeOf(session.size)
      for (let at = start; at < end;) {
        const length = Math.min(end, at - (at % chunkSize) + chunkSize) - at
        const piece = await readHeld(session, at, length, new Uint8Array(length))
        if (piece === undefined) return undefined
        pieces.push(piece)
        at += length
      }
      return Buffer.concat(pieces)
    },
  }
}
