import { once } from 'node:events'
import { buffer } from 'node:stream/consumers'
import { describe, expect, test } from 'vitest'
import { anonymous } from '../../../agent/upstream/credential.ts'
import type { OriginClient, RangeAnswer } from '../../../agent/upstream/origin-client.ts'
import { limits } from '../../../core/limits.ts'
import { hour, MiB, second } from '../../../core/units.ts'
import { type HostileOrigin, inTurn, plain, redirectTo, type Respond, sendBytes } from '../../support/hostile-origin.ts'
import { digestOf, manifestType, someBytes } from '../../support/registry-content.ts'
import { allClosed, never, origin, plainWorld, world } from './client-world.ts'

const layer = someBytes(120_000)
const digest = digestOf(layer)
const serveLayer: Respond = (request, response) => sendBytes(layer, request, response)

const [start, end] = [1000, 101_000]
const part = layer.subarray(start, end)
const rangeHeader = `bytes ${start}-${end - 1}/${layer.length}`

function fetch(client: OriginClient, server: HostileOrigin, signal = never) {
  const wanted = { origin: server.host, repository: 'team/app', kind: 'blob', digest, size: layer.length } as const
  return client.fetchRange({ ...wanted, start, end }, anonymous, signal)
}

/** A 206 as it should be, but for what the test changes. */
function partial(headers: Record<string, string | number | undefined>, body: Uint8Array): Respond {
  const all = { 'content-range': rangeHeader, ...headers }
  const given = Object.fromEntries(Object.entries(all).filter(([, value]) => value !== undefined))
  return plain(206, given, body)
}

/** Sends the head and these bytes, then breaks the connection. */
function breaksOff(headers: Record<string, string | number>, body: Uint8Array): Respond {
  return (_, response) => {
    response.writeHead(206, { 'content-range': rangeHeader, ...headers })
    response.write(body, () => response.socket?.destroy())
  }
}

/** What came before it ended, and how it ended. */
async function readAll({ body }: RangeAnswer): Promise<{ bytes: Buffer; error: unknown }> {
  const parts: Uint8Array[] = []
  try {
    for await (const bytes of body) parts.push(bytes)
    return { bytes: Buffer.concat(parts), error: undefined }
  } catch (error) {
    return { bytes: Buffer.concat(parts), error }
  }
}

