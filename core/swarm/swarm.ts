/**
 * The swarm of one agent: every digest it holds or wants, every peer it deals with. Pure: events in, commands out, time and
 * chance from ports, so that the agent and the simulator run the same program (DESIGN, Swarm).
 */
import type { AnnounceItem } from '../directory/messages.ts'
import type { Caution } from '../members/messages.ts'
import { second } from '../units.ts'
import type { Digest } from '../oci/digest.ts'
import type { PeerId } from '../ports.ts'
import { hasBit } from './bitfield.ts'
import { heedCautions, ownCautions } from './caution.ts'
import { depart, mayTake, onOffered, watchDeparture } from './departure.ts'
import { announceState, onAnswer } from './directory-talk.ts'
import {
  abandonBuffers,
  endReader,
  endRenewal,
  failWhenHopeless,
  forgetWhenEmpty,
  loseChunks,
  missChunks,
} from './ending.ts'
import type { SwarmEvent } from './events.ts'
import { adoptEntries } from './evidence.ts'
import { audit } from './forgery.ts'
import { onViolated, refuseBanned, spend, strike } from './bans.ts'
import { isBanned } from './hosts.ts'
import { askProved, mayDeliver, onDoubt, onVouch, watchHeldBack } from './witnesses.ts'
import { onChunkStarted, onFrame, onHashed, onKept, onProved, proveWhenWhole } from './integrity.ts'
import { lessonsOf, recall, type Lessons } from './lessons.ts'
import { measureLink } from './link.ts'
import { isAtRest, measureLoad } from './load.ts'
import type { PeerMessage } from './messages.ts'
import { dropNeighbour, onHave, onJoin, rejoinAll, tellWhenDue } from './neighbours.ts'
import {
  onDirectorySilent,
  onOriginEnded,
  onOriginFrame,
  onOriginUnranged,
  pumpOrigin,
  startFetches,
  trustAgain,
  watchFetches,
} from './origin.ts'
import { askForLease } from './wishes.ts'
import {
  connectMore,
  endDialWaits,
  endRests,
  forgetDead,
  onCame,
  onConnected,
  onDialFailed,
  onDisconnected,
  onGone,
  onSilent,
  passHangingDials,
  peerOf,
  releaseIdle,
} from './peers.ts'
import { moveWaiting, onBusy, onMissing, onQueued, overtakeSlow, requestMore, watchTransfers } from './requests.ts'
import { adoptHeld, advanceCursors, createSession, moveReader, openReader, tellDirectory } from './session.ts'
import { createState, type Session, type SwarmComponents, type SwarmOptions, type SwarmState } from './state.ts'
import { endDeflections, onSuggested } from './suggestions.ts'
import { dropUnbelievedOf } from './trust.ts'
import { takeTurns } from './turns.ts'
import { onCancel, onRequest, onUploaded, remindWaiting, turnAwayIdle } from './uploads.ts'

/** Numbers for metrics and for the simulator's checkers. */
export interface SwarmStats {
  readonly sessions: number
  readonly readers: number
  readonly peersConnected: number
  readonly peersKnown: number
  readonly requests: number
  readonly uploadsActive: number
  readonly uploadsWaiting: number
  readonly inFlightBytes: number
  readonly settlingBytes: number
  readonly fetches: number
  /** To fetch from the origin, or across a border. */
  readonly leases: number
}

/** How far one digest is. */
export interface SwarmProgress {
  readonly size: number
  readonly chunks: number
  readonly held: number
  readonly complete: boolean
  readonly neighbours: number
}

export interface Swarm {
  handle(event: SwarmEvent): void
  /** What the directory should hear of `digest` now; undefined when this node has nothing to say of it. */
  announceState(digest: Digest): AnnounceItem | undefined
  /** Of whom others should be cautioned, as this node has found out. */
  cautions(): readonly Caution[]
  /** What lies have taught this node, now. */
  lessons(): Lessons
  /** May a reader that trusts `origin` be given this chunk, which is held? `deliver` tells when that has changed for one that waits. */
  mayDeliver(digest: Digest, index: number, origin: string): boolean
  /** Is this chunk held, as far as the swarm has heard? */
  holds(digest: Digest, index: number): boolean
  /** May this node take a blob that another one, who leaves the cluster, would leave behind? */
  mayTake(digest: Digest, size: number): boolean
  /** Digests held or wanted. */
  digests(): Iterable<Digest>
  progress(digest: Digest): SwarmProgress | undefined
  stats(): SwarmStats
  /** Nothing is under way that a tick could further: one each `limits.restTickMs` is enough, and one before the next event. */
  isAtRest(): boolean
}

