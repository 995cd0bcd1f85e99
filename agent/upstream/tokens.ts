/**
 * What answers a challenge (docker distribution, "Token Authentication Specification" and "OAuth2 Token Authentication"):
 *
 * | challenge | anonymous                 | name and password          | identity token               |
 * | Bearer    | GET the realm             | GET the realm, with Basic  | POST a refresh token grant   |
 * | Basic     | nothing                   | Basic, to the origin       | nothing                      |
 *
 * Bearer goes first where both are asked for: the origin then sees a token for one repository only. An account leaves for
 * the host that asked, and for a realm that egress allows that host to name; nowhere else.
 */
import type { Logger } from 'pino'
import { z } from 'zod'
import type { Clock } from '../../core/ports.ts'
import { limits } from '../../core/limits.ts'
import { second } from '../../core/units.ts'
import { parseJson } from '../parse-json.ts'
import { bodyError, discard, readAtMost } from './bodies.ts'
import { createBoundedMap } from '../../core/bounded-map.ts'
import { type Challenge, parseChallenges } from './challenges.ts'
import { type Account, type Credential, revealAccount } from './credential.ts'
import type { Egress, Site, Target } from './egress.ts'
import { type Answer, answerError, type Message, type Send } from './exchange.ts'
import { isOriginError, OriginError } from './origin-error.ts'
import type { Pauses } from './pauses.ts'
import { createSingleFlight } from './single-flight.ts'

export interface Token {
  readonly authorization: string
  /** Of the answer that asked for a token, verbatim. */
  readonly challenges: readonly string[]
  /** By the clock given. */
  readonly expiresAtMs: number
}

/** The answer 401 of `target`, on behalf of `site`, to a request about `repository`. */
export interface Challenged {
  readonly site: Site
  readonly target: Target
  readonly repository: string
  /** Anonymous or an account. */
  readonly credential: Credential
  readonly challenges: readonly string[]
}

export interface Tokens {
  /** What answers for `credential` at the host of `target` about a repository, if there is one that lives. */
  held(target: Target, repository: string, credential: Credential): Token | undefined
  /**
   * A new one, as the challenges ask for it; one for all who ask at once. Undefined where they ask for what the credential
   * has not, the token service is not one that may be asked, or it refuses. Rejects with an OriginError when it is down or
   * wants a pause; that holds the challenges, for a caller who can answer them with more.
   */
  obtain(challenged: Challenged, signal: AbortSignal): Promise<Token | undefined>
}

interface Components {
  readonly clock: Clock
  readonly egress: Egress
  readonly send: Send
  readonly pauses: Pauses
  readonly logger: Pick<Logger, 'warn'>
}