describe('ranges', () => {
  test.each<[string, Respond]>([
    ['with a length', partial({ 'content-length': part.length }, part)],
    ['in HTTP chunks', partial({}, part)],
  ])('as they should be, %s', async (_, answer) => {
    const server = await origin({ answer })
    const { client } = plainWorld([server])
    const fetched = await fetch(client, server)
    expect(fetched).toMatchObject({ ranged: true, start, total: layer.length })
    expect(await readAll(fetched)).toEqual({ bytes: Buffer.from(part), error: undefined })
    expect(server.seen[0]?.headers).toMatchObject({ range: `bytes=${start}-${end - 1}`, 'accept-encoding': 'identity' })
  })

  test.each<[string, Respond]>([
    ['starts elsewhere', partial({ 'content-range': `bytes ${start + 1}-${end}/${layer.length}` }, part)],
    ['ends elsewhere', partial({ 'content-range': `bytes ${start}-${end}/${layer.length}` }, part)],
    ['ends early', partial({ 'content-range': `bytes ${start}-${end - 2}/${layer.length}` }, part.subarray(1))],
    ['has another total', partial({ 'content-range': `bytes ${start}-${end - 1}/${layer.length + 1}` }, part)],
    ['has no total', partial({ 'content-range': `bytes ${start}-${end - 1}/*` }, part)],
    ['says nothing of the range', partial({ 'content-range': undefined }, part)],
    [
      'has several parts',
      partial({ 'content-range': undefined, 'content-type': 'multipart/byteranges; boundary=x' }, part),
    ],
    ['announces fewer bytes', partial({ 'content-length': part.length - 1 }, part.subarray(1))],
    ['announces more bytes', partial({ 'content-length': part.length + 1 }, layer.subarray(start, end + 1))],
    ['is compressed', partial({ 'content-encoding': 'gzip' }, part)],
    ['is 416', plain(416, { 'content-range': `bytes */${layer.length}` })],
    ['is 204', plain(204)],
    ['is all, of another size', plain(200, { 'content-length': 5 }, 'short')],
    ['has headers without end', plain(206, { 'x-much': 'a'.repeat(limits.originHeadersMaxBytes) })],
    ['is no HTTP', (request) => request.socket.end('SSH-2.0-OpenSSH_9.2\r\n')],
  ])('an answer that %s is none', async (_, answer) => {
    const server = await origin({ answer })
    const { client } = plainWorld([server])
    await expect(fetch(client, server)).rejects.toMatchObject({ kind: 'protocol' })
    expect(server.seen).toHaveLength(1)
  })

  test.each<[string, Respond, number, string]>([
    ['a body that ends early', partial({}, part.subarray(0, 70_000)), 70_000, 'protocol'],
    ['a body that goes on', partial({}, layer.subarray(start, end + 1)), part.length, 'protocol'],
    [
      'a connection that breaks',
      breaksOff({ 'content-length': part.length }, part.subarray(0, 70_000)),
      70_000,
      'unavailable',
    ],
    ['chunks that break', breaksOff({}, part.subarray(0, 70_000)), 70_000, 'unavailable'],
  ])('%s: what came is right, then an error', async (_, answer, length, kind) => {
    const server = await origin({ answer })
    const { client } = plainWorld([server])
    const { bytes, error } = await readAll(await fetch(client, server))
    expect(bytes).toEqual(Buffer.from(part.subarray(0, length)))
    expect(error).toMatchObject({ kind })
  })

  test('an origin that ignores Range sends all of it', async () => {
    const server = await origin({ answer: plain(200, {}, layer) })
    const { client } = plainWorld([server])
    const fetched = await fetch(client, server)
    expect(fetched).toMatchObject({ ranged: false, start: 0, total: layer.length })
    expect(await readAll(fetched)).toEqual({ bytes: Buffer.from(layer), error: undefined })
  })
})

/** Sends a part, and never the rest. */
const stalls: Respond = (_, response) => {
  response.writeHead(206, { 'content-range': rangeHeader, 'content-length': part.length })
  response.write(part.subarray(0, 1000))
}

describe('stopping', () => {
  test('an abort ends the body with its reason and closes the connection', async () => {
    const server = await origin({ answer: stalls })
    const { client } = plainWorld([server])
    const controller = new AbortController()
    const iterator = (await fetch(client, server, controller.signal)).body[Symbol.asyncIterator]()
    expect((await iterator.next()).value).toHaveLength(1000)
    const [rest, reason] = [iterator.next(), new Error('stalled')]
    controller.abort(reason)
    await expect(rest).rejects.toBe(reason)
    await allClosed(server)
    expect(server.connections.size).toBe(0)
  })

  test('an abort before the headers, too', async () => {
    const server = await origin({ answer: () => undefined })
    const { client } = plainWorld([server])
    const controller = new AbortController()
    const [pending, reason] = [fetch(client, server, controller.signal), new Error('enough')]
    while (server.seen.length === 0) await new Promise((resolve) => setImmediate(resolve))
    controller.abort(reason)
    await expect(pending).rejects.toBe(reason)
    await allClosed(server)
    expect(server.connections.size).toBe(0)
  })

  test('a reader that leaves closes the connection', async () => {
    const server = await origin({ answer: stalls })
    const { client } = plainWorld([server])
    for await (const bytes of (await fetch(client, server)).body) {
      expect(bytes).toHaveLength(1000)
      break
    }
    await allClosed(server)
    expect(server.connections.size).toBe(0)
  })

  test('a body that is never read does not keep the origin sending', async () => {
    const server = await origin({ answer: stalls })
    const { client } = plainWorld([server])
    const controller = new AbortController()
    await fetch(client, server, controller.signal)
    controller.abort()
    await allClosed(server)
    expect(server.connections.size).toBe(0)
  })
})

