/**
 * Bytes from the origin. A lease of the directory names chunks that this node alone should fetch:
 *
 *     wish ─▶ lease ─▶ fetch ─▶ (stall, failure: fetch the rest) ─▶ hashed, kept ─▶ given back
 *                └─ a second one waits meanwhile, so that the origin never idles between the two
 */
import type { ChunkRange, Lease as Grant } from '../directory/messages.ts'
import { hasBit } from './bitfield.ts'
import type { OriginFailure, SwarmEvent } from './events.ts'
import { countBytes, patienceMs } from './link.ts'
import { isHere, isWithheld, lengthOf, nextWanted, nextWithheld, setPhase, tellDirectory } from './session.ts'
import {
  ownOrigin,
  ownSource,
  phases,
  smoothed,
  type Lease,
  type OriginFetch,
  type Session,
  type SwarmState,
} from './state.ts'
import { beginCrossing, endCrossings, loseCrossing, settleCrossings, watchCrossings } from './crossings.ts'
import { bufferOf, cancelChunk, chunkArrived, dropBuffer } from './transfers.ts'
import {
  askForLease,
  hasBorder,
  hasLiars,
  isNowhere,
  isOffered,
  isResting,
  isSpent,
  isStarving,
  isUseless,
  leavesToOthers,
  openLeases,
} from './wishes.ts'

type EventOf<Type extends SwarmEvent['type']> = Extract<SwarmEvent, { type: Type }>

// Leases

/** The directory granted these chunks. Those that are here stay as they are, and those on their way from a peer, unless peers starve us. */
export function onGranted(state: SwarmState, session: Session, grant: Grant): void {
  const { crossings, leases } = session.supply
  if ([...leases, ...crossings].some((lease) => lease.id === grant.id)) return
  if (grant.source !== undefined) return beginCrossing(state, session, grant, grant.source)
  const end = Math.min(grant.end, session.count)
  const remaining: number[] = []
  const isStarved = isStarving(state, session)
  for (let index = Math.max(grant.start, 0); index < end; index++)
    if (session.phase[index] === phases.missing || (isStarved && isWithheld(session, index))) remaining.push(index)
  // Who asked for it may have gone since.
  const isAsked = session.readers.size > 0 && session.origin !== undefined
  addLease(state, session, grant, isAsked ? remaining : [])
}

/** It stalled, and others have or fetch its chunks by now. */
export function onLost(state: SwarmState, session: Session, id: number): void {
  for (const lease of session.supply.leases) if (lease.id === id) surrender(state, lease)
  loseCrossing(state, session, id)
}

/** Another was granted these chunks before, and fetches them. What a reader insists on, or looks at again, is not asked of the origin for others. */
export function onContested(state: SwarmState, { supply }: Session, { end, start }: ChunkRange): void {
  for (const lease of supply.leases)
    if (!lease.isInsisted && !lease.isEscape && lease.remaining.some((index) => index >= start && index < end))
      surrender(state, lease)
}

function addLease(
  state: SwarmState,
  session: Session,
  grant: Grant | undefined,
  remaining: number[],
  isEscape = false,
): void {
  const { supply } = session
  const isStarved = isStarving(state, session)
  const isInsisted = grant === undefined || isStarved
  if (isStarved) noteWithholders(state, session)
  if (isInsisted) supply.patienceMs = Math.max(supply.patienceMs / 2, state.limits.starvedAgainMs)
  // What it names is here, or on its way from those who starve us, and would be named again at once.
  const isNamedAgain = remaining.length === 0 && (isInsisted || hasLiars(session))
  if (isNamedAgain) supply.askAfterMs = state.clock.now() + state.limits.starvedAgainMs
  const lease: Lease = {
    id: grant?.id,
    session,
    isInsisted,
    isEscape,
    isWhole: grant?.start === 0 && grant.end >= session.count,
    remaining,
    settling: new Set(),
    tries: 0,
    startAfterMs: 0,
    fetch: undefined,
  }
  for (const index of remaining) {
    cancelChunk(state, session, index)
    setPhase(session, index, phases.origin)
  }
  supply.leases.add(lease)
  endWhenDone(state, lease)
}

