/**
 * Leaves alone what does not answer, so that it costs its callers no timeout each. What counts against whom:
 *
 *   no connection to a host of an origin          → that host, for all who ask on behalf of this origin
 *   5xx, or silence, about a repository of it     → that repository, asked by this credential of that host
 *
 * For an outage opens doors (access/policy.ts): who knows a repository, or has a credential, that an origin chokes on must not make
 * the rest of it seem down. What an origin redirects to is held against that origin alone.
 *
 *   closed ── `breakerFailures` in a row ──→ open ── its rest is over ──→ one request tries ── answer ──→ closed
 *                                             ↑                                  │
 *                                             └───────── no answer: twice the rest
 */
import { createBoundedMap } from '../../core/bounded-map.ts'
import { limits } from '../../core/limits.ts'
import type { Clock } from '../../core/ports.ts'
import { isConnectFailure } from './bodies.ts'
import { anonymous } from './credential.ts'
import type { Answer, Send } from './exchange.ts'
import { isOutage, kindOfStatus, OriginError } from './origin-error.ts'

export interface Breakers {
  /** `send`, but for what is left alone: asking that is `unavailable` at once. */
  guard(send: Send): Send
  /**
   * The hosts of which all, or something, is left alone now, or was until `limits.breakerRestMaxMs` ago and has not been asked
   * since: nobody may ever ask again, as with a token that has ended.
   */
  resting(): readonly RestingHost[]
}

/** Asked on behalf of `origin`, it does not answer. */
export interface RestingHost {
  readonly origin: string
  readonly host: string
}

/** What is left alone for `restMs`, or has answered again. */
export interface BreakerChange extends RestingHost {
  /** Undefined: all of the host. */
  readonly repository: string | undefined
  readonly restMs: number | undefined
}

interface Breaker {
  readonly origin: string
  readonly host: string
  readonly repository: string | undefined
  failures: number
  open: Rest | undefined
}

interface Rest {
  readonly untilMs: number
  readonly restMs: number
  /** One request is finding out whether it is back. */
  isTried: boolean
}

type Outcome = 'answered' | 'failed' | 'unknown'

export function createBreakers(clock: Clock, onChange: (change: BreakerChange) => void): Breakers {
  const ofHosts = createBoundedMap<string, Breaker>(limits.originHostsMax)
  const ofRepositories = createBoundedMap<string, Breaker>(limits.accessRecordsMax)

  function findHost(origin: string, { origin: target, host }: URL): Breaker {
    const key = `${origin} ${target}`
    const breaker = ofHosts.get(key) ?? { origin, host, repository: undefined, failures: 0, open: undefined }
    ofHosts.set(key, breaker)
    return breaker
  }

  function findRepository(origin: string, { origin: target, host }: URL, repository: string, by: string): Breaker {
    const key = `${origin} ${target} ${repository} ${by}`
    const breaker = ofRepositories.get(key) ?? { origin, host, repository, failures: 0, open: undefined }
    ofRepositories.set(key, breaker)
    return breaker
  }

  function isShut({ open }: Breaker): boolean {
    return open !== undefined && (open.isTried || clock.now() < open.untilMs)
  }

  function isResting({ open }: Breaker): boolean {
    return open !== undefined && (open.isTried || clock.now() < open.untilMs + limits.breakerRestMaxMs)
  }

  /** Is this the request that tries? */
  function enter({ open }: Breaker): boolean {
    if (open !== undefined) open.isTried = true
    return open !== undefined
  }

  function leave(breaker: Breaker, outcome: Outcome, isTrial: boolean): void {
    const { open } = breaker
    switch (outcome) {
      case 'answered':
        breaker.failures = 0
        breaker.open = undefined
        if (open !== undefined) onChange(changeOf(breaker, undefined))
        return
      case 'failed':
        breaker.failures++
        if (isTrial || (open === undefined && breaker.failures >= limits.breakerFailures)) rest(breaker)
        return
      case 'unknown':
        if (isTrial && open !== undefined) open.isTried = false
    }
  }

  function rest(breaker: Breaker): void {
    const lastMs = breaker.open?.restMs
    const restMs = lastMs === undefined ? limits.breakerRestMs : Math.min(2 * lastMs, limits.breakerRestMaxMs)
    breaker.open = { untilMs: clock.now() + restMs, restMs, isTried: false }
    onChange(changeOf(breaker, restMs))
  }

  function guard(send: Send): Send {
    return async (site, target, message, ...more) => {
      const { repository, credential = anonymous } = message
      const levels = [
        findHost(site.origin, target.url),
        findRepository(site.origin, target.url, repository, credential.key),
      ] as const
      const { host } = target.url
      if (levels.some(isShut))
        throw new OriginError('unavailable', `${host} did not answer and is left alone for a moment`, {
          isUnasked: true,
        })
      const trials = levels.map(enter)
      let outcomes: readonly [Outcome, Outcome] = ['unknown', 'unknown']
      try {
        const answer = await send(site, target, message, ...more)
        outcomes = ['answered', isFailure(answer) ? 'failed' : 'answered']
        return answer
      } catch (error) {
        outcomes = outcomesOf(error)
        throw error
      } finally {
        for (const [at, breaker] of levels.entries()) leave(breaker, outcomes[at]!, trials[at]!)
      }
    }
  }

  function resting(): RestingHost[] {
    const open = [...ofHosts, ...ofRepositories].filter(([, breaker]) => isResting(breaker))
    const hosts = new Map(open.map(([, { origin, host }]) => [`${origin} ${host}`, { origin, host }]))
    return [...hosts.values()]
  }

  return { guard, resting }
}

function changeOf({ origin, host, repository }: Breaker, restMs: number | undefined): BreakerChange {
  return { origin, host, repository, restMs }
}

/** For the host and for the repository. */
function outcomesOf(error: unknown): readonly [Outcome, Outcome] {
  if (!isOutage(error)) return ['unknown', 'unknown']
  return isConnectFailure(error) ? ['failed', 'unknown'] : ['unknown', 'failed']
}

function isFailure({ status }: Answer): boolean {
  return status >= 500 && kindOfStatus(status) === 'unavailable'
}
