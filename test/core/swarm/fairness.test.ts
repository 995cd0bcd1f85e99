/** How layers that are read at the same time share what comes, over a slow link and under a limit. */
import { expect, it } from 'vitest'
import { limits } from '../../../core/limits.ts'
import { digestFromHex } from '../../../core/oci/digest.ts'
import { createRateLimit } from '../../../core/swarm/rate.ts'
import { MiB, second } from '../../../core/units.ts'
import { virtualClock } from '../../support/virtual-clock.ts'
import { createBench, sizeOf, span } from './bench.ts'

const chunkBytes = limits.chunkSizeMinBytes
const chunks = 200
const size = sizeOf(chunks)
const layers = ['a1', 'b2', 'c3'].map((hex) => digestFromHex(hex.repeat(32)))
const ahead = digestFromHex('d4'.repeat(32))

/** A node that reads three layers and prefetches a fourth, all from one seed whose link carries so much. */
function createWorld({ linkBytesPerMs, limit = 0 }: { linkBytesPerMs: number; limit?: number }) {
  const clock = virtualClock(1000)
  const download = createRateLimit(clock, limit)
  const bench = createBench({ chunks, clock, download })
  for (const digest of [...layers, ahead]) {
    bench.read({ digest, prefetch: digest === ahead })
    bench.joins('seed', span(0, chunks), digest)
  }
  const queue: ReturnType<typeof bench.told<'request'>> = []
  let room = 0

  /** Each chunk that the link has carried by now, in the order in which they were asked for. */
  function deliver(): void {
    queue.push(...bench.told('request'))
    for (; room >= chunkBytes && queue.length > 0; room -= chunkBytes) {
      bench.sends(queue.shift()!)
      bench.settle()
      queue.push(...bench.told('request'))
    }
    if (queue.length === 0) room = 0
  }

  const held = (digest: (typeof layers)[number]): number => bench.swarm.progress(digest)?.held ?? 0
  return {
    download,
    held,
    bytes: () => [...layers, ahead].reduce((sum, digest) => sum + held(digest) * chunkBytes, 0),
    pass(ms: number) {
      for (let passed = 0; passed < ms; passed += limits.tickMs) {
        bench.pass(limits.tickMs)
        room += limits.tickMs * linkBytesPerMs
        deliver()
      }
    },
  }
}

/** The most and the fewest chunks that a layer has. */
function spreadOf({ held }: ReturnType<typeof createWorld>): number {
  const counts = layers.map(held)
  return Math.max(...counts) - Math.min(...counts)
}

it.each([
  ['a slow link', { linkBytesPerMs: (4 * MiB) / second }],
  ['a limit', { linkBytesPerMs: (500 * MiB) / second, limit: 4 * MiB }],
])('behind %s all layers advance alike, and a prefetch waits for them', (_what, options) => {
  const world = createWorld(options)
  for (const _ of span(0, 20)) {
    world.pass(0.5 * second)
    expect(spreadOf(world)).toBeLessThanOrEqual(4)
    expect(world.held(ahead)).toBe(0)
  }
  // The node had the whole of what it may have.
  expect(world.bytes()).toBeGreaterThan(0.9 * 10 * 4 * MiB)
})

it('never takes more than its limit allows, changed while it reads', () => {
  const world = createWorld({ linkBytesPerMs: (500 * MiB) / second, limit: 2 * MiB })
  let allowed = (2 * MiB * limits.rateBurstMs) / second + chunkBytes
  for (const rate of [2 * MiB, 8 * MiB, 1 * MiB]) {
    world.download.set(rate)
    for (const _ of span(0, 40)) {
      world.pass(100)
      allowed += rate / 10
      expect(world.bytes()).toBeLessThanOrEqual(allowed)
    }
    expect(world.bytes()).toBeGreaterThan(allowed - (rate * limits.rateBurstMs) / second - 3 * chunkBytes)
  }
})

it('fetches ahead what readers leave of the link', () => {
  const world = createWorld({ linkBytesPerMs: (500 * MiB) / second })
  world.pass(2 * second)
  expect([...layers, ahead].map(world.held)).toEqual([chunks, chunks, chunks, chunks])
  expect(size).toBe(chunks * chunkBytes)
})
