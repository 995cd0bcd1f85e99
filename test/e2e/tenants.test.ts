/**
 * Two tenants with pull secrets on the nodes of one cluster: real containerd asks as kubelet has it ask, of a real docker-registry
 * behind a token service. B has a containerd of its own, so that whatever it holds came through an agent or from a registry.
 */
import { readFile } from 'node:fs/promises'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { type Failover, failovers } from '../../agent/access/policy.ts'
import {
  type AgentProcess,
  agentReady,
  readMetrics,
  startAgent,
  startCluster,
  stopAgent,
} from '../../cli/demo/agents.ts'
import { pushImage, type ReferenceRegistry, startRegistryProcess } from '../../cli/demo/docker-registry.ts'
import { createGuardian } from '../../cli/demo/guardian.ts'
import { blobPath, type Image, makeImage, pulledBlobs } from '../../cli/demo/image.ts'
import { untilTrue } from '../../cli/demo/until.ts'
import type { Digest } from '../../core/oci/digest.ts'
import { KiB, MiB } from '../../core/units.ts'
import { type Containerd, startContainerd, usableSnapshotter, writeHosts } from '../support/containerd/containerd.ts'
import { type ContainerdBinary, findContainerd } from '../support/containerd/versions.ts'
import { type HostileOrigin, serveRegistry, startHostileOrigin } from '../support/hostile-origin.ts'
import { lyingAbout } from '../support/lying-registry.ts'
import { lacks } from '../support/needs.ts'
import { type RecordedExchange, type Recorder, startRecorder } from '../support/recorder.ts'
import { digestOf, type Repository } from '../support/registry-content.ts'
import { startTokenService, type TokenService } from '../support/token-service.ts'

const guardian = createGuardian()
const binary = await findContainerd('installed')
const pusher = 'ci:push-secret'
const ofA = { username: 'team-a', password: 'a-secret' }
/** Another account of A's, which is never revoked. */
const alsoOfA = { username: 'team-a-too', password: 'another-secret' }
const ofB = { username: 'team-b', password: 'b-secret' }

const refused = /failed to pull and unpack image/

let service: TokenService
let registry: ReferenceRegistry
/** B's own, which names A's image and says that it has it. */
let liar: HostileOrigin
/** A pulls its image through the first; the second never had it; beside the third, containerd has it, straight from the registry. */
let agents: AgentProcess[]
let imageOfA: Image
let imageOfB: Image

async function makeImageOf(seed: string): Promise<Image> {
  const directory = await guardian.directory()
  return makeImage({ directory, seed, layerSizesBytes: [300 * KiB, 3 * MiB] })
}

/** Every content of A's image, amd64. */
async function contentsOf(image: Image): Promise<Map<Digest, Buffer>> {
  const digests = pulledBlobs(image, 'amd64').map(({ digest }) => digest)
  return new Map(
    await Promise.all(
      digests.map(async (digest) => [digest, await readFile(blobPath(image.directory, digest))] as const),
    ),
  )
}

/** A tag of B's that means A's index, and an index of B's own that names A's manifest. */
function thieving(contents: ReadonlyMap<Digest, Buffer>): Repository {
  const body = contents.get(imageOfA.index.digest) ?? Buffer.alloc(0)
  const wrapped = Buffer.from(JSON.stringify({ ...JSON.parse(String(body)), annotations: { by: 'B' } }))
  const mediaType = 'application/vnd.oci.image.index.v1+json'
  return {
    manifests: new Map([[digestOf(wrapped), { mediaType, body: wrapped }]]),
    tags: new Map([['v1', digestOf(wrapped)]]),
    blobs: new Map(),
    authorization: undefined,
  }
}

async function startNode(agent: AgentProcess | undefined) {
  const recorder = await startRecorder(agent?.mirror ?? '')
  const hostsDir = await writeHosts(await guardian.directory(), recorder.url)
  return { containerd: await startContainerdWith(hostsDir), recorder }
}

async function heldOf(image: Image, containerd: Containerd): Promise<number> {
  const held = await containerd.blobs()
  return pulledBlobs(image, 'amd64').filter(({ digest }) => held.has(digest)).length
}

/** Content that the agent has taken from registries; the parts that prove possession are none. */
async function bytesFetched(agent: AgentProcess | undefined): Promise<number> {
  const metrics = await readMetrics(agent?.ops ?? '')
  return metrics.get('shoal_bytes_total{direction="received",source="origin"}') ?? 0
}

