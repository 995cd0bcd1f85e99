/** agent/swarm/small-contents.ts: what goes whole from node to node, on real time with the twins of disk and origin. */
import { afterEach, beforeEach, expect, test } from 'vitest'
import type { OriginClient } from '../../../agent/upstream/origin-client.ts'
import { OriginError } from '../../../agent/upstream/origin-error.ts'
import type { Want } from '../../../agent/registry/ports.ts'
import { type Disk, realDisk } from '../../../agent/store/disk.ts'
import { pruneUnkept } from '../../../agent/swarm/sessions.ts'
import { limits } from '../../../core/limits.ts'
import type { Digest } from '../../../core/oci/digest.ts'
import { flipped } from '../../support/content.ts'
import { directoryForTest, openTestStore } from '../../support/disk-store.ts'
import { createMemoryOrigin, type MemoryOrigin } from '../../support/memory-origin.ts'
import { digestOf, repository, someBytes } from '../../support/registry-content.ts'
import {
  createSwarmNodes,
  originsWith,
  readBytes,
  type SwarmNode,
  type SwarmNodes,
  wantOf,
} from '../../support/swarm-nodes.ts'

const bytes = someBytes(300_000)
const small = wantOf(digestOf(bytes), bytes.length)
const manifestBytes = Buffer.from('{"schemaVersion":2}')
/** As a client has them that knows a digest and nothing else. */
const unsized = (digest: Digest, kind: Want['kind']): Want => {
  const { size: _size, ...want } = wantOf(digest, 0)
  return { ...want, kind }
}
const manifest = unsized(digestOf(manifestBytes), 'manifest')

let nodes: SwarmNodes

beforeEach(() => {
  nodes = createSwarmNodes('small')
})

afterEach(() => nodes.stop())

function originOf(blob: Uint8Array = bytes): MemoryOrigin {
  const { tags } = repository('{}', [])
  const manifests = new Map([[manifest.digest, { mediaType: 'application/json', body: manifestBytes }]])
  const held = { manifests, tags, blobs: new Map([[small.digest, blob]]), authorization: undefined }
  return createMemoryOrigin({ 'registry.test': { 'team/app': held } })
}

function down(): MemoryOrigin {
  const origin = originOf()
  origin.fail(new OriginError('unavailable', 'down'))
  return origin
}

function read(node: SwarmNode, want: Want): Promise<Buffer> {
  return readBytes(node, want, { start: 0, end: want === manifest ? manifestBytes.length : bytes.length })
}

test('many that want the same at once take it from the origin once between them, in one request', async () => {
  const origin = originOf()
  const group = await Promise.all(Array.from({ length: 12 }, () => nodes.add(origin)))
  for (const want of [manifest, small]) {
    const expected = want === manifest ? manifestBytes : Buffer.from(bytes)
    for (const each of await Promise.all(group.map((node) => read(node, want)))) expect(each).toEqual(expected)
  }
  expect(origin.calls.map(({ method }) => method)).toEqual(['getManifest', 'fetchRange'])
  for (const { store } of group) {
    expect(store.state(manifest.digest)?.complete).toBe(true)
    expect(store.state(small.digest)?.complete).toBe(true)
  }
})

test('what a full disk refused comes again, whole and in one request, when it has been let go', async () => {
  const origin = originOf()
  const node = await nodes.add(origin)
  node.store.refuse('DISK_FULL')
  const readTwice = async (): Promise<void> => {
    for (let time = 0; time < 2; time++) expect(await read(node, small)).toEqual(Buffer.from(bytes))
  }
  await readTwice()
  expect(origin.calls.map(({ method }) => method)).toEqual(['fetchRange'])
  pruneUnkept(node.runner.sessions.find(small.digest)!)
  await readTwice()
  expect(origin.calls.map(({ method }) => method)).toEqual(['fetchRange', 'fetchRange'])
})

test('a node whose origin is down has a manifest of unknown size, and a blob, from a peer', async () => {
  const holder = await nodes.add(originOf())
  await read(holder, manifest)
  await read(holder, small)
  const origin = down()
  const node = await nodes.add(origin)
  expect(await read(node, manifest)).toEqual(manifestBytes)
  expect(await read(node, small)).toEqual(Buffer.from(bytes))
  expect(origin.calls).toEqual([])
  expect(node.received).toEqual({ origin: 0, peer: manifestBytes.length + bytes.length })
  expect(node.runner.swarm.stats().peersConnected).toBe(0)
})

test('a blob whose size nobody told this node has it from those who hold it', async () => {
  await read(await nodes.add(originOf()), small)
  await expect.poll(() => nodes.announcedSize(small.digest)).toBe(bytes.length)
  const origin = down()
  expect(await read(await nodes.add(origin), unsized(small.digest, 'blob'))).toEqual(Buffer.from(bytes))
  expect(origin.calls).toEqual([])
})

