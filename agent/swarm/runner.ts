/**
 * Runs core/swarm on real parts: what transport, origin, store and directory report becomes events, taken one at a
 * time; the swarm's commands are carried out. Decides nothing itself.
 */
import type { Digest } from '../../core/oci/digest.ts'
import type { BlobStore, Clock, LessonStore, Notary, PeerId, Random } from '../../core/ports.ts'
import type { ShoalError } from '../../core/errors.ts'
import { countBits } from '../../core/swarm/bitfield.ts'
import { chunkCountOf, chunkLengthOf, chunksOf } from '../../core/swarm/chunks.ts'
import type { SwarmCommand, SwarmEvent } from '../../core/swarm/events.ts'
import type { RateLimits } from '../../core/swarm/rate.ts'
import { type CredentialLife, noLife, type SwarmOptions } from '../../core/swarm/state.ts'
import { createSwarm, type Swarm } from '../../core/swarm/swarm.ts'
import { limits } from '../../core/limits.ts'
import type { Logger } from '../logging.ts'
import type { CredentialLives } from '../access/credential-lives.ts'
import type { Want } from '../registry/ports.ts'
import type { PeerTransport, TransportEvent } from '../transport/peer-transport.ts'
import type { Sleep } from '../upstream/retry.ts'
import { type BufferPool, createBufferPool } from './buffer-pool.ts'
import { createChunkBuffers } from './chunk-buffers.ts'
import { chunkKey } from './chunk-key.ts'
import { createOriginFetches, type RangeOrigin } from './origin-fetches.ts'
import { createProofs } from './proofs.ts'
import { createRecentChunks } from './recent-chunks.ts'
import { createSessions, noteSpentWants, entryOf, type BlobSession, type Sessions, wantsOf } from './sessions.ts'
import { createTicks } from './ticks.ts'
import { createUploads, type UploadOutcome } from './uploads.ts'
import { createWrites } from './writes.ts'

export interface RunnerObserver {
  received(source: 'origin' | 'peer', bytes: number): void
  uploaded(outcome: UploadOutcome, source: BlobSession['stored']['source'], bytes: number): void
  refused(answer: 'busy' | 'missing'): void
  banned(): void
  /** Chunks that are held are taken from the origin again, outside its budget. */
  escaped(): void
}

export interface RunnerComponents {
  readonly clock: Clock
  readonly random: Random
  readonly notary: Notary
  readonly store: BlobStore
  readonly lessons: LessonStore
  readonly transport: PeerTransport
  readonly origin: RangeOrigin
  readonly lives: Pick<CredentialLives, 'ending' | 'lifeOf'>
  readonly rates: RateLimits
  readonly sleep: Sleep
  readonly logger: Logger
  readonly observer: RunnerObserver
  /** Tells the directory of a digest. */
  readonly announce: (digest: Digest, now: boolean) => void
  readonly caution: () => void
  /** Asks another member to take a blob that only this agent has; does one? */
  readonly offer: (digest: Digest, size: number) => Promise<boolean>
  /** The whole blob came from this origin, to this agent and others. */
  readonly onFetched: (want: Want) => void
}

/** A request whose frames are wanted, and how many of its bytes are still to come. */
interface Expected {
  readonly chunk: string
  missing: number
  /** Bytes that came and that the swarm has not been told of. */
  untold: number
}

export interface Runner {
  readonly swarm: Swarm
  readonly sessions: Sessions
  readonly pool: BufferPool
  post(event: SwarmEvent): void
  /** A number for the swarm's next reader. */
  readerId(): number
  start(): void
  /**
   * Gives to others what only this agent has, of which at most `maxBytes` to who has not asked for it. Resolves when nothing is
   * left that anybody takes, which may be never.
   */
  handOver(maxBytes: number): Promise<void>
  /** Lets uploads under way end, for a moment; ends all other transfers and waits for writes under way. */
  stop(): Promise<void>
}

export type RunnerOptions = Pick<SwarmOptions, 'witnesses' | 'places' | 'addressOfMember'>

