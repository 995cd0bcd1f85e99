/**
 * What a node holds is given to others, whichever way it came and as long as it is there: an image that containerd imported from a file
 * while no agent asked for it, and one whose layers containerd threw away once it had unpacked them.
 */
import { execFile } from 'node:child_process'
import { mkdir, readdir } from 'node:fs/promises'
import path from 'node:path'
import { promisify } from 'node:util'
import { afterAll, beforeAll, expect, test } from 'vitest'
import {
  type AgentProcess,
  agentReady,
  makeClusterSecret,
  readMetrics,
  startAgent,
  stopAgent,
} from '../../cli/demo/agents.ts'
import { createGuardian } from '../../cli/demo/guardian.ts'
import { type Image, makeImage, pulledBlobs, totalBytes } from '../../cli/demo/image.ts'
import { type Origin, startOrigin } from '../../cli/demo/origin.ts'
import { pullImage } from '../../cli/demo/pull.ts'
import { untilTrue } from '../../cli/demo/until.ts'
import { limits } from '../../core/limits.ts'
import { digestHex } from '../../core/oci/digest.ts'
import { KiB, MiB } from '../../core/units.ts'
import { type Containerd, startContainerd, usableSnapshotter, writeHosts } from '../support/containerd/containerd.ts'
import { type ContainerdBinary, describeContainerds } from '../support/containerd/versions.ts'

const run = promisify(execFile)
const guardian = createGuardian()
const images = new Map<string, Image>()
let origin: Origin

beforeAll(async () => {
  for (const name of ['imported', 'removed', 'discarded']) {
    const directory = await guardian.directory()
    images.set(name, await makeImage({ directory, seed: `e2e content ${name}`, layerSizesBytes: [MiB, 8 * MiB] }))
  }
  origin = await startOrigin({ repositories: Object.fromEntries(images) })
})
afterAll(async () => {
  await origin?.close()
  await guardian.close()
})

await describeContainerds(describeVersion)