/** What the agent gave of an image. */
function givenOf(image: Image, { exchanges }: Recorder): readonly RecordedExchange[] {
  const digests = pulledBlobs(image, 'amd64').map(({ digest }) => digest)
  const given = exchanges.filter(({ method, status }) => method === 'GET' && status < 300)
  return given.filter(({ url }) => digests.some((digest) => url.includes(digest)))
}

beforeAll(async () => {
  if (typeof binary === 'string') return
  imageOfA = await makeImageOf('the image of A')
  imageOfB = await makeImageOf('the image of B')
  service = await startTokenService({
    directory: await guardian.directory(),
    users: {
      ci: { password: 'push-secret', pulls: 'push' },
      [ofA.username]: { password: ofA.password, pulls: ['team-a/app'] },
      [alsoOfA.username]: { password: alsoOfA.password, pulls: ['team-a/app'] },
      [ofB.username]: { password: ofB.password, pulls: ['team-b/app'] },
    },
  })
  registry = await startRegistryProcess(guardian, service.registryAuth)
  await pushImage(imageOfA, registry.address, 'team-a/app', pusher)
  await pushImage(imageOfB, registry.address, 'team-b/app', pusher)
  const contents = await contentsOf(imageOfA)
  const answer = lyingAbout(contents, serveRegistry({ 'evil/app': thieving(contents) }))
  liar = await startHostileOrigin({ answer })
  const plainOrigins = [registry.address, liar.host]
  agents = [...(await startCluster(guardian, 2, { plainOrigins })), await startBesideContainerd(plainOrigins)]
})

async function startBesideContainerd(plainOrigins: readonly string[]): Promise<AgentProcess> {
  const hostsDir = await writeHosts(await guardian.directory(), `http://${registry.address}`)
  const containerd = await startContainerdWith(hostsDir)
  await containerd.cri.pull(`${registry.address}/team-a/app:${imageOfA.tag}`, ofA)
  await containerd.stop()
  const flags = ['--containerd-content-dir', containerd.contentDir]
  const agent = await startAgent(guardian, { directory: await guardian.directory(), seeds: [], plainOrigins, flags })
  await agentReady(agent, 1)
  const held = 'shoal_store_blobs{state="complete"}'
  const count = pulledBlobs(imageOfA, 'amd64').length
  await untilTrue('the content of containerd', async () => ((await readMetrics(agent.ops)).get(held) ?? 0) >= count)
  return agent
}

async function startContainerdWith(hostsDir: string): Promise<Containerd> {
  const snapshotter = await usableSnapshotter(guardian)
  return startContainerd(guardian, { binary: binary as ContainerdBinary, snapshotter, hostsDir })
}

afterAll(async () => {
  await Promise.all((agents ?? []).map(stopAgent))
  await registry?.stop()
  await Promise.all([liar?.stop(), service?.stop()])
  await guardian.close()
})

