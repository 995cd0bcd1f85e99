import { afterEach, beforeEach, expect, test, vi } from 'vitest'
import type { Want } from '../../../agent/registry/ports.ts'
import { createPrefetch } from '../../../agent/registry/prefetch.ts'
import { anonymous } from '../../../agent/upstream/credential.ts'
import { limits } from '../../../core/limits.ts'
import { digestFromHex } from '../../../core/oci/digest.ts'
import type { Descriptor } from '../../../core/oci/manifest.ts'
import { createMemoryBlobs, type MemoryBlobs } from '../../support/memory-blobs.ts'

let blobs: MemoryBlobs

beforeEach(() => {
  vi.useFakeTimers()
  blobs = createMemoryBlobs()
})
afterEach(() => {
  vi.useRealTimers()
})

function layer(index: number): Descriptor {
  const digest = digestFromHex(index.toString(16).padStart(64, '0'))
  return { digest, size: 100 + index, mediaType: 'a/b', role: 'layer', foreign: false }
}

function layersOf(count: number, from = 0): readonly Descriptor[] {
  return Array.from({ length: count }, (_, index) => layer(from + index))
}

function want(index: number): Want {
  const { digest, size } = layer(index)
  return { origin: 'reg.io', repository: 'app', digest, size, kind: 'blob', credential: anonymous }
}

function indices(digests: readonly string[]): number[] {
  return digests.map((digest) => Number.parseInt(digest.slice(-4), 16))
}

function started(): number[] {
  return indices(blobs.log.prefetched.map(({ digest }) => digest))
}

test('the two layers after the one requested are started, with its repository and credential', () => {
  createPrefetch({ blobs }, { layersAhead: 2 }).follow(want(0), layersOf(5))
  expect(blobs.log.prefetched).toEqual([want(1), want(2)])
})

test('the highest layer requested counts, whatever the order', () => {
  const prefetch = createPrefetch({ blobs }, { layersAhead: 2 })
  const layers = layersOf(8)
  prefetch.follow(want(3), layers)
  prefetch.follow(want(1), layers)
  expect(started()).toEqual([4, 5])
  prefetch.follow(want(4), layers)
  expect(started()).toEqual([4, 5, 6])
})

test('three layers at a time, as containerd reads them', () => {
  const prefetch = createPrefetch({ blobs }, { layersAhead: 2 })
  const layers = layersOf(6)
  for (const index of [0, 1, 2]) {
    prefetch.taken(want(index))
    prefetch.follow(want(index), layers)
  }
  expect(started()).toEqual([1, 2, 3, 4])
  expect(indices(blobs.log.cancelled)).toEqual([1, 2])
})

test('the last layer has nobody after it', () => {
  createPrefetch({ blobs }, { layersAhead: 2 }).follow(want(4), layersOf(5))
  expect(started()).toEqual([])
})

test('a content that is no layer starts the first ones of nothing', () => {
  createPrefetch({ blobs }, { layersAhead: 2 }).follow(want(9), [])
  expect(started()).toEqual([])
})

test('layers that are to be had elsewhere are left alone', () => {
  const layers = layersOf(4).map((each, index) => ({ ...each, foreign: index === 1 }))
  createPrefetch({ blobs }, { layersAhead: 2 }).follow(want(0), layers)
  expect(started()).toEqual([2])
})

test('what nobody asked for within the limit is dropped, once', () => {
  const prefetch = createPrefetch({ blobs }, { layersAhead: 2 })
  prefetch.follow(want(0), layersOf(3))
  vi.advanceTimersByTime(limits.prefetchUnrequestedMs - 1)
  expect(blobs.log.cancelled).toEqual([])
  vi.advanceTimersByTime(1)
  expect(indices(blobs.log.cancelled)).toEqual([1, 2])
  prefetch.taken(want(1))
  prefetch.stop()
  expect(indices(blobs.log.cancelled)).toEqual([1, 2])
})

test('what a reader took is let go and not dropped again', () => {
  const prefetch = createPrefetch({ blobs }, { layersAhead: 2 })
  prefetch.follow(want(0), layersOf(2))
  prefetch.taken(want(1))
  vi.advanceTimersByTime(limits.prefetchUnrequestedMs)
  expect(indices(blobs.log.cancelled)).toEqual([1])
})

test('the same layer of two images is fetched ahead once', () => {
  const prefetch = createPrefetch({ blobs }, { layersAhead: 2 })
  prefetch.follow(want(0), layersOf(2))
  prefetch.follow(want(0), layersOf(2))
  expect(started()).toEqual([1])
})

test('no more run at a time than the limit', () => {
  const prefetch = createPrefetch({ blobs }, { layersAhead: 2 })
  for (let image = 0; image < limits.prefetchesMax; image++) prefetch.follow(want(image * 10), layersOf(3, image * 10))
  expect(started()).toHaveLength(limits.prefetchesMax)
})

test('stop drops all', () => {
  const prefetch = createPrefetch({ blobs }, { layersAhead: 2 })
  prefetch.follow(want(0), layersOf(3))
  prefetch.stop()
  expect(indices(blobs.log.cancelled)).toEqual([1, 2])
})
