/**
 * Real containerd and real agents beside members that hold the secret and lie. Every liar has a loopback address of its own,
 * as a node has.
 */
import { once } from 'node:events'
import { readdir, readFile } from 'node:fs/promises'
import path from 'node:path'
import { inspect } from 'node:util'
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest'
import { type AgentProcess, agentReady, makeClusterSecret, readMetrics, startAgent } from '../../cli/demo/agents.ts'
import { createGuardian } from '../../cli/demo/guardian.ts'
import { blobPath, fiveUnequalLayers, type Image, makeImage, pulledBlobs } from '../../cli/demo/image.ts'
import { type Origin, startOrigin } from '../../cli/demo/origin.ts'
import { pullImage } from '../../cli/demo/pull.ts'
import { untilTrue } from '../../cli/demo/until.ts'
import { systemClock } from '../../agent/system/clock.ts'
import { createOwners } from '../../core/directory/owners.ts'
import { limits } from '../../core/limits.ts'
import type { Digest } from '../../core/oci/digest.ts'
import { MiB } from '../../core/units.ts'
import {
  type Containerd,
  hostsDirOf,
  missingBlobs,
  startContainerd,
  usableSnapshotter,
  writeHosts,
} from '../support/containerd/containerd.ts'
import { findContainerd } from '../support/containerd/versions.ts'
import { type Hostile, startHostile } from '../support/hostile.ts'
import type { HostileOrders } from '../support/hostile-member.ts'

type Lie = HostileOrders['lie']

const guardian = createGuardian()
const binary = await findContainerd('installed')
/** The most that an agent may take while it serves (DESIGN, Numbers to reach). */
const servingBytesMax = 256 * MiB

let origin: Origin
let containerd: Containerd
let hostsRoot: string
const images = new Map<string, { readonly image: Image; readonly directory: string }>()
const liars: Hostile[] = []

beforeAll(async () => {
  const names = ['many', 'owners', 'deceived'].flatMap((name) => [`${name}-1`, `${name}-2`])
  for (const name of [...names, 'in-turn', 'at-once', 'killed']) {
    const directory = await guardian.directory()
    const isSmall = name.startsWith('owners') || name === 'in-turn' || name === 'killed'
    const several = isSmall ? [2, 2, 2].map((size) => size * MiB) : fiveUnequalLayers(16 * MiB)
    const layers = name === 'at-once' ? [16 * MiB] : several
    images.set(name, {
      directory,
      image: await makeImage({ directory, seed: `hostile ${name}`, layerSizesBytes: layers }),
    })
  }
  const repositories = Object.fromEntries([...images].map(([name, { image }]) => [`demo/${name}`, image]))
  // Slow enough that what peers offer is taken.
  origin = await startOrigin({ repositories, rateBytesPerSecond: 8 * MiB })
  hostsRoot = await guardian.directory()
  if (typeof binary === 'string') return
  const options = { binary, snapshotter: await usableSnapshotter(guardian), hostsDir: hostsDirOf(hostsRoot) }
  containerd = await startContainerd(guardian, options)
})

afterEach(() => {
  for (const liar of liars.splice(0)) liar.stop()
  origin.clearFaults()
})

afterAll(async () => {
  await containerd?.stop()
  await origin.close()
  await guardian.close()
})

interface Cluster {
  readonly agents: readonly AgentProcess[]
  readonly secretFile: string
  /** Kills an agent, and starts it again on what it has kept; resolves when it knows so many members. */
  restart(at: number, members: number): Promise<AgentProcess>
}

