/**
 * Tells whether the other side of a link still lives, where no socket says so (power loss, a cut cable, a hung process).
 * A link in use beats at every look before which it said nothing else; one that nobody has used for a while rests and beats at every eighth, since forty idle
 * links at the full rate take 1.7 % of a core. Both sides see the same use, so they expect what the other does.
 */
import { limits } from '../../core/limits.ts'

export interface Pulse {
  /** Something came, be it only a beat. */
  heard(): void
  /** A message or chunk data went or came. */
  used(): void
  /** A message went: as good as a beat. */
  spoke(): void
  /** Called every `limits.linkLookMs`. */
  look(): 'dead' | 'beat' | 'wait'
}

export function createPulse(): Pulse {
  let silentLooks = 0
  let unusedLooks = 0
  let hasSpoken = false
  const isResting = (): boolean => unusedLooks > limits.linkRestAfterLooks

  return {
    heard() {
      silentLooks = 0
    },
    used() {
      // Until now the other side was right to be silent.
      if (isResting()) silentLooks = 0
      unusedLooks = 0
    },
    spoke() {
      hasSpoken = true
    },
    look() {
      silentLooks++
      unusedLooks++
      const every = isResting() ? limits.linkRestEveryLooks : 1
      if (silentLooks >= limits.linkSilentLooks * every) return 'dead'
      const isDue = unusedLooks % every === 0 && !hasSpoken
      hasSpoken = false
      return isDue ? 'beat' : 'wait'
    },
  }
}
