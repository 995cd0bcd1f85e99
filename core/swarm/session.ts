/** One digest on this node: its chunks, their phases, and what its readers want of them. */
import type { Digest } from '../oci/digest.ts'
import { bitfieldOf, clearBit, fullBitfield, hasBit, setBit } from './bitfield.ts'
import { chunkCountOf, chunkLengthOf, chunkSizeOf } from './chunks.ts'
import type { SwarmEvent } from './events.ts'
import { type Neighbour, phases, type Peer, type Reader, type Session, type SwarmState } from './state.ts'

export function createSession(digest: Digest, size: number, nowMs: number): Session {
  const count = chunkCountOf(size)
  return {
    digest,
    size,
    chunkSize: chunkSizeOf(size),
    count,
    have: bitfieldOf(count),
    heldCount: 0,
    complete: false,
    phase: new Uint8Array(count),
    missing: fullBitfield(count),
    obtainable: bitfieldOf(count),
    buffers: new Map(),
    single: new Set(),
    accepted: [],
    others: new Map(),
    vouches: new Map(),
    doubts: new Map(),
    awaited: new Set(),
    doubtedAtMs: 0,
    readers: new Map(),
    origin: undefined,
    turnedAtMs: 0,
    shortTurns: 0,
    hasBrought: false,
    neighbours: new Map(),
    refused: new Map(),
    spoilers: new Set(),
    candidates: new Map(),
    availability: new Uint16Array(count),
    sent: new Uint16Array(count),
    leftUpTo: 0,
    offers: new Map(),
    leftToOthers: [],
    counts: undefined,
    fresh: [],
    toldAtMs: 0,
    exhausted: { demand: false, prefetch: false },
    progressAtMs: nowMs,
    othersSinceMs: Infinity,
    nowhereAtMs: -Infinity,
    wasNowhere: false,
    leftAloneAtMs: -Infinity,
    promisedAtMs: -Infinity,
    proving: false,
    ownOnly: false,
    forgery: undefined,
    supply: {
      ...untried,
      origin: undefined,
      leases: new Set(),
      crossings: new Set(),
      holderNamedAtMs: -Infinity,
      isAllTaken: false,
      released: new Map(),
      renewing: undefined,
      askingUntilMs: 0,
      patienceMs: Infinity,
      heardAtMs: -Infinity,
    },
  }
}

/** How a node stands with an origin that it has not asked. */
const untried = {
  askAfterMs: 0,
  restUntilMs: 0,
  unranged: false,
  hasYielded: false,
  failures: 0,
  failure: undefined,
  renewedAtMs: -Infinity,
}

/** Asks this origin from now on: how another one failed says nothing about it. */
export function turnTo(state: SwarmState, session: Session, origin: string | undefined): void {
  const { supply } = session
  session.origin = origin
  session.turnedAtMs = state.clock.now()
  session.hasBrought = false
  if (origin === undefined || supply.origin === origin) return
  Object.assign(supply, untried, { origin })
  offerRefused(session)
}

/** A word that was not taken in the turn of one origin may count for another. */
function offerRefused(session: Session): void {
  for (const [index, { holders }] of session.refused)
    for (const holder of holders) {
      const neighbour = session.neighbours.get(holder)
      if (neighbour?.foreign === false) gainByHearsay(neighbour, index)
    }
  session.refused.clear()
  wake(session)
}

/** The neighbour holds this chunk. */
export function gain(neighbour: Neighbour, index: number): void {
  if (hasBit(neighbour.bits, index)) return
  setBit(neighbour.bits, index)
  neighbour.held++
  const { availability, obtainable, phase } = neighbour.session
  availability[index] = (availability[index] ?? 0) + 1
  if (phase[index] === phases.missing) setBit(obtainable, index)
}

/** Said of it by a busy peer. */
export function gainByHearsay(neighbour: Neighbour, index: number): void {
  if (hasBit(neighbour.bits, index)) return
  gain(neighbour, index)
  neighbour.hearsay.add(index)
}

export function lengthOf(session: Session, index: number): number {
  return chunkLengthOf(session.size, index)
}

/** Is the chunk here for readers, on disk or in memory? */
export function isHere(session: Session, index: number): boolean {
  const phase = session.phase[index]
  return phase === phases.held || phase === phases.passed
}

export function setPhase(session: Session, index: number, phase: number): void {
  session.phase[index] = phase
  if (phase === phases.missing) {
    setBit(session.missing, index)
    if (session.availability[index] !== 0) setBit(session.obtainable, index)
    wake(session)
  } else {
    clearBit(session.missing, index)
    clearBit(session.obtainable, index)
  }
}

