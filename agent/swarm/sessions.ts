/** The blobs of this node that somebody reads, fetches or uploads from now: each opened once, closed when long unused. */
import { ShoalError } from '../../core/errors.ts'
import { type Digest, digestOfNothing } from '../../core/oci/digest.ts'
import { createBoundedMap, type BoundedMap } from '../../core/bounded-map.ts'
import { limits } from '../../core/limits.ts'
import type { BlobStore, Clock, StoredBlob } from '../../core/ports.ts'
import { hasBit } from '../../core/swarm/bitfield.ts'
import { chunkSizeOf, chunksOf } from '../../core/swarm/chunks.ts'
import type { Entry } from '../../core/swarm/entry.ts'
import type { OriginFailure } from '../../core/swarm/events.ts'
import type { CredentialLives } from '../access/credential-lives.ts'
import type { Want } from '../registry/ports.ts'
import { sizeConflict } from '../store/shelves.ts'
import type { OriginError } from '../upstream/origin-error.ts'
import type { BufferPool } from './buffer-pool.ts'
import { createChange, type Change } from './change.ts'
import { chunkKey } from './chunk-key.ts'
import type { RecentChunks } from './recent-chunks.ts'
import { createUnkeptChunks, type UnkeptChunks } from './unkept-chunks.ts'

export type SessionFailure = OriginFailure | { readonly kind: 'corrupt' }

export interface BlobSession {
  readonly digest: Digest
  readonly size: number
  readonly stored: StoredBlob
  readonly unkept: UnkeptChunks
  /** Entries that this node signed for chunks of the proved blob, made when first needed. */
  readonly proofs: Map<number, Entry>
  /** Told of every chunk gained or lost, of the proof, and of failure. */
  readonly changed: Change
  /** Who wants it, by origin, repository and credential: a fetch from there shows one of their credentials. */
  readonly wants: BoundedMap<string, Want>
  /** What its origin said of each want that it refused, by the same: in words that may name the repository, so for nobody else. */
  readonly refusals: BoundedMap<string, OriginError>
  /** Why readers of an origin get no more. */
  readonly failures: BoundedMap<string, SessionFailure>
  /** Why one reader gets no more, while others may. */
  readonly endedReaders: Map<number, SessionFailure>
  /** The whole blob matched its digest. */
  proved: boolean
  /** SHA-256 of each chunk that the proof has read: once it has proved the blob, no other chunk belongs there, though the disk refused this one. */
  readonly genuine: string[]
  /** Grows when the blob's chunks are thrown away: what a reader took before means nothing after. */
  generation: number
  /** How far the proof has read; what lies before it is needed by readers only. */
  provedBytes: number
  /** Where each reader is. */
  readonly positions: Map<number, number>
  /** Whom each reader trusts. */
  readonly origins: Map<number, string>
  /** Readers, uploads and writes under way. */
  uses: number
  idleSinceMs: number
  /** What was just written, of all sessions. */
  readonly recent: RecentChunks
  /** This chunk was found missing or corrupt. */
  readonly onLost: (index: number, error: ShoalError) => void
}

export interface Sessions {
  /** Opens the blob, or joins the session there is; pair each with `release`. Rejects as `BlobStore.open`. */
  acquire(digest: Digest, size: number): Promise<BlobSession>
  release(session: BlobSession): void
  find(digest: Digest): BlobSession | undefined
  /** Closes the sessions that nobody used for `idleMs`. */
  sweep(idleMs: number): Promise<void>
  count(): number
}

export interface SessionComponents {
  readonly store: BlobStore
  readonly clock: Clock
  readonly pool: BufferPool
  readonly recent: RecentChunks
  readonly onOpened: (session: BlobSession) => void
  /** A chunk of this session was found missing or corrupt. */
  readonly onLost: (session: BlobSession, index: number, error: ShoalError) => void
}

export function createSessions({ store, clock, pool, recent, onOpened, onLost }: SessionComponents): Sessions {
  const opening = new Map<Digest, Promise<BlobSession>>()
  const open = new Map<Digest, BlobSession>()

  async function acquire(digest: Digest, size: number): Promise<BlobSession> {
    // A read of it would end at once, without a byte that is held back until the digest matches.
    if (size === 0 && digest !== digestOfNothing) throw new ShoalError('SIZE_CONFLICT', `${digest} has bytes`)
    // A manifest can name any size, and each chunk takes memory here.
    if (size > limits.blobSizeMaxBytes)
      throw new ShoalError('BLOB_TOO_LARGE', `${digest} is said to have ${size} bytes`)
    const session = open.get(digest) ?? (await (opening.get(digest) ?? start(digest, size)))
    // One of the two has it from a manifest that lies.
    if (session.size !== size) throw sizeConflict(session, size)
    session.uses++
    return session
  }

  function start(digest: Digest, size: number): Promise<BlobSession> {
    const started = store
      .open(digest, size)
      .then((stored) => {
        const session: BlobSession = createSession(
          stored,
          clock.now(),
          { unkept: createUnkeptChunks(pool), recent },
          (index, error) => onLost(session, index, error),
        )
        open.set(digest, session)
        onOpened(session)
        return session
      })
      .finally(() => opening.delete(digest))
    opening.set(digest, started)
    return started
  }

  function release(session: BlobSession): void {
    session.uses--
    session.idleSinceMs = clock.now()
  }

  async function sweep(idleMs: number): Promise<void> {
    const unused = [...open.values()].filter(
      ({ uses, idleSinceMs }) => uses === 0 && clock.now() - idleSinceMs >= idleMs,
    )
    for (const { digest, size, unkept } of unused) {
      open.delete(digest)
      unkept.clear()
      // By the time of the next one the store may have another copy.
      for (const index of chunksOf(size)) recent.drop(chunkKey(digest, index))
    }
    await Promise.all(unused.map(({ stored }) => stored.close()))
  }

  return { acquire, release, find: (digest) => open.get(digest), sweep, count: () => open.size }
}

