/** What a store that starts anew makes of containerd's files that the one before it has hashed. */
import { lstatSync, readdirSync, readFileSync, rmSync, truncateSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { beforeEach, expect, onTestFinished, test } from 'vitest'
import { identityOf } from '../../../agent/store/containerd-files.ts'
import { encodeHashes } from '../../../agent/store/kept-hashes.ts'
import type { DiskStore } from '../../../agent/store/store.ts'
import { digestHex } from '../../../core/oci/digest.ts'
import { KiB } from '../../../core/units.ts'
import { contentFrom, flipped } from '../../support/content.ts'
import {
  commitContent,
  contentPath,
  directoryForTest,
  eventually,
  logLines,
  makeContentDirectory,
  openTestStore,
} from '../../support/disk-store.ts'

/** One chunk each: what has more is hashed by a thread of low priority, which a busy machine may keep waiting for long. */
const content = contentFrom('kept', 100 * KiB)
const other = contentFrom('other', 100 * KiB)
const { digest, size } = content
const bad = "error: containerd's copy is corrupt and is not used: check the disk"

let directory: string
let contentDirectory: string

/** Of a process of its own; resolves when it has looked at all that is there. */
async function start(): Promise<{ store: DiskStore; lines: readonly string[] }> {
  const { lines, logger } = logLines()
  const store = await openTestStore(directory, { logger, options: { containerdContentDirectory: contentDirectory } })
  onTestFinished(() => store.stop())
  await store.start()
  await eventually(() => store.stats().containerdWaiting === 0)
  return { store, lines }
}

const hashesPath = (): string => join(directory, 'containerd-hashes', digestHex(digest))
const kept = (): string[] => readdirSync(join(directory, 'containerd-hashes')).toSorted()

/** What a process would keep that had found the chunk of `found` there. */
function pretend(found: typeof content): void {
  const stats = lstatSync(contentPath(contentDirectory, digest), { bigint: true })
  const hash = Buffer.from(found.entry(0).hash, 'hex')
  writeFileSync(hashesPath(), encodeHashes(digest, { identity: identityOf(stats), size }, hash))
}

beforeEach(async () => {
  directory = directoryForTest()
  contentDirectory = makeContentDirectory(directory)
  commitContent(contentDirectory, content.bytes)
  const { store } = await start()
  await eventually(() => store.state(digest) !== undefined)
  await store.stop()
})

test('it stands for a file that is the same, and serves it', async () => {
  const { store, lines } = await start()
  await eventually(() => store.state(digest) !== undefined)
  const blob = await store.open(digest, size)
  expect(blob).toMatchObject({ source: 'containerd', complete: true })
  expect(blob.hash(0)).toBe(content.entry(0).hash)
  expect(content.bytes.equals(await blob.read(0, size))).toBe(true)
  expect(lines).toEqual([])
  await blob.close()
})

test('it does so without reading it, and hashes each chunk before its first read', async () => {
  pretend(other)
  const { store, lines } = await start()
  await eventually(() => store.state(digest) !== undefined)
  const blob = await store.open(digest, size)
  expect(blob.hash(0)).toBe(other.entry(0).hash)
  await expect(blob.read(0, 1)).rejects.toMatchObject({ code: 'CHUNK_CORRUPT' })
  expect({ lines, state: store.state(digest) }).toEqual({ lines: [bad], state: undefined })
  await blob.close()
  // It does not go by these twice.
  await store.stop()
  const { store: next } = await start()
  await eventually(() => next.state(digest) !== undefined)
})

test('a file that was replaced meanwhile is hashed again', async () => {
  commitContent(contentDirectory, content.bytes)
  const { store } = await start()
  await eventually(() => store.state(digest) !== undefined)
  commitContent(contentDirectory, flipped(content.bytes, 7), content)
  await store.stop()
  const { store: next, lines } = await start()
  await eventually(() => lines.length > 0)
  expect({ lines, state: next.state(digest) }).toEqual({ lines: [bad], state: undefined })
})

test.each([
  ['torn', () => truncateSync(hashesPath(), 100)],
  ['empty', () => truncateSync(hashesPath(), 0)],
  ['damaged', () => writeFileSync(hashesPath(), flipped(readFileSync(hashesPath()), 20))],
  [
    'of another file',
    () => writeFileSync(hashesPath(), encodeHashes(other.digest, { identity: '', size }, Buffer.alloc(32))),
  ],
  ['gone', () => rmSync(hashesPath())],
])('hashes that are %s count for nothing, and are kept anew', async (_how, harm) => {
  const before = readFileSync(hashesPath())
  harm()
  const { store } = await start()
  await eventually(() => store.state(digest) !== undefined)
  await store.stop()
  expect(readFileSync(hashesPath()).equals(before)).toBe(true)
})

test('they go with the file, also where that went while no agent ran', async () => {
  commitContent(contentDirectory, other.bytes)
  const { store } = await start()
  await eventually(() => store.state(other.digest) !== undefined)
  rmSync(contentPath(contentDirectory, other.digest))
  await eventually(() => kept().length === 1)
  await store.stop()
  commitContent(contentDirectory, other.bytes)
  rmSync(contentPath(contentDirectory, digest))
  const { store: next } = await start()
  await eventually(() => next.state(other.digest) !== undefined && !kept().includes(digestHex(digest)))
  await next.stop()
  expect(kept()).toEqual([digestHex(other.digest)])
})

test('where they can not be kept, that is said once and the files are used all the same', async () => {
  rmSync(join(directory, 'containerd-hashes'), { recursive: true })
  writeFileSync(join(directory, 'containerd-hashes'), 'in the way')
  commitContent(contentDirectory, other.bytes)
  const { store, lines } = await start()
  await eventually(() => store.stats().containerdBlobs === 2)
  await store.stop()
  expect(lines).toEqual(["warn: hashes of containerd's copies can not be kept: after a restart they are hashed again"])
})
