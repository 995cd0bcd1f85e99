/** Peers in a session: who they are, what they hold, and what they are told. */
import { fullBitfield, bitfieldOf, clearBit, countBits, hasBit, isBitfieldFor } from './bitfield.ts'
import { isNarrow } from './link.ts'
import type { PeerMessage } from './messages.ts'
import { gain, knowOthers, offerAll, wake } from './session.ts'
import { phases, type Neighbour, type Peer, type Session, type SwarmState } from './state.ts'
import { cancelTransfer } from './transfers.ts'

/** Is the peer on the other side of a border, or may it be? */
export function isForeign({ places, self }: SwarmState, peer: Peer['id']): boolean {
  return places.areaOf(peer) !== places.areaOf(self)
}

/** How many neighbours it has but those across a border, with whom it deals chunk by chunk, as leases say. */
export function nearNeighbours(session: Session): number {
  let near = 0
  for (const { foreign } of session.neighbours.values()) if (!foreign) near++
  return near
}

function neighbourOf(state: SwarmState, session: Session, peer: Peer): Neighbour {
  const known = session.neighbours.get(peer.id)
  if (known !== undefined) return known
  const bits = bitfieldOf(session.count)
  const foreign = isForeign(state, peer.id)
  const neighbour: Neighbour = {
    peer,
    session,
    bits,
    held: 0,
    foreign,
    deflected: new Set(),
    leftToOthers: new Set(),
    hearsay: new Set(),
    bringsDoubtful: false,
    denies: false,
    joinSent: false,
    joinReceived: false,
  }
  session.neighbours.set(peer.id, neighbour)
  peer.neighbours.set(session.digest, neighbour)
  peer.released = false
  return neighbour
}

export function sendJoin(state: SwarmState, session: Session, peer: Peer): void {
  const neighbour = neighbourOf(state, session, peer)
  if (neighbour.joinSent) return
  neighbour.joinSent = true
  knowOthers(state, session)
  const { digest, size } = session
  const have = session.complete ? fullBitfield(session.count) : session.have.slice()
  state.emit({ type: 'send', peer: peer.id, message: { type: 'join', digest, size, have } })
}

/** True when the message breaks the rules. */
export function onJoin(state: SwarmState, peer: Peer, message: Extract<PeerMessage, { type: 'join' }>): boolean {
  const session = state.sessions.get(message.digest)
  const isUnknown = state.places.areaOf(peer.id) === undefined
  if (session === undefined || session.size !== message.size || isUnknown || isFull(state, session, peer)) {
    // It asks again, and by then this node may know on which side of the border it is. Another size is no breach: a manifest may have lied to the peer, or to us.
    sendLeave(state, peer, message.digest)
    return false
  }
  if (!isBitfieldFor(message.have, session.count)) return true
  const neighbour = neighbourOf(state, session, peer)
  neighbour.joinReceived = true
  neighbour.denies = false
  if (neighbour.foreign) gainLeased(neighbour)
  else takeBits(neighbour, message.have)
  sendJoin(state, session, peer)
  offerAll(peer)
  return false
}

/** What leases let this node bring from it across the border. */
export function gainLeased(neighbour: Neighbour): void {
  for (const { remaining, source } of neighbour.session.supply.crossings)
    if (source === neighbour.peer.id) for (const index of remaining) gain(neighbour, index)
  wake(neighbour.session)
}

function takeBits(neighbour: Neighbour, have: Uint8Array): void {
  // While it had what it lacks now, it was not told who gained that: it hears all of it anew.
  if (hasLost(neighbour, have)) neighbour.joinSent = false
  countOut(neighbour)
  neighbour.bits.set(have)
  neighbour.hearsay.clear()
  neighbour.held = countBits(have)
  countIn(neighbour)
}

function hasLost({ bits }: Neighbour, have: Uint8Array): boolean {
  return bits.some((byte, at) => (byte & ~have[at]!) !== 0)
}

function isFull(state: SwarmState, session: Session, peer: Peer): boolean {
  return !session.neighbours.has(peer.id) && session.neighbours.size >= state.limits.neighboursMax
}

function sendLeave(state: SwarmState, peer: Peer, digest: Session['digest']): void {
  state.emit({ type: 'send', peer: peer.id, message: { type: 'leave', digest } })
}

function countIn({ bits, session }: Neighbour): void {
  for (let index = 0; index < session.count; index++)
    if (hasBit(bits, index)) session.availability[index] = (session.availability[index] ?? 0) + 1
}

function countOut({ bits, session }: Neighbour): void {
  for (let index = 0; index < session.count; index++)
    if (hasBit(bits, index)) session.availability[index] = (session.availability[index] ?? 0) - 1
}

