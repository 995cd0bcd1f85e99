/** A 429 is honoured by not asking again before the time it named, as the account that it was said to: others may still ask. */
import { createBoundedMap } from '../../core/bounded-map.ts'
import { limits } from '../../core/limits.ts'
import type { Clock } from '../../core/ports.ts'
import type { Credential } from './credential.ts'
import type { Site } from './egress.ts'
import { OriginError } from './origin-error.ts'

export interface Pauses {
  /** Throws what `who` said, while it counts, with the challenges that this request met: those of then name another repository. */
  check(who: Limiter, credential: Credential, challenges: readonly string[]): void
  note(who: Limiter, credential: Credential, error: OriginError): void
}

/** An origin by its name, or a token service by its URL's origin. */
type Limiter = Pick<Site, 'origin'>

interface Pause {
  readonly untilMs: number
  readonly error: OriginError
}

export function createPauses(clock: Clock): Pauses {
  const pauses = createBoundedMap<string, Pause>(limits.accessRecordsMax)

  return {
    check(who, credential, challenges) {
      const pause = pauses.get(keyOf(who, credential))
      if (pause === undefined || clock.now() >= pause.untilMs) return
      const { status, body, detail } = pause.error
      const details = { status, challenges, body, retryAfterMs: pause.untilMs - clock.now(), isUnasked: true }
      throw new OriginError('rate-limited', detail, details)
    },
    note(who, credential, error) {
      // What is shorter, whoever heard of it waits for (retry.ts).
      if (error.retryAfterMs === undefined || error.retryAfterMs <= limits.originRetryMs) return
      pauses.set(keyOf(who, credential), { untilMs: clock.now() + error.retryAfterMs, error })
    },
  }
}

function keyOf({ origin }: Limiter, credential: Credential): string {
  return `${origin} ${credential.key}`
}
