/**
 * Two tenants on the nodes of one cluster (DESIGN, invariant 4): B, who may read a repository of its own, never gets a byte of
 * what only A's repository has. Real agents; a private registry that is honest, and one of B's that says yes to everything.
 */
import { createHash } from 'node:crypto'
import { afterAll, beforeAll, describe, expect, onTestFinished, test } from 'vitest'
import { failovers } from '../../../agent/access/policy.ts'
import { type AgentProcess, startCluster, stopAgent } from '../../../cli/demo/agents.ts'
import { createGuardian } from '../../../cli/demo/guardian.ts'
import type { Digest } from '../../../core/oci/digest.ts'
import { mediaTypes } from '../../../core/oci/manifest.ts'
import { limits } from '../../../core/limits.ts'
import { KiB, MiB } from '../../../core/units.ts'
import { type HostileOrigin, plain, serveRegistry, startHostileOrigin } from '../../support/hostile-origin.ts'
import { startLoneAgent } from '../../support/lone-agent.ts'
import { lyingAbout } from '../../support/lying-registry.ts'
import { digestOf, type Repositories, type Repository } from '../../support/registry-content.ts'

const guardian = createGuardian()
const secretOfA = `Basic ${Buffer.from('a:a-secret').toString('base64')}`
const secretOfB = `Basic ${Buffer.from('b:b-secret').toString('base64')}`

/** What goes without a swarm, what does not, and what no manifest can be as long as. */
const sizes = { config: 2 * KiB, small: 300 * KiB, large: limits.manifestSizeMaxBytes + MiB }

interface Content {
  readonly kind: 'manifests' | 'blobs'
  readonly digest: Digest
  readonly bytes: Buffer
}

interface TestImage {
  readonly contents: Readonly<Record<'index' | 'manifest' | 'config' | 'small' | 'large', Content>>
  in(authorization: string): Repository
}

function bytesOf(seed: string, length: number): Buffer {
  return createHash('shake256', { outputLength: length }).update(seed).digest()
}

function contentOf(kind: Content['kind'], bytes: Buffer): Content {
  return { kind, bytes, digest: digestOf(bytes) }
}

function describeContent({ bytes, digest }: Content, mediaType: string): object {
  return { mediaType, digest, size: bytes.length }
}

function imageOf(seed: string): TestImage {
  const [config, small, large] = (['config', 'small', 'large'] as const).map((name) =>
    contentOf('blobs', bytesOf(`${seed} ${name}`, sizes[name])),
  )
  if (config === undefined || small === undefined || large === undefined) throw new TypeError('three blobs')
  const layers = [small, large].map((layer) => describeContent(layer, 'application/vnd.oci.image.layer.v1.tar'))
  const fields = {
    schemaVersion: 2,
    config: describeContent(config, 'application/vnd.oci.image.config.v1+json'),
    layers,
  }
  const manifest = contentOf('manifests', Buffer.from(JSON.stringify({ ...fields, mediaType: mediaTypes.ociManifest })))
  const index = indexOf([manifest])
  return {
    contents: { index, manifest, config, small, large },
    in: (authorization) => ({
      manifests: new Map([
        [manifest.digest, { mediaType: mediaTypes.ociManifest, body: manifest.bytes }],
        [index.digest, { mediaType: mediaTypes.ociIndex, body: index.bytes }],
      ]),
      tags: new Map([['v1', index.digest]]),
      blobs: new Map([config, small, large].map(({ digest, bytes }) => [digest, bytes])),
      authorization,
    }),
  }
}

function indexOf(manifests: readonly Content[]): Content {
  const described = manifests.map((manifest) => describeContent(manifest, mediaTypes.ociManifest))
  const fields = { schemaVersion: 2, mediaType: mediaTypes.ociIndex, manifests: described }
  return contentOf('manifests', Buffer.from(JSON.stringify(fields)))
}

const ofA = imageOf('the image of A')
const ofB = imageOf('the image of B')
const contentsOfA = Object.values(ofA.contents)
/** B publishes an index of its own that names A's manifest, and that of B. */
const stealing = indexOf([ofA.contents.manifest, ofB.contents.manifest])

function withStealing(repository: Repository): Repository {
  return {
    ...repository,
    manifests: new Map([
      ...repository.manifests,
      [stealing.digest, { mediaType: mediaTypes.ociIndex, body: stealing.bytes }],
    ]),
    tags: new Map([...repository.tags, ['stealing', stealing.digest]]),
  }
}

