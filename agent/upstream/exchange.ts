/** One request to an origin: sent, redirected where the origin says, and answered as the origin answered it. */
import type { Readable } from 'node:stream'
import type { Dispatcher } from 'undici'
import { limits } from '../../core/limits.ts'
import { bodyError, discard, readAtMost } from './bodies.ts'
import { anonymous, type Credential, revealAuthorization } from './credential.ts'
import type { Dispatchers } from './dispatchers.ts'
import type { Egress, Site, Target } from './egress.ts'
import { type Headers, headerValues, retryAfterMs, singleHeader } from './headers.ts'
import { kindOfStatus, OriginError, parseErrorBody } from './origin-error.ts'
import type { Pauses } from './pauses.ts'
import type { Token, Tokens } from './tokens.ts'

/** What is sent, wherever it is sent to. */
export interface Message {
  readonly method: 'GET' | 'HEAD' | 'POST'
  /** What it is about, and what a token must be good for; '' for the registry itself. */
  readonly repository: string
  readonly accept?: string
  readonly range?: string
  /** Is a body that may take long asked for, here or wherever this is redirected to? */
  readonly isContent?: boolean
  /** The body of a POST. */
  readonly form?: URLSearchParams
  /** On whose behalf; nobody's unless given. What is shown of it is not told here. */
  readonly credential?: Credential
}

export interface Ask extends Message {
  readonly site: Site
  readonly url: URL
  readonly credential: Credential
}

export interface Answer {
  readonly status: number
  readonly headers: Headers
  /** Read it, or `discard` it. Already read where the status is 400 or more: see `errorText`. */
  readonly body: Readable
  readonly errorText: string
  /** Who answered, for errors and logs: the URL may hold a signature. */
  readonly host: string
  /** Did another URL answer than the one that was asked? */
  readonly redirected: boolean
  /** Was it another host's, which was shown no credential of whoever asks? */
  readonly elsewhere: boolean
  /** The `WWW-Authenticate` values met on the way, verbatim. */
  readonly challenges: readonly string[]
}

/** Sends one message to one host. Any answer is an answer; no answer is an OriginError. */
export type Send = (
  site: Site,
  target: Target,
  message: Message,
  authorization: string | undefined,
  signal: AbortSignal,
) => Promise<Answer>

/** Hears of each request: the path it asked for and the status that came, or undefined where none did. */
export type OnOriginRequest = (path: string, status: number | undefined) => void

export function createSend(dispatchers: Dispatchers, onRequest: OnOriginRequest): Send {
  return async (site, target, message, authorization, signal) => {
    const { url } = target
    let status: number | undefined
    try {
      const response = await dispatchers.for(target, site, message.isContent === true).request({
        origin: url.origin,
        path: url.pathname + url.search,
        method: message.method,
        headers: requestHeaders(message, authorization),
        body: message.form?.toString() ?? null,
        signal,
      })
      status = response.statusCode
      return await toAnswer(response, url.host)
    } catch (cause) {
      signal.throwIfAborted()
      throw bodyError(cause, url.host)
    } finally {
      onRequest(url.pathname, status)
    }
  }
}

function requestHeaders({ accept, range, form }: Message, authorization: string | undefined): Record<string, string> {
  return {
    'user-agent': 'shoal',
    accept: accept ?? '*/*',
    'accept-encoding': 'identity',
    ...(range === undefined ? {} : { range }),
    ...(form === undefined ? {} : { 'content-type': 'application/x-www-form-urlencoded' }),
    ...(authorization === undefined ? {} : { authorization }),
  }
}

async function toAnswer({ statusCode, headers, body }: Dispatcher.ResponseData, host: string): Promise<Answer> {
  const answer = { status: statusCode, headers, body, host, redirected: false, elsewhere: false }
  const challenges = headerValues(headers, 'www-authenticate')
  return { ...answer, challenges, errorText: statusCode < 400 ? '' : await readErrorText(body) }
}

/** What can be had of an error's text; the status says enough without it. */
async function readErrorText(body: Readable): Promise<string> {
  try {
    const bytes = await readAtMost(body, limits.originErrorBodyMaxBytes, limits.originHeadersMs)
    return bytes === undefined ? '' : new TextDecoder().decode(bytes)
  } catch {
    return ''
  }
}

