/** What reads on a node: takes a blob's bytes in order as soon as they are there, and the last chunk once the whole is proved. */
import type { Digest } from '../../core/oci/digest.ts'
import type { SwarmEvent } from '../../core/swarm/events.ts'
import { chunkCountOf, chunkSizeOf } from '../../core/swarm/chunks.ts'
import type { Blob, Piece } from './matter.ts'

export interface ReadersComponents {
  readonly handle: (event: SwarmEvent) => void
  /** A kept chunk, or one that the disk refused and memory has. */
  readonly piecesOf: (blob: Blob, index: number) => readonly Piece[] | undefined
  readonly isProved: (digest: Digest) => boolean
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
  /** The last byte was taken, or the blob can't be had. */
  readonly onEnd: (ok: boolean) => void
}

export interface Readers {
  /** Returns how to close it early. */
  open(request: ReadRequest): () => void
  /** Takes what has come of this digest. */
  advance(digest: Digest): void
  fail(digest: Digest): void
  /** The node crashed: nobody hears of it. */
  clear(): void
}

interface Reader extends ReadRequest {
  readonly id: number
  position: number
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
    const before = reader.position
    while (reader.position < reader.end && takeNext(components, reader));
    if (reader.position === before) return
    const { blob, id, position } = reader
    components.handle({ type: 'reader-moved', digest: blob.digest, reader: id, position })
    if (reader.position < reader.end) return
    close(reader)
    reader.onEnd(true)
  }

  return {
    open(request) {
      const reader: Reader = { ...request, id: nextId++, position: request.start }
      readers.set(reader.id, reader)
      const { blob, end, prefetch, start, whole } = request
      const { digest, size } = blob
      const { origin } = components
      components.handle({ type: 'reader-opened', digest, size, origin, reader: reader.id, start, end, whole, prefetch })
      advance(reader)
      return () => close(reader)
    },
    advance: (digest) => of(digest).forEach(advance),
    fail(digest) {
      for (const reader of of(digest)) if (readers.delete(reader.id)) reader.onEnd(false)
    },
    clear: () => readers.clear(),
  }
}

/** Takes the rest of the chunk at the reader's position; a prefetch takes nothing but waits for the end. */
function takeNext(components: ReadersComponents, reader: Reader): boolean {
  const { blob, end, position, whole } = reader
  const chunkSize = chunkSizeOf(blob.size)
  const index = Math.floor(position / chunkSize)
  const next = Math.min((index + 1) * chunkSize, end)
  const pieces = components.piecesOf(blob, index)
  if (pieces === undefined) return false
  if (whole && next === blob.size && !isChecked(components, reader)) return false
  if (!blob.isTrue(index, pieces)) components.onWrongByte(blob, index)
  reader.position = next
  return true
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