function noteWithholders({ withholders }: SwarmState, { neighbours }: Session): void {
  for (const { denies, held, peer } of neighbours.values())
    if (denies || (held > 0 && peer.stalls > 0)) withholders.add(peer.id)
}

/** Takes chunks that are held again: this node's own bytes need no witness. */
export function fetchAnew(state: SwarmState, session: Session, indices: number[]): void {
  if (!isResting(state, session)) addLease(state, session, undefined, indices, true)
}

/**
 * Owner and standby are silent: one chunk that no neighbour has. All neighbours do the same now, and share: so not all take
 * the one that their readers need next, but each one of as many as there are nodes here.
 */
export function onDirectorySilent(state: SwarmState, session: Session): void {
  session.supply.askingUntilMs = 0
  if (openLeases(session).length > 0 || isResting(state, session)) return
  const next: number[] = []
  if (isStarving(state, session)) {
    const run = starvedChunks(state, session)
    nextWithheld(state, session, (index) => next.push(index) === run)
    addLease(state, session, undefined, next)
    return
  }
  if (leavesToOthers(state, session)) return
  const spread = Math.min(session.neighbours.size + 1, state.limits.windowChunks)
  nextWanted(state, session, (index) => isNowhere(state, session, index) && next.push(index) === spread)
  const index = next[state.random.below(Math.max(next.length, 1))]
  if (index !== undefined) addLease(state, session, undefined, [index])
}

/** The longer peers give nothing of what they are said to have, the more is taken at a time: one chunk, two, four … */
function starvedChunks({ limits }: SwarmState, { supply }: Session): number {
  return Math.min(Math.max(Math.floor(limits.starvedMs / supply.patienceMs), 1), limits.leaseChunksMax)
}

/** Gives the lease back once each of its chunks shows in `have`, or is given up. */
function endWhenDone(state: SwarmState, lease: Lease): void {
  const { session } = lease
  if (lease.remaining.length > 0 || lease.settling.size > 0) return
  if (!session.supply.leases.delete(lease)) return
  // What an origin that ignores Range has still to send is here, and would mix with what the next fetch brings.
  if (lease.fetch?.unranged === true) stopFetch(state, lease)
  if (lease.id === undefined) return
  session.supply.released.set(lease.id, state.clock.now())
  tellDirectory(state, session, true)
}

/** A chunk was kept, or found wrong. */
export function leaseSettled(state: SwarmState, session: Session, index: number): void {
  for (const lease of session.supply.leases) if (lease.settling.delete(index)) endWhenDone(state, lease)
  settleCrossings(state, session)
}

/** Gives up what is left of a lease. */
function surrender(state: SwarmState, lease: Lease): void {
  stopFetch(state, lease)
  const { remaining, session } = lease
  lease.remaining = []
  for (const index of remaining) {
    const isHeld = hasBit(session.have, index)
    // What came of it anew is of no use, and must not be gone on from if it is to come again later.
    if (isHeld) dropBuffer(state, session, index)
    setPhase(session, index, isHeld ? phases.held : phases.missing)
  }
  endWhenDone(state, lease)
}

/** What is held is not taken again any more. */
export function endAudit(state: SwarmState, { supply }: Session): void {
  for (const lease of supply.leases) if (lease.isEscape) surrender(state, lease)
}

/** Nobody here needs the origin for this blob any more. What has come of it is kept all the same, and told before its lease is given back. */
export function stopOrigin(state: SwarmState, session: Session): void {
  endCrossings(state, session)
  for (const lease of session.supply.leases) surrender(state, lease)
}

// Fetches

