/** The worker behind `createHasher`: whole-file and chunk hashes of one descriptor at a time, below every other work of the node. */
import { createHash } from 'node:crypto'
import { readSync } from 'node:fs'
import { constants, setPriority } from 'node:os'
import { parentPort } from 'node:worker_threads'
import { limits } from '../../core/limits.ts'

export interface HashJob {
  readonly fd: number
  readonly size: number
  readonly chunkSize: number
}

/** `chunks` holds 32 bytes per chunk. `undefined` in place of a result: the file was shorter than `size`, or unreadable. */
export interface HashResult {
  readonly whole: string
  readonly chunks: Uint8Array
}

const piece = Buffer.allocUnsafeSlow(limits.storeHashPieceBytes)

function hashFile({ fd, size, chunkSize }: HashJob): HashResult | undefined {
  const whole = createHash('sha256')
  const chunks = new Uint8Array(32 * Math.ceil(size / chunkSize))
  for (let start = 0, index = 0; start < size; start += chunkSize, index++) {
    const chunk = createHash('sha256')
    const end = Math.min(start + chunkSize, size)
    for (let at = start; at < end;) {
      const bytes = piece.subarray(0, readSync(fd, piece, 0, Math.min(piece.length, end - at), at))
      if (bytes.length === 0) return undefined
      whole.update(bytes)
      chunk.update(bytes)
      at += bytes.length
    }
    chunks.set(chunk.digest(), 32 * index)
  }
  return { whole: whole.digest('hex'), chunks }
}

function answer(job: HashJob): HashResult | undefined {
  try {
    return hashFile(job)
  } catch {
    return undefined
  }
}

// Linux lowers the calling thread alone, and with it its turn at the disk; elsewhere it would be the whole agent.
if (process.platform === 'linux') setPriority(constants.priority.PRIORITY_LOW)
// oxlint-disable-next-line unicorn/require-post-message-target-origin -- a worker thread's port has no origin
parentPort?.on('message', (job: HashJob) => parentPort?.postMessage(answer(job)))
