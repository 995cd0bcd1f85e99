/** How soon a chunk will be here: from the peer that was asked for it, or from another that has it too. */
import { lengthOf } from './session.ts'
import { smoothed, type Peer, type Session, type SwarmState, type Transfer } from './state.ts'

/** A chunk has come to its end: how fast this peer sends, and peers do. */
export function notePace(state: SwarmState, { offset, peer, received, startedAtMs }: Transfer): void {
  if (received === offset) return
  const byteMs = (state.clock.now() - startedAtMs) / (received - offset)
  peer.byteMs = smoothed(peer.byteMs, byteMs)
  state.byteMs = smoothed(state.byteMs, byteMs)
}

/** Until the transfer ends, by its own pace where it has begun. */
export function remainingMs(state: SwarmState, transfer: Transfer): number {
  const { ahead, offset, peer, received, session, startedAtMs } = transfer
  if (transfer.state !== 'active') return sendingMs(state, session, peer, leftOf(transfer), ahead)
  const elapsedMs = state.clock.now() - startedAtMs
  if (received === offset) return Math.max(sendingMs(state, session, peer, leftOf(transfer), 0), elapsedMs)
  return (leftOf(transfer) * elapsedMs) / (received - offset)
}

/** Would `peer` bring what is left of it much sooner, asked now? */
export function wouldOvertake(state: SwarmState, peer: Peer, transfer: Transfer): boolean {
  const ahead = peer.ahead + peer.transfers.length
  return isMuchSooner(state, sendingMs(state, transfer.session, peer, leftOf(transfer), ahead), transfer)
}

/** Will `later`, which is about to begin, end much sooner? */
export function isOvertaken(state: SwarmState, transfer: Transfer, later: Transfer): boolean {
  return isMuchSooner(state, sendingMs(state, later.session, later.peer, leftOf(later), 0), transfer)
}

function isMuchSooner(state: SwarmState, otherMs: number, transfer: Transfer): boolean {
  return remainingMs(state, transfer) > state.limits.overtakeFactor * otherMs
}

function leftOf({ index, received, session }: Transfer): number {
  return lengthOf(session, index) - received
}

/** Chunks ahead are sent a few at a time, as that one will be. */
function sendingMs(state: SwarmState, { chunkSize }: Session, peer: Peer, bytes: number, ahead: number): number {
  const byteMs = peer.byteMs === 0 ? state.byteMs : peer.byteMs
  return byteMs * (bytes + (ahead * chunkSize) / state.limits.uploadsActiveMax)
}