export function createSwarm(components: SwarmComponents, options: SwarmOptions = {}): Swarm {
  const state = createState(components, options)
  if (options.lessons !== undefined) recall(state, options.lessons)
  return {
    handle: (event) => {
      dispatch(state, event)
      requestMore(state)
    },
    announceState: (digest) => announceState(state, digest),
    cautions: () => ownCautions(state),
    lessons: () => lessonsOf(state),
    mayDeliver(digest, index, origin) {
      const session = state.sessions.get(digest)
      return session !== undefined && mayDeliver(state, session, index, origin)
    },
    holds(digest, index) {
      const session = state.sessions.get(digest)
      return session !== undefined && hasBit(session.have, index)
    },
    mayTake: (digest, size) => mayTake(state, digest, size),
    digests: () => state.sessions.keys(),
    progress: (digest) => progressOf(state.sessions.get(digest)),
    stats: () => statsOf(state),
    isAtRest: () => isAtRest(state),
  }
}

function progressOf(session: Session | undefined): SwarmProgress | undefined {
  if (session === undefined) return undefined
  const { complete, count, heldCount, neighbours, size } = session
  return { size, chunks: count, held: heldCount, complete, neighbours: neighbours.size }
}

function statsOf(state: SwarmState): SwarmStats {
  const sessions = [...state.sessions.values()]
  return {
    sessions: sessions.length,
    readers: state.active.reduce((sum, session) => sum + session.readers.size, 0),
    peersConnected: [...state.peers.values()].filter((peer) => peer.connected).length,
    peersKnown: state.peers.size,
    requests: state.transfers.size,
    uploadsActive: state.uploads.active.length,
    uploadsWaiting: state.uploads.waiting.length,
    inFlightBytes: state.flightBytes,
    settlingBytes: state.settlingBytes,
    fetches: state.fetches.size,
    leases: sessions.reduce((sum, { supply }) => sum + supply.leases.size + supply.crossings.size, 0),
  }
}

function dispatch(state: SwarmState, event: SwarmEvent): void {
  switch (event.type) {
    case 'held':
      return onHeld(state, event)
    case 'evicted':
      return withSession(state, event.digest, (session) => loseChunks(state, session))
    case 'lost':
      return withSession(state, event.digest, (session) => {
        missChunks(state, session, event.have)
        proveWhenWhole(state, session)
      })
    case 'entries':
      return withSession(state, event.digest, (session) => adoptEntries(session, event))
    case 'reader-opened':
      return onReaderOpened(state, event)
    case 'reader-moved':
      return withSession(state, event.digest, (session) => moveReader(state, session, event.reader, event.position))
    case 'reader-closed':
      return withSession(state, event.digest, (session) => endReader(state, session, event.reader))
    case 'peer-connected':
      onConnected(state, event.peer, event.address)
      return refuseBanned(state, event.peer)
    case 'peer-disconnected':
      return onDisconnected(state, event.peer)
    case 'peer-came':
      return onCame(state, event.peer)
    case 'peer-gone':
      return onGone(state, event.peer, event.how)
    case 'peer-silent':
      return onSilent(state, event.peer)
    case 'peer-heard':
      return void state.silent.delete(event.peer)
    case 'peer-violated':
      return onViolated(state, event.peer, event.address)
    case 'dial-failed':
      return onDialFailed(state, event.peer)
    case 'message':
      return onMessage(state, event.peer, event.message)
    case 'chunk-started':
      return onChunkStarted(state, event)
    case 'frame':
      return onFrame(state, event)
    case 'uploaded':
      return onUploaded(state, event.peer, event.id, event.ok)
    case 'origin-frame':
      return withSession(state, event.digest, (session) => {
        onOriginFrame(state, event)
        startFetches(state, session)
      })
    case 'origin-ended':
      return withSession(state, event.digest, (session) => {
        onOriginEnded(state, event)
        askForLease(state, session)
        startFetches(state, session)
      })
    case 'origin-unranged':
      return onOriginUnranged(state, event)
    case 'hashed':
      return withSession(state, event.digest, (session) => {
        onHashed(state, event)
        forgetWhenEmpty(state, session)
      })
    case 'kept':
      return withSession(state, event.digest, (session) => {
        onKept(state, event)
        forgetWhenEmpty(state, session)
      })
    case 'proved':
      return onProved(state, event)
    case 'cautioned':
      return heedCautions(state, event)
    case 'departs':
      return depart(state, event.maxBytes)
    case 'offered':
      return onOffered(state, event.digest, event.isTaken)
    case 'directory':
      onAnswer(state, event.answer)
      return withSession(state, event.answer.digest, (session) => startFetches(state, session))
    case 'directory-silent':
      state.left.delete(event.digest)
      return withSession(state, event.digest, (session) => {
        onDirectorySilent(state, session)
        startFetches(state, session)
      })
    case 'tick':
      return onTick(state)
  }
}

