import { describe, expect, test } from 'vitest'
import { createEgress, type EgressOptions, guardedLookup, type Reach } from '../../../agent/upstream/egress.ts'
import { isOriginError } from '../../../agent/upstream/origin-error.ts'

/** What the policy says to `ask`: the answer, or `refused`. */
function verdict<Answer>(ask: () => Answer): Answer | 'refused' {
  try {
    return ask()
  } catch (error) {
    if (!isOriginError(error, 'forbidden-target')) throw error
    return 'refused'
  }
}

function reachOf(options: EgressOptions, origin: string, url?: string): Reach | 'refused' {
  const egress = createEgress(options)
  return verdict(() => {
    const site = egress.site(origin)
    return egress.target(site, url === undefined ? site.baseUrl : new URL(url)).reach
  })
}

const corp = {
  originPatterns: ['*.corp.example.com', 'registry-*.lab.example:5000'],
  origins: [{ host: '10.0.0.7:5000' }],
}

describe('origins', () => {
  test.each<[string, EgressOptions, Reach | 'refused']>([
    ['registry.example.com', {}, 'public'],
    ['registry', {}, 'public'],
    ['localhost:5000', {}, 'public'],
    ['localhost:5000', { origins: [{ host: 'LOCALHOST:5000' }] }, 'loopback'],
    ['localhost:5001', { origins: [{ host: 'localhost:5000' }] }, 'public'],
    ['registry.example.com', { unlistedOrigins: 'refused' }, 'refused'],
    ['registry.example.com', { unlistedOrigins: 'refused', origins: [{ host: 'registry.example.com' }] }, 'loopback'],
    [
      'registry.example.com.',
      { unlistedOrigins: 'refused', origins: [{ host: 'registry.example.com:443' }] },
      'loopback',
    ],
    ['registry.example.com', { origins: [{ host: 'registry.example.com', private: false }] }, 'public'],
    [
      'registry.example.com.evil.com',
      { unlistedOrigins: 'refused', origins: [{ host: 'registry.example.com' }] },
      'refused',
    ],
    ['notregistry.example.com', { unlistedOrigins: 'refused', origins: [{ host: 'registry.example.com' }] }, 'refused'],
    [
      'registry.example.com:5000',
      { unlistedOrigins: 'refused', origins: [{ host: 'registry.example.com' }] },
      'refused',
    ],
    ['a.corp.example.com', corp, 'private'],
    ['A.Corp.Example.Com.', corp, 'private'],
    ['corp.example.com', corp, 'public'],
    ['a.b.corp.example.com', corp, 'public'],
    ['a.corp.example.com.evil.com', corp, 'public'],
    ['acorp.example.com', corp, 'public'],
    ['a.corp.example.com:5000', corp, 'public'],
    ['registry-7.lab.example:5000', corp, 'private'],
    ['registry-7.lab.example', corp, 'public'],
    ['10.0.0.7:5000', corp, 'loopback'],
    ['10.0.0.7', corp, 'refused'],
    ['93.184.216.34', {}, 'refused'],
    ['93.184.216.34', { originPatterns: ['*.*.*.*'] }, 'refused'],
    ['127.0.0.1:5000', {}, 'refused'],
    ['0x7f000001:5000', { origins: [{ host: '127.0.0.1:5000' }] }, 'loopback'],
    ['127.0.0.1:5000', { origins: [{ host: '127.0.0.1:5000', private: false }] }, 'refused'],
    ['[::1]:5000', { origins: [{ host: '[::1]:5000' }] }, 'loopback'],
    ['169.254.169.254', {}, 'refused'],
    ['169.254.169.254', { origins: [{ host: '169.254.169.254' }] }, 'refused'],
    ['[fd00:ec2::254]', { origins: [{ host: '[fd00:ec2::254]' }] }, 'refused'],
    ['user@registry.example.com', {}, 'refused'],
  ])('%s under %j: %s', (origin, options, expected) => {
    expect(reachOf(options, origin)).toBe(expected)
  })

  test('an origin in the options that is none is a mistake of the operator', () => {
    expect(() => createEgress({ origins: [{ host: 'http://registry.example.com' }] })).toThrow(RangeError)
  })

  test('where an API is', () => {
    const egress = createEgress({
      origins: [
        { host: 'plain.example:5000', plainHttp: true },
        { host: 'docker.io', baseUrl: 'https://hub.corp.example.com:8443/v2/hub' },
      ],
    })
    expect(egress.site('plain.example:5000').baseUrl.href).toBe('http://plain.example:5000/')
    expect(egress.site('index.docker.io')).toMatchObject({
      origin: 'docker.io',
      baseUrl: new URL('https://hub.corp.example.com:8443/v2/hub'),
    })
    expect(createEgress({}).site('docker.io').baseUrl.href).toBe('https://registry-1.docker.io/')
  })
})

