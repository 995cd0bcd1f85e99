/**
 * The agent's own credentials against real docker-registries: they finish what a caller began, and open nothing to anybody.
 */
import { copyFile, mkdir, readFile, writeFile } from 'node:fs/promises'
import path from 'node:path'
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from 'vitest'
import { z } from 'zod'
import { openOwnCredentials, type OwnCredentialsOptions } from '../../../agent/credentials/own-credentials.ts'
import { createProgramRunner } from '../../../agent/credentials/program.ts'
import { systemClock } from '../../../agent/system/clock.ts'
import { agentReady, type AgentProcess, readMetrics, startAgent, stopAgent } from '../../../cli/demo/agents.ts'
import { pushImage, type ReferenceRegistry, startRegistryProcess } from '../../../cli/demo/docker-registry.ts'
import { createGuardian, type Guardian } from '../../../cli/demo/guardian.ts'
import { type Image, makeImage, pulledBlobs } from '../../../cli/demo/image.ts'
import { untilTrue } from '../../../cli/demo/until.ts'
import { KiB } from '../../../core/units.ts'
import { htpasswdAuth } from '../../support/htpasswd.ts'
import { lacks } from '../../support/needs.ts'
import { startTokenService, type TokenService } from '../../support/token-service.ts'
import { never, world } from '../upstream/client-world.ts'

const pusher = ['ci', 'push-secret'] as const
const caller = ['team-a', 'a-secret'] as const
const node = ['node', 'n-secret'] as const

let guardian: Guardian
let image: Image
const stops: (() => Promise<void>)[] = []

const images = createGuardian()
beforeAll(async () => {
  const layerSizesBytes = [900, 700, 300].map((size) => size * KiB)
  image = await makeImage({ directory: await images.directory(), seed: 'own credentials', layerSizesBytes })
})
afterAll(() => images.close())

beforeEach(() => {
  guardian = createGuardian()
})
afterEach(async () => {
  for (const stop of stops.splice(0).toReversed()) await stop()
  await guardian.close()
})

async function startRegistry(auth: object): Promise<ReferenceRegistry> {
  const registry = await startRegistryProcess(guardian, auth)
  stops.push(() => registry.stop())
  await pushImage(image, registry.address, 'team-a/app', pusher.join(':'))
  return registry
}

/** As a node would run it, and telling all that it ever tells. */
async function startLoudAgent(origin: string, flags: readonly string[]): Promise<AgentProcess> {
  const directory = await guardian.directory()
  const agent = await startAgent(guardian, {
    directory,
    seeds: [],
    plainOrigins: [origin],
    flags: ['--log-level', 'trace', ...flags],
  })
  stops.push(() => stopAgent(agent))
  await agentReady(agent, 1)
  return agent
}

/** A directory as Kubernetes mounts a Secret of type kubernetes.io/dockerconfigjson. */
async function mountSecret(origin: string): Promise<string[]> {
  const mounted = path.join(await guardian.directory(), 'mounted')
  await mkdir(mounted)
  const auths = { [origin]: { auth: basic(node) } }
  await writeFile(path.join(mounted, '.dockerconfigjson'), JSON.stringify({ auths }), { mode: 0o440 })
  return ['--registry-configs', mounted]
}

const provider = 'provider.sh'
const binDir = path.join(import.meta.dirname, '../../support/credential-programs')

/** The config of a provider that answers with the node's account. */
async function writeProviderConfig(origin: string): Promise<string> {
  const directory = await guardian.directory()
  const [configFile, answerFile] = [path.join(directory, 'providers.yaml'), path.join(directory, 'answer.json')]
  const apiVersion = 'credentialprovider.kubelet.k8s.io/v1'
  const auth = { [origin]: { username: node[0], password: node[1] } }
  const kind = 'CredentialProviderResponse'
  await writeFile(answerFile, JSON.stringify({ apiVersion, kind, cacheKeyType: 'Registry', auth }), { mode: 0o600 })
  await writeFile(
    configFile,
    `apiVersion: kubelet.config.k8s.io/v1
kind: CredentialProviderConfig
providers:
- name: ${provider}
  apiVersion: ${apiVersion}
  matchImages: ["*.*.*.*:${origin.split(':')[1]}"]
  defaultCacheDuration: 1h
  env: [{ name: ASKED, value: /dev/null }, { name: ANSWER, value: ${answerFile} }]
`,
  )
  return configFile
}