export function createRunner(components: RunnerComponents, options: RunnerOptions = {}): Runner {
  const { lessons, lives, store, transport, rates, logger, observer } = components
  const pool = createBufferPool()
  const recent = createRecentChunks(pool)
  const sessions = createSessions({ ...components, pool, recent, onOpened, onLost })
  const buffers = createChunkBuffers(pool)
  const queue: SwarmEvent[] = []
  const expected = new Map<PeerId, Map<number, Expected>>()
  const departed = Promise.withResolvers<void>()
  /** Blobs that could not be opened when they were to be proved. */
  const unopened = new Set<Digest>()
  let readers = 0
  let draining = false
  let learning = Promise.resolve()
  let sweeping: NodeJS.Timeout | undefined

  const swarm = createSwarm(
    { ...components, self: transport.self, emit: carryOut },
    { ...options, download: rates.download, credentialLife, lessons: lessons.kept() },
  )
  const ticks = createTicks({ isAtRest: () => swarm.isAtRest(), tick })
  const proofs = createProofs({ pool, onEnd: onProofEnd, onMixed: proveAnew })
  const writes = createWrites({
    pool,
    recent,
    sessions,
    buffers,
    post,
    logger,
    onGained,
    onUnproved: (session) => proofs.restart(session),
  })
  const fetches = createOriginFetches({
    ...components,
    sessions,
    buffers,
    writes,
    post,
    onBytes: (bytes) => observer.received('origin', bytes),
  })
  const uploads = createUploads({
    ...components,
    rate: rates.upload,
    pool,
    sessions,
    post,
    onUploaded: (...outcome) => observer.uploaded(...outcome),
  })

  /** Events that a command brings about at once wait for their turn: the swarm handles one at a time. */
  function post(event: SwarmEvent): void {
    if (event.type !== 'tick') ticks.wake()
    queue.push(event)
    if (draining) return
    draining = true
    try {
      for (let next = queue.shift(); next !== undefined; next = queue.shift()) swarm.handle(next)
    } finally {
      draining = false
    }
  }

  function carryOut(command: SwarmCommand): void {
    switch (command.type) {
      case 'dial':
        return void dial(command.peer, command.addresses)
      case 'release':
        return transport.disconnect(command.peer)
      case 'send':
        if (command.message.type === 'busy' || command.message.type === 'missing')
          observer.refused(command.message.type)
        return transport.send(command.peer, command.message)
      case 'upload':
        return uploads.start(command)
      case 'stop-upload':
        return uploads.stop(command.peer, command.id)
      case 'expect':
        return expect(command)
      case 'ignore':
        return ignore(command)
      case 'fetch-origin':
        if (command.isEscape) observer.escaped()
        return fetches.start(command)
      case 'stop-fetch':
        return fetches.stop(command.fetch)
      case 'hash':
        return writes.hash(command)
      case 'keep':
        return writes.keep(command)
      case 'deliver':
        return sessions.find(command.digest)?.changed.notify()
      case 'vouch':
        return void vouch(command).catch((error: unknown) => logger.debug({ err: error }, 'could not vouch'))
      case 'drop':
        return buffers.drop(chunkKey(command.digest, command.index))
      case 'prove':
        return void prove(command.digest, command.size)
      case 'discard':
        return void discard(command.digest, command.indices)
      case 'announce':
        return components.announce(command.digest, command.now)
      case 'caution':
        return components.caution()
      case 'learnt':
        return void (learning = lessons.keep(swarm.lessons()))
      case 'offer':
        return void offer(command.digest, command.size)
      case 'departed':
        return departed.resolve()
      case 'ban':
        logger.warn({ peer: command.peer, address: command.address, reason: command.reason }, 'peer banned')
        observer.banned()
        return transport.ban(command.peer, limits.banMs, command.address)
      case 'fail':
        return fail(command)
    }
  }

  async function offer(digest: Digest, size: number): Promise<void> {
    const isTaken = await components.offer(digest, size)
    post({ type: 'offered', digest, isTaken })
  }

  function handOver(maxBytes: number): Promise<void> {
    post({ type: 'departs', maxBytes })
    return departed.promise
  }

  async function dial(peer: PeerId, addresses: readonly string[]): Promise<void> {
    try {
      await transport.dial(peer, addresses)
    } catch (error) {
      logger.debug({ err: error, peer }, 'dial failed')
      post({ type: 'dial-failed', peer })
    }
  }

  function expect({ peer, id, digest, size, index, offset }: Extract<SwarmCommand, { type: 'expect' }>): void {
    const chunk = chunkKey(digest, index)
    const length = chunkLengthOf(size, index)
    buffers.begin(chunk, requestKey(peer, id), offset, length)
    const ofPeer = expected.get(peer) ?? new Map<number, Expected>()
    expected.set(peer, ofPeer.set(id, { chunk, missing: length - offset, untold: 0 }))
  }

  function ignore({ peer, id, digest, index, received }: Extract<SwarmCommand, { type: 'ignore' }>): void {
    expected.get(peer)?.delete(id)
    buffers.end(chunkKey(digest, index), requestKey(peer, id), received)
  }

  function onTransport(event: TransportEvent): void {
    switch (event.type) {
      case 'connected':
        return post({ type: 'peer-connected', peer: event.peer, address: event.address })
      case 'disconnected':
        expected.delete(event.peer)
        return post({ type: 'peer-disconnected', peer: event.peer })
      case 'message':
        return post(event)
      case 'chunk-started':
        return post(event)
      case 'frame':
        return onFrame(event)
      case 'violation':
        logger.warn({ err: event.error, peer: event.peer, address: event.address }, 'peer broke the protocol')
        return post({ type: 'peer-violated', peer: event.peer, address: event.address })
    }
  }

  function onFrame({ peer, id, bytes }: Extract<TransportEvent, { type: 'frame' }>): void {
    observer.received('peer', bytes.length)
    const request = expected.get(peer)?.get(id)
    // More bytes than the chunk has are the swarm's to judge; they have no place in the buffer.
    if (request === undefined || bytes.length > request.missing)
      return post({ type: 'frame', peer, id, bytes: bytes.length })
    buffers.append(request.chunk, requestKey(peer, id), bytes)
    request.missing -= bytes.length
    request.untold += bytes.length
    if (request.missing > 0 && request.untold < limits.frameSizeBytes) return
    tell(peer, id, request)
  }

  function tell(peer: PeerId, id: number, request: Expected): void {
    const { untold } = request
    request.untold = 0
    if (request.missing === 0) expected.get(peer)?.delete(id)
    post({ type: 'frame', peer, id, bytes: untold })
  }

  /** Packets are told of by the frame; what is less than one by the tick, so that a slow peer is not taken for a silent one. */
  function tick(): void {
    for (const [peer, requests] of expected)
      for (const [id, request] of requests) if (request.untold > 0) tell(peer, id, request)
    post({ type: 'tick' })
  }

  /** Whatever was proven is so no more. Where the swarm itself had the chunk discarded while somebody read it, nothing is lost. */
  function onLost(session: BlobSession, index: number, error: ShoalError): void {
    const { digest } = session
    recent.drop(chunkKey(digest, index))
    if (!swarm.holds(digest, index)) return
    logger.warn({ err: error }, 'a chunk on disk was lost')
    proveAnew(session)
  }

  /** What only memory had may have been let go: it comes again. */
  function proveAnew(session: BlobSession): void {
    const { digest, stored } = session
    proofs.restart(session)
    post({ type: 'lost', digest, have: stored.have.slice() })
    tellEntries(session)
  }

  function onOpened(session: BlobSession): void {
    const { digest, size, stored } = session
    if (unopened.delete(digest))
      post({ type: 'held', digest, size, have: stored.have.slice(), complete: stored.complete })
    tellEntries(session)
  }

  /** Under what the chunks of an unproven blob were kept is in its log: a restart has forgotten it. */
  function tellEntries({ digest, size, stored }: BlobSession): void {
    if (stored.complete || countBits(stored.have) === 0) return
    const entries = Array.from({ length: chunkCountOf(size) }, (_, index) => stored.entry(index))
    post({ type: 'entries', digest, entries })
  }

  /** This node's own word for a blob that it has proved. */
  async function vouch(command: Extract<SwarmCommand, { type: 'vouch' }>): Promise<void> {
    const { peer, digest, size } = command
    const session = await sessions.acquire(digest, size)
    const hashes: string[] = []
    for (let index = command.start; index < command.end; index++) hashes.push(session.stored.hash(index) ?? '')
    const isSure = session.proved && !hashes.includes('')
    if (isSure) transport.send(peer, { type: 'vouch', digest, start: command.start, hashes })
    sessions.release(session)
  }

  function onGained(session: BlobSession): void {
    session.changed.notify()
    proofs.advance(session)
  }

  async function prove(digest: Digest, size: number): Promise<void> {
    const session = await sessions.acquire(digest, size).catch((error: unknown) => {
      logger.warn({ err: error }, 'a blob that is to be proved can not be opened')
    })
    if (session === undefined) {
      // As good as gone, until somebody who wants it can open it.
      unopened.add(digest)
      return post({ type: 'evicted', digest })
    }
    // Stopped, as chunks were dropped meanwhile: the swarm asks again when all are here.
    const ok = await proofs.result(session).catch(() => undefined)
    if (ok === true)
      await session.stored.markComplete().catch((error: unknown) => logger.warn({ err: error }, 'proof not kept'))
    sessions.release(session)
    if (ok !== undefined) post({ type: 'proved', digest, ok })
  }

  async function discard(digest: Digest, indices?: readonly number[]): Promise<void> {
    const session = sessions.find(digest)
    if (session === undefined) return
    session.generation++
    for (const index of indices ?? chunksOf(session.size)) {
      session.unkept.drop(index)
      recent.drop(chunkKey(digest, index))
    }
    proofs.restart(session)
    session.changed.notify()
    await session.stored.discard(indices).catch((error: unknown) => logger.warn({ err: error }, 'discard failed'))
  }

  function credentialLife(digest: Digest, origin: string): CredentialLife {
    const session = sessions.find(digest)
    let longest = noLife
    for (const want of session === undefined ? [] : wantsOf(session, origin)) {
      const life = lives.lifeOf(want, want.credential)
      if (life.endsAtMs > longest.endsAtMs) longest = life
    }
    return longest
  }

  function fail({ digest, origin, reader, failure }: Extract<SwarmCommand, { type: 'fail' }>): void {
    const session = sessions.find(digest)
    logger.info({ digest, failure: failure.kind }, 'no source is left for a blob')
    if (session === undefined) return
    noteSpentWants(session, origin, lives)
    if (reader === undefined) session.failures.set(origin, failure)
    else if (session.positions.has(reader)) session.endedReaders.set(reader, failure)
    session.changed.notify()
  }

  function start(): void {
    for (const { digest, size, have, complete } of store.list()) post({ type: 'held', digest, size, have, complete })
    store.onFound(({ digest, size, have, complete }) => {
      post({ type: 'held', digest, size, have, complete })
      // Who has another copy open, and waits for what is not brought any more, says what that lacks.
      sessions.find(digest)?.changed.notify()
    })
    store.onEvicted((digest) => post({ type: 'evicted', digest }))
    transport.on(onTransport)
    ticks.start()
    sweeping = setInterval(() => void sessions.sweep(limits.sessionIdleMs), limits.sessionIdleMs / 2)
  }

  async function stop(): Promise<void> {
    ticks.stop()
    clearInterval(sweeping)
    fetches.stopAll()
    await uploads.settled(limits.uploadsEndMs)
    uploads.stopAll()
    await writes.settled()
    await learning
    await sessions.sweep(0)
  }

  /** The proof may end without the swarm having asked for it: where the disk refused chunks, only readers need it. */
  function onProofEnd(session: BlobSession, ok: boolean): void {
    if (ok) {
      session.proved = true
      dropOthers(session)
    } else if (countBits(session.stored.have) < chunkCountOf(session.size)) endCorrupt(session)
    if (ok) for (const [, want] of session.wants) if (isFetchedFrom(session, want.origin)) components.onFetched(want)
    session.changed.notify()
  }

  /** What came in the place of what the proof had read, and let go, is another chunk: it goes, and who needs one there gets it anew. */
  function dropOthers(session: BlobSession): void {
    const { digest, genuine, size, stored, unkept } = session
    const isOther = (hash: string | undefined, index: number) => hash !== undefined && hash !== genuine[index]
    const passed = [...unkept.indices()].filter((index) => isOther(unkept.entry(index)?.hash, index))
    const kept = chunksOf(size).filter((index) => isOther(stored.hash(index), index))
    if (passed.length + kept.length === 0) return
    session.generation++
    for (const index of passed) unkept.drop(index)
    for (const index of kept) recent.drop(chunkKey(digest, index))
    // To a copy of containerd's, to discard nothing of it is to discard all.
    if (kept.length > 0) stored.discard(kept).catch((error: unknown) => logger.warn({ err: error }, 'discard failed'))
    post({ type: 'lost', digest, have: stored.have.slice() })
  }

  /** Nobody knows which chunk is wrong: its readers end, and what the disk refused comes anew for the next one. */
  function endCorrupt(session: BlobSession): void {
    for (const [, { origin }] of session.wants) session.failures.set(origin, { kind: 'corrupt' })
    session.unkept.clear()
    proofs.restart(session)
    post({ type: 'proved', digest: session.digest, ok: false })
  }

  return { swarm, pool, sessions, post, readerId: () => ++readers, start, handOver, stop }
}

function isFetchedFrom(session: BlobSession, origin: string): boolean {
  return chunksOf(session.size).every((index) => {
    const witness = entryOf(session, index)?.witness
    return witness?.kind === 'fetched' && witness.origin === origin
  })
}

function requestKey(peer: PeerId, id: number): string {
  return `${peer} ${id}`
}
