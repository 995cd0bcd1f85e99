/** agent/swarm beside liars: what reaches a reader, and who is banned. */
import { expect, onTestFinished, test } from 'vitest'
import { createIdentity } from '../../../agent/identity/identity.ts'
import { createNotary } from '../../../agent/identity/notary.ts'
import { ShoalError } from '../../../core/errors.ts'
import { OriginError } from '../../../agent/upstream/origin-error.ts'
import { digestHex } from '../../../core/oci/digest.ts'
import { chunkCountOf, chunkLengthOf, chunkSizeOf } from '../../../core/swarm/chunks.ts'
import { entryPayload, type Witness } from '../../../core/swarm/entry.ts'
import { createMemoryOrigin, type MemoryOrigin } from '../../support/memory-origin.ts'
import { createMemoryStore, type MemoryStore } from '../../support/memory-store.ts'
import { digestOf, repository, someBytes } from '../../support/registry-content.ts'
import { createSwarmNodes, readBytes, type SwarmNode, type SwarmNodes, wantOf } from '../../support/swarm-nodes.ts'

const bytes = someBytes(3_000_000)
const want = wantOf(digestOf(bytes), bytes.length)
const chunkSize = chunkSizeOf(bytes.length)
const count = chunkCountOf(bytes.length)

function cluster(witnesses: number): SwarmNodes {
  const nodes = createSwarmNodes(`witnesses ${witnesses}`, { witnesses })
  onTestFinished(() => nodes.stop())
  return nodes
}

function origin(content: Uint8Array = bytes): MemoryOrigin {
  const { manifests, tags } = repository('{}', [])
  const held = { manifests, tags, blobs: new Map([[want.digest, content]]), authorization: undefined }
  return createMemoryOrigin({ 'registry.test': { 'team/app': held } })
}

function downOrigin(): MemoryOrigin {
  const down = origin()
  down.fail(new OriginError('unavailable', 'down'))
  return down
}

function spoilt(...indices: number[]): Uint8Array {
  const wrong = Uint8Array.from(bytes)
  for (const index of indices) wrong[index * chunkSize] = (wrong[index * chunkSize] ?? 0) ^ 1
  return wrong
}

/** A store that holds `content` as the blob, each chunk under the word of `witness`; a whole one as if it had been proved. */
async function storeWith(
  content: Uint8Array,
  witness: Witness = { kind: 'proved' },
  chunks = count,
): Promise<MemoryStore> {
  const store = createMemoryStore()
  const notary = createNotary(createIdentity())
  const blob = await store.open(want.digest, bytes.length)
  for (let index = 0; index < chunks; index++) {
    const chunk = content.subarray(index * chunkSize, index * chunkSize + chunkLengthOf(bytes.length, index))
    const signed = { index, hash: digestHex(digestOf(chunk)), witness }
    const signature = notary.sign(entryPayload(want.digest, bytes.length, signed))
    await blob.write(index, [chunk], { ...signed, signer: notary.self, signature })
  }
  if (chunks === count) await blob.markComplete()
  await blob.close()
  return store
}

/** A node that has nothing but a liar to take the blob from. */
async function besideLiar(witnesses: number, lie: Uint8Array): Promise<{ node: SwarmNode; late: MemoryOrigin }> {
  const nodes = cluster(witnesses)
  await nodes.add(downOrigin(), await storeWith(lie))
  const late = downOrigin()
  return { node: await nodes.add(late), late }
}

/** What a read gives where the origin comes back once something was taken from the liar. */
async function readBesideLiar(witnesses: number, lie: Uint8Array): Promise<{ node: SwarmNode; outcome: unknown }> {
  const { node, late } = await besideLiar(witnesses, lie)
  const reading = outcomeOf(readBytes(node, want))
  await expect.poll(() => node.received.peer).toBeGreaterThan(0)
  late.fail(undefined)
  return { node, outcome: await reading }
}

function outcomeOf(reading: Promise<Buffer>): Promise<unknown> {
  return reading.then(
    (read) => (read.equals(bytes) ? 'right' : 'wrong'),
    (error: unknown) => (error instanceof ShoalError ? error.code : error),
  )
}

test('with one witness a liar costs one read, and is banned', async () => {
  const { node, outcome } = await readBesideLiar(1, spoilt(0))
  expect(outcome).toBe('BLOB_CORRUPT')
  expect(await outcomeOf(readBytes(node, want))).toBe('right')
  await expect.poll(() => node.counts).toMatchObject({ bans: 1 })
})

