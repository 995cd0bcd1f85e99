/** Waits for rate limits (core/swarm/rate.ts) in real time. */
import type { RateLimit } from '../../core/swarm/rate.ts'
import type { Sleep } from '../upstream/retry.ts'

export interface Pace {
  /** Is there any limit now? */
  isLimited(): boolean
  /** Resolves once none of the limits has a debt; rejects with the signal's reason when it aborts. */
  wait(signal: AbortSignal): Promise<void>
}

export function createPace(rates: readonly Pick<RateLimit, 'allowance' | 'waitMs'>[], sleep: Sleep): Pace {
  return {
    isLimited: () => rates.some((rate) => rate.allowance() !== Infinity),
    async wait(signal) {
      for (;;) {
        signal.throwIfAborted()
        // Others move bytes meanwhile, and limits change: so it looks again.
        const waitMs = Math.max(...rates.map((rate) => rate.waitMs()))
        if (waitMs === 0) return
        await sleep(Math.ceil(waitMs), signal)
      }
    },
  }
}