async function startHonest(count: number, witnesses: number, flags: readonly string[] = []): Promise<Cluster> {
  const root = await guardian.directory()
  const secretFile = await makeClusterSecret(root)
  const agents: AgentProcess[] = []
  const options = { secretFile, plainOrigins: [origin.address], flags: ['--witnesses', String(witnesses), ...flags] }
  const start = (at: number, directory: string, seeds: readonly AgentProcess[]): Promise<AgentProcess> =>
    startAgent(guardian, {
      ...options,
      directory,
      host: `127.0.0.${11 + at}`,
      seeds: seeds.map(({ clusterAddress }) => clusterAddress),
    })
  for (let at = 0; at < count; at++) agents.push(await start(at, await guardian.directory(), agents.slice(0, 1)))
  await Promise.all(agents.map((agent) => agentReady(agent, count)))
  async function restart(at: number, members: number): Promise<AgentProcess> {
    const { dataDir, process: child } = agents[at]!
    const ended = once(child, 'exit')
    child.kill('SIGKILL')
    await ended
    const [seed] = agents.toSpliced(at, 1)
    const agent = await start(at, path.dirname(dataDir), [seed!])
    agents[at] = agent
    await agentReady(agent, members)
    return agent
  }
  return { agents, secretFile, restart }
}

let nextHost = 66

/** Liars that know the image, each in a process of its own; resolves when all are members, or have done what they do. */
async function join(
  { agents, secretFile }: Cluster,
  name: string,
  lies: readonly { readonly lie: Lie; readonly owns?: Digest }[],
): Promise<{ host: string; said: unknown }[]> {
  const { directory, image } = images.get(name)!
  const blobs = layersOf(image).map(({ digest, size }) => ({ digest, size, file: blobPath(directory, digest) }))
  const members = await Promise.all(agents.map(peerOf))
  const seeds = agents.slice(0, 1).map(({ clusterAddress }) => clusterAddress)
  const peers = agents.map(({ peersAddress }) => peersAddress)
  const started = lies.map((lie) =>
    startHostile(guardian, {
      ...lie,
      origin: origin.address,
      host: `127.0.0.${nextHost++}`,
      secretFile,
      seeds,
      peers,
      blobs,
      members,
    }),
  )
  liars.push(...started)
  return Promise.all(started.map(async ({ host, report }) => ({ host, said: await report })))
}

/** All hosts of the image's directories, of those which are honest, know that this member has it. Nobody else has anything. */
async function untilHeld({ agents }: Cluster, name: string, holder: string): Promise<void> {
  const owners = createOwners({ self: holder, clock: systemClock })
  for (const member of [holder, ...(await Promise.all(agents.map(peerOf)))]) owners.add(member)
  const hosts = layersOf(images.get(name)!.image).flatMap(({ digest }) =>
    owners.of(digest).slice(0, limits.hostsPerDigest),
  )
  const known = async (): Promise<number> => {
    const metrics = await Promise.all(agents.map(({ ops }) => readMetrics(ops)))
    return metrics.reduce((sum, of) => sum + (of.get('shoal_directory_digests') ?? 0), 0)
  }
  await untilTrue('what hosts know', async () => (await known()) === hosts.filter((host) => host !== holder).length)
}

function layersOf(image: Image): ReturnType<typeof pulledBlobs> {
  return pulledBlobs(image, 'amd64').filter(({ size }) => size > MiB)
}

interface LogLine {
  readonly msg: string
  readonly peer?: string
  readonly address?: string
}

async function logOf({ logFile }: AgentProcess): Promise<LogLine[]> {
  const lines = (await readFile(logFile, 'utf8')).split('\n').filter((line) => line.startsWith('{'))
  return lines.map((line): LogLine => JSON.parse(line))
}

async function peerOf(agent: AgentProcess): Promise<string> {
  return (await logOf(agent)).find(({ msg }) => msg === 'agent runs')?.peer ?? ''
}

/** Whom each agent banned: addresses, where the ban was of that, else peer IDs. */
async function bansOf(agents: readonly AgentProcess[]): Promise<string[][]> {
  return Promise.all(
    agents.map(async (agent) => {
      const banned = (await logOf(agent)).filter(({ msg }) => msg === 'peer banned')
      return [...new Set(banned.map(({ address, peer = '' }) => address ?? peer))]
    }),
  )
}

/** No honest agent was banned by another, and each stayed within its memory. */
async function expectSound({ agents }: Cluster): Promise<void> {
  const honest = new Set([
    ...(await Promise.all(agents.map(peerOf))),
    ...agents.map(({ peersAddress }) => peersAddress.split(':')[0]),
    '127.0.0.1',
  ])
  expect((await bansOf(agents)).flat().filter((banned) => honest.has(banned))).toEqual([])
  for (const { ops } of agents)
    expect((await readMetrics(ops)).get('process_resident_memory_bytes')).toBeLessThan(servingBytesMax)
}

