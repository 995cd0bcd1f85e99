/**
 * Hashes files at rest in the background, off the event loop. The worker (some 15 MiB) lives while there is work: a node
 * that is warm and still pays nothing for it.
 */
import { Worker } from 'node:worker_threads'
import { limits } from '../../core/limits.ts'
import type { HashJob, HashResult } from './hash-worker.ts'

export interface Hasher {
  /** Undefined when the file can't be read to `size`, or the hasher was stopped. One at a time; the caller keeps `fd` open. */
  hash(job: HashJob): Promise<HashResult | undefined>
  stop(): Promise<void>
}

// Run from source the worker is a .ts file, from dist a .js one.
const workerUrl = new URL(`./hash-worker${import.meta.url.slice(import.meta.url.lastIndexOf('.'))}`, import.meta.url)

export function createHasher(): Hasher {
  let worker: Worker | undefined
  let running: { readonly on: Worker; readonly settle: (result: HashResult | undefined) => void } | undefined
  let idle: NodeJS.Timeout | undefined

  function startWorker(): Worker {
    const started = new Worker(workerUrl, {
      resourceLimits: { maxYoungGenerationSizeMb: 1, maxOldGenerationSizeMb: 16 },
    })
    started.unref()
    started.on('message', (result: HashResult | undefined) => settle(started, result))
    started.on('error', () => settle(started, undefined))
    started.on('exit', () => {
      if (worker === started) worker = undefined
      settle(started, undefined)
    })
    return started
  }

  function settle(on: Worker, result: HashResult | undefined): void {
    if (running?.on === on) running.settle(result)
  }

  async function stop(): Promise<void> {
    clearTimeout(idle)
    const ending = worker
    worker = undefined
    await ending?.terminate()
  }

  return {
    async hash(job) {
      clearTimeout(idle)
      worker ??= startWorker()
      const { promise, resolve } = Promise.withResolvers<HashResult | undefined>()
      running = { on: worker, settle: resolve }
      // oxlint-disable-next-line unicorn/require-post-message-target-origin -- a worker thread has no origin
      worker.postMessage(job)
      const result = await promise
      running = undefined
      idle = setTimeout(() => void stop(), limits.storeHasherIdleMs).unref()
      return result
    },
    stop,
  }
}
