/**
 * How close does the slowest node come to the fluid bound? Nodes with equal links, 1 ms apart, want one image at the same
 * moment: cold from an origin with the uplink of one node, or warm from one seed; also beside one that lies. Method and results:
 * bench/sim/README.md.
 */
import { limits } from '../../core/limits.ts'
import { chunkSizeOf } from '../../core/swarm/chunks.ts'
import { fluidBoundSeconds } from '../../bench/fluid-bound.ts'
import { makeLiar } from './liars.ts'
import { type Lie, liesOfHosts } from './lies.ts'
import { crash, start, type SimNode } from './node.ts'
import { quiet } from './options.ts'
import type { Pull } from './puller.ts'
import { strategies, type Strategy } from './strategies.ts'
import { imageBytes, type Sim } from './sim.ts'
import { fill } from './story.ts'
import { createSim, weakShare } from './world.ts'

export interface BenchCase {
  /** Nodes that pull; a seed comes on top. */
  readonly nodes: number
  readonly layerBytes: readonly number[]
  readonly start: 'cold' | 'warm'
  readonly strategy: Strategy
  readonly linkMbit: number
  /** How coarse the grain is: a frame is such a part of a chunk where that is more than the wire's. */
  readonly framesPerChunk: number
  /** The share of nodes that crash for good, at random moments of the fluid bound. */
  readonly crashShare: number
  /** Nodes whose uplink has a tenth of the others'. */
  readonly weakUplinks: number
  /** What one of the nodes tells, beside which the others pull: of a host's lies, the one that hosts the first layer's directory. */
  readonly liar: Lie | 'none'
}

export interface BenchRow {
  readonly nodes: number
  readonly image_mb: number
  readonly layers: number
  readonly start: 'cold' | 'warm'
  readonly strategy: Strategy
  readonly frames_per_chunk: number
  readonly crashed_share: number
  readonly weak_uplinks: number
  readonly liar: Lie | 'none'
  readonly fluid_bound_s: number
  readonly p50_over_bound: number
  readonly p99_over_bound: number
  readonly max_over_bound: number
  /** The slowest of the owners and standbys of the layers' directories, whose cores answer everybody. */
  readonly hosts_max_over_bound: number
  readonly origin_bytes_ratio: number
  readonly control_bytes_ratio: number
  /** The most any node received, over the image. */
  readonly received_ratio_max: number
}

const originFirstByteMs = 100
/** Far beyond any result that would be looked at. */
const patienceBounds = 30

/** How far a case is, in words, and in things that have happened. */
export type OnProgress = (line: string, steps: number) => void

export function bench(setup: BenchCase, seed: number | string, onProgress: OnProgress): BenchRow {
  onProgress('builds the world', 0)
  const sim = createWorld(setup, seed)
  settle(sim, onProgress)
  const boundMs = boundMsOf(setup)
  const crashed = planCrashes(sim, setup, boundMs)
  const liar = plantLiar(sim, setup)
  const beganMs = sim.engine.clock.now()
  for (const pull of sim.pulls) pull.begin()
  const isLost = (pull: Pull): boolean => crashed.has(pull) || pull.node === liar
  const isOver = (pull: Pull): boolean => pull.doneAtMs !== undefined || isLost(pull)
  const { engine } = sim
  while (!sim.pulls.every(isOver)) {
    engine.run(engine.clock.now() + sliceMs, () => false)
    const bounds = (engine.clock.now() - beganMs) / boundMs
    if (bounds > patienceBounds) break
    onProgress(`${bounds.toFixed(2)} × the bound, ${sim.pulls.filter(isOver).length} done`, engine.steps())
  }
  return rowOf(
    sim,
    setup,
    sim.pulls.filter((pull) => !isLost(pull)),
    beganMs,
  )
}

/** Of virtual time, between two words on how far it is: 10,000 nodes take less than a second for it. */
const sliceMs = 2
/** Nodes have been up for a while when the pulls begin: directories know the seed. */
export const settleMs = 5000

function settle({ engine }: Sim, onProgress: OnProgress): void {
  while (engine.clock.now() < settleMs) {
    engine.run(engine.clock.now() + 100 * sliceMs, () => false)
    onProgress('nodes settle', engine.steps())
  }
}

export function boundMsOf({ layerBytes, linkMbit, nodes, weakUplinks }: BenchCase): number {
  const rate = linkMbit * 1e6
  const nodeUp = (rate * (nodes - weakUplinks * (1 - weakShare))) / nodes
  return 1000 * fluidBoundSeconds(sum(layerBytes), { nodes, originUp: rate, nodeUp, nodeDown: rate })
}

