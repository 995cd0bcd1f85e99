/** agent/swarm: the swarm on real time, with the twins of network, disk and origin. */
import { afterEach, beforeEach, expect, test } from 'vitest'
import { chunkKey } from '../../../agent/swarm/chunk-key.ts'
import { readHeld } from '../../../agent/swarm/sessions.ts'
import { OriginError } from '../../../agent/upstream/origin-error.ts'
import { ShoalError } from '../../../core/errors.ts'
import { clearBit } from '../../../core/swarm/bitfield.ts'
import { chunkCountOf, chunkSizeOf } from '../../../core/swarm/chunks.ts'
import { contentOf, fill, flipped } from '../../support/content.ts'
import { createMemoryOrigin } from '../../support/memory-origin.ts'
import { createMemoryStore, type MemoryStore } from '../../support/memory-store.ts'
import { digestOf, someBytes } from '../../support/registry-content.ts'
import { createSwarmNodes, originsWith, readBytes, type SwarmNodes, wantOf } from '../../support/swarm-nodes.ts'

const bytes = someBytes(3_000_000)
const want = wantOf(digestOf(bytes), bytes.length)
const chunkSize = chunkSizeOf(bytes.length)
const wrong = flipped(bytes, 100)

let nodes: SwarmNodes

beforeEach(() => {
  nodes = createSwarmNodes('runner')
})

afterEach(() => nodes.stop())

function originWith(content: Uint8Array, as = want.digest): ReturnType<typeof createMemoryOrigin> {
  return createMemoryOrigin(originsWith(content, as))
}

/** What a node leaves that has read the blob and stopped. */
async function stoppedWithAll() {
  const origin = originWith(bytes)
  const store = createMemoryStore()
  const before = await nodes.add(origin, store)
  await readBytes(before, want)
  await before.stop()
  store.restart()
  return { origin, store }
}

test('a blob comes from the origin once, and from the store from then on', async () => {
  const origin = originWith(bytes)
  const node = await nodes.add(origin)
  expect(await readBytes(node, want)).toEqual(Buffer.from(bytes))
  expect(node.received).toEqual({ origin: bytes.length, peer: 0 })
  origin.fail(new OriginError('unavailable', 'down'))
  expect(await readBytes(node, want)).toEqual(Buffer.from(bytes))
  expect(node.store.state(want.digest)?.complete).toBe(true)
})

test('nodes that start together take each byte from the origin once between them', async () => {
  const group = await Promise.all(Array.from({ length: 4 }, () => nodes.add(originWith(bytes))))
  const read = await Promise.all(group.map((node) => readBytes(node, want)))
  for (const each of read) expect(each).toEqual(Buffer.from(bytes))
  expect(group.reduce((sum, { received }) => sum + received.origin, 0)).toBe(bytes.length)
})

test('a node without a working origin gets everything from a peer', async () => {
  const seed = await nodes.add(originWith(bytes))
  await readBytes(seed, want)
  const down = originWith(bytes)
  down.fail(new OriginError('unavailable', 'down'))
  const leech = await nodes.add(down)
  expect(await readBytes(leech, want)).toEqual(Buffer.from(bytes))
  expect(leech.received).toEqual({ origin: 0, peer: bytes.length })
})

test('what the disk refuses passes through, unkept', async () => {
  const node = await nodes.add(originWith(bytes))
  node.store.refuse('DISK_FULL')
  expect(await readBytes(node, want)).toEqual(Buffer.from(bytes))
  expect(node.store.state(want.digest)?.complete ?? false).toBe(false)
})

/** Has the first chunk wrong, as it came from its origin. */
async function addDeceived(): Promise<void> {
  await readBytes(await nodes.add(originWith(wrong)), want, { start: 0, end: chunkSize })
}

test.each([
  ['all', () => true],
  ['all but what that had wrong', (index: number) => index > 0],
])('where the disk refuses %s, a blob that a peer had wrong is right at the second try', async (_what, refuses) => {
  await addDeceived()
  const node = await nodes.add(originWith(bytes))
  node.store.refuse('DISK_FULL', refuses)
  await expect(readBytes(node, want)).rejects.toMatchObject({ code: 'BLOB_CORRUPT' })
  expect(node.received.peer).toBe(chunkSize)
  expect(await readBytes(node, want)).toEqual(Buffer.from(bytes))
})