export function createTokens({ clock, egress, send, pauses, logger }: Components): Tokens {
  const tokens = createBoundedMap<string, Token>(limits.tokensMax)
  const flight = createSingleFlight<Token | undefined>()

  async function request(
    { site, credential, challenges }: Challenged,
    { target, message, authorization }: TokenRequest,
    signal: AbortSignal,
  ): Promise<TokenAnswer | undefined> {
    pauses.check(target.url, credential, challenges)
    const answer = await send(site, target, { ...message, credential }, authorization, signal)
    if (answer.status === 200) return parseToken(answer)
    discard(answer.body)
    const error = answerError({ ...answer, challenges })
    if (isOriginError(error, 'rate-limited')) pauses.note(target.url, credential, error)
    if (isOriginError(error, 'rate-limited', 'unavailable') || answer.status < 400) throw error
    return undefined
  }

  function realmOf({ site, target }: Challenged, bearer: Challenge): Target | undefined {
    try {
      return egress.realm(site, target.url, bearer.parameters.get('realm') ?? '')
    } catch (error) {
      return notAllowed(site, error)
    }
  }

  /** Whoever is refused for want of a token hears the challenge, and may ask that service itself. */
  function notAllowed(site: Site, error: unknown): undefined {
    if (!isOriginError(error, 'forbidden-target')) throw error
    logger.warn({ origin: site.origin }, `no token asked for: ${error.detail}; list the host in --origins`)
  }

  async function obtainBearer(challenged: Challenged, bearer: Challenge, signal: AbortSignal) {
    const realm = realmOf(challenged, bearer)
    if (realm === undefined) return undefined
    const { repository } = challenged
    const scopes = (bearer.parameters.get('scope') ?? `repository:${repository}:pull`).split(' ')
    const wanted = { realm, service: bearer.parameters.get('service'), scopes, repository }
    const service = tokenRequest(wanted, revealAccount(challenged.credential))
    const key = keyOf(challenged)
    return flight(`${key} ${service.target.url.href} ${scopes.join(' ')}`, signal, async (shared) => {
      const requestedAtMs = clock.now()
      // DNS may put the service where it may not be asked.
      const granted = await request(challenged, service, shared).catch((error: unknown) =>
        notAllowed(challenged.site, error),
      )
      if (granted === undefined) return undefined
      return keep(challenged, `Bearer ${granted.token}`, requestedAtMs + granted.lifeMs)
    })
  }

  function keep(challenged: Challenged, authorization: string, expiresAtMs: number): Token {
    const token = { authorization, challenges: challenged.challenges, expiresAtMs }
    tokens.set(keyOf(challenged), token)
    return token
  }

  return {
    held(target, repository, credential) {
      const token = tokens.get(keyOf({ target, repository, credential }))
      return token !== undefined && token.expiresAtMs > clock.now() ? token : undefined
    },
    async obtain(challenged, signal) {
      const asked = parseChallenges(challenged.challenges)
      const bearer = asked.find(({ scheme }) => scheme === 'bearer')
      if (bearer !== undefined) return obtainBearer(challenged, bearer, signal)
      const basic = basicOf(revealAccount(challenged.credential))
      if (basic === undefined || !asked.some(({ scheme }) => scheme === 'basic')) return undefined
      return keep(challenged, basic, clock.now() + limits.tokenLifeMaxMs)
    },
  }
}

function keyOf({ target, repository, credential }: Pick<Challenged, 'target' | 'repository' | 'credential'>): string {
  return `${target.url.origin} ${repository} ${credential.key}`
}

interface TokenRequest {
  readonly target: Target
  readonly message: Message
  readonly authorization: string | undefined
}

interface TokenWanted {
  readonly realm: Target
  readonly service: string | undefined
  readonly scopes: readonly string[]
  readonly repository: string
}

function tokenRequest({ realm, service, scopes, repository }: TokenWanted, account: Account | undefined): TokenRequest {
  const url = new URL(realm.url)
  url.hash = ''
  if (account?.kind === 'identity-token') {
    const form = new URLSearchParams({ grant_type: 'refresh_token', client_id: 'shoal', refresh_token: account.token })
    if (service !== undefined) form.set('service', service)
    form.set('scope', scopes.join(' '))
    const message = { method: 'POST', repository, accept: 'application/json', form } as const
    return { target: { ...realm, url }, message, authorization: undefined }
  }
  if (service !== undefined) url.searchParams.set('service', service)
  for (const scope of scopes) url.searchParams.append('scope', scope)
  const message = { method: 'GET', repository, accept: 'application/json' } as const
  return { target: { ...realm, url }, message, authorization: basicOf(account) }
}

/** RFC 7617. */
function basicOf(account: Account | undefined): string | undefined {
  if (account?.kind !== 'password') return undefined
  return `Basic ${Buffer.from(`${account.username}:${account.password}`).toString('base64')}`
}

const tokenText = z
  .string()
  .max(16_384)
  .regex(/^[A-Za-z0-9._~+/-]+=*$/)

/** What Go's services send for what they have not: clients in Go take it for absent. */
const nothing = z.union([z.null(), z.literal('')]).transform(() => undefined)

const tokenAnswer = z
  .object({
    token: z.union([tokenText, nothing]).optional(),
    access_token: z.union([tokenText, nothing]).optional(),
    expires_in: z.number().positive().optional().catch(undefined),
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
  const { token, expiresInS } = tokenAnswer.safeParse(parseJson(new TextDecoder().decode(bytes))).data ?? {}
  if (token === undefined) throw new OriginError('protocol', `${host} answered without a token`)
  const lifeMs = expiresInS === undefined ? limits.tokenLifeMs : expiresInS * second
  return { token, lifeMs: 0.9 * Math.min(lifeMs, limits.tokenLifeMaxMs) }
}
