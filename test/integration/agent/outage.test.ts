/** A whole agent, and a real docker-registry that stops and starts, with its token service and without: who is served what. */
import path from 'node:path'
import { request } from 'undici'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import type { AgentConfig } from '../../../agent/config.ts'
import type { RunningAgent } from '../../../agent/main.ts'
import { readMetrics } from '../../../cli/demo/agents.ts'
import { pushImage, type RegistryProcess, startRegistryProcess } from '../../../cli/demo/docker-registry.ts'
import { createGuardian, type Guardian } from '../../../cli/demo/guardian.ts'
import { type Image, makeImage } from '../../../cli/demo/image.ts'
import { hour, KiB, minute } from '../../../core/units.ts'
import { htpasswdAuth } from '../../support/htpasswd.ts'
import { startLoneAgent } from '../../support/lone-agent.ts'
import { lacks } from '../../support/needs.ts'
import { startTokenService, type TokenService } from '../../support/token-service.ts'

let guardian: Guardian
let image: Image
let other: Image
const running: { stop(): Promise<void> }[] = []

const basic = (name: string, password: string): string =>
  `Basic ${Buffer.from(`${name}:${password}`).toString('base64')}`
const pusher = 'ci:push-secret'
const reader = basic('team-a', 'a-secret')
const stranger = basic('team-b', 'b-secret')
const users = { ci: 'push-secret', 'team-a': 'a-secret', 'team-b': 'b-secret' }

beforeAll(async () => {
  guardian = createGuardian()
  const directory = await guardian.directory()
  image = await makeImage({ directory: path.join(directory, 'one'), seed: 'outage', layerSizesBytes: [300 * KiB] })
  other = await makeImage({ directory: path.join(directory, 'two'), seed: 'other', layerSizesBytes: [300 * KiB] })
})
afterAll(async () => {
  await Promise.all(running.splice(0).map((part) => part.stop()))
  await guardian.close()
})

async function startRegistry(auth: object, repositories: readonly string[]): Promise<RegistryProcess> {
  const registry = await startRegistryProcess(guardian, auth)
  running.push(registry)
  for (const repository of repositories) {
    await pushImage(image, registry.address, repository, pusher)
    await pushImage(other, registry.address, `${repository}-more`, pusher)
  }
  return registry
}

/** Every request is asked about, so that no yes of the last minute hides the outage. */
async function startAgent(
  registry: RegistryProcess,
  policy: Partial<AgentConfig['origins'][number]>,
  others: readonly string[] = [],
): Promise<Asking> {
  const agent = await startLoneAgent(guardian, {
    origins: [{ host: registry.address, plainHttp: true, enforcement: 'Every', ...policy }, ...others],
  })
  running.push(agent)
  return { agent, origin: registry.address }
}

interface Asking {
  readonly agent: RunningAgent
  readonly origin: string
}

/** A GET of `team-a/app/<rest>`, with what of the answer tells how it came about. */
async function get({ agent, origin }: Asking, rest: string, authorization?: string, repository = 'team-a/app') {
  const url = `http://127.0.0.1:${agent.addresses.mirror.port}/v2/${repository}/${rest}?ns=${origin}`
  const { statusCode, headers, body } = await request(url, { headers: authorization ? { authorization } : {} })
  const bytes = Buffer.from(await body.arrayBuffer())
  return {
    status: statusCode,
    bytes: bytes.length,
    asks: headers['www-authenticate'],
    staleSince: headers['shoal-stale-since'],
  }
}

const statusOf = async (...asked: Parameters<typeof get>) => (await get(...asked)).status

const tagOf = ({ tag }: Image): string => `manifests/${tag}`
const layerOf = ({ platforms }: Image): string => `blobs/${platforms[0]?.layers[0]?.digest}`
const indexOf = ({ index }: Image): string => `manifests/${index.digest}`

/** The tag of an image that was pulled, once it is no longer told from what was asked a moment ago. */
async function untilStale(asking: Asking, authorization?: string): Promise<void> {
  await expect
    .poll(() => get(asking, tagOf(image), authorization), { timeout: minute })
    .toMatchObject({ status: 200, staleSince: expect.stringMatching(/GMT$/) })
}

