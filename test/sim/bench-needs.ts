/** What a case of the bench takes of this machine, by what cases took that were measured (bench/sim/README.md). */
import { chunkCountOf } from '../../core/swarm/chunks.ts'
import { second } from '../../core/units.ts'
import { boundMsOf, settleMs, type BenchCase } from './bench.ts'

/** Things that happen for each chunk that a node gets, and to each node in a second. */
const stepsPerChunk = 20
const stepsPerSecond = 45
/** A rollout takes about so many times the bound. */
const usualBounds = 1.15
/** Where a thousand nodes are simulated. */
const stepMs = 0.009
const processBytes = 250e6
const nodeBytes = 430e3
const chunkBytes = 60

export function stepsOf(setup: BenchCase): number {
  const seconds = (settleMs + usualBounds * boundMsOf(setup)) / second
  return setup.nodes * (chunksOf(setup) * stepsPerChunk + seconds * stepsPerSecond)
}

/** Of one core. */
export function cpuMsOf(setup: BenchCase): number {
  return stepsOf(setup) * stepMs
}

export function memoryBytesOf(setup: BenchCase): number {
  return processBytes + setup.nodes * (nodeBytes + chunksOf(setup) * chunkBytes)
}

/** What they take when those that take most meet. */
export function togetherBytes(cases: readonly BenchCase[], atATime: number): number {
  const most = cases.map(memoryBytesOf).toSorted((one, other) => other - one)
  return most.slice(0, atATime).reduce((sum, bytes) => sum + bytes, 0)
}

/** How many may run at the same time: as many as wanted where there is memory for them, and always one. */
export function sideBySide(cases: readonly BenchCase[], wanted: number, availableBytes: number): number {
  let atATime = Math.min(wanted, cases.length)
  while (atATime > 1 && togetherBytes(cases, atATime) > availableBytes) atATime--
  return atATime
}

function chunksOf({ layerBytes }: BenchCase): number {
  return layerBytes.reduce((sum, bytes) => sum + chunkCountOf(bytes), 0)
}
