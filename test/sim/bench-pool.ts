/** Runs cases side by side, each in a worker of its own: they share nothing, and its memory goes with it. */
import { Worker } from 'node:worker_threads'
import { GiB, minute } from '../../core/units.ts'
import type { BenchCase, BenchRow } from './bench.ts'
import { cpuMsOf, sideBySide, stepsOf, togetherBytes } from './bench-needs.ts'

export interface PoolOptions {
  readonly seed: string
  readonly workers: number
  readonly say: (line: string) => void
}

export interface BenchResult {
  /** Of the cases that came to an end, in their order. */
  readonly rows: readonly BenchRow[]
  /** What became of each of the others. */
  readonly failures: readonly string[]
}

/** What the worker is given. */
export interface BenchTask {
  readonly setup: BenchCase
  readonly seed: string
}

export type BenchReport =
  | { readonly type: 'progress'; readonly line: string; readonly steps: number }
  | { readonly type: 'done'; readonly row: BenchRow }

const progressEveryMs = 1500
/** 10,000 nodes take some 5 GB, more than Node.js gives a program that says nothing; what is planned and past is collected with fewer copies in a large young generation. */
const resourceLimits = { maxOldGenerationSizeMb: 16_384, maxYoungGenerationSizeMb: 192 }

/** Runs as many at a time as wanted where this machine has memory for them; a case that fails leaves the others to go on. */
export async function runCases(cases: readonly BenchCase[], options: PoolOptions): Promise<BenchResult> {
  const rows: BenchRow[] = []
  const failures: string[] = []
  const atATime = sideBySide(cases, options.workers, process.availableMemory())
  options.say(needsOf(cases, atATime))
  const queue = [...cases.entries()]
  const runNext = async (): Promise<void> => {
    for (let next = queue.shift(); next !== undefined; next = queue.shift()) {
      const [at, setup] = next
      const name = `${at + 1} of ${cases.length} (${nameOf(setup)})`
      try {
        rows[at] = await runCase(setup, name, options)
      } catch (error) {
        failures.push(`${name} failed: ${error instanceof Error ? error.message : String(error)}`)
        options.say(failures.at(-1)!)
      }
    }
  }
  await Promise.all(Array.from({ length: atATime }, runNext))
  return { rows: rows.filter((row) => row !== undefined), failures }
}

function needsOf(cases: readonly BenchCase[], atATime: number): string {
  const cpuMs = cases.reduce((sum, setup) => sum + cpuMsOf(setup), 0)
  const free = `${gigabytes(process.availableMemory())} free here`
  const what = `${cases.length} ${cases.length === 1 ? 'case' : `cases, ${atATime} at a time`}`
  return `${what}: about ${timeOf(cpuMs)} of CPU and ${gigabytes(togetherBytes(cases, atATime))} of memory (${free})`
}

function nameOf({ crashShare, layerBytes, liar, nodes, start, strategy, weakUplinks }: BenchCase): string {
  const megabytes = layerBytes.reduce((sum, bytes) => sum + bytes, 0) / 1e6
  const layers = layerBytes.length === 1 ? '' : ` in ${layerBytes.length} layers`
  const crashes = crashShare === 0 ? '' : `, ${100 * crashShare} % crash`
  const weak = weakUplinks === 0 ? '' : `, ${weakUplinks} weak uplinks`
  const beside = liar === 'none' ? '' : `, one ${liar}`
  return `${nodes} nodes, ${megabytes.toFixed(0)} MB${layers}, ${start}${crashes}${weak}${beside}, ${strategy}`
}

async function runCase(setup: BenchCase, name: string, { say, seed }: PoolOptions): Promise<BenchRow> {
  const startedMs = performance.now()
  const stepsInAll = stepsOf(setup)
  let saidMs = Number.NEGATIVE_INFINITY
  const row = await rowOf({ setup, seed }, (line, steps) => {
    const nowMs = performance.now()
    if (nowMs - saidMs < progressEveryMs) return
    saidMs = nowMs
    const left =
      steps === 0 ? '' : `, about ${timeOf(((nowMs - startedMs) * Math.max(stepsInAll - steps, 0)) / steps)} left`
    say(`${name}: ${line}${left}`)
  })
  const took = timeOf(performance.now() - startedMs)
  say(`${name}: slowest at ${row.max_over_bound} × the bound, half at ${row.p50_over_bound}; took ${took}`)
  return row
}

function gigabytes(bytes: number): string {
  return `${(bytes / GiB).toFixed(1)} GiB`
}

function timeOf(ms: number): string {
  return ms < 2 * minute ? `${(ms / 1000).toFixed(0)} s` : `${(ms / minute).toFixed(0)} min`
}

function rowOf(task: BenchTask, onProgress: (line: string, steps: number) => void): Promise<BenchRow> {
  const { promise, reject, resolve } = Promise.withResolvers<BenchRow>()
  const worker = new Worker(new URL('bench-worker.ts', import.meta.url), { workerData: task, resourceLimits })
  worker.on('message', (report: BenchReport) => {
    if (report.type === 'done') resolve(report.row)
    else onProgress(report.line, report.steps)
  })
  worker.on('error', reject)
  worker.on('exit', (code) => reject(new Error(`the worker of a case ended early (${code})`)))
  return promise
}
