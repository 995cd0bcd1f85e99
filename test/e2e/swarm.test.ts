/**
 * Many nodes at once, each with its own agent as a process, all pulling the same image that none of them has: the origin
 * sends it about once, and nobody's pull fails, whatever dies meanwhile.
 */
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest'
import { type AgentProcess, readMetrics, startCluster } from '../../cli/demo/agents.ts'
import { createGuardian } from '../../cli/demo/guardian.ts'
import { type Image, fiveUnequalLayers, makeImage, pulledBlobs, totalBytes } from '../../cli/demo/image.ts'
import { type Origin, startOrigin } from '../../cli/demo/origin.ts'
import { pullImage } from '../../cli/demo/pull.ts'
import { untilTrue } from '../../cli/demo/until.ts'
import type { Digest } from '../../core/oci/digest.ts'
import { MiB } from '../../core/units.ts'
import {
  type Containerd,
  hostsDirOf,
  startContainerd,
  usableSnapshotter,
  writeHosts,
} from '../support/containerd/containerd.ts'
import { findContainerd } from '../support/containerd/versions.ts'

const guardian = createGuardian()
afterAll(() => guardian.close())

describe('eight nodes, cold, each told one address, pulling as soon as they listen', () => {
  let image: Image
  let origin: Origin
  let agents: AgentProcess[]
  let node: Node | undefined

  beforeAll(async () => {
    image = await newImage('cold', 48 * MiB)
    origin = await startOrigin({ repositories: { 'demo/cold': image } })
    node = await startNode()
    agents = await startCluster(guardian, 8, { plainOrigins: [origin.address], waitFor: 'listening' })
  })
  afterAll(async () => {
    await node?.containerd.stop()
    for (const agent of agents) agent.process.kill('SIGKILL')
    await origin.close()
  })

  test('the origin sends the image about once, and every node has all of it', async () => {
    const pulls = agents.map((agent, index) =>
      index === 0 && node !== undefined ? pullOnNode(node, agent, 'cold', origin) : pullThrough(agent, 'cold', origin),
    )
    expect(await Promise.all(pulls)).toEqual(agents.map(() => digestsOf(image)))
    expect(origin.bytesSent() / totalBytes(pulledBlobs(image, 'amd64'))).toBeLessThanOrEqual(1.05)
  })
})