test('what is said to have no bytes, by a manifest or by a member, is empty only if its digest says so too', async () => {
  const node = await nodes.add(originOf())
  for (let time = 0; time < 2; time++)
    await expect(readBytes(node, { ...small, size: 0 })).rejects.toMatchObject({ code: 'SIZE_CONFLICT' })
  expect(await read(node, small)).toEqual(Buffer.from(bytes))
  const nothing = new Uint8Array()
  expect(await readBytes(node, wantOf(digestOf(nothing), 0))).toEqual(Buffer.from(nothing))
})

test('when the first that fetches fails, another does, and the rest have it from that one', async () => {
  const failing = await nodes.add(down())
  const origin = originOf()
  const others = await Promise.all(Array.from({ length: 5 }, () => nodes.add(origin)))
  const first = read(failing, manifest).catch(() => {})
  for (const each of await Promise.all(others.map((node) => read(node, manifest)))) expect(each).toEqual(manifestBytes)
  await first
  expect(origin.calls.map(({ method }) => method)).toEqual(['getManifest'])
})

test('what has come is given on while the disk hangs, and by then is not kept', async () => {
  const node = await nodes.add(originOf())
  const goOn = node.store.hang()
  const reading = read(node, small)
  await expect.poll(() => node.small.serve(small.digest)).toEqual({ kind: 'content', bytes: Buffer.from(bytes) })
  expect(node.store.state(small.digest)?.complete ?? false).toBe(false)
  goOn()
  expect(await reading).toEqual(Buffer.from(bytes))
  expect(node.store.state(small.digest)?.complete).toBe(true)
})

test('what is not what its digest says is neither kept nor given on', async () => {
  const node = await nodes.add(originOf(bytes.toReversed()))
  await expect(read(node, small)).rejects.toMatchObject({ code: 'BLOB_CORRUPT' })
  expect(node.store.state(small.digest)?.complete ?? false).toBe(false)
  expect(await node.small.serve(small.digest)).toEqual({ kind: 'none' })
})

test('what the disk refuses passes through, and is not offered', async () => {
  const node = await nodes.add(originOf())
  node.store.refuse('DISK_FULL')
  expect(await read(node, small)).toEqual(Buffer.from(bytes))
  expect(await node.small.serve(small.digest)).toEqual({ kind: 'none' })
})

test('a larger blob goes by the swarm', async () => {
  const large = someBytes(limits.smallContentMaxBytes + 1)
  const want = wantOf(digestOf(large), large.length)
  const held = { ...repository('{}', []), blobs: new Map([[want.digest, large]]), authorization: undefined }
  const node = await nodes.add(createMemoryOrigin({ 'registry.test': { 'team/app': held } }))
  await readBytes(node, want)
  const peer = await nodes.add(down())
  await readBytes(peer, want)
  expect(peer.runner.swarm.stats().peersConnected).toBe(1)
})

const patience = { timeout: 10_000 }

test('a wrong chunk that is being written when the right content comes is not kept as part of it', async () => {
  const content = someBytes(100_000)
  const want = wantOf(digestOf(content), content.length)
  const originWith = (blob: Uint8Array) => createMemoryOrigin(originsWith(blob, want.digest))
  const held = Promise.withResolvers<void>()
  let isWriting = false
  const disk: Disk = {
    ...realDisk,
    async write(fd, parts, position) {
      if (parts[0]?.length === content.length) {
        isWriting = true
        await held.promise
      }
      return realDisk.write(fd, parts, position)
    },
  }
  const store = await openTestStore(directoryForTest(), { disk })
  const [wrong, right] = [originWith(flipped(content, 100)), originWith(content)]
  const mended: OriginClient = { ...wrong, fetchRange: (...asked) => (isWriting ? right : wrong).fetchRange(...asked) }
  const node = await nodes.addOn(mended, store)
  const deceived = readBytes(node, want)
  deceived.catch(() => {})
  await expect.poll(() => isWriting, patience).toBe(true)
  const { origin } = node.received
  const reading = readBytes(node, want)
  reading.catch(() => {})
  await expect.poll(() => node.received.origin, patience).toBe(origin + content.length)
  held.resolve()
  expect(await reading).toEqual(Buffer.from(content))
  await deceived.catch(() => {})
  await node.runner.sessions.sweep(0)
  expect(await readBytes(node, want)).toEqual(Buffer.from(content))
  await node.stop()
  await store.stop()
})

test('what is said to be larger than a blob may be is refused before any memory is set aside for its chunks', async () => {
  const node = await nodes.add(originOf())
  for (const size of [limits.blobSizeMaxBytes + 1, Number.MAX_SAFE_INTEGER])
    await expect(readBytes(node, { ...small, size })).rejects.toMatchObject({ code: 'BLOB_TOO_LARGE' })
  expect(node.runner.swarm.stats().sessions).toBe(0)
  expect(await read(node, small)).toEqual(Buffer.from(bytes))
})
