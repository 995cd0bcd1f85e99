/**
 * `npm run sim -- --fuzz --minutes N [--seed S]`: world after world, each from a seed made of S and its number, until the time
 * is up. Prints S, what happened in all of them, and for each broken invariant the command that replays it.
 */
import { run, type RunResult } from './run.ts'

export interface FuzzSetup {
  readonly seed: string
  readonly minutes: number
  readonly nodes?: number
}

export interface Failure {
  readonly replay: string
  readonly violations: readonly string[]
}

/** Seed of world `number`, and the command that makes it again. */
function seedOf(seed: string, number: number): string {
  return `${seed}-${number}`
}

export function replayOf(seed: string | number, nodes?: number): string {
  return `npm run sim -- ${seed}${nodes === undefined ? '' : ` --nodes ${nodes}`}`
}

/** True when no invariant was broken. */
export function fuzz({ minutes, nodes, seed }: FuzzSetup): boolean {
  const untilMs = performance.now() + minutes * 60_000
  const sums = createSums()
  const failures: Failure[] = []
  console.log(`fuzzing from seed ${seed}`)
  for (let number = 1; performance.now() < untilMs; number++) {
    const world = seedOf(seed, number)
    const result = run({ seed: world, ...(nodes === undefined ? {} : { nodes }) })
    sums.add(result)
    if (result.violations.length > 0)
      failures.push({ replay: replayOf(world, nodes), violations: result.violations.slice(0, shownMax) })
    showProgress(
      `${number} worlds, ${failures.length} failed, ${Math.ceil((untilMs - performance.now()) / 1000)} s left`,
    )
  }
  showProgress('')
  for (const line of sums.lines()) console.log(line)
  for (const failure of failures) report(failure)
  console.log(failures.length === 0 ? 'no invariant was broken' : `${failures.length} worlds broke an invariant`)
  return failures.length === 0
}

/** One world may break the same invariant on every node. */
const shownMax = 5

function report({ replay, violations }: Failure): void {
  for (const violation of violations) console.error(`violated: ${violation}`)
  console.error(`replay: ${replay}`)
}

function showProgress(text: string): void {
  if (process.stderr.isTTY) process.stderr.write(`\r\x1b[K${text}`)
}

/** What happened in all worlds so far. */
function createSums(): { add(result: RunResult): void; lines(): string[] } {
  let worlds = 0
  let steps = 0
  let virtualMs = 0
  let worstRatio = 0
  const counts = new Map<string, number>()
  const count = (what: string, times: number): void => void counts.set(what, (counts.get(what) ?? 0) + times)
  return {
    add({ bans, doneAtMs, fails, options, originRatio, steps: took }) {
      worlds++
      steps += took
      virtualMs += doneAtMs
      worstRatio = Math.max(worstRatio, originRatio)
      count('nodes', options.nodes)
      count('crashes', options.crashes)
      count('hangs', options.freezers)
      count('departures', options.departures)
      count('late joiners', options.lateJoiners)
      count('partitions', options.partitions)
      count('broken connections', options.breaks)
      count('liars', options.spoilers + options.liars)
      count('bans', bans)
      count('borders between zones', options.border === 'none' ? 0 : options.zones - 1)
      count('origin outages', options.originOutages)
      count('origin rate limits', options.originLimits)
      count('responses that failed and were tried again', fails)
    },
    lines: () => [
      `${worlds} worlds, ${(virtualMs / 1000).toFixed(0)} s of virtual time, ${steps} steps`,
      [...counts].map(([what, times]) => `${times} ${what}`).join(', '),
      `the origin sent at most ${worstRatio.toFixed(2)} × an image`,
    ],
  }
}
