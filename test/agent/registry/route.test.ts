import { describe, expect, test } from 'vitest'
import { parseRoute } from '../../../agent/registry/route.ts'
import { ShoalError } from '../../../core/errors.ts'
import { limits } from '../../../core/limits.ts'

const digest = `sha256:${'a'.repeat(64)}`
const hub = (repository: string) => ({ origin: 'docker.io', repository })

/** Knows these origins and spells them in lower case. */
function route(url: string, defaultOrigin = 'docker.io') {
  const known = new Set(['docker.io', 'reg.io', 'reg.io:5000', 'localhost:5000'])
  return parseRoute(url, {
    defaultOrigin,
    parseOrigin(text) {
      const name = text.toLowerCase()
      if (!known.has(name)) throw new ShoalError('ORIGIN_FORBIDDEN', `${name} may not be asked`)
      return name
    },
  })
}

function refusal(url: string): string {
  try {
    return `route ${route(url).kind}`
  } catch (error) {
    if (error instanceof ShoalError) return error.code
    throw error
  }
}

describe('endpoints', () => {
  test('ping', () => {
    expect([route('/v2/'), route('/v2'), route('/v2/?ns=reg.io')]).toEqual([
      { kind: 'ping' },
      { kind: 'ping' },
      { kind: 'ping' },
    ])
  })

  test('a manifest by tag and by digest', () => {
    expect(route('/v2/library/alpine/manifests/3.20?ns=docker.io')).toEqual({
      kind: 'manifest',
      at: hub('library/alpine'),
      reference: { kind: 'tag', tag: '3.20' },
    })
    expect(route(`/v2/a/manifests/${digest}?ns=docker.io`)).toEqual({
      kind: 'manifest',
      at: hub('a'),
      reference: { kind: 'digest', digest },
    })
  })

  test('a blob', () => {
    expect(route(`/v2/a/b/blobs/${digest}?ns=reg.io`)).toEqual({
      kind: 'blob',
      at: { origin: 'reg.io', repository: 'a/b' },
      digest,
    })
  })

  test('the colon of a digest may be escaped', () => {
    expect(route(`/v2/a/blobs/sha256%3A${'a'.repeat(64)}`)).toEqual({ kind: 'blob', at: hub('a'), digest })
    expect(route(`/v2/a/blobs/sha256%3a${'a'.repeat(64)}`)).toEqual({ kind: 'blob', at: hub('a'), digest })
  })

  test('tags and referrers, with the query that is not ours', () => {
    expect(route('/v2/a/tags/list?n=10&ns=reg.io&last=x%20y')).toEqual({
      kind: 'discovery',
      at: { origin: 'reg.io', repository: 'a' },
      discovery: { kind: 'tags', endpoint: 'tags/list', query: 'n=10&last=x+y', path: '/v2/a/tags/list', ns: 'reg.io' },
    })
    expect(route(`/v2/a/referrers/${digest}?artifactType=a/b`)).toEqual({
      kind: 'discovery',
      at: hub('a'),
      discovery: {
        kind: 'referrers',
        endpoint: `referrers/${digest}`,
        query: 'artifactType=a%2Fb',
        path: `/v2/a/referrers/${digest}`,
        ns: undefined,
      },
    })
  })

  test('names made of the words of endpoints are read from the end of the path', () => {
    expect(route('/v2/manifests/blobs/manifests/tags')).toMatchObject({ at: hub('manifests/blobs') })
    expect(route('/v2/tags/list/tags/list')).toMatchObject({ at: hub('tags/list') })
  })
})

