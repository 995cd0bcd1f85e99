/** How a digest's session ends: unwanted, gone from disk, or beyond hope. */
import { hasBit } from './bitfield.ts'
import { chunksOf } from './chunks.ts'
import { withdrawEntry } from './evidence.ts'
import { leaveAll, rejoinAll, tellGained } from './neighbours.ts'
import { leaseSettled, peersMayHelp, stopOrigin } from './origin.ts'
import { isStarving, lifeOf, nextOfOrigin } from './wishes.ts'
import { cancelUnwanted } from './requests.ts'
import {
  advanceCursors,
  closeReader,
  forgetChunks,
  nextWithheld,
  revivePassed,
  tellDirectory,
  turnTo,
  unmarkHeld,
} from './session.ts'
import { noLife, phases, type OriginTrouble, type Session, type SwarmState } from './state.ts'
import { cancelChunk, chunkSettled, dropBuffer } from './transfers.ts'

/** No reader is left: nothing more is fetched, and what is held goes on being served. */
function settleUnread(state: SwarmState, session: Session): void {
  tellGained(state, session)
  stopOrigin(state, session)
  // By the time of the next reader the disk may take chunks again; but what is wrong in a blob is still there.
  if (session.forgery === undefined) session.ownOnly = false
  for (const index of session.buffers.keys()) {
    cancelChunk(state, session, index)
    if (session.phase[index] === phases.missing) dropBuffer(state, session, index)
  }
  if (!forgetWhenEmpty(state, session) && !session.complete) tellDirectory(state, session, true)
}

/** A session that holds, wants and awaits nothing is forgotten; neighbours and directory hear of it. */
export function forgetWhenEmpty(state: SwarmState, session: Session): boolean {
  if (session.readers.size > 0 || session.heldCount > 0 || session.buffers.size > 0) return false
  leaveAll(state, session)
  state.sessions.delete(session.digest)
  const [oldest] = state.left.keys()
  if (state.left.size >= state.limits.leftDigestsMax && oldest !== undefined) state.left.delete(oldest)
  state.left.set(session.digest, session.size)
  state.emit({ type: 'announce', digest: session.digest, now: true })
  return true
}

/** Whatever is on its way in is given up. */
export function abandonBuffers(state: SwarmState, session: Session): void {
  stopOrigin(state, session)
  for (const index of session.buffers.keys()) {
    cancelChunk(state, session, index)
    const phase = session.phase[index]
    if (phase === phases.hashing || phase === phases.keeping) chunkSettled(state, session, index, phases.missing)
    else dropBuffer(state, session, index)
    leaseSettled(state, session, index)
  }
}

/** The chunks are gone from disk, or must go: readers begin anew. */
export function loseChunks(state: SwarmState, session: Session): void {
  abandonBuffers(state, session)
  forgetChunks(session)
  if (forgetWhenEmpty(state, session)) return
  rejoinAll(state, session)
  tellDirectory(state, session, true)
}

/** Chunks that are held may be wrong: they go, from disk as well, and must come anew. */
export function dropChunks(state: SwarmState, session: Session, indices: readonly number[]): void {
  state.emit({ type: 'discard', digest: session.digest, indices })
  takeBack(state, session, indices)
}

/**
 * Some chunks are gone, from disk or of what passed by it: they must come anew. What is being fetched or kept meanwhile goes on; the
 * proof does not, also where nothing is gone.
 */
export function missChunks(state: SwarmState, session: Session, have: Uint8Array): void {
  const gone = chunksOf(session.size).filter((index) => hasBit(session.have, index) && !hasBit(have, index))
  if (gone.length > 0) session.complete = false
  else if (!session.phase.includes(phases.passed)) {
    session.proving = false
    return
  }
  takeBack(state, session, gone)
}

/** Neighbours and directory hear that these chunks, which were held, are not any more. The proof begins anew, and needs what passed through as well. */
function takeBack(state: SwarmState, session: Session, indices: readonly number[]): void {
  for (const index of indices) withdrawEntry(session, index)
  revivePassed(session, 0)
  unmarkHeld(session, indices)
  advanceCursors(session, state.clock.now())
  if (forgetWhenEmpty(state, session)) return
  rejoinAll(state, session)
  tellDirectory(state, session, true)
}

