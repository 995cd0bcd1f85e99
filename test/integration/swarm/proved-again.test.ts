/** agent/swarm: bytes that came in the place of others, before or after these were handed out, hashed or kept. */
import { createHash } from 'node:crypto'
import { afterEach, beforeEach, expect, test } from 'vitest'
import type { BlobSession } from '../../../agent/swarm/sessions.ts'
import { OriginError } from '../../../agent/upstream/origin-error.ts'
import { chunkSizeOf } from '../../../core/swarm/chunks.ts'
import { flipped } from '../../support/content.ts'
import { createGatedOrigin, type GatedOrigin } from '../../support/gated-origin.ts'
import { createMemoryOrigin } from '../../support/memory-origin.ts'
import type { MemoryStore } from '../../support/memory-store.ts'
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
const firstChunk = { start: 0, end: chunkSize }
const wrong = flipped(bytes, 100)
/** The origin's answers stop behind this many whole chunks. */
const comeChunks = 7

let nodes: SwarmNodes

beforeEach(() => {
  nodes = createSwarmNodes('proved again')
})

afterEach(() => nodes.stop())

function originWith(content: Uint8Array): ReturnType<typeof createMemoryOrigin> {
  return createMemoryOrigin(originsWith(content, want.digest))
}

/** Has the first chunk wrong, as it came from its origin. */
async function deceivedNode(): Promise<SwarmNode> {
  const deceived = await nodes.add(originWith(wrong))
  await readBytes(deceived, want, firstChunk)
  return deceived
}

/** Its origin gives the blob's beginning; a client has taken that, and the proof has read it. */
async function nodeInTheMiddle(
  refused?: Parameters<MemoryStore['refuse']>[1],
): Promise<{ node: SwarmNode; session: BlobSession; gate: GatedOrigin; first: Promise<Buffer> }> {
  const gate = createGatedOrigin(originWith(bytes), comeChunks * chunkSize)
  const node = await nodes.add(gate.client)
  if (refused !== undefined) node.store.refuse('DISK_FULL', refused)
  const first = readBytes(node, want)
  // Whoever awaits it hears of its failure.
  first.catch(() => {})
  const atGate = comeChunks * chunkSize
  await expect.poll(() => node.runner.sessions.find(want.digest)?.provedBytes, patience).toBe(atGate)
  const session = node.runner.sessions.find(want.digest)
  if (session === undefined) throw new Error('nobody reads the blob')
  await expect.poll(() => [...session.positions.values()], patience).toEqual([atGate])
  return { node, session, gate, first }
}

const patience = { timeout: 10_000 }

/** The sessions close with what was wrong in them. */
async function closeSessions({ runner }: SwarmNode): Promise<void> {
  await expect
    .poll(async () => {
      await runner.sessions.sweep(0)
      return runner.sessions.count()
    }, patience)
    .toBe(0)
}

function hashOfFirst(content: Uint8Array): string {
  return createHash('sha256').update(content.subarray(0, chunkSize)).digest('hex')
}

async function keptFirst({ store }: SwarmNode): Promise<Buffer> {
  const stored = await store.open(want.digest, bytes.length)
  const read = Buffer.from(await stored.read(0, chunkSize))
  await stored.close()
  return read
}

test('where the disk refuses all, who was handed another chunk than the proof had read does not get to the end', async () => {
  const { node, session, gate, first } = await nodeInTheMiddle(() => true)
  expect(session.unkept.has(0)).toBe(false)
  await deceivedNode()
  const second = readBytes(node, want)
  second.catch(() => {})
  // Its next chunk comes with the rest.
  await expect.poll(() => [...session.positions.values()], patience).toEqual([comeChunks * chunkSize, chunkSize])
  expect(node.received.peer).toBe(chunkSize)
  gate.open()
  expect(await first).toEqual(Buffer.from(bytes))
  await expect(second).rejects.toMatchObject({ code: 'BLOB_CORRUPT' })
  expect(await readBytes(node, want)).toEqual(Buffer.from(bytes))
})

