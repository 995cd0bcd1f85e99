/** Trying again: for requests that change nothing, with growing random waits and a bound on all waiting together. */
import { setTimeout as systemSleep } from 'node:timers/promises'
import { limits } from '../../core/limits.ts'
import type { Clock, Random } from '../../core/ports.ts'
import { isOriginError, type OriginErrorKind } from './origin-error.ts'

export type Sleep = (ms: number, signal: AbortSignal) => Promise<void>

/** Rejects with the signal's reason when it aborts. */
export const sleepBySystem: Sleep = async (ms, signal) => {
  await systemSleep(ms, undefined, { signal }).catch(() => signal.throwIfAborted())
}

/**
 * Runs `attempt` up to `limits.originRequestTriesMax` times while it fails in one of the ways `passing`. Waits what Retry-After
 * says, else a uniform draw below a doubling bound ("full jitter"). No try starts later than `limits.originRetryMs` after
 * the first one: beyond that, waiting is the caller's decision and the error is thrown.
 */
export async function withRetries<Value>(
  { clock, random, sleep }: { readonly clock: Clock; readonly random: Random; readonly sleep: Sleep },
  signal: AbortSignal,
  passing: readonly OriginErrorKind[],
  attempt: () => Promise<Value>,
): Promise<Value> {
  const lastStartMs = clock.now() + limits.originRetryMs
  for (let tries = 1; ; tries++) {
    try {
      return await attempt()
    } catch (error) {
      const isPassing = isOriginError(error, ...passing) && !error.isUnasked
      if (!isPassing || tries === limits.originRequestTriesMax) throw error
      const waitMs = error.retryAfterMs ?? random.below(limits.originRequestBackoffMs * 2 ** (tries - 1) + 1)
      if (clock.now() + waitMs > lastStartMs) throw error
      await sleep(waitMs, signal)
    }
  }
}
