/** The other agents: connecting to the right ones, and letting go of those that do not serve. */
import type { PeerHint } from '../directory/messages.ts'
import { markOf, scoreOf } from '../directory/rendezvous.ts'
import type { GoneRecord } from '../members/messages.ts'
import { nearness } from '../members/places.ts'
import type { PeerId } from '../ports.ts'
import { isBanned } from './hosts.ts'
import { dropNeighbour, isForeign, nearNeighbours, sendJoin } from './neighbours.ts'
import { isDemanded, offerAll, tellDirectory, wantsMore } from './session.ts'
import type { Peer, Session, SwarmState } from './state.ts'
import { cancelPeer } from './transfers.ts'
import { withdrawPeer } from './uploads.ts'

export function peerOf(state: SwarmState, id: PeerId): Peer {
  const known = state.peers.get(id)
  if (known !== undefined) return known
  if (state.peers.size >= state.limits.peersMax) forgetPeers(state)
  const peer: Peer = {
    id,
    address: undefined,
    leftAtMs: 0,
    spent: 0,
    spentSinceMs: 0,
    pairScore: scoreOf(state.mark, markOf(id)),
    nearness: 0,
    connected: false,
    dialing: false,
    dialFailures: 0,
    dialAfterMs: 0,
    dialsUsUntilMs: 0,
    neighbours: new Map(),
    spokeAtMs: -Infinity,
    transfers: [],
    restUntilMs: 0,
    busies: 0,
    stalls: 0,
    strikes: 0,
    bannedUntilMs: 0,
    frameGapMs: 0,
    byteMs: 0,
    ahead: 0,
    neededAtMs: state.clock.now(),
    leavesAtMs: Infinity,
    released: false,
  }
  state.peers.set(id, peer)
  return peer
}

/** Makes room: of those not connected the older half goes, bans last. */
function forgetPeers(state: SwarmState): void {
  const idle = [...state.peers.values()].filter((peer) => !peer.connected && !peer.dialing)
  idle.sort((a, b) => a.bannedUntilMs - b.bannedUntilMs)
  for (const { id } of idle.slice(0, Math.ceil(idle.length / 2))) {
    state.peers.delete(id)
    state.withholders.delete(id)
  }
}

/** The directory named peers for a session. */
export function addCandidates(state: SwarmState, session: Session, hints: readonly PeerHint[]): void {
  for (const hint of hints) {
    const { addresses, peer } = hint
    if (peer === state.self || isForeign(state, peer)) continue
    if (!state.peers.has(peer)) leaveDialToIt(state, hint)
    session.candidates.delete(peer)
    session.candidates.set(peer, addresses)
  }
  for (const oldest of session.candidates.keys()) {
    if (session.candidates.size <= state.limits.candidatesMax) break
    session.candidates.delete(oldest)
  }
}

/**
 * Whom a leech chooses mostly chooses it too, and at the same moment: both would pay for two handshakes. So one of the two, by
 * lot, gives the other a moment to dial. A seed chooses nobody.
 */
function leaveDialToIt(state: SwarmState, { complete, peer: id }: PeerHint): void {
  const peer = peerOf(state, id)
  const isFirst = state.self < id
  if (complete || (peer.pairScore % 2 === 0) === isFirst) return
  peer.dialsUsUntilMs = state.clock.now() + state.limits.dialLeftMs
  state.dialsWaitUntilMs = Math.min(state.dialsWaitUntilMs, peer.dialsUsUntilMs)
}

/** Those are dialed that were to dial and have not, or whose last connection or dial failed a while ago. */
export function endDialWaits(state: SwarmState, nowMs: number): void {
  if (nowMs < state.dialsWaitUntilMs) return
  state.dialsWaitUntilMs = Infinity
  for (const { connected, dialAfterMs, dialsUsUntilMs } of state.peers.values()) {
    const untilMs = Math.max(dialAfterMs, dialsUsUntilMs)
    if (!connected && untilMs > nowMs) state.dialsWaitUntilMs = Math.min(state.dialsWaitUntilMs, untilMs)
  }
  connectAll(state)
}

/** Joins or dials candidates, highest pair score first, until there are enough neighbours. */
export function connectMore(state: SwarmState, session: Session): void {
  let missing = aimOf(state, session) - nearNeighbours(session)
  if (missing <= 0 || session.candidates.size === 0) return
  const ranked = [...session.candidates.keys()]
    .filter((id) => !session.neighbours.has(id) && !isBanned(state, id))
    .map((id) => peerOf(state, id))
    .filter((peer) => !hasLeft(peer))
    .toSorted((a, b) => b.pairScore - a.pairScore)
  for (const peer of ranked) {
    if (missing <= 0) return
    if (approach(state, session, peer)) missing--
  }
}