async function useProvider(origin: string): Promise<string[]> {
  return ['--credential-provider-config', await writeProviderConfig(origin), '--credential-provider-bin-dir', binDir]
}

async function useProviderBesideItsConfig(origin: string): Promise<string[]> {
  const configFile = await writeProviderConfig(origin)
  await copyFile(path.join(binDir, provider), path.join(path.dirname(configFile), provider))
  return ['--credential-provider-config', configFile]
}

/** What a mirror's client asks for: the tag, the index, the manifest, the config, and the layers. */
function paths() {
  const [index, manifest, config, ...layers] = pulledBlobs(image, 'amd64').map(({ digest }) => digest)
  const manifests = [image.tag, index, manifest].map((reference) => `manifests/${reference}`)
  return { manifests, config: `blobs/${config}`, layers: layers.map((digest) => `blobs/${digest}`) }
}

type Secret = readonly [string, string]

function basic(secret: Secret): string {
  return Buffer.from(secret.join(':')).toString('base64')
}

function ask(base: string, what: string, secret?: Secret, query = ''): Promise<Response> {
  const authorization = secret && `Basic ${basic(secret)}`
  return fetch(`${base}/v2/team-a/app/${what}${query}`, {
    headers: { accept: '*/*', ...(authorization !== undefined && { authorization }) },
  })
}

/** A registry for three users, an agent in front of it, and its Secret if it is to have one. */
async function start(ownFlags: (origin: string) => Promise<string[]> = async () => []) {
  const directory = await guardian.directory()
  const users = Object.fromEntries([pusher, caller, node])
  const registry = await startRegistry(await htpasswdAuth(directory, users))
  const agent = await startLoudAgent(registry.address, await ownFlags(registry.address))
  return {
    get: async (what: string, secret?: Secret) => {
      const answer = await ask(agent.mirror, what, secret, `?ns=${registry.address}`)
      return { status: answer.status, size: (await answer.arrayBuffer()).byteLength }
    },
    /** The caller's secret is no secret any more. */
    revoke: async () => {
      await htpasswdAuth(directory, Object.fromEntries([pusher, node]))
      const { status } = await ask(`http://${registry.address}`, paths().manifests[0] ?? '', caller)
      expect(status).toBe(401)
    },
    metric: async (name: string) => (await readMetrics(agent.ops)).get(name),
    /** All that the agent has said. */
    said: async () =>
      `${await readFile(agent.logFile, 'utf8')}${[...(await readMetrics(agent.ops)).keys()].join('\n')}`,
  }
}

