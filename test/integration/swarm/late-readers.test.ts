/** agent/swarm: readers whose bytes went, or whose failure passed, before they looked: none waits for ever. */
import { afterEach, beforeEach, expect, test } from 'vitest'
import { type Disk, realDisk } from '../../../agent/store/disk.ts'
import type { DiskStore } from '../../../agent/store/store.ts'
import type { OriginClient } from '../../../agent/upstream/origin-client.ts'
import { OriginError } from '../../../agent/upstream/origin-error.ts'
import { chunkSizeOf } from '../../../core/swarm/chunks.ts'
import { directoryForTest, openTestStore } from '../../support/disk-store.ts'
import { createGatedOrigin } from '../../support/gated-origin.ts'
import { createMemoryOrigin } from '../../support/memory-origin.ts'
import { digestOf, someBytes } from '../../support/registry-content.ts'
import {
  createSwarmNodes,
  originsWith,
  readBytes,
  startReading,
  type SwarmNode,
  type SwarmNodes,
  wantOf,
} from '../../support/swarm-nodes.ts'

const bytes = someBytes(3_000_000)
const want = wantOf(digestOf(bytes), bytes.length)
const chunkSize = chunkSizeOf(bytes.length)
const patience = { timeout: 10_000 }

let nodes: SwarmNodes

beforeEach(() => {
  nodes = createSwarmNodes('late readers')
})

afterEach(() => nodes.stop())

function originWith(content: Uint8Array): ReturnType<typeof createMemoryOrigin> {
  return createMemoryOrigin(originsWith(content, want.digest))
}

function positionsOf({ runner }: Pick<SwarmNode, 'runner'>): number[] | undefined {
  const session = runner.sessions.find(want.digest)
  return session && [...session.positions.values()]
}

test('a reader gets the rest though containerd commits the blob while it waits', async () => {
  const gate = createGatedOrigin(originWith(bytes), 7 * chunkSize)
  const node = await nodes.add(gate.client)
  const reading = readBytes(node, want)
  await expect.poll(() => positionsOf(node), patience).toEqual([7 * chunkSize])
  node.store.commit(Buffer.from(bytes))
  gate.open()
  expect(await reading).toEqual(Buffer.from(bytes))
})

test('a slow client hears of the failure that it has missed though another read has begun since', async () => {
  const origin = originWith(bytes)
  const gate = createGatedOrigin(origin, 7 * chunkSize)
  const node = await nodes.add(gate.client)
  const slow = await startReading(node, want)
  await slow.take(1)
  await expect.poll(() => gate.isReached(), patience).toBe(true)
  origin.fail(new OriginError('not-found', 'gone', { status: 404 }))
  gate.fail(new OriginError('unavailable', 'gone'))
  await expect.poll(() => node.runner.swarm.stats().readers, patience).toBe(0)
  // It is back, and has the part that another wants.
  origin.fail(undefined)
  await readBytes(node, want, { start: bytes.length - chunkSize, end: bytes.length - chunkSize + 100 })
  await expect(slow.rest()).rejects.toMatchObject({ code: 'ORIGIN_NOT_FOUND' })
})

/** A disk that fails, once, to read the second chunk, when it is told to. */
function failingDisk(): { readonly disk: Disk; readonly failNext: () => void } {
  let isFailing = false
  const disk: Disk = {
    ...realDisk,
    async read(fd, buffer, position) {
      if (!isFailing || position !== chunkSize) return realDisk.read(fd, buffer, position)
      isFailing = false
      throw Object.assign(new Error('read failed'), { code: 'EIO' })
    },
  }
  return { disk, failNext: () => (isFailing = true) }
}

/** A node on such a disk, on which one before it has left what it read. */
async function withKept(
  { end, disk, origin }: { readonly end: number; readonly disk: Disk; readonly origin: OriginClient },
  use: (node: SwarmNode<DiskStore>) => Promise<void>,
): Promise<void> {
  const directory = directoryForTest()
  await onStore(await openTestStore(directory), originWith(bytes), async (node) => {
    await readBytes(node, want, { start: 0, end })
  })
  await onStore(await openTestStore(directory, { disk }), origin, use)
}

async function onStore(
  store: DiskStore,
  origin: OriginClient,
  use: (node: SwarmNode<DiskStore>) => Promise<void>,
): Promise<void> {
  await store.start()
  const node = await nodes.addOn(origin, store)
  await use(node)
  await node.stop()
  await store.stop()
}

test('what the disk fails to read of a whole blob is fetched again for its reader', async () => {
  const { disk, failNext } = failingDisk()
  await withKept({ end: bytes.length, disk, origin: originWith(bytes) }, async (node) => {
    failNext()
    expect(await readBytes(node, want)).toEqual(Buffer.from(bytes))
    expect(node.received.origin).toBe(chunkSize)
  })
})

test('what the disk fails to read for the proof is fetched again, and its reader gets the last byte', async () => {
  const { disk, failNext } = failingDisk()
  const gate = createGatedOrigin(originWith(bytes), 5 * chunkSize)
  await withKept({ end: 5 * chunkSize, disk, origin: gate.client }, async (node) => {
    const reading = readBytes(node, want)
    await expect.poll(() => positionsOf(node), patience).toEqual([5 * chunkSize])
    failNext()
    gate.open()
    expect(await reading).toEqual(Buffer.from(bytes))
    expect(node.received.origin).toBe(bytes.length - 4 * chunkSize)
  })
})