test('a wrong blob ends its readers though what the disk refused of it has gone by', async () => {
  const node = await nodes.add(originWith(wrong))
  const last = chunkCountOf(bytes.length) - 1
  node.store.refuse('DISK_FULL', (index) => index < last)
  await expect(readBytes(node, want)).rejects.toMatchObject({ code: 'BLOB_CORRUPT' })
})

test('where the disk refuses all, a peer that has a proved blob wrong is found out by it when it comes again', async () => {
  const node = await nodes.add(originWith(bytes))
  node.store.refuse('DISK_FULL')
  expect(await readBytes(node, want)).toEqual(Buffer.from(bytes))
  await addDeceived()
  expect(await readBytes(node, want)).toEqual(Buffer.from(bytes))
  expect(node.received.peer).toBe(chunkSize)
})

test('where the disk refuses all, an origin that gives another blob than before is not believed', async () => {
  const origin = originWith(bytes)
  const node = await nodes.add(origin)
  node.store.refuse('DISK_FULL')
  await readBytes(node, want)
  origin.hold(originsWith(wrong, want.digest))
  await expect(readBytes(node, want)).rejects.toMatchObject({ code: 'ORIGIN_PROTOCOL' })
})

test('a part takes its own chunks from the origin and no others', async () => {
  const large = someBytes(40_000_000)
  const part = wantOf(digestOf(large), large.length)
  const node = await nodes.add(originWith(large, part.digest))
  const range = { start: 30_000_000, end: 30_000_100 }
  expect(await readBytes(node, part, range)).toEqual(Buffer.from(large.subarray(range.start, range.end)))
  expect(node.received.origin).toBe(chunkSizeOf(large.length))
})

test('the end of a blob comes as a part too, as lazy pullers ask for it first', async () => {
  const large = someBytes(40_000_000)
  const part = wantOf(digestOf(large), large.length)
  const node = await nodes.add(originWith(large, part.digest))
  const range = { start: large.length - 51, end: large.length }
  expect(await readBytes(node, part, range)).toEqual(Buffer.from(large.subarray(range.start)))
  expect(node.received.origin).toBeLessThanOrEqual(chunkSizeOf(large.length))
})

test('a blob that is not what its digest says never reaches its last byte', async () => {
  const node = await nodes.add(originWith(wrong))
  const { signal } = new AbortController()
  const blob = await node.blobs.open(want, signal)
  let taken = 0
  const reading = (async () => {
    for await (const piece of blob.read({ start: 0, end: bytes.length }, { whole: true, signal })) taken += piece.length
  })()
  await expect(reading).rejects.toMatchObject({ code: 'BLOB_CORRUPT' })
  expect(taken).toBeLessThan(bytes.length)
  await blob.close()
})

test('a chunk that the store has thrown away since is fetched again', async () => {
  const { origin, store } = await stoppedWithAll()
  const after = await nodes.add(origin, store)
  await readBytes(after, want)
  const other = await store.open(want.digest, bytes.length)
  await other.discard([4])
  expect(await readBytes(after, want)).toEqual(Buffer.from(bytes))
  expect(after.received.origin).toBe(chunkSize)
})

test('what comes in the place of a chunk of which this process has proved nothing is proved with the rest', async () => {
  const { origin, store } = await stoppedWithAll()
  const after = await nodes.add(origin, store)
  await readBytes(after, want)
  const other = await store.open(want.digest, bytes.length)
  await other.discard([4])
  after.runner.post({ type: 'evicted', digest: want.digest })
  origin.hold(originsWith(flipped(bytes, 4 * chunkSize), want.digest))
  await expect(readBytes(after, want)).rejects.toMatchObject({ code: 'BLOB_CORRUPT' })
})

test('a chunk that rots on disk is fetched again before it is served', async () => {
  const { origin, store } = await stoppedWithAll()
  store.corrupt(want.digest, 4)
  const after = await nodes.add(origin, store)
  expect(await readBytes(after, want)).toEqual(Buffer.from(bytes))
  expect(after.received.origin).toBe(chunkSize)
})

