/**
 * The rows of docs/security.md against the whole agent: a registry that is hostile, or images and requests that are. What
 * counts is what the attacker's own listener received.
 */
import { writeFile } from 'node:fs/promises'
import path from 'node:path'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import type { RunningAgent } from '../../../agent/main.ts'
import { createGuardian, type Guardian } from '../../../cli/demo/guardian.ts'
import { mediaTypes } from '../../../core/oci/manifest.ts'
import { KiB, MiB } from '../../../core/units.ts'
import { basic } from '../../support/authorizer.ts'
import {
  type HostileOrigin,
  plain,
  redirectTo,
  type Respond,
  serveRegistry,
  startHostileOrigin,
} from '../../support/hostile-origin.ts'
import { startLoneAgent } from '../../support/lone-agent.ts'
import { type RawResponse, request, sendRaw } from '../../support/raw-http.ts'
import { digestOf, manifestType, type Repository, someBytes } from '../../support/registry-content.ts'

const secret = basic({ username: 'team', password: 'canary-6d1f' })
const layer = someBytes(300 * KiB)

let guardian: Guardian
let registry: HostileOrigin
let attacker: HostileOrigin
let agent: RunningAgent

beforeEach(async () => {
  guardian = createGuardian()
  registry = await startHostileOrigin({ host: 'registry.example.com' })
  attacker = await startHostileOrigin({ host: 'evil.example.net', answer: plain(200, {}, '{"token":"t"}') })
  agent = await startAgent([registry])
})
afterEach(async () => {
  await agent.stop()
  await Promise.all([registry.stop(), attacker.stop()])
  await guardian.close()
})

/** Every name is this machine, as DNS of the attacker's would have it. */
async function resolve() {
  return [{ address: '127.0.0.1', family: 4 }]
}

function startAgent(listed: readonly HostileOrigin[], options: object = {}): Promise<RunningAgent> {
  return startLoneAgent(guardian, { origins: listed.map(({ url }) => url), ...options }, { resolve })
}

async function restart(listed: readonly HostileOrigin[], options: object = {}): Promise<void> {
  await agent.stop()
  agent = await startAgent(listed, options)
}

function get(what: string, { authorization, ns = registry.host }: { authorization?: string; ns?: string } = {}) {
  const headers = authorization === undefined ? [] : [`Authorization: ${authorization}`]
  return request(agent.addresses.mirror.port, 'GET', `/v2/${what}?ns=${ns}`, headers)
}

/** Nobody connected to the attacker. */
function expectUntouched(): void {
  expect(attacker.seen).toEqual([])
  expect(attacker.connections.size).toBe(0)
}

const secretHeaders = ['authorization', 'cookie', 'proxy-authorization'] as const

/** The secrets in what a listener was sent. */
function secretsAt({ seen }: HostileOrigin): unknown[] {
  return seen
    .flatMap(({ headers }) => secretHeaders.map((name) => headers[name]))
    .filter((value) => value !== undefined)
}

function ask(what: string): string {
  return `GET /v2/${what}?ns=${registry.host} HTTP/1.1`
}

/** A repository of one manifest, under tag `v1`, and one layer, for whoever shows `authorization`. */
function holding(manifest: string | Uint8Array, mediaType: string = manifestType, authorization?: string): Respond {
  const body = Buffer.from(manifest)
  const repository: Repository = {
    manifests: new Map([[digestOf(body), { mediaType, body }]]),
    tags: new Map([['v1', digestOf(body)]]),
    blobs: new Map([[digestOf(layer), layer]]),
    authorization,
  }
  return serveRegistry({ 'team/app': repository })
}

function imageWith(more: object, layerMore: object = {}): string {
  const config = { mediaType: 'application/vnd.oci.image.config.v1+json', digest: digestOf(Buffer.from('{}')), size: 2 }
  const layers = [
    { mediaType: 'application/vnd.oci.image.layer.v1.tar', digest: digestOf(layer), size: layer.length, ...layerMore },
  ]
  return JSON.stringify({ schemaVersion: 2, mediaType: manifestType, config, layers, ...more })
}