/** This digest can't be had from the origin that was asked: its readers end. It may be another's whom others trust. */
export function fail(state: SwarmState, session: Session, failure: OriginTrouble): void {
  const { digest, origin = '', readers } = session
  state.emit({ type: 'fail', digest, origin, failure })
  for (const reader of readers.values()) if (reader.origin === origin) readers.delete(reader.id)
  const [next] = readers.values()
  stopOrigin(state, session)
  turnTo(state, session, next?.origin)
  if (next !== undefined) return tellDirectory(state, session, true)
  const at = state.active.indexOf(session)
  if (at >= 0) state.active.splice(at, 1)
  settleUnread(state, session)
}

/** The origin is gone for this node; peers may still have what is missing, or show within a moment that they do. */
export function failWhenHopeless(state: SwarmState, session: Session, nowMs: number): void {
  const { leases, renewedAtMs } = session.supply
  if (nowMs - renewedAtMs >= state.limits.tokenRenewalMs) endRenewal(state, session)
  // Who takes what peers have proved asks no origin, and none ends it.
  if (session.complete || session.readers.size === 0 || session.origin === undefined) return
  const { endsAtMs, renewableAtMs } = lifeOf(state, session)
  const hasEnded = endsAtMs <= nowMs
  const failure = hasEnded ? refused : session.supply.failure
  if (failure === undefined || leases.size > 0 || !isOriginGone(state, session, failure, nowMs)) return
  const graceMs = isKnownAlone(session) ? 0 : state.limits.hopelessAfterMs
  if (nowMs - session.progressAtMs < graceMs) return
  const mayRenew = hasEnded && endsAtMs !== noLife.endsAtMs
  // With another credential it may have the origin send what peers withhold, or have on a word that counts for nothing here.
  const isHelped = peersMayHelp(session) && !isGivenNothing(state, session, nowMs)
  if (isHelped && !(mayRenew && nextOfOrigin(state, session) !== undefined)) return
  if (!mayRenew) fail(state, session, failure)
  else if (nowMs >= renewableAtMs) renew(state, session, nowMs)
}

/** For longer than any promise counts those who are said to have what is missing have brought nothing: an error says more than a wait without end. */
function isGivenNothing(state: SwarmState, session: Session, nowMs: number): boolean {
  if (nowMs - session.progressAtMs < state.limits.starvedPromisedMs || !isStarving(state, session)) return false
  return nextWithheld(state, session, () => true) !== undefined
}

const refused = { kind: 'refused' } as const

/**
 * What this node may show has run out: whoever has read the longest ends, and is to come back with more. One at a time, since
 * it brings bytes to the others too, and containerd gives up a range that has heard of a token's end several times.
 * Until it is back it counts as one that waits: who begins to wait anew with each credential may have none by the time it helps itself.
 */
function renew(state: SwarmState, session: Session, nowMs: number): void {
  const { digest, origin = '', readers, supply } = session
  if (nowMs - supply.renewedAtMs < state.limits.tokenRenewalMs) return
  const own = [...readers.values()].filter((reader) => reader.origin === origin)
  const ending = own.find(({ prefetch }) => !prefetch) ?? own[0]
  if (ending === undefined) return
  supply.renewedAtMs = nowMs
  supply.renewing = ending.id
  state.emit({ type: 'fail', digest, origin, reader: ending.id, failure: refused })
}

/** Whoever was sent for a credential is back, or was waited for long enough. */
export function endRenewal(state: SwarmState, session: Session): void {
  const { renewing } = session.supply
  if (renewing === undefined) return
  session.supply.renewing = undefined
  endReader(state, session, renewing)
}

/** This reader wants no more. */
export function endReader(state: SwarmState, session: Session, reader: number): void {
  const { origin, supply } = session
  if (supply.renewing === reader) return
  const wasLast = closeReader(state, session, reader)
  if (wasLast) settleUnread(state, session)
  else if (session.origin !== origin) stopOrigin(state, session)
  cancelUnwanted(state, session)
}

/** A lease that failed was granted by a directory, which would have named others; else that must have answered first. */
function isKnownAlone({ candidates, counts, neighbours, supply }: Session): boolean {
  return candidates.size === 0 && neighbours.size === 0 && (supply.failure !== undefined || counts !== undefined)
}

/** It has refused, or failed again and again and rests from that: who comes once it has rested has it asked again. */
function isOriginGone({ limits }: SwarmState, { supply }: Session, failure: OriginTrouble, nowMs: number): boolean {
  const restMs = supply.restUntilMs - nowMs
  if (failure.kind === 'refused' || restMs >= limits.originRefusedMs) return true
  return restMs > 0 && supply.failures >= limits.originFailuresMax
}
