/** Manifests and small blobs: whole from one peer, or from the origin when it is this node's turn, and no swarm for them. */
import { createHash } from 'node:crypto'
import { ShoalError } from '../../core/errors.ts'
import { limits } from '../../core/limits.ts'
import { type Digest, digestFromHex } from '../../core/oci/digest.ts'
import type { BlobStore, Notary } from '../../core/ports.ts'
import { countBits } from '../../core/swarm/bitfield.ts'
import { chunkCountOf, chunksOf, chunkSizeOf } from '../../core/swarm/chunks.ts'
import { entryPayload, type Entry } from '../../core/swarm/entry.ts'
import type { RateLimits } from '../../core/swarm/rate.ts'
import type { AskedContent, ContentAnswer } from '../cluster/ask-content.ts'
import type { Logger } from '../logging.ts'
import type { Want } from '../registry/ports.ts'
import { within } from '../system/within.ts'
import type { OriginClient } from '../upstream/origin-client.ts'
import type { Sleep } from '../upstream/retry.ts'
import { createPace } from './pace.ts'
import type { Runner } from './runner.ts'
import { holdsChunk, readHeld, type BlobSession } from './sessions.ts'

export interface SmallContents {
  /**
   * Brings a small content into the store, unless it is there or `want` may be large. Never rejects: what did not come this
   * way is the swarm's to bring, or to explain.
   */
  bring(want: Want): Promise<void>
  /** What a peer that asks for a content hears. */
  serve(digest: Digest): Promise<ContentAnswer>
  /** Gives up what is under way. */
  stop(): void
}

export interface SmallContentObserver {
  received(source: 'origin' | 'peer', bytes: number): void
  uploaded(outcome: 'sent', source: BlobSession['stored']['source'], bytes: number): void
}

export interface SmallContentComponents {
  readonly runner: Pick<Runner, 'pool' | 'sessions' | 'post'>
  readonly store: Pick<BlobStore, 'state'>
  readonly notary: Notary
  readonly origin: Pick<OriginClient, 'getManifest' | 'fetchRange'>
  readonly askPeers: (want: Want, signal: AbortSignal) => Promise<AskedContent>
  readonly rates: RateLimits
  readonly sleep: Sleep
  readonly logger: Logger
  readonly observer: SmallContentObserver
  /** All of it came from its origin. */
  readonly onFetched: (want: Want) => void
}

interface Coming {
  /** Undefined where it did not come this way. */
  readonly received: Promise<Uint8Array | undefined>
  /** It is in the store, or will not be. */
  readonly brought: Promise<void>
}