/** Starts what may start: one fetch a blob, and the next when the present one is nearly through. */
export function startFetches(state: SwarmState, session: Session): void {
  if (isSpent(state, session)) return surrenderUnbegun(state, session)
  const nowMs = state.clock.now()
  for (const lease of session.supply.leases) {
    if (lease.fetch !== undefined || lease.remaining.length === 0 || nowMs < lease.startAfterMs) continue
    if (leftToFetch(session) > leadBytes(state)) return
    startFetch(state, lease)
  }
}

/** An answer under way goes on to its end; what would have to be asked for is for somebody else. */
export function surrenderUnbegun(state: SwarmState, { supply }: Session): void {
  for (const lease of supply.leases) if (lease.fetch === undefined) surrender(state, lease)
}

function leftToFetch(session: Session): number {
  let bytes = 0
  for (const { fetch, remaining } of session.supply.leases) {
    if (fetch === undefined) continue
    bytes += remaining.length * session.chunkSize - (remaining[0] === fetch.index ? fetch.received : 0)
  }
  return bytes
}

/** What the origin sends while the next request is on its way to it. */
function leadBytes(state: SwarmState): number {
  return (state.originRateBytesPerMs ?? 0) * state.originFirstByteMs
}

function startFetch(state: SwarmState, lease: Lease): void {
  const { session } = lease
  yieldToPeers(state, lease)
  const [first] = lease.remaining
  if (first === undefined) {
    endWhenDone(state, lease)
    return
  }
  const offset = ownPrefix(state, session, first)
  const nowMs = state.clock.now()
  const fetch: OriginFetch = {
    id: state.nextId++,
    index: first,
    received: offset,
    bytes: 0,
    startedAtMs: nowMs,
    firstByteAtMs: undefined,
    heardAtMs: state.link.silenceMs,
    unranged: false,
    alone: new Set(),
    yielded: new Set(),
  }
  lease.fetch = fetch
  state.fetches.set(fetch.id, lease)
  const end = runEnd(lease.remaining)
  const { digest, size } = session
  const origin = session.origin ?? ''
  const { isEscape } = lease
  state.emit({ type: 'fetch-origin', digest, size, origin, fetch: fetch.id, start: first, end, offset, isEscape })
}

/** Neighbours have gained some of the chunks while the lease waited. */
function yieldToPeers(state: SwarmState, lease: Lease): void {
  const { isInsisted, session } = lease
  if (isInsisted) return
  const offered = lease.remaining.filter((index) => isOffered(state, session, index))
  lease.remaining = lease.remaining.filter((index) => !offered.includes(index))
  for (const index of offered) setPhase(session, index, phases.missing)
}

/** Bytes of the chunk that may stay: only this node's own can end in an entry of its own. */
function ownPrefix(state: SwarmState, session: Session, index: number): number {
  const buffer = session.buffers.get(index)
  if (buffer === undefined) return 0
  if (ownOrigin(buffer) === session.origin && !session.single.has(index)) return buffer.received
  dropBuffer(state, session, index)
  return 0
}

function runEnd(indices: readonly number[]): number {
  let end = indices[0] ?? 0
  for (const index of indices) {
    if (index !== end) break
    end++
  }
  return end
}

function stopFetch(state: SwarmState, lease: Lease): void {
  if (lease.fetch === undefined) return
  state.emit({ type: 'stop-fetch', digest: lease.session.digest, fetch: lease.fetch.id })
  forgetFetch(state, lease)
}

function forgetFetch(state: SwarmState, lease: Lease): void {
  if (lease.fetch !== undefined) state.fetches.delete(lease.fetch.id)
  lease.fetch = undefined
}

