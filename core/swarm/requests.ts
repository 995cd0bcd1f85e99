/** Which peer is asked for which chunk, and what becomes of requests that hang. */
import type { PeerId } from '../ports.ts'
import { isCautionedOf } from './caution.ts'
import { clearBit, hasBit, isEmpty } from './bitfield.ts'
import { nextCrossing } from './crossings.ts'
import { isFree, lose } from './neighbours.ts'
import { onStalled, rest } from './peers.ts'
import { pickChunk, type Priority } from './picker.ts'
import { refuse, withholds } from './refusals.ts'
import { capacityOf, patienceMs, slowChunkMs } from './link.ts'
import { remainingMs, wouldOvertake } from './pace.ts'
import { gainByHearsay, isDemanded, isWanted } from './session.ts'
import type { PeerMessage } from './messages.ts'
import type { Neighbour, Peer, Session, SwarmState, Transfer } from './state.ts'
import { beginTransfer, cancelTransfer, notePromise, setQueued, transferOf, withdrawTransfer } from './transfers.ts'
import { waitsSinceMs } from './wishes.ts'

/** Asks for chunks while there is room: demand before prefetch, and the blobs in turn. */
export function requestMore(state: SwarmState): void {
  for (const priority of priorities) {
    let idleTurns = 0
    while (idleTurns < state.active.length) {
      const session = nextTurn(state)
      if (session !== undefined && requestOne(state, session, priority)) idleTurns = 0
      else idleTurns++
    }
  }
}

const priorities = ['demand', 'prefetch'] as const

function nextTurn(state: SwarmState): Session | undefined {
  state.turn = (state.turn + 1) % state.active.length
  return state.active[state.turn]
}

function requestOne(state: SwarmState, session: Session, priority: Priority): boolean {
  if (session.complete || session.ownOnly || session.exhausted[priority] || !hasRoom(state, session)) return false
  const view = { nowMs: state.clock.now(), random: state.random, limits: state.limits }
  const isObtainable = (index: number): boolean => hasBit(session.obtainable, index)
  for (;;) {
    const isAny = !isEmpty(session.obtainable)
    const index = isAny ? (nextCrossing(state, session) ?? pickChunk(session, isObtainable, priority, view)) : undefined
    session.exhausted[priority] = index === undefined
    if (index === undefined) return false
    const neighbour = leastLoaded(state, session, index)
    if (neighbour !== undefined) {
      beginTransfer(state, neighbour, index)
      return true
    }
    clearBit(session.obtainable, index)
  }
}

/** Bytes in flight are bounded by what the link can bring: all that is asked of peers, and more strictly what is under way. */
function hasRoom(state: SwarmState, session: Session): boolean {
  const { limits } = state
  const { chunkSize } = session
  const capacity = capacityOf(state)
  const few = fewChunks(state, session)
  const aim = Math.max(limits.inFlightChunks * chunkSize, capacity * limits.inFlightMs)
  const asked = capacity === 0 ? aim : Math.max(few, capacity * limits.inFlightAskedMs)
  const bytes = state.flightBytes + state.settlingBytes + chunkSize
  const isBelow = bytes <= Math.min(asked, limits.inFlightMaxBytes)
  const isAimedAt = bytes - state.queuedBytes * (1 - queuedShare(state, session)) <= aim
  return isBelow && isAimedAt && mayBegin(state, session) && mayCome(state)
}

/** How much of what waits in peers' queues counts as in flight. */
function queuedShare({ limits }: SwarmState, { chunkSize }: Session): number {
  return chunkSize < limits.uploadLargeBytes ? 1 : limits.inFlightQueuedLargeShare
}

/**
 * What is asked for comes, so this is where the limit on what comes is kept. What waits in peers' queues is left out: it
 * comes later, and counted now it would leave a link idle whose limit is near its rate.
 */
function mayCome({ download, flightBytes, queuedBytes }: SwarmState): boolean {
  return download.allowance() >= flightBytes - queuedBytes
}

/** Has the link room for one chunk more beside what does not wait in a peer's queue? What is not hashed and kept yet counts too. */
function mayBegin(state: SwarmState, session: Session): boolean {
  const underWay = Math.max(fewChunks(state, session), capacityOf(state) * state.limits.inFlightSlowMs)
  return state.flightBytes - state.queuedBytes + state.settlingBytes + session.chunkSize <= underWay
}

