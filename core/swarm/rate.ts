/**
 * A limit in bytes a second, as a token bucket that may go into debt: whoever moves bytes waits until there is no debt, moves
 * a piece and counts it. So over any time no more has moved than `limits.rateBurstMs` and the rate allow, and one piece
 * for each mover.
 */
import { limits } from '../limits.ts'
import type { Clock } from '../ports.ts'
import { second } from '../units.ts'

export interface RateLimit {
  /** 0: no limit. A debt stays, and is paid at the new rate. */
  set(bytesPerSecond: number): void
  /** Bytes that may move now; negative: the debt. Infinite without a limit. */
  allowance(): number
  /** As set; 0: no limit. */
  bytesPerSecond(): number
  /** How long until there is no debt; 0: there is none. */
  waitMs(): number
  /** These have moved. */
  count(bytes: number): void
}

export interface RateLimits {
  /** Content given to peers. */
  readonly upload: RateLimit
  /** Content from peers and origins. */
  readonly download: RateLimit
  /** Content from origins, which counts as download too. */
  readonly origin: RateLimit
}

export function createRateLimit(clock: Clock, bytesPerSecond = 0): RateLimit {
  let bytesPerMs = bytesPerSecond / second
  let level = bytesPerMs * limits.rateBurstMs
  let sinceMs = clock.now()

  function refill(): number {
    const nowMs = clock.now()
    level = Math.min(level + (nowMs - sinceMs) * bytesPerMs, bytesPerMs * limits.rateBurstMs)
    sinceMs = nowMs
    return level
  }

  return {
    set(newBytesPerSecond) {
      refill()
      const wasUnlimited = bytesPerMs === 0
      bytesPerMs = newBytesPerSecond / second
      const full = bytesPerMs * limits.rateBurstMs
      level = wasUnlimited ? full : Math.min(level, full)
    },
    bytesPerSecond: () => bytesPerMs * second,
    allowance: () => (bytesPerMs === 0 ? Infinity : refill()),
    waitMs: () => (bytesPerMs === 0 ? 0 : Math.max(0, -refill() / bytesPerMs)),
    count(bytes) {
      if (bytesPerMs > 0) level = refill() - bytes
    },
  }
}

export function createRateLimits(clock: Clock): RateLimits {
  return { upload: createRateLimit(clock), download: createRateLimit(clock), origin: createRateLimit(clock) }
}