/**
 * Pulls on all nodes at once: by real containerd on the first, as containerd does on the others. Why those that had to
 * try again had to; none may have to twice.
 */
async function pullEverywhere({ agents }: Cluster, name: string): Promise<string[]> {
  return (await Promise.all(agents.map((agent, at) => pullOn(agent, at, name)))).flat()
}

function pullOn(agent: AgentProcess, at: number, name: string): Promise<string[]> {
  return untilPulled(() => (at === 0 ? pullByContainerd(agent, name) : pull(agent, name)))
}

async function untilPulled(attempt: () => Promise<unknown>): Promise<string[]> {
  const failures: string[] = []
  for (;;) {
    try {
      await attempt()
      return failures
    } catch (error) {
      failures.push(inspect(error))
      if (failures.length === 2) throw error
      await untilForgotten()
    }
  }
}

/** The failures of a test that fails say why. */
function expectAtMost(count: number, failures: readonly string[]): void {
  expect(failures.slice(count)).toEqual([])
}

/** A wrong layer stays for some seconds, and fails every try in that time by itself: kubelet's next try comes later. */
function ingests(): Promise<string[]> {
  return readdir(path.join(containerd.contentDir, 'ingest'))
}

async function untilForgotten(): Promise<void> {
  await untilTrue('what the failed pull left', async () => (await ingests()).length === 0)
}

/** Knows no other host than the mirror, which so must end all that it begins. */
async function pull({ mirror }: AgentProcess, name: string): Promise<void> {
  await pullImage({ hosts: [mirror], origin: origin.address, repository: `demo/${name}`, reference: 'latest' })
}

async function pullByContainerd({ mirror }: AgentProcess, name: string): Promise<void> {
  await writeHosts(hostsRoot, mirror)
  await containerd.pullWithCtr(`${origin.address}/demo/${name}:latest`, ['--platform', 'linux/amd64'])
  expect(await missingBlobs(containerd, images.get(name)!.image)).toEqual([])
}

/** With one witness each node may be deceived once by a liar, and then knows better. */
describe.skipIf(typeof binary === 'string').each([
  { witnesses: 2, deceived: 1, retries: 0 },
  { witnesses: 1, deceived: 3, retries: 3 },
])('three nodes at --witnesses $witnesses', ({ deceived, retries, witnesses }) => {
  let honest: Cluster

  beforeAll(async () => {
    honest = await startHonest(3, witnesses)
  })

  afterAll(() => honest.agents.forEach((agent) => agent.process.kill()))

  test('an origin that lies to one of them makes nobody banned', async () => {
    const [largest] = layersOf(images.get(`deceived-${witnesses}`)!.image).toSorted((a, b) => b.size - a.size)
    origin.inject({ atByte: 3 * MiB, kind: 'corrupt', digest: largest!.digest, times: 1 })
    expectAtMost(deceived, await pullEverywhere(honest, `deceived-${witnesses}`))
    expect(await bansOf(honest.agents)).toEqual([[], [], []])
    await expectSound(honest)
  })

  test('every pull succeeds beside liars; who provably lied, broke the protocol or flooded is banned', async () => {
    const [forger] = await join(honest, `many-${witnesses}`, [
      { lie: 'vouches for wrong bytes' },
      { lie: 'sends rubbish' },
      { lie: 'claims all' },
      { lie: 'trickles' },
    ])
    const intruding = join(honest, `many-${witnesses}`, [{ lie: 'malforms' }, { lie: 'oversizes' }, { lie: 'floods' }])
    expectAtMost(retries, await pullEverywhere(honest, `many-${witnesses}`))
    const intruders = await intruding
    // Four strikes from one address, two for each flood: whatever other IDs it makes there are kept out.
    expect(intruders.map(({ said }) => said)).toEqual([
      { admitted: [4, 4, 4], refused: [8, 8, 8] },
      { admitted: [4, 4, 4], refused: [8, 8, 8] },
      { admitted: [2, 2, 2], refused: [10, 10, 10] },
    ])
    const provable = [forger!.host, ...intruders.map(({ host }) => host)]
    // Within one blob: each of the image's was pulled once.
    await expect
      .poll(async () => (await bansOf(honest.agents)).map((bans) => provable.filter((host) => !bans.includes(host))))
      .toEqual([[], [], []])
    await expectSound(honest)
  })

  test('every pull succeeds at once though liars host the directories', async () => {
    const [one, two, three] = layersOf(images.get(`owners-${witnesses}`)!.image)
    await join(honest, `owners-${witnesses}`, [
      { lie: 'grants everybody', owns: one!.digest },
      { lie: 'grants nobody', owns: two!.digest },
      { lie: 'names only itself', owns: three!.digest },
    ])
    expect(await pullEverywhere(honest, `owners-${witnesses}`)).toEqual([])
    await expectSound(honest)
  })
})