const repositories: Repositories = { 'team/a': ofA.in(secretOfA), 'team/b': withStealing(ofB.in(secretOfB)) }

/** B's own registry. */
const lie = lyingAbout(
  new Map(contentsOfA.map(({ digest, bytes }) => [digest, bytes])),
  serveRegistry({ 'evil/b': withStealing(ofB.in(secretOfB)) }),
)

let honest: HostileOrigin
let liar: HostileOrigin
/** The first holds A's image, since A pulls it there; the others never did. */
let agents: AgentProcess[]

beforeAll(async () => {
  honest = await startHostileOrigin({ answer: serveRegistry(repositories) })
  liar = await startHostileOrigin({ answer: lie })
  agents = await startCluster(guardian, 3, { plainOrigins: [honest.host, liar.host] })
  await takeAll(mirrorOf(0), 'team/a', ofA, secretOfA)
})
afterAll(async () => {
  await Promise.all(agents.map(stopAgent))
  await Promise.all([honest.stop(), liar.stop(), guardian.close()])
})

interface Asked {
  readonly method?: 'GET' | 'HEAD'
  readonly origin?: HostileOrigin
  readonly range?: string
}

/** Where an agent of the cluster is asked. */
function mirrorOf(agent: number): string {
  return agents[agent]?.mirror ?? ''
}

async function ask(
  mirror: string,
  path: string,
  authorization: string | undefined,
  { method = 'GET', origin = honest, range }: Asked = {},
): Promise<{ status: number; body: Buffer; headers: Headers }> {
  const headers = new Headers()
  if (authorization !== undefined) headers.set('authorization', authorization)
  if (range !== undefined) headers.set('range', range)
  const response = await fetch(`${mirror}/v2/${path}?ns=${origin.host}`, { method, headers })
  const parts: Uint8Array[] = []
  // A response that breaks off has given what it has given.
  for await (const part of response.body ?? []) parts.push(part)
  return { status: response.status, headers: response.headers, body: Buffer.concat(parts) }
}

/** The contents of the image that came as they are. */
async function takeAll(
  mirror: string,
  repository: string,
  { contents }: TestImage,
  secret: string,
  asked: Asked = {},
): Promise<string[]> {
  const taken: string[] = []
  for (const [name, content] of Object.entries(contents)) {
    const { body } = await ask(mirror, pathOf(repository, content), secret, asked)
    if (body.equals(content.bytes)) taken.push(name)
  }
  return taken
}

function pathOf(repository: string, { kind, digest }: Content): string {
  return `${repository}/${kind}/${digest}`
}

/** As GET, HEAD and range, each content of A through a repository. */
async function tryAll(mirror: string, repository: string, secret: string | undefined, origin = honest) {
  const asked: Asked[] = [
    {},
    { method: 'HEAD' },
    { range: 'bytes=0-99' },
    { range: 'bytes=100-' },
    { range: 'bytes=-1' },
  ]
  const tried = []
  for (const content of contentsOfA)
    for (const how of asked)
      tried.push({ content, how, answer: await ask(mirror, pathOf(repository, content), secret, { ...how, origin }) })
  return tried
}

const nodes = [
  ['that holds it', 0],
  ['that never did', 1],
] as const