export function onOriginFrame(state: SwarmState, event: EventOf<'origin-frame'>): void {
  const lease = state.fetches.get(event.fetch)
  if (lease?.fetch === undefined) return
  const { fetch, session } = lease
  const nowMs = state.clock.now()
  if (fetch.firstByteAtMs === undefined) {
    fetch.firstByteAtMs = nowMs
    state.originFailedAtMs.delete(session.origin ?? '')
    state.originFirstByteMs = smoothed(state.originFirstByteMs, nowMs - fetch.startedAtMs)
    // The lease is about to lapse if the directory does not hear of it.
    if (lease.tries > 0) tellDirectory(state, session, true)
  }
  fetch.heardAtMs = state.link.silenceMs
  fetch.bytes += event.bytes
  session.supply.heardAtMs = state.link.silenceMs
  countBytes(state, event.bytes)
  session.progressAtMs = nowMs
  if (event.index !== fetch.index) nextChunk(session, fetch, event.index)
  fetch.received += event.bytes
  if (fetch.unranged) takeUnasked(state, lease, event.index)
  if (session.phase[event.index] === phases.origin) countOriginFrame(state, lease, fetch, event.index)
  else if (fetch.received >= lengthOf(session, event.index))
    state.emit({ type: 'drop', digest: session.digest, index: event.index })
}

/** The chunk comes from its first byte: what peers sent of it is forgotten, not dropped, since a `drop` would also take what has just come. */
function nextChunk(session: Session, fetch: OriginFetch, index: number): void {
  fetch.index = index
  fetch.received = 0
  if (session.phase[index] === phases.origin) session.buffers.delete(index)
}

/** The origin sends the whole blob: what is still missing is taken from it, also what peers were asked for. */
function takeUnasked(state: SwarmState, lease: Lease, index: number): void {
  const { session } = lease
  if (session.phase[index] === phases.asked) cancelChunk(state, session, index)
  if (session.phase[index] !== phases.missing) return
  // Forgotten, not dropped: a `drop` would also take what has just come.
  session.buffers.delete(index)
  setPhase(session, index, phases.origin)
  lease.remaining.unshift(index)
}

function countOriginFrame(state: SwarmState, lease: Lease, fetch: OriginFetch, index: number): void {
  const { session } = lease
  const buffer = bufferOf(session, index)
  buffer.sources.add(ownSource(session))
  buffer.received = fetch.received
  if (fetch.received < lengthOf(session, index)) return
  lease.remaining = lease.remaining.filter((other) => other !== index)
  lease.settling.add(index)
  lease.tries = 0
  session.hasBrought = true
  noteRate(state, fetch)
  chunkArrived(state, session, index)
  if (isOutrun(state, lease, fetch, index)) yieldRest(state, lease)
  askForLease(state, session)
}

export function onOriginUnranged(state: SwarmState, event: EventOf<'origin-unranged'>): void {
  const lease = state.fetches.get(event.fetch)
  if (lease?.fetch === undefined) return
  const { fetch, isWhole, session } = lease
  session.supply.unranged = true
  tellDirectory(state, session, true)
  const knowsOthers = session.candidates.size + session.neighbours.size > 0 || hasBorder(state)
  if (!isWhole && lease.id !== undefined && knowsOthers) {
    // Others may hold leases too, also behind a border. The directory lets one of us have the whole blob, so that the origin sends it once.
    surrender(state, lease)
    return
  }
  takeWhole(state, lease)
  fetch.unranged = true
  fetch.alone = chunksAlone(state, lease)
  nextChunk(session, fetch, 0)
}

/**
 * Of these, whoever says to gain one is on the same way, and ahead. What others had before shows nothing of the kind: the reader of a
 * part had the blob sent up to there. But a directory that says that others have all, and grants it, knows nothing.
 */
function chunksAlone(state: SwarmState, { remaining, session }: Lease): Set<number> {
  const nowhere = remaining.filter((index) => isNowhere(state, session, index))
  return new Set(nowhere.length > 0 ? nowhere : remaining.filter((index) => !isOffered(state, session, index)))
}

/**
 * The fetch brings all chunks, from the first byte of each, and other leases are done with: what they have asked for, or would, begins at
 * the first byte too. Others hear that all is on its way.
 */
