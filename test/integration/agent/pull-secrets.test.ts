/** The whole agent between a client that pulls as containerd does and a real docker-registry that asks for secrets. */
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import type { RunningAgent } from '../../../agent/main.ts'
import { pushImage, type ReferenceRegistry, startRegistryProcess } from '../../../cli/demo/docker-registry.ts'
import { createGuardian, type Guardian } from '../../../cli/demo/guardian.ts'
import { type Image, makeImage, pulledBlobs } from '../../../cli/demo/image.ts'
import { pullImage } from '../../../cli/demo/pull.ts'
import { KiB } from '../../../core/units.ts'
import { createAuthorizer, type Credentials } from '../../support/authorizer.ts'
import { htpasswdAuth } from '../../support/htpasswd.ts'
import { startLoneAgent } from '../../support/lone-agent.ts'
import { lacks } from '../../support/needs.ts'
import { startTokenService, type TokenService } from '../../support/token-service.ts'

let guardian: Guardian
let image: Image
let service: TokenService
const registries: ReferenceRegistry[] = []

const pusher = { username: 'ci', password: 'push-secret' }
const reader = { username: 'team-a', password: 'a-secret' }
const stranger = { username: 'team-b', password: 'b-secret' }

beforeAll(async () => {
  guardian = createGuardian()
  image = await makeImage({
    directory: await guardian.directory(),
    seed: 'pull secrets',
    layerSizesBytes: [300, 900].map((size) => size * KiB),
  })
  service = await startTokenService({
    directory: await guardian.directory(),
    users: {
      [pusher.username]: { password: pusher.password, pulls: 'push' },
      [reader.username]: { password: reader.password, pulls: ['team-a/app'] },
      [stranger.username]: { password: stranger.password, pulls: ['team-b/app'] },
    },
    open: ['public/app'],
  })
})
afterAll(async () => {
  await Promise.all(registries.map((registry) => registry.stop()))
  await service.stop()
  await guardian.close()
})

async function startRegistry(auth: object, repositories: readonly string[]): Promise<string> {
  const registry = await startRegistryProcess(guardian, auth)
  registries.push(registry)
  for (const repository of repositories)
    await pushImage(image, registry.address, repository, `${pusher.username}:${pusher.password}`)
  return registry.address
}

/** How many blobs came through the mirror alone. */
async function pull(
  agent: RunningAgent,
  origin: string,
  repository: string,
  credentials?: Credentials,
): Promise<number> {
  const { blobs } = await pullImage({
    hosts: [`http://127.0.0.1:${agent.addresses.mirror.port}`],
    origin,
    repository,
    reference: image.tag,
    authorize: createAuthorizer(credentials),
  })
  return blobs.length
}

const refused = /HTTP 401/

describe.skipIf(lacks('docker-registry', 'skopeo', 'openssl'))('docker-registry behind a token service', () => {
  let origin: string
  let agent: RunningAgent

  beforeAll(async () => {
    origin = await startRegistry(service.registryAuth, ['team-a/app', 'public/app'])
    agent = await startLoneAgent(guardian, { origins: [`http://${origin}`] })
  })
  afterAll(() => agent.stop())

  test('what anybody may pull needs no secret, and the caller is not sent to the token service', async () => {
    const before = service.issued.length
    expect(await pull(agent, origin, 'public/app')).toBe(pulledBlobs(image, 'amd64').length)
    expect(service.issued.slice(before).map(({ grant, scopes }) => [grant, scopes])).toEqual([
      ['anonymous', ['repository:public/app:pull']],
    ])
  })

  test("the caller's own secret opens what it may pull, and nothing else, cold and warm", async () => {
    await expect(pull(agent, origin, 'team-a/app')).rejects.toThrow(refused)
    await expect(pull(agent, origin, 'team-a/app', stranger)).rejects.toThrow(refused)
    expect(await pull(agent, origin, 'team-a/app', reader)).toBe(pulledBlobs(image, 'amd64').length)
    await expect(pull(agent, origin, 'team-a/app')).rejects.toThrow(refused)
    await expect(pull(agent, origin, 'team-a/app', stranger)).rejects.toThrow(refused)
    await expect(pull(agent, origin, 'team-a/app', { ...reader, password: 'wrong' })).rejects.toThrow(refused)
  })

  test('who is revoked gets no token any more', async () => {
    service.setUser('team-c', { password: 'c-secret', pulls: ['team-a/app'] })
    const revoked = { username: 'team-c', password: 'c-secret' }
    expect(await pull(agent, origin, 'team-a/app', revoked)).toBe(pulledBlobs(image, 'amd64').length)
    service.revoke('team-c')
    await expect(pull(agent, origin, 'team-a/app', revoked)).rejects.toThrow(refused)
    expect(service.issued.at(-1)).toMatchObject({ account: undefined, status: 401 })
  })
})

describe.skipIf(lacks('docker-registry', 'skopeo'))('docker-registry with htpasswd', () => {
  let origin: string
  let agent: RunningAgent

  beforeAll(async () => {
    const users = { [pusher.username]: pusher.password, [reader.username]: reader.password }
    origin = await startRegistry(await htpasswdAuth(await guardian.directory(), users), ['team-a/app'])
    agent = await startLoneAgent(guardian, { origins: [`http://${origin}`] })
  })
  afterAll(() => agent.stop())

  test('Basic: the right secret pulls, a wrong one and none do not, cold and warm', async () => {
    const wrong = { ...reader, password: 'wrong' }
    for (const credentials of [undefined, wrong])
      await expect(pull(agent, origin, 'team-a/app', credentials)).rejects.toThrow(refused)
    expect(await pull(agent, origin, 'team-a/app', reader)).toBe(pulledBlobs(image, 'amd64').length)
    for (const credentials of [undefined, wrong])
      await expect(pull(agent, origin, 'team-a/app', credentials)).rejects.toThrow(refused)
  })
})
