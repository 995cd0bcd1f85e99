/** `npm run sim -- <seed> [--nodes N] [--trace]`: one world, made by its seed. A Git commit hash is a seed. */
import { parseArgs } from 'node:util'
import { optionsOf, run } from './run.ts'

const { positionals, values } = parseArgs({
  allowPositionals: true,
  options: { nodes: { type: 'string', default: '50' }, trace: { type: 'boolean', default: false } },
})
const seed = positionals[0] ?? String(Math.floor(Math.random() * 2 ** 32))
const nodes = Number(values.nodes)
console.log(`seed ${seed}`)
console.log(optionsOf({ seed, nodes }))
const startedMs = performance.now()
const result = run({ seed, nodes, ...(values.trace ? { onTrace: (line) => void process.stdout.write(line) } : {}) })
console.log(
  `done at ${(result.doneAtMs / 1000).toFixed(2)} s (virtual) after ${result.steps} steps, ${((performance.now() - startedMs) / 1000).toFixed(1)} s here`,
)
console.log(`origin sent ${result.originRatio.toFixed(3)} × the image, budget ${result.originBudget.toFixed(2)}`)
console.log(`responses that failed and were tried again: ${result.fails}; bans: ${result.bans}`)
console.log(`trace ${result.traceHash}`)
for (const violation of result.violations) console.error(`violated: ${violation}`)
if (result.violations.length > 0) {
  console.error(`replay: npm run sim -- ${seed} --nodes ${nodes} --trace`)
  process.exitCode = 1
}
