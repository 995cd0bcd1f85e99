/** Response bodies, read to exactly the length they should have and no further. */
import type { Readable } from 'node:stream'
import { limits } from '../../core/limits.ts'
import { isOriginError, OriginError } from './origin-error.ts'

class BodyTooSlow extends Error {}

/** The whole body, or undefined where it is longer than `maxBytes`. Rejects when it takes longer than `timeoutMs`. */
export async function readAtMost(body: Readable, maxBytes: number, timeoutMs: number): Promise<Buffer | undefined> {
  const timer = setTimeout(() => body.destroy(new BodyTooSlow('the body takes too long')), timeoutMs)
  try {
    const parts: Buffer[] = []
    let bytes = 0
    for await (const part of body as AsyncIterable<Buffer>) {
      bytes += part.length
      if (bytes > maxBytes) return undefined
      parts.push(part)
    }
    return Buffer.concat(parts)
  } finally {
    clearTimeout(timer)
  }
}

/** Lets go of a body nobody wants: a short one is read, so that its connection can be used again. */
export function discard(body: Readable): void {
  readAtMost(body, limits.originErrorBodyMaxBytes, limits.originHeadersMs).catch(() => undefined)
}

/** Yields exactly `length` bytes of `body`; a byte more or less is an error, and none beyond is ever yielded. */
export async function* readExactly(
  body: Readable,
  length: number,
  host: string,
  signal: AbortSignal,
): AsyncGenerator<Uint8Array, void, void> {
  let left = length
  try {
    for await (const part of body as AsyncIterable<Buffer>) {
      if (part.length > left) {
        if (left > 0) yield part.subarray(0, left)
        throw new OriginError('protocol', `${host} sent more bytes than it was asked for`)
      }
      left -= part.length
      yield part
    }
  } catch (cause) {
    signal.throwIfAborted()
    throw bodyError(cause, host)
  }
  if (left > 0) throw new OriginError('protocol', `${host} ended ${left} bytes early`)
}

/** Failures of the network and of a server that dies; everything else is a server that speaks wrongly. */
const unavailableCodes = new Set([
  'EAI_AGAIN',
  'ECONNABORTED',
  'ECONNREFUSED',
  'ECONNRESET',
  'EHOSTDOWN',
  'EHOSTUNREACH',
  'ENETDOWN',
  'ENETUNREACH',
  'ENOTFOUND',
  'EPIPE',
  'ETIMEDOUT',
  'UND_ERR_ABORTED',
  'UND_ERR_BODY_TIMEOUT',
  'UND_ERR_CLOSED',
  'UND_ERR_CONNECT_TIMEOUT',
  'UND_ERR_DESTROYED',
  'UND_ERR_HEADERS_TIMEOUT',
  'UND_ERR_PRX_CONN',
  'UND_ERR_SOCKET',
])

/** Of these, those of who got no connection. */
const connectCodes = new Set([
  'EAI_AGAIN',
  'ECONNREFUSED',
  'EHOSTDOWN',
  'EHOSTUNREACH',
  'ENETDOWN',
  'ENETUNREACH',
  'ENOTFOUND',
  'UND_ERR_CONNECT_TIMEOUT',
  'UND_ERR_PRX_CONN',
])

/** There was no connection over which anything was asked. */
export function isConnectFailure(error: unknown): boolean {
  return isOriginError(error, 'unavailable') && connectCodes.has(codeOf(error.cause))
}

/** What a failed connection or a broken body means. */
export function bodyError(cause: unknown, host: string): OriginError {
  if (isOriginError(cause)) return cause
  const code = codeOf(cause)
  if (cause instanceof BodyTooSlow || unavailableCodes.has(code)) {
    return new OriginError('unavailable', `${host} can not be reached or broke off (${code})`, { cause })
  }
  return new OriginError('protocol', `${host} does not speak as it should (${code})`, { cause })
}

function codeOf(error: unknown): string {
  return error instanceof Error && 'code' in error && typeof error.code === 'string' ? error.code : 'no code'
}