/** True when the message breaks the rules. */
export function onHave(state: SwarmState, peer: Peer, message: Extract<PeerMessage, { type: 'have' }>): boolean {
  const neighbour = peer.neighbours.get(message.digest)
  if (neighbour?.joinReceived !== true || neighbour.foreign) return false
  if (message.indices.length > neighbour.session.count) return true
  const { session } = neighbour
  let isUseful = false
  for (const index of message.indices) {
    if (!Number.isInteger(index) || index < 0 || index >= session.count) return true
    gain(neighbour, index)
    neighbour.hearsay.delete(index)
    if (session.phase[index] === phases.missing) isUseful = true
  }
  if (isUseful && isFree(state, peer, state.clock.now())) wake(session)
  return false
}

/** May the peer be asked for one chunk more? */
export function isFree(state: SwarmState, { restUntilMs, transfers }: Peer, nowMs: number): boolean {
  return transfers.length < requestsPerPeer(state) && restUntilMs <= nowMs
}

/** One where that saves messages and others send meanwhile: where few can send, the second hides a round trip. */
function requestsPerPeer(state: SwarmState): number {
  const { neighboursAim, requestsPerPeer: most } = state.limits
  return isNarrow(state) && state.peers.size >= neighboursAim ? 1 : most
}

/** The neighbour does not hold this chunk, or not in a form that counts here. */
export function lose(neighbour: Neighbour, index: number): void {
  if (!hasBit(neighbour.bits, index)) return
  clearBit(neighbour.bits, index)
  neighbour.hearsay.delete(index)
  neighbour.held--
  const { availability } = neighbour.session
  availability[index] = (availability[index] ?? 0) - 1
}

export function dropNeighbour(state: SwarmState, neighbour: Neighbour): void {
  const { peer, session } = neighbour
  for (const transfer of peer.transfers.slice()) if (transfer.session === session) cancelTransfer(state, transfer)
  countOut(neighbour)
  session.neighbours.delete(peer.id)
  peer.neighbours.delete(session.digest)
  if (session.neighbours.size === 0) {
    session.leftAloneAtMs = state.clock.now()
    forgetSent(session)
  }
  wake(session)
}

/** Nobody here has what was sent: whoever comes next begins anew. */
function forgetSent(session: Session): void {
  session.sent.fill(0)
  session.leftUpTo = 0
}

/** Tells every neighbour that this node neither holds nor wants the blob any more. */
export function leaveAll(state: SwarmState, session: Session): void {
  for (const neighbour of session.neighbours.values()) {
    sendLeave(state, neighbour.peer, session.digest)
    dropNeighbour(state, neighbour)
  }
}

/** The chunks held are others than those told: each neighbour hears the whole bitfield anew. */
export function rejoinAll(state: SwarmState, session: Session): void {
  for (const neighbour of session.neighbours.values()) {
    neighbour.joinSent = false
    sendJoin(state, session, neighbour.peer)
  }
}

/** A chunk was gained. */
export function noteGained(state: SwarmState, session: Session, index: number): void {
  session.fresh.push(index)
  tellWhenDue(state, session)
}

/** The first after a pause is told at once, those that follow together while the blob is read. */
export function tellWhenDue(state: SwarmState, session: Session): void {
  const { clock, limits } = state
  const pausedMs = session.readers.size === 0 ? Infinity : clock.now() - session.toldAtMs
  if (pausedMs >= tellingPauseMs(state, session) || session.fresh.length >= limits.haveBatchChunks)
    tellGained(state, session)
}

/** On a narrow link, news of what many have waits until some of those who lack it have it too, and need not be told. */
function tellingPauseMs(state: SwarmState, session: Session): number {
  const { chunkMs, limits } = state
  const isPressing = !isNarrow(state) || session.fresh.some((index) => isRare(state, session, index))
  return isPressing ? limits.haveBatchMs : Math.max(limits.haveBatchMs, limits.haveBatchHops * chunkMs)
}

function isRare({ limits }: SwarmState, { availability, neighbours }: Session, index: number): boolean {
  return availability[index]! < limits.haveRareShare * neighbours.size
}

export function tellGained(state: SwarmState, session: Session): void {
  if (session.fresh.length === 0) return
  const { digest, fresh } = session
  session.fresh = []
  session.toldAtMs = state.clock.now()
  for (const { bits, foreign, hearsay, held, joinSent, peer } of session.neighbours.values()) {
    if (!joinSent || foreign || held - hearsay.size === session.count) continue
    // What only others say that it has it may lack, and would never hear of.
    const indices = fresh.filter((index) => !hasBit(bits, index) || hearsay.has(index))
    if (indices.length > 0) state.emit({ type: 'send', peer: peer.id, message: { type: 'have', digest, indices } })
  }
}
