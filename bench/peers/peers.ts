/** How fast does one agent give chunks to one other, encrypted, beside libp2p as it comes in the same run? */
import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import path from 'node:path'
import type { Command } from 'commander'
import type { Guardian } from '../../cli/demo/guardian.ts'
import { limits } from '../../core/limits.ts'
import { MiB } from '../../core/units.ts'
import { medians, roundedFields, spreads } from '../figures.ts'
import { cpuSeconds } from '../process-usage.ts'
import { question } from '../question.ts'
import type { Address, Kind } from './sides.ts'

export type Order =
  | { readonly type: 'await'; readonly chunks: number }
  | { readonly type: 'give'; readonly to: Address; readonly chunks: number }

export type Report = { readonly type: 'listening'; readonly address: Address } | { readonly type: 'received' }

const runCount = 5
/** A second or two each: what libp2p as it comes carries in that time is a fifth. */
const chunksOf: Readonly<Record<Kind, number>> = { shoal: 256, stock: 64 }

export function peersCommand(): Command {
  const description = 'chunks from one agent to one other, beside libp2p as it comes; one core each (taskset)'
  return question('peers', description, measurePeers)
}

async function measurePeers(guardian: Guardian) {
  const runs: Record<Kind, Measured>[] = []
  while (runs.length < runCount) {
    const run = { shoal: await measure(guardian, 'shoal'), stock: await measure(guardian, 'stock') }
    runs.push(run)
    process.stderr.write(`peers: run ${runs.length} of ${runCount}: ${Math.round(run.shoal.mb_per_s)} MB/s\n`)
  }
  const [shoal, stock] = [runs.map((run) => roundedFields(run.shoal)), runs.map((run) => roundedFields(run.stock))]
  const ratios = runs.map((run) => roundedFields({ ratio: run.shoal.mb_per_s / run.stock.mb_per_s }))
  return {
    question: 'peers',
    chunk_mib: limits.chunkSizeMaxBytes / MiB,
    shoal: medians(shoal),
    stock: medians(stock),
    ratio: medians(ratios).ratio,
    spread: { shoal: spreads(shoal), stock: spreads(stock), ratio: spreads(ratios).ratio },
    runs: runs.map((_, index) => ({ shoal: shoal[index], stock: stock[index] })),
  }
}

interface Measured extends Record<string, number> {
  readonly mb_per_s: number
  /** Of both processes. */
  readonly cpu_s_per_gb: number
}

/** New processes each time: what one run leaves in memory is not the next one's. */
async function measure(guardian: Guardian, kind: Kind): Promise<Measured> {
  const [giver, taker] = [start(guardian, kind, 0), start(guardian, kind, 1)]
  try {
    const [{ address: to }] = await Promise.all([told(taker, 'listening'), told(giver, 'listening')])
    const chunks = chunksOf[kind]
    // The first time is for the compilers of both processes.
    await transfer(giver, taker, to, chunks)
    const [cpu, startedMs] = [await cpuOf(giver, taker), performance.now()]
    await transfer(giver, taker, to, chunks)
    const seconds = (performance.now() - startedMs) / 1000
    const bytes = chunks * limits.chunkSizeMaxBytes
    return { mb_per_s: bytes / 1e6 / seconds, cpu_s_per_gb: ((await cpuOf(giver, taker)) - cpu) / (bytes / 1e9) }
  } finally {
    await Promise.all([stop(giver), stop(taker)])
  }
}

async function transfer(giver: ChildProcess, taker: ChildProcess, to: Address, chunks: number): Promise<void> {
  const received = told(taker, 'received')
  taker.send({ type: 'await', chunks } satisfies Order)
  giver.send({ type: 'give', to, chunks } satisfies Order)
  await received
}

async function cpuOf(...children: readonly ChildProcess[]): Promise<number> {
  const seconds = await Promise.all(children.map((child) => cpuSeconds(Number(child.pid))))
  return seconds.reduce((sum, one) => sum + one, 0)
}

function start(guardian: Guardian, kind: Kind, core: number): ChildProcess {
  const program = path.join(import.meta.dirname, 'side-main.ts')
  const words = ['--cpu-list', String(core), process.execPath, program, kind]
  const child = spawn('taskset', words, { stdio: ['ignore', 'inherit', 'inherit', 'ipc'] })
  guardian.adopt(child)
  return child
}

async function stop(child: ChildProcess): Promise<void> {
  const gone = once(child, 'exit')
  child.disconnect()
  await gone
}

/** The next report of this type; rejects when the process ends before. */
async function told<Type extends Report['type']>(
  child: ChildProcess,
  type: Type,
): Promise<Extract<Report, { type: Type }>> {
  return new Promise((resolve, reject) => {
    const ended = (): void => reject(new Error(`a process of the bench ended before it was ${type}`))
    child.once('exit', ended)
    child.on('message', function listen(report: Report) {
      if (report.type !== type) return
      child.off('message', listen).off('exit', ended)
      resolve(report as Extract<Report, { type: Type }>)
    })
  })
}
