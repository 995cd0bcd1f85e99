/** One run: a safety phase in which nothing wrong may happen, then a liveness phase in which everything must end well. */
import { seededRandom } from '../support/seeded-random.ts'
import { allowedBytes } from './budget.ts'
import { checkBans, checkBytes, checkDone, checkFails, checkOrigin } from './checkers.ts'
import { planFaults, planRangedReads } from './faults.ts'
import { calmMs, drawOptions, type SimOptions } from './options.ts'
import { allDone, imageBytes, type Sim } from './sim.ts'
import type { OnTrace } from './trace.ts'
import { createSim, startAll, watch } from './world.ts'

export interface RunResult {
  readonly options: SimOptions
  readonly violations: readonly string[]
  readonly doneAtMs: number
  /** Bytes that the origin sent, and may have sent, over the image. */
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
  readonly onTrace?: OnTrace
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
  watch(sim)
  sim.engine.run(calmMs(options), () => false)
  const patientUntilMs = calmMs(options) + options.patienceMs
  sim.engine.run(patientUntilMs, () => allDone(sim))
  // Where each of a crowd has to take the blob itself, its slow link alone takes the origin longer (wrd-16: 106 copies in 13 minutes).
  sim.engine.run(patientUntilMs + allowedBytes(sim) / options.originBytesPerMs, () => allDone(sim))
  for (const check of [checkDone, checkBytes, checkFails, checkBans, checkOrigin]) check(sim)
  return resultOf(sim)
}

function resultOf(sim: Sim): RunResult {
  const { engine, nodes, options, violations, world } = sim
  return {
    options,
    violations,
    doneAtMs: engine.clock.now(),
    originRatio: world.origin.sentBytes() / imageBytes(sim),
    originBudget: allowedBytes(sim) / imageBytes(sim),
    fails: nodes.reduce((sum, { counts }) => sum + counts.fails, 0),
    bans: nodes.reduce((sum, { counts }) => sum + counts.bans.length, 0),
    steps: engine.steps(),
  }
}
