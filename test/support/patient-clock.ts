import { systemClock } from '../../agent/system/clock.ts'
import type { Clock } from '../../core/ports.ts'

const lookMs = 5

/**
 * The system's clock without the pauses of this process: on a machine that is busy with other things, what the process had no
 * time to do is not late.
 */
export function createPatientClock(): Clock {
  let passedMs = 0
  let lookedMs = systemClock.now()
  function now(): number {
    const nowMs = systemClock.now()
    passedMs += Math.min(nowMs - lookedMs, lookMs)
    lookedMs = nowMs
    return passedMs
  }
  setInterval(now, lookMs).unref()
  return { now }
}
