/**
 * How long the tokens of callers count: one says when it ends, or its origin says, with a 401, that it has. A token that is known
 * to have ended is shown to no origin again, so that who has nothing better leaves fetching to others at once.
 *
 * A caller that comes with such a token hears that it is invalid, and brings another. One that came with a good one, and waits
 * for bytes, must not hear that: containerd 2 heeds it once in a request, and gives up at the second time. It hears a mere 401,
 * once it can tell by itself that its token has ended; before, it would only show it again.
 */
import { createBoundedMap } from '../../core/bounded-map.ts'
import { limits } from '../../core/limits.ts'
import type { Clock } from '../../core/ports.ts'
import { type CredentialLife, endlessLife, noLife } from '../../core/swarm/state.ts'
import { type Credential, isToken } from '../upstream/credential.ts'
import type { OriginRepository } from '../upstream/origin-client.ts'
import { isOriginError, OriginError } from '../upstream/origin-error.ts'
import type { KnownChallenges } from './challenges.ts'

export interface CredentialLives {
  /** A caller shows it, and it says this of itself. */
  noteShown(credential: Credential, term: Term | undefined): void
  /** The origin takes it for this repository. */
  noteTaken(at: OriginRepository, credential: Credential): void
  /** The origin answered a request that showed it with this error. */
  noteError(at: OriginRepository, credential: Credential, error: unknown): void
  lifeOf(at: OriginRepository, credential: Credential): CredentialLife
  /** Once it has ended, what an origin would say to it: a 401, with the challenge that brings another. */
  refusal(at: OriginRepository, credential: Credential): OriginError | undefined
  /** The same, for who showed it when it was good. */
  ending(at: OriginRepository, credential: Credential): OriginError | undefined
}

/** How long a token says that it lives. */
export interface Term {
  /** From now on, by this node's time of day. */
  readonly leftMs: number
  /** From its issue to its end. */
  readonly wholeMs?: number | undefined
}

interface Components {
  readonly clock: Clock
  readonly challenges: Pick<KnownChallenges, 'for'>
}

/** A 401 of the origin, to a token that it had taken before or not: that one never was any good. */
interface Refused {
  readonly atMs: number
  readonly error: OriginError
  readonly wasTaken: boolean
}

export function createCredentialLives({ clock, challenges }: Components): CredentialLives {
  const told = createBoundedMap<string, CredentialLife>(limits.accessRecordsMax)
  const taken = createBoundedMap<string, true>(limits.accessRecordsMax)
  const refusals = createBoundedMap<string, Refused>(limits.accessRecordsMax)

  function refusedAt(at: OriginRepository, credential: Credential): Refused | undefined {
    const refused = refusals.get(keyOf(at, credential))
    return refused !== undefined && clock.now() < refused.atMs + limits.originRefusedMs ? refused : undefined
  }

  function lifeOf(at: OriginRepository, credential: Credential): CredentialLife {
    const refused = refusedAt(at, credential)
    const life = told.get(credential.key) ?? endlessLife
    if (refused === undefined || life.endsAtMs <= refused.atMs) return life
    return refused.wasTaken ? endedAt(refused.atMs) : noLife
  }

  function termFromNow({ leftMs, wholeMs = 0 }: Term): CredentialLife {
    const { endsAtMs, renewableAtMs } = endedAt(clock.now() + leftMs - limits.tokenMarginMs)
    const believedUntilMs = Math.min(clock.now() + wholeMs, endsAtMs + limits.tokenBelievedMaxMs)
    return { endsAtMs, renewableAtMs: Math.max(renewableAtMs, believedUntilMs) }
  }

  function refusalIn(words: Words, at: OriginRepository, credential: Credential): OriginError | undefined {
    if (clock.now() < lifeOf(at, credential).endsAtMs) return undefined
    const refused = refusedAt(at, credential)
    if (refused?.wasTaken === false) return refused.error
    const known = refused?.error.challenges ?? challenges.for(at)
    const details = { status: 401, challenges: known.map(words), isUnasked: true }
    return new OriginError('unauthorized', `the token for ${at.origin} has run out`, details)
  }

  return {
    noteShown({ key }, term) {
      if (term === undefined || told.get(key) !== undefined) return
      // One that is new here and has ended already says that this node's time of day is wrong, or that it has: the origin knows.
      told.set(key, term.leftMs <= 0 ? endlessLife : termFromNow(term))
    },
    noteTaken: (at, credential) => taken.set(keyOf(at, credential), true),
    noteError(at, credential, error) {
      // A password that is refused now may be right in a moment.
      if (!isOriginError(error, 'unauthorized') || !isToken(credential)) return
      const key = keyOf(at, credential)
      refusals.set(key, { atMs: clock.now(), error, wasTaken: taken.get(key) === true })
    },
    lifeOf,
    refusal: (at, credential) => refusalIn(withError, at, credential),
    ending: (at, credential) => refusalIn(withoutError, at, credential),
  }
}

function endedAt(endsAtMs: number): CredentialLife {
  return { endsAtMs, renewableAtMs: endsAtMs + limits.tokenBelievedMs }
}

type Words = (challenge: string) => string

/** RFC 6750, 3.1. */
function withError(challenge: string): string {
  return withoutError(challenge).replace(/^Bearer +/i, '$&error="invalid_token",')
}

/** RFC 6750, 3: `error` says what was wrong with the token that was shown, and `error_description` the same in words. */
function withoutError(challenge: string): string {
  return challenge
    .replaceAll(/(?<=(?:^bearer|,) *)error(?:_description)?="(?:[^"\\]|\\.)*"(?: *, *|$)/gi, '')
    .replace(/, *$/, '')
}

function keyOf({ origin, repository }: OriginRepository, credential: Credential): string {
  return `${origin} ${repository} ${credential.key}`
}