function takeWhole(state: SwarmState, lease: Lease): void {
  const { remaining, session } = lease
  for (const other of session.supply.leases) if (other !== lease) surrender(state, other)
  for (const index of remaining) dropBuffer(state, session, index)
  for (let index = 0; index < session.count; index++) {
    if (session.phase[index] !== phases.missing && !isSearched(state, lease, index)) continue
    dropBuffer(state, session, index)
    setPhase(session, index, phases.origin)
    remaining.push(index)
  }
  remaining.sort((a, b) => a - b)
}

/** Where a lie is looked for, all that passes by of what is held on others' words is looked at. */
function isSearched({ self }: SwarmState, { isEscape, session }: Lease, index: number): boolean {
  const { accepted, forgery, phase } = session
  return isEscape && forgery !== undefined && phase[index] === phases.held && accepted[index]?.signer !== self
}

/**
 * Others may have an origin that ignores Range send the blob as well, and be ahead: what they gain meanwhile is left to them, and when
 * that comes, so is the rest. Streams of one origin share its uplink, so that many of them would be ever so slow.
 * What is said to be had may never come, so the last chunk stays: with it the answer goes on, and what passes by is taken.
 */
function yieldAhead(state: SwarmState, lease: Lease): void {
  const { fetch, session } = lease
  if (fetch === undefined || !mayYield(lease)) return
  for (const index of fetch.alone) {
    if (index < fetch.index) fetch.alone.delete(index)
    else if (index > fetch.index && index !== lease.remaining.at(-1) && isOfUse(state, session, index))
      yieldChunk(lease, fetch, index)
  }
  if ([...fetch.yielded].some((index) => index > fetch.index && isHere(session, index))) yieldRest(state, lease)
}

/**
 * Many that began in the same moment get each chunk at nearly the same time, so that nobody has one to give before it has passed here.
 * Then it is enough, once a blob, that a neighbour had the chunk first. Who says to be further ahead can show it.
 */
function isOutrun(state: SwarmState, lease: Lease, { alone }: OriginFetch, index: number): boolean {
  const { session } = lease
  if (session.supply.hasYielded || !mayYield(lease) || !alone.has(index)) return false
  return isOfUse(state, session, index) && !isOffered(state, session, index + 1)
}

function mayYield({ isEscape, session }: Lease): boolean {
  return !isEscape && !session.ownOnly
}

function isOfUse(state: SwarmState, session: Session, index: number): boolean {
  return isOffered(state, session, index) && !isUseless(state, session, index)
}

function yieldRest(state: SwarmState, lease: Lease): void {
  lease.session.supply.hasYielded = true
  surrender(state, lease)
}

function yieldChunk(lease: Lease, { alone, yielded }: OriginFetch, index: number): void {
  alone.delete(index)
  yielded.add(index)
  lease.remaining = lease.remaining.filter((other) => other !== index)
  setPhase(lease.session, index, phases.missing)
}

export function onOriginEnded(state: SwarmState, event: EventOf<'origin-ended'>): void {
  const lease = state.fetches.get(event.fetch)
  if (lease?.fetch === undefined) return
  const { fetch } = lease
  forgetFetch(state, lease)
  if (event.failure !== undefined) {
    onFailed(state, lease, event.failure)
    return
  }
  const isShort = lease.remaining[0] === fetch.index
  if (isShort) onFailed(state, lease, { kind: 'protocol' })
  else noteSuccess(state, lease)
}

/** Rates of fetches too short to measure say nothing. */
function noteRate(state: SwarmState, fetch: OriginFetch): void {
  const tookMs = state.clock.now() - (fetch.firstByteAtMs ?? fetch.startedAtMs)
  if (tookMs < 1) return
  state.originRateBytesPerMs = smoothed(state.originRateBytesPerMs, fetch.bytes / tookMs)
}

function noteSuccess(state: SwarmState, lease: Lease): void {
  const { supply } = lease.session
  // A fetch that began before the credential ran out may end after another was refused: that stays refused.
  const isStale = supply.failure?.kind === 'refused' && state.clock.now() < supply.restUntilMs
  if (!isStale) {
    supply.failures = 0
    supply.failure = undefined
  }
}