describe('realm: a registry names a token service that is not its own', () => {
  const realms: Readonly<Record<string, (port: number) => string>> = {
    'another host': (port) => `https://evil.example.net:${port}/token`,
    'another host without TLS': (port) => `http://evil.example.net:${port}/token`,
    'its own name as a part of another': (port) => `https://registry.example.com.evil.example.net:${port}/token`,
    'loopback by name': (port) => `http://localhost:${port}/token`,
    'loopback by address': (port) => `http://127.0.0.1:${port}/token`,
    'loopback as one number': (port) => `http://2130706433:${port}/token`,
    'loopback in octal': (port) => `http://0177.0.0.1:${port}/token`,
    'loopback in IPv6': (port) => `http://[::ffff:127.0.0.1]:${port}/token`,
    'a name of its own domain that DNS puts on loopback': (port) => `https://auth.example.com:${port}/token`,
    userinfo: (port) => `https://registry.example.com@evil.example.net:${port}/token`,
    'a metadata service': () => 'http://169.254.169.254/latest/api/token',
  }

  test.each(Object.entries(realms))('%s', async (_, realmAt) => {
    const challenge = `Bearer realm="${realmAt(attacker.port)}",service="x"`
    registry.respond(plain(401, { 'www-authenticate': challenge }))
    for (const given of [{}, { authorization: secret }]) {
      const { status, headers } = await get('team/app/manifests/v1', given)
      expect({ status, challenge: headers['www-authenticate'] }).toEqual({ status: 401, challenge })
    }
    expectUntouched()
  })
})

describe('redirect: a registry sends us elsewhere', () => {
  test.each(['manifests/v1', `blobs/${digestOf(layer)}`])(
    'to a host that may be asked: without any secret, %s',
    async (what) => {
      await restart([registry, attacker])
      const { url } = attacker
      attacker.respond(holding(imageWith({})))
      registry.respond((incoming, response) => {
        if (incoming.headers.authorization === secret) redirectTo(`${url}${incoming.url}`)(incoming, response)
        else plain(401, { 'www-authenticate': 'Basic realm="x"' })(incoming, response)
      })
      expect((await get(`team/app/${what}`, { authorization: secret })).status).toBe(200)
      expect(attacker.seen.length).toBeGreaterThan(0)
      expect(secretsAt(attacker)).toEqual([])
    },
  )

  const targets: Readonly<Record<string, (port: number) => string>> = {
    'without TLS': (port) => `http://evil.example.net:${port}/x`,
    'to loopback': (port) => `https://127.0.0.1:${port}/x`,
    'to a name that DNS puts on loopback': (port) => `https://evil.example.net:${port}/x`,
    'to a metadata service': () => 'http://169.254.169.254/latest/meta-data',
    'to another scheme': () => 'file:///etc/passwd',
  }
  test.each(Object.entries(targets))('%s: not followed', async (_, targetAt) => {
    registry.respond(redirectTo(targetAt(attacker.port)))
    for (const what of ['manifests/v1', `blobs/${digestOf(layer)}`])
      expect((await get(`team/app/${what}`, { authorization: secret })).status).toBeGreaterThanOrEqual(400)
    expectUntouched()
  })
})

describe('credential matching: names that look like one with a secret', () => {
  const lookalikes: Readonly<Record<string, (host: string) => string>> = {
    'the name as a prefix': (host) => host.replace('.com:', '.com.evil.example.net:'),
    'the name as a suffix': (host) => `evil-${host}`,
    'the name below another': (host) => `sub.${host}`,
  }
  test.each(Object.entries(lookalikes))('%s', async (_, nameLike) => {
    const lookalike = await startHostileOrigin({ host: nameLike(registry.host).split(':')[0]!, answer: plain(401) })
    const file = path.join(await guardian.directory(), 'config.json')
    await writeFile(file, JSON.stringify({ auths: { [registry.host]: { auth: secret.slice('Basic '.length) } } }), {
      mode: 0o600,
    })
    await restart([registry, lookalike], { registryConfigs: [file] })
    registry.respond(holding(imageWith({}), manifestType, secret))
    expect((await get('team/app/manifests/v1', { authorization: secret })).status).toBe(200)
    expect((await get('team/app/manifests/v1', { ns: lookalike.host })).status).toBe(401)
    expect(lookalike.seen.length).toBeGreaterThan(0)
    expect(secretsAt(lookalike)).toEqual([])
    await lookalike.stop()
  })

  test('a repository whose name begins like one that was granted asks for itself', async () => {
    registry.respond(holding(imageWith({}), manifestType, secret))
    expect((await get('team/app/manifests/v1', { authorization: secret })).status).toBe(200)
    const asked = registry.seen.length
    expect((await get('team/app-x/manifests/v1', { authorization: secret })).status).toBe(404)
    expect((await get('team/manifests/v1', { authorization: secret })).status).toBe(404)
    expect(registry.seen.slice(asked).map(({ url }) => url.split('/manifests')[0])).toContain('/v2/team/app-x')
  })
})

