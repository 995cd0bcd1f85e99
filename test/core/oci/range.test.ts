import * as fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { limits } from '../../../core/limits.ts'
import { parseRange, totalBytes } from '../../../core/oci/range.ts'

function parts(...ranges: readonly (readonly [number, number])[]) {
  return { kind: 'parts', ranges: ranges.map(([start, end]) => ({ start, end })) }
}
const whole = { kind: 'whole' }
const unsatisfiable = { kind: 'unsatisfiable' }

describe('the cases of the OCI conformance suite, of a blob of 2048 bytes', () => {
  test.each([
    ['bytes=500-1499', parts([500, 1500])],
    ['bytes=500-', parts([500, 2048])],
    ['bytes=-500', parts([1548, 2048])],
    ['bytes=2000-5000', parts([2000, 2048])],
    ['bytes=500-0', unsatisfiable],
    ['bytes=5000-10000', unsatisfiable],
  ])('%s', (header, expected) => {
    expect(parseRange(header, 2048)).toEqual(expected)
  })
})

describe('ranges of a content of 100 bytes', () => {
  test.each([
    ['bytes=0-', parts([0, 100])],
    ['bytes=0-0', parts([0, 1])],
    ['bytes=99-99', parts([99, 100])],
    ['bytes=100-', unsatisfiable],
    ['bytes=-1', parts([99, 100])],
    ['bytes=-1000', parts([0, 100])],
    ['bytes=-0', unsatisfiable],
    ['bytes=0-1,50-59', parts([0, 2], [50, 60])],
    ['bytes=50-59,0-1', parts([50, 60], [0, 2])],
    ['bytes=0-1 , 5-6', parts([0, 2], [5, 7])],
    ['bytes=,0-1,,', parts([0, 2])],
    ['bytes=0-1,200-', parts([0, 2])],
    ['bytes=200-,300-', unsatisfiable],
    ['bytes=0-1,5-4', unsatisfiable],
    ['BYTES=0-1', parts([0, 2])],
    ['bytes=0-99999999999999999999999999', parts([0, 100])],
    ['bytes=99999999999999999999999999-', unsatisfiable],
  ])('%s', (header, expected) => {
    expect(parseRange(header, 100)).toEqual(expected)
  })

  test.each(['', 'bytes', 'bytes=', 'bytes=,', 'bytes=-', 'bytes=a-b', 'bytes=0-1;5-6', 'bytes=0x1-', 'bytes=--1'])(
    'bad syntax is ignored: %j',
    (header) => {
      expect(parseRange(header, 100)).toEqual(whole)
    },
  )

  test.each(['items=0-1', 'bytes=1.5-2', 'bytes=+1-2', 'bytes=0-1\u0000', 'bytes =0-1', 'bytes=0 -1'])(
    'another unit or odd numbers are ignored: %j',
    (header) => {
      expect(parseRange(header, 100)).toEqual(whole)
    },
  )
})

test('no header asks for the whole', () => {
  expect(parseRange(undefined, 100)).toEqual(whole)
})

test('an empty content is answered whole, whatever range is asked', () => {
  expect(['bytes=0-', 'bytes=-1', 'bytes=5-1'].map((header) => parseRange(header, 0))).toEqual([whole, whole, whole])
})

test('ranges that ask for more bytes than the content has get it whole, once', () => {
  expect(parseRange('bytes=0-,0-,0-', 100)).toEqual(whole)
})

test('as many parts as the limit are served, one more gets the whole', () => {
  const specs = Array.from({ length: limits.rangePartsMax }, (_, index) => `${index}-${index}`)
  expect(parseRange(`bytes=${specs.join(',')}`, 1000)).toEqual(
    parts(...specs.map((_, index) => [index, index + 1] as const)),
  )
  expect(parseRange(`bytes=${specs.join(',')},999-`, 1000)).toEqual(whole)
})

test('any set of ranges selects what a byte-by-byte reading of RFC 9110 selects', () => {
  const spec = fc.oneof(
    fc.tuple(fc.nat(60), fc.nat(60)).map(([first, last]) => ({ text: `${first}-${last}`, first, last })),
    fc.nat(60).map((first) => ({ text: `${first}-`, first, last: Infinity })),
    fc.nat(60).map((suffix) => ({ text: `-${suffix}`, suffix })),
  )
  fc.assert(
    fc.property(fc.array(spec, { minLength: 1, maxLength: 5 }), fc.integer({ min: 1, max: 50 }), (specs, size) => {
      const all = Array.from({ length: size }, (_, index) => index)
      const selected = specs
        .map((each) =>
          all.filter((at) => ('suffix' in each ? at >= size - each.suffix : at >= each.first && at <= each.last)),
        )
        .filter((bytes) => bytes.length > 0)
      const inverted = specs.some((each) => 'first' in each && each.last < each.first)
      const selectedParts = parts(...selected.map((bytes) => [bytes[0] ?? -1, (bytes.at(-1) ?? -1) + 1] as const))
      const satisfied = selected.flat().length > size ? whole : selectedParts
      const expected = inverted || selected.length === 0 ? unsatisfiable : satisfied
      expect(parseRange(`bytes=${specs.map(({ text }) => text).join(',')}`, size)).toEqual(expected)
    }),
    { numRuns: 500 },
  )
})

test('whatever the header says, no range is empty, leaves the content, or adds up to more than it', () => {
  const header = fc
    .string({ unit: fc.constantFrom('b', 'y', '=', '-', ',', '0', '1', '9', ' ') })
    .map((text) => `bytes=${text}`)
  fc.assert(
    fc.property(fc.oneof(header, fc.string()), fc.nat(1000), (text, size) => {
      const result = parseRange(text, size)
      if (result.kind !== 'parts') return
      for (const { start, end } of result.ranges) {
        expect(start).toBeGreaterThanOrEqual(0)
        expect(end).toBeGreaterThan(start)
        expect(end).toBeLessThanOrEqual(size)
      }
      expect(totalBytes(result.ranges)).toBeLessThanOrEqual(size)
    }),
    { numRuns: 500 },
  )
})
