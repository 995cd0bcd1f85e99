/**
 * When a node wants bytes from the origin, and of which chunks: the wish for a lease that its next word to the directory carries.
 * A chunk that others have is left to them, until they are found to starve the reader who waits for it.
 */
import type { AnnounceItem } from '../directory/messages.ts'
import { hasBit } from './bitfield.ts'
import { slowChunkMs } from './link.ts'
import { leavingMs } from './spreading.ts'
import { isDemanded, isWanted, nextWanted, nextWithheld, tellDirectory } from './session.ts'
import { type CredentialLife, endlessLife, type Lease, phases, type Session, type SwarmState } from './state.ts'
import { crossingChunks } from './crossings.ts'

/** The lease to ask the directory for, if one is wanted now. */
export function leaseWish(state: SwarmState, session: Session): AnnounceItem['lease'] {
  if (!mayAsk(state, session)) return undefined
  const position = nextOfOrigin(state, session)
  if (position === undefined) return undefined
  const insists = isStarving(state, session) || isUseless(state, session, position)
  const { unranged } = session.supply
  const wish = unranged ? { chunks: session.count, position: 0 } : wishFrom(state, session, position)
  return {
    ...wish,
    ...(insists ? { insists } : {}),
    ...(isResting(state, session) ? { acrossOnly: true } : life(state, session)),
  }
}

/** What only the origin can bring soon, as far as this node knows. */
export function nextOfOrigin(state: SwarmState, session: Session): number | undefined {
  if (isStarving(state, session)) return nextWithheld(state, session, () => true)
  if (isLeaving(state)) return undefined
  return nextWanted(state, session, (index) => isNowhere(state, session, index))
}

/** How long this node's credential lets it fetch. */
function life(state: SwarmState, session: Session): Pick<NonNullable<AnnounceItem['lease']>, 'lifeMs'> {
  const lifeMs = lifeOf(state, session).endsAtMs - state.clock.now()
  return lifeMs < Infinity ? { lifeMs: Math.min(lifeMs, state.limits.tokenLifeMaxMs) } : {}
}

/** Of the last credential that this node may show the origin. */
export function lifeOf({ credentialLife }: SwarmState, { digest, origin }: Session): CredentialLife {
  return origin === undefined ? endlessLife : credentialLife(digest, origin)
}

/** Nothing is left that the origin would take: others may fetch then, and who comes with a new credential. */
export function isSpent(state: SwarmState, session: Session): boolean {
  return lifeOf(state, session).endsAtMs <= state.clock.now()
}

function wishFrom(state: SwarmState, session: Session, position: number): NonNullable<AnnounceItem['lease']> {
  const wish = { chunks: wantedFrom(state, session, position, wishChunks(state, session)), position }
  const isReadWhole = [...session.readers.values()].some(({ whole }) => whole)
  return isReadWhole && !session.phase.includes(phases.passed) ? wish : { ...wish, theseOnly: true }
}

/** Others are said to have what is missing, and yet for long neither a byte has come nor a word that one will. */
export function isStarving(state: SwarmState, session: Session): boolean {
  if (!isDemanded(session)) return false
  const { progressAtMs, promisedAtMs, supply } = session
  const { starvedAloneMs, starvedMs, starvedPromisedMs } = state.limits
  const nowMs = state.clock.now()
  const isMisled = hasLiars(session)
  const isShort = isMisled || isAlone(session, nowMs - starvedAloneMs)
  const waitMs = isShort ? Math.min(supply.patienceMs, starvedAloneMs) : supply.patienceMs
  const promiseMs = Math.max(supply.patienceMs, slowChunkMs(state, session))
  const promisedUntilMs = Math.min(promisedAtMs + promiseMs, progressAtMs + (isMisled ? starvedMs : starvedPromisedMs))
  return nowMs >= Math.max(waitsSinceMs(session) + waitMs, promisedUntilMs)
}

/** Since when nothing has come although others are said to have what is missing. */
export function waitsSinceMs({ nowhereAtMs, othersSinceMs, progressAtMs }: Session): number {
  return Math.max(progressAtMs, othersSinceMs, nowhereAtMs)
}

/**
 * The directory has told what others hold; while that is nothing of what is missing here, nobody can be said to withhold it. But
 * whom it names may have it across a border, where it does not count, or lie, as the other host does not know; and where two hosts answer
 * in turn, of which one says that nobody has it, the other may be right, or be misled for as long as it lives.
 */
export function onCounts(state: SwarmState, session: Session, counts: Uint8Array): void {
  session.counts = counts
  const isNamed = session.supply.holderNamedAtMs >= session.progressAtMs
  const held = nextWithheld(state, session, (index) => !isNowhere(state, session, index))
  const isNone = held === undefined && !isNamed
  if (isNone && session.wasNowhere) session.nowhereAtMs = state.clock.now()
  session.wasNowhere = isNone
}

/** Is no peer reached, since then? Where a connection has just broken, another one soon follows. */
function isAlone({ leftAloneAtMs, neighbours }: Session, sinceMs: number): boolean {
  return neighbours.size === 0 && leftAloneAtMs <= sinceMs
}

/** Some that are said to have the blob lie about it, and perhaps others do, or have it from them. */
export function hasLiars({ forgery, refused }: Session): boolean {
  return forgery !== undefined || refused.size > 0
}