describe.skipIf(typeof binary === 'string' || lacks('docker-registry', 'skopeo', 'openssl'))('two tenants', () => {
  test('A pulls its image with its secret, and has all of it through the agent', async () => {
    const { containerd, recorder } = await startNode(agents[0])
    await containerd.cri.pull(`${registry.address}/team-a/app:${imageOfA.tag}`, ofA)
    expect(await heldOf(imageOfA, containerd)).toBe(pulledBlobs(imageOfA, 'amd64').length)
    const noes = recorder.exchanges.filter(({ status }) => status >= 400)
    expect(new Set(noes.map(({ status }) => status))).toEqual(new Set([401]))
    expect(recorder.exchanges.filter(({ url, status }) => url.includes('/blobs/') && status === 200)).toHaveLength(3)
    recorder.close()
    await containerd.stop()
  })

  test.each([
    ['where A pulled it', 0],
    ['that never had it', 1],
    ['whose containerd has it', 2],
  ])('B gets nothing of it, by any name, on a node %s; its own image as ever', async (_, agent) => {
    const { containerd, recorder } = await startNode(agents[agent])
    const { address } = registry
    const [config] = pulledBlobs(imageOfA, 'amd64')
    const names = [
      [`${address}/team-a/app:${imageOfA.tag}`, ofB],
      [`${address}/team-a/app:${imageOfA.tag}`, undefined],
      [`${address}/team-a/app@${imageOfA.index.digest}`, ofB],
      [`${address}/team-b/app@${imageOfA.index.digest}`, ofB],
      [`${address}/team-b/app@${imageOfA.platforms[0]?.manifest.digest}`, ofB],
      [`${address}/team-b/app@${config?.digest}`, ofB],
      [`${liar.host}/evil/app:v1`, undefined],
      [`${liar.host}/evil/app@${imageOfA.index.digest}`, undefined],
    ] as const
    for (const [name, secret] of names) await expect(containerd.cri.pull(name, secret)).rejects.toThrow(refused)
    expect(await heldOf(imageOfA, containerd)).toBe(0)
    expect(givenOf(imageOfA, recorder)).toEqual([])

    await containerd.cri.pull(`${address}/team-b/app:${imageOfB.tag}`, ofB)
    expect(await heldOf(imageOfB, containerd)).toBe(pulledBlobs(imageOfB, 'amd64').length)
    expect(givenOf(imageOfB, recorder).length).toBeGreaterThanOrEqual(pulledBlobs(imageOfB, 'amd64').length)
    recorder.close()
    await containerd.stop()
  })

  test('A has it of an agent whose containerd has it, which asks the registry for small parts only', async () => {
    const { containerd, recorder } = await startNode(agents[2])
    const before = await bytesFetched(agents[2])
    await containerd.cri.pull(`${registry.address}/team-a/app:${imageOfA.tag}`, ofA)
    expect(givenOf(imageOfA, recorder)).toHaveLength(pulledBlobs(imageOfA, 'amd64').length)
    expect(await bytesFetched(agents[2])).toBe(before)
    recorder.close()
    await containerd.stop()
  })

  test("once A's secret is revoked, a node that holds the image gives it to A no more than to others", async () => {
    service.revoke(ofA.username)
    const { containerd, recorder } = await startNode(agents[0])
    await expect(containerd.cri.pull(`${registry.address}/team-a/app:${imageOfA.tag}`, ofA)).rejects.toThrow(refused)
    expect(givenOf(imageOfA, recorder)).toEqual([])
    recorder.close()
    await containerd.stop()
  })

  describe('while the registry is down', () => {
    const nodes = new Map<Failover, AgentProcess>()
    beforeAll(async () => {
      for (const failover of failovers) nodes.set(failover, await startNodeOfA(failover))
      await registry.stop()
    })
    afterAll(() => Promise.all([...nodes.values()].map(stopAgent)))

    test.each(failovers)('and failover is %s, B gets of A only what an operator gives to anybody', async (failover) => {
      const { containerd, recorder } = await startNode(nodes.get(failover))
      const digests = [imageOfA.index.digest, imageOfA.platforms[0]?.manifest.digest]
      const ownNames = digests.map((digest) => `${registry.address}/team-b/app@${digest}`)
      for (const name of ownNames) await expect(containerd.cri.pull(name, ofB)).rejects.toThrow(refused)
      expect(givenOf(imageOfA, recorder)).toEqual([])

      const isForAll = failover === 'Allow'
      for (const name of [`team-a/app@${digests[0]}`, `team-a/app:${imageOfA.tag}`]) {
        const outcome = await containerd.cri.pull(`${registry.address}/${name}`, ofB).then(
          () => 'pulled',
          (error: unknown) => (refused.test(String(error)) ? 'refused' : error),
        )
        expect(outcome).toBe(isForAll ? 'pulled' : 'refused')
      }
      expect(givenOf(imageOfA, recorder)).toHaveLength(isForAll ? pulledBlobs(imageOfA, 'amd64').length : 0)
      recorder.close()
      await containerd.stop()
    })
  })
})

/** An agent with that policy, through which A has just pulled. */
async function startNodeOfA(failover: Failover): Promise<AgentProcess> {
  const directory = await guardian.directory()
  const flags = ['--origin-failover', failover]
  const agent = await startAgent(guardian, { directory, seeds: [], plainOrigins: [registry.address], flags })
  await agentReady(agent, 1)
  const { containerd, recorder } = await startNode(agent)
  await containerd.cri.pull(`${registry.address}/team-a/app:${imageOfA.tag}`, alsoOfA)
  expect(givenOf(imageOfA, recorder)).toHaveLength(pulledBlobs(imageOfA, 'amd64').length)
  recorder.close()
  await containerd.stop()
  return agent
}
