/** How long does a cold rollout take against the fluid bound, and how often does the origin send the image? */
import { mkdir } from 'node:fs/promises'
import path from 'node:path'
import type { Command } from 'commander'
import { type AgentProcess, makeClusterSecret, orLogTail, startAgent, stopAgent } from '../../cli/demo/agents.ts'
import type { Guardian } from '../../cli/demo/guardian.ts'
import { type Image, fiveUnequalLayers, makeImage, pulledBlobs, totalBytes } from '../../cli/demo/image.ts'
import type { PullResult } from '../../cli/demo/pull.ts'
import { MiB } from '../../core/units.ts'
import { medians, rounded, roundedFields, spreads } from '../figures.ts'
import { busyShare, coreTimes, cpuSeconds, peakMemoryBytes } from '../process-usage.ts'
import { fluidBoundSeconds } from '../fluid-bound.ts'
import { question, size, wholeNumber } from '../question.ts'
import { type Remote, startRemote } from './remote.ts'
import { type Host, makeTestbed } from './testbed.ts'

interface ColdOptions {
  readonly nodes: number
  readonly imageMb: number
  readonly linkMbit: number
  readonly runs: number
  readonly earlierMb: number
  readonly direct: boolean
}

interface Machine {
  readonly host: Host
  readonly remote: Remote
}

/** A cluster of machines on shaped links, one of which is the origin with the image. */
interface Stage {
  readonly guardian: Guardian
  readonly nodes: readonly Machine[]
  readonly origin: Remote
  readonly originAddress: string
  readonly imageBytes: number
  /** The origin has another image, for agents that are to be no new processes. */
  readonly hasEarlier: boolean
}

interface ColdRun extends Record<string, number> {
  readonly origin_bytes_ratio: number
  readonly makespan_s: number
  readonly first_byte_s_max: number
  readonly rss_mib_max: number
  readonly cpu_s_per_gb: number
  readonly cores_busy: number
}

const repository = 'bench/app'
const earlierRepository = 'bench/earlier'

export function coldCommand(): Command {
  return question('cold', 'all nodes pull one image at once on shaped links, none having it; needs root', measureCold)
    .option('--nodes <count>', 'how many nodes', wholeNumber, 8)
    .option('--image-mb <MiB>', 'size of the image, in five unequal layers', wholeNumber, 64)
    .option('--link-mbit <Mbit/s>', 'rate of each link, both ways', wholeNumber, 50)
    .option('--runs <count>', 'how many runs the medians are of', wholeNumber, 5)
    .option(
      '--earlier-mb <MiB>',
      'size of another image that the agents have pulled before; 0: they have just started',
      size,
      24,
    )
    .option('--no-direct', 'leave out the pull straight from the origin, which takes longest')
}

async function measureCold(guardian: Guardian, options: ColdOptions) {
  const stage = await setStage(guardian, options)
  const direct = options.direct ? await measureDirect(stage) : undefined
  const runs: ColdRun[] = []
  for (let index = 0; index < options.runs; index++) {
    const run = await measureRun(stage)
    progress(`run ${index + 1}: ${run.makespan_s.toFixed(2)} s, origin ${run.origin_bytes_ratio.toFixed(3)} × image`)
    runs.push(run)
  }
  return report(options, stage.imageBytes, direct, runs)
}

async function measureDirect(stage: Stage): Promise<number> {
  const direct = makespanSeconds(await Promise.all(pullAll(stage, () => `http://${stage.originAddress}`)))
  progress(`straight from the origin: ${direct.toFixed(2)} s`)
  return direct
}

function progress(text: string): void {
  process.stderr.write(`cold: ${text}\n`)
}

async function setStage(guardian: Guardian, { nodes, imageMb, linkMbit, earlierMb }: ColdOptions): Promise<Stage> {
  const image = await imageOf(guardian, 'bench cold', imageMb)
  const earlier = earlierMb === 0 ? undefined : await imageOf(guardian, 'bench cold, earlier', earlierMb)
  const [originHost, ...hosts] = await makeTestbed(guardian, nodes + 1, linkMbit)
  if (originHost === undefined) throw new RangeError('a testbed has at least one host')
  const origin = startRemote(guardian, originHost)
  const repositories = { [repository]: image, ...(earlier === undefined ? {} : { [earlierRepository]: earlier }) }
  const { address } = await origin.ask({ type: 'serve', host: originHost.address, repositories }, 'serving')
  return {
    guardian,
    nodes: hosts.map((host) => ({ host, remote: startRemote(guardian, host) })),
    origin,
    originAddress: address,
    imageBytes: totalBytes(pulledBlobs(image, 'amd64')),
    hasEarlier: earlier !== undefined,
  }
}

