/**
 * The whole agent before every registry of test/support/registries/rows.ts, pulled through as containerd pulls. What each
 * host received is what counts; what a pull costs is kept in `recorded/`, from which docs/registries.md is made.
 */
import { readFileSync } from 'node:fs'
import path from 'node:path'
import { type Agent, request as httpRequest } from 'undici'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import type { RunningAgent } from '../../../agent/main.ts'
import { createEgress } from '../../../agent/upstream/egress.ts'
import { createGuardian, type Guardian } from '../../../cli/demo/guardian.ts'
import { type Image, makeImage, pulledBlobs } from '../../../cli/demo/image.ts'
import { pullImage } from '../../../cli/demo/pull.ts'
import { KiB } from '../../../core/units.ts'
import { type Authorize, createAuthorizer, type Credentials } from '../../support/authorizer.ts'
import type { SeenRequest } from '../../support/hostile-origin.ts'
import { startLoneAgent } from '../../support/lone-agent.ts'
import { lacks } from '../../support/needs.ts'
import { type RawResponse, request } from '../../support/raw-http.ts'
import { dispatcherTo, type Emulator, fullName, resolveTo, startEmulator } from '../../support/registries/emulator.ts'
import type { RegistryRow } from '../../support/registries/row.ts'
import { registryRows } from '../../support/registries/rows.ts'
import { type Repository, repositoryOf } from '../../support/registry-content.ts'
import { createTlsAuthority, type TlsAuthority } from '../../support/tls-authority.ts'

const names = ['open', 'private', 'other'] as const

let guardian: Guardian
let authority: TlsAuthority
const images = new Map<string, Image>()
const contents = new Map<string, Repository>()

beforeAll(async () => {
  guardian = createGuardian()
  if (lacks('root', 'openssl')) return
  authority = createTlsAuthority(await guardian.directory())
  for (const name of names) {
    const layerSizesBytes = [200, 600, 100].map((size) => size * KiB)
    const image = await makeImage({
      directory: await guardian.directory(),
      seed: `registries ${name}`,
      layerSizesBytes,
    })
    images.set(name, image)
    contents.set(name, await repositoryOf(image))
  }
})
afterAll(() => guardian.close())

const imageOf = (name: (typeof names)[number]): Image => images.get(name)!
const pulled = (name: (typeof names)[number]): number => pulledBlobs(imageOf(name), 'amd64').length

describe.each(registryRows.map((row) => [row.name, row] as const))('%s', (_, row) => {
  test('its token service and its storage may be asked without a word of configuration', () => {
    const egress = createEgress({ origins: row.api === undefined ? [] : [{ host: row.origin, baseUrl: row.api }] })
    const site = egress.site(row.origin)
    const realms = row.access.scheme === 'bearer' ? [row.access.realm] : []
    expect(realms.map((realm) => egress.realm(site, site.baseUrl, realm).url.href)).toEqual(realms)
    const storages = row.storage === undefined ? [] : [new URL(row.storage.url, site.baseUrl)]
    expect(storages.map((url) => egress.target(site, url).url)).toEqual(storages)
  })

  describe.skipIf(lacks('root', 'openssl'))('through the agent', () => {
    runThrough(row)
  })
})

