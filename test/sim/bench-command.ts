/** `npm run sim -- --bench [--json] [flags]`: bench/sim/README.md says which cases there are, and what the flags narrow. */
import { parseArgs } from 'node:util'
import { bench, type BenchCase, type BenchRow } from './bench.ts'
import { benchCases } from './bench-cases.ts'

const progressEveryMs = 2000
const list = { type: 'string', multiple: true } as const

/** Each flag that is given keeps the cases that have one of its values. */
const filters = {
  nodes: (one: BenchCase) => one.nodes,
  'image-mb': (one: BenchCase) => one.layerBytes.reduce((sum, bytes) => sum + bytes, 0) / 1e6,
  layers: (one: BenchCase) => one.layerBytes.length,
  start: (one: BenchCase) => one.start,
  strategy: (one: BenchCase) => one.strategy,
  crashes: (one: BenchCase) => one.crashShare,
}

export function benchCommand(args: readonly string[]): void {
  const { values } = parseArgs({
    args: [...args],
    options: {
      bench: { type: 'boolean' },
      json: { type: 'boolean', default: false },
      seed: { type: 'string', default: '1' },
      nodes: list,
      'image-mb': list,
      layers: list,
      start: list,
      strategy: list,
      crashes: list,
    },
  })
  const isChosen = (one: BenchCase): boolean =>
    Object.entries(filters).every(([name, valueOf]) => {
      const wanted = values[name as keyof typeof filters]
      return wanted === undefined || wanted.includes(String(valueOf(one)))
    })
  const cases = benchCases().filter(isChosen)
  const rows = cases.map((one, at) => runCase(one, values.seed, `${at + 1} of ${cases.length}`))
  if (values.json) console.log(JSON.stringify(rows, undefined, 2))
  else console.table(rows)
}

function runCase(setup: BenchCase, seed: string, place: string): BenchRow {
  const startedMs = performance.now()
  const what = `${place} (${setup.nodes} nodes, ${setup.start}, ${setup.strategy})`
  let saidMs = startedMs
  const row = bench(setup, seed, (line) => {
    if (performance.now() - saidMs < progressEveryMs) return
    saidMs = performance.now()
    process.stderr.write(`${what}: ${line}\n`)
  })
  const tookS = ((performance.now() - startedMs) / 1000).toFixed(1)
  process.stderr.write(`${what}: slowest at ${row.max_over_bound} × the bound, took ${tookS} s\n`)
  return row
}
