/** Which chunk comes next: the late reader's, else the rarest in the window, else the rarest of the rest. */
import type { Random } from '../ports.ts'
import { aheadLimit } from './session.ts'
import { phases, type Session, type SwarmLimits } from './state.ts'

export type Priority = 'demand' | 'prefetch'

export interface PickerView {
  readonly nowMs: number
  readonly random: Random
  readonly limits: SwarmLimits
}

/** Can the chunk be had now? Asked of missing chunks only. */
export type Obtainable = (index: number) => boolean

/** A missing and obtainable chunk that readers of this priority want, or undefined. */
export function pickChunk(
  session: Session,
  isObtainable: Obtainable,
  priority: Priority,
  view: PickerView,
): number | undefined {
  const prefetch = priority === 'prefetch'
  return pickUrgent(session, isObtainable, prefetch, view) ?? pickForWhole(session, isObtainable, prefetch, view)
}

/** Ranged readers take their chunks in order; whole readers only when they are late, since order costs variety. */
function pickUrgent(
  session: Session,
  isObtainable: Obtainable,
  prefetch: boolean,
  view: PickerView,
): number | undefined {
  for (const reader of session.readers.values()) {
    if (reader.prefetch !== prefetch) continue
    const late = view.nowMs - reader.cursorSinceMs > view.limits.urgentAfterMs
    if (reader.whole && !late) continue
    const end = reader.whole
      ? Math.min(reader.cursor + view.limits.urgentChunks, session.count)
      : aheadLimit(session, reader, view.limits.rangedAheadBytes)
    const index = firstIn(session, isObtainable, reader.cursor, end)
    if (index !== undefined) return index
  }
  return undefined
}

function pickForWhole(
  session: Session,
  isObtainable: Obtainable,
  prefetch: boolean,
  view: PickerView,
): number | undefined {
  let lowest = Infinity
  for (const reader of session.readers.values())
    if (reader.whole && reader.prefetch === prefetch) lowest = Math.min(lowest, reader.cursor)
  if (lowest === Infinity) return undefined
  const windowEnd = Math.min(lowest + view.limits.windowChunks, session.count)
  return (
    rarestIn(session, isObtainable, lowest, windowEnd, view.random) ??
    rarestIn(session, isObtainable, windowEnd, session.count, view.random) ??
    rarestIn(session, isObtainable, 0, lowest, view.random)
  )
}

function firstIn(session: Session, isObtainable: Obtainable, start: number, end: number): number | undefined {
  for (let index = start; index < end; index++)
    if (session.phase[index] === phases.missing && isObtainable(index)) return index
  return undefined
}

/** Starts at a random place, so that nodes that know the same choose differently. */
function rarestIn(
  session: Session,
  isObtainable: Obtainable,
  start: number,
  end: number,
  random: Random,
): number | undefined {
  const span = end - start
  if (span <= 0) return undefined
  let best: number | undefined
  let bestRarity = Infinity
  const first = start + random.below(span)
  for (let step = 0; step < span && bestRarity > 1; step++) {
    const index = first + step < end ? first + step : first + step - span
    if (session.phase[index] !== phases.missing) continue
    const rarity = rarityOf(session, index)
    if (rarity >= bestRarity || !isObtainable(index)) continue
    best = index
    bestRarity = rarity
  }
  return best
}

/** Copies known: among neighbours, or in the whole swarm as the directory counts them. */
function rarityOf(session: Session, index: number): number {
  return Math.max(session.availability[index] ?? 0, session.counts?.[index] ?? 0)
}