function createWorld(setup: BenchCase, seed: number | string): Sim {
  const { framesPerChunk, layerBytes, liar, linkMbit, nodes, start: from, strategy, weakUplinks } = setup
  const rate = (linkMbit * 1e6) / 8 / 1000
  const isWarm = from === 'warm'
  const options = {
    ...quiet,
    nodes: nodes + (isWarm ? 1 : 0),
    layerBytes,
    linkBytesPerMs: rate,
    weakUplinks,
    originBytesPerMs: rate,
    originFirstByteMs,
    realBytes: liar !== 'none',
    frameBytes: Math.max(limits.frameSizeBytes, Math.min(...layerBytes.map(chunkSizeOf)) / framesPerChunk),
  }
  const changed = strategies[strategy]
  const swarm = changed === undefined ? {} : { limits: changed }
  const sim = createSim({ seed, options, swarm })
  const seedNode = isWarm ? sim.nodes[nodes] : undefined
  if (seedNode !== undefined) for (const blob of sim.layers) fill(seedNode, blob)
  for (const node of sim.nodes) start(node)
  return isWarm ? { ...sim, pulls: sim.pulls.slice(0, nodes) } : sim
}

function plantLiar({ layers, nodes, world }: Sim, { liar: lie }: BenchCase): SimNode | undefined {
  if (lie === 'none') return undefined
  const isOfHost = liesOfHosts.some((one) => one === lie)
  const [host] = world.givenOwners!.of(layers[0]!.digest)
  const liar = isOfHost ? world.nodes.get(host!)! : nodes[0]!
  makeLiar(liar, lie)
  return liar
}

function planCrashes(sim: Sim, { crashShare }: BenchCase, boundMs: number): Set<Pull> {
  const { engine, pulls } = sim
  const chance = sim.random.fork('crashes')
  const crashed = new Set<Pull>()
  while (crashed.size < Math.floor(crashShare * pulls.length)) {
    const pull = pulls[chance.below(pulls.length)]!
    if (crashed.has(pull)) continue
    crashed.add(pull)
    engine.after(chance.below(Math.ceil(boundMs)), () => crashForGood(sim, pull.node))
  }
  return crashed
}

/** Its death is known to all when membership would have found it. */
function crashForGood({ engine, nodes, world }: Sim, node: SimNode): void {
  crash(node, false)
  engine.after(deathKnownMs, () => {
    world.givenOwners?.remove(node.id)
    for (const { life } of nodes) {
      life?.directory.memberGone(node.id)
      life?.client.membersChanged()
    }
  })
}

/** Within 5 s (DESIGN, Members). */
const deathKnownMs = 3000

function rowOf(sim: Sim, setup: BenchCase, survivors: readonly Pull[], beganMs: number): BenchRow {
  const { network, origin, traffic } = sim.world
  const image = imageBytes(sim)
  const boundMs = boundMsOf(setup)
  const tookMs = ({ doneAtMs = Infinity }: Pull): number => doneAtMs - beganMs
  const ends = survivors.map(tookMs).toSorted((a, b) => a - b)
  const overBound = (share: number): number => rounded((ends[Math.ceil(share * ends.length) - 1] ?? NaN) / boundMs)
  const received = sim.nodes.map(({ counts }) => counts.peerBytes + counts.originBytes)
  const control = network.controlBytes() + traffic.announceBytes + traffic.headBytes
  return {
    nodes: setup.nodes,
    image_mb: rounded(image / 1e6),
    layers: setup.layerBytes.length,
    start: setup.start,
    strategy: setup.strategy,
    frames_per_chunk: setup.framesPerChunk,
    crashed_share: setup.crashShare,
    weak_uplinks: setup.weakUplinks,
    liar: setup.liar,
    fluid_bound_s: rounded(boundMs / 1000),
    p50_over_bound: overBound(0.5),
    p99_over_bound: overBound(0.99),
    max_over_bound: overBound(1),
    hosts_max_over_bound: rounded(Math.max(...hostsAmong(sim, survivors).map(tookMs)) / boundMs),
    origin_bytes_ratio: rounded(origin.sentBytes() / image),
    control_bytes_ratio: rounded(control / sum(received)),
    received_ratio_max: rounded(Math.max(...received) / image),
  }
}

function hostsAmong({ layers, world }: Sim, pulls: readonly Pull[]): Pull[] {
  const hosts = new Set(layers.flatMap(({ digest }) => world.givenOwners?.of(digest).slice(0, 2) ?? []))
  return pulls.filter(({ node }) => hosts.has(node.id))
}

function rounded(value: number): number {
  return Number(value.toPrecision(4))
}

function sum(values: readonly number[]): number {
  return values.reduce((total, value) => total + value, 0)
}