describe('slowness', () => {
  test('no headers in time', async () => {
    const server = await origin({ answer: () => undefined })
    const { client } = plainWorld([server], { headersTimeoutMs: 200 })
    await expect(fetch(client, server)).rejects.toMatchObject({ kind: 'unavailable' })
  })

  test('a manifest that drips', async () => {
    const server = await origin({ answer: drip })
    const { client } = plainWorld([server], { smallBodyTimeoutMs: 200 })
    const loading = client.getManifest({ origin: server.host, repository: 'team/app' }, 'v1', anonymous, never)
    await expect(loading).rejects.toMatchObject({ kind: 'unavailable' })
    await allClosed(server)
    expect(server.connections.size).toBe(0)
  })

  // Google's registries redirect to the same host.
  test.each([stalls, redirectTo('/downloads/1')])(
    'as many blobs as there are connections hold up no manifest, nor the size of a blob (%#)',
    async (blobs) => {
      const server = await origin({
        answer: (request, response) => {
          if (request.url?.includes('/manifests/') === true)
            return sendsManifest('{"schemaVersion":2}')(request, response)
          if (request.url?.includes('/blobs/') !== true) return stalls(request, response)
          return (request.method === 'HEAD' ? plain(405) : blobs)(request, response)
        },
      })
      const { client } = plainWorld([server], { bodyIdleTimeoutMs: hour })
      await Promise.all(Array.from({ length: limits.originConnectionsMax }, () => fetch(client, server)))
      expect(await client.headManifest(at(server), 'v1', anonymous, never)).toMatchObject({ mediaType: manifestType })
      expect(await client.headBlob(at(server), digest, anonymous, never)).toEqual({ size: layer.length })
    },
  )

  test('a blob that nobody watches', async () => {
    const server = await origin({ answer: breaksOffNever })
    const { client } = plainWorld([server], { bodyIdleTimeoutMs: 200 })
    const { bytes, error } = await readAll(await fetch(client, server))
    expect(bytes).toEqual(Buffer.from(part.subarray(0, 10)))
    expect(error).toMatchObject({ kind: 'unavailable' })
  })
})

const drip: Respond = (_, response) => {
  response.writeHead(200, { 'content-type': manifestType })
  const timer = setInterval(() => response.write(' '), 20)
  response.once('close', () => clearInterval(timer))
}

const breaksOffNever: Respond = (_, response) => {
  response.writeHead(206, { 'content-range': rangeHeader })
  response.write(part.subarray(0, 10))
}

