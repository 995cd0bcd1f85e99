/** When the swarm is told the time: often while anything is under way, seldom at rest, and before what ends that. */
import { limits } from '../../core/limits.ts'

export interface Ticks {
  start(): void
  /** Something is about to happen. */
  wake(): void
  stop(): void
}

export interface TicksComponents {
  readonly isAtRest: () => boolean
  readonly tick: () => void
}

export function createTicks({ isAtRest, tick }: TicksComponents): Ticks {
  let timer: NodeJS.Timeout | undefined
  let isResting = false

  function setPace(rests: boolean): void {
    isResting = rests
    clearInterval(timer)
    timer = setInterval(beat, rests ? limits.restTickMs : limits.tickMs)
  }

  function beat(): void {
    tick()
    if (!isResting && isAtRest()) setPace(true)
  }

  return {
    start: () => setPace(false),
    wake() {
      if (!isResting) return
      setPace(false)
      tick()
    },
    stop() {
      clearInterval(timer)
      isResting = false
    },
  }
}