test('foreign layer: urls of a manifest are asked by nobody, also by no prefetch', async () => {
  const urls = [`${attacker.url}/layer`, `https://evil.example.net:${attacker.port}/layer`, 'http://169.254.169.254/']
  registry.respond(
    holding(imageWith({}, { urls, mediaType: 'application/vnd.docker.image.rootfs.foreign.diff.tar.gzip' })),
  )
  expect((await get('team/app/manifests/v1')).status).toBe(200)
  const { status, body } = await get(`team/app/blobs/${digestOf(layer)}`)
  expect({ status, size: body.length }).toEqual({ status: 200, size: layer.length })
  expectUntouched()
})

test('ns: only a registry that may be asked is asked', async () => {
  const { port } = attacker
  const texts = [
    `evil.example.net:${port}`,
    `127.0.0.1:${port}`,
    `2130706433:${port}`,
    `localhost:${port}`,
    `[::1]:${port}`,
    `registry.example.com@evil.example.net:${port}`,
    `evil.example.net:${port}%2f..`,
    `evil.example.net:${port}%23${registry.host}`,
    `evil.example.net:${port}%0d%0aHost:%20${registry.host}`,
    `xn--vil-dma.example.net:${port}`,
    `${registry.host}&ns=evil.example.net:${port}`,
    `http:%2f%2fevil.example.net:${port}`,
    '169.254.169.254',
  ]
  for (const ns of texts) {
    const { status } = await get('team/app/manifests/v1', { authorization: secret, ns })
    expect(status, ns).toBeGreaterThanOrEqual(400)
  }
  expectUntouched()
  expect(registry.seen).toEqual([])
})

describe('manifest confusion: nothing that a document which could be two things names is fetched', () => {
  const index = JSON.stringify({
    schemaVersion: 2,
    manifests: [{ mediaType: manifestType, digest: digestOf(layer), size: layer.length }],
  })
  test.each<[string, string, string]>([
    ['an image that is an index as well', imageWith({ manifests: [] }), manifestType],
    ['an index that is served as an image', index, manifestType],
    ['an image that calls itself an index', imageWith({ mediaType: mediaTypes.ociIndex }), manifestType],
    ['a key that stands twice', imageWith({}).replace('"layers"', '"layers":[],"layers"'), manifestType],
    ['no JSON at all', 'hello', manifestType],
    ['more than a manifest may have', `${' '.repeat(4 * MiB)}${imageWith({})}`, manifestType],
  ])('%s', async (_, document, mediaType) => {
    registry.respond(holding(document, mediaType))
    expect((await get('team/app/manifests/v1')).status).toBeGreaterThanOrEqual(400)
    expect(registry.seen.filter(({ url }) => url.includes('/blobs/'))).toEqual([])
  })
})

describe('smuggling: of requests that could be two, none reaches a registry', () => {
  const host = 'Host: localhost'
  const hidden = (): string => `${ask('team/app/manifests/v1')}\r\n${host}\r\nAuthorization: ${secret}\r\n\r\n`

  const smuggled: Readonly<Record<string, () => string>> = {
    'a length and chunks': () =>
      `${ask('team/app/manifests/v1')}\r\n${host}\r\nContent-Length: 6\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n${hidden()}`,
    'two lengths': () =>
      `${ask('team/app/manifests/v1')}\r\n${host}\r\nContent-Length: 0\r\nContent-Length: 9\r\n\r\n${hidden()}`,
    'a folded header': () =>
      `${ask('team/app/manifests/v1')}\r\n${host}\r\nX-A: b\r\n\tTransfer-Encoding: chunked\r\n\r\n`,
    'two hosts': () =>
      `${ask('team/app/manifests/v1')}\r\n${host}\r\nHost: evil.example.net\r\nConnection: close\r\n\r\n`,
    'an absolute form': () =>
      `GET http://${attacker.host}/v2/team/app/manifests/v1 HTTP/1.1\r\n${host}\r\nConnection: close\r\n\r\n`,
    'a line break in the target': () =>
      `GET /v2/team/app/manifests/v1\n?ns=${registry.host} HTTP/1.1\r\n${host}\r\n\r\n`,
  }
  test.each(Object.entries(smuggled))('%s', async (_, text) => {
    const { status } = await sendRaw(agent.addresses.mirror.port, text())
    expect(status).toBeGreaterThanOrEqual(400)
    expect(registry.seen).toEqual([])
    expectUntouched()
  })

  test.each([
    '/team/app/manifests/v1',
    'team/app;x/manifests/v1',
    'team%2fapp/manifests/v1',
    'team/%2e%2e/app/manifests/v1',
    'team/app/manifests/v1/../v1',
  ])('the path /v2/%s is none', async (what) => {
    const answer: RawResponse = await get(what, { authorization: secret })
    expect(answer.status).toBeGreaterThanOrEqual(400)
    expect(registry.seen).toEqual([])
  })
})