describe('trying again', () => {
  test('while the origin fails, each time later', async () => {
    const server = await origin({ answer: inTurn(plain(503), plain(500), serveLayer) })
    const { client, waits } = plainWorld([server])
    expect(await buffer((await fetch(client, server)).body)).toEqual(Buffer.from(part))
    expect(waits).toHaveLength(2)
  })

  test('when a connection was closed under the request', async () => {
    const server = await origin({ answer: inTurn((request) => request.socket.destroy(), serveLayer) })
    const { client } = plainWorld([server])
    expect(await buffer((await fetch(client, server)).body)).toEqual(Buffer.from(part))
  })

  test('not for ever', async () => {
    const server = await origin({ answer: plain(503, { 'retry-after': '1' }) })
    const { client, waits } = plainWorld([server])
    await expect(fetch(client, server)).rejects.toMatchObject({
      kind: 'unavailable',
      status: 503,
      retryAfterMs: 1 * second,
    })
    expect(waits).toEqual([1 * second, 1 * second])
  })

  test('a limit of rate: chunks at once tell the swarm, manifests wait where it is short', async () => {
    const server = await origin({ answer: plain(429, { 'retry-after': '2' }) })
    const { client, waits } = plainWorld([server])
    await expect(fetch(client, server)).rejects.toMatchObject({ kind: 'rate-limited', retryAfterMs: 2 * second })
    expect([server.seen.length, waits]).toEqual([1, []])
    server.respond(inTurn(plain(429, { 'retry-after': '2' }), sendsManifest('{}')))
    await client.headManifest({ origin: server.host, repository: 'team/app' }, 'v1', anonymous, never)
    expect(waits).toEqual([2 * second])
    server.respond(plain(429))
    const head = client.headManifest({ origin: server.host, repository: 'team/app' }, 'v1', anonymous, never)
    await expect(head).rejects.toMatchObject({ kind: 'rate-limited', retryAfterMs: limits.originRateLimitedMs })
    expect(waits).toEqual([2 * second])
  })

  test('nobody listens', async () => {
    const server = await origin()
    await server.stop()
    const { client } = plainWorld([server])
    await expect(fetch(client, server)).rejects.toMatchObject({ kind: 'unavailable', status: undefined })
  })
})

describe('errors', () => {
  test.each([
    [403, 'denied'],
    [412, 'denied'],
    [404, 'not-found'],
    [400, 'protocol'],
  ])('%i with the words of the origin', async (status, kind) => {
    const body = { errors: [{ code: 'PROJECTPOLICYVIOLATION', message: 'too many holes', detail: null }] }
    const server = await origin({ answer: plain(status, {}, JSON.stringify(body)) })
    const { client } = plainWorld([server])
    await expect(fetch(client, server)).rejects.toMatchObject({ kind, status, body })
    expect(server.seen).toHaveLength(1)
  })

  test('words without end are not heard out', async () => {
    const server = await origin({ answer: plain(404, {}, 'x'.repeat(10 * MiB)) })
    const { client } = plainWorld([server])
    await expect(fetch(client, server)).rejects.toMatchObject({ kind: 'not-found', body: undefined })
  })
})

function sendsManifest(body: string, headers: Record<string, string | undefined> = {}): Respond {
  const all = {
    'content-type': manifestType,
    'docker-content-digest': digestOf(Buffer.from(body)),
    'content-length': String(Buffer.byteLength(body)),
    ...headers,
  }
  return plain(200, Object.fromEntries(Object.entries(all).filter(([, value]) => value !== undefined)), body)
}

const at = (server: HostileOrigin) => ({ origin: server.host, repository: 'team/app' })
const methods = (server: HostileOrigin) => server.seen.map(({ method }) => method)

