import { once } from 'node:events'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import http from 'node:http'
import net, { type AddressInfo } from 'node:net'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { afterAll, afterEach, beforeAll, describe, expect, test, vi } from 'vitest'
import { anonymous } from '../../../agent/upstream/credential.ts'
import type { OriginClient } from '../../../agent/upstream/origin-client.ts'
import { inTurn, plain, redirectTo } from '../../support/hostile-origin.ts'
import { lacks } from '../../support/needs.ts'
import { digestOf, manifestType } from '../../support/registry-content.ts'
import { createTlsAuthority, type TlsAuthority } from '../../support/tls-authority.ts'
import { never, origin, shown, world } from './client-world.ts'

let directory: string
let authority: TlsAuthority

beforeAll(() => {
  directory = mkdtempSync(path.join(tmpdir(), 'shoal-tls-'))
  authority = createTlsAuthority(directory)
})
afterAll(() => rmSync(directory, { recursive: true }))
afterEach(() => void vi.unstubAllEnvs())

const body = '{}'
const sendManifest = plain(
  200,
  { 'content-type': manifestType, 'docker-content-digest': digestOf(Buffer.from(body)) },
  body,
)

function load(client: OriginClient, host: string, credential = anonymous) {
  return client.getManifest({ origin: host, repository: 'team/app' }, 'v1', credential, never)
}

/** A registry under a name of its own, with a certificate for `names` (its own name unless given). */
function tlsOrigin(host: string, names: readonly string[] = [`DNS:${host}`]) {
  return origin({ host, certificate: authority.issue(...names), answer: sendManifest })
}

describe.skipIf(lacks('openssl'))('TLS', () => {
  test('is believed with a CA for all, or for this origin', async () => {
    const server = await tlsOrigin('registry.example.com')
    const { host } = server
    for (const options of [
      { extraCaFiles: [authority.caFile], origins: [{ host }] },
      { origins: [{ host, caFiles: [authority.caFile] }] },
    ]) {
      expect(await load(world(options).client, host)).toMatchObject({ mediaType: manifestType })
    }
  })

  test('is not believed otherwise, whatever the environment says', async () => {
    vi.stubEnv('NODE_TLS_REJECT_UNAUTHORIZED', '0')
    const server = await tlsOrigin('registry.example.com')
    const other = createTlsAuthority(mkdtempSync(path.join(directory, 'other-')))
    for (const caFiles of [[], [other.caFile]]) {
      const { client, waits } = world({ origins: [{ host: server.host, caFiles }] })
      await expect(load(client, server.host, shown('Basic dTpw'))).rejects.toMatchObject({ kind: 'protocol' })
      expect(waits).toEqual([])
    }
    expect(server.seen).toEqual([])
  })

  test('a CA for one origin is none for another', async () => {
    const [server, other] = [await tlsOrigin('registry.example.com'), await tlsOrigin('other.example.com')]
    const { client } = world({
      origins: [{ host: server.host, caFiles: [authority.caFile] }, { host: other.host }],
    })
    await load(client, server.host)
    await expect(load(client, other.host)).rejects.toMatchObject({ kind: 'protocol' })
  })

  test('a certificate for another name is refused', async () => {
    const server = await tlsOrigin('registry.example.com', ['DNS:registry.example.net', 'IP:127.0.0.1'])
    const { client } = world({ origins: [{ host: server.host, caFiles: [authority.caFile] }] })
    await expect(load(client, server.host)).rejects.toMatchObject({ kind: 'protocol' })
    expect(server.seen).toEqual([])
  })

  test('an address has its own name in the certificate', async () => {
    const server = await tlsOrigin('127.0.0.1', ['IP:127.0.0.1'])
    const { client } = world({ origins: [{ host: server.host, caFiles: [authority.caFile] }] })
    expect(await load(client, server.host)).toMatchObject({ mediaType: manifestType })
  })

  test('no redirect leads out of it, but to an origin listed as plain', async () => {
    const [server, listener] = [await tlsOrigin('registry.example.com'), await origin({ answer: sendManifest })]
    server.respond(redirectTo(`${listener.url}/plain`))
    const registry = { host: server.host, caFiles: [authority.caFile] }
    const strict = world({ origins: [registry, { host: listener.host }] })
    await expect(load(strict.client, server.host, shown('Basic dTpw'))).rejects.toMatchObject({
      kind: 'forbidden-target',
    })
    expect(listener.connections.size).toBe(0)
    const listed = world({ origins: [registry, { host: listener.host, plainHttp: true }] })
    await load(listed.client, server.host, shown('Basic dTpw'))
    expect(listener.seen.map(({ headers }) => headers.authorization)).toEqual([undefined])
  })

  test('a CA file that is none is found at start', () => {
    const file = path.join(directory, 'no.pem')
    writeFileSync(file, 'no certificate')
    expect(() => world({ extraCaFiles: [file] })).toThrow(expect.objectContaining({ code: 'CONFIG_INVALID' }))
    const origins = [{ host: 'registry.example.com', caFiles: [path.join(directory, 'none.pem')] }]
    expect(() => world({ origins })).toThrow(expect.objectContaining({ code: 'CONFIG_INVALID' }))
  })
})

interface Proxy {
  readonly url: string
  readonly seen: { readonly target: string; readonly headers: http.IncomingHttpHeaders }[]
  stop(): void
}

