/** Answers a registry's challenge as containerd does (remotes/docker/authorizer.go, auth/fetch.go). */
import { type Dispatcher, request } from 'undici'
import { z } from 'zod'
import { type Challenge, parseChallenges } from '../../agent/upstream/challenges.ts'

export interface Credentials {
  readonly username: string
  readonly password: string
}

/** The `Authorization` that answers a `WWW-Authenticate`; undefined where there is nothing to say, or the token service refuses. */
export type Authorize = (challenge: string) => Promise<string | undefined>

/** Without credentials: as nobody. `dispatcher` is for token services under other names and certificates. */
export function createAuthorizer(credentials?: Credentials, dispatcher?: Dispatcher): Authorize {
  const connecting = dispatcher === undefined ? {} : { dispatcher }

  async function token(challenge: Challenge): Promise<string | undefined> {
    const posted = credentials && (await post(challenge, credentials))
    return posted ?? get(challenge)
  }

  async function post({ parameters }: Challenge, { username, password }: Credentials): Promise<string | undefined> {
    const fixed = { client_id: 'containerd-client', grant_type: 'password', username, password }
    const asked = { service: parameters.get('service') ?? '', scope: parameters.get('scope') ?? '' }
    const body = new URLSearchParams({ ...fixed, ...asked }).toString()
    const headers = { 'content-type': 'application/x-www-form-urlencoded; charset=utf-8' }
    return tokenOf(await request(parameters.get('realm') ?? '', { method: 'POST', headers, body, ...connecting }))
  }

  async function get({ parameters }: Challenge): Promise<string | undefined> {
    const url = new URL(parameters.get('realm') ?? '')
    for (const name of ['service', 'scope'])
      if (parameters.has(name)) url.searchParams.set(name, parameters.get(name) ?? '')
    const headers = credentials === undefined ? {} : { authorization: basic(credentials) }
    return tokenOf(await request(url, { headers, ...connecting }))
  }

  return async (text) => {
    const challenges = parseChallenges([text])
    const bearer = challenges.find(({ scheme }) => scheme === 'bearer')
    if (bearer !== undefined) return token(bearer).then((value) => value && `Bearer ${value}`)
    return challenges.some(({ scheme }) => scheme === 'basic') ? credentials && basic(credentials) : undefined
  }
}

const tokenAnswer = z.object({ token: z.string().optional(), access_token: z.string().optional() })

async function tokenOf({ statusCode, body }: Dispatcher.ResponseData): Promise<string | undefined> {
  if (statusCode !== 200) return body.dump().then(() => undefined)
  const { token, access_token: accessToken } = tokenAnswer.parse(await body.json())
  return token ?? accessToken
}

export function basic({ username, password }: Credentials): string {
  return `Basic ${Buffer.from(`${username}:${password}`).toString('base64')}`
}
