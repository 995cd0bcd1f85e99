/**
 * Two tenants want one content at once, and one of them means harm: A, whose repository at an honest registry has it, is given it all
 * the same. Real swarms on twins of network, disk and origins.
 */
import { expect, onTestFinished, test } from 'vitest'
import type { Want } from '../../../agent/registry/ports.ts'
import { anonymous, createCredential } from '../../../agent/upstream/credential.ts'
import type { OriginClient } from '../../../agent/upstream/origin-client.ts'
import { createMemoryOrigin } from '../../support/memory-origin.ts'
import { digestOf, repository, someBytes } from '../../support/registry-content.ts'
import { createSwarmNodes, readBytes, type SwarmNode, wantOf } from '../../support/swarm-nodes.ts'

const bytes = Buffer.from(someBytes(3_000_000))
const secretOfA = 'Basic YTph'
const secretOfB = 'Basic Yjpi'
const key = new Uint8Array(32)
const ofA: Want = {
  ...wantOf(digestOf(bytes), bytes.length),
  credential: createCredential(secretOfA, key) ?? anonymous,
}
const ofB: Want = { ...ofA, repository: 'team/b', credential: createCredential(secretOfB, key) ?? anonymous }
const honest = { 'team/app': repository('{}', [bytes], secretOfA), 'team/b': repository('{}', [], secretOfB) }

function origins() {
  return createMemoryOrigin({ 'registry.test': honest, 'evil.test': { 'team/b': repository('{}', [], secretOfB) } })
}

async function nodeOn(origin: OriginClient): Promise<SwarmNode> {
  const nodes = createSwarmNodes('rivals', { asksPossession: true })
  onTestFinished(() => nodes.stop())
  return nodes.add(origin)
}

/** B begins to read: what it is given first, or how that ends. It reads no further while the test runs. */
async function begin({ blobs }: SwarmNode, want: Want): Promise<Buffer | Error> {
  const control = new AbortController()
  const { signal } = control
  const blob = await blobs.open(want, signal)
  const pieces = blob.read({ start: 0, end: blob.size }, { whole: true, signal })[Symbol.asyncIterator]()
  onTestFinished(async () => {
    control.abort()
    await pieces.return?.()
    await blob.close()
  })
  return pieces.next().then(
    ({ value }) => Buffer.from(value ?? []),
    (error: Error) => error,
  )
}

test("B asks for A's content through its own repository while A reads it", async () => {
  const node = await nodeOn(origins())
  const first = readBytes(node, ofA)
  const taken = await begin(node, ofB)
  expect(await first).toEqual(bytes)
  expect(taken).toMatchObject({ code: 'ORIGIN_NOT_FOUND' })
})

test("B asks for A's content through its own repository before A reads it", async () => {
  const node = await nodeOn(origins())
  const reading = begin(node, ofB)
  expect(await readBytes(node, ofA)).toEqual(bytes)
  expect(await reading).toMatchObject({ code: 'ORIGIN_NOT_FOUND' })
})

test('B asks at a registry of its own, which has it not', async () => {
  const node = await nodeOn(origins())
  const reading = begin(node, { ...ofB, origin: 'evil.test' })
  expect(await readBytes(node, ofA)).toEqual(bytes)
  expect(await reading).toMatchObject({ code: 'ORIGIN_NOT_FOUND' })
})

test('B asks at a registry of its own, which sends something else', async () => {
  const node = await nodeOn(lying(origins()))
  const reading = begin(node, { ...ofB, origin: 'evil.test' })
  expect(await readBytes(node, ofA)).toEqual(bytes)
  await reading
})

test('B asks at a registry of its own, which never sends anything', async () => {
  const node = await nodeOn(silent(origins()))
  void begin(node, { ...ofB, origin: 'evil.test' })
  expect(await readBytes(node, ofA)).toEqual(bytes)
})

test('B says that it is longer: A goes to its registry at once', async () => {
  const node = await nodeOn(silent(origins()))
  void begin(node, { ...ofB, origin: 'evil.test', size: bytes.length + 1 })
  await expect(readBytes(node, ofA)).rejects.toMatchObject({ code: 'SIZE_CONFLICT' })
})

function lying(registry: OriginClient): OriginClient {
  return {
    ...registry,
    fetchRange: (wanted, shown, signal) =>
      wanted.origin !== 'evil.test'
        ? registry.fetchRange(wanted, shown, signal)
        : Promise.resolve({
            ranged: true,
            start: wanted.start,
            total: wanted.size,
            body: bodyOf(Buffer.alloc(wanted.end - wanted.start, 7)),
          }),
  }
}

function silent(registry: OriginClient): OriginClient {
  return {
    ...registry,
    fetchRange: (wanted, shown, signal) =>
      wanted.origin !== 'evil.test'
        ? registry.fetchRange(wanted, shown, signal)
        : new Promise((_, reject) => signal.addEventListener('abort', () => reject(signal.reason))),
  }
}

async function* bodyOf(content: Uint8Array): AsyncGenerator<Uint8Array> {
  yield content
}
