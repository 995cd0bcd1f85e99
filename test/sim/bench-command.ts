/** `npm run sim -- --bench [--json] [flags]`: bench/sim/README.md says what it measures and what it gave. */
import { availableParallelism } from 'node:os'
import type { Command } from 'commander'
import type { BenchCase } from './bench.ts'
import { benchCases } from './bench-cases.ts'
import { runCases } from './bench-pool.ts'
import { countOf, simCommand } from './command.ts'

/** Each flag that is given keeps the cases that have one of its values. */
const filters = {
  nodes: { of: ({ nodes }: BenchCase) => nodes, what: 'nodes that pull' },
  imageMb: { of: ({ layerBytes }: BenchCase) => megabytes(layerBytes), what: 'size of the image' },
  layers: { of: ({ layerBytes }: BenchCase) => layerBytes.length, what: 'layers of the image' },
  start: { of: ({ start }: BenchCase) => start, what: 'who has the image: an origin, or one node too' },
  strategy: { of: ({ strategy }: BenchCase) => strategy, what: 'how chunks spread (strategies.ts)' },
  frames: { of: ({ framesPerChunk }: BenchCase) => framesPerChunk, what: 'frames that a chunk moves in' },
  weakUplinks: { of: ({ weakUplinks }: BenchCase) => weakUplinks, what: 'nodes that upload at a tenth' },
  liar: { of: ({ liar }: BenchCase) => liar, what: 'what one of the nodes does wrong (lies.ts)' },
  crashes: { of: ({ crashShare }: BenchCase) => crashShare, what: 'share of nodes that crash' },
} as const

type Filter = keyof typeof filters
export type Wanted = { readonly [Name in Filter]?: readonly string[] }

interface BenchFlags extends Wanted {
  readonly json?: true
  readonly seed: string
  readonly workers: number
}

export function benchCommand(): Command {
  const cases = benchCases()
  const command = simCommand(
    '--bench [flags]',
    'Simulates rollouts and compares the slowest node with the fluid bound.',
  )
    .requiredOption('--bench', 'this command')
    .option('--json', 'print a JSON array with an object for each case')
    .option('--seed <text>', 'makes another world', '1')
    .option(
      '--workers <count>',
      'cases that run at the same time, where there is memory for them',
      countOf,
      Math.min(availableParallelism(), workersMax),
    )
  for (const name of filterNames)
    command.option(`${flagOf(name)} <values>`, `${filters[name].what}: ${valuesOf(cases, name).join(', ')}`, listed)
  return command
    .addHelpText(
      'after',
      `
Runs all ${cases.length} cases, which takes hours, or those that have one of the values of each flag given (comma-separated, or the
flag again). Says first what they take of this machine, and every two seconds on stderr how far they are.

  npm run sim -- --bench --nodes 100 --image-mb 100
  npm run sim -- --bench --nodes 1000 --image-mb 100 --start cold --strategy shipped,'eight neighbours' --json
  npm run sim -- --bench --nodes 20 --liar none,trickles,denies
  npm run sim -- --bench --nodes 10000 --image-mb 100 --start warm
`,
    )
    .action(async ({ json, seed, workers, ...wanted }: BenchFlags) => {
      const { failures, rows } = await runCases(chosenOf(cases, wanted), {
        seed,
        workers,
        say: (line) => process.stderr.write(`${line}\n`),
      })
      if (json) console.log(JSON.stringify(rows, undefined, 2))
      else console.table(rows)
      if (failures.length > 0) throw new Error(`${failures.length} of the cases gave no row: ${failures.join('; ')}`)
    })
}

/** Each keeps a core busy, and more of them wait for the same memory. */
const workersMax = 2

const filterNames = Object.keys(filters) as Filter[]

function flagOf(name: Filter): string {
  return `--${name.replace(/[A-Z]/, (letter) => `-${letter.toLowerCase()}`)}`
}

function listed(value: string, before: readonly string[] = []): string[] {
  return [...before, ...value.split(',')]
}

function valuesOf(cases: readonly BenchCase[], name: Filter): string[] {
  return [...new Set(cases.map((one) => String(filters[name].of(one))))]
}

/** Throws where no case is left: the message says which values there are. */
export function chosenOf(cases: readonly BenchCase[], wanted: Wanted): BenchCase[] {
  let left = [...cases]
  for (const name of filterNames) {
    const values = wanted[name]
    if (values === undefined) continue
    const there = valuesOf(left, name)
    left = left.filter((one) => values.includes(String(filters[name].of(one))))
    if (left.length === 0) throw new Error(noCase(name, values, there))
  }
  return left
}

function noCase(name: Filter, values: readonly string[], there: readonly string[]): string {
  return `no case has ${flagOf(name)} ${values.join(',')}; those that the flags before it leave have ${there.join(', ')}`
}

function megabytes(layerBytes: readonly number[]): number {
  return Math.round(layerBytes.reduce((sum, bytes) => sum + bytes, 0) / 1e6)
}