describe('five nodes pull while something breaks', () => {
  const breaks = ['origin-stalls', 'origin-dies', 'peer-stalls', 'agent-killed'] as const
  const images = new Map<string, Image>()
  let origin: Origin
  let agents: AgentProcess[]

  beforeAll(async () => {
    for (const name of breaks) images.set(`demo/${name}`, await newImage(name, 24 * MiB))
    // Slow enough that there is a middle in which to break things.
    origin = await startOrigin({ repositories: Object.fromEntries(images), rateBytesPerSecond: 16 * MiB })
    agents = await startCluster(guardian, 5, { plainOrigins: [origin.address] })
  })
  afterAll(async () => {
    for (const agent of agents) agent.process.kill('SIGKILL')
    await origin.close()
  })

  afterEach(() => origin.comeBack())

  const wanted = (name: string) => digestsOf(images.get(`demo/${name}`) as Image)
  const pullEverywhere = (name: string) => agents.map((agent) => pullThrough(agent, name, origin))
  const halfWay = async () => {
    const sentBefore = origin.bytesSent()
    await untilTrue('the origin half way', async () => origin.bytesSent() - sentBefore > 12 * MiB)
  }

  test('the origin stalls in mid-layer: others finish the chunk', async () => {
    const [largest] = pulledBlobs(images.get('demo/origin-stalls') as Image, 'amd64').toSorted(
      (a, b) => b.size - a.size,
    )
    for (const atByte of [1, 3, 5].map((mib) => mib * MiB + 12_345)) {
      origin.inject({ atByte, kind: 'stall', times: 1, ...(largest && { digest: largest.digest }) })
    }
    const results = await Promise.all(pullEverywhere('origin-stalls'))
    expect(results).toEqual(agents.map(() => wanted('origin-stalls')))
  })

  test('the origin dies in mid-layer and comes back', async () => {
    const pulls = Promise.all(pullEverywhere('origin-dies'))
    await halfWay()
    await origin.die()
    await untilTrue('an agent that met the dead origin', async () => origin.resetConnections() > 0)
    await origin.comeBack()
    expect(await pulls).toEqual(agents.map(() => wanted('origin-dies')))
  })

  test('a peer stalls: the others finish without it, and it finishes when it wakes', async () => {
    const pulls = pullEverywhere('peer-stalls')
    await halfWay()
    const [, sleeper] = agents
    sleeper?.process.kill('SIGSTOP')
    const [first, late, ...others] = pulls
    const results = await Promise.all([first, ...others]).finally(() => sleeper?.process.kill('SIGCONT'))
    expect([...results, await late]).toEqual(agents.map(() => wanted('peer-stalls')))
  })

  test('kill -9 of an agent with a lease: the others finish, and its own node goes on at the origin', async () => {
    const mirrors = agents.map((agent) => [agent.mirror, `http://${origin.address}`])
    const pulls = mirrors.map((hosts) => pullFrom(hosts, 'agent-killed', origin))
    await halfWay()
    const holders = await Promise.all(agents.map((agent) => metric(agent, 'shoal_leases{role="holder"}')))
    const victim = agents[holders.indexOf(Math.max(...holders))]
    expect(Math.max(...holders)).toBeGreaterThan(0)
    victim?.process.kill('SIGKILL')
    expect(await Promise.all(pulls)).toEqual(agents.map(() => wanted('agent-killed')))
  })
})

async function newImage(seed: string, imageBytes: number): Promise<Image> {
  const directory = await guardian.directory()
  return makeImage({ directory, seed: `e2e swarm ${seed}`, layerSizesBytes: fiveUnequalLayers(imageBytes) })
}

/** Resolves to the digests of what was pulled, in order; each was checked against its bytes. */
function pullThrough(agent: AgentProcess, name: string, origin: Origin): Promise<Digest[]> {
  return pullFrom([agent.mirror], name, origin)
}

async function pullFrom(hosts: readonly string[], name: string, { address }: Origin): Promise<Digest[]> {
  const { blobs } = await pullImage({ hosts, origin: address, repository: `demo/${name}`, reference: 'latest' })
  return blobs.map(({ digest }) => digest).toSorted()
}

interface Node {
  readonly containerd: Containerd
  readonly hostsRoot: string
}

/** A node with real containerd; undefined where that can't run. */
async function startNode(): Promise<Node | undefined> {
  const binary = await findContainerd('installed')
  if (typeof binary === 'string') return undefined
  const hostsRoot = await guardian.directory()
  const options = { binary, snapshotter: await usableSnapshotter(guardian), hostsDir: hostsDirOf(hostsRoot) }
  return { hostsRoot, containerd: await startContainerd(guardian, options) }
}

/** As `pullThrough`, by real containerd. */
async function pullOnNode(
  { containerd, hostsRoot }: Node,
  agent: AgentProcess,
  name: string,
  origin: Origin,
): Promise<Digest[]> {
  await writeHosts(hostsRoot, agent.mirror)
  await containerd.pullWithCtr(`${origin.address}/demo/${name}:latest`, ['--platform', 'linux/amd64'])
  return [...(await containerd.blobs()).keys()].toSorted()
}

function digestsOf(image: Image): Digest[] {
  return pulledBlobs(image, 'amd64')
    .map(({ digest }) => digest)
    .toSorted()
}

async function metric({ ops }: AgentProcess, series: string): Promise<number> {
  return (await readMetrics(ops)).get(series) ?? 0
}
