import { expect, test } from 'vitest'
import { createBufferPool } from '../../../agent/swarm/buffer-pool.ts'
import { limits } from '../../../core/limits.ts'

test('what was given is taken again, also for a shorter chunk of the same class', () => {
  const pool = createBufferPool()
  const whole = pool.take(limits.chunkSizeMinBytes)
  pool.give(whole)
  const short = pool.take(1000)
  expect(short.buffer).toBe(whole.buffer)
  expect(short.length).toBe(1000)
  expect(pool.take(1000).buffer).not.toBe(whole.buffer)
})

test('lengths of different classes do not share', () => {
  const pool = createBufferPool()
  const small = pool.take(limits.chunkSizeMinBytes)
  pool.give(small)
  const large = pool.take(limits.chunkSizeMinBytes + 1)
  expect([large.length, large.buffer.byteLength]).toEqual([limits.chunkSizeMinBytes + 1, 2 * limits.chunkSizeMinBytes])
})

test('keeps no more than its bound', () => {
  const pool = createBufferPool()
  const fitting = limits.pooledMaxBytes / limits.chunkSizeMaxBytes
  const taken = Array.from({ length: fitting + 1 }, () => pool.take(limits.chunkSizeMaxBytes))
  for (const bytes of taken) pool.give(bytes)
  const again = Array.from({ length: fitting + 1 }, () => pool.take(limits.chunkSizeMaxBytes).buffer)
  const known = new Set(taken.map(({ buffer }) => buffer))
  expect(again.filter((buffer) => known.has(buffer))).toHaveLength(fitting)
})
