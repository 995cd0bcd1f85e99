import { expect, test } from 'vitest'
import { createBufferPool } from '../../../agent/swarm/buffer-pool.ts'
import { createRecentChunks } from '../../../agent/swarm/recent-chunks.ts'
import { limits } from '../../../core/limits.ts'

function copied(chunks: ReturnType<typeof createRecentChunks>, chunk: string): number | undefined {
  const into = new Uint8Array(2)
  return chunks.copy(chunk, 1, 1, into) ? into[0] : undefined
}

test('a chunk is there until it is dropped', () => {
  const chunks = createRecentChunks(createBufferPool())
  chunks.put('a', Uint8Array.of(1, 2, 3))
  expect(copied(chunks, 'a')).toBe(2)
  chunks.drop('a')
  expect(copied(chunks, 'a')).toBeUndefined()
})

test('the oldest make room, and their memory is used again', () => {
  const pool = createBufferPool()
  const chunks = createRecentChunks(pool)
  const size = limits.recentChunksMaxBytes / 2
  const oldest = pool.take(size)
  chunks.put('a', oldest)
  chunks.put('b', pool.take(size))
  chunks.put('c', pool.take(size))
  expect(chunks.copy('a', 0, 1, new Uint8Array(1))).toBe(false)
  expect(chunks.copy('b', 0, 1, new Uint8Array(1))).toBe(true)
  expect(pool.take(size).buffer).toBe(oldest.buffer)
})
