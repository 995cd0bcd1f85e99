/** Runs one case (bench-pool.ts). */
import { parentPort, workerData } from 'node:worker_threads'
import { bench } from './bench.ts'
import type { BenchReport, BenchTask } from './bench-pool.ts'

const tell = (report: BenchReport): void => parentPort?.postMessage(report, [])
const { seed, setup } = workerData as BenchTask
tell({ type: 'done', row: bench(setup, seed, (line, steps) => tell({ type: 'progress', line, steps })) })
