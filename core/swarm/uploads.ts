/** What peers ask of us: one queue for all digests, nearly serial, fair between peers. */
import type { PeerId } from '../ports.ts'
import { hasBit } from './bitfield.ts'
import { addressOf } from './hosts.ts'
import { activePlaces, waitingPlaces } from './load.ts'
import type { PeerMessage } from './messages.ts'
import { isLeftToOthers, leaveIdleTakers, noteTaken, placesTaken } from './idle-takers.ts'
import { lengthOf } from './session.ts'
import { noteLeft } from './spreading.ts'
import { insteadOf, suggest } from './suggestions.ts'
import type { Session, SwarmState, Upload } from './state.ts'

/** A request came: upload now, queue it, or say why not. False when it was turned away. */
export function onRequest(
  state: SwarmState,
  peer: PeerId,
  request: Extract<PeerMessage, { type: 'request' }>,
): boolean {
  if (find(state, peer, request.id) !== undefined) return false
  const session = state.sessions.get(request.digest)
  if (session === undefined || !canServe(state, session, request.index, request.offset)) {
    state.emit({ type: 'send', peer, message: { type: 'missing', id: request.id } })
    return false
  }
  const { digest, id, index, offset } = request
  const upload: Upload = {
    peer,
    host: addressOf(state, peer) ?? peer,
    id,
    digest,
    index,
    offset,
    askedAtMs: state.clock.now(),
    toldAtMs: 0,
    startedAtMs: Infinity,
  }
  const isLeft = isLeftToOthers(state, peer) && !mayStart(state, upload)
  if (requestsOf(state, peer) >= state.limits.uploadsPerPeer || isLeft) {
    turnAway(state, upload)
    return false
  }
  const instead = insteadOf(state, session, upload)
  if (instead !== undefined) return offerInstead(state, session, upload, instead)
  state.uploads.waiting.push(upload)
  startUploads(state)
  if (turnAwayLast(state) === upload) return false
  tellPlace(state, state.uploads.waiting.length - 1, id, peer)
  return true
}

function canServe(state: SwarmState, session: Session, index: number, offset: number): boolean {
  const isHeld = index < session.count && hasBit(session.have, index) && offset < lengthOf(session, index)
  return isHeld && !mayBeForged(state, session, index)
}

/** What is wrong in the blob would be passed on with it. */
function mayBeForged({ self }: SwarmState, { accepted, forgery }: Session, index: number): boolean {
  return forgery !== undefined && accepted[index]?.signer !== self
}

function requestsOf({ uploads: { active, waiting } }: SwarmState, peer: PeerId): number {
  let ofPeer = 0
  for (const upload of active) if (upload.peer === peer) ofPeer++
  for (const upload of waiting) if (upload.peer === peer) ofPeer++
  return ofPeer
}

/** A chunk is suggested only where its request finds a place. */
function offerInstead(state: SwarmState, session: Session, upload: Upload, instead: number): boolean {
  const hasPlace = state.uploads.waiting.length + session.offers.size < waitingPlaces(state)
  if (hasPlace) suggest(state, session, upload, instead)
  else turnAway(state, upload)
  return hasPlace
}

/** When too many wait, whoever would be served last had better ask somebody else. */
function turnAwayLast(state: SwarmState): Upload | undefined {
  const { waiting } = state.uploads
  if (waiting.length <= waitingPlaces(state)) return undefined
  const asker = askers(state)
  let last = 0
  let lastRank = -Infinity
  for (const [place, upload] of waiting.entries()) {
    const rank = rankOf(state, upload, asker)
    if (rank < lastRank) continue
    last = place
    lastRank = rank
  }
  const [upload] = waiting.splice(last, 1)
  if (upload !== undefined) turnAway(state, upload)
  return upload
}

function turnAway(state: SwarmState, { digest, id, index, peer }: Upload): void {
  const session = state.sessions.get(digest)
  const hints = session === undefined ? [] : holdersOf(state, session, index, peer)
  state.emit({ type: 'send', peer, message: { type: 'busy', id, try: hints } })
}

function holdersOf(state: SwarmState, session: Session, index: number, asker: PeerId): PeerId[] {
  const holders: PeerId[] = []
  for (const neighbour of session.neighbours.values()) {
    if (neighbour.peer.id === asker || !hasBit(neighbour.bits, index)) continue
    holders.push(neighbour.peer.id)
    if (holders.length === state.limits.busyHintsMax) break
  }
  return holders
}

/** The one that waits at `place` hears how many are before it; not if it has started meanwhile. */
function tellPlace(state: SwarmState, place: number, id: number, peer: PeerId): void {
  const upload = state.uploads.waiting[place]
  if (upload?.id !== id || upload.peer !== peer) return
  upload.toldAtMs = state.clock.now()
  const ahead = state.uploads.active.length + place
  state.emit({ type: 'send', peer, message: { type: 'queued', id, ahead } })
}

function startUploads(state: SwarmState): void {
  const { waiting } = state.uploads
  // Mostly none may, which is seen much sooner than who is next.
  while (waiting.some((upload) => mayStart(state, upload))) {
    const next = nextUpload(state)
    if (!mayStart(state, waiting[next]!)) return
    for (const upload of waiting.splice(next, 1)) start(state, upload)
  }
}

function mayStart(state: SwarmState, { digest }: Upload): boolean {
  const chunkSize = state.sessions.get(digest)?.chunkSize ?? 0
  return placesTaken(state) < activePlaces(state, chunkSize)
}

