import * as fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { limits } from '../../../core/limits.ts'
import { parseStrictJson } from '../../../core/oci/strict-json.ts'

function parse(text: string): unknown {
  return parseStrictJson(new TextEncoder().encode(text))
}

test('JSON without repeated keys means what it means to JSON.parse', () => {
  fc.assert(
    fc.property(fc.json(), (text) => {
      expect(parse(text)).toEqual(JSON.parse(text))
    }),
  )
})

test('any object that repeats one of its keys, at any place and depth, is refused', () => {
  const key = fc.string({ unit: 'binary' })
  fc.assert(
    fc.property(fc.dictionary(key, fc.jsonValue()), key, fc.nat(5), (others, repeated, depth) => {
      const members = Object.entries(others).map(([name, value]) => `${JSON.stringify(name)}:${JSON.stringify(value)}`)
      const twice = `${JSON.stringify(repeated)}:1`
      const object = `{${[twice, ...members, twice].join(',')}}`
      const deep = `${'[{"a":'.repeat(depth)}${object}${'}]'.repeat(depth)}`
      expect(() => parse(deep)).toThrow('stands twice')
    }),
  )
})

test.each(['{"a":1,"\\u0061":2}', '{"a":{},"b":[{"c":1,"c":2}]}', '{"__proto__":1,"__proto__":2}', '{"":1,"":2}'])(
  'refused: %s',
  (text) => {
    expect(() => parse(text)).toThrow('stands twice')
  },
)

test.each([
  '{"a":"a","b":{"a":1},"c":[{"a":1},{"a":2}]}',
  '{"a":["a","a"],"b":"{\\"a\\":1,\\"a\\":2}"}',
  '["a","a"]',
  '"a"',
])('the same text as a value, or in another object, is no repetition: %s', (text) => {
  expect(parse(text)).toEqual(JSON.parse(text))
})

describe('what is no JSON', () => {
  test.each(['', '{', '{"a":1,}', 'null null', "{'a':1}", '\uFEFF{}', 'NaN'])('%j', (text) => {
    expect(() => parse(text)).toThrow(SyntaxError)
  })

  test('bytes that are no UTF-8', () => {
    expect(() => parseStrictJson(Uint8Array.of(0x22, 0xff, 0x22))).toThrow(TypeError)
  })
})

function nested(depth: number): string {
  return '['.repeat(depth) + ']'.repeat(depth)
}

test('nesting is followed as deep as the limit and no deeper', () => {
  expect(parse(nested(limits.jsonDepthMax))).toBeDefined()
  expect(() => parse(nested(limits.jsonDepthMax + 1))).toThrow('nested deeper')
})