function runThrough(row: RegistryRow): void {
  let emulator: Emulator
  let agent: RunningAgent
  let dispatcher: Agent
  const { open, private: team } = row.repositories
  const wrong = { ...row.credentials, password: 'wrong' }

  beforeAll(async () => {
    const repositories = {
      ...(open === undefined ? {} : { [fullName(row, open)]: contents.get('open')! }),
      [team]: contents.get('private')!,
      [`${team}/other`]: contents.get('other')!,
    }
    emulator = await startEmulator(row, { authority, repositories })
    dispatcher = dispatcherTo([emulator], readFileSync(authority.caFile, 'utf8'))
    agent = await start(row, emulator)
  })
  afterAll(async () => {
    await agent?.stop()
    await dispatcher?.close()
    await emulator?.stop()
  })

  const authorizer = (credentials?: Credentials): Authorize => createAuthorizer(credentials, dispatcher)

  /** How many contents came, all by the mirror. */
  async function pull(repository: string, credentials?: Credentials): Promise<number> {
    const { blobs } = await pullImage({
      hosts: [`http://127.0.0.1:${agent.addresses.mirror.port}`],
      origin: row.origin,
      repository,
      reference: 'latest',
      authorize: authorizer(credentials),
    })
    return blobs.length
  }

  /** One request, with what answers the challenge. */
  async function ask(
    method: string,
    what: string,
    credentials?: Credentials,
    headers: readonly string[] = [],
  ): Promise<RawResponse> {
    const { port } = agent.addresses.mirror
    const url = `/v2/${what}?ns=${encodeURIComponent(row.origin)}`
    const first = await request(port, method, url, headers)
    const challenge = first.status === 401 ? first.headers['www-authenticate'] : undefined
    const authorization = challenge === undefined ? undefined : await authorizer(credentials)(challenge)
    return authorization === undefined
      ? first
      : request(port, method, url, [...headers, `Authorization: ${authorization}`])
  }

  const refused: Record<string, number> = {}
  const record: Record<string, unknown> = { refused }

  test.skipIf(open === undefined)('what anybody may pull is pulled without a secret', async () => {
    emulator.forget()
    expect(await pull(open!)).toBe(pulled('open'))
    expect(shownBy(emulator).filter(isSecret)).toEqual([])
    record['open'] = requestsOf(emulator)
  })

  test('what is private is pulled with the right secret', async () => {
    emulator.forget()
    expect(await pull(team, row.credentials)).toBe(pulled('private'))
    record['private'] = requestsOf(emulator)
    emulator.forget()
    expect(await pull(team, row.credentials)).toBe(pulled('private'))
    record['again'] = requestsOf(emulator)
  })

  test.each(['latest', 'missing'])(
    'a wrong secret and none are refused, whether it is there or not: %s',
    async (tag) => {
      for (const [who, credentials] of [
        ['nobody', undefined],
        ['wrongSecret', wrong],
      ] as const) {
        const { status } = await ask('GET', `${team}/manifests/${tag}`, credentials)
        expect(status).toBeOneOf([400, 401, 403])
        refused[who] = status
      }
    },
  )

  test('a wrong secret and none get no layer of what is here by now', async () => {
    const [layer] = imageOf('private').platforms[0]!.layers
    for (const credentials of [undefined, wrong])
      expect((await ask('GET', `${team}/blobs/${layer!.digest}`, credentials)).status).toBeOneOf([400, 401, 403])
  })

  test('a range of a layer, with the right secret', async () => {
    const [, layer] = imageOf('other').platforms[0]!.layers
    const bytes = contents.get('other')!.blobs.get(layer!.digest)!
    const answer = await ask('GET', `${team}/other/blobs/${layer!.digest}`, row.credentials, [
      'Range: bytes=70000-150000',
    ])
    expect(answer.status).toBe(206)
    expect(answer.body.equals(bytes.subarray(70_000, 150_001))).toBe(true)
  })

  test.skipIf(row.storage === undefined)('a signed URL that has expired is asked for anew', async () => {
    emulator.forget()
    emulator.expireSignedUrls(1)
    const [layer] = imageOf('other').platforms[0]!.layers
    const answer = await ask('GET', `${team}/other/blobs/${layer!.digest}`, row.credentials)
    expect(answer.status).toBe(200)
    expect(answer.body.length).toBe(layer!.size)
  })

  test('the agent shows an Authorization to the registry alone, and a secret only where that asks for Basic', () => {
    expect(shownBy(emulator).filter(({ host }) => host !== apiHostOf(row))).toEqual([])
    expect(shownBy(emulator).length).toBeGreaterThan(0)
    expect(shownBy(emulator).some(isSecret)).toBe(row.access.scheme === 'basic')
  })

  test('what is not there is 404', async () => {
    const { status, body } = await ask('GET', `${team}/manifests/missing`, row.credentials)
    expect({ status, code: codeOf(body) }).toEqual({ status: 404, code: 'MANIFEST_UNKNOWN' })
  })

  const exchange = row.access.scheme === 'bearer' ? row.access.exchange : undefined
  test.skipIf(exchange === undefined)("an identity's token is exchanged for a refresh token, which pulls", async () => {
    const { url, identityToken } = exchange!
    const form = { grant_type: 'access_token', service: row.origin, access_token: identityToken }
    const body = new URLSearchParams(form).toString()
    const headers = { 'content-type': 'application/x-www-form-urlencoded' }
    const answer = await httpRequest(url, { method: 'POST', headers, body, dispatcher })
    const { refresh_token: password } = (await answer.body.json()) as { refresh_token: string }
    expect(await pull(team, { ...row.credentials, password })).toBe(pulled('private'))
  })

  test('the API says at /v2/ what it is documented to say, and the agent never asks there who may read', async () => {
    expect(emulator.seen.filter(({ url }) => new URL(url).pathname.endsWith('/v2/'))).toEqual([])
    const { headers, body } = await httpRequest(`${row.api ?? `https://${row.origin}`}/v2/`, { dispatcher })
    await body.dump()
    expect(headers['www-authenticate']).toBe(pingChallengeOf(row))
  })

  test.skipIf(row.blocked === undefined)("what the registry's policy forbids is refused in its words", async () => {
    const { status, body } = await ask('GET', `${team}/manifests/blocked`, row.credentials)
    expect({ status, body: body.toString() }).toEqual({ status: row.blocked?.status, body: row.blocked?.body })
  })

  test('over the limit: 503 with the time to wait, never 429', async () => {
    emulator.limit(0)
    const manifest = imageOf('other').platforms[1]!.manifest
    const { status, headers, body } = await ask('GET', `${team}/other/manifests/${manifest.digest}`, row.credentials)
    expect({ status, code: codeOf(body) }).toEqual({ status: 503, code: 'TOOMANYREQUESTS' })
    expect(Number(headers['retry-after'])).toBeGreaterThan(0)
    emulator.limit(Infinity)
  })

  test('what a pull costs is as recorded', async () => {
    const { name, origin, access, storage, sources } = row
    const baseUrl = row.origin === 'docker.io' ? undefined : row.api
    const told = {
      name,
      origin,
      baseUrl,
      scheme: access.scheme,
      storage: storage && emulator.storageHost,
      sources,
      ...record,
    }
    await expect(`${JSON.stringify(told, null, 2)}\n`).toMatchFileSnapshot(
      path.join(import.meta.dirname, `recorded/${fileName(name)}.json`),
    )
  })
}

/** Without a scope, since it is about no repository. */
function pingChallengeOf({ access }: RegistryRow): string {
  if (access.scheme === 'basic') return access.challenge
  const service = access.pingLacks === 'service' ? '' : `,service="${access.service}"`
  const also = access.also === undefined ? '' : `, ${access.also}`
  return `Bearer realm="${access.realm}"${service}${also}`
}

function codeOf(body: Buffer): string | undefined {
  const { errors } = JSON.parse(body.toString()) as { errors: { code: string }[] }
  return errors[0]?.code
}

function fileName(name: string): string {
  return name
    .toLowerCase()
    .replaceAll(/[^a-z]+/g, '-')
    .replace(/-$/, '')
}

async function start(row: RegistryRow, emulator: Emulator): Promise<RunningAgent> {
  const caFiles = [authority.caFile]
  // Listed only because they are played on loopback.
  const others = emulator.hosts.filter((host) => host !== row.origin).map((host) => ({ host, caFiles }))
  const named = { host: row.origin, caFiles, ...(row.api === undefined ? {} : { baseUrl: row.api }) }
  return startLoneAgent(guardian, { origins: [named, ...others] }, { resolve: resolveTo([emulator]) })
}

interface Shown {
  readonly host: string
  readonly authorization: string
}

/** Where the agent itself showed what; the caller's own token requests are its own business. */
function shownBy({ seen }: Emulator): Shown[] {
  return seen
    .filter(isFromAgent)
    .flatMap(({ headers }) =>
      headers.authorization === undefined ? [] : [{ host: headers.host ?? '', authorization: headers.authorization }],
    )
}

/** A token opens one repository for a while, and is none. */
function isSecret({ authorization }: Shown): boolean {
  return authorization.startsWith('Basic')
}

function apiHostOf({ api, origin }: RegistryRow): string {
  return new URL(api ?? `https://${origin}`).host
}

function isFromAgent({ headers }: SeenRequest): boolean {
  return headers['user-agent'] === 'shoal'
}

/** How many of each kind: `HEAD manifest`, `GET blob`, `GET token`, `GET storage`, those of the caller apart. */
function requestsOf(emulator: Emulator): Record<string, number> {
  const counts: Record<string, number> = {}
  for (const seen of emulator.seen) {
    const kind = `${isFromAgent(seen) ? '' : 'caller: '}${kindOf(seen, emulator)}`
    counts[kind] = (counts[kind] ?? 0) + 1
  }
  return Object.fromEntries(Object.entries(counts).toSorted(([a], [b]) => (a < b ? -1 : 1)))
}

function kindOf({ method, url }: SeenRequest, { row, storageHost }: Emulator): string {
  const { host, pathname } = new URL(url)
  const [, kind] = /\/(manifest|blob)s\/[^/]+$/.exec(pathname) ?? []
  if (row.access.scheme === 'bearer' && url.startsWith(row.access.realm)) return 'token'
  if (kind === undefined || host !== apiHostOf(row))
    return host === storageHost ? `${method} storage` : `${method} ${pathname}`
  return `${method} ${kind}`
}