function describeVersion(binary: ContainerdBinary): void {
  let containerd: Containerd
  /** The first is beside that containerd. */
  let agents: AgentProcess[] = []
  /** What nodes hold, so far. */
  const held = new Set<string>()

  beforeAll(async () => {
    const root = await guardian.directory()
    const snapshotter = await usableSnapshotter(guardian)
    const hostsDir = path.join(root, 'certs.d')
    containerd = await startContainerd(guardian, { binary, snapshotter, hostsDir, discardUnpackedLayers: true })
    agents = await startAgents(root, ['--containerd-content-dir', containerd.contentDir])
    await writeHosts(root, nodeA().mirror)
  })
  afterAll(async () => {
    await origin.comeBack()
    await Promise.all(agents.map(stopAgent))
    await containerd?.stop()
  })

  const nodeA = (): AgentProcess => agents[0] as AgentProcess
  const nodeB = (): AgentProcess => agents[1] as AgentProcess
  const nodeC = (): AgentProcess => agents[2] as AgentProcess

  /** Imports an image from a file, as an operator does who has no registry, and waits until its holders are known. */
  async function importImage(name: string): Promise<void> {
    const before = await provenOfContainerd()
    const archive = path.join(await guardian.directory(), 'image.tar')
    await run('tar', ['-C', imageOf(name).directory, '-cf', archive, '.'])
    await containerd.ctr('images', 'import', '--all-platforms', '--no-unpack', '--base-name', name, archive)
    const blobs = await readdir(path.join(imageOf(name).directory, 'blobs/sha256'))
    for (const blob of blobs) held.add(blob)
    await untilTrue(`${name} hashed`, async () => (await provenOfContainerd()) >= before + blobs.length)
    await untilTrue(`${name} in the directory`, async () => (await digestsKnown()) >= held.size)
  }

  /** Each of three agents keeps two thirds of the directory. */
  async function digestsKnown(): Promise<number> {
    const kept = await Promise.all(agents.map((agent) => metric(agent, 'shoal_directory_digests')))
    return kept.reduce((sum, digests) => sum + digests, 0) / 2
  }

  const provenOfContainerd = () => metric(nodeA(), 'shoal_containerd_blobs{state="proven"}')
  const uploadedOfContainerd = () => metric(nodeA(), 'shoal_bytes_total{direction="uploaded",source="containerd"}')

  async function namesHeld(): Promise<Set<string>> {
    return new Set(await readdir(path.join(containerd.contentDir, 'blobs/sha256')))
  }

  test('discard_unpacked_layers: layers that containerd has thrown away come from the agent that they passed through', async () => {
    const image = imageOf('discarded')
    await containerd.cri.pull(`${origin.address}/discarded:${image.tag}`)
    const layers = new Set(layersOf(image).map(({ digest }) => digestHex(digest)))
    for (const digest of digestsOf(image)) held.add(digest)
    await untilTrue('the layers to be discarded', async () => layers.isDisjointFrom(await namesHeld()))
    const sentBefore = origin.bytesSent()
    expect(await pullThrough(nodeB(), 'discarded')).toEqual(digestsOf(image))
    expect(origin.bytesSent() - sentBefore).toBeLessThan(KiB)
  })

  test('an imported image is pulled by another node from there: of the registry it takes samples only', async () => {
    const image = imageOf('imported')
    await importImage('imported')
    const sentBefore = origin.bytesSent()
    expect(await pullThrough(nodeB(), 'imported')).toEqual(digestsOf(image))
    const { possessionSampleBytes, possessionSamples } = limits
    const samples = pulledBlobs(image, 'amd64').map(({ size }) =>
      Math.min(size, possessionSamples * possessionSampleBytes),
    )
    expect(origin.bytesSent() - sentBefore).toBeLessThanOrEqual(samples.reduce((sum, bytes) => sum + bytes, 0))
    expect(await uploadedOfContainerd()).toBeGreaterThanOrEqual(totalBytes(layersOf(image)))
  })

  test('what containerd has removed is offered no more: another node gets it from the registry', async () => {
    const image = imageOf('removed')
    const before = await provenOfContainerd()
    await importImage('removed')
    const digests = digestsOf(image)
    await containerd.ctr('content', 'rm', ...digests)
    // Files go when containerd collects what nothing names.
    await containerd.ctr('images', 'rm', '--sync', 'removed:latest')
    await untilTrue('its end', async () => (await provenOfContainerd()) <= before)
    const uploadedBefore = await uploadedOfContainerd()
    const sentBefore = origin.bytesSent()
    expect(await pullThrough(nodeB(), 'removed')).toEqual(digests)
    expect(await uploadedOfContainerd()).toBe(uploadedBefore)
    expect(origin.bytesSent() - sentBefore).toBeGreaterThanOrEqual(totalBytes(pulledBlobs(image, 'amd64')))
  })

  test('and by a third while the registry and the second are down', async () => {
    await stopAgent(nodeB())
    await origin.die()
    const { digest } = imageOf('imported').index
    expect(await pullThrough(nodeC(), 'imported', digest)).toEqual(digestsOf(imageOf('imported')))
    await origin.comeBack()
  })
}

function imageOf(name: string): Image {
  return images.get(name) as Image
}

function layersOf(image: Image) {
  return image.platforms.find(({ architecture }) => architecture === 'amd64')?.layers ?? []
}

function digestsOf(image: Image): string[] {
  return pulledBlobs(image, 'amd64')
    .map(({ digest }) => digest)
    .toSorted()
}

/** Three that know each other and serve to anybody, in an outage, what they hold; `flagsOfFirst` are the first one's alone. */
async function startAgents(root: string, flagsOfFirst: readonly string[]): Promise<AgentProcess[]> {
  const secretFile = await makeClusterSecret(root)
  const agents: AgentProcess[] = []
  for (const name of ['a', 'b', 'c']) {
    const directory = path.join(root, name)
    await mkdir(directory)
    const seeds = agents.slice(0, 1).map(({ clusterAddress }) => clusterAddress)
    const flags = ['--origin-failover', 'Allow', ...(seeds.length === 0 ? flagsOfFirst : [])]
    agents.push(await startAgent(guardian, { directory, secretFile, seeds, plainOrigins: [origin.address], flags }))
  }
  await Promise.all(agents.map((agent) => agentReady(agent, agents.length)))
  return agents
}

async function pullThrough({ mirror }: AgentProcess, name: string, reference = 'latest'): Promise<string[]> {
  const { blobs } = await pullImage({ hosts: [mirror], origin: origin.address, repository: name, reference })
  return blobs.map(({ digest }) => digest).toSorted()
}

async function metric({ ops }: AgentProcess, series: string): Promise<number> {
  return (await readMetrics(ops)).get(series) ?? 0
}
