/** Carries out `upload`: a chunk from disk to a peer, with the entry that vouches for it. */
import { ShoalError } from '../../core/errors.ts'
import { limits } from '../../core/limits.ts'
import type { Notary, PeerId } from '../../core/ports.ts'
import { chunkLengthOf, chunkSizeOf } from '../../core/swarm/chunks.ts'
import { entryPayload, type Entry } from '../../core/swarm/entry.ts'
import type { SwarmCommand, SwarmEvent } from '../../core/swarm/events.ts'
import type { RateLimit } from '../../core/swarm/rate.ts'
import type { Logger } from '../logging.ts'
import { within } from '../system/within.ts'
import type { PeerTransport } from '../transport/peer-transport.ts'
import type { Sleep } from '../upstream/retry.ts'
import type { BufferPool } from './buffer-pool.ts'
import { createChange } from './change.ts'
import { createPace } from './pace.ts'
import { readHeld, type BlobSession, type Sessions } from './sessions.ts'

type UploadCommand = Extract<SwarmCommand, { type: 'upload' }>
export type UploadOutcome = 'sent' | 'cancelled' | 'failed'

export interface UploadComponents {
  readonly pool: BufferPool
  readonly transport: PeerTransport
  readonly sessions: Sessions
  readonly notary: Notary
  readonly rate: RateLimit
  readonly sleep: Sleep
  readonly post: (event: SwarmEvent) => void
  readonly logger: Logger
  readonly onUploaded: (outcome: UploadOutcome, source: BlobSession['stored']['source'], bytes: number) => void
}

export interface Uploads {
  start(command: UploadCommand): void
  stop(peer: PeerId, id: number): void
  /** Resolves once those under way now have ended, or after `withinMs`; later ones are not waited for. */
  settled(withinMs: number): Promise<void>
  stopAll(): void
}

interface RunningUpload {
  readonly controller: AbortController
  readonly ended: Promise<void>
}

export function createUploads({
  pool,
  transport,
  sessions,
  notary,
  rate,
  sleep,
  post,
  logger,
  onUploaded,
}: UploadComponents): Uploads {
  const pace = createPace([rate], sleep)
  const running = new Map<string, RunningUpload>()
  /** Blobs of which a chunk is being read, one for each. A read can't be stopped: that of a cancelled upload has its memory until it ends. */
  const reading: BlobSession[] = []
  const readEnded = createChange()

  function start(command: UploadCommand): void {
    const key = uploadKey(command.peer, command.id)
    const controller = new AbortController()
    const ended = carryOut(command, controller.signal).finally(() => {
      // A peer may ask again under the number of a request that it has cancelled and that has not ended yet.
      if (running.get(key)?.controller === controller) running.delete(key)
    })
    running.set(key, { controller, ended })
  }

  async function carryOut(command: UploadCommand, signal: AbortSignal): Promise<void> {
    const { peer, id } = command
    const ok = await run(command, signal)
    if (!signal.aborted) post({ type: 'uploaded', peer, id, ok })
  }

  async function run(command: UploadCommand, signal: AbortSignal): Promise<boolean> {
    let session: BlobSession | undefined
    try {
      session = await sessions.acquire(command.digest, command.size)
      const bytes = await send(session, command, signal)
      onUploaded('sent', session.stored.source, bytes)
      return true
    } catch (error) {
      if (!signal.aborted) logger.debug({ err: error }, 'upload failed')
      onUploaded(signal.aborted ? 'cancelled' : 'failed', session?.stored.source ?? 'shoal', 0)
      return false
    } finally {
      if (session !== undefined) sessions.release(session)
    }
  }

  async function send(session: BlobSession, command: UploadCommand, signal: AbortSignal): Promise<number> {
    const { digest, size, index, offset, peer, id } = command
    const length = chunkLengthOf(size, index) - offset
    while (!mayRead(session)) await readEnded.next(signal)
    signal.throwIfAborted()
    const buffer = pool.take(length)
    const { generation } = session
    const bytes = await read(session, index * chunkSizeOf(size) + offset, length, buffer)
    const entry = entryFor(session, index)
    // Read before a discard, and the entry after it: the peer would take us for a liar.
    const isStale = session.generation !== generation
    if (bytes === undefined || entry === undefined || isStale)
      throw new ShoalError('CHUNK_CORRUPT', `chunk ${index} of ${digest} can not be given`)
    const source = pace.isLimited() ? limited(bytes, signal) : bytes
    await transport.upload(peer, id, offset, entry, source, signal)
    pool.give(buffer)
    return length
  }

  function mayRead(session: BlobSession): boolean {
    const ofBlob = reading.filter((one) => one === session).length
    return reading.length < limits.uploadReadsMax && ofBlob < limits.uploadReadsPerBlobMax
  }

  async function read(...range: Parameters<typeof readHeld>): Promise<Uint8Array | undefined> {
    const [session] = range
    reading.push(session)
    try {
      return await readHeld(...range)
    } finally {
      reading.splice(reading.indexOf(session), 1)
      readEnded.notify()
    }
  }

  async function* limited(bytes: Uint8Array, signal: AbortSignal): AsyncGenerator<Uint8Array> {
    for (let at = 0; at < bytes.length; at += limits.frameSizeBytes) {
      await pace.wait(signal)
      const piece = bytes.subarray(at, at + limits.frameSizeBytes)
      rate.count(piece.length)
      yield piece
    }
  }

  /** A proved blob is vouched for by this node itself; a chunk that is relayed keeps the entry it came with. */
  function entryFor(session: BlobSession, index: number): Entry | undefined {
    const known = session.proofs.get(index)
    if (known !== undefined) return known
    const hash = session.proved ? session.stored.hash(index) : undefined
    if (hash === undefined) return session.stored.entry(index)
    const witness = { kind: 'proved' } as const
    const signature = notary.sign(entryPayload(session.digest, session.size, { index, hash, witness }))
    const entry = { index, hash, witness, signer: notary.self, signature }
    session.proofs.set(index, entry)
    return entry
  }

  function stop(peer: PeerId, id: number): void {
    running.get(uploadKey(peer, id))?.controller.abort()
  }

  return {
    start,
    stop,
    settled: async (withinMs) => {
      await within(Promise.all([...running.values()].map(({ ended }) => ended)), withinMs)
    },
    stopAll: () => {
      for (const { controller } of running.values()) controller.abort()
    },
  }
}

function uploadKey(peer: PeerId, id: number): string {
  return `${peer} ${id}`
}