describe('redirects', () => {
  const local = { origins: [{ host: '127.0.0.1:5000', plainHttp: true }] }
  const both = { ...corp, origins: [...local.origins, { host: 'registry.lab.example' }] }
  test.each<[string, EgressOptions, string, Reach | 'refused']>([
    ['registry.example.com', {}, 'https://cdn.example.net/blob?signature=x', 'public'],
    ['a.corp.example.com', corp, 'https://storage.example.net:9000/blob', 'private'],
    ['registry.example.com', corp, 'https://a.corp.example.com/blob', 'public'],
    ['registry.lab.example', both, 'https://a.corp.example.com/blob', 'private'],
    ['registry.example.com', {}, 'http://registry.example.com/blob', 'refused'],
    ['registry.example.com', {}, 'http://cdn.example.net/blob', 'refused'],
    ['registry.example.com', local, 'http://127.0.0.1:5000/blob', 'refused'],
    ['registry.lab.example', both, 'http://127.0.0.1:5000/blob', 'loopback'],
    ['registry.example.com', local, 'https://127.0.0.1:5000/blob', 'refused'],
    ['127.0.0.1:5000', local, 'http://127.0.0.1:5001/blob', 'refused'],
    ['127.0.0.1:5000', local, 'http://localhost:5000/blob', 'refused'],
    ['registry.example.com', {}, 'https://10.0.0.1/blob', 'refused'],
    ['a.corp.example.com', corp, 'https://10.0.0.1/blob', 'refused'],
    ['a.corp.example.com', corp, 'https://169.254.169.254/latest', 'refused'],
    ['a.corp.example.com', corp, 'https://[::ffff:169.254.169.254]/latest', 'refused'],
    ['a.corp.example.com', corp, 'https://0xa9fea9fe/latest', 'refused'],
    ['registry.example.com', {}, 'https://user:secret@cdn.example.net/blob', 'refused'],
    ['registry.example.com', {}, 'ftp://cdn.example.net/blob', 'refused'],
    ['registry.example.com', {}, 'file:///etc/passwd', 'refused'],
    ['registry.example.com', {}, 'https://b\u00fccher.example/blob', 'public'],
  ])('%s under %j to %s: %s', (origin, options, url, expected) => {
    expect(reachOf(options, origin, url)).toBe(expected)
  })
})

function realmOf(origin: string, realm: string, options: EgressOptions = {}): Reach | 'refused' {
  const egress = createEgress(options)
  const site = egress.site(origin)
  return verdict(() => egress.realm(site, site.baseUrl, realm).reach)
}

