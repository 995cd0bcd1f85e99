import { inspect } from 'node:util'
import { buffer } from 'node:stream/consumers'
import { describe, expect, test } from 'vitest'
import { anonymous } from '../../../agent/upstream/credential.ts'
import type { OriginClient } from '../../../agent/upstream/origin-client.ts'
import { limits } from '../../../core/limits.ts'
import { byPath, type HostileOrigin, inTurn, plain, redirectTo, sendBytes } from '../../support/hostile-origin.ts'
import { digestOf, someBytes } from '../../support/registry-content.ts'
import { never, origin, plainWorld, shown, world } from './client-world.ts'

const layer = someBytes(5000)
const digest = digestOf(layer)
const secret = 'Bearer canary-3fe1'

function fetch(client: OriginClient, server: HostileOrigin, credential = anonymous) {
  const wanted = { origin: server.host, repository: 'team/app', kind: 'blob', digest, size: layer.length } as const
  return client.fetchRange({ ...wanted, start: 1000, end: 3000 }, credential, never)
}

const serveLayer = (request: Parameters<typeof sendBytes>[1], response: Parameters<typeof sendBytes>[2]) =>
  sendBytes(layer, request, response)

/** What a request that must carry no secret carries. */
const noSecrets = { authorization: undefined, cookie: undefined, 'proxy-authorization': undefined }

describe('credentials stay with the host they are for', () => {
  test('another host gets the range and no secret', async () => {
    const [registry, storage] = [await origin(), await origin({ answer: serveLayer })]
    registry.respond(redirectTo(`${storage.url}/blob?signature=x`))
    const { client } = plainWorld([registry, storage])
    const answer = await fetch(client, registry, shown(secret))
    expect(await buffer(answer.body)).toEqual(Buffer.from(layer.subarray(1000, 3000)))
    expect(registry.seen.map(({ headers }) => headers.authorization)).toEqual([secret])
    expect(storage.seen.map(({ headers }) => ({ ...noSecrets, ...headers }))).toMatchObject([
      { ...noSecrets, range: 'bytes=1000-2999', host: storage.host },
    ])
  })

  test('the same host keeps the credential', async () => {
    const registry = await origin({ answer: inTurn(redirectTo('/elsewhere'), serveLayer) })
    const { client } = plainWorld([registry])
    await buffer((await fetch(client, registry, shown(secret))).body)
    expect(registry.seen.map(({ url, headers }) => [url, headers.authorization])).toEqual([
      [`/v2/team/app/blobs/${digest}`, secret],
      ['/elsewhere', secret],
    ])
  })

  test('who sends us back gets us back without it', async () => {
    const [registry, other] = [await origin(), await origin()]
    registry.respond(inTurn(redirectTo(`${other.url}/over-there`), serveLayer))
    other.respond(redirectTo(`${registry.url}/back`))
    const { client } = plainWorld([registry, other])
    await buffer((await fetch(client, registry, shown(secret))).body)
    expect(registry.seen.map(({ headers }) => headers.authorization)).toEqual([secret, undefined])
    expect(other.seen.map(({ headers }) => headers.authorization)).toEqual([undefined])
  })

  test('an anonymous token is not for other hosts either', async () => {
    const [registry, storage] = [await origin(), await origin({ answer: serveLayer })]
    const challenge = { 'www-authenticate': `Bearer realm="${registry.url}/token"` }
    registry.respond(
      inTurn(plain(401, challenge), plain(200, {}, '{"token":"anybody"}'), redirectTo(`${storage.url}/blob`)),
    )
    const { client } = plainWorld([registry, storage])
    await buffer((await fetch(client, registry)).body)
    expect(registry.seen.map(({ headers }) => headers.authorization)).toEqual([undefined, undefined, 'Bearer anybody'])
    expect(storage.seen.map(({ headers }) => headers.authorization)).toEqual([undefined])
  })
})

describe('another host that asks for a credential', () => {
  test.each(['Basic realm="storage"', 'Bearer realm="https://evil.example/token"', undefined])(
    '%s: the caller does not hear it, and its own is not refused',
    async (challenge) => {
      const headers = challenge === undefined ? {} : { 'www-authenticate': challenge }
      const [registry, storage] = [await origin(), await origin({ answer: plain(401, headers) })]
      registry.respond(redirectTo(`${storage.url}/blob`))
      const { client } = plainWorld([registry, storage])
      for (const credential of [shown(secret), anonymous])
        await expect(fetch(client, registry, credential)).rejects.toMatchObject({
          kind: 'denied',
          status: 401,
          challenges: [],
          elsewhere: true,
        })
      expect(new Set(storage.seen.map(({ headers: { authorization } }) => authorization))).toEqual(new Set([undefined]))
    },
  )

  test('the registry itself is heard, also where it redirects to itself', async () => {
    const refuses = plain(401, { 'www-authenticate': 'Basic realm="registry"' })
    const registry = await origin({
      answer: inTurn(redirectTo('/elsewhere'), refuses, redirectTo('/elsewhere'), refuses),
    })
    const { client } = plainWorld([registry])
    const unauthorized = { kind: 'unauthorized', status: 401, challenges: ['Basic realm="registry"'] }
    await expect(fetch(client, registry, shown(secret))).rejects.toMatchObject(unauthorized)
  })
})

const step = (request: { url?: string | undefined }) => Number(/\d+$/.exec(request.url ?? '')?.[0] ?? 0)

