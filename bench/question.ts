/** What all questions have in common: a command that leaves nothing behind, however it ends, and prints its answer. */
import { Command, InvalidArgumentError } from 'commander'
import { createGuardian, type Guardian } from '../cli/demo/guardian.ts'

/** Options that are added to it are what `measure` says it takes; nobody checks that. With `--json` the answer is one line. */
export function question(
  name: string,
  description: string,
  measure: (guardian: Guardian, options: never) => Promise<object>,
): Command {
  return new Command(name)
    .description(description)
    .option('--json', 'print one JSON object')
    .action(async ({ json, ...options }: { json?: true }) => {
      const guardian = createGuardian()
      const interrupted = () => void guardian.close().finally(() => process.exit(130))
      process.once('SIGINT', interrupted).once('SIGTERM', interrupted)
      try {
        const answer = await measure(guardian, options as never)
        process.stdout.write(`${JSON.stringify(answer, undefined, json ? undefined : 2)}\n`)
      } finally {
        await guardian.close()
      }
    })
}

/** What an option says. */
export function wholeNumber(text: string): number {
  const value = size(text)
  if (value > 0) return value
  throw new InvalidArgumentError('Expected a whole number above 0.')
}

export function size(text: string): number {
  const value = Number(text)
  if (Number.isInteger(value) && value >= 0) return value
  throw new InvalidArgumentError('Expected a whole number.')
}
