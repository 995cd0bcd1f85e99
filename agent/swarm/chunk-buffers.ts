import type { BufferPool } from './buffer-pool.ts'

/**
 * Bytes of chunks on their way in. A chunk may come from several sources at once (a hedge), each of which goes on from
 * what was there when it began; the first to reach the end is the chunk:
 *
 *     peer A, request 7   |■■■■■■■■■■■■■■■□□□□|   began at 0
 *     peer B, request 2   |■■■■■■■■■■■■■■□□□□□|   began at 10, with a copy of A's first ten
 */
interface Source {
  readonly bytes: Uint8Array
  received: number
  /** So many of its bytes the swarm knows of, and may go on from: more of them once it has ended. */
  known: number
  hasEnded: boolean
}

export interface ChunkBuffers {
  /** `source` begins at `offset` of a chunk of `length` bytes; those before it are taken from who began last of those that have them. */
  begin(chunk: string, source: string, offset: number, length: number): void
  /** The bytes go behind what `source` brought so far; they are copied. */
  append(chunk: string, source: string, bytes: Uint8Array): void
  /** `source` brings no more: the first `received` bytes of what it has may be gone on from, and it is kept for as long as nobody later has them. */
  end(chunk: string, source: string, received: number): void
  /** The chunk, from the first source that has all of it. */
  complete(chunk: string): Uint8Array | undefined
  /** The same, and forgets the chunk; the bytes are the caller's, who gives them back to the pool. */
  remove(chunk: string): Uint8Array | undefined
  drop(chunk: string): void
  sizeBytes(): number
}

/** Throws a RangeError when told of bytes that can't be: the swarm checks offsets and lengths before. */
export function createChunkBuffers(pool: BufferPool): ChunkBuffers {
  const chunks = new Map<string, Map<string, Source>>()
  let total = 0

  function begin(chunk: string, source: string, offset: number, length: number): void {
    const sources = chunks.get(chunk) ?? new Map<string, Source>()
    const bytes = pool.take(length)
    if (offset > 0) bytes.set(prefixOf(sources, offset))
    sources.set(source, { bytes, received: offset, known: offset, hasEnded: false })
    chunks.set(chunk, sources)
    total += length
    letGo(chunk, sources)
  }

  function append(chunk: string, source: string, bytes: Uint8Array): void {
    const into = chunks.get(chunk)?.get(source)
    if (into === undefined) throw new RangeError(`${source} never began ${chunk}`)
    into.bytes.set(bytes, into.received)
    into.received += bytes.length
  }

  function end(chunk: string, source: string, received: number): void {
    const sources = chunks.get(chunk)
    const ended = sources?.get(source)
    if (sources === undefined || ended === undefined) return
    ended.received = received
    ended.known = received
    ended.hasEnded = true
    letGo(chunk, sources)
  }

  /** A chunk that many are asked for in vain would else hold as many buffers. */
  function letGo(chunk: string, sources: Map<string, Source>): void {
    let later = 0
    for (const [source, { bytes, hasEnded, known }] of [...sources].toReversed()) {
      if (hasEnded && known <= later) {
        sources.delete(source)
        total -= bytes.length
        pool.give(bytes)
      }
      later = Math.max(later, known)
    }
    if (sources.size === 0) chunks.delete(chunk)
  }

  function complete(chunk: string): Uint8Array | undefined {
    for (const { bytes, received } of chunks.get(chunk)?.values() ?? []) if (received === bytes.length) return bytes
    return undefined
  }

  function forget(chunk: string, kept: Uint8Array | undefined): void {
    for (const { bytes } of chunks.get(chunk)?.values() ?? []) {
      total -= bytes.length
      if (bytes !== kept) pool.give(bytes)
    }
    chunks.delete(chunk)
  }

  function remove(chunk: string): Uint8Array | undefined {
    const kept = complete(chunk)
    forget(chunk, kept)
    return kept
  }

  return { begin, append, end, complete, remove, drop: (chunk) => forget(chunk, undefined), sizeBytes: () => total }
}

/**
 * From the latest: what peers sent of a chunk before the origin began it is not taken into account by the swarm any more, which
 * signs what came from the origin alone as this node's own.
 */
function prefixOf(sources: ReadonlyMap<string, Source>, offset: number): Uint8Array {
  const latest = [...sources.values()].findLast(({ received }) => received >= offset)
  if (latest === undefined) throw new RangeError(`nobody has brought the first ${offset} bytes`)
  return latest.bytes.subarray(0, offset)
}
