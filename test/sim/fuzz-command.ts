/** `npm run sim -- --fuzz [--minutes N] [--seed S] [--nodes N]` (fuzz.ts). */
import type { Command } from 'commander'
import { countOf, minutesOf, randomSeed, simCommand } from './command.ts'
import { fuzz } from './fuzz.ts'

interface FuzzFlags {
  readonly minutes: number
  readonly seed?: string
  readonly nodes?: number
}

export function fuzzCommand(): Command {
  return simCommand('--fuzz [flags]', 'Simulates cluster after cluster; each broken invariant comes with its replay.')
    .requiredOption('--fuzz', 'this command')
    .option('--minutes <minutes>', 'how long', minutesOf, 1)
    .option('--seed <text>', 'worlds are made of it and their number (default: a new one, printed)')
    .option('--nodes <count>', 'how many nodes each world has, instead of as many as its seed would draw', countOf)
    .action(({ minutes, nodes, seed = randomSeed() }: FuzzFlags) => {
      if (!fuzz({ seed, minutes, ...(nodes === undefined ? {} : { nodes }) })) process.exitCode = 1
    })
}
