/** A token bucket: what shapes a link where the kernel's own shaping can't be had (no root, macOS). */
import { setTimeout as sleep } from 'node:timers/promises'

export interface Throttle {
  /** Resolves when `bytes` may be sent. Waiters are served in order, so concurrent responses share the rate. */
  take(bytes: number): Promise<void>
}

export const unthrottled: Throttle = { take: () => Promise.resolve() }

export function createThrottle(bytesPerSecond: number): Throttle {
  let freeAtMs = performance.now()
  return {
    async take(bytes) {
      const now = performance.now()
      const startMs = Math.max(now, freeAtMs)
      freeAtMs = startMs + (bytes / bytesPerSecond) * 1000
      if (startMs > now) await sleep(startMs - now)
    },
  }
}
