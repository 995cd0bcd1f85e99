/**
 * Readers that trust different origins, of which a session asks one at a time. Each has its turn, so that an origin that sends
 * nothing, little or something else holds up its own readers only. A turn in which it sends what is no whole chunk yet was too short:
 * of the chunk the next origin begins anew, so turns get longer until each can bring one.
 */
import { stopOrigin } from './origin.ts'
import { tellDirectory, turnTo } from './session.ts'
import type { Reader, Session, SwarmState } from './state.ts'
import { mayDeliver } from './witnesses.ts'

/** Called by the tick: whoever has waited longest for bytes that another origin does not send gets its own asked. */
export function takeTurns(state: SwarmState, session: Session, nowMs: number): void {
  const { originTurnMaxMs, originTurnMs } = state.limits
  const hadMs = nowMs - session.turnedAtMs
  if (hadMs < originTurnMs) return
  const isFetching = [...session.supply.leases].some(({ fetch }) => fetch !== undefined)
  if (isFetching && hadMs < Math.min(originTurnMs * 2 ** session.shortTurns, originTurnMaxMs)) return
  const waiting = [...session.readers.values()].filter((reader) => isWaiting(state, session, reader, nowMs))
  const [longest] = waiting.toSorted((one, other) => one.movedAtMs - other.movedAtMs)
  if (longest === undefined) return
  if (isFetching && !session.hasBrought) session.shortTurns++
  stopOrigin(state, session)
  turnTo(state, session, longest.origin)
  tellDirectory(state, session, true)
}

function isWaiting(state: SwarmState, session: Session, reader: Reader, nowMs: number): boolean {
  const { movedAtMs, origin, position, prefetch } = reader
  if (prefetch || origin === session.origin || nowMs - movedAtMs < state.limits.originTurnMs) return false
  return !mayDeliver(state, session, Math.floor(position / session.chunkSize), origin)
}
