/**
 * Bytes that came from one origin, and readers of another (DESIGN, Access): shown once that one is known to hold them too.
 * `registry.test` and `other.test` do; `evil.test` says so, and sends the inverse of each byte.
 */
import { expect, onTestFinished, test } from 'vitest'
import { createIdentity } from '../../../agent/identity/identity.ts'
import { createNotary } from '../../../agent/identity/notary.ts'
import type { Want } from '../../../agent/registry/ports.ts'
import { anonymous, createCredential } from '../../../agent/upstream/credential.ts'
import { OriginError } from '../../../agent/upstream/origin-error.ts'
import { limits } from '../../../core/limits.ts'
import { digestHex } from '../../../core/oci/digest.ts'
import { chunkCountOf, chunkLengthOf, chunkSizeOf } from '../../../core/swarm/chunks.ts'
import { entryPayload, type Witness } from '../../../core/swarm/entry.ts'
import { inverseOf } from '../../support/lying-registry.ts'
import { createMemoryOrigin, type MemoryOrigin } from '../../support/memory-origin.ts'
import { createMemoryStore, type MemoryStore } from '../../support/memory-store.ts'
import { digestOf, repository, someBytes } from '../../support/registry-content.ts'
import { createSwarmNodes, readBytes, type SwarmNode, type SwarmNodes, wantOf } from '../../support/swarm-nodes.ts'

const bytes = Buffer.from(someBytes(3_000_000))
const inverse = inverseOf(bytes)
const secret = 'Basic dTpw'
const credential = createCredential(secret, new Uint8Array(32)) ?? anonymous
const want: Want = { ...wantOf(digestOf(bytes), bytes.length), credential }
const other: Want = { ...want, origin: 'other.test' }
const evil: Want = { ...want, origin: 'evil.test' }
const chunkSize = chunkSizeOf(bytes.length)
const count = chunkCountOf(bytes.length)
const notFound = { code: 'ORIGIN_NOT_FOUND' }

function cluster(): SwarmNodes {
  const nodes = createSwarmNodes('possession', { asksPossession: true })
  onTestFinished(() => nodes.stop())
  return nodes
}

function origins(sentByEvil: Uint8Array = inverse): MemoryOrigin {
  const held = { 'team/app': repository('{}', [bytes], secret), 'team/none': repository('{}', [], secret) }
  const lying = { 'team/app': { ...held['team/app'], blobs: new Map([[want.digest, sentByEvil]]) } }
  return createMemoryOrigin({ 'registry.test': held, 'other.test': held, 'evil.test': lying })
}

function silent(): MemoryOrigin {
  const silenced = origins()
  silenced.fail(new OriginError('unavailable', 'down'))
  return silenced
}

const asked = ({ calls }: MemoryOrigin): string[] => calls.map(({ method }) => method)
const samples: readonly string[] = Array(limits.possessionSamples).fill('fetchRange')

/** What a reader is given before its read ends, or fails. */
async function take({ blobs }: SwarmNode, of: Want, range = { start: 0, end: bytes.length }) {
  const { signal } = new AbortController()
  const blob = await blobs.open(of, signal)
  const pieces: Buffer[] = []
  const whole = range.end - range.start === bytes.length
  try {
    for await (const piece of blob.read(range, { whole, signal })) pieces.push(Buffer.from(piece))
    return { taken: Buffer.concat(pieces), error: undefined }
  } catch (error) {
    return { taken: Buffer.concat(pieces), error }
  } finally {
    await blob.close()
  }
}

/** The whole blob, as if this node had proved it: each chunk under that word. */
async function storeOf(witness: Witness): Promise<MemoryStore> {
  const store = createMemoryStore()
  const notary = createNotary(createIdentity())
  const blob = await store.open(want.digest, bytes.length)
  for (let index = 0; index < count; index++) {
    const chunk = bytes.subarray(index * chunkSize, index * chunkSize + chunkLengthOf(bytes.length, index))
    const signed = { index, hash: digestHex(digestOf(chunk)), witness }
    const signature = notary.sign(entryPayload(want.digest, bytes.length, signed))
    await blob.write(index, [chunk], { ...signed, signer: notary.self, signature })
  }
  await blob.markComplete()
  await blob.close()
  return store
}

test('a lone node in a cold pull asks for nothing but the bytes', async () => {
  const registry = origins()
  const node = await cluster().add(registry)
  expect(await readBytes(node, want)).toEqual(bytes)
  expect(new Set(asked(registry))).toEqual(new Set(['fetchRange']))
})