export function createSmallContents(components: SmallContentComponents): SmallContents {
  const { runner, store, notary, origin, askPeers, rates, logger, observer } = components
  const uploadPace = createPace([rates.upload], components.sleep)
  const originPace = createPace([rates.origin, rates.download], components.sleep)
  const coming = new Map<Digest, Coming>()
  const stopped = new AbortController()
  let serving = 0

  async function bring(want: Want): Promise<void> {
    const { digest } = want
    const known = store.state(digest)
    // What is partly here, a swarm has begun.
    if (!isSmall(want) || known?.complete === true || (known !== undefined && countBits(known.have) > 0)) return
    const session = runner.sessions.find(digest)
    if (session !== undefined && isHere(session)) return
    const ongoing = coming.get(digest)
    if (ongoing !== undefined) return ongoing.brought
    const leave = (error: unknown): undefined => {
      logger.debug({ err: error, digest }, 'a small content is left to the swarm')
    }
    const received = receive(want).catch(leave)
    const brought = received
      .then((bytes) => bytes && keep(digest, bytes))
      .catch(leave)
      .finally(() => coming.delete(digest))
    coming.set(digest, { received, brought })
    return brought
  }

  /** Checked against its digest; undefined where nobody may fetch it yet. */
  async function receive(want: Want): Promise<Uint8Array | undefined> {
    const asked = await askPeers(want, stopped.signal)
    if (asked.kind === 'held-back') return undefined
    if (asked.kind === 'content') {
      rates.download.count(asked.bytes.length)
      observer.received('peer', asked.bytes.length)
      return asked.bytes
    }
    await originPace.wait(stopped.signal)
    const fetched = await fetch(want, AbortSignal.any([stopped.signal, AbortSignal.timeout(limits.smallFetchMs)]))
    rates.origin.count(fetched.length)
    rates.download.count(fetched.length)
    observer.received('origin', fetched.length)
    const actual = digestFromHex(sha256(fetched))
    if (actual !== want.digest) throw new ShoalError('BLOB_CORRUPT', `What came as ${want.digest} is ${actual}`)
    components.onFetched(want)
    return fetched
  }

  async function fetch(want: Want, signal: AbortSignal): Promise<Uint8Array> {
    const { digest, size, credential } = want
    if (want.kind === 'manifest' || size === undefined) {
      return (await origin.getManifest(want, digest, credential, signal)).body
    }
    const range = {
      origin: want.origin,
      repository: want.repository,
      kind: want.kind,
      digest,
      size,
      start: 0,
      end: size,
    }
    const pieces: Uint8Array[] = []
    for await (const piece of (await origin.fetchRange(range, credential, signal)).body) pieces.push(Buffer.from(piece))
    return Buffer.concat(pieces)
  }

  /** The whole was checked, so each chunk of it is proved by this node. Where the disk refuses them they pass through. */
  async function keep(digest: Digest, bytes: Uint8Array): Promise<void> {
    const session = await runner.sessions.acquire(digest, bytes.length)
    try {
      if (isHere(session) || countBits(session.stored.have) > 0) return
      // Before it is written: another chunk, of which the swarm's write is under way, goes when that ends.
      session.proved = true
      const kept = await Promise.all(chunked(bytes).map((chunk, index) => keepChunk(session, chunk, index)))
      session.changed.notify()
      if (!kept.every(Boolean)) return
      await session.stored.markComplete()
      runner.post({ type: 'held', digest, size: session.size, have: session.stored.have.slice(), complete: true })
    } finally {
      runner.sessions.release(session)
    }
  }

  async function keepChunk(session: BlobSession, chunk: Uint8Array, index: number): Promise<boolean> {
    const fields = { index, hash: sha256(chunk), witness: { kind: 'proved' } } as const
    const signature = notary.sign(entryPayload(session.digest, session.size, fields))
    session.genuine[index] = fields.hash
    const entry: Entry = { ...fields, signer: notary.self, signature }
    try {
      await session.stored.write(index, [chunk], entry)
      if (session.stored.hash(index) !== entry.hash)
        throw new ShoalError('CHUNK_CORRUPT', `another chunk ${index} of ${session.digest} was being written`)
      return true
    } catch (error) {
      logger.debug({ err: error }, 'a small content passes through unkept')
      const bytes = runner.pool.take(chunk.length)
      bytes.set(chunk)
      session.unkept.put(index, bytes, entry)
      return false
    }
  }

  async function serve(digest: Digest): Promise<ContentAnswer> {
    const ongoing = coming.get(digest)
    if (ongoing !== undefined && !(await within(ongoing.received, limits.relayHoldMs))) return { kind: 'coming' }
    if (serving >= limits.smallServesMax) return { kind: 'none' }
    serving++
    try {
      // Whoever waits need not wait for the disk too.
      const received = await ongoing?.received
      return received === undefined ? await readKept(digest) : await give(received, 'shoal')
    } finally {
      serving--
    }
  }

  async function readKept(digest: Digest): Promise<ContentAnswer> {
    const known = store.state(digest)
    if (known?.complete !== true || known.size > limits.manifestSizeMaxBytes) return { kind: 'none' }
    const { size } = known
    const session = await runner.sessions.acquire(digest, size)
    try {
      const bytes = new Uint8Array(size)
      const chunkSize = chunkSizeOf(size)
      for (let at = 0; at < size; at += chunkSize) {
        const length = Math.min(chunkSize, size - at)
        const piece = await readHeld(session, at, length, bytes.subarray(at, at + length))
        if (piece === undefined) return { kind: 'none' }
      }
      return await give(bytes, session.stored.source)
    } finally {
      runner.sessions.release(session)
    }
  }

  async function give(bytes: Uint8Array, source: BlobSession['stored']['source']): Promise<ContentAnswer> {
    await uploadPace.wait(stopped.signal)
    rates.upload.count(bytes.length)
    observer.uploaded('sent', source, bytes.length)
    return { kind: 'content', bytes }
  }

  return { bring, serve, stop: () => stopped.abort() }
}

/** A manifest's size need not be known: it is small by definition. */
function isSmall({ kind, size }: Want): boolean {
  return size === undefined ? kind === 'manifest' : size > 0 && size <= limits.smallContentMaxBytes
}

/** Also from what a full disk refused, as long as it is in memory. */
function isHere(session: BlobSession): boolean {
  return chunksOf(session.size).every((index) => holdsChunk(session, index))
}

function chunked(bytes: Uint8Array): Uint8Array[] {
  const chunkSize = chunkSizeOf(bytes.length)
  return Array.from({ length: chunkCountOf(bytes.length) }, (_, index) =>
    bytes.subarray(index * chunkSize, (index + 1) * chunkSize),
  )
}

function sha256(bytes: Uint8Array): string {
  return createHash('sha256').update(bytes).digest('hex')
}
