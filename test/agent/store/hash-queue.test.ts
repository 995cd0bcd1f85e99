/** What waits, and what does not. */
import { afterEach, beforeEach, expect, test, vi } from 'vitest'
import { createHashQueue, type HashQueue } from '../../../agent/store/hash-queue.ts'
import { limits } from '../../../core/limits.ts'
import type { Digest } from '../../../core/oci/digest.ts'
import { KiB, MiB, hour } from '../../../core/units.ts'
import { contentOf } from '../../support/content.ts'

const [a, b, c] = ['a', 'b', 'c'].map((text) => contentOf(Buffer.from(text)).digest) as [Digest, Digest, Digest]
let hashed: Digest[]
let queue: HashQueue

beforeEach(() => {
  vi.useFakeTimers()
  hashed = []
})
afterEach(() => vi.useRealTimers())

/** Each file has so many bytes. */
function queueOf(bytes: number): void {
  queue = createHashQueue(async (digest) => {
    hashed.push(digest)
    return bytes
  })
}

test('old files are hashed newest first, at the pace that leaves the disk to others', async () => {
  queueOf(64 * MiB)
  for (const [digest, hoursAgo] of [
    [a, 3],
    [b, 1],
    [c, 2],
  ] as const)
    queue.add(digest, Date.now() - hoursAgo * hour)
  await vi.advanceTimersByTimeAsync(0)
  expect(hashed).toEqual([b])
  const restMs = (64 * MiB) / limits.storeContainerdHashBytesPerMs
  await vi.advanceTimersByTimeAsync(restMs - 1)
  expect(hashed).toEqual([b])
  await vi.advanceTimersByTimeAsync(1)
  expect(hashed).toEqual([b, c])
  await vi.advanceTimersByTimeAsync(restMs)
  expect(hashed).toEqual([b, c, a])
})

test('small old files rest too, so that not all are announced at once', async () => {
  queueOf(KiB)
  for (const digest of [a, b]) queue.add(digest, 0)
  await vi.advanceTimersByTimeAsync(limits.storeContainerdHashRestMs - 1)
  expect(hashed).toHaveLength(1)
  await vi.advanceTimersByTimeAsync(1)
  expect(hashed).toHaveLength(2)
})

test('what has just come, and what is read now, waits for none of them', async () => {
  queueOf(64 * MiB)
  queue.add(a, 0)
  await vi.advanceTimersByTimeAsync(0)
  queue.add(b, Date.now())
  await vi.advanceTimersByTimeAsync(0)
  queue.addFirst(c)
  await vi.advanceTimersByTimeAsync(0)
  expect(hashed).toEqual([a, b, c])
})

test('nothing is hashed after the stop', async () => {
  queueOf(KiB)
  queue.add(a, 1)
  queue.add(b, 0)
  await vi.advanceTimersByTimeAsync(0)
  await queue.stop()
  queue.add(c, Date.now())
  await vi.advanceTimersByTimeAsync(hour)
  expect(hashed).toEqual([a])
})
