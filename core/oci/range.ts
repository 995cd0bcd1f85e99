/** The Range header of RFC 9110, section 14, for one content of known size. */
import { limits } from '../limits.ts'

/** Bytes `[start, end)`. */
export interface ByteRange {
  readonly start: number
  readonly end: number
}

export type RangeRequest =
  /** No Range header, or one that a server may ignore: answer 200 with everything. */
  | { readonly kind: 'whole' }
  /** Answer 206; at least one range, each within the content and not empty. */
  | { readonly kind: 'parts'; readonly ranges: readonly ByteRange[] }
  /** Answer 416. */
  | { readonly kind: 'unsatisfiable' }

const whole: RangeRequest = { kind: 'whole' }
const unsatisfiable: RangeRequest = { kind: 'unsatisfiable' }

/**
 * What `header` asks of a content of `size` bytes.
 * - Another unit or bad syntax is ignored (14.2 allows it); a range that ends before it starts is refused (14.2 allows it,
 *   the OCI conformance suite asks for it).
 * - Too many parts, or more bytes than the content has, is an attack or a mistake: it gets the whole content once (14.2,
 *   17.15), since a lazy snapshotter fails a file read on 416 but takes a 200 (stargz, fs/remote/resolver.go).
 * - An empty content has no range to give; it is answered 200, as Go's net/http does.
 */
export function parseRange(header: string | undefined, size: number): RangeRequest {
  const specs = header === undefined || size === 0 ? undefined : rangeSpecs(header)
  if (specs === undefined) return whole
  const ranges: ByteRange[] = []
  for (const spec of specs) {
    const range = resolveSpec(spec, size)
    if (range === 'inverted') return unsatisfiable
    if (range !== 'beyond') ranges.push(range)
  }
  if (ranges.length === 0) return unsatisfiable
  return totalBytes(ranges) > size ? whole : { kind: 'parts', ranges }
}

/** Sum of the lengths of `ranges`. */
export function totalBytes(ranges: readonly ByteRange[]): number {
  return ranges.reduce((sum, { start, end }) => sum + end - start, 0)
}

interface RangeSpec {
  /** Undefined for a suffix: the last `last` bytes. */
  readonly first: number | undefined
  /** Undefined for an open end. */
  readonly last: number | undefined
}

/** The parts of a well-formed `bytes=` header, or undefined where it is to be ignored. */
function rangeSpecs(header: string): readonly RangeSpec[] | undefined {
  const set = /^bytes=(.*)$/i.exec(header)?.[1]
  // RFC 9110, 5.6.1: a recipient must accept empty list elements.
  const parts = set?.split(',', limits.rangePartsMax + 1).filter((part) => part.trim() !== '')
  if (parts === undefined || parts.length === 0 || parts.length > limits.rangePartsMax) return undefined
  const specs = parts.map(parseSpec)
  return specs.every((spec) => spec !== undefined) ? specs : undefined
}

function parseSpec(part: string): RangeSpec | undefined {
  const match = /^[ \t]*(\d*)-(\d*)[ \t]*$/.exec(part)
  if (match === null) return undefined
  const first = numberOf(match[1])
  const last = numberOf(match[2])
  return first === undefined && last === undefined ? undefined : { first, last }
}

/** Numbers beyond 2^53 lose digits, but stay beyond the size of any content. */
function numberOf(digits: string | undefined): number | undefined {
  return digits === undefined || digits === '' ? undefined : Number(digits)
}

function resolveSpec({ first, last }: RangeSpec, size: number): ByteRange | 'inverted' | 'beyond' {
  if (first === undefined) return suffix(last ?? 0, size)
  if (last !== undefined && last < first) return 'inverted'
  if (first >= size) return 'beyond'
  return { start: first, end: last === undefined ? size : Math.min(last + 1, size) }
}

function suffix(length: number, size: number): ByteRange | 'beyond' {
  return length === 0 ? 'beyond' : { start: Math.max(0, size - length), end: size }
}