function mayAsk(state: SwarmState, session: Session): boolean {
  const { origin, ownOnly } = session
  if (ownOnly || origin === undefined) return false
  if (isResting(state, session) && !hasBorder(state)) return false
  if (state.clock.now() < session.supply.askAfterMs) return false
  if (isBroughtByOthers(state, session) || mustYield(state, session)) return false
  const coming = comingBytes(session)
  return (
    openLeases(session).length + session.supply.crossings.size < state.limits.leasesPerBlob &&
    coming <= Math.max(session.chunkSize, (state.originRateBytesPerMs ?? 0) * state.limits.leaseAheadMs) &&
    leasedBytes(state) < state.limits.originInFlightMaxBytes
  )
}

/** Whoever was ahead of this node's own stream brings the rest: to ask again would only begin another one, at the first byte. */
function isBroughtByOthers({ clock, limits }: SwarmState, { progressAtMs, supply }: Session): boolean {
  return supply.hasYielded && clock.now() < progressAtMs + limits.starvedMs
}

/** What this node alone has is to leave it before more comes. */
function isLeaving(state: SwarmState): boolean {
  return leavingMs(state, leasedBytes(state)) > state.limits.leaseLeavesMs
}

/** What it would not ask a directory for now, it does not take without one either. */
export function leavesToOthers(state: SwarmState, session: Session): boolean {
  return isBroughtByOthers(state, session) || mustYield(state, session) || isLeaving(state)
}

/** What the origin does not give may come from the other side. */
export function hasBorder({ places, self }: SwarmState): boolean {
  return places.areaOf(self) !== ''
}

/** A prefetch leaves the origin to the blobs that somebody reads, until there is none of which it has more to give. */
function mustYield(state: SwarmState, session: Session): boolean {
  return !isDemanded(session) && state.active.some((other) => isDemanded(other) && needsOrigin(state, other))
}

function needsOrigin(state: SwarmState, session: Session): boolean {
  if (session.supply.isAllTaken) return false
  return nextWanted(state, session, (index) => isNowhere(state, session, index)) !== undefined
}

export function openLeases(session: Session): Lease[] {
  return [...session.supply.leases].filter((lease) => lease.remaining.length > 0)
}

function comingBytes(session: Session): number {
  let bytes = crossingChunks(session).length * session.chunkSize
  for (const lease of session.supply.leases) bytes += lease.remaining.length * session.chunkSize
  return bytes
}

function leasedBytes(state: SwarmState): number {
  let bytes = 0
  for (const session of state.active) bytes += comingBytes(session)
  return bytes
}

/** Has no neighbour this chunk, nor anybody else the directory knows, in a form that is of use here? */
export function isNowhere(state: SwarmState, session: Session, index: number): boolean {
  if (isOffered(state, session, index)) return false
  return (session.counts?.[index] ?? 0) === 0 || isUseless(state, session, index)
}

/** Has a neighbour this chunk that gives what it has? */
export function isOffered(
  { silent, withholders }: SwarmState,
  { availability, neighbours }: Session,
  index: number,
): boolean {
  let offers = availability[index] ?? 0
  // Asked of every chunk again and again, and mostly all give what they have.
  if (withholders.size + silent.size === 0) return offers > 0
  for (const peer of withholders.union(silent)) {
    const neighbour = neighbours.get(peer)
    if (neighbour !== undefined && hasBit(neighbour.bits, index)) offers--
  }
  return offers > 0
}

/** All who are said to have it have it on a word that is not taken here, or do not hand it on; or others were not found. */
export function isUseless({ clock, limits }: SwarmState, { counts, refused }: Session, index: number): boolean {
  const refusal = refused.get(index)
  if (refusal === undefined) return false
  const { holders, sinceMs } = refusal
  return holders.size >= (counts?.[index] ?? 0) || clock.now() - sinceMs >= limits.starvedAloneMs
}

/** As much as the origin gives in `leaseMs`. */
function wishChunks(state: SwarmState, session: Session): number {
  const rate = state.originRateBytesPerMs
  const bytes = rate === undefined ? state.limits.leaseFirstBytes : rate * state.limits.leaseMs
  return Math.min(Math.max(Math.round(bytes / session.chunkSize), 1), state.limits.leaseChunksMax)
}

/** How many of the `most` chunks from `position` on are wanted without a gap: the reader of a part wants no more, nor who had the next from memory. */
function wantedFrom(state: SwarmState, session: Session, position: number, most: number): number {
  const end = Math.min(position + most, session.count)
  let next = position + 1
  while (next < end && isWanted(state, session, next) && session.phase[next] !== phases.passed) next++
  return next - position
}

/** Speaks up when a lease is wanted; called when that may have changed. */
export function askForLease(state: SwarmState, session: Session): void {
  const nowMs = state.clock.now()
  if (nowMs < session.supply.askingUntilMs || leaseWish(state, session) === undefined) return
  session.supply.askingUntilMs = nowMs + state.limits.leaseAgainMs
  tellDirectory(state, session, true)
}

/** After a failure, because the origin asked for it, or since it would refuse; or there is none. */
export function isResting(state: SwarmState, session: Session): boolean {
  const { origin, supply } = session
  const nowMs = state.clock.now()
  const restUntilMs = Math.max(state.originRests.get(origin ?? '') ?? 0, supply.restUntilMs)
  return origin === undefined || nowMs < restUntilMs || isSpent(state, session)
}