function fewChunks({ droughts, limits }: SwarmState, { chunkSize }: Session): number {
  return (droughts > 0 ? 1 : limits.inFlightSlowChunks) * chunkSize
}

/**
 * The one of those that hold the chunk and may be asked that is likely to send it first, with a lead for those nearby; equals
 * by chance.
 */
function leastLoaded(
  state: SwarmState,
  session: Session,
  index: number,
  except: readonly Peer[] = [],
): Neighbour | undefined {
  const nowMs = state.clock.now()
  let best: Neighbour | undefined
  let bestLoad = Infinity
  let ties = 0
  let unseen = session.availability[index] ?? 0
  for (const neighbour of session.neighbours.values()) {
    if (unseen === 0) break
    if (!hasBit(neighbour.bits, index)) continue
    unseen--
    if (!isFree(state, neighbour.peer, nowMs) || except.includes(neighbour.peer)) continue
    if (neighbour.leftToOthers.has(index)) continue
    const load = loadOf(neighbour.peer) + (isDoubtful(state, neighbour) ? state.limits.doubtfulLoad : 0)
    if (load > bestLoad) continue
    ties = load < bestLoad ? 1 : ties + 1
    bestLoad = load
    if (state.random.below(ties) === 0) best = neighbour
  }
  return best
}

/** What it brings would wait for another's word, as far as this node is cautioned: others are asked first. */
function isDoubtful(state: SwarmState, { bringsDoubtful, peer, session }: Neighbour): boolean {
  return bringsDoubtful || isCautionedOf(state, session.origin, peer.id)
}

/** A peer in this zone is asked before a far one that has one request of ours, and one in the queue before it, less. */
function loadOf(peer: Peer): number {
  return peer.transfers.length * 2 + peer.ahead + peer.stalls * 8 - peer.nearness * 2
}

export function onQueued(state: SwarmState, peer: PeerId, id: number, ahead: number): void {
  const transfer = transferOf(state, peer, id)
  if (transfer === undefined || transfer.state === 'active') return
  setQueued(state, transfer, true)
  transfer.peer.busies = 0
  transfer.heardAtMs = state.link.silenceMs
  transfer.ahead = Math.min(Math.max(ahead, 0), state.limits.uploadsWaitingMax)
  transfer.peer.ahead = transfer.ahead
  notePlace(state, transfer)
  leaveWorsePlace(state, transfer)
}

function notePlace(state: SwarmState, transfer: Transfer): void {
  if (transfer.ahead >= transfer.aheadLeast) return
  transfer.aheadLeast = transfer.ahead
  transfer.aheadLeastMs = state.link.silenceMs
  notePromise(state, transfer)
}

/** A chunk that waits at two peers keeps its place at one. */
function leaveWorsePlace(state: SwarmState, transfer: Transfer): void {
  const { index, session } = transfer
  const other = session.buffers.get(index)?.transfers.find((one) => one !== transfer && one.state === 'queued')
  if (other !== undefined) cancelTransfer(state, other.ahead > transfer.ahead ? other : transfer)
}

/**
 * Who gains a chunk late has a shorter queue than those that had it first, where all wait: what waits there is asked of the
 * new holder too, and whoever begins first is left with it.
 */
export function moveWaiting(
  state: SwarmState,
  peer: Peer,
  { digest, indices }: Extract<PeerMessage, { type: 'have' }>,
): void {
  const neighbour = peer.neighbours.get(digest)
  if (neighbour === undefined) return
  const { session } = neighbour
  for (const index of indices) {
    const waiting = soleWaiting(session, index)
    // Across a border it may be asked for what leases name, whatever it says.
    if (!hasBit(neighbour.bits, index)) continue
    if (waiting === undefined || waiting.peer === peer || waiting.ahead <= loadOf(peer) + 1) continue
    if (isSlow(state, session) || !isFree(state, peer, state.clock.now()) || !mayBegin(state, session)) return
    beginTransfer(state, neighbour, index)
  }
}

/** On a link that a few chunks fill for seconds, a second request only takes from the others. */
function isSlow(state: SwarmState, { chunkSize }: Session): boolean {
  const capacity = capacityOf(state)
  return capacity > 0 && chunkSize / capacity > state.limits.hedgeAfterMs
}

/** The request for a chunk, where there is one and it waits. A chunk that must come whole is asked of one peer at a time. */
function soleWaiting({ buffers, single }: Session, index: number): Transfer | undefined {
  const transfers = buffers.get(index)?.transfers
  const transfer = transfers?.length === 1 ? transfers[0] : undefined
  return transfer?.state === 'queued' && !single.has(index) ? transfer : undefined
}