describe.skipIf(typeof binary === 'string')('three nodes that pull one after the other, at one witness', () => {
  let honest: Cluster

  beforeAll(async () => {
    // Slow enough that what comes is handed over before the rest is here, and with it the proof.
    honest = await startHonest(3, 1, ['--download-limit', '4MiB'])
  })

  afterAll(() => honest.agents.forEach((agent) => agent.process.kill()))

  test('the first alone tries again beside a member that lies about what the origin gave it: the others are cautioned', async () => {
    const [liar] = await join(honest, 'in-turn', [{ lie: 'says the origin gave wrong bytes' }])
    await untilHeld(honest, 'in-turn', String(Object(liar!.said).peer))
    const failures: string[][] = []
    for (const [at, agent] of honest.agents.entries()) failures.push(await pullOn(agent, at, 'in-turn'))
    expect(failures).toEqual([[expect.any(String)], [], []])
    await expectSound(honest)
  })
})

describe.skipIf(typeof binary === 'string')('three nodes that pull at once, at one witness', () => {
  let honest: Cluster

  beforeAll(async () => {
    honest = await startHonest(4, 1, ['--download-limit', '4MiB'])
  })

  afterAll(() => honest.agents.forEach((agent) => agent.process.kill()))

  test('none tries again beside a seed and a member that vouches for wrong bytes', async () => {
    const seed = honest.agents.at(-1)!
    const pulling = { ...honest, agents: honest.agents.slice(0, -1) }
    await pull(seed, 'at-once')
    const [liar] = await join(honest, 'at-once', [{ lie: 'vouches for wrong bytes' }])
    const [first, ...others] = pulling.agents
    const pulls = [pullOn(first!, 0, 'at-once')]
    // All read the layer before anybody has all of it: who begins later is cautioned, and asks the liar nothing.
    const sessions = async (): Promise<number> => (await readMetrics(first!.ops)).get('shoal_sessions') ?? 0
    await untilTrue('that containerd reads', async () => (await sessions()) > 0)
    pulls.push(...others.map((agent, at) => pullOn(agent, at + 1, 'at-once')))
    expect((await Promise.all(pulls)).flat()).toEqual([])
    // It gave each its word for what the blob has not.
    await expect.poll(() => bansOf(pulling.agents)).toEqual(pulling.agents.map(() => [liar!.host]))
    await expectSound(honest)
  })
})

describe.skipIf(typeof binary === 'string')('a node that is killed between two tries, at one witness', () => {
  let honest: Cluster

  beforeAll(async () => {
    honest = await startHonest(3, 1, ['--download-limit', '4MiB'])
  })

  afterAll(() => honest.agents.forEach((agent) => agent.process.kill()))

  test('is not deceived again by the member that it had found out', async () => {
    const [liar] = await join(honest, 'killed', [{ lie: 'says the origin gave wrong bytes' }])
    await untilHeld(honest, 'killed', String(Object(liar!.said).peer))
    await expect(pullByContainerd(honest.agents[0]!, 'killed')).rejects.toThrow('unexpected commit digest')
    const restarted = await honest.restart(0, honest.agents.length + 1)
    await untilForgotten()
    await pullByContainerd(restarted, 'killed')
    await expectSound(honest)
  })
})