test('nodes of one registry that pull at once ask for nothing but the bytes either', async () => {
  const nodes = cluster()
  const registries = Array.from({ length: 4 }, () => origins())
  const group = await Promise.all(registries.map((registry) => nodes.add(registry)))
  for (const read of await Promise.all(group.map((node) => readBytes(node, want)))) expect(read).toEqual(bytes)
  expect(new Set(registries.flatMap(asked))).toEqual(new Set(['fetchRange']))
  expect(group.reduce((sum, { received }) => sum + received.origin, 0)).toBe(bytes.length)
})

test('another registry that has the layer too costs one HEAD and eight small ranges for all nodes', async () => {
  const nodes = cluster()
  await readBytes(await nodes.add(origins()), want)
  const [first, second] = [origins(), origins()]
  const node = await nodes.add(first)
  expect(await readBytes(node, other)).toEqual(bytes)
  expect(asked(first).toSorted()).toEqual([...samples, 'headBlob'])
  expect(node.received).toEqual({ origin: 0, peer: bytes.length })
  expect(await readBytes(await nodes.add(second), other)).toEqual(bytes)
  expect(asked(second)).toEqual([])
})

test('what the other registry shows is asked of it chunk by chunk where only a part is read', async () => {
  const nodes = cluster()
  await readBytes(await nodes.add(origins()), want)
  const node = await nodes.add(origins())
  const range = { start: chunkSize + 10, end: chunkSize + 20 }
  expect(await readBytes(node, other, range)).toEqual(bytes.subarray(range.start, range.end))
  expect(node.store.state(want.digest)?.complete).toBe(false)
})

test('the same where the disk refuses what comes, so that nothing has to wait in memory', async () => {
  const nodes = cluster()
  await readBytes(await nodes.add(origins()), want)
  const node = await nodes.add(origins())
  node.store.refuse('DISK_FULL')
  expect(await readBytes(node, other)).toEqual(bytes)
})

const ranges = {
  whole: { start: 0, end: bytes.length },
  'a part': { start: chunkSize, end: chunkSize + 100 },
  'the end': { start: bytes.length - 100, end: bytes.length },
  nothing: { start: 0, end: 0 },
}

test.each(Object.entries(ranges))('who may not read it is given nothing, warm and from peers: %s', async (_, range) => {
  const nodes = cluster()
  const holder = await nodes.add(origins())
  await readBytes(holder, want)
  for (const node of [holder, await nodes.add(origins())]) {
    const { taken, error } = await take(node, { ...want, repository: 'team/none' }, range)
    expect({ bytes: taken.length, error }).toMatchObject({ bytes: 0, error: { ...notFound, status: 404 } })
  }
})

test('a registry that lies about having it gets its reader nothing: warm, from peers, in part, from the store', async () => {
  const nodes = cluster()
  const holder = await nodes.add(origins())
  await readBytes(holder, want)
  const cold = await nodes.add(origins())
  const restarted = await nodes.add(origins(), await storeOf({ kind: 'proved' }))
  for (const node of [holder, cold, restarted])
    for (const range of [ranges['a part'], ranges.whole, ranges['the end']]) {
      const { taken, error } = await take(node, evil, range)
      expect({ bytes: taken.length, error }).toMatchObject({ bytes: 0, error: notFound })
    }
})

test('a registry that has half of it gets its reader that half, as it sends it, and no more', async () => {
  const half = Uint8Array.from(bytes, (byte, at) => (at < count * chunkSize * 0.5 ? byte : ~byte))
  const nodes = cluster()
  await readBytes(await nodes.add(origins()), want)
  const node = await nodes.add(origins(half))
  const { taken } = await take(node, evil, { start: 0, end: 100 })
  expect(taken).toEqual(bytes.subarray(0, 100))
  const end = await take(node, evil, { start: bytes.length - chunkSize, end: bytes.length - 1 })
  expect({ bytes: end.taken.length, error: end.error }).toMatchObject({ bytes: 0, error: notFound })
})

test('after a restart what was fetched needs no more than the word of its repository, what was found is sampled', async () => {
  const fetched = origins()
  const nodes = cluster()
  const node = await nodes.add(fetched, await storeOf({ kind: 'fetched', origin: want.origin }))
  expect(await readBytes(node, want)).toEqual(bytes)
  expect(asked(fetched)).toEqual(['headBlob'])
  const found = origins()
  const another = await cluster().add(found, await storeOf({ kind: 'proved' }))
  expect(await readBytes(another, want)).toEqual(bytes)
  expect(asked(found)).toEqual(['headBlob', ...samples])
})

test('while the registry is down, what its repository was known to have is read', async () => {
  const nodes = cluster()
  await readBytes(await nodes.add(origins()), want)
  expect(await readBytes(await nodes.add(silent()), want)).toEqual(bytes)
  const { error } = await take(await nodes.add(silent()), { ...want, repository: 'team/none' })
  expect(error).toMatchObject({ code: 'ORIGIN_UNAVAILABLE' })
})
