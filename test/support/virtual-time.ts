import type { Sleep } from '../../agent/upstream/retry.ts'
import { type VirtualClock, virtualClock } from './virtual-clock.ts'

export interface VirtualTime {
  readonly clock: VirtualClock
  /** Sleeps by that clock. */
  readonly sleep: Sleep
  /** Moves time on by `ms` and wakes those who have slept long enough. */
  advance(ms: number): void
}

export function virtualTime(): VirtualTime {
  const clock = virtualClock()
  const sleepers = new Set<{ readonly untilMs: number; readonly wake: () => void }>()

  const sleep: Sleep = (ms, signal) =>
    new Promise((resolve, reject) => {
      const sleeper = { untilMs: clock.now() + ms, wake: resolve }
      sleepers.add(sleeper)
      signal.addEventListener('abort', () => {
        sleepers.delete(sleeper)
        reject(signal.reason)
      })
    })

  return {
    clock,
    sleep,
    advance(ms) {
      clock.advance(ms)
      for (const sleeper of sleepers) {
        if (sleeper.untilMs > clock.now()) continue
        sleepers.delete(sleeper)
        sleeper.wake()
      }
    },
  }
}