function nextUpload(state: SwarmState): number {
  const asker = askers(state)
  let best = 0
  let bestRank = Infinity
  for (const [place, upload] of state.uploads.waiting.entries()) {
    const rank = rankOf(state, upload, asker)
    if (rank >= bestRank) continue
    best = place
    bestRank = rank
  }
  return best
}

/** More than any chunk has copies here. */
const servedLater = 1e6
const beyondLater = 2 * servedLater

/**
 * Lowest first: askers that are not being served; of theirs what nobody else has; then who has least, and the chunk that fewest
 * have; of equals who came first. What an asker wants beyond what one peer may comes after all else.
 */
function rankOf(state: SwarmState, upload: Upload, asker: Asker): number {
  const { limits } = state
  const waitedMs = state.clock.now() - upload.askedAtMs
  const lead = leadOf(state, upload) / limits.uploadLeadChunks
  const copies = copiesOf(state, upload)
  const sole = copies === 0 ? limits.uploadSoleMs / limits.uploadAgeMs : 0
  return laterBy(state, upload, asker) + copies + lead - sole - waitedMs / limits.uploadAgeMs
}

/** By what its asker has under way, and has asked for before. */
function laterBy({ limits, uploads: { active, waiting } }: SwarmState, upload: Upload, asker: Asker): number {
  let before = 0
  for (const other of active) if (other[asker] === upload[asker]) before++
  const servedBy = before > 0 ? servedLater : 0
  for (const other of waiting) {
    if (other === upload) break
    if (other[asker] === upload[asker]) before++
  }
  return before < limits.uploadsPerPeer ? servedBy : servedBy + beyondLater
}

/** By what requests are an asker's. */
type Asker = 'host' | 'peer'

/** Each host is one, since peer IDs are made at will; each peer, where all are of one host, as behind a NAT. */
function askers({ uploads: { active, waiting } }: SwarmState): Asker {
  const first = active[0] ?? waiting[0]
  const isOfIt = ({ host }: Upload): boolean => host === first?.host
  return active.every(isOfIt) && waiting.every(isOfIt) ? 'peer' : 'host'
}

/** How many chunks more than we the peer has. */
function leadOf(state: SwarmState, { digest, peer }: Upload): number {
  const session = state.sessions.get(digest)
  const neighbour = session?.neighbours.get(peer)
  return session === undefined || neighbour === undefined ? 0 : neighbour.held - session.heldCount
}

/** Copies of a chunk among the neighbours; those that this node has sent count before they are told of. */
function copiesOf(state: SwarmState, { digest, index }: Upload): number {
  const session = state.sessions.get(digest)
  return Math.max(session?.availability[index] ?? 0, session?.sent[index] ?? 0)
}

function start(state: SwarmState, upload: Upload): void {
  const { digest, id, index, offset, peer } = upload
  const session = state.sessions.get(digest)
  if (session === undefined || !canServe(state, session, index, offset)) {
    state.emit({ type: 'send', peer, message: { type: 'missing', id } })
    return
  }
  upload.startedAtMs = state.link.silenceMs
  state.uploads.active.push(upload)
  session.sent[index]!++
  state.emit({ type: 'upload', peer, id, digest, size: session.size, index, offset })
}

export function onCancel(state: SwarmState, peer: PeerId, id: number): void {
  const upload = find(state, peer, id)
  if (upload !== undefined) withdraw(state, upload)
}

/** The peer is gone: so are its requests. */
export function withdrawPeer(state: SwarmState, peer: PeerId): void {
  for (const upload of [...state.uploads.active, ...state.uploads.waiting])
    if (upload.peer === peer) withdraw(state, upload)
}

function withdraw(state: SwarmState, upload: Upload): void {
  const wasActive = state.uploads.active.includes(upload)
  remove(state.uploads.active, upload)
  remove(state.uploads.waiting, upload)
  if (!wasActive) return
  state.emit({ type: 'stop-upload', peer: upload.peer, id: upload.id })
  startUploads(state)
}

export function onUploaded(state: SwarmState, peer: PeerId, id: number, ok: boolean): void {
  const upload = state.uploads.active.find((one) => one.peer === peer && one.id === id)
  if (upload === undefined) return
  remove(state.uploads.active, upload)
  if (ok) {
    noteTaken(state, upload)
    noteLeft(state, upload)
  } else state.emit({ type: 'send', peer, message: { type: 'missing', id } })
  startUploads(state)
}

/** Whoever has had places in vain for too long gives them to others that wait, and who takes long now lets others have theirs beside it. */
export function turnAwayIdle(state: SwarmState): void {
  if (state.uploads.active.length === 0) return
  startUploads(state)
  if (!state.uploads.waiting.some(({ peer }) => !isLeftToOthers(state, peer))) return
  if (!leaveIdleTakers(state)) return
  const ofIdle = [...state.uploads.active, ...state.uploads.waiting].filter(({ peer }) => isLeftToOthers(state, peer))
  for (const upload of ofIdle) {
    turnAway(state, upload)
    withdraw(state, upload)
  }
}

/** Those who wait long hear again where they stand, so that they know that we live. */
export function remindWaiting(state: SwarmState, nowMs: number): void {
  for (const [place, upload] of state.uploads.waiting.entries())
    if (nowMs - upload.toldAtMs >= state.limits.queuedAgainMs) tellPlace(state, place, upload.id, upload.peer)
}

function find(state: SwarmState, peer: PeerId, id: number): Upload | undefined {
  const isIt = (upload: Upload): boolean => upload.peer === peer && upload.id === id
  return state.uploads.active.find(isIt) ?? state.uploads.waiting.find(isIt)
}

function remove(list: Upload[], upload: Upload): void {
  const at = list.indexOf(upload)
  if (at >= 0) list.splice(at, 1)
}