/** There are others in the swarm: only from now on can it be that nothing comes from them. */
export function knowOthers(state: SwarmState, session: Session): void {
  session.othersSinceMs = Math.min(session.othersSinceMs, state.clock.now())
}

/** Something that requests depend on has changed. */
export function wake(session: Session): void {
  session.exhausted.demand = false
  session.exhausted.prefetch = false
}

/** The peer may be asked for more, which matters where it holds what is missing. */
export function offerAll({ neighbours }: Peer): void {
  for (const { bits, session } of neighbours.values()) {
    const { missing, obtainable } = session
    let isUseful = false
    for (let at = 0; at < bits.length; at++) {
      const useful = bits[at]! & missing[at]!
      if (useful === 0) continue
      obtainable[at]! |= useful
      isUseful = true
    }
    if (isUseful) wake(session)
  }
}

export function markHeld(session: Session, index: number): void {
  setPhase(session, index, phases.held)
  session.refused.delete(index)
  if (hasBit(session.have, index)) return
  setBit(session.have, index)
  session.heldCount++
}

/** The store says what it holds: at start, or because containerd committed the blob. */
export function adoptHeld(session: Session, have: Uint8Array, complete: boolean): void {
  for (let index = 0; index < session.count; index++) if (complete || hasBit(have, index)) markHeld(session, index)
  session.complete = complete
  if (complete) session.forgery = undefined
}

/** No chunk is held any more. */
export function forgetChunks(session: Session): void {
  for (let index = 0; index < session.count; index++) {
    clearBit(session.have, index)
    setPhase(session, index, phases.missing)
  }
  session.accepted.length = 0
  session.heldCount = 0
  session.complete = false
  session.proving = false
  session.forgery = undefined
  session.fresh = []
}

/** These chunks, which were held, are not any more. */
export function unmarkHeld(session: Session, indices: readonly number[]): void {
  for (const index of indices) {
    clearBit(session.have, index)
    // Whatever comes in its place is not what was looked at.
    if (session.forgery !== undefined) clearBit(session.forgery.audited, index)
    session.heldCount--
    if (session.phase[index] === phases.held) setPhase(session, index, phases.missing)
  }
  session.proving = false
  session.fresh = session.fresh.filter((index) => hasBit(session.have, index))
}

export function openReader(
  state: SwarmState,
  session: Session,
  event: Extract<SwarmEvent, { type: 'reader-opened' }>,
): void {
  const nowMs = state.clock.now()
  const first = Math.floor(event.start / session.chunkSize)
  const reader: Reader = {
    id: event.reader,
    origin: event.origin,
    limit: Math.ceil(Math.min(event.end, session.size) / session.chunkSize),
    whole: event.whole,
    prefetch: event.prefetch,
    position: event.start,
    movedAtMs: nowMs,
    cursor: first,
    cursorSinceMs: nowMs,
    heldBackSinceMs: undefined,
    escapedAt: undefined,
  }
  if (session.readers.size === 0) state.active.push(session)
  beginWaiting(state, session, nowMs)
  session.readers.set(event.reader, reader)
  if (session.origin === undefined) turnTo(state, session, event.origin)
  revivePassed(session, event.whole ? 0 : first)
  advanceCursor(session, reader, nowMs)
  wake(session)
}

/** Is there a reader that is no mere prefetch? */
export function isDemanded({ readers }: Session): boolean {
  for (const reader of readers.values()) if (!reader.prefetch) return true
  return false
}

/**
 * Readers are about to want more: where none waited for a byte so far, that none came says nothing about peers. A prefetch gives way
 * to every reader, and what comes of it says nothing either.
 */
export function beginWaiting(state: SwarmState, session: Session, nowMs: number): void {
  const isLacking = (index: number): boolean => !isHere(session, index)
  const isWaiting = [...session.readers.values()].some(
    (reader) => !reader.prefetch && firstFor(state, session, reader, isLacking) !== undefined,
  )
  if (!isWaiting) beginPatience(state, session, nowMs)
}

function beginPatience(state: SwarmState, session: Session, nowMs: number): void {
  session.progressAtMs = nowMs
  session.supply.patienceMs = state.limits.starvedMs
}

/** Chunks that the disk refused are gone from memory by the time of a later reader, or of a proof that begins anew: it needs them again. */
export function revivePassed(session: Session, from: number): void {
  for (let index = from; index < session.count; index++)
    if (session.phase[index] === phases.passed) setPhase(session, index, phases.missing)
}

