import { describe, expect, test } from 'vitest'
import { isRepositoryName, parseReference, referenceText } from '../../../core/oci/reference.ts'

const hex = 'a'.repeat(64)

describe('repository names', () => {
  test.each(['a', 'library/alpine', 'a.b/c_d/e__f/g-h/i--j', '0/1/2', 'blobs/manifests', 'a'.repeat(255)])(
    '%s',
    (name) => {
      expect(isRepositoryName(name)).toBe(true)
    },
  )

  test.each([
    '',
    '/',
    'a/',
    '/a',
    'a//b',
    'A',
    'a/B',
    'a b',
    'a\u0000',
    'ä',
    'a\n',
    '..',
    '../a',
    'a/../b',
    'a/./b',
    '.a',
    'a.',
    '-a',
    'a-',
    'a..b',
    'a___b',
    'a._b',
    'a-_b',
    '_a',
    'a:b',
    'a@b',
    'a%2fb',
    'a%00',
    'a;b',
    'a\\b',
    'a'.repeat(256),
  ])('not %j', (name) => {
    expect(isRepositoryName(name)).toBe(false)
  })

  test('a long name that fails only at its end is refused without backtracking for ever', () => {
    expect(isRepositoryName(`${'a-'.repeat(126)}!`)).toBe(false)
  })
})

describe('references', () => {
  test.each(['latest', 'v1.0', '_x', 'A.b-C_d', 'a'.repeat(128)])('the tag %s', (tag) => {
    expect(parseReference(tag)).toEqual({ kind: 'tag', tag })
  })

  test('a digest', () => {
    const reference = parseReference(`sha256:${hex}`)
    expect(reference).toEqual({ kind: 'digest', digest: `sha256:${hex}` })
    expect(reference === undefined ? '' : referenceText(reference)).toBe(`sha256:${hex}`)
  })

  test.each([
    '',
    '.',
    '..',
    '-a',
    '.a',
    'a b',
    'a/b',
    'a%2e',
    'a\u0000',
    'a\n',
    'a'.repeat(129),
    'ä',
    'sha256:',
    'sha256:baddigeststring',
    `sha256:${hex}0`,
    `sha256:${hex.toUpperCase()}`,
    `SHA256:${hex}`,
    `sha512:${'a'.repeat(128)}`,
    `sha256:../${'a'.repeat(61)}`,
    `sha256:${hex}\n`,
    ` sha256:${hex}`,
    `md5:${hex}`,
  ])('not %j', (text) => {
    expect(parseReference(text)).toBeUndefined()
  })
})
