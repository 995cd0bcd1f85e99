/**
 * Real containerd, through one agent, from docker-registry: what a node does when it runs a pod. Every blob that lands in
 * containerd's store is hashed and compared.
 */
import { afterAll, beforeAll, expect, onTestFinished, test } from 'vitest'
import { type AgentProcess, agentReady, startAgent } from '../../cli/demo/agents.ts'
import { pushImage } from '../../cli/demo/docker-registry.ts'
import { freePorts } from '../../cli/demo/free-ports.ts'
import { createGuardian } from '../../cli/demo/guardian.ts'
import { type Image, fiveUnequalLayers, makeImage, pulledBlobs } from '../../cli/demo/image.ts'
import { startOrigin } from '../../cli/demo/origin.ts'
import { untilTrue } from '../../cli/demo/until.ts'
import { MiB } from '../../core/units.ts'
import {
  missingBlobs,
  type Snapshotter,
  startContainerd,
  usableSnapshotter,
  writeHosts,
} from '../support/containerd/containerd.ts'
import { type ContainerdBinary, describeContainerds } from '../support/containerd/versions.ts'
import { type DockerRegistry, startDockerRegistry } from '../support/docker-registry.ts'
import { type RecordedExchange, type Recorder, startRecorder } from '../support/recorder.ts'

const guardian = createGuardian()
let image: Image
let registry: DockerRegistry
let snapshotter: Snapshotter

beforeAll(async () => {
  image = await makeImage({
    directory: await guardian.directory(),
    seed: 'e2e containerd',
    layerSizesBytes: fiveUnequalLayers(24 * MiB),
  })
  registry = await startDockerRegistry(guardian)
  await pushImage(image, registry.address, 'demo/app')
  snapshotter = await usableSnapshotter(guardian)
})

afterAll(async () => {
  await registry?.stop()
  await guardian.close()
})

await describeContainerds(describeVersion)

function describeVersion(binary: ContainerdBinary): void {
  let agent: AgentProcess
  let recorder: Recorder
  let hostsDir: string

  beforeAll(async () => {
    agent = await startLoneAgent(registry.address)
    recorder = await startRecorder(agent.mirror)
    hostsDir = await writeHosts(await guardian.directory(), recorder.url)
  })
  afterAll(() => {
    recorder?.close()
    agent?.process.kill('SIGKILL')
  })

  const start = async (rangeBytes = 0) => {
    const containerd = await startContainerd(guardian, { binary, snapshotter, hostsDir, rangeBytes })
    onTestFinished(() => containerd.stop())
    return containerd
  }

  test('ctr pulls by tag, and another platform by digest', async () => {
    const containerd = await start()
    const mark = recorder.exchanges.length
    await containerd.pullWithCtr(`${registry.address}/demo/app:${image.tag}`, ['--platform', 'linux/amd64'])
    expect(await missingBlobs(containerd, image)).toEqual([])
    await containerd.pullWithCtr(`${registry.address}/demo/app@${image.index.digest}`, ['--platform', 'linux/arm64'])
    expect(await missingBlobs(containerd, image, 'arm64')).toEqual([])
    expectServed(recorder.exchanges.slice(mark), ['amd64', 'arm64'])
  })

  test('CRI pulls by digest and by tag, as kubelet asks', async () => {
    const { cri, ...containerd } = await start()
    const mark = recorder.exchanges.length
    const byDigest = await cri.pull(`${registry.address}/demo/app@${image.index.digest}`)
    const byTag = await cri.pull(`${registry.address}/demo/app:${image.tag}`)
    expect([byDigest, byTag]).toEqual(Array(2).fill(configDigest('amd64')))
    expect(await missingBlobs(containerd, image)).toEqual([])
    expectServed(recorder.exchanges.slice(mark), ['amd64'])
  })

  test.skipIf(binary.major < 2)('reads layers as parallel ranges: after the first 206 nothing but 206', async () => {
    const { cri, ...containerd } = await start(MiB)
    const mark = recorder.exchanges.length
    await cri.pull(`${registry.address}/demo/app:${image.tag}`)
    expect(await missingBlobs(containerd, image)).toEqual([])
    const [largest] = pulledBlobs(image, 'amd64').toSorted((a, b) => b.size - a.size)
    const statuses = recorder.exchanges
      .slice(mark)
      .filter(({ url }) => url.includes(`/blobs/${largest?.digest}`))
      .map(({ status }) => status)
    expect(statuses.length).toBeGreaterThan(3)
    expect(new Set(statuses)).toEqual(new Set([206]))
  })

  test('an agent that is not there costs nothing: the pull goes to the origin', async () => {
    const [closedPort] = await freePorts(1)
    const deadHosts = await writeHosts(await guardian.directory(), `http://127.0.0.1:${closedPort}`)
    const containerd = await startContainerd(guardian, { binary, snapshotter, hostsDir: deadHosts })
    onTestFinished(() => containerd.stop())
    await containerd.cri.pull(`${registry.address}/demo/app:${image.tag}`)
    expect(await missingBlobs(containerd, image)).toEqual([])
  })

  test('an agent killed in the middle of a layer: the pull goes on at the origin', async () => {
    const slow = await startOrigin({ repositories: { 'demo/app': image }, rateBytesPerSecond: 12 * MiB })
    onTestFinished(() => slow.close())
    const victim = await startLoneAgent(slow.address)
    const victimHosts = await writeHosts(await guardian.directory(), victim.mirror)
    const containerd = await startContainerd(guardian, { binary, snapshotter, hostsDir: victimHosts })
    onTestFinished(() => containerd.stop())
    const pulled = containerd.cri.pull(`${slow.address}/demo/app:${image.tag}`)
    await untilTrue('a third of the image at the agent', async () => slow.bytesSent() > 8 * MiB)
    victim.process.kill('SIGKILL')
    expect(await pulled).toBe(configDigest('amd64'))
    expect(await missingBlobs(containerd, image)).toEqual([])
  })
}

async function startLoneAgent(origin: string): Promise<AgentProcess> {
  const agent = await startAgent(guardian, { directory: await guardian.directory(), seeds: [], plainOrigins: [origin] })
  await agentReady(agent, 1)
  return agent
}

function configDigest(architecture: string): string | undefined {
  return image.platforms.find((platform) => platform.architecture === architecture)?.config.digest
}

/** The mirror gave every blob of these platforms, and refused nothing. */
function expectServed(exchanges: readonly RecordedExchange[], platforms: readonly string[]): void {
  const served = exchanges.filter(({ method, status }) => method === 'GET' && (status === 200 || status === 206))
  const digests = new Set(served.map(({ url }) => /sha256:[0-9a-f]{64}/.exec(url)?.[0]))
  for (const { digest } of platforms.flatMap((platform) => pulledBlobs(image, platform)))
    expect(digests).toContain(digest)
  expect(exchanges.filter(({ status }) => status >= 300)).toEqual([])
}
