/** `npm run sim -- [seed] [--nodes N] [--trace]`: one world in which things go wrong, and whether every invariant holds. */
import type { Command } from 'commander'
import { countOf, randomSeed, simCommand } from './command.ts'
import { replayOf } from './fuzz.ts'
import { optionsOf, run } from './run.ts'
import { createTraceHash, type OnTrace } from './trace.ts'

interface WorldFlags {
  readonly nodes?: number
  readonly trace?: true
}

export function worldCommand(): Command {
  return simCommand('[seed] [flags]', 'Simulates one cluster in which things go wrong, and checks every invariant.')
    .argument('[seed]', 'any text, as a commit hash; the same makes the same world (default: a new one, printed)')
    .option('--nodes <count>', 'how many nodes, instead of as many as the seed would draw', countOf)
    .option('--trace', 'print what happens, event by event')
    .addHelpText(
      'after',
      `\nOther commands: --fuzz (world after world), --bench (rollouts against the fluid bound); add --help.\n`,
    )
    .action((seed: string | undefined, { nodes, trace }: WorldFlags) => {
      const isRight = runOne(seed ?? randomSeed(), nodes === undefined ? {} : { nodes }, trace === true)
      if (!isRight) process.exitCode = 1
    })
}

function runOne(seed: string, size: { readonly nodes?: number }, isTraced: boolean): boolean {
  console.log(`seed ${seed}`)
  console.log(optionsOf({ seed, ...size }))
  const startedMs = performance.now()
  const hash = createTraceHash()
  const onTrace: OnTrace = (line) => {
    hash.onTrace(line)
    if (isTraced) process.stdout.write(line)
  }
  const result = run({ seed, ...size, onTrace })
  const tookS = ((performance.now() - startedMs) / 1000).toFixed(1)
  console.log(`done at ${(result.doneAtMs / 1000).toFixed(2)} s (virtual) after ${result.steps} steps, ${tookS} s here`)
  console.log(`origin sent ${result.originRatio.toFixed(3)} × the image, budget ${result.originBudget.toFixed(2)}`)
  console.log(`responses that failed and were tried again: ${result.fails}; bans: ${result.bans}`)
  console.log(`trace ${hash.hex()}`)
  for (const violation of result.violations) console.error(`violated: ${violation}`)
  if (result.violations.length > 0) console.error(`replay: ${replayOf(seed, size.nodes)} --trace`)
  return result.violations.length === 0
}