/** The peer's queue is full: it rests, and those it names are believed to hold the chunk. */
export function onBusy(state: SwarmState, peer: PeerId, id: number, hints: readonly PeerId[]): void {
  const transfer = transferOf(state, peer, id)
  if (transfer === undefined) return
  const { index, session } = transfer
  const { busyBackoffMaxMs, busyBackoffMinMs, busyHintsMax } = state.limits
  const restMs = Math.min(Math.max(state.chunkMs / 8, busyBackoffMinMs) * 2 ** transfer.peer.busies, busyBackoffMaxMs)
  transfer.peer.busies++
  rest(state, transfer.peer, restMs)
  notePromise(state, transfer)
  withdrawTransfer(state, transfer)
  if (transfer.peer.busies >= state.limits.busiesMax && isKeptWaiting(state, session)) withholds(state, transfer.peer)
  for (const hint of hints.slice(0, busyHintsMax)) {
    const neighbour = session.neighbours.get(hint)
    if (neighbour?.joinReceived === true && !neighbour.foreign) gainByHearsay(neighbour, index)
  }
}

/** It may be the only one that has what all wait for, and has had it for less long than they wait. */
function isKeptWaiting({ clock, limits }: SwarmState, session: Session): boolean {
  return isDemanded(session) && clock.now() - waitsSinceMs(session) >= limits.starvedMs
}

export function onMissing(state: SwarmState, peer: PeerId, id: number): void {
  const transfer = transferOf(state, peer, id)
  if (transfer === undefined) return
  const { index, session } = transfer
  withdrawTransfer(state, transfer)
  const neighbour = session.neighbours.get(peer)
  // It may have said so itself since it was asked.
  if (neighbour === undefined || !hasBit(neighbour.bits, index)) return
  const isHearsay = neighbour.hearsay.has(index)
  // Others may be wrong about what it has.
  if (!isHearsay) neighbour.denies = true
  // The directory counts nobody across a border; and where the blob was wrong honest peers hand nothing on, as they look for the lie too.
  if (isHearsay || neighbour.foreign || session.forgery !== undefined) lose(neighbour, index)
  else refuse(state, neighbour, index)
}

/** Drops requests for chunks that no reader wants any more. */
export function cancelUnwanted(state: SwarmState, session: Session): void {
  for (const buffer of session.buffers.values())
    if (!isWanted(state, session, buffer.index))
      for (const transfer of buffer.transfers.slice()) cancelTransfer(state, transfer)
}

/** Looks at every request: silent ones are asked of a second peer, and after `stallMs` taken away from the first. */
export function watchTransfers(state: SwarmState, nowMs: number): void {
  const stalled = new Set<Peer>()
  const stallMs = patienceMs(state)
  for (const transfer of state.transfers) {
    const silentMs = state.link.silenceMs - transfer.heardAtMs
    if (silentMs >= stallMs || isLate(state, transfer, crawlMaxMs(state, transfer))) stalled.add(transfer.peer)
    else if (isLate(state, transfer, state.limits.crawlMs)) {
      if (!move(state, transfer) && silentMs < state.limits.stallMs && isWithheld(state, transfer))
        withholds(state, transfer.peer)
    } else if (silentMs >= hedgeAfterMs(state, transfer)) hedge(state, transfer)
  }
  noteDrought(state, stalled, nowMs)
  for (const peer of stalled) {
    if (keepsSilent(state, peer)) withholds(state, peer)
    onStalled(state, peer)
  }
}

/** It stalls again, and yet it speaks: its disk hangs, or it lies. Who is cut off does not speak. */
function keepsSilent(state: SwarmState, { spokeAtMs, stalls, transfers }: Peer): boolean {
  const { crawlMs, stallMs } = state.limits
  const speaks = state.clock.now() - spokeAtMs < stallMs
  return stalls > 0 && speaks && transfers.some(({ session }) => isWaitedFor(state, session, crawlMs))
}

/** Who withheld what it has is given one chance at a time, and a short one. */
function crawlMaxMs({ limits, withholders }: SwarmState, { peer }: Transfer): number {
  return withholders.has(peer.id) ? limits.crawlMs : limits.crawlMaxMs
}

