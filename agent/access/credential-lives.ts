/**
 * How long the credentials of callers count: a token says when it ends, and the origin says, with a 401, that it has. Nothing
 * that is known to have ended is shown to an origin again, so that who has nothing better leaves fetching to others at once.
 */
import { createBoundedMap } from '../../core/bounded-map.ts'
import { limits } from '../../core/limits.ts'
import type { Clock } from '../../core/ports.ts'
import { type Credential, isToken } from '../upstream/credential.ts'
import type { OriginRepository } from '../upstream/origin-client.ts'
import { isOriginError, OriginError } from '../upstream/origin-error.ts'
import type { KnownChallenges } from './challenges.ts'

export interface CredentialLives {
  /** A caller shows it. `lifeMs`: how much longer it says that it lives. */
  noteShown(credential: Credential, lifeMs: number | undefined): void
  /** The origin did not take it for this repository: 401 to a token is final. */
  noteRefusal(at: OriginRepository, credential: Credential, error: unknown): void
  /** Until when it may be shown, by the clock given; Infinity where nothing tells. */
  endsAtMs(at: OriginRepository, credential: Credential): number
  /** What its caller hears, once it has ended: a 401, with the challenge that brings a new one. */
  refusal(at: OriginRepository, credential: Credential): OriginError | undefined
}

interface Components {
  readonly clock: Clock
  readonly challenges: Pick<KnownChallenges, 'for'>
}

interface Refused {
  readonly untilMs: number
  readonly error: OriginError
}

export function createCredentialLives({ clock, challenges }: Components): CredentialLives {
  const ends = createBoundedMap<string, number>(limits.accessRecordsMax)
  const refusals = createBoundedMap<string, Refused>(limits.accessRecordsMax)

  function refusedAt(at: OriginRepository, credential: Credential): Refused | undefined {
    const refused = refusals.get(keyOf(at, credential))
    return refused !== undefined && clock.now() < refused.untilMs ? refused : undefined
  }

  function endsAtMs(at: OriginRepository, credential: Credential): number {
    return refusedAt(at, credential) === undefined ? (ends.get(credential.key) ?? Infinity) : -Infinity
  }

  return {
    noteShown({ key }, lifeMs) {
      if (lifeMs === undefined || ends.get(key) !== undefined) return
      // One that is new here and has ended already says that this node's time of day is wrong, or that it has: the origin knows.
      ends.set(key, lifeMs <= 0 ? Infinity : clock.now() + lifeMs - limits.tokenMarginMs)
    },
    noteRefusal(at, credential, error) {
      // A password that is refused now may be right in a moment.
      if (!isOriginError(error, 'unauthorized') || !isToken(credential)) return
      refusals.set(keyOf(at, credential), { untilMs: clock.now() + limits.originRefusedMs, error })
    },
    endsAtMs,
    refusal(at, credential) {
      const refused = refusedAt(at, credential)
      if (refused !== undefined) return refused.error
      const overMs = clock.now() - endsAtMs(at, credential)
      if (overMs < 0) return undefined
      const isBelieved = overMs < limits.tokenMarginMs + limits.tokenBelievedMs
      const known = challenges.for(at)
      const details = { status: 401, challenges: isBelieved ? known.map(saysInvalid) : known, isUnasked: true }
      return new OriginError('unauthorized', `the token for ${at.origin} has run out`, details)
    },
  }
}

/**
 * To who takes its token for good the challenge must say that it is not (RFC 6750, 3.1), or it is shown again. To others it does
 * not say so: containerd gives up a request that has heard it twice.
 */
function saysInvalid(challenge: string): string {
  return challenge.replace(/^Bearer +(?!.*\berror=)/i, '$&error="invalid_token",')
}

function keyOf({ origin, repository }: OriginRepository, credential: Credential): string {
  return `${origin} ${repository} ${credential.key}`
}
