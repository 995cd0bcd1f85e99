/** What this node says of a digest to its directory, and what it makes of the answer. */
import type { AnnounceItem, AnswerItem, ChunkRange } from '../directory/messages.ts'
import type { Digest } from '../oci/digest.ts'
import { leaseWish, onGranted } from './origin.ts'
import { addCandidates, connectMore } from './peers.ts'
import { wantsMore } from './session.ts'
import type { Session, SwarmState } from './state.ts'

/** The whole state of a digest as the directory should know it; undefined when there is nothing to say. */
export function announceState(state: SwarmState, digest: Digest): AnnounceItem | undefined {
  const session = state.sessions.get(digest)
  if (session === undefined) return leavingItem(state, digest)
  session.announcePending = false
  const lease = leaseWish(state, session)
  if (lease !== undefined) session.supply.asking = true
  const { released, releasedSent, unranged } = session.supply
  for (const id of released) releasedSent.add(id)
  return {
    digest,
    size: session.size,
    have: session.complete ? { complete: true } : { complete: false, bits: session.have.slice() },
    wants: wantsMore(state, session),
    fetching: fetchingRanges(session),
    ...(lease === undefined ? {} : { lease }),
    ...(released.size === 0 ? {} : { released: [...released] }),
    ...(unranged ? { unranged } : {}),
  }
}

function leavingItem(state: SwarmState, digest: Digest): AnnounceItem | undefined {
  const size = state.left.get(digest)
  if (size === undefined) return undefined
  const have = { complete: false, bits: new Uint8Array(0) } as const
  return { digest, size, have, wants: false, fetching: [], leaves: true }
}

/** Leased chunks that do not show in `have` yet, as runs. */
function fetchingRanges(session: Session): ChunkRange[] {
  const indices = [...session.supply.leases].flatMap((lease) => [...lease.remaining, ...lease.settling])
  const ranges: { start: number; end: number }[] = []
  for (const index of indices.toSorted((a, b) => a - b)) {
    const last = ranges.at(-1)
    if (last?.end === index) last.end++
    else ranges.push({ start: index, end: index + 1 })
  }
  return ranges
}

export function onAnswer(state: SwarmState, answer: AnswerItem): void {
  const session = state.sessions.get(answer.digest)
  if (session === undefined) {
    state.left.delete(answer.digest)
    return
  }
  if (answer.ask !== undefined) return
  noteReleased(session)
  session.supply.asking = false
  addCandidates(state, session, answer.peers)
  if (answer.size === undefined || answer.size === session.size) takeSupply(state, session, answer)
  if (session.readers.size > 0 && wantsMore(state, session)) connectMore(state, session)
}

/** The directory has heard of the leases that the last announce gave back. */
function noteReleased({ supply }: Session): void {
  for (const id of supply.releasedSent) supply.released.delete(id)
  supply.releasedSent.clear()
}

function takeSupply(state: SwarmState, session: Session, { counts, lease, leaseAfterMs }: AnswerItem): void {
  if (counts?.length === session.count) session.counts = counts
  if (lease !== undefined) onGranted(state, session, lease)
  else session.supply.askAfterMs = state.clock.now() + (leaseAfterMs ?? state.limits.leaseAgainMs)
}
