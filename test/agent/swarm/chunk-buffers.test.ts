import { expect, test } from 'vitest'
import { createBufferPool } from '../../../agent/swarm/buffer-pool.ts'
import { createChunkBuffers } from '../../../agent/swarm/chunk-buffers.ts'

const bytes = (...values: number[]): Uint8Array => Uint8Array.from(values)

test('the first source to reach the end is the chunk', () => {
  const buffers = createChunkBuffers(createBufferPool())
  buffers.begin('c', 'a', 0, 4)
  buffers.append('c', 'a', bytes(1, 2))
  expect(buffers.complete('c')).toBeUndefined()
  buffers.begin('c', 'b', 2, 4)
  buffers.append('c', 'b', bytes(3, 4))
  expect(buffers.complete('c')).toEqual(Buffer.from([1, 2, 3, 4]))
})

test('two sources at once do not mix', () => {
  const buffers = createChunkBuffers(createBufferPool())
  buffers.begin('c', 'a', 0, 4)
  buffers.append('c', 'a', bytes(1))
  buffers.begin('c', 'b', 1, 4)
  buffers.append('c', 'b', bytes(8, 9))
  buffers.append('c', 'a', bytes(2, 3, 4))
  expect(buffers.complete('c')).toEqual(Buffer.from([1, 2, 3, 4]))
})

test('who goes on does so from what came last, not from what was given up before', () => {
  const buffers = createChunkBuffers(createBufferPool())
  buffers.begin('c', 'peer', 0, 4)
  buffers.append('c', 'peer', bytes(8, 9))
  buffers.begin('c', 'origin 1', 0, 4)
  buffers.append('c', 'origin 1', bytes(1, 2))
  buffers.begin('c', 'origin 2', 2, 4)
  buffers.append('c', 'origin 2', bytes(3, 4))
  expect(buffers.complete('c')).toEqual(Buffer.from([1, 2, 3, 4]))
})

test('what was delivered is copied, since the network uses its memory again', () => {
  const buffers = createChunkBuffers(createBufferPool())
  const packet = bytes(1, 2)
  buffers.begin('c', 'a', 0, 2)
  buffers.append('c', 'a', packet)
  packet.fill(7)
  expect(buffers.complete('c')).toEqual(Buffer.from([1, 2]))
})

test('a dropped chunk is gone, and its memory is counted no more', () => {
  const buffers = createChunkBuffers(createBufferPool())
  buffers.begin('c', 'a', 0, 4)
  buffers.begin('d', 'a', 0, 3)
  expect(buffers.sizeBytes()).toBe(7)
  buffers.drop('c')
  expect(buffers.sizeBytes()).toBe(3)
  expect(() => buffers.append('c', 'a', bytes(1))).toThrow(RangeError)
})

test('a prefix that nobody brought is a mistake', () => {
  const buffers = createChunkBuffers(createBufferPool())
  expect(() => buffers.begin('c', 'a', 2, 4)).toThrow(RangeError)
})