async function imageOf(guardian: Guardian, seed: string, sizeMb: number): Promise<Image> {
  const directory = await guardian.directory()
  return makeImage({ directory, seed, layerSizesBytes: fiveUnequalLayers(sizeMb * MiB) })
}

/** One rollout with agents that hold nothing of the image yet. */
async function measureRun(stage: Stage): Promise<ColdRun> {
  const agents = await startAgents(stage)
  const pids = agents.map((agent) => agent.process.pid)
  const mirrorOf = (index: number): string => agents[index]?.mirror ?? ''
  if (stage.hasEarlier) await Promise.all(pullAll(stage, mirrorOf, earlierRepository))
  const cpuBefore = await sumOf(pids, cpuSeconds)
  const sentBefore = await originBytes(stage)
  const coresBefore = coreTimes()
  const results = await Promise.all(pullAll(stage, mirrorOf))
  const coresBusy = busyShare(coresBefore)
  const cpu = (await sumOf(pids, cpuSeconds)) - cpuBefore
  const peaks = await Promise.all(pids.map(peakMemoryBytes))
  const sent = (await originBytes(stage)) - sentBefore
  await Promise.all(agents.map(stopAgent))
  return {
    origin_bytes_ratio: sent / stage.imageBytes,
    makespan_s: makespanSeconds(results),
    first_byte_s_max: Math.max(...results.map((each) => each.firstLayerByteAtMs - each.startedAtMs)) / 1000,
    rss_mib_max: Math.max(...peaks) / MiB,
    cpu_s_per_gb: cpu / ((stage.imageBytes * results.length) / 1e9),
    cores_busy: coresBusy,
  }
}

/** Each but the first knows one seed; all are ready and know each other when this resolves. */
async function startAgents({ guardian, nodes, originAddress }: Stage): Promise<AgentProcess[]> {
  const root = await guardian.directory()
  const secretFile = await makeClusterSecret(root)
  const agents: AgentProcess[] = []
  for (const [index, { host }] of nodes.entries()) {
    const directory = path.join(root, String(index))
    await mkdir(directory)
    const seeds = agents[0] === undefined ? [] : [agents[0].clusterAddress]
    const where = { directory, host: host.address, prefix: host.prefix }
    agents.push(await startAgent(guardian, { ...where, secretFile, seeds, plainOrigins: [originAddress] }))
  }
  const ready = async (agent: AgentProcess, index: number) =>
    nodes[index]?.remote.ask({ type: 'await-agent', ops: agent.ops, members: nodes.length }, 'agent-ready')
  await Promise.all(agents.map((agent, index) => orLogTail(agent, ready(agent, index))))
  return agents
}

function pullAll(
  { nodes, originAddress }: Stage,
  from: (index: number) => string,
  of = repository,
): Promise<PullResult>[] {
  return nodes.map(async ({ remote }, index) => {
    const options = { hosts: [from(index)], origin: originAddress, repository: of, reference: 'latest' }
    return (await remote.ask({ type: 'pull', options }, 'pulled')).result
  })
}

/** From the first request of any node to the last body byte of any. */
function makespanSeconds(results: readonly PullResult[]): number {
  const first = Math.min(...results.map(({ startedAtMs }) => startedAtMs))
  const last = Math.max(...results.map(({ endedAtMs }) => endedAtMs))
  return (last - first) / 1000
}

async function originBytes({ origin }: Stage): Promise<number> {
  return (await origin.ask({ type: 'bytes-sent' }, 'bytes-sent')).bytes
}

async function sumOf(pids: readonly number[], read: (pid: number) => Promise<number>): Promise<number> {
  return (await Promise.all(pids.map(read))).reduce((sum, each) => sum + each, 0)
}

function report(
  { nodes, linkMbit, imageMb, earlierMb }: ColdOptions,
  imageBytes: number,
  direct: number | undefined,
  runs: ColdRun[],
) {
  const rate = linkMbit * 1e6
  const bound = fluidBoundSeconds(imageBytes, { nodes, originUp: rate, nodeUp: rate, nodeDown: rate })
  const middle = medians(runs)
  return {
    question: 'cold',
    nodes,
    image_mib: imageMb,
    link_mbit: linkMbit,
    earlier_mib: earlierMb,
    ...roundedFields(middle),
    fluid_bound_s: rounded(bound),
    makespan_over_bound: rounded(middle.makespan_s / bound),
    ...(direct === undefined ? {} : { direct_makespan_s: rounded(direct) }),
    runs: runs.map(roundedFields),
    spread: spreads(runs.map(roundedFields)),
  }
}