test('with one witness a liar costs one read over a restart too, after which nothing is left of the blob', async () => {
  const nodes = cluster(1)
  await nodes.add(downOrigin(), await storeWith(spoilt(0)))
  const late = downOrigin()
  const deceived = await nodes.add(late)
  const reading = outcomeOf(readBytes(deceived, want))
  await expect.poll(() => deceived.received.peer).toBeGreaterThan(0)
  late.fail(undefined)
  expect(await reading).toBe('BLOB_CORRUPT')
  await expect.poll(() => deceived.lessons.kept().cautions.length).toBe(1)
  await deceived.stop()
  const restarted = await nodes.add(origin(), createMemoryStore(), deceived.lessons)
  expect(await outcomeOf(readBytes(restarted, want))).toBe('right')
})

test('with one witness a lie about what was not handed out yet costs no read', async () => {
  const { node, late } = await besideLiar(1, spoilt(count - 1))
  const { signal } = new AbortController()
  const blob = await node.blobs.open(want, signal)
  const pieces = blob.read({ start: 0, end: bytes.length }, { whole: true, signal })[Symbol.asyncIterator]()
  const taken = [Buffer.from((await pieces.next()).value ?? [])]
  late.fail(undefined)
  await expect.poll(() => node.received.origin).toBeGreaterThan(0)
  for (let next = await pieces.next(); next.done !== true; next = await pieces.next())
    taken.push(Buffer.from(next.value))
  expect(Buffer.concat(taken).equals(bytes)).toBe(true)
  await blob.close()
})

test.each([2, 3])('with %i witnesses a liar costs nothing but its bytes, and is banned', async (witnesses) => {
  const { node, outcome } = await readBesideLiar(witnesses, spoilt(0, 3))
  expect(outcome).toBe('right')
  await expect.poll(() => node.counts).toMatchObject({ bans: 1 })
})

test('with two witnesses a cold group takes each byte from the origin once, and nobody waits for a minute', async () => {
  const nodes = cluster(2)
  const group = await Promise.all(Array.from({ length: 4 }, () => nodes.add(origin())))
  const read = await Promise.all(group.map((node) => outcomeOf(readBytes(node, want))))
  expect(read).toEqual(group.map(() => 'right'))
  expect(group.reduce((sum, { received }) => sum + received.origin, 0)).toBe(bytes.length)
  expect(group.map(({ counts }) => counts)).toEqual(group.map(() => ({ bans: 0, escapes: 0 })))
})

test('with two witnesses a part comes from two seeds, on the word of both', async () => {
  const nodes = cluster(2)
  for (let seed = 0; seed < 2; seed++) await nodes.add(downOrigin(), await storeWith(bytes))
  const node = await nodes.add(downOrigin())
  expect(await readBytes(node, want, { start: 10, end: chunkSize })).toEqual(Buffer.from(bytes.subarray(10, chunkSize)))
  expect(node.store.state(want.digest)?.complete).toBe(false)
  expect(node.counts).toEqual({ bans: 0, escapes: 0 })
})

test('with two witnesses a part that only one vouches for comes from the origin', async () => {
  const nodes = cluster(2)
  await nodes.add(downOrigin(), await storeWith(spoilt(0)))
  const node = await nodes.add(origin())
  expect(await readBytes(node, want, { start: 10, end: chunkSize })).toEqual(Buffer.from(bytes.subarray(10, chunkSize)))
})

test('whom its origin lied to is not banned', async () => {
  const nodes = cluster(2)
  const deceived = await nodes.add(origin(spoilt(2)))
  const others = [await nodes.add(origin()), await nodes.add(origin())]
  const [first, ...read] = await Promise.all([deceived, ...others].map((node) => outcomeOf(readBytes(node, want))))
  expect(['right', 'BLOB_CORRUPT']).toContain(first)
  expect(read).toEqual(['right', 'right'])
  expect([deceived, ...others].map(({ counts }) => counts.bans)).toEqual([0, 0, 0])
})

test('a restart goes on giving out what it held, as far as it was vouched for by the origin asked for', async () => {
  const nodes = cluster(1)
  const store = await storeWith(bytes, { kind: 'fetched', origin: want.origin }, 2)
  const node = await nodes.add(downOrigin(), store)
  expect(await readBytes(node, want, { start: 0, end: 100 })).toEqual(Buffer.from(bytes.subarray(0, 100)))
})

test('what was fetched from one origin is not given to those who ask for another', async () => {
  const nodes = cluster(1)
  const store = await storeWith(spoilt(0), { kind: 'fetched', origin: 'evil.example' }, 2)
  const node = await nodes.add(origin(), store)
  expect(await outcomeOf(readBytes(node, want))).toBe('right')
})
