/**
 * What reads on a node: takes a blob's bytes in order as soon as they are there, at its own pace, and the last chunk once the
 * whole is proved. A prefetch takes nothing and costs no time; it waits for the end.
 */
import type { Digest } from '../../core/oci/digest.ts'
import type { SwarmEvent } from '../../core/swarm/events.ts'
import { chunkCountOf, chunkSizeOf } from '../../core/swarm/chunks.ts'
import type { Blob, Piece } from './matter.ts'

export interface ReadersComponents {
  readonly handle: (event: SwarmEvent) => void
  /** Runs `act` after a while, unless the node has crashed meanwhile. */
  readonly later: (delayMs: number, act: () => void) => void
  /** The most that a reader takes. */
  readonly bytesPerMs: number
  /** A kept chunk, or one that the disk refused and memory has. */
  readonly piecesOf: (blob: Blob, index: number) => readonly Piece[] | undefined
  readonly isProved: (digest: Digest) => boolean
  /** Is the chunk, which is here, vouched for by enough? */
  readonly mayDeliver: (digest: Digest, index: number) => boolean
  /** A reader has been given a byte that is not the blob's. */
  readonly onWrongByte: (blob: Blob, index: number) => void
  readonly origin: string
}

export interface ReadRequest {
  readonly blob: Blob
  readonly start: number
  readonly end: number
  readonly whole: boolean
  readonly prefetch: boolean
  /** Takes what peers have proved, and asks no origin. Default: not so. */
  readonly isTakeOver?: boolean
  readonly onEnd: (how: ReadEnd) => void
}

/** The last byte was taken, and all were right or not; or the blob can't be had. */
export type ReadEnd = 'right' | 'wrong' | 'failed'

export interface Readers {
  /** Returns how to close it early. */
  open(request: ReadRequest): () => void
  /** Takes what has come of this digest. */
  advance(digest: Digest): void
  /** All that read it, or this one: the origin failed them, or what is here is wrong. */
  fail(digest: Digest, why: 'origin' | 'corrupt', reader?: number): void
  /** The agent stops. */
  closeAll(): void
  /** The node crashed: nobody hears of it. */
  clear(): void
}

interface Reader extends ReadRequest {
  readonly id: number
  position: number
  /** It is taking a chunk. */
  busy: boolean
  /** A chunk of which it was given a wrong byte. */
  deceivedAt: number | undefined
}

export function createReaders(components: ReadersComponents): Readers {
  const readers = new Map<number, Reader>()
  let nextId = 1

  const of = (digest: Digest): Reader[] => [...readers.values()].filter(({ blob }) => blob.digest === digest)
  const close = (reader: Reader): void => {
    if (readers.delete(reader.id))
      components.handle({ type: 'reader-closed', digest: reader.blob.digest, reader: reader.id })
  }

  const advance = (reader: Reader): void => {
    if (reader.busy || !readers.has(reader.id)) return
    if (reader.position >= reader.end || isKnownDeceived(components, reader)) return finish(reader)
    const next = nextPosition(components, reader)
    if (next === undefined) return
    const index = indexOf(reader)
    if (!isTrue(components, reader, index)) {
      reader.deceivedAt = index
      components.onWrongByte(reader.blob, index)
    }
    if (reader.prefetch) return move(reader, next)
    reader.busy = true
    components.later((next - reader.position) / components.bytesPerMs, () => {
      reader.busy = false
      move(reader, next)
    })
  }

  const move = (reader: Reader, position: number): void => {
    if (!readers.has(reader.id)) return
    const { blob, id } = reader
    reader.position = position
    components.handle({ type: 'reader-moved', digest: blob.digest, reader: id, position })
    advance(reader)
  }

  const finish = (reader: Reader): void => {
    close(reader)
    reader.onEnd(reader.deceivedAt === undefined ? 'right' : 'wrong')
  }

  return {
    open(request) {
      const reader: Reader = { ...request, id: nextId++, position: request.start, busy: false, deceivedAt: undefined }
      readers.set(reader.id, reader)
      const { blob, end, isTakeOver = false, prefetch, start, whole } = request
      const { digest, size } = blob
      const origin = isTakeOver ? undefined : components.origin
      components.handle({ type: 'reader-opened', digest, size, origin, reader: reader.id, start, end, whole, prefetch })
      advance(reader)
      return () => close(reader)
    },
    advance(digest) {
      for (const reader of readers.values()) if (reader.blob.digest === digest) advance(reader)
    },
    fail(digest, why, id) {
      // Who was given a wrong byte and is failed by the origin would have been failed without it.
      const endOf = ({ deceivedAt }: Reader): ReadEnd =>
        why === 'corrupt' && deceivedAt !== undefined ? 'wrong' : 'failed'
      for (const reader of of(digest))
        if ((id === undefined || id === reader.id) && readers.delete(reader.id)) reader.onEnd(endOf(reader))
    },
    closeAll: () => [...readers.values()].forEach(close),
    clear: () => readers.clear(),
  }
}

/** Where the reader will be when it has taken the rest of the chunk at its position; undefined while that may not be had. */
function nextPosition(components: ReadersComponents, reader: Reader): number | undefined {
  const { blob, end, whole } = reader
  const index = indexOf(reader)
  const next = Math.min((index + 1) * chunkSizeOf(blob.size), end)
  if (components.piecesOf(blob, index) === undefined) return undefined
  if (!components.mayDeliver(blob.digest, index) && !isChecked(components, reader)) return undefined
  if (whole && next === blob.size && !isChecked(components, reader)) return undefined
  return next
}

function indexOf({ blob, position }: Reader): number {
  return Math.floor(position / chunkSizeOf(blob.size))
}

function isTrue({ piecesOf }: ReadersComponents, { blob }: Reader, index: number): boolean {
  return blob.isTrue(index, piecesOf(blob, index) ?? [])
}

/** What it was given is gone, or another by now: the agent ends such a response soon (agent/swarm/reader.ts). */
function isKnownDeceived(components: ReadersComponents, reader: Reader): boolean {
  const { blob, deceivedAt } = reader
  if (deceivedAt === undefined) return false
  return components.piecesOf(blob, deceivedAt) === undefined || isTrue(components, reader, deceivedAt)
}

/** Proved on disk; or, where the disk refused chunks, by the hash that runs along with the reader. */
function isChecked({ isProved, piecesOf }: ReadersComponents, { blob }: Reader): boolean {
  if (isProved(blob.digest)) return true
  for (let index = 0; index < chunkCountOf(blob.size); index++) {
    const pieces = piecesOf(blob, index)
    if (pieces === undefined || !blob.isTrue(index, pieces)) return false
  }
  return true
}
