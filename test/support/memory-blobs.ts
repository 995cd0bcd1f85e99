/** The twin of agent/swarm/blobs.ts: contents in memory, which fail, stall or wait as a test says. */
import { createHash } from 'node:crypto'
import type { Blobs, OpenBlob, Want } from '../../agent/registry/ports.ts'
import { type Digest, digestFromHex } from '../../core/oci/digest.ts'
import type { ByteRange } from '../../core/oci/range.ts'
import { ShoalError } from '../../core/errors.ts'

export interface MemoryBlob {
  readonly digest: Digest
  readonly bytes: Uint8Array
  complete: boolean
  /** How many bytes more (or fewer) a read yields than it should: a bug of the source. */
  surplus: number
  /** Bytes per piece. */
  pieceBytes: number
  /** `open` rejects with this. */
  openError: Error | undefined
  /** A read throws `failure` when it comes to this offset. */
  failAt: number | undefined
  failure: Error
  /** A read waits at this offset until it moves on or the signal aborts. */
  holdAt: number | undefined
}

export interface MemoryBlobs extends Blobs {
  add(bytes: Uint8Array | string): MemoryBlob
  find(digest: Digest): MemoryBlob | undefined
  /** Lets reads go on after a change of `holdAt` or `failAt`. */
  wake(): void
  /** Everything that was asked, in order. */
  readonly log: {
    readonly opened: Want[]
    readonly reads: { readonly digest: Digest; readonly range: ByteRange; readonly whole: boolean }[]
    readonly prefetched: Want[]
    readonly cancelled: Digest[]
  }
  /** Contents opened and not closed. */
  openCount(): number
  /** Reads begun and not ended. */
  readCount(): number
}

export function digestOf(bytes: Uint8Array | string): Digest {
  return digestFromHex(createHash('sha256').update(bytes).digest('hex'))
}

export function createMemoryBlobs(): MemoryBlobs {
  const blobs = new Map<Digest, MemoryBlob>()
  const log: MemoryBlobs['log'] = { opened: [], reads: [], prefetched: [], cancelled: [] }
  let woken = Promise.withResolvers<void>()
  let open = 0
  let reading = 0

  function wake(): void {
    woken.resolve()
    woken = Promise.withResolvers<void>()
  }

  async function* read(blob: MemoryBlob, range: ByteRange, signal: AbortSignal): AsyncGenerator<Uint8Array> {
    const left = Promise.withResolvers<never>()
    left.promise.catch(() => undefined)
    signal.addEventListener('abort', () => left.reject(signal.reason))
    reading++
    try {
      let at = range.start
      while (at < range.end) {
        signal.throwIfAborted()
        while (blob.holdAt === at) await Promise.race([woken.promise, left.promise])
        if (blob.failAt === at) throw blob.failure
        const stops = [blob.failAt, blob.holdAt].filter((stop) => stop !== undefined && stop > at)
        const end = Math.min(range.end, at + blob.pieceBytes, ...(stops as number[]))
        yield blob.bytes.subarray(at, end === range.end ? end + Math.min(0, blob.surplus) : end)
        at = end
      }
      if (blob.surplus > 0) yield new Uint8Array(blob.surplus)
    } finally {
      reading--
    }
  }

  return {
    log,
    wake,
    openCount: () => open,
    readCount: () => reading,
    add(content) {
      const bytes = typeof content === 'string' ? Buffer.from(content) : content
      const failure = new ShoalError('STREAM_BROKEN', 'no source is left')
      const blob: MemoryBlob = {
        digest: digestOf(bytes),
        bytes,
        complete: false,
        surplus: 0,
        pieceBytes: 64 * 1024,
        openError: undefined,
        failAt: undefined,
        failure,
        holdAt: undefined,
      }
      blobs.set(blob.digest, blob)
      return blob
    },
    find: (digest) => blobs.get(digest),
    async open(want) {
      log.opened.push(want)
      const blob = blobs.get(want.digest)
      if (blob === undefined) throw new ShoalError('ORIGIN_NOT_FOUND', `${want.digest} is nowhere`)
      if (blob.openError !== undefined) throw blob.openError
      open++
      const opened: OpenBlob = {
        size: blob.bytes.length,
        get complete() {
          return blob.complete
        },
        read(range, { whole, signal }) {
          log.reads.push({ digest: blob.digest, range, whole })
          return read(blob, range, signal)
        },
        async close() {
          open--
        },
      }
      return opened
    },
    prefetch(want) {
      log.prefetched.push(want)
      return () => log.cancelled.push(want.digest)
    },
  }
}