describe.skipIf(lacks('docker-registry', 'skopeo'))('docker-registry with htpasswd, in mode origin', () => {
  let registry: RegistryProcess

  beforeAll(async () => {
    registry = await startRegistry(await htpasswdAuth(await guardian.directory(), users), ['team-a/app'])
  })

  /** What is served: to who pulled the image by tag, of another repository, and to who showed nothing. */
  test.each([
    { failover: 'Deny', digest: 503, tag: 503, more: 503, wrong: 503, nobody: 503 },
    { failover: 'SameImage', digest: 200, tag: 200, more: 503, wrong: 503, nobody: 401 },
    { failover: 'SameRepository', digest: 200, tag: 200, more: 503, wrong: 503, nobody: 401 },
    { failover: 'SameRegistry', digest: 200, tag: 200, more: 200, wrong: 503, nobody: 401 },
    { failover: 'Allow', digest: 200, tag: 200, more: 200, wrong: 200, nobody: 200 },
  ] as const)('$failover', async ({ failover, ...expected }) => {
    const asking = await startAgent(registry, { failover, failoverMs: hour })
    expect(await get(asking, tagOf(image))).toMatchObject({ status: 401, asks: 'Basic realm="registry.test"' })
    expect(await get(asking, tagOf(image), reader)).toMatchObject({ status: 200, staleSince: undefined })
    expect(await statusOf(asking, indexOf(other), stranger, 'team-a/app-more')).toBe(200)

    await registry.stop()
    if (failover !== 'Deny') await untilStale(asking, reader)
    const served = async () => ({
      digest: await statusOf(asking, indexOf(image), reader),
      tag: await statusOf(asking, tagOf(image), reader),
      more: await statusOf(asking, indexOf(other), reader, 'team-a/app-more'),
      wrong: await statusOf(asking, indexOf(image), basic('team-a', 'guess')),
      nobody: await statusOf(asking, indexOf(image)),
    })
    // The first request in vain has the agent ask as nobody again, which shows that the registry is down for all.
    await expect.poll(served, { timeout: minute }).toEqual(expected)
    const metrics = await readMetrics(`http://127.0.0.1:${asking.agent.addresses.ops.port}`)
    await registry.start()
    expect(metrics.get('shoal_origin_hosts_resting')).toBe(1)

    // Left alone for a second or more after the last try in vain; then the registry itself answers again.
    await expect
      .poll(() => get(asking, tagOf(image), reader), { timeout: minute })
      .toMatchObject({
        status: 200,
        staleSince: undefined,
      })
    expect(await get(asking, indexOf(image), basic('team-a', 'guess'))).toMatchObject({ status: 401 })
  })
})

describe.skipIf(lacks('docker-registry', 'skopeo', 'openssl'))('docker-registry behind a token service', () => {
  let registry: RegistryProcess
  let service: TokenService

  beforeAll(async () => {
    service = await startTokenService({
      directory: await guardian.directory(),
      users: {
        ci: { password: users.ci, pulls: 'push' },
        'team-a': { password: users['team-a'], pulls: ['team-a/app'] },
        'team-b': { password: users['team-b'], pulls: [] },
      },
      // The agent's tokens end at once, so that it needs the service for each question.
      lifetimeSeconds: 1,
    })
    registry = await startRegistry(service.registryAuth, ['team-a/app'])
  })

  test('exchange: passwords are asked for, proven, and recognised while token service and registry are down', async () => {
    const policy = { access: 'exchange', failover: 'SameRepository', failoverMs: hour } as const
    const asking = await startAgent(registry, policy, [new URL(service.realm).origin])
    const asksForPassword = { status: 401, asks: `Basic realm="${registry.address}"` }
    const issuedBefore = service.issued.length
    expect(await get(asking, tagOf(image))).toMatchObject(asksForPassword)
    expect(await get(asking, tagOf(image), reader)).toMatchObject({ status: 200, staleSince: undefined })
    expect(await statusOf(asking, layerOf(image), reader)).toBe(200)
    expect(await get(asking, tagOf(image), stranger)).toMatchObject({ status: 401, asks: undefined })
    expect(await get(asking, tagOf(image), basic('team-a', 'guess'))).toMatchObject({ status: 401, asks: undefined })
    expect(new Set(service.issued.slice(issuedBefore).map(({ grant, account }) => `${grant} ${account}`))).toEqual(
      new Set(['anonymous ', 'basic team-a', 'basic team-b', 'basic undefined']),
    )

    await service.stop()
    await untilStale(asking, reader)
    const whileDown = async () => ({
      nobody: await get(asking, indexOf(image)),
      reader: await statusOf(asking, indexOf(image), reader),
      layer: await statusOf(asking, layerOf(image), reader),
      stranger: await statusOf(asking, indexOf(image), stranger),
      wrong: await statusOf(asking, indexOf(image), basic('team-a', 'guess')),
    })
    const expected = { nobody: asksForPassword, reader: 200, layer: 200, stranger: 503, wrong: 503 }
    expect(await whileDown()).toMatchObject(expected)
    await registry.stop()
    expect(await whileDown()).toMatchObject(expected)
  })
})
