/**
 * What a blob costs that turns out wrong: every chunk matches its entry, and yet the whole does not match its digest. Some
 * signer lied, or the origin lied to it, and nobody knows in which chunk. While somebody reads the blob, it is *audited*:
 *
 *     forged ─▶ chunks are taken from the origin again: where others' proofs differ, else at random, each time more
 *                 ├─ the same:  this node's own from now on
 *                 └─ another:   its signer is disbelieved, and all that was kept on its word, here and in other sessions,
 *                               comes from others ─▶ proved, and the signer refuted; or forged again: another lied as well
 *
 * What a full disk refused of it can't be looked at: there what was kept on others' word is, at the next try, until one is found.
 *
 * So at each node that kept it a blunt lie costs a chunk or two outside the origin's budget, and the subtlest the blob once
 * more, also where the origin ignores Range: all that passes by is looked at. Meanwhile nothing is handed out on the word of any
 * of the signers, in no session (trust.ts).
 */
import { bitfieldOf, hasBit, setBit } from './bitfield.ts'
import { isCautionedOf } from './caution.ts'
import { chunksOf } from './chunks.ts'
import { dropChunks, fail, loseChunks } from './ending.ts'
import type { Entry } from './entry.ts'
import { endAudit, fetchAnew } from './origin.ts'
import type { Forgery, Session, SwarmState } from './state.ts'
import { takeOwnOnly } from './transfers.ts'
import { disbelieve, suspectSigners } from './trust.ts'
import { askWitnesses, isDisputed } from './witnesses.ts'

export function onForged(state: SwarmState, session: Session): void {
  suspectSigners(state, session)
  session.forgery = { audited: bitfieldOf(session.count), chunks: 1, ...session.forgery, hasFound: false }
}

/**
 * A part of it has passed through, and can't be looked at again. Where all that did was this node's own, what is wrong was kept on the
 * word of others, and would be wrong at the next try too: by then it is audited before the rest comes.
 */
export function onForgedInPart(state: SwarmState, session: Session): void {
  onForged(state, session)
  const isOwn = (index: number): boolean => session.accepted[index]?.signer === state.self
  if (chunksOf(session.size).every((index) => hasBit(session.have, index) || isOwn(index))) takeOwnOnly(state, session)
}

/** Called by the tick: has the next chunks taken again, where the blob is here and wrong, or all of it that a disk takes. */
export function audit(state: SwarmState, session: Session): void {
  const { forgery, heldCount, count, ownOnly, proving, supply } = session
  if (forgery === undefined || proving || supply.leases.size > 0) return
  const isWhole = heldCount === count
  if (!isWhole && (!ownOnly || forgery.hasFound)) return
  const indices = nextToAudit(state, session, forgery)
  const [first] = indices
  if (first === undefined) return isWhole ? giveUp(state, session) : undefined
  askWitnesses(state, session, first, state.clock.now())
  fetchAnew(state, session, indices)
  if (supply.leases.size > 0) forgery.chunks = Math.min(forgery.chunks * 2, state.limits.leaseChunksMax)
}

/** All of it is this node's own by now, and still wrong: the origin has nothing else. */
function giveUp(state: SwarmState, session: Session): void {
  state.emit({ type: 'discard', digest: session.digest })
  loseChunks(state, session)
  fail(state, session, { kind: 'corrupt' })
}

function nextToAudit(state: SwarmState, session: Session, forgery: Forgery): number[] {
  const left = chunksOf(session.size).filter((index) => hasBit(session.have, index) && !hasBit(forgery.audited, index))
  const disputed = left.filter((index) => isDisputed(state, session, index))
  if (disputed.length > 0) return disputed.slice(0, forgery.chunks)
  const ofOthers = left.filter((index) => session.accepted[index]?.signer !== state.self)
  const doubtful = ofOthers.filter((index) => isDoubtful(state, session, index))
  const own = session.heldCount === session.count ? left : []
  const from = [doubtful, ofOthers].find(({ length }) => length > 0) ?? own
  const start = state.random.below(Math.max(from.length, 1))
  return from.slice(start, start + forgery.chunks)
}

function isDoubtful(state: SwarmState, { accepted, origin }: Session, index: number): boolean {
  const entry = accepted[index]
  return entry !== undefined && isCautionedOf(state, origin, entry.signer)
}

/** This node's own copy of a chunk that is held is another, and takes its place. */
export function onOtherCopy(state: SwarmState, session: Session, held: Entry | undefined, own: Entry): void {
  dropChunks(state, session, [own.index])
  if (session.forgery !== undefined) session.forgery.hasFound = true
  if (held !== undefined) disbelieve(state, held.signer, session.origin ?? '')
  // Of the rest of the audit what its signer vouched for comes from others now, and whether more is wrong the next proof shows.
  endAudit(state, session)
}

export function noteAudited({ forgery }: Session, index: number): void {
  if (forgery !== undefined) setBit(forgery.audited, index)
}
