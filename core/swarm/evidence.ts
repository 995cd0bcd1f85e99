/** What this node was told of each chunk, and by whom: kept until the whole blob is proved and shows who was right. */
import { limits } from '../limits.ts'
import { hasBit } from './bitfield.ts'
import type { Entry } from './entry.ts'
import type { SwarmEvent } from './events.ts'
import type { Session } from './state.ts'

export function addOther(session: Session, entry: Entry): void {
  const others = session.others.get(entry.index) ?? []
  if (others.length < limits.otherEntriesMax) others.push(entry)
  session.others.set(entry.index, others)
}

export function entriesOf(session: Session, index: number): Entry[] {
  const known = [session.accepted[index], session.buffers.get(index)?.entry, ...(session.others.get(index) ?? [])]
  return known.filter((entry) => entry !== undefined)
}

/** What a restart has forgotten: the entries under which chunks were kept. They were checked then. */
export function adoptEntries(session: Session, { entries }: Extract<SwarmEvent, { type: 'entries' }>): void {
  if (session.complete) return
  for (const [index, entry] of entries.entries())
    if (entry !== undefined && hasBit(session.have, index)) session.accepted[index] ??= entry
}

/** The chunk is not kept any more; who vouched for it is remembered before all others. */
export function withdrawEntry(session: Session, index: number): void {
  const entry = session.accepted[index]
  session.accepted[index] = undefined
  if (entry !== undefined)
    session.others.set(index, [entry, ...(session.others.get(index) ?? [])].slice(0, limits.otherEntriesMax))
}
