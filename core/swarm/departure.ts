/**
 * How this node hands over what nobody else has before it leaves the cluster:
 *
 *     asked ─▶ nobody lacks it ─────────────────────────────────────▶ left
 *       └────▶ sole ─▶ others read it, and take it from here ───────▶ left
 *               └────▶ nobody does: one who stays is asked to take it, a few at a time, the smallest first
 *                          ├─ it does, and is one of those who read it from now on
 *                          └─ it does not, or there is too much ────▶ left, and lost
 *
 * The directory says what nobody else has (core/directory/departures.ts). It may be that the node comes back in a moment, with all
 * it had: nobody knows, so what is handed over unasked is bounded. It is not in vain then, as two have it from now on.
 */
import type { Departure as Told } from '../directory/messages.ts'
import type { Digest } from '../oci/digest.ts'
import { surrenderUnbegun } from './origin.ts'
import { isDemanded, tellDirectory } from './session.ts'
import type { Session, SwarmState } from './state.ts'

/** What may leave with this node. */
interface Estate {
  readonly session: Session
  /** What the directory has told of it. */
  told: Told | undefined
  isOffered: boolean
  /** Since when somebody takes it who did not ask for it. */
  takenAtMs: number | undefined
}

export interface Departure {
  /** What may still be handed over to who did not ask for it. */
  bytesLeft: number
  readonly estates: Map<Digest, Estate>
  isOver: boolean
}

/** This node is about to leave: its directories are asked what leaves with it. */
export function depart(state: SwarmState, maxBytes: number): void {
  const held = [...state.sessions.values()].filter(({ heldCount }) => heldCount > 0)
  const estates = held.map((session): [Digest, Estate] => [session.digest, createEstate(session)])
  state.departure = { bytesLeft: maxBytes, estates: new Map(estates), isOver: false }
  for (const session of held) tellDirectory(state, session, true)
  goOn(state, state.departure)
}

function createEstate(session: Session): Estate {
  return { session, told: undefined, isOffered: false, takenAtMs: undefined }
}

/** The directory has told what nobody else has of a blob. */
export function onDepartureTold(state: SwarmState, session: Session, told: Told | undefined): void {
  const { departure } = state
  if (departure === undefined || told === undefined) return
  if (told.isWanted) surrenderUnbegun(state, session)
  const estate = departure.estates.get(session.digest)
  if (estate === undefined) return
  estate.told = told
  const isLost = !told.isWanted && (!session.complete || isGivenUp(state, estate))
  if (told.sole === undefined || isLost) departure.estates.delete(session.digest)
  goOn(state, departure)
}

/** Who took it has had the time to tell the directory, and does not want it any more. */
function isGivenUp({ clock, limits }: SwarmState, { takenAtMs }: Estate): boolean {
  return takenAtMs !== undefined && clock.now() - takenAtMs >= limits.handOverBeginMs
}

/** Who was asked to take a blob takes it, or nobody does. */
export function onOffered(state: SwarmState, digest: Digest, isTaken: boolean): void {
  const { departure } = state
  const estate = departure?.estates.get(digest)
  if (departure === undefined || estate === undefined) return
  if (isTaken) estate.takenAtMs = state.clock.now()
  else departure.estates.delete(digest)
  goOn(state, departure)
}

/** Forgets what is here no more. */
export function watchDeparture(state: SwarmState): void {
  const { departure, sessions } = state
  if (departure === undefined || departure.isOver) return
  for (const [digest, { session }] of departure.estates)
    if (sessions.get(digest) !== session || session.heldCount === 0) departure.estates.delete(digest)
  goOn(state, departure)
}

function goOn(state: SwarmState, departure: Departure): void {
  offerMore(state, departure)
  if (departure.estates.size > 0 || departure.isOver) return
  departure.isOver = true
  state.emit({ type: 'departed' })
}

/** As many at a time as become whole soon: of what is half there, nobody has the other half. */
function offerMore(state: SwarmState, departure: Departure): void {
  const estates = [...departure.estates.values()]
  let takenBytes = 0
  for (const { isOffered, session } of estates) if (isOffered) takenBytes += session.size
  const waiting = estates.filter(isUnwanted).toSorted((one, other) => one.session.size - other.session.size)
  for (const estate of waiting) {
    const { digest, size } = estate.session
    if (takenBytes > 0 && takenBytes + size > state.limits.handOverAtOnceBytes) return
    if (size > departure.bytesLeft) {
      departure.estates.delete(digest)
      continue
    }
    departure.bytesLeft -= size
    takenBytes += size
    estate.isOffered = true
    state.emit({ type: 'offer', digest, size })
  }
}

function isUnwanted({ isOffered, told }: Estate): boolean {
  return !isOffered && told !== undefined && !told.isWanted
}

/** Not while this node leaves itself, or brings what somebody reads here: who leaves has no time to wait for that. */
export function mayTake(state: SwarmState, digest: Digest, size: number): boolean {
  const known = state.sessions.get(digest)
  if (state.departure !== undefined || (known !== undefined && known.size !== size)) return false
  const coming = state.active.filter(({ complete }) => !complete)
  if (coming.some(isDemanded)) return false
  const taken = coming.filter((session) => session !== known && session.origin === undefined)
  return taken.reduce((sum, session) => sum + session.size, size) <= state.limits.handOverTakenMaxBytes
}
