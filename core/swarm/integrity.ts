/** What may be believed: entries of peers, hashes of chunks, and the digest of the whole (DESIGN, Integrity). */
import { isCautionedOf } from './caution.ts'
import { fail } from './ending.ts'
import { entryPayload, isSameWitness, type Entry } from './entry.ts'
import type { SwarmEvent } from './events.ts'
import { addOther, entriesOf, withdrawEntry } from './evidence.ts'
import { noteAudited, onForged, onForgedInPart, onOtherCopy } from './forgery.ts'
import { countBytes } from './link.ts'
import { lose, noteGained, rejoinAll } from './neighbours.ts'
import { leaseSettled, stopOrigin } from './origin.ts'
import { strike } from './bans.ts'
import { hasBit } from './bitfield.ts'
import { advanceCursors, lengthOf, markHeld, setPhase, tellDirectory } from './session.ts'
import { isOvertaken, notePace } from './pace.ts'
import { handsOn, refuse } from './refusals.ts'
import { clearSuspects, isBelieved, refute } from './trust.ts'
import { ownOrigin, phases, type ChunkBuffer, type Session, type SwarmState, type Transfer } from './state.ts'
import {
  cancelChunk,
  cancelTransfer,
  chunkArrived,
  chunkSettled,
  countFrame,
  dropBuffer,
  endTransfer,
  setQueued,
  takeOwnOnly,
  transferOf,
} from './transfers.ts'
import { judgeWitnesses, mayPassUnkept } from './witnesses.ts'

type EventOf<Type extends SwarmEvent['type']> = Extract<SwarmEvent, { type: Type }>

export function onChunkStarted(state: SwarmState, event: EventOf<'chunk-started'>): void {
  const transfer = transferOf(state, event.peer, event.id)
  if (transfer === undefined) return
  const { index, session } = transfer
  if (event.offset !== transfer.offset || event.entry.index !== index || !isSigned(state, session, event.entry)) {
    cancelTransfer(state, transfer)
    strike(state, transfer.peer, 'answered with another chunk, or an entry whose signature is wrong')
    return
  }
  if (contradicts(state, session, event.entry)) return
  if (!isBelieved(state, session, event.entry)) {
    cancelTransfer(state, transfer)
    const neighbour = session.neighbours.get(event.peer)
    if (neighbour !== undefined) refuse(state, neighbour, index)
    return
  }
  noteDoubtful(state, transfer, event.entry)
  start(state, transfer, event.entry)
}

function noteDoubtful(state: SwarmState, { peer, session }: Transfer, { signer }: Entry): void {
  const neighbour = session.neighbours.get(peer.id)
  if (neighbour !== undefined && isCautionedOf(state, session.origin, signer)) neighbour.bringsDoubtful = true
}

function isSigned(state: SwarmState, session: Session, entry: Entry): boolean {
  return state.notary.verify(entry.signer, entryPayload(session.digest, session.size, entry), entry.signature)
}

/** Two words of one kind by one signer for one chunk that differ: the signer is wrong, whoever relayed them. */
function contradicts(state: SwarmState, session: Session, entry: Entry): boolean {
  if (!entriesOf(session, entry.index).some((other) => isContradiction(other, entry))) return false
  cancelChunk(state, session, entry.index)
  dropBuffer(state, session, entry.index)
  refute(state, entry, 'signed two contradicting entries for one chunk')
  return true
}

function isContradiction(one: Entry, other: Entry): boolean {
  return one.signer === other.signer && one.hash !== other.hash && isSameWitness(one.witness, other.witness)
}

function start(state: SwarmState, transfer: Transfer, entry: Entry): void {
  const { index, session } = transfer
  const buffer = session.buffers.get(index)
  if (buffer === undefined) return
  if (isBeingSent(state, buffer, transfer)) {
    cancelTransfer(state, transfer)
    return
  }
  if (buffer.entry !== undefined && buffer.entry.signer !== entry.signer) addOther(session, buffer.entry)
  if (buffer.entry !== undefined && buffer.entry.hash !== entry.hash && buffer.received > 0) {
    // Two signers disagree about what the bytes here are part of: take it whole from one sender, and see who lied.
    startOver(state, session, index)
    return
  }
  buffer.entry = entry
  transfer.entry = entry
  setQueued(state, transfer, false)
  transfer.peer.busies = 0
  transfer.state = 'active'
  transfer.startedAtMs = state.clock.now()
  transfer.heardAtMs = state.link.silenceMs
  transfer.framedAtMs = state.link.silenceMs
  // Who is silent keeps its request: that shows whether it hangs.
  const isBeaten = (other: Transfer): boolean => other !== transfer && isSending(state, other)
  for (const other of buffer.transfers.slice())
    if (other.state !== 'active' || isBeaten(other)) cancelTransfer(state, other)
}

