/**
 * How a seed spreads what only it has: each chunk leaves it once before any leaves twice. Many ask it at once, and for the
 * same chunks, since all know the same. Whoever asks for one that has just left is told of one that has not (BitTorrent's
 * "suggest piece", BEP 6), and finds the other where it went:
 *
 *     leech ── request 7 ──▶ seed     7 has left, 8 has not: 8 is offered to this leech
 *     leech ◀─ suggest 8 ── seed
 *     leech ── request 8 ──▶ seed     and 7 comes from a neighbour, or is asked for again
 */
import type { PeerId } from '../ports.ts'
import { hasBit } from './bitfield.ts'
import { isFree } from './neighbours.ts'
import { isWanted, offerAll } from './session.ts'
import { phases, type Neighbour, type Session, type SwarmState, type Upload } from './state.ts'
import { beginTransfer, notePromise, transferOf, withdrawTransfer } from './transfers.ts'

/** The chunk that a peer should ask of this seed in place of that which it asks for; undefined: it may have that. */
export function insteadOf(state: SwarmState, session: Session, { index, peer }: Upload): number | undefined {
  const neighbour = session.neighbours.get(peer)
  // Who is across a border asks for what its lease names, and may have nothing else.
  if (neighbour === undefined || neighbour.foreign) return undefined
  // What only a part is left of is spread the same way by who is about to leave.
  if (!session.complete && state.departure === undefined) return undefined
  if (neighbour.deflected.has(index)) return undefined
  endOffers(session, state.clock.now())
  if (session.offers.get(index)?.neighbour === neighbour) {
    session.offers.delete(index)
    return undefined
  }
  return isUnderWay(state, session, index) ? firstUnsent(state, session) : undefined
}

function endOffers({ offers }: Session, nowMs: number): void {
  for (const [index, { untilMs }] of offers) if (untilMs <= nowMs) offers.delete(index)
}

/** Somebody has the chunk, or is about to. */
function isUnderWay({ uploads }: SwarmState, session: Session, index: number): boolean {
  if (hasLeft(session, index) || session.offers.has(index)) return true
  return uploads.waiting.some((upload) => upload.index === index && upload.digest === session.digest)
}

function hasLeft({ availability, sent }: Session, index: number): boolean {
  return availability[index]! > 0 || sent[index]! > 0
}

function firstUnsent(state: SwarmState, session: Session): number | undefined {
  while (session.leftUpTo < session.count && hasLeft(session, session.leftUpTo)) session.leftUpTo++
  for (let index = session.leftUpTo; index < session.count; index++)
    if (hasBit(session.have, index) && !isUnderWay(state, session, index)) return index
  return undefined
}

/** Suggests a chunk, and keeps it for the peer for a moment. What it asked for, it will be given when it asks again. */
export function suggest(state: SwarmState, session: Session, { id, index, peer }: Upload, instead: number): void {
  const neighbour = session.neighbours.get(peer)
  if (neighbour === undefined) return
  neighbour.deflected.add(index)
  session.offers.set(instead, { neighbour, untilMs: state.clock.now() + state.limits.offerMs })
  state.emit({ type: 'send', peer, message: { type: 'suggest', id, index: instead } })
}

/** A seed would rather send another chunk. The one that it was asked for is on its way to others. */
export function onSuggested(state: SwarmState, peer: PeerId, id: number, index: number): void {
  const transfer = transferOf(state, peer, id)
  if (transfer === undefined) return
  const { session } = transfer
  const neighbour = session.neighbours.get(peer)
  const nowMs = state.clock.now()
  notePromise(state, transfer)
  withdrawTransfer(state, transfer)
  if (neighbour === undefined) return
  leaveToOthers(state, neighbour, transfer.index)
  const isUseful = session.phase[index] === phases.missing && isWanted(state, session, index)
  if (isUseful && hasBit(neighbour.bits, index) && isFree(state, neighbour.peer, nowMs))
    beginTransfer(state, neighbour, index)
}

/** The neighbour is not asked for this chunk for as long as it should take to come from others. */
function leaveToOthers({ chunkMs, clock, limits }: SwarmState, neighbour: Neighbour, index: number): void {
  const untilMs = clock.now() + Math.max(limits.deflectedMs, limits.deflectedHops * chunkMs)
  neighbour.leftToOthers.add(index)
  neighbour.session.leftToOthers.push({ neighbour, index, untilMs })
}

export function endDeflections(session: Session, nowMs: number): void {
  const { leftToOthers } = session
  while (leftToOthers[0] !== undefined && leftToOthers[0].untilMs <= nowMs) {
    const { index, neighbour } = leftToOthers.shift()!
    neighbour.leftToOthers.delete(index)
    offerAll(neighbour.peer)
  }
}