test('a blob that is to be proved and can not be opened is proved once somebody wants it who can open it', async () => {
  const store = createMemoryStore()
  const blob = await store.open(want.digest, bytes.length)
  await fill(blob, contentOf(Buffer.from(bytes)))
  await blob.close()
  store.restart()
  let isBroken = true
  const open: MemoryStore['open'] = async (digest, size) => {
    if (isBroken) throw new ShoalError('DISK_FAILED', 'the test refuses to open')
    return store.open(digest, size)
  }
  const node = await nodes.add(originWith(bytes), { ...store, open })
  await expect(readBytes(node, want)).rejects.toMatchObject({ code: 'DISK_FAILED' })
  isBroken = false
  expect(await readBytes(node, want)).toEqual(Buffer.from(bytes))
  await expect.poll(() => store.state(want.digest)?.complete).toBe(true)
  expect(node.received.origin).toBe(0)
})

test("a copy of containerd's that rots is given up for what the origin has, which passes through", async () => {
  const store = createMemoryStore()
  store.commit(Buffer.from(bytes))
  store.restart()
  store.corrupt(want.digest, 4)
  const node = await nodes.add(originWith(bytes), store)
  expect(await readBytes(node, want)).toEqual(Buffer.from(bytes))
  expect(node.received.origin).toBe(bytes.length)
  expect(store.state(want.digest)).toBeUndefined()
})

test('a chunk that the swarm had thrown away while somebody read it is not taken for one that the disk lost', async () => {
  const { origin, store } = await stoppedWithAll()
  const { runner } = await nodes.add(origin, store)
  const session = await runner.sessions.acquire(want.digest, bytes.length)
  const others = session.stored.have.slice()
  clearBit(others, 0)
  runner.post({ type: 'lost', digest: want.digest, have: others })
  await session.stored.discard([0])
  expect(await readHeld(session, 0, 1, Buffer.alloc(1))).toBeUndefined()
  // One that was lost would have taken the proof back.
  expect(session.proved).toBe(true)
  runner.sessions.release(session)
})

test('a chunk that the disk has lost is not read from the memory of what was just written', async () => {
  const node = await nodes.add(originWith(bytes))
  await readBytes(node, want)
  const session = await node.runner.sessions.acquire(want.digest, bytes.length)
  const isInMemory = () => session.recent.copy(chunkKey(want.digest, 0), 0, 1, Buffer.alloc(1))
  expect(isInMemory()).toBe(true)
  session.onLost(0, new ShoalError('CHUNK_CORRUPT', 'lost'))
  expect(isInMemory()).toBe(false)
  node.runner.sessions.release(session)
})

test('where nobody has the blob and the origin is down, the reader is told so', async () => {
  const origin = originWith(bytes)
  origin.fail(new OriginError('unavailable', 'down'))
  const node = await nodes.add(origin)
  await expect(readBytes(node, want)).rejects.toMatchObject({ code: 'ORIGIN_UNAVAILABLE' })
})

test('an origin that refuses the blob ends the read with what it said', async () => {
  const node = await nodes.add(originWith(new Uint8Array(0), digestOf(new Uint8Array(0))))
  await expect(readBytes(node, want)).rejects.toMatchObject({ code: 'ORIGIN_NOT_FOUND' })
})

test('an empty blob is read without asking anybody', async () => {
  const node = await nodes.add(originWith(bytes))
  expect(await readBytes(node, wantOf(digestOf(new Uint8Array(0)), 0))).toEqual(Buffer.alloc(0))
  expect(node.received).toEqual({ origin: 0, peer: 0 })
})

test('a prefetched blob is there for its reader; a cancelled one is not fetched on', async () => {
  const origin = originWith(bytes)
  const node = await nodes.add(origin)
  const cancel = node.blobs.prefetch(want)
  await expect.poll(() => node.store.state(want.digest)?.complete).toBe(true)
  cancel()
  expect(node.received.origin).toBe(bytes.length)
  const idle = await nodes.add(originWith(bytes))
  idle.blobs.prefetch(want)()
  await expect.poll(() => idle.runner.swarm.stats().readers).toBe(0)
  expect(idle.received.origin).toBe(0)
})
