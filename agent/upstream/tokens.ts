/**
 * Tokens that anybody may have (docker distribution, "Token Authentication Specification"): for the repositories that a
 * registry shows to all but only with a token. No credential is ever sent to a token service from here.
 */
import type { Logger } from 'pino'
import { z } from 'zod'
import type { Clock } from '../../core/ports.ts'
import { limits } from '../../core/limits.ts'
import { second } from '../../core/units.ts'
import { bodyError, discard, readAtMost } from './bodies.ts'
import { createBoundedMap } from '../../core/bounded-map.ts'
import { type Challenge, parseChallenges } from './challenges.ts'
import type { Egress, Site, Target } from './egress.ts'
import { type Answer, answerError, type Send } from './exchange.ts'
import { isOriginError, OriginError } from './origin-error.ts'
import { createSingleFlight } from './single-flight.ts'

export interface Token {
  readonly authorization: string
  /** Of the answer that asked for a token, verbatim. */
  readonly challenges: readonly string[]
}

export interface Tokens {
  /** The token for a repository at the host of `target`, if there is one that lives. */
  held(target: Target, repository: string): Token | undefined
  /**
   * A new one, as `challenges` ask for it. Undefined where they ask for something else, the token service is not one
   * that may be asked, or it gives nothing to nobody. Rejects with an OriginError when it is down.
   */
  obtain(
    site: Site,
    target: Target,
    repository: string,
    challenges: readonly string[],
    signal: AbortSignal,
  ): Promise<Token | undefined>
}

interface Components {
  readonly clock: Clock
  readonly egress: Egress
  readonly send: Send
  readonly logger: Pick<Logger, 'warn'>
}

interface HeldToken extends Token {
  readonly expiresAtMs: number
}

export function createTokens({ clock, egress, send, logger }: Components): Tokens {
  const tokens = createBoundedMap<string, HeldToken>(limits.tokensMax)
  const flight = createSingleFlight<Token | undefined>()

  async function request(site: Site, service: Target, signal: AbortSignal): Promise<TokenAnswer | undefined> {
    const answer = await send(site, service, { method: 'GET', accept: 'application/json' }, undefined, signal)
    if (answer.status === 200) return parseToken(answer)
    discard(answer.body)
    const error = answerError(answer)
    if (isOriginError(error, 'rate-limited', 'unavailable') || answer.status < 400) throw error
    return undefined
  }

  function serviceOf(site: Site, target: Target, repository: string, challenge: Challenge): Target | undefined {
    try {
      return tokenRequest(
        egress.realm(site, target.url, challenge.parameters.get('realm') ?? ''),
        challenge,
        repository,
      )
    } catch (error) {
      if (!isOriginError(error, 'forbidden-target')) throw error
      logger.warn({ origin: site.origin }, `anonymous access not tried: ${error.detail}; list the host in --origins`)
      return undefined
    }
  }

  return {
    held(target, repository) {
      const token = tokens.get(keyOf(target, repository))
      return token !== undefined && token.expiresAtMs > clock.now() ? token : undefined
    },
    async obtain(site, target, repository, challenges, signal) {
      const challenge = parseChallenges(challenges).find(({ scheme }) => scheme === 'bearer')
      const service = challenge && serviceOf(site, target, repository, challenge)
      if (service === undefined) return undefined
      const key = keyOf(target, repository)
      return flight(`${key} ${service.url.href}`, signal, async (shared) => {
        const requestedAtMs = clock.now()
        const granted = await request(site, service, shared)
        if (granted === undefined) return undefined
        const token = { authorization: `Bearer ${granted.token}`, challenges }
        tokens.set(key, { ...token, expiresAtMs: requestedAtMs + granted.lifeMs })
        return token
      })
    },
  }
}

function keyOf(target: Target, repository: string): string {
  return `${target.url.origin} ${repository}`
}

function tokenRequest(realm: Target, { parameters }: Challenge, repository: string): Target {
  const url = new URL(realm.url)
  url.hash = ''
  const service = parameters.get('service')
  if (service !== undefined) url.searchParams.set('service', service)
  const scopes = parameters.get('scope') ?? `repository:${repository}:pull`
  for (const scope of scopes.split(' ')) url.searchParams.append('scope', scope)
  return { ...realm, url }
}

const tokenText = z
  .string()
  .max(16_384)
  .regex(/^[A-Za-z0-9._~+/-]+=*$/)

const tokenAnswer = z
  .object({
    token: tokenText.optional(),
    access_token: tokenText.optional(),
    expires_in: z.number().positive().optional(),
  })
  .transform((answer) => ({ token: answer.token ?? answer.access_token, expiresInS: answer.expires_in }))

interface TokenAnswer {
  readonly token: string
  /** A tenth less than promised, so that it does not run out on the way. */
  readonly lifeMs: number
}

async function parseToken({ body, host }: Answer): Promise<TokenAnswer> {
  const bytes = await readAtMost(body, limits.tokenAnswerMaxBytes, limits.originSmallBodyMs).catch((cause: unknown) => {
    throw bodyError(cause, host)
  })
  const { token, expiresInS } = tokenAnswer.safeParse(parseJson(bytes)).data ?? {}
  if (token === undefined) throw new OriginError('protocol', `${host} answered without a token`)
  const lifeMs = expiresInS === undefined ? limits.tokenLifeMs : expiresInS * second
  return { token, lifeMs: 0.9 * Math.min(lifeMs, limits.tokenLifeMaxMs) }
}

function parseJson(bytes: Uint8Array | undefined): unknown {
  try {
    return bytes === undefined ? undefined : JSON.parse(new TextDecoder().decode(bytes))
  } catch {
    return undefined
  }
}
