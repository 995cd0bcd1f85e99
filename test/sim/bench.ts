/**
 * How close to the fluid bound F/u does the slowest node get? A quiet world: all links and the origin's uplink 50 Mbit/s,
 * 1 ms apart; an image of 64 MiB in five layers, three read at a time, two prefetched; chunks of 256 KiB.
 * `node test/sim/bench.ts [nodes…]`. Slowest over bound, seeds 1-3 (the origin sent 1.000 × the image, no node received
 * more than 1.02 ×):
 *
 *     8 nodes 1.09-1.10     50 nodes 1.18-1.20     200 nodes 1.24
 */
import { MiB } from '../../core/units.ts'
import { quiet } from './options.ts'
import { allDone, imageBytes } from './sim.ts'
import { createSim, startAll } from './world.ts'

export interface BenchResult {
  readonly nodes: number
  readonly makespanOverBound: number
  readonly medianOverBound: number
  readonly originRatio: number
  /** The most any node received, over the image. */
  readonly receivedRatio: number
}

const layerMiB = [2, 5, 9, 18, 30]

export function benchCold(nodes: number, seed: number, limits: Record<string, number> = {}): BenchResult {
  const options = { ...quiet, nodes, layerBytes: layerMiB.map((size) => size * MiB) }
  const sim = createSim({ seed, options, swarm: { limits }, traced: false })
  startAll(sim)
  sim.engine.run(300_000, () => allDone(sim))
  const image = imageBytes(sim)
  const boundMs = image / options.linkBytesPerMs
  const ends = sim.pulls.map((pull) => pull.doneAtMs ?? Infinity).toSorted((a, b) => a - b)
  const received = sim.nodes.map(({ counts }) => counts.peerBytes + counts.originBytes)
  return {
    nodes,
    makespanOverBound: (ends.at(-1) ?? Infinity) / boundMs,
    medianOverBound: (ends[ends.length >> 1] ?? Infinity) / boundMs,
    originRatio: sim.world.origin.sentBytes() / image,
    receivedRatio: Math.max(...received) / image,
  }
}

if (import.meta.main) {
  const sizes = process.argv.slice(2).map(Number)
  for (const nodes of sizes.length > 0 ? sizes : [8, 50, 200]) {
    const startedMs = performance.now()
    const result = benchCold(nodes, 1)
    console.log(JSON.stringify({ ...result, tookMs: Math.round(performance.now() - startedMs) }))
  }
}