/** A directory that does not know so yet may still name it. */
function hasLeft({ leavesAtMs }: Peer): boolean {
  return leavesAtMs < Infinity
}

/** Are there as many neighbours as this node aims for? */
export function isConnected(state: SwarmState, session: Session): boolean {
  return nearNeighbours(session) >= aimOf(state, session)
}

/** More than usual while those that there are bring nothing, or nothing of use: whoever has what is missing is among the others. */
function aimOf(state: SwarmState, session: Session): number {
  const { clock, limits } = state
  const isIdle = clock.now() - broughtAtMs(state, session) >= limits.neighboursIdleMs
  return isIdle || session.refused.size > 0 ? limits.neighboursMax : limits.neighboursAim
}

/** A prefetch gives way to every reader: while anything comes it only waits for its turn. */
function broughtAtMs({ link }: SwarmState, session: Session): number {
  const { progressAtMs } = session
  return isDemanded(session) ? progressAtMs : Math.max(progressAtMs, link.heardAtMs)
}

/** True when the peer is, or is about to be, a neighbour. */
function approach(state: SwarmState, session: Session, peer: Peer): boolean {
  if (peer.connected) sendJoin(state, session, peer)
  else if (peer.dialing) return state.dials.has(peer)
  else if (peer.dialsUsUntilMs <= state.clock.now()) return dial(state, peer, session.candidates.get(peer.id) ?? [])
  return true
}

export function dial(state: SwarmState, peer: Peer, addresses: readonly string[]): boolean {
  const nowMs = state.clock.now()
  if (nowMs < peer.dialAfterMs || state.dials.size >= state.limits.dialsMax) return false
  peer.dialing = true
  state.dials.set(peer, nowMs)
  state.emit({ type: 'dial', peer: peer.id, addresses })
  return true
}

export function onConnected(state: SwarmState, id: PeerId, address: string): void {
  const peer = peerOf(state, id)
  stopDialing(state, peer)
  peer.dialFailures = 0
  peer.connected = true
  peer.released = false
  peer.address = address
  peer.nearness = nearness(state.places.placeOf(state.self), state.places.placeOf(id))
  peer.neededAtMs = state.clock.now()
  if (isBanned(state, id)) return
  for (const session of state.active) {
    const isCandidate = session.candidates.has(id) && !isConnected(state, session)
    const wanted = isCandidate || isSource(session, id)
    if (wanted && wantsMore(state, session)) sendJoin(state, session, peer)
  }
  dialWaiting(state)
}

/** Does a lease send this node across the border to the peer? */
function isSource({ supply }: Session, peer: PeerId): boolean {
  for (const { source } of supply.crossings) if (source === peer) return true
  return false
}

/** A dial has ended, so another may begin. */
function dialWaiting(state: SwarmState): void {
  if (state.dials.size === state.limits.dialsMax - 1) connectAll(state)
}

/** Dials that hang give their places to others. */
export function passHangingDials(state: SwarmState, nowMs: number): void {
  const { dials, limits } = state
  const before = dials.size
  for (const [peer, sinceMs] of dials) if (nowMs - sinceMs >= limits.dialHangsMs) dials.delete(peer)
  if (dials.size < before) connectAll(state)
}

function connectAll(state: SwarmState): void {
  for (const session of state.active) if (wantsMore(state, session)) connectMore(state, session)
}

export function onDialFailed(state: SwarmState, id: PeerId): void {
  const peer = state.peers.get(id)
  if (peer === undefined || peer.connected) return
  stopDialing(state, peer)
  backOff(state, peer)
  dialWaiting(state)
}

export function onDisconnected(state: SwarmState, id: PeerId): void {
  const peer = state.peers.get(id)
  if (peer === undefined) return
  stopDialing(state, peer)
  dropPeer(state, peer)
  peer.connected = false
  peer.leftAtMs = state.clock.now()
  if (!peer.released) backOff(state, peer)
}

/** What its last process left behind says nothing of this one. */
export function onCame(state: SwarmState, id: PeerId): void {
  state.silent.delete(id)
  const peer = state.peers.get(id)
  if (peer === undefined) return
  peer.leavesAtMs = Infinity
  peer.dialFailures = 0
  peer.dialAfterMs = 0
}

/**
 * A connection may look open for seconds to who is at its other end no more. One that left gets to send what it has begun; what
 * a dead one holds is asked of others.
 */
