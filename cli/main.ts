#!/usr/bin/env -S node --max-semi-space-size=4
/**
 * The `shoal` command. The flag above keeps the young generation small: 190 MiB instead of 270 while serving, for no CPU.
 */
/** The `shoal` command. */
import { existsSync, readFileSync } from 'node:fs'
import { z } from 'zod'
import { runAgent } from '../agent/main.ts'
import { runCommand } from './program.ts'

const signals = ['SIGTERM', 'SIGINT', 'SIGHUP'] as const

process.exitCode = await runCommand(process.argv.slice(2), {
  env: process.env,
  version: packageVersion(),
  print: (text) => process.stdout.write(text),
  printError: (text) => process.stderr.write(text),
  onSignal: (listener) => {
    for (const signal of signals) process.on(signal, listener)
  },
  exit: (code) => process.exit(code),
  runAgent,
})
process.exit()

/** From the nearest package.json: beside `cli/` in a checkout, one further up in `dist/`. */
function packageVersion(): string {
  const here = import.meta.dirname
  const file = [`${here}/../package.json`, `${here}/../../package.json`].find((path) => existsSync(path))
  return z.object({ version: z.string() }).parse(JSON.parse(readFileSync(file ?? '', 'utf8'))).version
}