/** Somebody sends it, and is not silent: who starts after that is too late, unless it is much faster. */
function isBeingSent(state: SwarmState, { transfers }: ChunkBuffer, starter: Transfer): boolean {
  return transfers.some((one) => isSending(state, one) && !isOvertaken(state, one, starter))
}

function isSending(state: SwarmState, transfer: Transfer): boolean {
  return transfer.state === 'active' && state.link.silenceMs - transfer.framedAtMs < state.limits.hedgeAfterMs
}

function startOver(state: SwarmState, session: Session, index: number): void {
  session.single.add(index)
  cancelChunk(state, session, index)
  dropBuffer(state, session, index)
}

export function onFrame(state: SwarmState, event: EventOf<'frame'>): void {
  const transfer = transferOf(state, event.peer, event.id)
  countBytes(state, event.bytes)
  if (transfer === undefined) return
  const { index, peer, session } = transfer
  const length = lengthOf(session, index)
  if (transfer.entry === undefined || transfer.received + event.bytes > length) {
    cancelTransfer(state, transfer)
    strike(state, peer, 'sent more bytes than the chunk has, or bytes before its head')
    return
  }
  const { silenceMs } = state.link
  peer.frameGapMs = smoothedGap(peer.frameGapMs, silenceMs - transfer.heardAtMs)
  transfer.heardAtMs = silenceMs
  countFrame(state, transfer, event.bytes)
  if (transfer.received === length) finish(state, transfer, state.clock.now())
}

function smoothedGap(mean: number, sample: number): number {
  return mean === 0 ? sample : mean + (sample - mean) / 8
}

function finish(state: SwarmState, transfer: Transfer, nowMs: number): void {
  const { index, peer, session } = transfer
  const buffer = session.buffers.get(index)
  if (buffer !== undefined) buffer.entry = transfer.entry
  state.droughts = 0
  peer.stalls = 0
  handsOn(state, transfer)
  peer.ahead = 0
  notePace(state, transfer)
  state.chunkMs += (nowMs - transfer.askedAtMs - state.chunkMs) / 8
  endTransfer(state, transfer)
  chunkArrived(state, session, index)
}

export function onHashed(state: SwarmState, event: EventOf<'hashed'>): void {
  const session = state.sessions.get(event.digest)
  const buffer = session?.buffers.get(event.index)
  if (session === undefined || buffer === undefined || session.phase[event.index] !== phases.hashing) return
  const own = ownEntry(state, session, buffer, event)
  const entry = own ?? buffer.entry
  if (own !== undefined && hasBit(session.have, event.index)) onOwnCopy(state, session, own)
  else if (entry?.hash === event.hash) keepBelieved(state, session, entry)
  else onMismatch(state, session, event.index)
}

function ownEntry(
  state: SwarmState,
  session: Session,
  buffer: ChunkBuffer,
  { hash, index }: EventOf<'hashed'>,
): Entry | undefined {
  const origin = ownOrigin(buffer)
  if (origin === undefined) return undefined
  const witness = { kind: 'fetched', origin } as const
  const payload = entryPayload(session.digest, session.size, { index, hash, witness })
  return { index, hash, witness, signer: state.self, signature: state.notary.sign(payload) }
}

/** Its signer may have been found wrong while it was under way. */
function keepBelieved(state: SwarmState, session: Session, entry: Entry): void {
  if (entry.signer === state.self || isBelieved(state, session, entry)) return keep(state, session, entry)
  addOther(session, entry)
  dropArrived(state, session, entry.index)
}

function keep(state: SwarmState, session: Session, entry: Entry): void {
  const { digest, size } = session
  setPhase(session, entry.index, phases.keeping)
  // Of what came before, and a disk refused, the proof of the blob will show who was right.
  withdrawEntry(session, entry.index)
  session.accepted[entry.index] = entry
  const mayPass = mayPassUnkept(state, session, entry.index)
  state.emit({ type: 'keep', digest, size, index: entry.index, entry, mayPass })
}

