/** How a request to an origin can fail, in words that both the mirror and the swarm understand. */
import { z } from 'zod'
import { type ErrorCode, ShoalError } from '../../core/errors.ts'
import type { OriginFailure } from '../../core/swarm/events.ts'
import { limits } from '../../core/limits.ts'

export type OriginErrorKind =
  /** 401. `challenges` are what the caller must answer. */
  | 'unauthorized'
  /** 403, and what registries say by policy: 412 (Harbor), 451. */
  | 'denied'
  | 'not-found'
  /** 429, with the time to hold back. */
  | 'rate-limited'
  /** No connection, no answer in time, or 5xx: the origin is down as seen from here. */
  | 'unavailable'
  /** An answer that can't be what was asked for: wrong sizes, broken HTTP, unproven TLS, too much. */
  | 'protocol'
  /** The egress policy forbids the host or its address. */
  | 'forbidden-target'

const codes = {
  unauthorized: 'ORIGIN_UNAUTHORIZED',
  denied: 'ORIGIN_DENIED',
  'not-found': 'ORIGIN_NOT_FOUND',
  'rate-limited': 'ORIGIN_RATE_LIMITED',
  unavailable: 'ORIGIN_UNAVAILABLE',
  protocol: 'ORIGIN_PROTOCOL',
  'forbidden-target': 'ORIGIN_FORBIDDEN',
} as const satisfies Record<OriginErrorKind, ErrorCode>

const errorBody = z.object({
  errors: z
    .array(z.object({ code: z.string(), message: z.string().default(''), detail: z.unknown().optional() }))
    .max(100),
})

/** An OCI error body as the origin sent it; its codes may go beyond the specification's. */
export type OriginErrorBody = z.output<typeof errorBody>

export interface OriginErrorDetails {
  /** The origin's HTTP status, where there was an answer. */
  readonly status?: number | undefined
  /** `WWW-Authenticate` values, verbatim, that the origin gave on the way to this answer. */
  readonly challenges?: readonly string[] | undefined
  readonly retryAfterMs?: number | undefined
  /** Known from an earlier try, without asking anew: another one now would end the same way. */
  readonly isUnasked?: boolean | undefined
  /** Said by another host, to which the origin had sent the request. */
  readonly elsewhere?: boolean | undefined
  readonly body?: OriginErrorBody | undefined
  readonly cause?: unknown
}

/** `detail` names the host and what it did; never a URL, since redirects carry signatures in theirs. */
export class OriginError extends ShoalError {
  readonly kind: OriginErrorKind
  readonly status: number | undefined
  readonly challenges: readonly string[]
  readonly retryAfterMs: number | undefined
  readonly isUnasked: boolean
  readonly elsewhere: boolean
  readonly body: OriginErrorBody | undefined

  constructor(kind: OriginErrorKind, detail: string, details: OriginErrorDetails = {}) {
    super(codes[kind], detail, { cause: details.cause })
    this.name = 'OriginError'
    this.kind = kind
    this.status = details.status
    this.challenges = details.challenges ?? []
    this.retryAfterMs = details.retryAfterMs
    this.isUnasked = details.isUnasked ?? false
    this.elsewhere = details.elsewhere ?? false
    this.body = details.body
  }
}

export function isOriginError(error: unknown, ...kinds: readonly OriginErrorKind[]): error is OriginError {
  return error instanceof OriginError && (kinds.length === 0 || kinds.includes(error.kind))
}

/**
 * Is it a no to this content only, beside which others of the repository may be read? By 412 (Harbor) and 451 registries withhold one
 * image from everybody; and whom a registry sends elsewhere it has let in.
 */
export function isOfContent(error: unknown): boolean {
  if (isOriginError(error, 'denied')) return error.elsewhere || error.status === 412 || error.status === 451
  return isOriginError(error, 'not-found')
}

/** Is the origin down, as this node itself sees it: no connection, no answer in time, or 5xx? Never 408 or 429. */
export function isOutage(error: unknown): boolean {
  return isOriginError(error, 'unavailable') && (error.status === undefined || error.status >= 500)
}

/** The kind of an HTTP status that is not what was asked for. */
export function kindOfStatus(status: number): OriginErrorKind {
  if (status === 401) return 'unauthorized'
  if (status === 403 || status === 412 || status === 451) return 'denied'
  if (status === 404 || status === 410) return 'not-found'
  if (status === 429) return 'rate-limited'
  return (status >= 500 && status !== 501) || status === 408 ? 'unavailable' : 'protocol'
}

/** The error body in `text`, or undefined where it is none. */
export function parseErrorBody(text: string): OriginErrorBody | undefined {
  try {
    return errorBody.safeParse(JSON.parse(text)).data
  } catch {
    return undefined
  }
}

/** What the swarm makes of it. */
export function toOriginFailure(error: OriginError): OriginFailure {
  switch (error.kind) {
    case 'unauthorized':
    case 'denied':
    case 'not-found':
    case 'forbidden-target':
      return { kind: 'refused' }
    case 'rate-limited':
      return { kind: 'rate-limited', retryAfterMs: error.retryAfterMs ?? limits.originRateLimitedMs }
    case 'unavailable':
      return error.retryAfterMs === undefined
        ? { kind: 'unavailable' }
        : { kind: 'unavailable', retryAfterMs: error.retryAfterMs }
    case 'protocol':
      return { kind: 'protocol' }
  }
}