export function onGone(state: SwarmState, id: PeerId, how: GoneRecord['state']): void {
  endSilence(state, id, how)
  if (how === 'dead') tellOf(state, id)
  for (const { candidates } of state.active) candidates.delete(id)
  if (how === 'left') {
    peerOf(state, id).leavesAtMs = state.clock.now() + state.limits.uploadsEndMs
    return
  }
  const peer = state.peers.get(id)
  if (peer?.connected === true) letGo(state, peer)
}

/** It may be dead, and for long not be found so: others are asked for what it has, and the origin for what nobody else has. */
export function onSilent(state: SwarmState, id: PeerId): void {
  state.silent.set(id, Infinity)
  tellOf(state, id)
}

/** Of all that this one may have, or have given, the directory is to hear at once. */
function tellOf(state: SwarmState, id: PeerId): void {
  for (const session of state.active)
    if (session.candidates.has(id) || session.neighbours.has(id)) tellDirectory(state, session, true)
}

/** What a dead member held counts in the directory for a while (core/directory/table.ts, `mourned`). */
function endSilence({ clock, limits, silent }: SwarmState, id: PeerId, how: GoneRecord['state']): void {
  if (how === 'dead' && silent.has(id)) silent.set(id, clock.now() + 2 * limits.announceWantMs)
  else silent.delete(id)
}

export function forgetDead({ silent }: SwarmState, nowMs: number): void {
  for (const [id, untilMs] of silent) if (untilMs <= nowMs) silent.delete(id)
}

function stopDialing(state: SwarmState, peer: Peer): void {
  state.dials.delete(peer)
  peer.dialing = false
}

function backOff(state: SwarmState, peer: Peer): void {
  const { dialBackoffMaxMs, dialBackoffMs } = state.limits
  const waitMs = Math.min(dialBackoffMs * 2 ** peer.dialFailures, dialBackoffMaxMs)
  peer.dialFailures++
  peer.dialAfterMs = state.clock.now() + waitMs
  state.dialsWaitUntilMs = Math.min(state.dialsWaitUntilMs, peer.dialAfterMs)
}

/** Ends all dealings with a peer; its chunks are asked of others. */
export function dropPeer(state: SwarmState, peer: Peer): void {
  cancelPeer(state, peer)
  for (const neighbour of peer.neighbours.values()) dropNeighbour(state, neighbour)
  withdrawPeer(state, peer.id)
}

/** The peer is asked for nothing for a while. */
export function rest(state: SwarmState, peer: Peer, forMs: number): void {
  peer.restUntilMs = Math.max(peer.restUntilMs, state.clock.now() + forMs)
  state.restsEndMs = Math.min(state.restsEndMs, peer.restUntilMs)
  state.resting.add(peer)
}

/** Peers whose rest is over may be asked again. */
export function endRests(state: SwarmState, nowMs: number): void {
  if (nowMs < state.restsEndMs) return
  state.restsEndMs = Infinity
  for (const peer of state.resting) {
    if (peer.restUntilMs > nowMs) state.restsEndMs = Math.min(state.restsEndMs, peer.restUntilMs)
    else if (state.resting.delete(peer)) offerAll(peer)
  }
}

/** Nothing came from the peer for too long: its requests move on, and it rests. */
export function onStalled(state: SwarmState, peer: Peer): void {
  cancelPeer(state, peer)
  rest(state, peer, state.limits.stallRestMs * 2 ** peer.stalls)
  peer.stalls++
  if (peer.stalls < state.limits.stallsMax) return
  peer.stalls = 0
  letGo(state, peer)
}

function letGo(state: SwarmState, peer: Peer): void {
  dropPeer(state, peer)
  backOff(state, peer)
  release(state, peer)
}

function release(state: SwarmState, peer: Peer): void {
  if (peer.released) return
  peer.released = true
  state.emit({ type: 'release', peer: peer.id })
}

/** Lets go of connections that neither side has drawn on for a while, or whose other side has left. */
export function releaseIdle(state: SwarmState, nowMs: number): void {
  for (const peer of state.peers.values()) {
    if (!peer.connected) continue
    if (nowMs >= peer.leavesAtMs) release(state, peer)
    else if (isNeeded(state, peer)) peer.neededAtMs = nowMs
    else if (nowMs - peer.neededAtMs >= state.limits.releaseAfterMs) release(state, peer)
  }
}

function isNeeded(state: SwarmState, peer: Peer): boolean {
  for (const { held, session } of peer.neighbours.values())
    if (held < session.count || wantsMore(state, session)) return true
  return peer.transfers.length > 0 || state.uploads.active.some((upload) => upload.peer === peer.id)
}
