/** Response headers, read strictly: what does not follow its grammar counts as absent. */
import { limits } from '../../core/limits.ts'
import { second } from '../../core/units.ts'

export type Headers = Readonly<Record<string, string | string[] | undefined>>

/** The value of a header that may stand only once. */
export function singleHeader(headers: Headers, name: string): string | undefined {
  const value = headers[name]
  return typeof value === 'string' ? value : undefined
}

export function headerValues(headers: Headers, name: string): readonly string[] {
  const value = headers[name]
  return value === undefined ? [] : [value].flat()
}

export function contentLength(headers: Headers): number | undefined {
  return parseCount(singleHeader(headers, 'content-length'))
}

function parseCount(text: string | undefined): number | undefined {
  const count = text !== undefined && /^[0-9]{1,16}$/.test(text) ? Number(text) : undefined
  return Number.isSafeInteger(count) ? count : undefined
}

export interface ContentRange {
  readonly start: number
  /** Exclusive, as everywhere in Shoal; the header's is inclusive. */
  readonly end: number
  readonly total: number
}

/** `bytes 0-99/1000`. */
export function contentRange(headers: Headers): ContentRange | undefined {
  const match = /^bytes ([0-9]+)-([0-9]+)\/([0-9]+)$/i.exec(singleHeader(headers, 'content-range') ?? '')
  const [start, last, total] = (match ?? []).slice(1).map(parseCount)
  if (start === undefined || last === undefined || total === undefined) return undefined
  return { start, end: last + 1, total }
}

/** The size that a 416 tells: `bytes *` + `/1000`. */
export function unsatisfiedSize(headers: Headers): number | undefined {
  const match = /^bytes \*\/([0-9]+)$/i.exec(singleHeader(headers, 'content-range') ?? '')
  return parseCount(match?.[1])
}

const typeGrammar = /^[a-z0-9][a-z0-9!#$&^_.+-]{0,126}\/[a-z0-9][a-z0-9!#$&^_.+-]{0,126}$/i

/** `Content-Type` without parameters. */
export function mediaType(headers: Headers): string | undefined {
  const type = singleHeader(headers, 'content-type')?.split(';')[0]?.trim()
  return type !== undefined && typeGrammar.test(type) ? type : undefined
}

export function isEncoded(headers: Headers): boolean {
  return headerValues(headers, 'content-encoding').some((encoding) => encoding.trim().toLowerCase() !== 'identity')
}

/**
 * Milliseconds that `Retry-After` asks to wait, at most `limits.originRetryAfterMaxMs`. A date is read against the
 * answer's own `Date`, so that it does not matter whose clock is wrong.
 */
export function retryAfterMs(headers: Headers): number | undefined {
  const text = singleHeader(headers, 'retry-after')?.trim()
  if (text === undefined) return undefined
  const seconds = parseCount(text)
  const waitMs = seconds === undefined ? msBetween(singleHeader(headers, 'date'), text) : seconds * second
  return waitMs === undefined ? undefined : Math.min(Math.max(waitMs, 0), limits.originRetryAfterMaxMs)
}

/** RFC 9110, 5.6.7, "IMF-fixdate": the only form that senders may use. */
const dateGrammar = /^[A-Z][a-z]{2}, [0-9]{2} [A-Z][a-z]{2} [0-9]{4} [0-9]{2}:[0-9]{2}:[0-9]{2} GMT$/

function msBetween(from: string | undefined, to: string): number | undefined {
  if (!dateGrammar.test(to)) return undefined
  const ms = Date.parse(to) - (from !== undefined && dateGrammar.test(from) ? Date.parse(from) : Date.now())
  return Number.isNaN(ms) ? undefined : ms
}