/**
 * Several that are silent at once may be waiting for each other on our link; one that is asked alone, and no origin beside it, has it to
 * itself, and is to blame.
 */
function noteDrought(state: SwarmState, stalled: ReadonlySet<Peer>, nowMs: number): void {
  if (stalled.size > 1 && nowMs - state.link.heardAtMs >= state.limits.stallMs) state.droughts++
  const [lone] = stalled
  const isAlone = lone?.transfers.length === state.transfers.size && state.fetches.size === 0
  if (isAlone) state.droughts = 0
}

/** A byte now and then is no progress, which is judged by the frame; nor is a queue that stands still, where others may get such bytes. */
function isLate(state: SwarmState, transfer: Transfer, lateMs: number): boolean {
  switch (transfer.state) {
    case 'sent':
      return false
    case 'queued':
      return state.link.silenceMs - transfer.aheadLeastMs >= Math.max(lateMs, slowChunkMs(state, transfer.session))
    case 'active':
      return state.link.silenceMs - transfer.framedAtMs >= lateMs
  }
}

function hedgeAfterMs(state: SwarmState, transfer: Transfer): number {
  return transfer.state === 'queued' || state.droughts > 0
    ? Infinity
    : Math.max(state.limits.hedgeAfterMs, 4 * transfer.peer.frameGapMs)
}

/**
 * A chunk that must come whole from one sender is asked of another instead, and so is one of which two that were asked send nothing much;
 * any other of another too. False where nobody else has it who may be asked.
 */
function move(state: SwarmState, transfer: Transfer): boolean {
  const { index, session } = transfer
  const transfers = session.buffers.get(index)?.transfers ?? []
  const isInVain = transfers.length > 1 && !transfers.some((one) => isComing(state, one))
  if (!session.single.has(index) && !isInVain) {
    hedge(state, transfer)
    return transfers.length > 1
  }
  const senders = transfers.map(({ peer }) => peer)
  const neighbour = leastLoaded(state, session, index, senders)
  if (neighbour === undefined) return false
  cancelTransfer(state, transfer)
  beginTransfer(state, neighbour, index)
  return true
}

/** It speaks, and does not send. A queue may stand still for a while because those at its head are cut off from it. */
function isWithheld(state: SwarmState, transfer: Transfer): boolean {
  const ms = transfer.state === 'queued' ? state.limits.queueStillMs : state.limits.crawlMs
  return isLate(state, transfer, ms) && isWaitedFor(state, transfer.session, ms)
}

/** Nothing has come for the readers of a blob for so long that its holders are to blame. */
function isWaitedFor({ clock }: SwarmState, session: Session, ms: number): boolean {
  return isDemanded(session) && clock.now() - session.progressAtMs >= ms
}

/** It has just been asked for, or frames come. */
function isComing(state: SwarmState, transfer: Transfer): boolean {
  return transfer.state !== 'queued' && !isLate(state, transfer, state.limits.crawlMs)
}

function hedge(state: SwarmState, transfer: Transfer): void {
  const neighbour = otherHolder(state, transfer)
  if (neighbour !== undefined) beginTransfer(state, neighbour, transfer.index)
}

/** Who could send the chunk too, where only one was asked. */
function otherHolder(state: SwarmState, { index, session }: Transfer): Neighbour | undefined {
  const [only, ...others] = session.buffers.get(index)?.transfers ?? []
  if (only === undefined || others.length > 0 || session.single.has(index)) return undefined
  return leastLoaded(state, session, index, [only.peer])
}

/** Once nothing else can be asked for, what is slow to come is asked of whoever brings it much sooner. */
export function overtakeSlow(state: SwarmState): void {
  for (const transfer of state.transfers) {
    const { session } = transfer
    const isLast = session.exhausted.demand && session.exhausted.prefetch
    if (isLast && remainingMs(state, transfer) >= slowMs(state, session) && mayBegin(state, session))
      overtake(state, transfer)
  }
}

/** Much longer than a chunk takes on our own link beside others. */
function slowMs(state: SwarmState, { chunkSize }: Session): number {
  const { limits } = state
  return Math.max(limits.hedgeAfterMs, (limits.overtakeChunks * chunkSize) / capacityOf(state))
}

function overtake(state: SwarmState, transfer: Transfer): void {
  const neighbour = otherHolder(state, transfer)
  if (neighbour !== undefined && wouldOvertake(state, neighbour.peer, transfer))
    beginTransfer(state, neighbour, transfer.index)
}
