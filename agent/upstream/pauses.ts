/** A 429 is honoured by not asking again before the time it named, as the account that it was said to: others may still ask. */
import { createBoundedMap } from '../../core/bounded-map.ts'
import { limits } from '../../core/limits.ts'
import type { Clock } from '../../core/ports.ts'
import type { Credential } from './credential.ts'
import type { Site } from './egress.ts'
import { OriginError } from './origin-error.ts'

export interface Pauses {
  /** Throws what the origin said, while it counts. */
  check(site: Site, credential: Credential): void
  note(site: Site, credential: Credential, error: OriginError): void
}

interface Pause {
  readonly untilMs: number
  readonly error: OriginError
}

export function createPauses(clock: Clock): Pauses {
  const pauses = createBoundedMap<string, Pause>(limits.accessRecordsMax)

  return {
    check(site, credential) {
      const pause = pauses.get(keyOf(site, credential))
      if (pause === undefined || clock.now() >= pause.untilMs) return
      const { status, challenges, body, detail } = pause.error
      const details = { status, challenges, body, retryAfterMs: pause.untilMs - clock.now(), isUnasked: true }
      throw new OriginError('rate-limited', detail, details)
    },
    note(site, credential, error) {
      // What is shorter, whoever heard of it waits for (retry.ts).
      if (error.retryAfterMs === undefined || error.retryAfterMs <= limits.originRetryMs) return
      pauses.set(keyOf(site, credential), { untilMs: clock.now() + error.retryAfterMs, error })
    },
  }
}

function keyOf(site: Site, credential: Credential): string {
  return `${site.origin} ${credential.key}`
}