export function moveReader(state: SwarmState, session: Session, id: number, position: number): void {
  const reader = session.readers.get(id)
  if (reader === undefined || position <= reader.position) return
  const nowMs = state.clock.now()
  // A whole reader wants every chunk wherever it is.
  if (!reader.whole) beginWaiting(state, session, nowMs)
  reader.position = position
  reader.movedAtMs = nowMs
  advanceCursor(session, reader, nowMs)
  if (!reader.whole) wake(session)
}

/** True when the last reader has gone. */
export function closeReader(state: SwarmState, session: Session, id: number): boolean {
  if (!session.readers.delete(id)) return false
  const [next] = session.readers.values()
  if (![...session.readers.values()].some((reader) => reader.origin === session.origin))
    turnTo(state, session, next?.origin)
  if (session.readers.size > 0) return false
  const at = state.active.indexOf(session)
  if (at >= 0) state.active.splice(at, 1)
  return true
}

export function advanceCursors(session: Session, nowMs: number): void {
  for (const reader of session.readers.values()) advanceCursor(session, reader, nowMs)
}

function advanceCursor(session: Session, reader: Reader, nowMs: number): void {
  const at = Math.floor(reader.position / session.chunkSize)
  let cursor = isHere(session, at) ? Math.max(reader.cursor, at) : at
  while (isHere(session, cursor)) cursor++
  if (cursor === reader.cursor) return
  reader.cursor = cursor
  reader.cursorSinceMs = nowMs
}

/** The chunk after the last one that a ranged reader may have fetched now. One that waits for witnesses may get the blob proved. */
export function aheadLimit(session: Session, reader: Reader, rangedAheadBytes: number): number {
  if (reader.heldBackSinceMs !== undefined) return reader.limit
  return Math.min(reader.limit, Math.ceil((reader.position + rangedAheadBytes) / session.chunkSize))
}

/** Does any reader want this chunk now? */
export function isWanted(state: SwarmState, session: Session, index: number): boolean {
  for (const reader of session.readers.values()) {
    if (reader.whole) return true
    const first = Math.floor(reader.position / session.chunkSize)
    if (index >= first && index < aheadLimit(session, reader, state.limits.rangedAheadBytes)) return true
  }
  return false
}

/**
 * Could peers bring something? Also what one of them was asked for, and may never send; and what an origin that ignores Range is sending:
 * it may send others the same, and be sooner there.
 */
export function wantsMore(state: SwarmState, session: Session): boolean {
  const { complete, phase, supply } = session
  const isSent = (index: number): boolean => supply.unranged && phase[index] === phases.origin
  return !complete && nextFor(state, session, (index) => isWithheld(session, index) || isSent(index)) !== undefined
}

/**
 * The first chunk, in the order in which readers will need them, that is wanted, missing, and passes `test`. Of several parts the
 * lowest: who reads a blob by parallel ranges needs them in this order, and one that waited for all that came later would wait too long.
 */
export function nextWanted(state: SwarmState, session: Session, test: (index: number) => boolean): number | undefined {
  return nextFor(state, session, (index) => session.phase[index] === phases.missing && test(index))
}

/** The same of what is missing or asked of peers, who withhold it. */
export function nextWithheld(
  state: SwarmState,
  session: Session,
  test: (index: number) => boolean,
): number | undefined {
  return nextFor(state, session, (index) => isWithheld(session, index) && test(index))
}

export function isWithheld({ phase }: Session, index: number): boolean {
  return phase[index] === phases.missing || phase[index] === phases.asked
}

function nextFor(state: SwarmState, session: Session, test: (index: number) => boolean): number | undefined {
  let found: number | undefined
  let lowestPart = Infinity
  for (const reader of session.readers.values()) {
    const index = firstFor(state, session, reader, test)
    if (index === undefined) continue
    if (!reader.whole && !reader.prefetch) lowestPart = Math.min(lowestPart, index)
    else if (found === undefined || !reader.prefetch) found = index
  }
  return lowestPart === Infinity ? found : lowestPart
}

function firstFor(
  { limits }: SwarmState,
  session: Session,
  reader: Reader,
  test: (index: number) => boolean,
): number | undefined {
  const { cursor, whole } = reader
  const end = whole ? session.count : aheadLimit(session, reader, limits.rangedAheadBytes)
  return firstOf(cursor, end, test) ?? (whole ? firstOf(0, cursor, test) : undefined)
}

function firstOf(start: number, end: number, test: (index: number) => boolean): number | undefined {
  for (let index = start; index < end; index++) if (test(index)) return index
  return undefined
}

/** The directory should hear of this digest: soon, or `now`. Chunks gained go along with the next announce anyway. */
export function tellDirectory(state: SwarmState, session: Session, now: boolean): void {
  state.emit({ type: 'announce', digest: session.digest, now })
}
