import { expect, test } from 'vitest'
import { createBufferPool } from '../../../agent/swarm/buffer-pool.ts'
import { createUnkeptChunks } from '../../../agent/swarm/unkept-chunks.ts'
import type { Entry } from '../../../core/swarm/entry.ts'
import { KiB } from '../../../core/units.ts'

const entry: Entry = { index: 3, hash: 'a', witness: { kind: 'proved' }, signer: 'peer', signature: new Uint8Array(64) }

function unkept() {
  const pool = createBufferPool()
  const bytes = pool.take(200 * KiB)
  bytes.set([1, 2, 3])
  const chunks = createUnkeptChunks(pool)
  chunks.put(3, bytes, entry)
  return { pool, memory: bytes.buffer, chunks }
}

test('a chunk is there, with who vouches for it, until it is dropped', () => {
  const { chunks } = unkept()
  const into = new Uint8Array(2)
  expect([chunks.size, chunks.has(3), chunks.has(4), [...chunks.indices()]]).toEqual([1, true, false, [3]])
  expect([chunks.entry(3), chunks.entry(4)]).toEqual([entry, undefined])
  expect([chunks.copy(3, 1, 2, into), chunks.copy(4, 1, 2, into), [...into]]).toEqual([true, false, [2, 3]])
  chunks.drop(3)
  expect([chunks.size, chunks.has(3), chunks.copy(3, 1, 2, into)]).toEqual([0, false, false])
})

test('the memory of what is dropped is used again', () => {
  const dropped = unkept()
  dropped.chunks.drop(3)
  dropped.chunks.drop(3)
  expect(dropped.pool.take(200 * KiB).buffer).toBe(dropped.memory)
  expect(dropped.pool.take(200 * KiB).buffer).not.toBe(dropped.memory)
})

test('so is that of all, and of what another takes the place of', () => {
  const cleared = unkept()
  cleared.chunks.clear()
  expect(cleared.pool.take(200 * KiB).buffer).toBe(cleared.memory)
  const replaced = unkept()
  replaced.chunks.put(3, replaced.pool.take(200 * KiB), entry)
  expect(replaced.pool.take(200 * KiB).buffer).toBe(replaced.memory)
})
