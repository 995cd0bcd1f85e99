/**
 * Chunks that this node, as a gateway, brings across the border. A lease names them and the peer over there that has them;
 * as long as it holds, that peer is a neighbour that has these chunks and no others, and whatever chooses, stalls and hedges
 * among neighbours does so with it too.
 */
import type { Lease as Grant, PeerHint } from '../directory/messages.ts'
import { hasBit } from './bitfield.ts'
import { gainLeased, isForeign, isFree, lose, sendJoin } from './neighbours.ts'
import { dial, peerOf } from './peers.ts'
import { isHere, knowOthers, tellDirectory } from './session.ts'
import { phases, type Crossing, type Session, type SwarmState, type Transfer } from './state.ts'
import { cancelTransfer } from './transfers.ts'

/** Takes over a lease; chunks that are here or on their way stay as they are. */
export function beginCrossing(state: SwarmState, session: Session, grant: Grant, source: PeerHint): void {
  const remaining = new Set<number>()
  if (session.readers.size > 0 && isForeign(state, source.peer))
    for (let index = Math.max(grant.start, 0); index < Math.min(grant.end, session.count); index++)
      if (session.phase[index] === phases.missing) remaining.add(index)
  const crossing = { id: grant.id, source: source.peer, remaining, progressAtMs: state.clock.now() }
  session.supply.crossings.add(crossing)
  session.supply.holderNamedAtMs = state.clock.now()
  knowOthers(state, session)
  if (remaining.size === 0) {
    // Here, though perhaps not on disk, so that the directory would name it again at once.
    session.supply.askAfterMs = state.clock.now() + state.limits.leaseAgainMs
    return endCrossing(state, session, crossing)
  }
  const peer = peerOf(state, source.peer)
  if (peer.connected) sendJoin(state, session, peer)
  else if (!peer.dialing) dial(state, peer, source.addresses)
  const neighbour = session.neighbours.get(source.peer)
  if (neighbour?.joinReceived === true) gainLeased(neighbour)
}

/** The next chunk that its source may be asked for, now: a whole area waits for it. */
export function nextCrossing(state: SwarmState, session: Session): number | undefined {
  const nowMs = state.clock.now()
  for (const { remaining, source } of session.supply.crossings) {
    const neighbour = session.neighbours.get(source)
    if (neighbour === undefined || !isFree(state, neighbour.peer, nowMs)) continue
    for (const index of remaining) if (hasBit(session.obtainable, index) && hasBit(neighbour.bits, index)) return index
  }
  return undefined
}

/** A chunk is kept: gives back the leases of which all chunks are. */
export function settleCrossings(state: SwarmState, session: Session): void {
  for (const crossing of session.supply.crossings) {
    for (const index of crossing.remaining) {
      if (!isHere(session, index)) continue
      crossing.remaining.delete(index)
      crossing.progressAtMs = state.clock.now()
    }
    if (crossing.remaining.size === 0) endCrossing(state, session, crossing)
  }
}

/** Gives back the leases whose source is gone, has not what it should, or sends nothing. */
export function watchCrossings(state: SwarmState, session: Session): void {
  const nowMs = state.clock.now()
  for (const crossing of session.supply.crossings) {
    if (isUnderWay(state, session, crossing)) crossing.progressAtMs = nowMs
    const isHopeless = !isReachable(state, session, crossing)
    // Where nobody else has it, the directory would name the same source again.
    if (isHopeless) session.supply.askAfterMs = nowMs + state.limits.leaseAgainMs
    if (isHopeless || nowMs - crossing.progressAtMs >= state.limits.leaseTtlMs) endCrossing(state, session, crossing)
  }
}

/** A byte now and then, for which a whole area would wait, is no progress. */
function isUnderWay({ limits, link }: SwarmState, session: Session, { remaining }: Crossing): boolean {
  const comes = ({ framedAtMs, state }: Transfer): boolean =>
    state === 'active' && link.silenceMs - framedAtMs < limits.crawlMs
  for (const index of remaining) {
    const phase = session.phase[index]
    if (phase === phases.hashing || phase === phases.keeping) return true
    if (session.buffers.get(index)?.transfers.some(comes)) return true
  }
  return false
}

function isReachable(state: SwarmState, session: Session, { remaining, source }: Crossing): boolean {
  const neighbour = session.neighbours.get(source)
  if (neighbour === undefined) return state.peers.get(source)?.dialing === true
  if (!neighbour.joinReceived) return true
  for (const index of remaining)
    if (hasBit(neighbour.bits, index) || session.phase[index] !== phases.missing) return true
  return false
}

/** The directory takes the lease back: what has not come of it yet is not asked for any more. */
export function loseCrossing(state: SwarmState, session: Session, id: number): void {
  for (const crossing of session.supply.crossings) {
    if (crossing.id !== id) continue
    for (const transfer of session.neighbours.get(crossing.source)?.peer.transfers.slice() ?? [])
      if (transfer.session === session && crossing.remaining.has(transfer.index)) cancelTransfer(state, transfer)
    endCrossing(state, session, crossing)
  }
}

export function endCrossings(state: SwarmState, session: Session): void {
  for (const crossing of session.supply.crossings) endCrossing(state, session, crossing)
}

function endCrossing(state: SwarmState, session: Session, crossing: Crossing): void {
  const { id, remaining, source } = crossing
  const neighbour = session.neighbours.get(source)
  if (neighbour !== undefined) for (const index of remaining) lose(neighbour, index)
  session.supply.crossings.delete(crossing)
  session.supply.released.set(id, state.clock.now())
  tellDirectory(state, session, true)
}

/** Chunks that leases let this node bring across, and that are not here yet. */
export function crossingChunks({ supply }: Session): number[] {
  return [...supply.crossings].flatMap(({ remaining }) => [...remaining])
}