describe('redirects end', () => {
  test(`after ${limits.originRedirectsMax} of them there is still an answer`, async () => {
    const registry = await origin()
    registry.respond((request, response) => {
      const next = request.url?.startsWith('/hop') === true ? step(request) + 1 : 1
      if (next > limits.originRedirectsMax) serveLayer(request, response)
      else redirectTo(`/hop/${next}`)(request, response)
    })
    const { client } = plainWorld([registry])
    expect(await buffer((await fetch(client, registry)).body)).toHaveLength(2000)
    expect(registry.seen).toHaveLength(limits.originRedirectsMax + 1)
  })

  test('a loop is cut', async () => {
    const registry = await origin({ answer: redirectTo('/loop') })
    const { client } = plainWorld([registry])
    await expect(fetch(client, registry)).rejects.toMatchObject({ kind: 'protocol' })
    expect(registry.seen).toHaveLength(limits.originRedirectsMax + 1)
  })

  test.each([
    [300, '/other'],
    [304, '/other'],
    [307, undefined],
    [302, 'http://['],
  ])('%i to %s leads nowhere', async (status, location) => {
    const registry = await origin({ answer: plain(status, location === undefined ? {} : { location }) })
    const { client } = plainWorld([registry])
    await expect(fetch(client, registry)).rejects.toMatchObject({ kind: 'protocol' })
    expect(registry.seen).toHaveLength(1)
  })
})

describe('redirects to where nobody may go', () => {
  test.each([
    'http://169.254.169.254/latest/meta-data/iam/security-credentials/',
    'https://169.254.169.254/',
    'http://[fd00:ec2::254]/',
    'https://2852039166/',
    'https://10.0.0.1/',
    'http://registry.example.com/',
    'https://user:password@registry.example.com/',
    'gopher://registry.example.com/',
  ])('%s', async (location) => {
    const registry = await origin({ answer: redirectTo(location) })
    const { client } = plainWorld([registry])
    await expect(fetch(client, registry)).rejects.toMatchObject({ kind: 'forbidden-target' })
  })

  test('this machine under another port, scheme or name', async () => {
    const [registry, victim] = [await origin(), await origin({ answer: serveLayer })]
    const { client } = plainWorld([registry])
    for (const location of [
      victim.url,
      victim.url.replace('http:', 'https:'),
      victim.url.replace('127.0.0.1', 'localhost'),
      victim.url.replace('127.0.0.1', '0x7f.1'),
      victim.url.replace('127.0.0.1', '[::ffff:127.0.0.1]'),
      `https://rebound.example.com:${victim.port}/`,
    ]) {
      registry.respond(redirectTo(location))
      await expect(fetch(client, registry), location).rejects.toMatchObject({ kind: 'forbidden-target' })
    }
    expect(victim.seen).toEqual([])
    expect(victim.connections.size).toBe(0)
  })

  test('an origin that nobody listed and that DNS puts on this machine', async () => {
    const victim = await origin({ answer: serveLayer })
    const { client } = world({})
    const wanted = { origin: `registry.example.com:${victim.port}`, repository: 'team/app' }
    await expect(client.headManifest(wanted, 'v1', anonymous, never)).rejects.toMatchObject({
      kind: 'forbidden-target',
    })
    expect(victim.connections.size).toBe(0)
  })
})

describe('signed URLs', () => {
  const path = `/v2/team/app/blobs/${digest}`

  test.each([400, 401, 403])('that have expired (%i) are signed anew, once, by the registry', async (status) => {
    const registry = await origin()
    let signed = 0
    registry.respond(
      byPath({
        [path]: (request, response) => redirectTo(`/signed/${++signed}?signature=canary-77`)(request, response),
        '/signed/1': plain(status, {}, 'expired'),
        '/signed/2': serveLayer,
      }),
    )
    const { client } = plainWorld([registry])
    expect(await buffer((await fetch(client, registry)).body)).toHaveLength(2000)
    expect(registry.seen.map(({ url }) => url.split('?')[0])).toEqual([path, '/signed/1', path, '/signed/2'])
  })

  test('that stay refused are refused, and are neither remembered nor shown', async () => {
    const registry = await origin()
    registry.respond(byPath({ [path]: redirectTo('/signed?signature=canary-77'), '/signed': plain(403) }))
    const { client, logs } = plainWorld([registry])
    const failure: unknown = await fetch(client, registry).catch((error: unknown) => error)
    expect(failure).toMatchObject({ kind: 'denied', status: 403 })
    expect(inspect(failure, { depth: 9 }) + logs.join()).not.toContain('canary')
    expect(registry.seen).toHaveLength(4)
    registry.respond(serveLayer)
    await buffer((await fetch(client, registry)).body)
    expect(registry.seen.at(-1)?.url).toBe(path)
  })

  test('that take no HEAD still tell the size', async () => {
    const registry = await origin()
    const signed: typeof serveLayer = (request, response) =>
      request.method === 'HEAD' ? plain(403)(request, response) : serveLayer(request, response)
    registry.respond(byPath({ [path]: redirectTo('/signed'), '/signed': signed }))
    const { client } = plainWorld([registry])
    const at = { origin: registry.host, repository: 'team/app' }
    expect(await client.headBlob(at, digest, anonymous, never)).toEqual({ size: layer.length })
    expect(registry.seen.at(-1)).toMatchObject({ method: 'GET', url: '/signed', headers: { range: 'bytes=0-0' } })
  })
})