function onFailed(state: SwarmState, lease: Lease, failure: OriginFailure): void {
  const { limits } = state
  lease.tries++
  const backoffMs = limits.originBackoffMs * 2 ** lease.tries
  const waitMs = 'retryAfterMs' in failure ? (failure.retryAfterMs ?? backoffMs) : backoffMs
  const again = failure.kind === 'unavailable' && waitMs <= limits.stallMs && lease.tries < limits.originTriesMax
  if (again) lease.startAfterMs = state.clock.now() + waitMs / 2 + state.random.below(Math.ceil(waitMs))
  else giveUp(state, lease, failure, waitMs)
}

/** The lease goes back, and this node leaves the origin alone for a while. */
function giveUp(state: SwarmState, lease: Lease, failure: OriginFailure, waitMs: number): void {
  const { session } = lease
  const { limits } = state
  const { supply } = session
  const nowMs = state.clock.now()
  supply.failures++
  supply.failure = failure
  const restMs = failure.kind === 'refused' ? limits.originRefusedMs : Math.max(waitMs, limits.originBackoffMs)
  supply.restUntilMs = nowMs + restMs
  if (failure.kind === 'unavailable') state.originFailedAtMs.set(session.origin ?? '', nowMs)
  // The origin's own word, 429 or 503, holds for all.
  if ('retryAfterMs' in failure && failure.retryAfterMs !== undefined)
    state.originRests.set(session.origin ?? '', nowMs + failure.retryAfterMs)
  surrender(state, lease)
}

/** A reader has come, with a credential of its own: what the origin refused to others' says nothing about it. */
export function trustAgain({ supply }: Session): void {
  if (supply.failure?.kind !== 'refused') return
  supply.failures = 0
  supply.failure = undefined
  supply.restUntilMs = 0
}

/** Looks for fetches that hang. */
export function watchFetches(state: SwarmState): void {
  for (const lease of state.fetches.values()) {
    const { fetch } = lease
    if (fetch === undefined) continue
    const isBegun = fetch.firstByteAtMs !== undefined
    const allowedMs = isBegun ? patienceMs(state) : state.limits.originFirstByteMs * 2 ** lease.tries
    if (state.link.silenceMs - fetch.heardAtMs < allowedMs) continue
    stopFetch(state, lease)
    lease.tries++
    if (lease.tries >= state.limits.originTriesMax)
      giveUp(state, lease, { kind: 'unavailable' }, state.limits.originBackoffMs)
  }
}

/** Drives what hangs on time: leases wished for, and chunks that must be this node's own. */
export function pumpOrigin(state: SwarmState, session: Session): void {
  watchCrossings(state, session)
  if (session.ownOnly) refetchOwn(state, session)
  for (const lease of session.supply.leases) yieldAhead(state, lease)
  askForLease(state, session)
  startFetches(state, session)
}

/** Whoever else may have them: nobody's bytes but this node's own are of use. */
function refetchOwn(state: SwarmState, session: Session): void {
  if (session.supply.leases.size > 0 || isResting(state, session)) return
  const first = nextWanted(state, session, () => true)
  if (first === undefined) return
  const run: number[] = []
  for (let index = first; index < session.count && run.length < state.limits.leaseChunksMax; index++)
    if (session.phase[index] === phases.missing) run.push(index)
  addLease(state, session, undefined, run)
}

/** May a missing chunk still come from a peer? */
export function peersMayHelp(session: Session): boolean {
  if (session.supply.crossings.size > 0) return true
  const mayHave = (index: number): boolean =>
    (session.availability[index] ?? 0) > 0 || (session.counts?.[index] ?? 0) > 0
  for (let index = 0; index < session.count; index++) {
    const phase = session.phase[index]
    if (phase === phases.asked || phase === phases.hashing || phase === phases.keeping) return true
    if (phase === phases.missing && !hasBit(session.have, index) && mayHave(index)) return true
  }
  return false
}