describe('manifests', () => {
  const body = '{"schemaVersion":2}'
  const own = digestOf(Buffer.from(body))
  const other = digestOf(Buffer.from('other'))

  test('HEAD is enough', async () => {
    const server = await origin({ answer: sendsManifest(body, { 'content-type': `${manifestType}; charset=utf-8` }) })
    const { client } = plainWorld([server])
    const head = { digest: own, mediaType: manifestType, size: body.length }
    expect(await client.headManifest(at(server), 'v1', anonymous, never)).toEqual(head)
    expect(methods(server)).toEqual(['HEAD'])
    expect(server.seen[0]?.headers.accept).toContain('application/vnd.oci.image.index.v1+json')
  })

  test.each<[string, Respond]>([
    ['without digest', sendsManifest(body, { 'docker-content-digest': undefined })],
    ['with a digest of another kind', sendsManifest(body, { 'docker-content-digest': `sha512:${'0'.repeat(128)}` })],
    ['without length', sendsManifest(body, { 'content-length': undefined })],
    [
      'of length 0',
      (request, response) => {
        const answer = sendsManifest(body, request.method === 'HEAD' ? { 'content-length': '0' } : undefined)
        answer(request, response)
      },
    ],
    [
      'refused',
      (request, response) => {
        const answer = request.method === 'HEAD' ? plain(405) : sendsManifest(body)
        answer(request, response)
      },
    ],
  ])('HEAD %s: GET tells', async (_, answer) => {
    const server = await origin({ answer })
    const { client } = plainWorld([server])
    const head = { digest: own, mediaType: manifestType, size: body.length }
    expect(await client.headManifest(at(server), 'v1', anonymous, never)).toEqual(head)
    expect(methods(server)).toEqual(['HEAD', 'GET'])
  })

  test.each<[string, string, Respond]>([
    ['another one than the digest asked for', own, sendsManifest('{"schemaVersion":1}')],
    [
      'one with a flipped byte under the right header',
      own,
      sendsManifest('{"schemaVersion":3}', { 'docker-content-digest': own }),
    ],
    ['one whose header lies', 'v1', sendsManifest(body, { 'docker-content-digest': other })],
    ['one of no type', 'v1', sendsManifest(body, { 'content-type': undefined })],
    ['a compressed one', 'v1', sendsManifest(body, { 'content-encoding': 'gzip' })],
    ['a giant', 'v1', plain(200, { 'content-type': manifestType }, ' '.repeat(limits.manifestSizeMaxBytes + 1))],
  ])('%s is none', async (_, reference, answer) => {
    const server = await origin({ answer })
    const { client } = plainWorld([server])
    await expect(client.getManifest(at(server), reference, anonymous, never)).rejects.toMatchObject({
      kind: 'protocol',
    })
  })

  test.each<[string, string, Respond]>([
    ['another digest', own, sendsManifest('{}')],
    ['a giant', 'v1', sendsManifest(body, { 'content-length': String(limits.manifestSizeMaxBytes + 1) })],
  ])('a HEAD that tells of %s is not believed', async (_, reference, answer) => {
    const server = await origin({ answer })
    const { client } = plainWorld([server])
    await expect(client.headManifest(at(server), reference, anonymous, never)).rejects.toMatchObject({
      kind: 'protocol',
    })
  })

  test('a flood is left at the limit', async () => {
    const server = await origin({ answer: flood })
    const { client } = plainWorld([server])
    await expect(client.getManifest(at(server), 'v1', anonymous, never)).rejects.toMatchObject({ kind: 'protocol' })
    await allClosed(server)
    expect(server.connections.size).toBe(0)
  })

  test('many who ask at once ask once', async () => {
    const server = await origin({ answer: sendsManifest(body) })
    const { client } = plainWorld([server])
    const ask = () => client.getManifest(at(server), 'v1', anonymous, never)
    const [first, ...rest] = await Promise.all(Array.from({ length: 20 }, ask))
    expect(rest.every((manifest) => manifest === first)).toBe(true)
    expect(server.seen).toHaveLength(1)
    await ask()
    expect(server.seen).toHaveLength(2)
  })
})

/** Sends for as long as the connection takes it. */
const flood: Respond = (_, response) => {
  response.writeHead(200, { 'content-type': manifestType })
  const pour = (): void => {
    while (!response.destroyed && response.write(' '.repeat(64 * 1024)));
  }
  response.on('drain', pour)
  pour()
}

test('the HEAD of a blob that has bytes, and no length: GET tells, as nothing has another digest', async () => {
  const server = await origin()
  server.respond((request, response) => {
    if (request.method === 'HEAD') plain(200, { 'content-length': 0 })(request, response)
    else serveLayer(request, response)
  })
  const { client } = plainWorld([server])
  expect(await client.headBlob(at(server), digest, anonymous, never)).toEqual({ size: layer.length })
  expect(await client.headBlob(at(server), digestOf(new Uint8Array()), anonymous, never)).toEqual({ size: 0 })
  expect(methods(server)).toEqual(['HEAD', 'GET', 'HEAD'])
})

