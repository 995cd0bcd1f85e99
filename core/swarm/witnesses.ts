/**
 * Whose word a chunk has, and whether that is enough to hand it to a reader ahead of the whole blob's proof (DESIGN,
 * Integrity). What counts as one is a connected address, not a peer ID: whoever holds the cluster's secret can make any
 * number of IDs. Where a chunk has too few, its readers wait, while it is kept and shared like any other:
 *
 *     held back ─▶ ask those who have proved the blob (`doubt`, `vouch`) ─▶ delivered
 *         ├──────▶ the whole blob is proved here                        ─▶ delivered
 *         └──────▶ after `limits.heldBackMs` (`heldBackPartMs` where no proof will come): this chunk from the origin ─▶ delivered
 *
 * Where one word is enough, who has proved the blob is asked ahead, so that it is not against what those say.
 */
import { isCautionedOf } from './caution.ts'
import type { Entry } from './entry.ts'
import { entriesOf } from './evidence.ts'
import type { PeerMessage } from './messages.ts'
import type { PeerId } from '../ports.ts'
import { fetchAnew } from './origin.ts'
import { spend, strike } from './bans.ts'
import { addressOf, isBanned } from './hosts.ts'
import { beginWaiting, isHere, wake, wantsMore } from './session.ts'
import type { Neighbour, Peer, Reader, Session, SwarmState } from './state.ts'
import { isTrusted, refute, type Word } from './trust.ts'
import { isResting } from './wishes.ts'

type MessageOf<Type extends PeerMessage['type']> = Extract<PeerMessage, { type: Type }>

// Counting

/** May a reader that trusts `origin` have this chunk now? */
export function mayDeliver(state: SwarmState, session: Session, index: number, origin: string | undefined): boolean {
  if (session.complete) return true
  const entry = session.accepted[index]
  if (entry === undefined || !isHere(session, index)) return false
  return isVouched(state, session, entry, origin, session.awaited.size > 0 ? 2 : witnessesFor(state, session, index))
}

/** May any reader be given this chunk without its being kept? Where nobody reads, nobody is kept waiting. */
export function mayPassUnkept(state: SwarmState, session: Session, index: number): boolean {
  const entry = session.accepted[index]
  if (entry === undefined) return false
  const readers = [...session.readers.values()]
  const needed = witnessesFor(state, session, index)
  return readers.length === 0 || readers.some(({ origin }) => isVouched(state, session, entry, origin, needed))
}

/** Where one word is enough, it is not against that of somebody who has proved the blob. */
function witnessesFor(state: SwarmState, session: Session, index: number): number {
  return isDisputed(state, session, index) ? Math.max(state.witnesses, 2) : state.witnesses
}

function isVouched(
  state: SwarmState,
  session: Session,
  entry: Entry,
  origin: string | undefined,
  needed: number,
): boolean {
  if (entry.signer === state.self) return entry.witness.kind === 'proved' || entry.witness.origin === origin
  return isEnough(state, entry, origin, needed) || countWitnesses(state, session, entry, origin) >= needed
}

/** Where one word is enough it is nearly always that under which the chunk was kept. */
function isEnough(state: SwarmState, entry: Entry, origin: string | undefined, needed: number): boolean {
  return needed === 1 && isTrusted(state, origin, entry) && !isCautionedOf(state, origin, entry.signer)
}

/**
 * Addresses that stand behind the hash, but those of whom this node is cautioned. Signers that were never connected here may all be
 * one, and one that is: they count where there is nobody else.
 */
function countWitnesses(state: SwarmState, session: Session, accepted: Entry, origin: string | undefined): number {
  const { hash, index } = accepted
  const signers = entriesOf(session, index)
    .filter((entry) => entry.hash === hash && isTrusted(state, origin, entry))
    .map(({ signer }) => signer)
  for (const [peer, hashes] of session.vouches)
    if (hashes[index] === hash && isTrusted(state, origin, provedBy(peer))) signers.push(peer)
  const sound = signers.filter((signer) => !isCautionedOf(state, origin, signer))
  const addresses = new Set(sound.map((signer) => addressOf(state, signer)).filter((one) => one !== undefined))
  return Math.max(addresses.size, Math.min(sound.length, 1))
}