test('another chunk than the proof had read, which the disk kept, goes once the blob is proved', async () => {
  const { node, session, gate, first } = await nodeInTheMiddle((index) => index === 0)
  expect(session.unkept.has(0)).toBe(false)
  await deceivedNode()
  node.store.refuse(undefined)
  const second = readBytes(node, want)
  second.catch(() => {})
  await expect.poll(() => session.stored.hash(0), patience).toBe(hashOfFirst(wrong))
  await expect.poll(() => [...session.positions.values()], patience).toEqual(Array(2).fill(comeChunks * chunkSize))
  gate.open()
  expect(await first).toEqual(Buffer.from(bytes))
  await expect(second).rejects.toMatchObject({ code: 'BLOB_CORRUPT' })
  expect(await readBytes(node, want)).toEqual(Buffer.from(bytes))
  await expect.poll(() => node.store.state(want.digest)?.complete, patience).toBe(true)
  expect(await keptFirst(node)).toEqual(Buffer.from(bytes.subarray(0, chunkSize)))
})

test('another chunk than the proof had read is not kept though the blob is proved while it is written', async () => {
  const { node, session, gate, first } = await nodeInTheMiddle(() => true)
  await deceivedNode()
  node.store.refuse('DISK_FULL', (index) => index > 0)
  const letWrite = node.store.hang()
  const second = readBytes(node, want)
  await expect.poll(() => node.received.peer, patience).toBe(chunkSize)
  gate.open()
  expect(await first).toEqual(Buffer.from(bytes))
  expect(session.stored.hash(0)).toBeUndefined()
  letWrite()
  expect(await second).toEqual(Buffer.from(bytes))
  expect(await keptFirst(node)).toEqual(Buffer.from(bytes.subarray(0, chunkSize)))
})

test('who was handed a wrong chunk, which the disk lost and which came again right, does not get to the end', async () => {
  const deceived = await deceivedNode()
  const { node, session, gate, first } = await nodeInTheMiddle()
  expect(session.stored.hash(0)).toBe(hashOfFirst(wrong))
  await deceived.stop()
  const other = await node.store.open(want.digest, bytes.length)
  await other.discard([0])
  const second = readBytes(node, want)
  await expect.poll(() => session.provedBytes, patience).toBe(0)
  gate.open()
  await expect(first).rejects.toMatchObject({ code: 'BLOB_CORRUPT' })
  expect(await second).toEqual(Buffer.from(bytes))
})

test('a slow client that was handed a wrong chunk does not get to the end by what another has brought since', async () => {
  const deceived = await deceivedNode()
  const node = await nodes.add(originWith(bytes))
  node.store.refuse('DISK_FULL')
  const slow = await startReading(node, want)
  await slow.take(chunkSize)
  await expect.poll(() => node.runner.sessions.find(want.digest)?.failures.isEmpty(), patience).toBe(false)
  await deceived.stop()
  expect(await readBytes(node, want)).toEqual(Buffer.from(bytes))
  await expect(slow.rest()).rejects.toMatchObject({ code: 'BLOB_CORRUPT' })
})

/** A node that was deceived, forgot that, and got the whole blob from containerd. */
async function nodeWithCommitted(): Promise<SwarmNode> {
  const deceived = await deceivedNode()
  const node = await nodes.add(originWith(bytes))
  await readBytes(node, want, firstChunk)
  expect(node.received.peer).toBe(chunkSize)
  await deceived.stop()
  await closeSessions(node)
  node.store.commit(Buffer.from(bytes))
  return node
}

test('of what containerd commits a client gets the bytes, and not those that this node had wrong before', async () => {
  const node = await nodeWithCommitted()
  expect(await readBytes(node, want)).toEqual(Buffer.from(bytes))
})

test('of what containerd commits a peer gets the bytes, and not those that this node had wrong before', async () => {
  await nodeWithCommitted()
  const down = originWith(bytes)
  down.fail(new OriginError('unavailable', 'down'))
  const leech = await nodes.add(down)
  expect(await readBytes(leech, want)).toEqual(Buffer.from(bytes))
  expect(leech.counts.bans).toBe(0)
})
