import type { Clock } from '../../core/ports.ts'

export interface VirtualClock extends Clock {
  /** Moves time on by `ms`. */
  advance(ms: number): void
  /** Moves time on to `ms`; going back is a mistake of the test. */
  set(ms: number): void
}

/** Time that passes only when the test says so. */
export function virtualClock(startMs = 0): VirtualClock {
  let nowMs = startMs
  const set = (ms: number): void => {
    if (ms < nowMs) throw new RangeError(`time never goes back: ${nowMs} to ${ms}`)
    nowMs = ms
  }
  return { now: () => nowMs, set, advance: (ms) => set(nowMs + ms) }
}