/** Who vouches says to have proved the blob. */
function provedBy(signer: PeerId): Word {
  return { signer, witness: { kind: 'proved' } }
}

// Held back

/** Called by the tick: notices readers that wait for witnesses, and does something about it. */
export function watchHeldBack(state: SwarmState, session: Session, nowMs: number): void {
  watchAwaited(state, session, nowMs)
  for (const reader of session.readers.values()) {
    const index = Math.floor(reader.position / session.chunkSize)
    if (isHeldBack(state, session, reader, index)) holdBack(state, session, reader, index, nowMs)
    else release(state, session, reader)
  }
}

/** A prefetch takes nothing, the end of a blob waits for its proof in any case, and an answer that is awaited comes within a moment. */
function isHeldBack(state: SwarmState, session: Session, { origin, prefetch }: Reader, index: number): boolean {
  if (prefetch || session.awaited.size > 0 || session.heldCount === session.count || !isHere(session, index))
    return false
  return !mayDeliver(state, session, index, origin)
}

function release(state: SwarmState, session: Session, reader: Reader): void {
  if (reader.heldBackSinceMs === undefined) return
  reader.heldBackSinceMs = undefined
  state.emit({ type: 'deliver', digest: session.digest })
}

function holdBack(state: SwarmState, session: Session, reader: Reader, index: number, nowMs: number): void {
  if (reader.heldBackSinceMs === undefined) {
    // A ranged reader wants all of its range from now on.
    beginWaiting(state, session, nowMs)
    reader.heldBackSinceMs = nowMs
    wake(session)
  }
  askWitnesses(state, session, index, nowMs)
  const waitedMs = nowMs - reader.heldBackSinceMs
  if (waitedMs < heldBackForMs(state, session, reader, index) || reader.origin !== session.origin) return
  // It has waited for long enough, and does so no longer than the origin rests.
  if (isResting(state, session)) return
  reader.heldBackSinceMs = undefined
  reader.escapedAt = index
  fetchAnew(state, session, [index])
}

function heldBackForMs(state: SwarmState, session: Session, { escapedAt }: Reader, index: number): number {
  const { heldBackAgainMs, heldBackMs, heldBackPartMs } = state.limits
  if (isSettled(state, session)) return heldBackPartMs
  // It took that one before, in vain.
  return escapedAt === index ? heldBackAgainMs : heldBackMs
}

/** All that is wanted is here, and it is not the whole blob: there will be no proof. */
function isSettled(state: SwarmState, session: Session): boolean {
  return session.buffers.size === 0 && session.supply.leases.size === 0 && !wantsMore(state, session)
}

/**
 * Those who hold the whole blob have proved it, if they are honest. Each address is asked once for each part: a second word from there
 * counts for nothing.
 */
export function askWitnesses(state: SwarmState, session: Session, index: number, nowMs: number): void {
  if (nowMs - session.doubtedAtMs < state.limits.doubtAgainMs) return
  const start = index - (index % state.limits.vouchChunks)
  session.doubtedAtMs = nowMs
  let asked = 0
  for (const { held, peer } of session.neighbours.values()) {
    if (held < session.count || isAsked(state, session, peer, start)) continue
    if (isCautionedOf(state, session.origin, peer.id)) continue
    doubt(state, session, peer, start)
    asked++
    if (asked === state.witnesses) return
  }
}

/**
 * Itself, or another at its address who has told of this part or may yet: else who makes peer IDs at will is asked by each of them
 * before anybody else, and remembered.
 */
function isAsked(state: SwarmState, { doubts, neighbours, vouches }: Session, peer: Peer, start: number): boolean {
  for (const [id, parts] of doubts) {
    if (!parts.has(start)) continue
    if (id === peer.id) return true
    const hasTold = vouches.get(id)?.[start] !== undefined
    if (addressOf(state, id) === peer.address && (hasTold || neighbours.has(id))) return true
  }
  return false
}

function doubt(state: SwarmState, { digest, doubts }: Session, { id }: Peer, start: number): void {
  doubts.set(id, (doubts.get(id) ?? new Set()).add(start))
  state.emit({ type: 'send', peer: id, message: { type: 'doubt', digest, start } })
}

