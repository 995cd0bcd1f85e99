/** Requests of ours and the chunk buffers they fill. The lowest layer: it keeps the counts right and decides nothing. */
import type { PeerId } from '../ports.ts'
import { lengthOf, setPhase, offerAll } from './session.ts'
import {
  phases,
  type ChunkBuffer,
  type Neighbour,
  type Peer,
  type Session,
  type SwarmState,
  type Transfer,
} from './state.ts'

export function bufferOf(session: Session, index: number): ChunkBuffer {
  const known = session.buffers.get(index)
  if (known !== undefined) return known
  const buffer: ChunkBuffer = { index, received: 0, sources: new Set(), transfers: [], entry: undefined }
  session.buffers.set(index, buffer)
  return buffer
}

/** Forgets the bytes of a chunk that has no transfer. */
export function dropBuffer(state: SwarmState, session: Session, index: number): void {
  const buffer = session.buffers.get(index)
  if (buffer === undefined) return
  session.buffers.delete(index)
  if (buffer.received > 0) state.emit({ type: 'drop', digest: session.digest, index })
}

export function transferOf(state: SwarmState, peer: PeerId, id: number): Transfer | undefined {
  return state.peers.get(peer)?.transfers.find((transfer) => transfer.id === id)
}

/** Asks `neighbour` for a chunk, from the first byte that is not here. */
export function beginTransfer(state: SwarmState, neighbour: Neighbour, index: number): void {
  const { peer, session } = neighbour
  if (session.single.has(index)) dropBuffer(state, session, index)
  const buffer = bufferOf(session, index)
  const nowMs = state.clock.now()
  const transfer: Transfer = {
    id: state.nextId++,
    peer,
    session,
    index,
    offset: buffer.received,
    received: buffer.received,
    state: 'sent',
    ahead: 0,
    aheadLeast: Infinity,
    aheadLeastMs: state.link.silenceMs,
    entry: undefined,
    askedAtMs: nowMs,
    startedAtMs: nowMs,
    heardAtMs: state.link.silenceMs,
    framedAt: buffer.received,
    framedAtMs: state.link.silenceMs,
  }
  buffer.transfers.push(transfer)
  peer.transfers.push(transfer)
  state.transfers.add(transfer)
  state.flightBytes += lengthOf(session, index) - transfer.received
  setPhase(session, index, phases.asked)
  sendRequest(state, transfer)
}

function sendRequest(state: SwarmState, transfer: Transfer): void {
  const { id, index, offset, peer, session } = transfer
  const { digest, size } = session
  state.emit({ type: 'expect', peer: peer.id, id, digest, size, index, offset })
  state.emit({ type: 'send', peer: peer.id, message: { type: 'request', id, digest, index, offset } })
}

export function countFrame(state: SwarmState, transfer: Transfer, bytes: number): void {
  const buffer = bufferOf(transfer.session, transfer.index)
  transfer.received += bytes
  state.flightBytes -= bytes
  const isWhole = transfer.received === lengthOf(transfer.session, transfer.index)
  if (isWhole || transfer.received - transfer.framedAt >= state.limits.frameSizeBytes) noteProgress(state, transfer)
  buffer.received = Math.max(buffer.received, transfer.received)
  buffer.sources.add(transfer.peer.id)
}

/** By the frame: a byte now and then is no progress. */
function noteProgress(state: SwarmState, transfer: Transfer): void {
  transfer.framedAt = transfer.received
  transfer.framedAtMs = state.link.silenceMs
  transfer.session.progressAtMs = state.clock.now()
  transfer.session.supply.patienceMs = state.limits.starvedMs
}

/** Its peer says that it will come; which counts for nothing from one that has stalled and sent no chunk since. */
export function notePromise({ clock }: SwarmState, { peer, session }: Transfer): void {
  if (peer.stalls === 0) session.promisedAtMs = clock.now()
}

/** A request waits in its peer's queue, or does so no more. */
export function setQueued(state: SwarmState, transfer: Transfer, queued: boolean): void {
  if ((transfer.state === 'queued') === queued) return
  const left = lengthOf(transfer.session, transfer.index) - transfer.received
  state.queuedBytes += queued ? left : -left
  transfer.state = queued ? 'queued' : 'active'
}

/** Takes a transfer off the books. The chunk is missing again when nobody else sends it; its bytes stay. */
export function endTransfer(state: SwarmState, transfer: Transfer): void {
  const { index, peer, session } = transfer
  if (!state.transfers.delete(transfer)) return
  peer.transfers.splice(peer.transfers.indexOf(transfer), 1)
  setQueued(state, transfer, false)
  state.flightBytes -= lengthOf(session, index) - transfer.received
  offerAll(peer)
  const buffer = session.buffers.get(index)
  buffer?.transfers.splice(buffer.transfers.indexOf(transfer), 1)
  if (buffer?.transfers.length !== 0 || session.phase[index] !== phases.asked) return
  if (buffer.received === 0) session.buffers.delete(index)
  setPhase(session, index, phases.missing)
}

/** Ends a transfer that the peer still works on. */
export function cancelTransfer(state: SwarmState, transfer: Transfer): void {
  if (!state.transfers.has(transfer)) return
  ignoreFrames(state, transfer)
  state.emit({ type: 'send', peer: transfer.peer.id, message: { type: 'cancel', id: transfer.id } })
  endTransfer(state, transfer)
}

/** The peer has let go of the request: nothing is left to cancel. */
export function withdrawTransfer(state: SwarmState, transfer: Transfer): void {
  ignoreFrames(state, transfer)
  endTransfer(state, transfer)
}

function ignoreFrames(state: SwarmState, { id, index, peer, received, session }: Transfer): void {
  state.emit({ type: 'ignore', peer: peer.id, id, digest: session.digest, index, received })
}

export function cancelChunk(state: SwarmState, session: Session, index: number): void {
  for (const transfer of session.buffers.get(index)?.transfers.slice() ?? []) cancelTransfer(state, transfer)
}

export function cancelPeer(state: SwarmState, peer: Peer): void {
  for (const transfer of peer.transfers.slice()) cancelTransfer(state, transfer)
}

/** All bytes of the chunk are here: whoever else is sending it may stop, and its hash decides. */
export function chunkArrived(state: SwarmState, session: Session, index: number): void {
  const { digest, size } = session
  setPhase(session, index, phases.hashing)
  cancelChunk(state, session, index)
  state.settlingBytes += lengthOf(session, index)
  state.emit({ type: 'hash', digest, size, index })
}

/** The chunk is kept, refused by the disk, or rubbish. */
export function chunkSettled(state: SwarmState, session: Session, index: number, phase: number): void {
  session.buffers.delete(index)
  state.settlingBytes -= lengthOf(session, index)
  setPhase(session, index, phase)
}

/**
 * This node's own bytes need no witness: what was asked of peers comes from the origin as well, and in one answer where that ignores
 * Range.
 */
export function takeOwnOnly(state: SwarmState, session: Session): void {
  session.ownOnly = true
  for (const index of session.buffers.keys()) cancelChunk(state, session, index)
}