describe.each(nodes)("A's image, on a node %s", (_, agent) => {
  test("through A's repository: the challenge of the registry, for B's secret as for none", async () => {
    for (const secret of [secretOfB, undefined]) {
      expect((await ask(mirrorOf(agent), 'team/a/manifests/v1', secret)).status).toBe(401)
      for (const { answer } of await tryAll(mirrorOf(agent), 'team/a', secret)) {
        expect(answer.status).toBe(401)
        expect(answer.headers.get('www-authenticate')).toBe('Basic realm="test"')
        expectNothingOf(answer.body)
      }
    }
  })

  test("through B's repository, which B may read: not found, whatever else is here", async () => {
    const absent = contentOf('blobs', Buffer.from('nobody has this'))
    const nowhere = await ask(mirrorOf(agent), pathOf('team/b', absent), secretOfB)
    expect(nowhere.status).toBe(404)
    const tried = await tryAll(mirrorOf(agent), 'team/b', secretOfB)
    expect(new Set(tried.map(({ answer }) => answer.status))).toEqual(new Set([404]))
    // In words that are the same for what is nowhere.
    expect(new Set(tried.map(({ answer }) => answer.body.toString()))).toEqual(new Set(['', nowhere.body.toString()]))
  })

  test("as what it is not, through B's repository: the same words, whatever its kind and size", async () => {
    const absent = contentOf('manifests', Buffer.from('nobody has this'))
    const nowhere = await ask(mirrorOf(agent), pathOf('team/b', absent), secretOfB)
    // A grant, by which none of what follows is asked for.
    expect((await ask(mirrorOf(agent), 'team/b/manifests/v1', secretOfB)).status).toBe(200)
    for (const { kind, digest } of contentsOfA) {
      const path = `team/b/${kind === 'blobs' ? 'manifests' : 'blobs'}/${digest}`
      const { status, body } = await ask(mirrorOf(agent), path, secretOfB)
      expect({ digest, status, body: body.toString() }).toEqual({ digest, status: 404, body: nowhere.body.toString() })
      expect((await ask(mirrorOf(agent), path, secretOfB, { method: 'HEAD' })).status).toBe(404)
    }
  })

  test('by an index that B publishes beside it: B gets its index, and not found for what it names', async () => {
    expect((await ask(mirrorOf(agent), 'team/b/manifests/stealing', secretOfB)).body).toEqual(stealing.bytes)
    for (const { answer } of await tryAll(mirrorOf(agent), 'team/b', secretOfB)) expect(answer.status).toBe(404)
  })

  test("by an index in a registry of B's that says yes to everything: B gets what that sends, and no byte of A's", async () => {
    expect((await ask(mirrorOf(agent), 'evil/b/manifests/stealing', secretOfB, { origin: liar })).body).toEqual(
      stealing.bytes,
    )
    for (const { answer, content, how } of await tryAll(mirrorOf(agent), 'evil/b', secretOfB, liar)) {
      if (how.method === 'HEAD') continue
      if (answer.status >= 400) expectNothingOf(answer.body)
      else expectNoneRight(answer, content.bytes)
    }
  })
})

/** An answer in words. */
function expectNothingOf(body: Buffer): void {
  expect(body.length).toBeLessThan(limits.originErrorBodyMaxBytes)
  for (const { bytes } of contentsOfA) expect(body.includes(bytes.subarray(0, 16))).toBe(false)
}

function expectNoneRight({ body, headers }: { body: Buffer; headers: Headers }, whole: Buffer): void {
  const start = Number(/^bytes (\d+)-/.exec(headers.get('content-range') ?? '')?.[1] ?? 0)
  expect(body.findIndex((byte, offset) => byte === whole[start + offset])).toBe(-1)
}

test.each(nodes)("B's own image is served as ever, on a node %s", async (_, agent) => {
  expect(await takeAll(mirrorOf(agent), 'team/b', ofB, secretOfB)).toEqual(Object.keys(ofB.contents))
})

test('A has its image from peers, and the registry is asked for nothing but a grant', async () => {
  const before = honest.seen.length
  expect(await takeAll(mirrorOf(2), 'team/a', ofA, secretOfA)).toEqual(Object.keys(ofA.contents))
  const { digest } = ofA.contents.index
  const proofs = [undefined, secretOfA].map((secret) => [`HEAD /v2/team/a/manifests/${digest}`, secret])
  expect(
    honest.seen.slice(before).map(({ method, url, headers }) => [`${method} ${url}`, headers.authorization]),
  ).toEqual(proofs)
})

describe.each(failovers)('while the registry is down and failover is %s', (failover) => {
  test("B gets nothing of A's by its own repository, and by A's only where an operator says that anybody may", async () => {
    const registry = await startHostileOrigin({ answer: serveRegistry(repositories) })
    onTestFinished(() => registry.stop())
    const options = { origins: [`http://${registry.host}`], originFailover: failover, originEnforcement: 'Every' }
    const agent = await startLoneAgent(guardian, options)
    onTestFinished(() => agent.stop())
    const mirror = `http://127.0.0.1:${agent.addresses.mirror.port}`
    await takeAll(mirror, 'team/a', ofA, secretOfA, { origin: registry })
    await takeAll(mirror, 'team/b', ofB, secretOfB, { origin: registry })
    registry.respond(plain(503))

    const own = await tryAll(mirror, 'team/b', secretOfB, registry)
    expect(new Set(own.map(({ answer }) => answer.status))).toEqual(new Set([503]))
    for (const { answer } of own) expectNothingOf(answer.body)
    const taken = await takeAll(mirror, 'team/a', ofA, secretOfB, { origin: registry })
    const isForAll = failover === 'SameRegistry' || failover === 'Allow'
    expect(taken).toEqual(isForAll ? Object.keys(ofA.contents) : [])
  })
})