/**
 * Where one word is enough, the first two who come with the whole blob, from two addresses, are asked at once, and for a moment
 * nothing is taken on one word: so who forges beside one who does not deceives nobody.
 */
export function askProved(state: SwarmState, session: Session): void {
  if (state.witnesses > 1 || session.complete || session.readers.size === 0) return
  for (const { held, peer } of session.neighbours.values())
    if (held === session.count && mayAskAsWell(state, session, peer)) {
      for (let start = 0; start < session.count; start += state.limits.vouchChunks) doubt(state, session, peer, start)
      session.awaited.add(peer.id)
      session.doubtedAtMs = state.clock.now()
    }
}

function mayAskAsWell(state: SwarmState, { doubts, origin }: Session, peer: Peer): boolean {
  if (doubts.size >= state.limits.provedAsked || isCautionedOf(state, origin, peer.id)) return false
  return ![...doubts.keys()].some((id) => addressOf(state, id) === peer.address)
}

/** Who is silent is not waited for. */
function watchAwaited(state: SwarmState, session: Session, nowMs: number): void {
  if (session.awaited.size === 0 || nowMs - session.doubtedAtMs < state.limits.doubtAgainMs) return
  session.awaited.clear()
  state.emit({ type: 'deliver', digest: session.digest })
}

export function onDoubt(state: SwarmState, peer: Peer, { digest, start }: MessageOf<'doubt'>): void {
  const session = state.sessions.get(digest)
  if (session?.complete !== true || start >= session.count) return
  const end = partEnd(state, session, start)
  const told = end - start
  if (peer.spent + told > state.limits.doubtsAnsweredUpTo) return
  spend(state, peer, told)
  state.emit({ type: 'vouch', peer: peer.id, digest, size: session.size, start, end })
}

function partEnd(state: SwarmState, session: Session, start: number): number {
  return Math.min(start + state.limits.vouchChunks, session.count)
}

export function onVouch(state: SwarmState, peer: Peer, { digest, hashes, start }: MessageOf<'vouch'>): void {
  const neighbour: Neighbour | undefined = peer.neighbours.get(digest)
  if (neighbour === undefined || neighbour.session.complete) return
  const { session } = neighbour
  // Unasked, as it seems: what asked may have been a session that has ended since, or its proof has come first.
  if (session.doubts.get(peer.id)?.has(start) !== true) return
  if (start + hashes.length !== partEnd(state, session, start)) {
    strike(state, peer, 'vouched for too few chunks, or too many')
    return
  }
  const known = session.vouches.get(peer.id) ?? []
  session.vouches.set(peer.id, known)
  for (const [offset, hash] of hashes.entries()) known[start + offset] ??= hash
  if (session.awaited.delete(peer.id) && session.awaited.size === 0) state.emit({ type: 'deliver', digest })
}

/** Somebody who says to have proved the blob has another chunk there. Whether that is true its proof will show, or the origin. */
export function isDisputed(state: SwarmState, session: Session, index: number): boolean {
  const { accepted, origin, vouches } = session
  for (const [peer, hashes] of vouches) {
    const isOther = hashes[index] !== undefined && hashes[index] !== accepted[index]?.hash
    if (isOther && !isBanned(state, peer) && !isCautionedOf(state, origin, peer)) return true
  }
  return false
}

/** The whole blob is right, and so is each chunk of it: whoever gave another hash for one was wrong. */
export function judgeWitnesses(state: SwarmState, session: Session): void {
  const isWrong = (hash: string, index: number): boolean => (session.accepted[index]?.hash ?? hash) !== hash
  for (const others of session.others.values())
    for (const other of others)
      if (isWrong(other.hash, other.index)) refute(state, other, 'vouched for a chunk that is not part of the blob')
  for (const [signer, hashes] of session.vouches) {
    if (hashes.some(isWrong)) refute(state, provedBy(signer), 'vouched for another blob')
  }
  session.accepted.length = 0
  session.others.clear()
  session.vouches.clear()
  session.doubts.clear()
  session.awaited.clear()
}
