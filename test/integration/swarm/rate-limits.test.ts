/** Rate limits where bytes really move: agent/swarm on real time, but for the clock that the limits go by. */
import { afterEach, expect, test } from 'vitest'
import { limits } from '../../../core/limits.ts'
import { chunkSizeOf } from '../../../core/swarm/chunks.ts'
import type { RateLimit } from '../../../core/swarm/rate.ts'
import { KiB, MiB, second } from '../../../core/units.ts'
import { createMemoryOrigin } from '../../support/memory-origin.ts'
import { digestOf, repository, someBytes } from '../../support/registry-content.ts'
import { createSwarmNodes, readBytes, type SwarmNode, type SwarmNodes, wantOf } from '../../support/swarm-nodes.ts'
import { until } from '../../support/until.ts'
import { type VirtualTime, virtualTime } from '../../support/virtual-time.ts'

const bytes = someBytes(3_000_000)
const want = wantOf(digestOf(bytes), bytes.length)
const small = someBytes(200_000)
const smallWant = wantOf(digestOf(small), small.length)
const stepMs = limits.rateBurstMs / 2

let nodes: SwarmNodes
afterEach(() => nodes.stop())

function createWorld() {
  const time = virtualTime()
  nodes = createSwarmNodes('rate limits', { rateClock: time.clock, sleep: time.sleep })
  const origin = createMemoryOrigin({ 'registry.test': { 'team/app': repository('{}', [bytes, small]) } })
  return { time, add: () => nodes.add(origin) }
}

interface Limited {
  readonly time: VirtualTime
  readonly limit: RateLimit
  readonly moved: () => number
  /** What movers may have under way when the debt begins. */
  readonly pieceBytes: number
}

/**
 * Lets time pass in steps while `node` reads the blob, half of it at one limit, half at another. In each step all moves
 * that may, and no more than that.
 */
async function readLimited(node: SwarmNode, { time, limit, moved, pieceBytes }: Limited): Promise<Buffer> {
  const read = readBytes(node, want)
  let rate = 4 * MiB
  limit.set(rate)
  for (let due = (rate * limits.rateBurstMs) / second; ; due += (rate * stepMs) / second) {
    await until(() => moved() >= Math.min(due, bytes.length))
    expect(moved()).toBeLessThanOrEqual(due + pieceBytes)
    if (moved() >= bytes.length) return read
    if (moved() > bytes.length / 2) limit.set((rate = 2 * MiB))
    time.advance(stepMs)
  }
}

test('an agent gives peers no more than its upload limit', async () => {
  const { add, time } = createWorld()
  const seed = await add()
  await readBytes(seed, want)
  const leech = await add()
  const read = await readLimited(leech, {
    time,
    limit: seed.rates.upload,
    moved: () => leech.received.peer,
    pieceBytes: limits.uploadsActiveMax * 64 * KiB,
  })
  expect(read).toEqual(Buffer.from(bytes))
})

test('an agent asks peers for no more than its download limit', async () => {
  const { add, time } = createWorld()
  await readBytes(await add(), want)
  const leech = await add()
  const read = await readLimited(leech, {
    time,
    limit: leech.rates.download,
    moved: () => leech.received.peer,
    pieceBytes: 2 * chunkSizeOf(bytes.length),
  })
  expect(read).toEqual(Buffer.from(bytes))
})

test.each(['origin', 'download'] as const)('an agent takes no more from the origin than its %s limit', async (name) => {
  const { add, time } = createWorld()
  const node = await add()
  const read = await readLimited(node, {
    time,
    limit: node.rates[name],
    moved: () => node.received.origin,
    pieceBytes: limits.leasesPerBlob * limits.ratePieceBytes,
  })
  expect(read).toEqual(Buffer.from(bytes))
})

test('small content counts: what it took is waited for before more moves', async () => {
  const { add } = createWorld()
  const seed = await add()
  for (const limit of [seed.rates.origin, seed.rates.download, seed.rates.upload]) limit.set(MiB)
  await readBytes(seed, smallWant)
  const burst = (MiB * limits.rateBurstMs) / second
  expect(seed.rates.origin.allowance()).toBe(burst - small.length)
  expect(seed.rates.download.allowance()).toBe(burst - small.length)
  const leech = await add()
  leech.rates.download.set(MiB)
  await readBytes(leech, smallWant)
  expect(seed.rates.upload.allowance()).toBe(burst - small.length)
  expect(leech.rates.download.allowance()).toBe(burst - small.length)
})
