/** Short answers: errors in the OCI form, and what the origin said, made safe for containerd. */
import { ShoalError } from '../../core/errors.ts'
import { ociErrorBody } from '../../core/oci/errors.ts'
import { second } from '../../core/units.ts'
import { OriginError } from '../upstream/origin-error.ts'

export interface Answer {
  readonly status: number
  readonly headers: Readonly<Record<string, string | number | readonly string[]>>
  readonly body: string | Uint8Array
}

/** What the client hears of an error that came before any body byte. */
export function answerToError(error: unknown): Answer {
  if (error instanceof OriginError) return answerToOriginError(error)
  if (error instanceof ShoalError) return answerToShoalError(error)
  return answerToShoalError(new ShoalError('INTERNAL_FAULT', 'The agent failed', { cause: error }))
}

export function jsonAnswer(status: number, value: unknown): Answer {
  return { status, headers: { 'content-type': 'application/json' }, body: JSON.stringify(value) }
}

function answerToShoalError(error: ShoalError): Answer {
  return jsonAnswer(error.spec.status, ociErrorBody(error.spec.oci, error.message))
}

/** The origin's own words where it had some: its status, its challenges (so that the caller's secret can answer them), its body. */
function answerToOriginError(error: OriginError): Answer {
  const { status, headers, body } = answerToShoalError(error)
  const challenges = error.challenges.length === 0 ? {} : { 'www-authenticate': error.challenges }
  const wait = error.retryAfterMs === undefined ? {} : { 'retry-after': String(Math.ceil(error.retryAfterMs / second)) }
  return {
    status: relayedStatus(error.status ?? status),
    headers: { ...headers, ...challenges, ...wait },
    body: error.body === undefined ? body : JSON.stringify(error.body),
  }
}

/**
 * containerd re-sends 408 and 429 five times at once, and fails the pull on a redirect that it can not follow; on any
 * other error it goes on at the origin (facts/protocols.md §0, rule 1). A success that is an error to us is the origin's fault.
 */
function relayedStatus(status: number): number {
  if (status === 408 || status === 429) return 503
  return status >= 400 && status <= 599 ? status : 502
}
