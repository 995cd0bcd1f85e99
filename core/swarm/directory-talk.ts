/** What this node says of a digest to its directory, and what it makes of the answer. */
import type { AnnounceItem, AnswerItem, ChunkRange } from '../directory/messages.ts'
import type { Digest } from '../oci/digest.ts'
import type { PeerId } from '../ports.ts'
import { bitfieldOf } from './bitfield.ts'
import { chunkCountOf } from './chunks.ts'
import { crossingChunks } from './crossings.ts'
import { onDepartureTold } from './departure.ts'
import { nearNeighbours } from './neighbours.ts'
import { onContested, onGranted, onLost } from './origin.ts'
import { leaseWish, onCounts } from './wishes.ts'
import { bannedPeers } from './hosts.ts'
import { addCandidates, connectMore, isConnected } from './peers.ts'
import { knowOthers, wantsMore } from './session.ts'
import type { Session, SwarmState } from './state.ts'

/** The whole state of a digest as the directory should know it; undefined when there is nothing to say. */
export function announceState(state: SwarmState, digest: Digest): AnnounceItem | undefined {
  const session = state.sessions.get(digest)
  if (session === undefined) return leavingItem(state, digest)
  const lease = leaseWish(state, session)
  const { unranged } = session.supply
  const silentMs = silenceOf(state, session)
  const { origin } = session
  const released = releasedNow(state, session)
  const wants = wantsMore(state, session)
  const bans = wants ? shunnedPeers(state, session) : []
  const failedAtMs = state.originFailedAtMs.get(origin ?? '') ?? -Infinity
  const originFails = state.clock.now() - failedAtMs < state.limits.sickOriginMs
  const originRetryAfterMs = (state.originRests.get(origin ?? '') ?? 0) - state.clock.now()
  return {
    digest,
    size: session.size,
    have: session.complete ? { complete: true } : { complete: false, bits: session.have.slice() },
    wants,
    ...(isConnected(state, session) ? { isConnected: true } : {}),
    neighbours: nearNeighbours(session),
    ...(bans.length > 0 ? { bans } : {}),
    fetching: fetchingRanges(session).slice(0, state.limits.fetchRangesMax),
    ...(lease === undefined ? {} : { lease }),
    ...(silentMs < state.limits.leaseTtlMs ? { silentMs } : {}),
    ...(released.length > 0 ? { released } : {}),
    ...(unranged ? { unranged } : {}),
    ...(origin === undefined ? {} : { origin }),
    ...(originRetryAfterMs > 0 ? { originRetryAfterMs } : {}),
    ...(originFails ? { originFails } : {}),
    ...(state.departure === undefined ? {} : { departs: true }),
  }
}

/** Some whose word counts for nothing here: the directory knows what they say to hold, and not what that is worth. */
function shunnedPeers(state: SwarmState, { forgery, neighbours, spoilers }: Session): PeerId[] {
  const denying = forgery === undefined ? [...neighbours.values()].filter(({ denies }) => denies) : []
  const deniers = denying.map(({ peer }) => peer.id)
  return [
    ...new Set([...bannedPeers(state), ...spoilers, ...state.withholders, ...state.silent.keys(), ...deniers]),
  ].slice(-state.limits.bansToldMax)
}

function leavingItem(state: SwarmState, digest: Digest): AnnounceItem | undefined {
  const size = state.left.get(digest)
  if (size === undefined) return undefined
  const have = { complete: false, bits: bitfieldOf(chunkCountOf(size)) } as const
  return { digest, size, have, wants: false, fetching: [], leaves: true }
}

/** How long nothing has come of what leases let this node fetch; Infinity: never has. */
function silenceOf({ clock, link }: SwarmState, { supply }: Session): number {
  const crossingMs = [...supply.crossings].map(({ progressAtMs }) => clock.now() - progressAtMs)
  const originMs = supply.leases.size > 0 ? link.silenceMs - supply.heardAtMs : Infinity
  return Math.min(originMs, ...crossingMs)
}

/** Leased chunks that do not show in `have` yet, as runs. */
function fetchingRanges(session: Session): ChunkRange[] {
  const fetched = [...session.supply.leases].flatMap((lease) => [...lease.remaining, ...lease.settling])
  const indices = [...fetched, ...crossingChunks(session)]
  const ranges: { start: number; end: number }[] = []
  for (const index of indices.toSorted((a, b) => a - b)) {
    const last = ranges.at(-1)
    if (last?.end === index) last.end++
    else ranges.push({ start: index, end: index + 1 })
  }
  return ranges
}

export function onAnswer(state: SwarmState, answer: AnswerItem): void {
  const session = state.sessions.get(answer.digest)
  if (session === undefined) {
    state.left.delete(answer.digest)
    return
  }
  if (answer.ask !== undefined) return
  if (answer.peers.length > 0 || answer.counts?.some((count) => count > 0) === true) knowOthers(state, session)
  if (answer.peers.some(({ complete }) => complete)) session.supply.holderNamedAtMs = state.clock.now()
  addCandidates(state, session, answer.peers)
  onDepartureTold(state, session, answer.departure)
  if (answer.size === undefined || answer.size === session.size) takeSupply(state, session, answer)
  if (session.readers.size > 0 && wantsMore(state, session)) connectMore(state, session)
}

/** Said for a while, since an announce may be lost, and to owner and standby alike. */
function releasedNow(state: SwarmState, { supply }: Session): number[] {
  const oldestMs = state.clock.now() - state.limits.releasedToldMs
  for (const [id, sinceMs] of supply.released) if (sinceMs < oldestMs) supply.released.delete(id)
  return [...supply.released.keys()].slice(-state.limits.fetchRangesMax)
}

/** An answer without a word on leases is that of a standby, and leaves the wish open. */
function takeSupply(state: SwarmState, session: Session, answer: AnswerItem): void {
  const { contested, counts, isAllTaken = false, lease, leaseAfterMs, lost } = answer
  if (counts?.length === session.count) onCounts(state, session, counts)
  for (const id of lost ?? []) onLost(state, session, id)
  for (const range of contested ?? []) onContested(state, session, range)
  if (lease === undefined && leaseAfterMs === undefined) return
  session.supply.askingUntilMs = 0
  session.supply.isAllTaken = isAllTaken
  if (lease !== undefined) onGranted(state, session, lease)
  else session.supply.askAfterMs = state.clock.now() + Math.min(leaseAfterMs ?? 0, state.limits.limitedOriginMaxMs)
}
