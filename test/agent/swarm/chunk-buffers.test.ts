import { expect, test } from 'vitest'
import { createBufferPool } from '../../../agent/swarm/buffer-pool.ts'
import { createChunkBuffers } from '../../../agent/swarm/chunk-buffers.ts'
import { limits } from '../../../core/limits.ts'
import { chunkLengthOf } from '../../../core/swarm/chunks.ts'
import { createBench, digest } from '../../core/swarm/bench.ts'

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

test('who has ended holds memory only while nobody later has what it brought', () => {
  const buffers = createChunkBuffers(createBufferPool())
  buffers.begin('c', 'a', 0, 4)
  buffers.append('c', 'a', bytes(1, 2))
  buffers.end('c', 'a', 2)
  expect(buffers.sizeBytes()).toBe(4)
  buffers.begin('c', 'b', 0, 4)
  buffers.end('c', 'b', 0)
  expect(buffers.sizeBytes()).toBe(4)
  buffers.begin('c', 'c', 2, 4)
  expect(buffers.sizeBytes()).toBe(4)
  buffers.append('c', 'c', bytes(3, 4))
  expect(buffers.complete('c')).toEqual(Buffer.from([1, 2, 3, 4]))
})

test('what came and does not count is no part of the chunk', () => {
  const buffers = createChunkBuffers(createBufferPool())
  buffers.begin('c', 'liar', 0, 2)
  buffers.append('c', 'liar', bytes(8, 9))
  buffers.end('c', 'liar', 0)
  expect(buffers.complete('c')).toBeUndefined()
  expect(buffers.sizeBytes()).toBe(0)
})

test('a chunk for which peers are asked in vain, or that nobody wants any more, holds no memory', () => {
  const bench = createBench({ chunks: 2 })
  const buffers = createChunkBuffers(createBufferPool())
  const carryOut = (): void => {
    for (const { id, index, offset, peer, size } of bench.take('expect'))
      buffers.begin(`${index}`, `${peer} ${id}`, offset, chunkLengthOf(size, index))
    for (const { id, index, peer, received } of bench.take('ignore')) buffers.end(`${index}`, `${peer} ${id}`, received)
    for (const { index } of bench.take('drop')) buffers.drop(`${index}`)
  }
  bench.read()
  bench.joins('a', [0, 1])
  for (const round of Array.from({ length: 10 }).keys()) {
    carryOut()
    const requests = bench.told('request')
    expect([round, requests.length, buffers.sizeBytes()]).toEqual([round, 2, 2 * limits.chunkSizeMinBytes])
    for (const { id } of requests) bench.says('a', { type: 'busy', id, try: [] })
    bench.pass(limits.busyBackoffMaxMs)
  }
  bench.handle({ type: 'reader-closed', digest, reader: 1 })
  carryOut()
  expect(buffers.sizeBytes()).toBe(0)
})

test('who has ended is gone on from where another has more, of which the swarm was never told', () => {
  const buffers = createChunkBuffers(createBufferPool())
  buffers.begin('c', 'a', 0, 8)
  buffers.begin('c', 'b', 0, 8)
  buffers.append('c', 'a', bytes(1, 2, 3))
  buffers.append('c', 'b', bytes(1, 2, 3, 4, 5))
  buffers.end('c', 'a', 3)
  buffers.end('c', 'b', 2)
  buffers.begin('c', 'd', 3, 8)
  buffers.append('c', 'd', bytes(4, 5, 6, 7, 8))
  expect(buffers.complete('c')).toEqual(Buffer.from([1, 2, 3, 4, 5, 6, 7, 8]))
})
