/**
 * `npm run sim -- <seed> [--nodes N] [--trace]`: one world, made by its seed. A Git commit hash is a seed.
 * `npm run sim -- --fuzz [--minutes N] [--seed S]`: many (fuzz.ts).
 * `npm run sim -- --bench [--json]`: how close a rollout comes to the fluid bound (bench-command.ts).
 */
import { parseArgs } from 'node:util'
import { benchCommand } from './bench-command.ts'
import { fuzz, replayOf } from './fuzz.ts'
import { optionsOf, run } from './run.ts'

const args = process.argv.slice(2)
if (args.includes('--bench')) benchCommand(args)
else if (!runWorlds()) process.exitCode = 1

function runWorlds(): boolean {
  const { positionals, values } = parseArgs({
    allowPositionals: true,
    options: {
      nodes: { type: 'string' },
      trace: { type: 'boolean', default: false },
      fuzz: { type: 'boolean', default: false },
      minutes: { type: 'string', default: '1' },
      seed: { type: 'string' },
    },
  })
  const seed = values.seed ?? positionals[0] ?? String(Math.floor(Math.random() * 2 ** 32))
  const size = values.nodes === undefined ? {} : { nodes: Number(values.nodes) }
  return values.fuzz ? fuzz({ seed, minutes: Number(values.minutes), ...size }) : runOne(seed, size, values.trace)
}

function runOne(seed: string, size: { readonly nodes?: number }, isTraced: boolean): boolean {
  console.log(`seed ${seed}`)
  console.log(optionsOf({ seed, ...size }))
  const startedMs = performance.now()
  const result = run({ seed, ...size, ...(isTraced ? { onTrace: (line) => void process.stdout.write(line) } : {}) })
  const tookS = ((performance.now() - startedMs) / 1000).toFixed(1)
  console.log(`done at ${(result.doneAtMs / 1000).toFixed(2)} s (virtual) after ${result.steps} steps, ${tookS} s here`)
  console.log(`origin sent ${result.originRatio.toFixed(3)} × the image, budget ${result.originBudget.toFixed(2)}`)
  console.log(`responses that failed and were tried again: ${result.fails}; bans: ${result.bans}`)
  console.log(`trace ${result.traceHash}`)
  for (const violation of result.violations) console.error(`violated: ${violation}`)
  if (result.violations.length > 0) console.error(`replay: ${replayOf(seed, size.nodes)} --trace`)
  return result.violations.length === 0
}
