/**
 * `npm run sim -- <seed>`: one world, made by its seed (world-command.ts). A Git commit hash is a seed.
 * `npm run sim -- --fuzz`: many (fuzz-command.ts).
 * `npm run sim -- --bench`: how close a rollout comes to the fluid bound (bench-command.ts).
 */
import { benchCommand } from './bench-command.ts'
import { fuzzCommand } from './fuzz-command.ts'
import { worldCommand } from './world-command.ts'

const args = process.argv.slice(2)
try {
  await commandFor(args).parseAsync(args, { from: 'user' })
} catch (error) {
  process.stderr.write(`sim: ${error instanceof Error ? error.message : String(error)}\n`)
  process.exitCode = 1
}

function commandFor(given: readonly string[]): ReturnType<typeof worldCommand> {
  if (given.includes('--bench')) return benchCommand()
  return given.includes('--fuzz') ? fuzzCommand() : worldCommand()
}
