import { describe, expect, test } from 'vitest'
import { anonymous, createAccountCredential } from '../../../agent/upstream/credential.ts'
import type { OriginClient } from '../../../agent/upstream/origin-client.ts'
import { limits } from '../../../core/limits.ts'
import { second } from '../../../core/units.ts'
import { byPath, type HostileOrigin, inTurn, plain, type Respond } from '../../support/hostile-origin.ts'
import { digestOf } from '../../support/registry-content.ts'
import { virtualClock } from '../../support/virtual-clock.ts'
import { never, origin, plainWorld, sendTiny, shown, tiny } from './client-world.ts'

const { path: manifestPath, digest } = tiny

function head(client: OriginClient, server: HostileOrigin, repository = 'team/app', credential = anonymous) {
  return client.headManifest({ origin: server.host, repository }, 'v1', credential, never)
}

const challenge = (realm: string, repository = 'team/app') =>
  `Bearer realm="${realm}",service="test registry",scope="repository:${repository}:pull"`

/** Whoever has not the token `wanted` is sent to `realm` for it. */
function wantsToken(realm: string, wanted: () => string): Respond {
  return (request, response) => {
    const [, repository] = /^\/v2\/(.+)\/manifests\//.exec(request.url ?? '') ?? []
    if (request.headers.authorization === `Bearer ${wanted()}`) sendTiny(request, response)
    else plain(401, { 'www-authenticate': challenge(realm, repository) })(request, response)
  }
}

/** A registry that is its own token service; tokens are `token-1`, `token-2`, … */
async function registryWithTokens(extra: object = {}) {
  const registry = await origin()
  let issued = 0
  registry.respond(
    byPath({
      [manifestPath]: wantsToken(`${registry.url}/token`, () => `token-${issued}`),
      '/token': (request, response) =>
        plain(200, {}, JSON.stringify({ token: `token-${++issued}`, ...extra }))(request, response),
    }),
  )
  return registry
}

const paths = (server: HostileOrigin) => server.seen.map(({ url }) => url.split('?')[0])

describe('a token that anybody may have', () => {
  test('is asked for as the challenge says, and shown to the registry', async () => {
    const registry = await registryWithTokens()
    const { client } = plainWorld([registry])
    expect(await head(client, registry)).toMatchObject({ digest })
    expect(registry.seen.map(({ method, url, headers }) => [method, url, headers.authorization])).toEqual([
      ['HEAD', manifestPath, undefined],
      ['GET', '/token?service=test+registry&scope=repository%3Ateam%2Fapp%3Apull', undefined],
      ['HEAD', manifestPath, 'Bearer token-1'],
    ])
  })

  test.each([
    [{}, limits.tokenLifeMs],
    [{ expires_in: 300 }, 300 * second],
    [{ expires_in: 1e9 }, limits.tokenLifeMaxMs],
    [{ expires_in: 0 }, limits.tokenLifeMs],
    [{ expires_in: -1, access_token: '' }, limits.tokenLifeMs],
    [{ expires_in: '300', access_token: null }, limits.tokenLifeMs],
  ])('%j: is kept until shortly before it expires', async (extra, lifeMs) => {
    const clock = virtualClock()
    const registry = await registryWithTokens(extra)
    const { client } = plainWorld([registry], {}, clock)
    await head(client, registry)
    clock.advance(0.9 * lifeMs - 1)
    await head(client, registry)
    expect(paths(registry)).toEqual([manifestPath, '/token', manifestPath, manifestPath])
    clock.advance(1)
    await head(client, registry)
    expect(paths(registry).slice(4)).toEqual([manifestPath, '/token', manifestPath])
  })

  test('is renewed when the registry takes it no more', async () => {
    const registry = await registryWithTokens()
    const { client } = plainWorld([registry])
    await head(client, registry)
    registry.respond(
      byPath({
        [manifestPath]: wantsToken(`${registry.url}/token`, () => 'fresh'),
        '/token': plain(200, {}, '{"token":"","access_token":"fresh"}'),
      }),
    )
    expect(await head(client, registry)).toMatchObject({ digest })
    expect(registry.seen.at(-1)?.headers.authorization).toBe('Bearer fresh')
  })

  test('is renewed when the registry answers 400 and no challenge to it, as Amazon ECR Public', async () => {
    const registry = await registryWithTokens()
    const { client } = plainWorld([registry])
    await head(client, registry)
    registry.respond(
      byPath({
        [manifestPath]: (request, response) =>
          request.headers.authorization === 'Bearer fresh'
            ? sendTiny(request, response)
            : plain(400)(request, response),
        '/token': plain(200, {}, '{"token":"fresh"}'),
      }),
    )
    expect(await head(client, registry)).toMatchObject({ digest })
    expect(paths(registry).slice(-3)).toEqual([manifestPath, '/token', manifestPath])
  })

  test('is fetched once however many ask', async () => {
    const registry = await registryWithTokens()
    const { client } = plainWorld([registry])
    const blob = (name: string) =>
      client.headBlob({ origin: registry.host, repository: 'team/app' }, digestOf(Buffer.from(name)), anonymous, never)
    registry.respond(
      byPath({
        ...Object.fromEntries(
          ['a', 'b', 'c'].map((name) => [
            `/v2/team/app/blobs/${digestOf(Buffer.from(name))}`,
            wantsToken(`${registry.url}/token`, () => 'one'),
          ]),
        ),
        '/token': (request, response) => void setImmediate(plain(200, {}, '{"token":"one"}'), request, response),
      }),
    )
    await Promise.all(['a', 'b', 'c'].map(blob))
    expect(paths(registry).filter((path) => path === '/token')).toHaveLength(1)
  })

  test('is for one repository', async () => {
    const registry = await registryWithTokens()
    const { client } = plainWorld([registry])
    await head(client, registry)
    await expect(head(client, registry, 'team/other')).rejects.toMatchObject({ kind: 'not-found' })
    expect(registry.seen.at(-1)).toMatchObject({ url: '/v2/team/other/manifests/v1' })
    expect(registry.seen.at(-1)?.headers.authorization).toBeUndefined()
  })
})

