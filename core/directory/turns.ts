/**
 * The order in which a host takes up what its directory is asked. A crowd's thousand requests come at once, and its host is one
 * of the crowd: so they wait for one another, and one goes on in each turn of the event loop, between which whatever else is
 * ready is done; or as many as take their share of the core where turns are long. Each waits for those before it, and for no
 * more other work than leaves them that share. Who has a lease does not wait here (`Directory.isFetcher`).
 */
import { limits } from '../limits.ts'
import type { Clock } from '../ports.ts'

export interface TurnsComponents {
  readonly clock: Clock
  /** Runs `act` after what else is ready now. */
  readonly soon: (act: () => void) => void
}

export interface Turns {
  /** Runs `answer` when its turn has come; first come, first served. */
  wait(answer: () => void): void
}

export function createTurns({ clock, soon }: TurnsComponents): Turns {
  const waiting: (() => void)[] = []
  let answeredMs = 0
  let answered = 0

  const answerNext = (): void => {
    const othersMs = clock.now() - answeredMs - answered * limits.announceCostMs
    answeredMs = clock.now()
    answered = answersAfter(othersMs)
    for (const answer of waiting.splice(0, answered)) answer()
    if (waiting.length > 0) soon(answerNext)
  }
  return {
    wait(answer) {
      if (waiting.push(answer) > 1) return
      answeredMs = clock.now()
      answered = 0
      soon(answerNext)
    },
  }
}

/** How many requests make up for `othersMs` of other work. */
function answersAfter(othersMs: number): number {
  const shareMs = (othersMs * limits.directoryShareOfCore) / (1 - limits.directoryShareOfCore)
  return Math.max(1, Math.floor(shareMs / limits.announceCostMs))
}