function withSession(state: SwarmState, digest: Digest, act: (session: Session) => void): void {
  const session = state.sessions.get(digest)
  if (session !== undefined) act(session)
}

/** The session of a digest; a new size for a known digest is not believed. */
function sessionFor(state: SwarmState, digest: Digest, size: number): Session | undefined {
  const known = state.sessions.get(digest)
  if (known !== undefined) return known.size === size ? known : undefined
  const session = createSession(digest, size, state.clock.now())
  state.sessions.set(digest, session)
  state.left.delete(digest)
  return session
}

function onHeld(state: SwarmState, event: Extract<SwarmEvent, { type: 'held' }>): void {
  const session = sessionFor(state, event.digest, event.size)
  if (session === undefined) return
  abandonBuffers(state, session)
  adoptHeld(session, event.have, event.complete)
  advanceCursors(session, state.clock.now())
  proveWhenWhole(state, session)
  rejoinAll(state, session)
  tellDirectory(state, session, session.readers.size > 0)
}

function onReaderOpened(state: SwarmState, event: Extract<SwarmEvent, { type: 'reader-opened' }>): void {
  const session = sessionFor(state, event.digest, event.size)
  if (session === undefined) return
  openReader(state, session, event)
  if (!event.prefetch) {
    endRenewal(state, session)
    trustAgain(session)
  }
  if (session.complete) return
  // Some may have been found out while nobody read it, or before a restart.
  dropUnbelievedOf(state, session)
  askProved(state, session)
  tellDirectory(state, session, true)
  // The announce carries the wish: without this the next tick would announce it again.
  askForLease(state, session)
  connectMore(state, session)
}

function onMessage(state: SwarmState, id: PeerId, message: PeerMessage): void {
  if (isBanned(state, id)) return
  const peer = peerOf(state, id)
  spend(state, peer, message.type === 'doubt' ? state.limits.doubtCost : 1)
  // That may have been one too many.
  if (isBanned(state, id)) return
  peer.spokeAtMs = state.clock.now()
  switch (message.type) {
    case 'join':
      if (onJoin(state, peer, message)) strike(state, peer, 'sent a bitfield that is wrong')
      else withSession(state, message.digest, (session) => askProved(state, session))
      return
    case 'have':
      if (onHave(state, peer, message)) strike(state, peer, 'claimed chunks that the blob does not have')
      else moveWaiting(state, peer, message)
      return
    case 'leave': {
      const neighbour = peer.neighbours.get(message.digest)
      if (neighbour !== undefined) dropNeighbour(state, neighbour)
      return
    }
    case 'request':
      if (!onRequest(state, id, message)) spend(state, peer, state.limits.refusedRequestCost)
      return
    case 'cancel':
      return onCancel(state, id, message.id)
    case 'queued':
      return onQueued(state, id, message.id, message.ahead)
    case 'busy':
      return onBusy(state, id, message.id, message.try)
    case 'suggest':
      return onSuggested(state, id, message.id, message.index)
    case 'missing':
      return onMissing(state, id, message.id)
    case 'doubt':
      return onDoubt(state, peer, message)
    case 'vouch':
      return onVouch(state, peer, message)
  }
}

/** A pause of our own, for a garbage collection or a suspended machine, is not the peers' silence. */
const pauseTicks = 8

function onTick(state: SwarmState): void {
  const nowMs = state.clock.now()
  const elapsedMs = nowMs - state.tickAtMs
  state.tickAtMs = nowMs
  measureLoad(state, elapsedMs)
  measureLink(state, nowMs, elapsedMs, elapsedMs > pauseTicks * state.limits.tickMs)
  watchTransfers(state, nowMs)
  overtakeSlow(state)
  watchFetches(state)
  turnAwayIdle(state)
  remindWaiting(state, nowMs)
  endRests(state, nowMs)
  passHangingDials(state, nowMs)
  endDialWaits(state, nowMs)
  for (const session of state.active.slice()) {
    tellWhenDue(state, session)
    endDeflections(session, nowMs)
    takeTurns(state, session, nowMs)
    audit(state, session)
    pumpOrigin(state, session)
    watchHeldBack(state, session, nowMs)
    failWhenHopeless(state, session, nowMs)
  }
  if (nowMs - state.sweptAtMs < sweepMs) return
  state.sweptAtMs = nowMs
  releaseIdle(state, nowMs)
  forgetDead(state, nowMs)
  watchDeparture(state)
}

/** How often idle connections are looked for. */
const sweepMs = 1 * second