describe.skipIf(lacks('docker-registry', 'skopeo'))('docker-registry with htpasswd', () => {
  test.each([
    ['a mounted Secret', mountSecret],
    ['a credential provider', useProvider],
  ])('what a caller began is fetched to its end by %s; nobody else gets a byte of it', async (_, ownFlags) => {
    const { get, revoke, metric, said } = await start(ownFlags)
    const { manifests, config, layers } = paths()
    const [first = ''] = layers
    for (const what of manifests) expect(await get(what, caller)).toMatchObject({ status: 200 })
    expect(await metric('shoal_own_credential_fetches_total')).toBe(0)

    await revoke()
    const [largest] = pulledBlobs(image, 'amd64').slice(3)
    expect(await get(first, caller)).toEqual({ status: 200, size: largest?.size })
    // Two manifests and three layers, of which nobody has asked for two.
    await untilTrue('the prefetch', async () => (await metric('shoal_store_blobs{state="complete"}')) === 5)
    expect(await metric('shoal_own_credential_fetches_total')).toBeGreaterThanOrEqual(3)

    for (const secret of [undefined, ['team-b', 'b-secret'], ['team-a', 'wrong'], ['node', 'wrong']] as const)
      for (const what of [...manifests, config, ...layers])
        expect([secret, what, await get(what, secret)]).toMatchObject([secret, what, { status: 401 }])

    const words = await said()
    expect(words.includes('request refused')).toBe(true)
    expect([caller, node].filter((secret) => words.includes(secret[1]) || words.includes(basic(secret)))).toEqual([])
  })

  test('without own ones it ends there', async () => {
    const { get, revoke } = await start()
    const { manifests, layers } = paths()
    for (const what of manifests) await get(what, caller)
    await revoke()
    // In the words of the origin, so that the caller comes again with another credential.
    expect(await get(layers[0] ?? '', caller)).toMatchObject({ status: 401 })
  })

  test('a repository that only the agent may read is refused to callers, and not fetched', async () => {
    const { get, metric } = await start(useProviderBesideItsConfig)
    const { manifests, config, layers } = paths()
    for (const secret of [undefined, ['team-b', 'b-secret']] as const)
      for (const what of [...manifests, config, ...layers])
        expect(await get(what, secret)).toMatchObject({ status: 401 })
    expect(await metric('shoal_own_credential_fetches_total')).toBe(0)
    expect(await metric('shoal_store_blobs{state="complete"}')).toBe(0)
  })
})

/** What the token service was asked by `pullBy`. */
function exchanged(grant: string): object[] {
  return ['team-a', 'team-b'].map((team) => ({
    grant,
    account: node[0],
    scopes: [`repository:${team}/app:pull`],
    status: 200,
  }))
}

describe.skipIf(lacks('docker-registry', 'skopeo', 'openssl'))('docker-registry behind a token service', () => {
  let service: TokenService
  let address: string

  beforeEach(async () => {
    const pulls = ['team-a/app']
    const users = {
      [pusher[0]]: { password: pusher[1], pulls: 'push' },
      [node[0]]: { password: node[1], pulls },
    } as const
    service = await startTokenService({ directory: await guardian.directory(), users })
    stops.push(() => service.stop())
    address = (await startRegistry(service.registryAuth)).address
  })

  /** Pulls by the one credential that the options give: from the repository that the account may read, and from another. */
  async function pullBy(options: OwnCredentialsOptions): Promise<void> {
    const own = await openOwnCredentials(
      {
        clock: systemClock,
        run: createProgramRunner(),
        logger: { warn: (...parts: unknown[]) => expect(parts).toEqual([]) },
        env: process.env,
        key: new Uint8Array(32),
      },
      options,
    )
    const { client } = world({
      origins: [address, new URL(service.realm).host].map((host) => ({ host, plainHttp: true })),
    })
    const at = { origin: address, repository: 'team-a/app' }
    const [index] = pulledBlobs(image, 'amd64')
    for await (const credential of own.candidates(at, never)) {
      expect(await client.headManifest(at, image.tag, credential, never)).toMatchObject({ digest: index?.digest })
      const elsewhere = client.headManifest({ ...at, repository: 'team-b/app' }, image.tag, credential, never)
      await expect(elsewhere).rejects.toMatchObject({ kind: 'unauthorized' })
    }
  }

  test('a credential provider gives an account that the token service takes', async () => {
    await pullBy({ providers: { configFile: await writeProviderConfig(address), binDir }, registryConfigs: [] })
    expect(service.issued.slice(-2)).toMatchObject(exchanged('basic'))
  })

  test('an identity token of a docker config file is exchanged by OAuth2', async () => {
    const answer = await fetch(`${service.realm}?service=registry.test&offline_token=true`, {
      headers: { authorization: `Basic ${basic(node)}` },
    })
    const { refresh_token: identitytoken } = z.object({ refresh_token: z.string() }).parse(await answer.json())
    const file = path.join(await guardian.directory(), 'config.json')
    await writeFile(file, JSON.stringify({ auths: { [`http://${address}`]: { identitytoken } } }), { mode: 0o600 })
    await pullBy({ registryConfigs: [file] })
    expect(service.issued.slice(-2)).toMatchObject(exchanged('refresh_token'))
  })
})