function createSession(
  stored: StoredBlob,
  nowMs: number,
  inMemory: Pick<BlobSession, 'unkept' | 'recent'>,
  onLost: BlobSession['onLost'],
): BlobSession {
  return {
    digest: stored.digest,
    size: stored.size,
    stored,
    ...inMemory,
    proofs: new Map(),
    changed: createChange(),
    wants: createBoundedMap(limits.wantsPerBlob),
    refusals: createBoundedMap(limits.wantsPerBlob),
    failures: createBoundedMap(limits.wantsPerBlob),
    endedReaders: new Map(),
    proved: stored.complete,
    genuine: [],
    generation: 0,
    provedBytes: 0,
    positions: new Map(),
    origins: new Map(),
    uses: 0,
    idleSinceMs: nowMs,
    onLost,
  }
}

/** From now on this want's credential may be shown to its origin for the blob. */
export function noteWant(session: BlobSession, want: Want): void {
  session.wants.set(wantKey(want), want)
}

/** The origin refuses this want, as when its credential has run out: it is shown no more. */
export function dropWant(session: BlobSession, want: Want, refusal: OriginError): void {
  session.wants.delete(wantKey(want))
  session.refusals.set(wantKey(want), refusal)
}

/** What the origin said of this want, should it have refused it. */
export function refusalOf(session: BlobSession, want: Want): OriginError | undefined {
  return session.refusals.get(wantKey(want))
}

/** The latest first: its token lives the longest. */
export function wantsOf(session: BlobSession, origin: string): Want[] {
  return [...session.wants]
    .map(([, want]) => want)
    .filter((want) => want.origin === origin)
    .toReversed()
}

/** What readers hear whose credentials for this origin have run out. */
export function noteSpentWants(session: BlobSession, origin: string, lives: Pick<CredentialLives, 'ending'>): void {
  for (const want of wantsOf(session, origin)) {
    const ending = lives.ending(want, want.credential)
    if (ending !== undefined) session.refusals.set(wantKey(want), ending)
  }
}

function wantKey({ origin, repository, credential }: Want): string {
  return `${origin} ${repository} ${credential.key}`
}

export function holdsChunk(session: BlobSession, index: number): boolean {
  return hasBit(session.stored.have, index) || session.unkept.has(index)
}

/** Under whose word a held chunk is here; undefined where it is containerd's. */
export function entryOf({ stored, unkept }: BlobSession, index: number): Entry | undefined {
  return unkept.entry(index) ?? stored.entry(index)
}

/** SHA-256 of a held chunk. */
export function hashOf({ stored, unkept }: BlobSession, index: number): string | undefined {
  return unkept.entry(index)?.hash ?? stored.hash(index)
}

/**
 * Reads bytes within one held chunk into `into`. Undefined when the chunk turned out not to be there, or not to match its hash: the
 * swarm knows, and brings it again if somebody wants it.
 */
export async function readHeld(
  session: BlobSession,
  offset: number,
  length: number,
  into: Uint8Array,
): Promise<Uint8Array | undefined> {
  const chunkSize = chunkSizeOf(session.size)
  const index = Math.floor(offset / chunkSize)
  const within = offset % chunkSize
  const isCopied =
    session.unkept.copy(index, within, length, into) ||
    session.recent.copy(chunkKey(session.digest, index), within, length, into)
  if (isCopied) return into.subarray(0, length)
  try {
    return await session.stored.read(offset, length, into)
  } catch (error) {
    // What a disk fails to read is dropped as well.
    const isLost =
      error instanceof ShoalError && (error.code === 'CHUNK_CORRUPT' || !hasBit(session.stored.have, index))
    if (!isLost) throw error
    session.onLost(index, error)
    return undefined
  }
}

/** Lets go of unkept chunks that the proof and every reader have behind them. */
export function pruneUnkept(session: BlobSession): void {
  if (session.unkept.size === 0) return
  const needed = Math.min(session.proved ? session.size : session.provedBytes, ...session.positions.values())
  const chunkSize = chunkSizeOf(session.size)
  for (const index of session.unkept.indices()) if ((index + 1) * chunkSize <= needed) session.unkept.drop(index)
}