/** A reader took its own copy of a chunk that is held: either it vouches for that, or one of the two is a lie. */
function onOwnCopy(state: SwarmState, session: Session, own: Entry): void {
  const { index } = own
  const held = session.accepted[index]
  if (held?.hash !== own.hash) {
    onOtherCopy(state, session, held, own)
    noteAudited(session, index)
    return keep(state, session, own)
  }
  noteAudited(session, index)
  addOther(session, held)
  session.accepted[index] = own
  state.emit({ type: 'drop', digest: session.digest, index })
  chunkSettled(state, session, index, phases.held)
  advanceCursors(session, state.clock.now())
  // Nothing is kept of it, by which those who wait for it would notice.
  state.emit({ type: 'deliver', digest: session.digest })
  leaseSettled(state, session, index)
}

/** The bytes are not what the entry says: the only sender is to blame, or one of several. */
function onMismatch(state: SwarmState, session: Session, index: number): void {
  const buffer = session.buffers.get(index)
  if (buffer?.entry !== undefined) addOther(session, buffer.entry)
  const senders = [...(buffer?.sources ?? [])]
  const lone = senders.length === 1 ? state.peers.get(senders[0] ?? '') : undefined
  session.single.add(index)
  dropArrived(state, session, index)
  if (lone === undefined) return
  const neighbour = session.neighbours.get(lone.id)
  if (neighbour !== undefined) lose(neighbour, index)
  strike(state, lone, 'sent bytes that do not match their entry')
  // It may have been the only one with what it said to have.
  session.spoilers.add(lone.id)
  tellDirectory(state, session, true)
}

function dropArrived(state: SwarmState, session: Session, index: number): void {
  state.emit({ type: 'drop', digest: session.digest, index })
  chunkSettled(state, session, index, phases.missing)
  leaseSettled(state, session, index)
}

export function onKept(state: SwarmState, event: EventOf<'kept'>): void {
  const session = state.sessions.get(event.digest)
  if (session === undefined || session.phase[event.index] !== phases.keeping) return
  if (event.isWrong === true) return onWrong(state, session, event.index)
  chunkSettled(state, session, event.index, restingPhase(event))
  // Without a disk, chunks can't wait for witnesses.
  if (event.isForgotten === true) takeOwnOnly(state, session)
  session.single.delete(event.index)
  const nowMs = state.clock.now()
  if (event.ok) {
    markHeld(session, event.index)
    noteGained(state, session, event.index)
  }
  advanceCursors(session, nowMs)
  leaseSettled(state, session, event.index)
  proveWhenWhole(state, session)
}

/** Whoever signed it has lied, or the origin has to it; or it now gives this node something else than before. */
function onWrong(state: SwarmState, session: Session, index: number): void {
  const entry = session.accepted[index]
  const senders = [...(session.buffers.get(index)?.sources ?? [])]
  chunkSettled(state, session, index, phases.missing)
  for (const neighbour of senders.flatMap((id) => session.neighbours.get(id) ?? [])) refuse(state, neighbour, index)
  leaseSettled(state, session, index)
  if (entry === undefined) return
  if (entry.signer === state.self) fail(state, session, { kind: 'protocol' })
  else refute(state, entry, 'vouched for a chunk that is not part of the blob')
}

function restingPhase({ isForgotten, ok }: EventOf<'kept'>): number {
  if (ok) return phases.held
  return isForgotten === true ? phases.missing : phases.passed
}

export function proveWhenWhole(state: SwarmState, session: Session): void {
  if (session.heldCount < session.count || session.complete || session.proving) return
  session.proving = true
  state.emit({ type: 'prove', digest: session.digest, size: session.size })
}

export function onProved(state: SwarmState, event: EventOf<'proved'>): void {
  const session = state.sessions.get(event.digest)
  if (session === undefined) return
  // Not asked for: readers were given what the disk refused, and it was part of what is wrong.
  if (!session.proving) return event.ok ? undefined : onForgedInPart(state, session)
  session.proving = false
  if (event.ok) onGenuine(state, session)
  else onForged(state, session)
}

function onGenuine(state: SwarmState, session: Session): void {
  session.complete = true
  clearSuspects(state, session)
  judgeWitnesses(state, session)
  session.ownOnly = false
  // What was refused to peers is theirs now.
  if (session.forgery !== undefined) rejoinAll(state, session)
  session.forgery = undefined
  stopOrigin(state, session)
  tellDirectory(state, session, true)
}