describe('lists', () => {
  const page = '{"name":"team/app","tags":["v1"]}'

  test('every parameter but ns goes and comes, so that each registry pages as it does; only known headers come', async () => {
    const headers = {
      'content-type': 'application/json; charset=utf-8',
      link: '<https://evil.example/v2/team/app/tags/list?n=2&last=v1&next_page=g%3D%3D&ns=evil>; rel="next"',
      'set-cookie': 'a=b',
      'x-other': 'y',
    }
    const server = await origin({ answer: plain(200, headers, page) })
    const { client } = plainWorld([server])
    const query = 'n=2&last=a%26b&ns=evil&next_page=f%3D%3D'
    const answer = await client.passThrough(at(server), 'tags/list', query, anonymous, never)
    expect(server.seen[0]?.url).toBe('/v2/team/app/tags/list?n=2&last=a%26b&next_page=f%3D%3D')
    const link = '</v2/team/app/tags/list?n=2&last=v1&next_page=g%3D%3D>; rel="next"'
    expect(answer).toEqual({
      status: 200,
      headers: { 'content-type': 'application/json', link },
      body: Buffer.from(page),
    })
  })

  test('referrers', async () => {
    const server = await origin({ answer: plain(200, { 'oci-filters-applied': 'artifactType' }, '{}') })
    const { client } = plainWorld([server])
    const answer = await client.passThrough(at(server), `referrers/${digest}`, 'artifactType=a%2Fb', anonymous, never)
    expect(server.seen[0]?.url).toBe(`/v2/team/app/referrers/${digest}?artifactType=a%2Fb`)
    expect(answer.headers).toEqual({ 'oci-filters-applied': 'artifactType' })
    server.respond(plain(404))
    const none = client.passThrough(at(server), `referrers/${digest}`, '', anonymous, never)
    await expect(none).rejects.toMatchObject({ kind: 'not-found', status: 404 })
  })

  test('no other path', async () => {
    const server = await origin()
    const { client } = plainWorld([server])
    for (const path of ['../../../_catalog', 'referrers/v1', 'manifests/v1', 'tags/list/..', 'blobs/uploads/']) {
      await expect(client.passThrough(at(server), path, '', anonymous, never), path).rejects.toThrow(RangeError)
    }
    expect(server.seen).toEqual([])
  })

  test('a list without end is left at the limit', async () => {
    const server = await origin({ answer: flood })
    const { client } = plainWorld([server])
    await expect(client.passThrough(at(server), 'tags/list', '', anonymous, never)).rejects.toMatchObject({
      kind: 'protocol',
    })
  })
})

describe('where an API is', () => {
  test.each([
    ['', '/v2/library/alpine/manifests/v1'],
    ['/hub', '/hub/v2/library/alpine/manifests/v1'],
    ['/v2/hub-proxy/', '/v2/hub-proxy/library/alpine/manifests/v1'],
  ])('a mirror of Docker Hub at %j', async (prefix, path) => {
    const server = await origin({ answer: sendsManifest('{}') })
    const { client } = world({ origins: [{ host: 'docker.io', baseUrl: `${server.url}${prefix}` }] })
    await client.headManifest({ origin: 'index.docker.io', repository: 'alpine' }, 'v1', anonymous, never)
    expect(server.seen.map(({ url }) => url)).toEqual([path])
  })
})

test('closing ends what is under way', async () => {
  const server = await origin({ answer: () => undefined })
  const { client } = plainWorld([server])
  const pending = fetch(client, server)
  while (server.seen.length === 0) await new Promise((resolve) => setImmediate(resolve))
  const [socket] = server.connections
  const closed = socket && once(socket, 'close')
  await Promise.all([client.close(), expect(pending).rejects.toMatchObject({ kind: 'unavailable' })])
  await closed
  expect(server.connections.size).toBe(0)
})
