/** Content by digest for the mirror: opens a session, reads it as the swarm brings it, prefetches. */
import { ShoalError } from '../../core/errors.ts'
import type { ByteRange } from '../../core/oci/range.ts'
import type { BlobStore } from '../../core/ports.ts'
import { chunkSizeOf } from '../../core/swarm/chunks.ts'
import type { Logger } from '../logging.ts'
import type { Blobs, OpenBlob, ReadOptions, Want } from '../registry/ports.ts'
import type { OriginClient } from '../upstream/origin-client.ts'
import { isOriginError } from '../upstream/origin-error.ts'
import { pieceSizeOf, readVerified, type PieceBuffers } from './reader.ts'
import type { Runner } from './runner.ts'
import { failureOf } from './failures.ts'
import { createReaderOpener } from './open-reader.ts'
import { holdsChunk, noteWant, type BlobSession } from './sessions.ts'
import { createShowing, type ShowingComponents } from './showing.ts'
import type { SmallContents } from './small-contents.ts'

export interface BlobsComponents extends ShowingComponents {
  readonly runner: Runner
  readonly store: BlobStore
  readonly small: Pick<SmallContents, 'bring'>
  readonly logger: Logger
  /** How long a content is where no descriptor told it: as other members say; undefined where none does. */
  readonly sizeAmongPeers: (want: Want) => Promise<number | undefined>
  /** The same, where no member says. */
  readonly origin: Pick<OriginClient, 'headManifest' | 'headBlob'>
  /** Bytes of a session went to a client. */
  readonly onDelivered: (session: BlobSession, bytes: number) => void
}

export function createBlobs(components: BlobsComponents): Blobs {
  const { runner, store, small, logger, origin, onDelivered, possession } = components
  const { sessions } = runner
  const openReader = createReaderOpener(runner)

  async function open(want: Want, signal: AbortSignal): Promise<OpenBlob> {
    const size = await bring(want, signal)
    const session = await sessions.acquire(want.digest, size)
    noteWant(session, want)
    return {
      size,
      get complete() {
        return session.proved
      },
      read: (range, options) => read(session, want, range, options),
      close: async () => sessions.release(session),
    }
  }

  /** Has it brought here if it is small, which a manifest is whatever its size; tells the size. */
  async function bring(want: Want, signal: AbortSignal): Promise<number> {
    const known = want.size ?? store.state(want.digest)?.size
    if (want.kind === 'manifest') {
      await small.bring(want)
      return known ?? store.state(want.digest)?.size ?? askSize(want, signal)
    }
    const size = known ?? (await askSize(want, signal))
    await small.bring({ ...want, size })
    return size
  }

  async function askSize(want: Want, signal: AbortSignal): Promise<number> {
    const told = await components.sizeAmongPeers(want)
    if (told !== undefined) return told
    const head =
      want.kind === 'manifest'
        ? await origin.headManifest(want, want.digest, want.credential, signal)
        : await origin.headBlob(want, want.digest, want.credential, signal)
    return head.size
  }

  async function* read(
    session: BlobSession,
    want: Want,
    range: ByteRange,
    options: ReadOptions,
  ): AsyncGenerator<Uint8Array> {
    if (range.end === range.start) await possession.prove(want, options.signal)
    let reader: ReturnType<typeof openReader> | undefined
    const progress = {
      failed: () => failureOf(session, want, reader?.id),
      mayTake: (index: number) => runner.swarm.mayDeliver(want.digest, index, want.origin),
      moved: (position: number) => reader?.moved(position),
      lacking(position: number) {
        noteMissing(session, Math.floor(position / chunkSizeOf(session.size)))
        const rest = { start: position, end: range.end }
        reader ??= openReader(session, want.origin, rest, { whole: options.whole, prefetch: false })
      },
    }
    const showing = createShowing(components, session, want, { ...options, failed: progress.failed })
    const pieceSize = pieceSizeOf(session.size)
    const buffers: PieceBuffers = [runner.pool.take(pieceSize), runner.pool.take(pieceSize)]
    try {
      for await (const piece of readVerified(session, range, options, progress, showing, buffers)) {
        onDelivered(session, piece.length)
        yield piece
      }
    } catch (error) {
      // What nobody here has and what only this repository lacks look the same.
      const isNowhere = error instanceof ShoalError && error.code === 'ORIGIN_NOT_FOUND' && !isOriginError(error)
      if (isNowhere) await possession.prove(want, options.signal)
      throw error
    } finally {
      reader?.close()
    }
    // Not after a read that was cut short: the kernel may not have taken its last piece yet.
    for (const buffer of buffers) runner.pool.give(buffer)
  }

  /** The store may have thrown it away when nobody read it, as it does what could not be made durable. */
  function noteMissing(session: BlobSession, index: number): void {
    const { digest } = session
    if (holdsChunk(session, index) || !runner.swarm.holds(digest, index)) return
    session.onLost(index, new ShoalError('CHUNK_CORRUPT', `chunk ${index} of ${digest} is not held any more`))
  }

  function prefetch(want: Want): () => void {
    const cancelled = new AbortController()
    runPrefetch(want, cancelled.signal).catch((error: unknown) => logger.debug({ err: error }, 'prefetch failed'))
    return () => cancelled.abort()
  }

  async function runPrefetch(want: Want, cancelled: AbortSignal): Promise<void> {
    if (want.size === undefined) return
    await small.bring(want)
    const session = await sessions.acquire(want.digest, want.size)
    noteWant(session, want)
    if (session.proved || cancelled.aborted) return sessions.release(session)
    const reader = openReader(session, want.origin, { start: 0, end: want.size }, { whole: true, prefetch: true })
    cancelled.addEventListener('abort', () => {
      reader.close()
      sessions.release(session)
    })
  }

  return { open, prefetch }
}
