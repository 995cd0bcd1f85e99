/** Whether this node has more to do than it can, and what it then refuses to others so that its own pull does not suffer. */
import { isDemanded } from './session.ts'
import type { SwarmState } from './state.ts'

/** How much of the newest tick counts: one pause, for a garbage collection say, is no overload. */
const newestShare = 1 / 8

/** A tick came `elapsedMs` after the one before. Ticks are late when the event loop has too much to do; at rest they are merely seldom. */
export function measureLoad(state: SwarmState, elapsedMs: number): void {
  const lateMs = isAtRest(state) ? 0 : Math.max(0, elapsedMs - state.limits.tickMs)
  state.lateMs += (lateMs - state.lateMs) * newestShare
}

/** Nobody reads, sends or is sent anything here. */
export function isAtRest({ active, departure, fetches, transfers, uploads }: SwarmState): boolean {
  const isIdle = active.length === 0 && transfers.size === 0 && fetches.size === 0
  return isIdle && uploads.active.length === 0 && uploads.waiting.length === 0 && departure === undefined
}

/** How many uploads may wait. Never none: whoever gives nothing holds up everybody. */
export function waitingPlaces(state: SwarmState): number {
  return shed(state, state.limits.uploadsWaitingMax)
}

/** How many uploads may be under way where the next one is of such a chunk. */
export function activePlaces(state: SwarmState, chunkSize: number): number {
  const { uploadLargeBytes, uploadsActiveLargeMax, uploadsActiveMax } = state.limits
  return shed(state, chunkSize < uploadLargeBytes ? uploadsActiveMax : uploadsActiveLargeMax)
}

function shed(state: SwarmState, places: number): number {
  const { lateTickMs, uploadsShedTo } = state.limits
  const isShedding =
    state.lateMs > lateTickMs && state.active.some((session) => !session.complete && isDemanded(session))
  return isShedding ? Math.min(places, uploadsShedTo) : places
}
