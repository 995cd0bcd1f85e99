/**
 * How far this agent trusts what it sees of others, as Lifeguard does (Dadgar, Phillips and Currey 2018): where most of its
 * own exchanges come back late, or its own ticks do, the trouble is more likely here than with everybody else.
 */
import { limits } from '../limits.ts'

export interface Health {
  /** An exchange was answered in time. */
  inTime(): void
  /** Another member gave no sign of life in time, or this agent's own tick came late. */
  late(): void
  /** How many times as long as usual others get to answer. */
  patience(): number
  /** So much goes wrong that this agent's word against others is worth nothing. */
  doubtsItself(): boolean
}

export function createHealth(): Health {
  let lateShare = 0
  const note = (share: number): void => {
    lateShare += (share - lateShare) * limits.healthWeight
  }
  return {
    inTime: () => note(0),
    late: () => note(1),
    patience() {
      const beyond = (lateShare - limits.healthyLateShare) / (1 - limits.healthyLateShare)
      return 1 + Math.max(0, beyond) * (limits.patienceMax - 1)
    },
    doubtsItself: () => lateShare > limits.doubtLateShare,
  }
}
