/**
 * Leaves hosts alone that do not answer, so that a dead one costs its callers no timeout each: a breaker for each host that
 * is asked on behalf of one origin. What an origin redirects to is held against that origin alone; and only what it makes of
 * requests without a credential counts, since a caller may know one that it chokes on, and an outage opens doors (access/policy.ts).
 *
 *   closed ── `breakerFailures` in a row ──→ open ── its rest is over ──→ one request tries ── answer ──→ closed
 *                                             ↑                                  │
 *                                             └───────── no answer: twice the rest
 */
import { createBoundedMap } from '../../core/bounded-map.ts'
import { limits } from '../../core/limits.ts'
import type { Clock } from '../../core/ports.ts'
import { anonymous } from './credential.ts'
import type { Answer, Send } from './exchange.ts'
import { isOutage, kindOfStatus, OriginError } from './origin-error.ts'

export interface Breakers {
  /** `send`, but for hosts that are left alone: asking those is `unavailable` at once. */
  guard(send: Send): Send
  /** The hosts that are left alone now. */
  resting(): readonly RestingHost[]
}

/** Asked on behalf of `origin`, it does not answer. */
export interface RestingHost {
  readonly origin: string
  readonly host: string
}

/** A host that is left alone for `restMs`, or that has answered again. */
export interface BreakerChange extends RestingHost {
  readonly restMs: number | undefined
}

interface Breaker {
  readonly origin: string
  readonly host: string
  failures: number
  open: Rest | undefined
}

interface Rest {
  readonly untilMs: number
  readonly restMs: number
  /** One request is finding out whether the host is back. */
  isTried: boolean
}

type Outcome = 'answered' | 'failed' | 'unknown'

export function createBreakers(clock: Clock, onChange: (change: BreakerChange) => void): Breakers {
  const breakers = createBoundedMap<string, Breaker>(limits.originHostsMax)

  function find(origin: string, { origin: target, host }: URL): Breaker {
    const key = `${origin} ${target}`
    const breaker = breakers.get(key) ?? { origin, host, failures: 0, open: undefined }
    breakers.set(key, breaker)
    return breaker
  }

  /** Is this the request that tries? Throws for those that may not. */
  function enter({ host, open }: Breaker): boolean {
    if (open === undefined) return false
    if (open.isTried || clock.now() < open.untilMs)
      throw new OriginError('unavailable', `${host} did not answer and is left alone for a moment`, { isUnasked: true })
    open.isTried = true
    return true
  }

  function leave(breaker: Breaker, outcome: Outcome, isTrial: boolean): void {
    const { open } = breaker
    switch (outcome) {
      case 'answered':
        breaker.failures = 0
        breaker.open = undefined
        if (open !== undefined) onChange({ ...breaker, restMs: undefined })
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
    onChange({ ...breaker, restMs })
  }

  function guard(send: Send): Send {
    return async (site, target, message, ...more) => {
      const breaker = find(site.origin, target.url)
      const isTrial = enter(breaker)
      const failed = (message.credential ?? anonymous) === anonymous ? 'failed' : 'unknown'
      let outcome: Outcome = 'unknown'
      try {
        const answer = await send(site, target, message, ...more)
        outcome = isFailure(answer) ? failed : 'answered'
        return answer
      } catch (error) {
        if (isOutage(error)) outcome = failed
        throw error
      } finally {
        leave(breaker, outcome, isTrial)
      }
    }
  }

  function resting(): RestingHost[] {
    const open = [...breakers].filter(([, breaker]) => breaker.open !== undefined)
    return open.map(([, { origin, host }]) => ({ origin, host }))
  }

  return { guard, resting }
}

function isFailure({ status }: Answer): boolean {
  return status >= 500 && kindOfStatus(status) === 'unavailable'
}
