/** One cold rollout: all nodes pull the same image at once, each through its own agent, and check every digest. */
import { second } from '../../core/units.ts'
import { type AgentProcess, readMetrics } from './agents.ts'
import { type PullResult, pullImage } from './pull.ts'
import type { NodeView } from './table.ts'

export interface RolloutOptions {
  readonly agents: readonly AgentProcess[]
  /** `host:port` of the origin; only the agents talk to it. */
  readonly origin: string
  readonly repository: string
  readonly reference: string
}

export interface NodeOutcome {
  readonly name: string
  readonly seconds: number
  readonly firstByteSeconds: number
  readonly originBytes: number
  readonly peerBytes: number
  readonly memoryBytes: number
}

export interface Rollout {
  elapsedSeconds(): number
  view(): NodeView[]
  /** Resolves when every node has the whole image; rejects when one pull fails. */
  readonly done: Promise<NodeOutcome[]>
  stop(): void
}

interface Node {
  readonly name: string
  readonly agent: AgentProcess
  state: NodeView['state']
  pulledBytes: number
  totalBytes: number
  bytesPerSecond: number
  /** `pulledBytes` at the last sample. */
  sampledBytes: number
  received: Received
}

interface Received {
  readonly originBytes: number
  readonly peerBytes: number
  readonly memoryBytes: number
}

const sampleEveryMs = 500

export function startRollout(options: RolloutOptions): Rollout {
  const startedMs = performance.now()
  const nodes = options.agents.map((agent, index) => newNode(`node ${index + 1}`, agent))
  const sampling = setInterval(() => nodes.forEach(sample), sampleEveryMs)
  const stop = () => clearInterval(sampling)
  return {
    elapsedSeconds: () => (performance.now() - startedMs) / 1000,
    view: () => nodes.map((node) => ({ ...node, ...node.received })),
    done: Promise.all(nodes.map((node) => pullOn(node, options))).finally(stop),
    stop,
  }
}

function newNode(name: string, agent: AgentProcess): Node {
  const received = { originBytes: 0, peerBytes: 0, memoryBytes: 0 }
  return { name, agent, state: 'waiting', pulledBytes: 0, totalBytes: 0, bytesPerSecond: 0, sampledBytes: 0, received }
}

async function pullOn(node: Node, { origin, repository, reference }: RolloutOptions): Promise<NodeOutcome> {
  node.state = 'pulling'
  try {
    const result = await pullImage({
      hosts: [node.agent.mirror],
      origin,
      repository,
      reference,
      onTotal: (bytes) => (node.totalBytes = bytes),
      onBytes: (bytes) => (node.pulledBytes += bytes),
    })
    node.received = await readReceived(node.agent)
    node.state = 'verified'
    return { name: node.name, ...timesOf(result), ...node.received }
  } catch (error) {
    node.state = 'failed'
    throw new Error(`${node.name}: ${error instanceof Error ? error.message : String(error)}`, { cause: error })
  }
}

function timesOf({ startedAtMs, firstLayerByteAtMs, endedAtMs }: PullResult) {
  return {
    seconds: (endedAtMs - startedAtMs) / 1000,
    firstByteSeconds: (firstLayerByteAtMs - startedAtMs) / 1000,
  }
}

function sample(node: Node): void {
  node.bytesPerSecond = ((node.pulledBytes - node.sampledBytes) / sampleEveryMs) * second
  node.sampledBytes = node.pulledBytes
  // A missed answer is no fault: the next sample asks again.
  readReceived(node.agent).then(
    (received) => (node.received = received),
    () => undefined,
  )
}

async function readReceived({ ops }: AgentProcess): Promise<Received> {
  const metrics = await readMetrics(ops)
  const bytesFrom = (source: string) => metrics.get(`shoal_bytes_total{direction="received",source="${source}"}`) ?? 0
  return {
    originBytes: bytesFrom('origin'),
    peerBytes: bytesFrom('peer'),
    memoryBytes: metrics.get('process_resident_memory_bytes') ?? 0,
  }
}
