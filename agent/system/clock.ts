import type { Clock } from '../../core/ports.ts'

/** The machine's monotonic time, in milliseconds since the process started. */
export const systemClock: Clock = { now: () => performance.now() }