describe('which origin', () => {
  test.each([
    ['ns', '/v2/a/b/manifests/x?ns=reg.io', 'reg.io', 'a/b'],
    ['ns with a port', '/v2/a/manifests/x?ns=reg.io%3A5000', 'reg.io:5000', 'a'],
    ['ns in any case', '/v2/a/manifests/x?ns=REG.io', 'reg.io', 'a'],
    ["the path's first component, by its dot", '/v2/reg.io/a/b/manifests/x', 'reg.io', 'a/b'],
    ['by its colon', '/v2/localhost:5000/a/manifests/x', 'localhost:5000', 'a'],
    ['by its escaped colon', '/v2/reg.io%3A5000/a/manifests/x', 'reg.io:5000', 'a'],
    ['the default', '/v2/a/b/manifests/x', 'docker.io', 'a/b'],
    ['a name alone is never a host', '/v2/localhost/manifests/x', 'docker.io', 'localhost'],
    ['ns and the same prefix (BuildKit)', '/v2/reg.io/a/manifests/x?ns=reg.io', 'reg.io', 'a'],
    [
      'ns and another prefix, which is then part of the name',
      '/v2/other.io/a/manifests/x?ns=reg.io',
      'reg.io',
      'other.io/a',
    ],
  ])('%s', (_, url, origin, repository) => {
    expect(route(url)).toMatchObject({ at: { origin, repository } })
  })

  test('the default is the one configured', () => {
    expect(route('/v2/a/manifests/x', 'reg.io')).toMatchObject({ at: { origin: 'reg.io', repository: 'a' } })
  })

  test.each([
    ['/v2/a/manifests/x?ns=evil.example', 'ORIGIN_FORBIDDEN'],
    ['/v2/evil.example/a/manifests/x', 'ORIGIN_FORBIDDEN'],
    ['/v2/a/manifests/x?ns=reg.io&ns=reg.io', 'NAMESPACE_INVALID'],
    ['/v2/a/manifests/x?ns=reg.io&n%73=docker.io', 'NAMESPACE_INVALID'],
    ['/v2/a/manifests/x?ns=', 'NAMESPACE_INVALID'],
    ['/v2/a/manifests/x?ns', 'NAMESPACE_INVALID'],
    ['/v2/a/manifests/x?ns=reg.io%0d%0aHost:%20evil', 'ORIGIN_FORBIDDEN'],
    ['/v2/a/manifests/x?ns=user@reg.io', 'ORIGIN_FORBIDDEN'],
    ['/v2/a/manifests/x?ns=reg.io/a', 'ORIGIN_FORBIDDEN'],
    ['/v2/a/manifests/x?ns=reg.io.evil.com', 'ORIGIN_FORBIDDEN'],
  ])('%s', (url, code) => {
    expect(refusal(url)).toBe(code)
  })
})

describe('hostile paths', () => {
  test.each([
    '',
    '*',
    '/',
    '/v1/',
    '/v2x/',
    '//v2/',
    '/v2//',
    '/V2/',
    '/v2/a',
    '/v2/a/b',
    '/v2/_catalog',
    '/v2/a/manifests',
    '/v2/a/manifests/',
    '/v2/a/tags',
    '/v2/a/tags/lists',
    '/v2/a/blobs/uploads/',
    'http://127.0.0.1/v2/a/manifests/x',
    '/./v2/a/manifests/x',
    '/x/../v2/a/manifests/x',
    '/%76%32/a/manifests/x',
    '/v2/a/manifest%73/x',
    '/v2;/a/manifests/x',
    '/v2/a/manifests;/x',
    `/v2/${'a/'.repeat(limits.mirrorUrlMaxLength / 2)}manifests/x`,
  ])('no route: %j', (url) => {
    expect(refusal(url)).toMatch(/^(ROUTE_UNKNOWN|NAME_INVALID|REFERENCE_INVALID)$/)
  })

  test.each([
    '/v2/../manifests/x',
    '/v2/a/../../manifests/x',
    '/v2/%2e%2e/manifests/x',
    '/v2/a%2fb/manifests/x',
    '/v2/a%00/manifests/x',
    '/v2/a//b/manifests/x',
    '/v2//manifests/x',
    '/v2/manifests/x',
    '/v2/A/manifests/x',
    '/v2/a;b/manifests/x',
    '/v2/a%3bb/manifests/x',
    '/v2/a%252fb/manifests/x',
    '/v2/a\\b/manifests/x',
    '/v2/ä/manifests/x',
    '/v2/a b/manifests/x',
    '/v2/a%20b/manifests/x',
    '/v2/a#b/manifests/x',
    `/v2/${'a'.repeat(256)}/manifests/x`,
  ])('no name: %j', (url) => {
    expect(refusal(url)).toBe('NAME_INVALID')
  })

  test.each(['..', '.', '%2e%2e', 'x%00', 'x%2fy', 'x;y', 'x#y', '-x', 'x'.repeat(129), '%zz', '%'])(
    'no reference: %j',
    (text) => {
      expect(refusal(`/v2/a/manifests/${text}`)).toBe('REFERENCE_INVALID')
    },
  )

  test.each([
    'sha256:baddigeststring',
    'sha256:',
    `sha256:${'A'.repeat(64)}`,
    `sha256:${'a'.repeat(63)}`,
    `sha512:${'a'.repeat(128)}`,
    `${digest}%00`,
    `sha256:..${'a'.repeat(62)}`,
  ])('no digest: %j', (text) => {
    expect(refusal(`/v2/a/manifests/${text}`)).toBe('DIGEST_INVALID')
    expect(refusal(`/v2/a/blobs/${text}`)).toBe('DIGEST_INVALID')
    expect(refusal(`/v2/a/referrers/${text}`)).toBe('DIGEST_INVALID')
  })
})