describe("a caller's own credential", () => {
  test('is never shown to the token service, and is judged by the registry alone', async () => {
    const registry = await registryWithTokens()
    const { client } = plainWorld([registry])
    const refusal = head(client, registry, 'team/app', shown('Basic dTpjYW5hcnk='))
    await expect(refusal).rejects.toMatchObject({
      kind: 'unauthorized',
      status: 401,
      challenges: [challenge(`${registry.url}/token`)],
    })
    expect(paths(registry)).toEqual([manifestPath])
  })

  test('does not mix with the anonymous token', async () => {
    const registry = await registryWithTokens()
    const { client } = plainWorld([registry])
    await head(client, registry)
    await expect(head(client, registry, 'team/app', shown('Bearer canary'))).rejects.toMatchObject({ status: 401 })
    expect(registry.seen.at(-1)?.headers.authorization).toBe('Bearer canary')
  })
})

describe('hostile token services', () => {
  test('one that may not be asked is not asked; the caller hears the challenge', async () => {
    const [registry, victim] = [await origin(), await origin()]
    const realms = [
      `${victim.url}/token`,
      `${victim.url.replace('127.0.0.1', 'localhost')}/token`,
      `https://rebound.example.com:${victim.port}/token`,
      'http://169.254.169.254/latest/meta-data',
      'https://[::1]/token',
    ]
    const { client, logs } = plainWorld([registry])
    for (const realm of realms) {
      registry.respond(plain(401, { 'www-authenticate': ['Basic realm="x"', challenge(realm)] }))
      await expect(head(client, registry), realm).rejects.toMatchObject({
        kind: 'unauthorized',
        challenges: ['Basic realm="x"', challenge(realm)],
      })
    }
    expect(victim.connections.size).toBe(0)
    expect(logs).toHaveLength(realms.length)
  })

  test('a registry that is never content is asked twice, not for ever', async () => {
    const registry = await origin()
    registry.respond(
      byPath({
        [manifestPath]: wantsToken(`${registry.url}/token`, () => 'none'),
        '/token': plain(200, {}, '{"token":"t"}'),
      }),
    )
    const { client } = plainWorld([registry])
    await expect(head(client, registry)).rejects.toMatchObject({ kind: 'unauthorized', status: 401 })
    expect(paths(registry)).toEqual([manifestPath, '/token', manifestPath])
  })

  test.each<[string, Respond, object]>([
    ['refuses', plain(403, {}, 'no'), { kind: 'unauthorized', status: 401 }],
    ['knows nothing', plain(404), { kind: 'unauthorized', status: 401 }],
    ['is overrun', plain(429, { 'retry-after': '60' }), { kind: 'rate-limited', retryAfterMs: 60 * second }],
    ['is down', plain(503), { kind: 'unavailable', status: 503 }],
    ['breaks off', (request) => request.socket.destroy(), { kind: 'unavailable' }],
    ['sends us on', plain(302, { location: 'http://169.254.169.254/' }), { kind: 'protocol' }],
    ['says nothing', plain(200, {}, '{}'), { kind: 'protocol' }],
    ['says no more', plain(200, {}, '{"token":"","access_token":null}'), { kind: 'protocol' }],
    ['speaks no JSON', plain(200, {}, '<html>'), { kind: 'protocol' }],
    ['gives no token', plain(200, {}, '{"token":"a b"}'), { kind: 'protocol' }],
    ['gives a header', plain(200, {}, '{"token":"a\\r\\nx: y"}'), { kind: 'protocol' }],
    ['floods', plain(200, {}, `{"token":"${'a'.repeat(limits.tokenAnswerMaxBytes)}"}`), { kind: 'protocol' }],
  ])('one that %s', async (_, answer, failure) => {
    const registry = await origin()
    registry.respond(byPath({ [manifestPath]: wantsToken(`${registry.url}/token`, () => 'x'), '/token': answer }))
    const { client } = plainWorld([registry])
    await expect(head(client, registry)).rejects.toMatchObject(failure)
  })

  test('one that is overrun is left alone as long as it says, for whom it says so', async () => {
    const clock = virtualClock()
    const registry = await origin()
    const overrun = plain(429, { 'retry-after': '60' })
    registry.respond((request, response) =>
      request.url?.startsWith('/token')
        ? overrun(request, response)
        : wantsToken(`${registry.url}/token`, () => 'x')(request, response),
    )
    const { client } = plainWorld([registry], {}, clock)
    const asked = () => paths(registry).filter((path) => path === '/token').length
    const limitedAt = (repository: string) => ({
      kind: 'rate-limited',
      status: 429,
      challenges: [challenge(`${registry.url}/token`, repository)],
    })
    for (const repository of ['team/app', 'team/app', 'team/other'])
      await expect(head(client, registry, repository)).rejects.toMatchObject(limitedAt(repository))
    const limited = limitedAt('team/app')
    expect(asked()).toBe(1)
    const account = createAccountCredential({ kind: 'identity-token', token: 'canary' }, new Uint8Array(32))
    await expect(head(client, registry, 'team/app', account)).rejects.toMatchObject(limited)
    expect(asked()).toBe(2)
    clock.advance(60 * second)
    await expect(head(client, registry)).rejects.toMatchObject(limited)
    expect(asked()).toBe(3)
  })

  test.each([
    'Bearer',
    'Bearer realm="unclosed',
    'Bearer scope="x"',
    'Negotiate',
    `Bearer realm="${'x'.repeat(5000)}"`,
  ])('the challenge %.30s is passed on as it is', async (value) => {
    const registry = await origin({ answer: plain(401, { 'www-authenticate': value }) })
    const { client } = plainWorld([registry])
    await expect(head(client, registry)).rejects.toMatchObject({ kind: 'unauthorized', challenges: [value] })
    expect(registry.seen).toHaveLength(1)
  })

  test('a refusal after the token still tells how to ask with more', async () => {
    const registry = await origin()
    const asks = plain(401, { 'www-authenticate': challenge(`${registry.url}/token`) })
    registry.respond(byPath({ [manifestPath]: inTurn(asks, plain(403)), '/token': plain(200, {}, '{"token":"t"}') }))
    const { client } = plainWorld([registry])
    const denied = { kind: 'denied', status: 403, challenges: [challenge(`${registry.url}/token`)] }
    await expect(head(client, registry)).rejects.toMatchObject(denied)
    await expect(head(client, registry)).rejects.toMatchObject(denied)
  })
})