describe('token services', () => {
  test.each([
    ['docker.io', 'https://auth.docker.io/token'],
    ['ghcr.io', 'https://ghcr.io/token'],
    ['registry.gitlab.com', 'https://gitlab.com/jwt/auth'],
    ['quay.io', 'https://QUAY.io./v2/auth'],
    ['team.azurecr.io', 'https://team.azurecr.io/oauth2/token'],
    ['registry.example.com:5000', 'https://auth.example.com:8443/token'],
  ])('%s may name %s', (origin, realm) => {
    expect(realmOf(origin, realm)).toBe('public')
  })

  test.each([
    ['registry.example.com', 'https://auth.example.net/token'],
    ['registry.example.com', 'https://example.com.evil.net/token'],
    ['registry.example.com', 'https://evilexample.com/token'],
    ['registry.example.co.uk', 'https://evil.co.uk/token'],
    ['team.github.io', 'https://evil.github.io/token'],
    ['registry.svc.cluster.local', 'https://evil.svc.cluster.local/token'],
    ['registry.example.com', 'http://registry.example.com/token'],
    ['registry.example.com', 'http://169.254.169.254/latest/meta-data'],
    ['registry.example.com', 'https://169.254.169.254/'],
    ['registry.example.com', 'https://2852039166/'],
    ['registry.example.com', 'https://0251.0376.0251.0376/'],
    ['registry.example.com', 'https://[::1]/token'],
    ['registry.example.com', 'https://127.0.0.1/token'],
    ['registry.example.com', 'https://localhost/token'],
    ['registry.example.com', 'https://registry.example.com@evil.net/token'],
    ['registry.example.com', 'https://user:secret@registry.example.com/token'],
    ['registry.example.com', 'file:///token'],
    ['registry.example.com', '/token'],
    ['registry.example.com', ''],
  ])('%s may not name %s', (origin, realm) => {
    expect(realmOf(origin, realm)).toBe('refused')
  })

  test('what the operator lists may be named', () => {
    const listed = { origins: [{ host: '127.0.0.1:6120', plainHttp: true }, { host: 'auth.example.net' }] }
    expect(realmOf('registry.example.com', 'http://127.0.0.1:6120/token', listed)).toBe('loopback')
    expect(realmOf('registry.example.com', 'https://auth.example.net/token', listed)).toBe('loopback')
    expect(realmOf('registry.example.com', 'https://auth.example.net:444/token', listed)).toBe('refused')
    expect(realmOf('a.corp.example.com', 'https://auth.corp.example.com/token', corp)).toBe('private')
  })

  test('a mirror of Docker Hub may name the token service of Docker Hub', () => {
    const options = { origins: [{ host: 'docker.io', baseUrl: 'https://hub.corp.example.com' }] }
    expect(realmOf('docker.io', 'https://auth.docker.io/token', options)).toBe('private')
  })
})

async function addressesFor(reach: Reach, answer: readonly string[], all = true): Promise<unknown> {
  const resolve = () => Promise.resolve(answer.map((address) => ({ address, family: address.includes(':') ? 6 : 4 })))
  return new Promise((done) => {
    guardedLookup(resolve, reach)('registry.example.com', { all }, (error, addresses) => {
      done(
        error === null ? [addresses].flat().map((entry) => (typeof entry === 'string' ? entry : entry.address)) : error,
      )
    })
  })
}

describe('the addresses that a socket gets', () => {
  const everything = [
    '93.184.216.34',
    '10.0.0.1',
    '127.0.0.1',
    '169.254.169.254',
    '::1',
    'fd00:ec2::254',
    '2606:4700::1',
  ]
  test.each<[Reach, readonly string[]]>([
    ['public', ['93.184.216.34', '2606:4700::1']],
    ['private', ['93.184.216.34', '10.0.0.1', '2606:4700::1']],
    ['loopback', ['93.184.216.34', '10.0.0.1', '127.0.0.1', '::1', '2606:4700::1']],
  ])('%s', async (reach, expected) => {
    expect(await addressesFor(reach, everything)).toEqual(expected)
  })

  test('one address, as old callers ask', async () => {
    expect(await addressesFor('public', ['10.0.0.1', '93.184.216.34'], false)).toEqual(['93.184.216.34'])
  })

  test('none is an error', async () => {
    expect(await addressesFor('public', ['10.0.0.1', '::ffff:127.0.0.1'])).toMatchObject({ kind: 'forbidden-target' })
    expect(await addressesFor('public', [])).toMatchObject({ kind: 'forbidden-target' })
  })

  test('an error of DNS is handed on', async () => {
    const failure = Object.assign(new Error('no such host'), { code: 'ENOTFOUND' })
    const answer = await new Promise((done) => {
      guardedLookup(() => Promise.reject(failure), 'public')('x.example', {}, done)
    })
    expect(answer).toBe(failure)
  })
})
