import * as fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { parseChallenges } from '../../../agent/upstream/challenges.ts'
import { limits } from '../../../core/limits.ts'

/** As plain data, to compare. */
function parsed(...fields: readonly string[]) {
  return parseChallenges(fields).map(({ scheme, token68, parameters }) => ({
    scheme,
    ...(token68 === undefined ? {} : { token68 }),
    ...Object.fromEntries(parameters),
  }))
}

describe('what registries send', () => {
  test.each([
    [
      'Bearer realm="https://auth.docker.io/token",service="registry.docker.io",scope="repository:library/x:pull"',
      [
        {
          scheme: 'bearer',
          realm: 'https://auth.docker.io/token',
          service: 'registry.docker.io',
          scope: 'repository:library/x:pull',
        },
      ],
    ],
    ['Basic realm="Registry Realm"', [{ scheme: 'basic', realm: 'Registry Realm' }]],
    [
      'Bearer realm="https://x/token", error="invalid_token"',
      [{ scheme: 'bearer', realm: 'https://x/token', error: 'invalid_token' }],
    ],
    [
      'Basic realm="a, b", Bearer realm="https://quay.io/v2/auth",service="quay.io"',
      [
        { scheme: 'basic', realm: 'a, b' },
        { scheme: 'bearer', realm: 'https://quay.io/v2/auth', service: 'quay.io' },
      ],
    ],
    ['Negotiate', [{ scheme: 'negotiate' }]],
    [
      'Negotiate abcd+/==, BASIC Realm=x',
      [
        { scheme: 'negotiate', token68: 'abcd+/==' },
        { scheme: 'basic', realm: 'x' },
      ],
    ],
    ['Digest a=b', [{ scheme: 'digest', a: 'b' }]],
    ['Foo a=', [{ scheme: 'foo', token68: 'a=' }]],
    [', ,Basic  realm = "x" , , charset=UTF-8 ,', [{ scheme: 'basic', realm: 'x', charset: 'UTF-8' }]],
    ['Basic realm="say \\"hi\\" \\\\"', [{ scheme: 'basic', realm: 'say "hi" \\' }]],
    ['', []],
  ])('%s', (field, challenges) => {
    expect(parsed(field)).toEqual(challenges)
  })

  test('several fields, the malformed ones left out', () => {
    expect(parsed('Basic realm="a"', 'Bearer realm="unclosed', 'Bearer realm=b')).toEqual([
      { scheme: 'basic', realm: 'a' },
      { scheme: 'bearer', realm: 'b' },
    ])
  })
})

describe('what follows no grammar says nothing', () => {
  test.each([
    'realm="x"',
    'Basic realm="x" charset="y"',
    'Basic realm="x',
    'Basic realm="x"y',
    'Basic realm=',
    'Basic realm="a",realm="b"',
    'Basic realm="a",REALM="b"',
    'Basic realm=a b',
    'Negotiate abc=, x=y',
    'Basic "x"',
    'Bas\u00efc realm=x',
    'Basic realm="x\r\nSet-Cookie: y"',
    'Basic\trealm="x"',
    '=x',
    `Basic realm="${'x'.repeat(limits.challengeMaxLength)}"`,
  ])('%j', (field) => {
    // `Foo a=` alone is a token68, so a lone trailing `=` is no error of its own.
    expect(parsed(field)).toEqual(field === 'Basic realm=' ? [{ scheme: 'basic', token68: 'realm=' }] : [])
  })
})

const token = fc.stringMatching(/^[!#$%&'*+.^_`|~0-9A-Za-z-]{1,12}$/)
const quotable = fc.stringMatching(/^[\t -~]{0,20}$/)
const names = fc.uniqueArray(token, { maxLength: 5, selector: (name) => name.toLowerCase() })

test('what is written by the grammar is read back', () => {
  const challenge = fc.record({ scheme: token, names, values: fc.array(quotable, { minLength: 5, maxLength: 5 }) })
  fc.assert(
    fc.property(fc.array(challenge, { maxLength: 4 }), (challenges) => {
      const expected = challenges.map(({ scheme, names: keys, values }) => ({
        scheme: scheme.toLowerCase(),
        parameters: new Map(keys.map((name, index) => [name.toLowerCase(), values[index] ?? ''])),
      }))
      const text = challenges.map(({ scheme, names: keys, values }) => {
        const parameters = keys.map((name, index) => `${name}="${(values[index] ?? '').replaceAll(/["\\]/g, '\\$&')}"`)
        return `${scheme} ${parameters.join(', ')}`
      })
      expect(parseChallenges([text.join(', ')])).toEqual(expected)
    }),
  )
})

test('no text makes it throw, or take long', () => {
  const noise = fc.string({
    unit: fc.constantFrom('"', '\\', '=', ',', ' ', '\t', 'a', 'Basic ', 'realm', '\0'),
    maxLength: 300,
  })
  fc.assert(
    fc.property(noise, (text) => {
      for (const { scheme } of parseChallenges([text])) expect(scheme).toMatch(/^[a-z]+$/)
    }),
  )
  expect(parsed('Basic ' + 'a=a,'.repeat(limits.challengeMaxLength / 4 - 2))).toEqual([])
  expect(parsed('"'.repeat(limits.challengeMaxLength))).toEqual([])
})
