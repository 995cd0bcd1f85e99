/**
 * `npm test`: every project, the quick ones first, one after the other so that none disturbs the others' measurements.
 * Ends with `N passed, N failed` alone on a line. `npm test -- --project unit` and any argument of vitest narrow it.
 */
import { spawn } from 'node:child_process'
import { mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { z } from 'zod'
import { minute } from '../core/units.ts'
import { missing, partNames } from './support/needs.ts'

const inCi = process.env['CI'] === 'true'
const projects = ['unit', 'sim', 'integration', 'e2e'] as const

/** The part of vitest's JSON report that counts. */
const reportSchema = z.object({
  testResults: z.array(
    z.object({
      name: z.string(),
      status: z.string(),
      assertionResults: z.array(z.object({ fullName: z.string(), status: z.string() })),
    }),
  ),
})
type Report = z.infer<typeof reportSchema>

interface Outcome {
  readonly passed: number
  readonly failed: number
  readonly skipped: number
}

/** Projects some of whose suites run the programs of test/support/needs.ts. */
const usesRealParts = ['integration', 'e2e']
/** vitest's own timeouts do not end a loop that never yields. The slowest project, e2e, needs ten minutes where other work uses the cores. */
const deadlineMs = 20 * minute
const skippedStatuses = ['skipped', 'pending', 'disabled', 'todo']

const { wanted, rest } = splitArguments(process.argv.slice(2))
const outcomes: Outcome[] = []
for (const project of wanted) outcomes.push(await runProject(project, rest))
process.exitCode = conclude(outcomes)

function splitArguments(args: readonly string[]): { wanted: readonly string[]; rest: readonly string[] } {
  const named: string[] = []
  const others: string[] = []
  for (let i = 0; i < args.length; i++) {
    const argument = args[i] ?? ''
    if (argument === '--project') named.push(args[++i] ?? '')
    else if (argument.startsWith('--project=')) named.push(argument.slice('--project='.length))
    else others.push(argument)
  }
  const unknown = named.filter((name) => !projects.some((project) => project === name))
  if (unknown.length > 0) throw new Error(`no project ${unknown.join(', ')}; there are ${projects.join(', ')}`)
  return { wanted: named.length === 0 ? projects : named, rest: others }
}

async function runProject(project: string, args: readonly string[]): Promise<Outcome> {
  console.log(`\n== ${project}`)
  const absent = usesRealParts.includes(project) ? missing(partNames) : []
  if (absent.length > 0) sayWhatIsMissing(absent)
  const directory = mkdtempSync(path.join(tmpdir(), 'shoal-test-report-'))
  try {
    const file = path.join(directory, 'report.json')
    const code = await runVitest(project, file, args)
    const outcome = count(readReport(file), code)
    return inCi ? { ...outcome, failed: outcome.failed + absent.length } : outcome
  } finally {
    rmSync(directory, { recursive: true })
  }
}

function sayWhatIsMissing(absent: readonly string[]): void {
  const then = inCi ? 'under CI each counts as failed' : 'the suites that need them are skipped'
  console.log(`Not on this machine: ${absent.join(', ')}; ${then}.`)
}

function runVitest(project: string, reportFile: string, args: readonly string[]): Promise<number> {
  const vitest = path.resolve(import.meta.dirname, '../node_modules/vitest/vitest.mjs')
  // In the last project each test takes seconds, and a skipped one says why.
  const reporters = [
    `--reporter=${project === 'e2e' ? 'verbose' : 'default'}`,
    '--reporter=json',
    `--outputFile.json=${reportFile}`,
  ]
  const child = spawn(
    process.execPath,
    [vitest, 'run', '--project', project, '--passWithNoTests', ...reporters, ...args],
    { stdio: 'inherit' },
  )
  for (const signal of ['SIGINT', 'SIGTERM'] as const) process.once(signal, () => child.kill(signal))
  const deadline = setTimeout(() => {
    console.log(`${project} did not end within ${deadlineMs / minute} minutes: a test loops or waits for ever.`)
    child.kill('SIGKILL')
  }, deadlineMs)
  return new Promise((resolve) =>
    child.on('exit', (code) => {
      clearTimeout(deadline)
      resolve(code ?? 1)
    }),
  )
}

function readReport(file: string): Report {
  try {
    return reportSchema.parse(JSON.parse(readFileSync(file, 'utf8')))
  } catch {
    return { testResults: [] }
  }
}

/** A file that failed without a failed test (it does not load), and a run that failed without either, count as one. */
function count({ testResults }: Report, code: number): Outcome {
  const tests = testResults.flatMap((file) => file.assertionResults)
  const of = (...statuses: string[]): number => tests.filter(({ status }) => statuses.includes(status)).length
  const broken = testResults.filter(
    ({ status, assertionResults }) => status === 'failed' && assertionResults.every((test) => test.status !== 'failed'),
  )
  const failed = of('failed') + broken.length
  for (const file of testResults) sayWhatWasSkipped(file)
  return {
    passed: of('passed'),
    failed: failed === 0 && code !== 0 ? 1 : failed,
    skipped: of(...skippedStatuses),
  }
}

function sayWhatWasSkipped({ name, assertionResults }: Report['testResults'][number]): void {
  const skipped = assertionResults.filter(({ status }) => skippedStatuses.includes(status))
  if (skipped.length > 0) console.log(`Skipped in ${path.relative(process.cwd(), name)}: ${skipped.length} tests`)
}

function conclude(all: readonly Outcome[]): number {
  const total = (of: keyof Outcome): number => all.reduce((sum, outcome) => sum + outcome[of], 0)
  const [passed, failed, skipped] = [total('passed'), total('failed'), total('skipped')]
  if (passed + failed === 0) console.log('\nNo test ran.')
  console.log(`\n${passed} passed, ${failed} failed${skipped > 0 ? `, ${skipped} skipped` : ''}`)
  return failed > 0 || passed === 0 ? 1 : 0
}
