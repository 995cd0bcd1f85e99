/** One run: a safety phase in which nothing wrong may happen, then a liveness phase in which everything must end well. */
import { chunkLengthOf } from '../../core/swarm/chunks.ts'
import { seededRandom } from '../support/seeded-random.ts'
import { planFaults, planRangedReads } from './faults.ts'
import { drawOptions, type SimOptions } from './options.ts'
import { allDone, createSim, imageBytes, livePulls, startAll, type Sim } from './world.ts'

export interface RunResult {
  readonly options: SimOptions
  readonly violations: readonly string[]
  readonly traceHash: string
  readonly doneAtMs: number
  readonly originRatio: number
  readonly originBudget: number
  /** Responses that ended early; the puller tried again. */
  readonly fails: number
  readonly bans: number
  readonly steps: number
}

export interface RunSetup {
  readonly seed: number | string
  readonly nodes?: number
  /** Instead of what the seed would draw. */
  readonly options?: SimOptions
  readonly onTrace?: (line: string) => void
}

export function optionsOf({ nodes, options, seed }: RunSetup): SimOptions {
  return options ?? drawOptions(seededRandom(`${seed} options`), nodes)
}

export function run(setup: RunSetup): RunResult {
  const options = optionsOf(setup)
  const { onTrace, seed } = setup
  const sim = createSim({ seed, options, ...(onTrace === undefined ? {} : { onTrace }) })
  planFaults(sim)
  planRangedReads(sim)
  startAll(sim)
  sim.engine.run(options.faultsUntilMs, () => false)
  const done = sim.engine.run(options.faultsUntilMs + options.patienceMs, () => allDone(sim))
  if (!done) reportStuck(sim)
  return judge(sim)
}

/** Invariant 2, told so that one can see why. */
function reportStuck(sim: Sim): void {
  for (const pull of livePulls(sim)) {
    if (pull.doneAtMs !== undefined) continue
    const blobs = sim.layers.map(({ digest }) => {
      const progress = pull.node.life?.swarm.progress(digest)
      return progress === undefined ? 'none' : `${progress.held}/${progress.chunks}`
    })
    sim.world.violated(`${pull.node.id}: not done (${blobs.join(', ')})`)
  }
}

function judge(sim: Sim): RunResult {
  const { engine, nodes, options, violations, world } = sim
  const wrongBytes = nodes.reduce((sum, { counts }) => sum + counts.wrongBytes, 0)
  if (wrongBytes > 0) world.violated(`${wrongBytes} chunks were handed to readers with a wrong byte`)
  const originRatio = world.origin.sentBytes() / imageBytes(sim)
  const originBudget = budgetOf(options)
  if (originRatio > originBudget)
    world.violated(`the origin sent ${originRatio.toFixed(2)} × the image, budget ${originBudget.toFixed(2)}`)
  return {
    options,
    violations,
    traceHash: sim.traceHash(),
    doneAtMs: engine.clock.now(),
    originRatio,
    originBudget,
    fails: nodes.reduce((sum, { counts }) => sum + counts.fails, 0),
    bans: nodes.reduce((sum, { counts }) => sum + counts.bans.length, 0),
    steps: engine.steps(),
  }
}

/**
 * Invariant 5. Without faults 1.05. Each node that crashes, freezes, lies or is cut off may cost what it had under way and what the
 * directory it hosted had granted: a quarter of the image. Where owner and standby may die together, each node may take one
 * chunk of each layer unleased. A faulty or rangeless origin sends what nobody keeps.
 * Where a chunk takes about as long as a stall, nodes behind such a link insist on some that peers have.
 */
function budgetOf(options: SimOptions): number {
  const image = options.layerBytes.reduce((sum, bytes) => sum + bytes, 0)
  const firstChunks = options.layerBytes.reduce((sum, bytes) => sum + chunkLengthOf(bytes, 0), 0)
  const unleased = options.crashes + options.freezers >= 2 ? (options.nodes * firstChunks) / image : 0
  const nodeFaults = options.crashes + options.freezers + options.spoilers + options.breaks / 10
  const originFaults = (options.originFaultOneIn > 0 ? 0.5 : 0) + (options.originUnranged ? 1 : 0)
  const slowLinks = nodeFaults > 0 && options.linkBytesPerMs / options.linkSpread < 500 ? 1 : 0
  return 1.05 + slowLinks + unleased + nodeFaults / 4 + originFaults + (options.diskRefusesOneIn > 0 ? 1 : 0)
}
