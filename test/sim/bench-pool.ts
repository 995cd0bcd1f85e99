/** Runs cases side by side, each in a worker of its own: they share nothing, and its memory goes with it. */
import { Worker } from 'node:worker_threads'
import type { BenchCase, BenchRow } from './bench.ts'

export interface PoolOptions {
  readonly seed: string
  readonly workers: number
  readonly say: (line: string) => void
}

/** What the worker is given. */
export interface BenchTask {
  readonly setup: BenchCase
  readonly seed: string
}

export type BenchReport =
  | { readonly type: 'progress'; readonly line: string }
  | { readonly type: 'done'; readonly row: BenchRow }

const progressEveryMs = 1500
/** 10,000 nodes take some 4 GiB; what is planned and past is collected with fewer copies in a large young generation. */
const resourceLimits = { maxOldGenerationSizeMb: 16_384, maxYoungGenerationSizeMb: 192 }

/** The rows of the cases, in their order. */
export async function runCases(cases: readonly BenchCase[], options: PoolOptions): Promise<BenchRow[]> {
  const rows: BenchRow[] = []
  const queue = [...cases.entries()]
  const runNext = async (): Promise<void> => {
    for (let next = queue.shift(); next !== undefined; next = queue.shift()) {
      const [at, setup] = next
      rows[at] = await runCase(setup, `${at + 1} of ${cases.length}`, options)
    }
  }
  await Promise.all(Array.from({ length: options.workers }, runNext))
  return rows
}

async function runCase(setup: BenchCase, place: string, { say, seed }: PoolOptions): Promise<BenchRow> {
  const startedMs = performance.now()
  const what = `${place} (${setup.nodes} nodes, ${setup.layerBytes.length} layers, ${setup.start}, ${setup.strategy})`
  let saidMs = Number.NEGATIVE_INFINITY
  const row = await rowOf({ setup, seed }, (line) => {
    if (performance.now() - saidMs < progressEveryMs) return
    saidMs = performance.now()
    say(`${what}: ${line}`)
  })
  const tookS = ((performance.now() - startedMs) / 1000).toFixed(1)
  say(`${what}: slowest at ${row.max_over_bound} × the bound, took ${tookS} s`)
  return row
}

function rowOf(task: BenchTask, onProgress: (line: string) => void): Promise<BenchRow> {
  const { promise, reject, resolve } = Promise.withResolvers<BenchRow>()
  const worker = new Worker(new URL('bench-worker.ts', import.meta.url), { workerData: task, resourceLimits })
  worker.on('message', (report: BenchReport) => {
    if (report.type === 'done') resolve(report.row)
    else onProgress(report.line)
  })
  worker.on('error', reject)
  worker.on('exit', (code) => reject(new Error(`the worker of a case ended early (${code})`)))
  return promise
}
