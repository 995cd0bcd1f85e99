/** The cases of `npm run sim -- --bench`, cheapest first. */
import { KiB, MiB } from '../../core/units.ts'
import type { BenchCase } from './bench.ts'
import { lies } from './lies.ts'
import { strategies, type Strategy } from './strategies.ts'

const linkMbit = 200
/** Half a chunk is a coarse grain, for a fraction of the events. */
const plain = { linkMbit, strategy: 'shipped', framesPerChunk: 2, crashShare: 0, weakUplinks: 0, liar: 'none' } as const
/** Frames that a TCP window takes two of. */
const fineGrain = { ...plain, nodes: 100, layerBytes: [1e9], start: 'cold', framesPerChunk: 16 } as const
/** Ten layers of unlike sizes; containerd reads three at a time. */
const tenLayersPercent = [25, 18, 14, 11, 9, 8, 6, 5, 3, 1]
/** The image and links of bench/cold, whose real agents share two cores. */
const coldBench = { nodes: 16, linkMbit: 25, layerBytes: [44, 26, 16, 10, 4].map((percent) => percent * 656 * KiB) }
/** Small enough for a test, and so large that a weak uplink takes several seconds for a node's share of it. */
const uplinkBench = { nodes: 24, linkMbit: 50, layerBytes: [32 * MiB] }

/** Five layers again, and so small that a wait of some seconds shows. */
const besideLiar = { nodes: 20, linkMbit: 100, layerBytes: coldBench.layerBytes.map((bytes) => bytes / 2) }

export function benchCases(): BenchCase[] {
  return [
    { ...plain, ...coldBench, start: 'cold' },
    ...[6, 12].map((weakUplinks) => ({ ...plain, ...uplinkBench, start: 'cold' as const, weakUplinks })),
    ...(['none', ...lies] as const).map((liar) => ({ ...plain, ...besideLiar, start: 'cold' as const, liar })),
    ...[100, 1000].flatMap((nodes) => [...sizes(nodes), ...tenLayers(nodes)]),
    fineGrain,
    { ...fineGrain, strategy: 'two large uploads at a time' },
    { ...plain, nodes: 1000, layerBytes: [1e8], start: 'cold', crashShare: 0.05 },
    ...others().map((strategy) => ({ ...plain, nodes: 1000, layerBytes: [1e8], start: 'cold' as const, strategy })),
    ...sizes(10_000),
  ]
}

function sizes(nodes: number): BenchCase[] {
  return [1e8, 1e9].flatMap((bytes) => bothStarts(nodes, [bytes]))
}

function tenLayers(nodes: number): BenchCase[] {
  return [1e8, 1e9].flatMap((bytes) =>
    bothStarts(
      nodes,
      tenLayersPercent.map((percent) => (percent * bytes) / 100),
    ),
  )
}

function bothStarts(nodes: number, layerBytes: readonly number[]): BenchCase[] {
  return (['cold', 'warm'] as const).map((start) => ({ ...plain, nodes, layerBytes, start }))
}

function others(): Strategy[] {
  return (Object.keys(strategies) as Strategy[]).filter(
    (name) => name !== 'shipped' && name !== 'two large uploads at a time',
  )
}
