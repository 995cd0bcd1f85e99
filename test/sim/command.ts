/** What the simulator's three commands have in common. */
import { Command, InvalidArgumentError } from 'commander'

/** A wrong flag ends it with code 2, as it ends `shoal`, and shows which there are. */
export function simCommand(usage: string, description: string): Command {
  return new Command('npm run sim --')
    .usage(usage)
    .description(description)
    .allowExcessArguments(false)
    .showHelpAfterError()
    .exitOverride(({ exitCode }) => process.exit(exitCode === 0 ? 0 : 2))
}

export function countOf(text: string): number {
  const count = Number(text)
  if (Number.isSafeInteger(count) && count > 0) return count
  throw new InvalidArgumentError('Not a number of at least 1.')
}

export function minutesOf(text: string): number {
  const minutes = Number(text)
  if (text !== '' && minutes > 0 && Number.isFinite(minutes)) return minutes
  throw new InvalidArgumentError('Not a number above 0.')
}

export function randomSeed(): string {
  return String(Math.floor(Math.random() * 2 ** 32))
}