/** Asks the origin and whomever it redirects to, with the right authorization at each. */
export type Exchange = (ask: Ask, signal: AbortSignal) => Promise<Answer>

interface ExchangeComponents {
  readonly egress: Egress
  readonly send: Send
  readonly tokens: Tokens
  readonly pauses: Pauses
}

export function createExchange({ egress, send, tokens, pauses }: ExchangeComponents): Exchange {
  async function follow(ask: Ask, signal: AbortSignal): Promise<Answer> {
    let target = egress.target(ask.site, ask.url)
    let { credential } = ask
    let elsewhere = false
    for (let hops = 0; ; hops++) {
      const answer = await sendAuthorized({ ...ask, credential }, target, signal)
      if (!isRedirect(answer.status)) {
        // What answers another host's challenge would be shown to this one.
        return { ...answer, redirected: hops > 0, elsewhere, challenges: elsewhere ? [] : answer.challenges }
      }
      discard(answer.body)
      if (hops === limits.originRedirectsMax) throw new OriginError('protocol', `${answer.host} redirects without end`)
      const next = redirectUrl(answer, target.url)
      // Scheme, host and port; once dropped it never comes back, not even for the host it belongs to.
      if (next.origin !== target.url.origin) {
        credential = anonymous
        elsewhere = true
      }
      target = egress.target(ask.site, next)
    }
  }

  async function sendAuthorized(ask: Ask, target: Target, signal: AbortSignal): Promise<Answer> {
    const { site, repository, credential } = ask
    const shown = revealAuthorization(credential)
    if (shown !== undefined) return send(site, target, ask, shown, signal)
    const held = tokens.held(target, repository, credential)
    const answer = await send(site, target, ask, held?.authorization, signal)
    if (!asksForToken(answer, held)) return { ...answer, challenges: held?.challenges ?? answer.challenges }
    const challenges = answer.challenges.length > 0 ? answer.challenges : (held?.challenges ?? [])
    const token = await tokens.obtain({ site, target, repository, credential, challenges }, signal)
    if (token === undefined) return answer
    const second = await send(site, target, ask, token.authorization, signal)
    return { ...second, challenges: token.challenges }
  }

  return async (ask, signal) => {
    pauses.check(ask.site, ask.credential, [])
    const first = await follow(ask, signal)
    const answer = ask.method === 'GET' && mayHaveExpired(first) ? await follow(ask, signal) : first
    if (answer.status === 429) pauses.note(ask.site, ask.credential, answerError(answer))
    return answer
  }
}

/** Amazon ECR Public answers 400, and no challenge, to a token that has expired (aws/containers-roadmap#2835). */
function asksForToken({ status }: Answer, held: Token | undefined): boolean {
  return status === 401 || (status === 400 && held !== undefined)
}

/**
 * A signed URL may expire between the registry's answer and the storage's; the registry signs anew. Most storages say 403,
 * Google's 400 (`ExpiredToken`), OpenStack Swift 401. HEAD they refuse for other reasons.
 */
function mayHaveExpired({ redirected, status }: Answer): boolean {
  return redirected && (status === 400 || status === 401 || status === 403)
}

function isRedirect(status: number): boolean {
  return [301, 302, 303, 307, 308].includes(status)
}

function redirectUrl(answer: Answer, from: URL): URL {
  const location = singleHeader(answer.headers, 'location')
  if (location === undefined || !URL.canParse(location, from.href)) {
    throw new OriginError('protocol', `${answer.host} redirects to nowhere`)
  }
  const url = new URL(location, from)
  url.hash = ''
  return url
}

/** The error that an answer is which was not the one hoped for. */
export function answerError({ status, headers, challenges, errorText, host, elsewhere }: Answer): OriginError {
  // Who was shown no credential refuses none: a token of the caller's has not ended.
  const kind = elsewhere && status === 401 ? 'denied' : kindOfStatus(status)
  const heldBackMs = retryAfterMs(headers) ?? (kind === 'rate-limited' ? limits.originRateLimitedMs : undefined)
  return new OriginError(kind, `${host} answered ${status}`, {
    status,
    challenges,
    retryAfterMs: heldBackMs,
    elsewhere,
    body: parseErrorBody(errorText),
  })
}