/** A proxy for which every name is this machine. */
async function startProxy(credentials = ''): Promise<Proxy> {
  const seen: Proxy['seen'] = []
  const sockets = new Set<net.Socket>()
  const server = http.createServer((request, response) => {
    seen.push({ target: request.url ?? '', headers: request.headers })
    const { port, pathname, search } = new URL(request.url ?? '')
    const { 'proxy-authorization': _, ...headers } = request.headers
    const forward = { host: '127.0.0.1', port, path: pathname + search, method: request.method, headers }
    http.get(forward, (answer) => answer.pipe(response.writeHead(answer.statusCode ?? 502, answer.headers)))
  })
  server.on('connection', (socket) => sockets.add(socket))
  server.on('connect', (request, socket: net.Socket) => {
    seen.push({ target: request.url ?? '', headers: request.headers })
    const upstream = net.connect(Number(request.url?.split(':').at(-1)), '127.0.0.1', () => {
      socket.write('HTTP/1.1 200 Connection established\r\n\r\n')
      upstream.pipe(socket).pipe(upstream)
    })
    sockets.add(upstream)
    for (const end of [socket, upstream]) end.on('error', () => upstream.destroy())
  })
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  const { port } = server.address() as AddressInfo
  const stop = (): void => {
    server.close()
    for (const socket of sockets) socket.destroy()
  }
  return { url: `http://${credentials}127.0.0.1:${port}`, seen, stop }
}

describe.skipIf(lacks('openssl'))('proxies', () => {
  const proxies: Proxy[] = []
  afterEach(() => {
    for (const started of proxies.splice(0)) started.stop()
  })
  async function proxy(credentials?: string): Promise<Proxy> {
    const started = await startProxy(credentials)
    proxies.push(started)
    return started
  }

  const basic = `Basic ${Buffer.from('user:canary').toString('base64')}`

  test('carry TLS through, and keep their credentials to themselves', async () => {
    const server = await tlsOrigin('registry.example.com')
    const { url, seen } = await proxy('user:canary@')
    const { client } = world({ origins: [{ host: server.host, caFiles: [authority.caFile] }], proxy: { https: url } })
    await load(client, server.host, shown('Basic dTpw'))
    expect(seen.map(({ target, headers }) => [target, headers['proxy-authorization'], headers.authorization])).toEqual([
      [server.host, basic, undefined],
    ])
    expect(server.seen.map(({ headers }) => [headers['proxy-authorization'], headers.authorization])).toEqual([
      [undefined, 'Basic dTpw'],
    ])
  })

  test('do not weaken TLS', async () => {
    const server = await tlsOrigin('registry.example.com')
    const { url } = await proxy()
    const { client } = world({ origins: [{ host: server.host }], proxy: { https: url } })
    await expect(load(client, server.host)).rejects.toMatchObject({ kind: 'protocol' })
    expect(server.seen).toEqual([])
  })

  test('carry plain HTTP', async () => {
    const server = await origin({ host: 'plain.example.com', answer: sendManifest })
    const { url, seen } = await proxy('user:canary@')
    const { client } = world({ origins: [{ host: server.host, plainHttp: true }], proxy: { http: url } })
    await load(client, server.host)
    expect(seen.map(({ target, headers }) => [target, headers['proxy-authorization']])).toEqual([
      [`${server.url}/v2/team/app/manifests/v1`, basic],
    ])
    expect(server.seen[0]?.headers['proxy-authorization']).toBeUndefined()
  })

  test('are for their own scheme, not for NO_PROXY, and not for loopback', async () => {
    const [server, local] = [await tlsOrigin('registry.example.com'), await origin({ answer: sendManifest })]
    const { url, seen } = await proxy()
    const origins = [
      { host: server.host, caFiles: [authority.caFile] },
      { host: local.host, plainHttp: true },
    ]
    await load(world({ origins, proxy: { http: url } }).client, server.host)
    await load(world({ origins, proxy: { https: url, none: 'example.com' } }).client, server.host)
    await load(world({ origins, proxy: { http: url, https: url } }).client, local.host)
    expect(seen).toEqual([])
  })

  test('may be named without a scheme, as containerd has them', async () => {
    const server = await tlsOrigin('registry.example.com')
    const { url, seen } = await proxy()
    const https = url.replace('http://', '')
    const { client } = world({ origins: [{ host: server.host, caFiles: [authority.caFile] }], proxy: { https } })
    await load(client, server.host)
    expect(seen.map(({ target }) => target)).toEqual([server.host])
  })

  test('do not open what is closed', async () => {
    const { url, seen } = await proxy()
    const server = await tlsOrigin('registry.example.com')
    server.respond(
      inTurn(redirectTo('http://169.254.169.254/'), redirectTo('https://10.0.0.1/'), redirectTo('https://[::1]/')),
    )
    const { client } = world({
      origins: [{ host: server.host, caFiles: [authority.caFile] }],
      proxy: { http: url, https: url },
    })
    for (const _ of [1, 2, 3])
      await expect(load(client, server.host)).rejects.toMatchObject({ kind: 'forbidden-target' })
    expect(new Set(seen.map(({ target }) => target))).toEqual(new Set([server.host]))
  })

  test('that refuse or are gone make the origin unavailable', async () => {
    const server = await tlsOrigin('registry.example.com')
    const refusing = await origin()
    const closed = await origin()
    await closed.stop()
    for (const https of [refusing.url, closed.url]) {
      const { client } = world({ origins: [{ host: server.host }], proxy: { https } })
      await expect(load(client, server.host)).rejects.toMatchObject({ kind: 'unavailable' })
    }
  })
})
