/**
 * Whose word is taken. By own evidence only, and for a time (`limits.banMs`), after which an address may be another node's:
 *
 *     suspected   signed for a blob that proved wrong, as others did: nothing is handed out on its word before the proof
 *     disbelieved signed what this node's own copy from the origin is not: nothing is kept on its word, for that origin
 *     banned      provably lied (bans.ts): it is disbelieved for every origin, and that outlives the process (lessons.ts)
 *
 * Each with all that are at its address; and signers that were never connected here, who may all be one, are suspected together.
 */
import type { Digest } from '../oci/digest.ts'
import { ban } from './bans.ts'
import { hasBit } from './bitfield.ts'
import { cautionOthers } from './caution.ts'
import { dropChunks } from './ending.ts'
import type { Entry } from './entry.ts'
import { addressOf, isBanned } from './hosts.ts'
import type { Dated } from './lessons.ts'
import type { Session, SwarmState } from './state.ts'

/** Who signed for this blob, which proved wrong. */
export interface Suspicion extends Dated {
  readonly digest: Digest
}

/** What counts of an entry where it is only asked who says so, and how that one knows. */
export type Word = Pick<Entry, 'signer' | 'witness'>

/** May a chunk be kept and passed on under this entry? Its witness must count for the session's origin. */
export function isBelieved(state: SwarmState, session: Session, entry: Entry): boolean {
  return !session.ownOnly && countsFor(state, session.origin, entry)
}

function countsFor(state: SwarmState, origin: string | undefined, { signer, witness }: Word): boolean {
  if (isBanned(state, signer) || isDisbelieved(state, origin, signer)) return false
  return witness.kind === 'proved' || witness.origin === origin
}

/** May a reader that trusts `origin` be given a chunk on this word, ahead of the proof? */
export function isTrusted(state: SwarmState, origin: string | undefined, word: Word): boolean {
  return countsFor(state, origin, word) && !isSuspect(state, word.signer)
}

// Suspected

const strangers = 'strangers'

function isSuspect(state: SwarmState, signer: string): boolean {
  // Asked of every chunk more than once, and mostly nobody is.
  if (state.suspects.isEmpty()) return false
  return namesOf(state, signer).some((name) => (state.suspects.get(name)?.untilMs ?? 0) > state.clock.now())
}

function namesOf(state: SwarmState, signer: string): string[] {
  return [signer, addressOf(state, signer) ?? strangers]
}

/**
 * Every chunk of the blob matched its entry, and the whole is wrong: one of those who signed lied, or was lied to. So did who vouched
 * for all of it.
 */
export function suspectSigners(state: SwarmState, session: Session): void {
  const untilMs = state.clock.now() + state.limits.banMs
  for (const name of signersOf(state, session)) state.suspects.set(name, { digest: session.digest, untilMs })
  state.emit({ type: 'learnt' })
}

/** The blob is proved, and shows who lied: the others are clear of it. */
export function clearSuspects(state: SwarmState, { digest }: Session): void {
  const cleared = [...state.suspects].filter(([, suspicion]) => suspicion.digest === digest)
  for (const [name] of cleared) state.suspects.delete(name)
  if (cleared.length > 0) state.emit({ type: 'learnt' })
}

function signersOf(state: SwarmState, { accepted, vouches }: Session): Set<string> {
  const signers = new Set(accepted.flatMap((entry) => entry?.signer ?? []))
  for (const [peer, hashes] of vouches)
    if (accepted.every((entry, index) => entry?.hash === hashes[index])) signers.add(peer)
  signers.delete(state.self)
  return new Set([...signers].flatMap((signer) => namesOf(state, signer)))
}

// Disbelieved

/** No origin has this name. */
const anyOrigin = '*'

function isDisbelieved(state: SwarmState, origin: string | undefined, signer: string): boolean {
  if (state.disbelieved.isEmpty()) return false
  const names = [signer, addressOf(state, signer)].flatMap((name) => [`${origin} ${name}`, `${anyOrigin} ${name}`])
  return names.some((name) => (state.disbelieved.get(name)?.untilMs ?? 0) > state.clock.now())
}

/**
 * What it signed is not what that origin gives this node: one of the two has lied, and either is reason to do without. Undefined: it
 * lied, whatever the origin.
 */
export function disbelieve(state: SwarmState, signer: string, origin?: string): void {
  if (signer === state.self) return
  const untilMs = state.clock.now() + state.limits.banMs
  for (const name of [signer, addressOf(state, signer)])
    if (name !== undefined) state.disbelieved.set(`${origin ?? anyOrigin} ${name}`, { untilMs })
  cautionOthers(state, signer, origin)
  state.emit({ type: 'learnt' })
  dropUnbelieved(state)
}

/**
 * Two words of one signer for one chunk differ, or its word is not what the blob has. Who said `proved` has lied. Who said
 * `fetched` may have been lied to by the origin, and told different things by it at different times.
 */
export function refute(state: SwarmState, { signer, witness }: Word, reason: string): void {
  if (witness.kind === 'fetched') return disbelieve(state, signer, witness.origin)
  ban(state, signer, reason, { isLie: true })
  disbelieve(state, signer)
}

function dropUnbelieved(state: SwarmState): void {
  for (const session of state.active) dropUnbelievedOf(state, session)
}

/** What is being read, or about to be, and was kept on the word of whoever is out by now comes from others: else the blob would be wrong again. */
export function dropUnbelievedOf(state: SwarmState, session: Session): void {
  if (session.complete || state.disbelieved.isEmpty()) return
  const isOut = (entry: Entry | undefined, index: number): boolean =>
    entry !== undefined &&
    entry.signer !== state.self &&
    hasBit(session.have, index) &&
    !countsFor(state, originOf(session, entry), entry)
  const indices = session.accepted.flatMap((entry, index) => (isOut(entry, index) ? [index] : []))
  if (indices.length > 0) dropChunks(state, session, indices)
}

/** Of which origin's content an entry speaks: readers of several take turns, and keep what was kept in another's. */
function originOf({ origin }: Session, { witness }: Word): string | undefined {
  return witness.kind === 'fetched' ? witness.origin : origin
}
