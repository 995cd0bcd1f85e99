/** What the contract (test/contracts/store.ts) leaves open: what the store does with its directory, its disk and its room. */
import {
  existsSync,
  mkdirSync,
  readFileSync,
  readdirSync,
  readlinkSync,
  rmSync,
  statSync,
  symlinkSync,
  truncateSync,
  utimesSync,
  writeFileSync,
} from 'node:fs'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, onTestFinished, test, vi } from 'vitest'
import { type Disk, type FilesystemUsage, realDisk } from '../../../agent/store/disk.ts'
import type { DiskStore } from '../../../agent/store/store.ts'
import { limits } from '../../../core/limits.ts'
import type { Digest } from '../../../core/oci/digest.ts'
import { hour, KiB, MiB } from '../../../core/units.ts'
import { type Content, contentFrom, fill, flipped } from '../../support/content.ts'
import {
  commitContent,
  contentPath,
  dataPath,
  directoryForTest,
  eventually,
  logLines,
  logPath,
  makeContentDirectory,
  openTestStore,
} from '../../support/disk-store.ts'
import { virtualClock } from '../../support/virtual-clock.ts'

const content = contentFrom('one', 300 * KiB)
const { digest, size } = content

/** Three chunks each, all different. */
const several = ['a', 'b', 'c', 'd'].map((seed) => contentFrom(seed, 300 * KiB))

async function openForTest(...args: Parameters<typeof openTestStore>): Promise<DiskStore> {
  const store = await openTestStore(...args)
  onTestFinished(() => store.stop())
  return store
}

async function keep(store: DiskStore, each: Content, indices?: readonly number[]): Promise<void> {
  const blob = await store.open(each.digest, each.size)
  await fill(blob, each, indices)
  if (blob.have[0] === 0b111) await blob.markComplete()
  await blob.close()
}

const held = (store: DiskStore): Digest[] => [...store.list()].map((state) => state.digest)

async function outcomeOf(read: Promise<Uint8Array>, expected: Buffer): Promise<unknown> {
  return read.then(
    (bytes) => (expected.equals(bytes) ? 'right' : 'wrong'),
    (error: { code: unknown }) => error.code,
  )
}

function failWith(errno: string | undefined): void {
  if (errno !== undefined) throw Object.assign(new Error(errno), { code: errno })
}

describe('the data directory', () => {
  test('is private, and holds nothing but what its name says', async () => {
    const directory = join(directoryForTest(), 'made', 'here')
    await keep(await openForTest(directory), content)
    expect(statSync(directory).mode & 0o777).toBe(0o700)
    expect(readdirSync(directory).toSorted()).toEqual(['blobs', 'lock', 'owner'])
    expect(statSync(dataPath(directory, digest)).mode & 0o777).toBe(0o600)
  })

  test('is refused when it can not be one', async () => {
    const file = join(directoryForTest(), 'file')
    writeFileSync(file, '')
    await expect(openTestStore(join(file, 'below'))).rejects.toMatchObject({ code: 'STORE_DIRECTORY_INVALID' })
    await expect(openTestStore(file)).rejects.toMatchObject({ code: 'STORE_DIRECTORY_INVALID' })
  })

  test('belongs to one store at a time, also within a process', async () => {
    const directory = directoryForTest()
    const store = await openTestStore(directory)
    const other = openTestStore(directory)
    await expect(other).rejects.toMatchObject({ code: 'STORE_LOCKED' })
    await expect(other).rejects.toThrow(`belongs to process ${process.pid}`)
    await keep(store, content)
    await store.stop()
    expect(held(await openForTest(directory))).toEqual([digest])
  })

  test('keeps foreign files, and loses our own that mean nothing', async () => {
    const directory = directoryForTest()
    const blobs = join(directory, 'blobs', 'sha256')
    mkdirSync(blobs, { recursive: true })
    const hex = 'ab'.repeat(32)
    const foreign = ['README', `${hex}.data.bak`, `${hex.toUpperCase()}.log`, 'abc.log']
    for (const name of foreign) writeFileSync(join(blobs, name), 'x')
    symlinkSync('README', join(blobs, `${hex}.log`))
    writeFileSync(join(blobs, `${'cd'.repeat(32)}.data`), 'no log')
    writeFileSync(join(blobs, `${'ef'.repeat(32)}.log`), 'no log of ours')
    writeFileSync(join(blobs, `${'ef'.repeat(32)}.data`), 'x')
    const { lines, logger } = logLines()
    expect(held(await openForTest(directory, { logger }))).toEqual([])
    expect(readdirSync(blobs).toSorted()).toEqual([...foreign, `${hex}.log`].toSorted())
    expect(lines).toEqual(['info: removed data files that have no log', 'warn: dropped a blob: its log is of no use'])
  })

  test("does not take one blob's files for another's", async () => {
    const directory = directoryForTest()
    const store = await openTestStore(directory)
    await keep(store, content)
    await store.stop()
    const [other] = several
    if (other === undefined) throw new RangeError('no other')
    writeFileSync(logPath(directory, other.digest), readFileSync(logPath(directory, digest)))
    writeFileSync(dataPath(directory, other.digest), readFileSync(dataPath(directory, digest)))
    expect(held(await openForTest(directory))).toEqual([digest])
    expect(existsSync(dataPath(directory, other.digest))).toBe(false)
  })

  test('drops a blob whose data file is gone, or whose files go while it runs', async () => {
    const directory = directoryForTest()
    const [a, b] = several as [Content, Content]
    const first = await openTestStore(directory)
    await keep(first, a)
    await keep(first, b)
    await first.stop()
    rmSync(dataPath(directory, a.digest))
    const { lines, logger } = logLines()
    const store = await openForTest(directory, { logger })
    expect(held(store)).toEqual([b.digest])
    rmSync(logPath(directory, b.digest))
    const evicted: Digest[] = []
    store.onEvicted((gone) => evicted.push(gone))
    const blob = await store.open(b.digest, b.size)
    expect(blob.have).toEqual(Uint8Array.of(0))
    await fill(blob, b, [1])
    await blob.close()
    expect(evicted).toEqual([b.digest])
    expect(lines).toEqual([
      'warn: dropped a blob: its data file is gone',
      'warn: dropped a blob: its files were changed by somebody else',
    ])
  })

  test('drops the chunks that a shortened data file has lost', async () => {
    const directory = directoryForTest()
    const store = await openForTest(directory)
    const blob = await store.open(digest, size)
    await fill(blob, content)
    truncateSync(dataPath(directory, digest), 150 * KiB)
    await expect(blob.read(0, size)).rejects.toMatchObject({ code: 'CHUNK_CORRUPT' })
    expect(blob.have).toEqual(Uint8Array.of(0b001))
    await blob.close()
  })
})

describe('a damaged log', () => {
  test('cut at any byte, keeps the chunks noted before the cut and serves nothing else', async () => {
    const directory = directoryForTest()
    const first = await openTestStore(directory)
    await keep(first, content)
    await first.stop()
    const log = readFileSync(logPath(directory, digest))
    const data = readFileSync(dataPath(directory, digest))
    let most = 0
    for (let length = log.length; length >= 0; length -= 7) {
      writeFileSync(dataPath(directory, digest), data)
      writeFileSync(logPath(directory, digest), log.subarray(0, length))
      const store = await openTestStore(directory)
      const have = store.state(digest)?.have[0] ?? 0
      expect([0b111, 0b011, 0b001, 0]).toContain(have)
      most = Math.max(most, have)
      const blob = await store.open(digest, size)
      for (const index of [0, 1, 2]) {
        const read = blob.read(index * limits.chunkSizeMinBytes, content.chunk(index).length)
        const isHeld = (have & (1 << index)) !== 0
        expect(await outcomeOf(read, content.chunk(index))).toBe(isHeld ? 'right' : 'CHUNK_CORRUPT')
      }
      await fill(blob, content)
      expect(content.bytes.equals(await blob.read(0, size))).toBe(true)
      await blob.close()
      await store.stop()
    }
    expect(most).toBe(0b111)
  })

  test('scribbled on anywhere, claims only chunks noted before the damage', async () => {
    const directory = directoryForTest()
    const first = await openTestStore(directory)
    await keep(first, content, [0, 2])
    await first.stop()
    const log = readFileSync(logPath(directory, digest))
    const data = readFileSync(dataPath(directory, digest))
    for (let at = 0; at < log.length; at += 5) {
      writeFileSync(dataPath(directory, digest), data)
      writeFileSync(logPath(directory, digest), flipped(log, at))
      const store = await openTestStore(directory)
      const have = store.state(digest)?.have[0] ?? 0
      expect([0b101, 0b001, 0]).toContain(have)
      await store.stop()
    }
  })
})

describe('room', () => {
  /** Each of `several` takes 300 KiB and a log block. */
  const options = { maxBytes: 1 * MiB, highWatermark: 0.8, lowWatermark: 0.6 }
  const empty: FilesystemUsage = { sizeBytes: 1e12, availableBytes: 1e12, inodes: 0, inodesFree: 0 }

  async function filled(usage: FilesystemUsage = empty) {
    const clock = virtualClock()
    const filesystem = { ...usage }
    const disk: Disk = { ...realDisk, usage: async () => filesystem }
    const store = await openForTest(directoryForTest(), { clock, disk, options })
    const evicted: Digest[] = []
    store.onEvicted((gone) => evicted.push(gone))
    for (const each of several.slice(0, 3)) {
      await keep(store, each)
      clock.advance(1000)
    }
    return { clock, store, evicted, filesystem }
  }
  const [a, b, c, d] = several as [Content, Content, Content, Content]

  test('is made by the least recently used', async () => {
    const { store, evicted } = await filled()
    await (await store.open(a.digest, a.size)).close()
    await keep(store, d)
    expect(evicted).toEqual([b.digest])
    expect(held(store)).toEqual([a.digest, c.digest, d.digest])
    expect(store.stats()).toMatchObject({ evictedBlobs: 1, completeBlobs: 3, partialBlobs: 0 })
  })

  test('is never made by what is open or pinned', async () => {
    const { store, evicted } = await filled()
    const open = await store.open(a.digest, a.size)
    store.pin(b.digest)
    await keep(store, d)
    expect(evicted).toEqual([c.digest])
    store.unpin(b.digest)
    await open.close()
  })

  test('is not made where nothing may go: the write is refused, and all else goes on', async () => {
    const { store, evicted } = await filled()
    for (const each of several) store.pin(each.digest)
    const blob = await store.open(d.digest, d.size)
    await expect(fill(blob, d)).rejects.toMatchObject({ code: 'DISK_FULL' })
    expect(evicted).toEqual([])
    expect(store.stats().refusedFull).toBe(1)
    const other = await store.open(a.digest, a.size)
    expect(a.bytes.equals(await other.read(0, a.size))).toBe(true)
    await other.close()
    await blob.close()
    store.unpin(a.digest)
    store.unpin(b.digest)
    await keep(store, d)
    expect(held(store)).toContain(d.digest)
  })

  test('is not asked for a blob that could never fit', async () => {
    const { store, evicted } = await filled()
    const huge = contentFrom('huge', 3 * MiB)
    const blob = await store.open(huge.digest, huge.size)
    await expect(fill(blob, huge, [0])).rejects.toMatchObject({ code: 'DISK_FULL' })
    expect(evicted).toEqual([])
    await blob.close()
  })

  test('is given back to the node when its filesystem fills up', async () => {
    const { store, filesystem, evicted } = await filled({ ...empty, sizeBytes: 100 * MiB, availableBytes: 50 * MiB })
    filesystem.availableBytes = 10 * MiB
    await store.start()
    expect(evicted).toEqual([a.digest, b.digest, c.digest])
    expect(held(store)).toEqual([])
    expect(store.stats()).toMatchObject({ usedBytes: 0, completeBlobs: 0 })
  })

  test('is counted in blocks, and the order of use outlives the process', async () => {
    const directory = directoryForTest()
    const first = await openTestStore(directory, { options: { ...options, maxBytes: 5 * MiB } })
    for (const each of [a, b, c]) await keep(first, each)
    await first.stop()
    for (const [each, year] of [
      [a, 2020],
      [b, 2021],
      [c, 2022],
    ] as const)
      utimesSync(logPath(directory, each.digest), new Date(year, 0), new Date(year, 0))
    const second = await openTestStore(directory)
    await (await second.open(a.digest, a.size)).close()
    await second.stop()
    const blocks = [a, b, c].flatMap((each) => [dataPath(directory, each.digest), logPath(directory, each.digest)])
    const usedBytes = blocks.reduce((sum, path) => sum + statSync(path).blocks * 512, 0)
    const store = await openForTest(directory, { options, disk: { ...realDisk, usage: async () => empty } })
    expect(store.stats().usedBytes).toBe(usedBytes)
    await keep(store, d)
    expect(new Set(held(store))).toEqual(new Set([a.digest, c.digest, d.digest]))
  })

  test('is made first by blobs that containerd keeps, whose copy takes over at once', async () => {
    const directory = directoryForTest()
    const contentDirectory = makeContentDirectory(directory)
    const clock = virtualClock()
    const store = await openForTest(directory, {
      clock,
      disk: { ...realDisk, usage: async () => empty },
      options: { ...options, containerdContentDirectory: contentDirectory },
    })
    commitContent(contentDirectory, c.bytes)
    for (const each of [a, b, c]) {
      await keep(store, each)
      clock.advance(1000)
    }
    await store.start()
    const evicted: Digest[] = []
    store.onEvicted((gone) => evicted.push(gone))
    await keep(store, d)
    expect(evicted).toEqual([])
    expect(held(store)).toEqual([c.digest, a.digest, b.digest, d.digest])
    expect(store.stats()).toMatchObject({ evictedBlobs: 1, containerdBlobs: 1, completeBlobs: 3 })
    const copy = await store.open(c.digest, c.size)
    expect(copy.source).toBe('containerd')
    expect(c.bytes.equals(await copy.read(0, c.size))).toBe(true)
    await copy.close()
  })
})

describe('a failing disk', () => {
  interface Faults {
    write?: string | undefined
    sync?: string | undefined
    read?: string | undefined
  }

  /** A real disk until `faults` names an errno. */
  async function openFaulty(options: Parameters<typeof openTestStore>[1] = {}) {
    const faults: Faults = {}
    const disk: Disk = {
      ...realDisk,
      async read(...args) {
        failWith(faults.read)
        return realDisk.read(...args)
      },
      async write(...args) {
        failWith(faults.write)
        return realDisk.write(...args)
      },
      async sync(...args) {
        failWith(faults.sync)
        return realDisk.sync(...args)
      },
    }
    const directory = directoryForTest()
    const clock = virtualClock()
    const store = await openTestStore(directory, { disk, clock, ...options })
    onTestFinished(() => store.stop())
    return { faults, store, clock, directory }
  }

  test('keeps nothing for a while, and what it has is still read', async () => {
    const { faults, store, clock } = await openFaulty()
    const [other] = several as [Content]
    await keep(store, content)
    faults.write = 'EIO'
    const blob = await store.open(other.digest, other.size)
    await expect(fill(blob, other)).rejects.toMatchObject({ code: 'DISK_FAILED' })
    faults.write = undefined
    await expect(fill(blob, other)).rejects.toMatchObject({ code: 'DISK_FAILED' })
    const good = await store.open(digest, size)
    expect(content.bytes.equals(await good.read(0, size))).toBe(true)
    await good.close()
    clock.advance(limits.storeBrokenDiskMs)
    await fill(blob, other)
    expect(other.bytes.equals(await blob.read(0, size))).toBe(true)
    await blob.close()
    expect(store.stats()).toMatchObject({ refusedFailed: 2, refusedFull: 0 })
  })

  test('that is full in spite of what it said, is tried again when room was made', async () => {
    const { faults, store } = await openFaulty()
    const [other] = several as [Content]
    await keep(store, content)
    faults.write = 'ENOSPC'
    store.onEvicted(() => {
      faults.write = undefined
    })
    await keep(store, other)
    expect(held(store)).toEqual([other.digest])
  })

  test('that refuses many writes at once, is rid of no more than makes room for all of them', async () => {
    const { faults, store } = await openFaulty()
    for (const each of several) await keep(store, each)
    faults.write = 'ENOSPC'
    store.onEvicted(() => {
      faults.write = undefined
    })
    const blob = await store.open(digest, size)
    await Promise.all([0, 1, 2].map((index) => fill(blob, content, [index])))
    await blob.close()
    expect(new Set(held(store))).toEqual(new Set([digest, ...several.slice(1).map((each) => each.digest)]))
    expect(store.stats()).toMatchObject({ evictedBlobs: 1, refusedFull: 0 })
  })

  test('that is full for good, refuses the chunk and leaves no half state', async () => {
    const { faults, store, directory } = await openFaulty()
    const blob = await store.open(digest, size)
    await fill(blob, content, [0])
    faults.write = 'ENOSPC'
    await expect(fill(blob, content, [1])).rejects.toMatchObject({ code: 'DISK_FULL' })
    expect(blob.have).toEqual(Uint8Array.of(0b001))
    faults.write = undefined
    await fill(blob, content, [2])
    await blob.close()
    await store.stop()
    const next = await openForTest(directory)
    expect(next.state(digest)?.have).toEqual(Uint8Array.of(0b101))
  })

  test('whose sync fails, loses the chunks that it may not have', async () => {
    const { faults, store, directory } = await openFaulty()
    const blob = await store.open(digest, size)
    await fill(blob, content, [0])
    faults.sync = 'EIO'
    await blob.close()
    await store.stop()
    const next = await openForTest(directory)
    expect(next.state(digest)).toBeUndefined()
  })

  test('gets the data before the log that speaks of it', async () => {
    const synced: string[] = []
    const disk: Disk = {
      ...realDisk,
      async sync(fd) {
        synced.push(readlinkSync(`/proc/self/fd/${fd}`))
        await realDisk.sync(fd)
      },
    }
    const directory = directoryForTest()
    const store = await openTestStore(directory, { disk })
    await keep(store, content)
    await store.stop()
    expect(synced).toEqual([dataPath(directory, digest), logPath(directory, digest)])
  })

  test('that can not read a chunk, no longer claims it', async () => {
    const { faults, store } = await openFaulty()
    const blob = await store.open(digest, size)
    await fill(blob, content)
    faults.read = 'EIO'
    await expect(blob.read(0, 10)).rejects.toMatchObject({ code: 'DISK_FAILED' })
    expect(blob.have).toEqual(Uint8Array.of(0b110))
    faults.read = undefined
    await expect(blob.read(0, 10)).rejects.toMatchObject({ code: 'CHUNK_CORRUPT' })
    await blob.close()
  })
})

async function openWithContent(disk: Disk = realDisk) {
  const directory = directoryForTest()
  const contentDirectory = makeContentDirectory(directory)
  const { lines, logger } = logLines()
  const store = await openForTest(directory, {
    disk,
    logger,
    options: { containerdContentDirectory: contentDirectory },
  })
  return { store, contentDirectory, lines, directory }
}

describe("containerd's content", () => {
  test('is not trusted: a file that does not match its name is never served', async () => {
    const { store, contentDirectory, lines } = await openWithContent()
    commitContent(contentDirectory, flipped(content.bytes, 7), content)
    await store.start()
    await eventually(() => lines.length > 0)
    expect(lines).toEqual(["error: containerd's copy is corrupt and is not used: check the disk"])
    expect(store.state(digest)).toBeUndefined()
    const blob = await store.open(digest, size)
    expect(blob.source).toBe('shoal')
    await blob.close()
  })

  test('counts only finished plain files of the right name', async () => {
    const { store, contentDirectory } = await openWithContent()
    const blobs = join(contentDirectory, 'blobs', 'sha256')
    const [a, b] = several as [Content, Content]
    writeFileSync(join(blobs, a.digest.slice(7)), a.bytes, { mode: 0o644 })
    writeFileSync(join(contentDirectory, 'elsewhere'), b.bytes, { mode: 0o444 })
    symlinkSync(join(contentDirectory, 'elsewhere'), join(blobs, b.digest.slice(7)))
    writeFileSync(join(blobs, 'short'), 'x', { mode: 0o444 })
    commitContent(contentDirectory, content.bytes)
    await store.start()
    await eventually(() => store.state(digest) !== undefined)
    await eventually(() => store.stats().containerdWaiting === 0)
    expect(held(store)).toEqual([digest])
    expect(store.stats()).toMatchObject({ containerdBlobs: 1, completeBlobs: 0, usedBytes: 0 })
  })

  test('that is not there, is said and done without', async () => {
    const { lines, logger } = logLines()
    const directory = directoryForTest()
    const store = await openForTest(directory, {
      logger,
      options: { containerdContentDirectory: join(directory, 'no') },
    })
    await store.start()
    expect(lines).toEqual(["warn: containerd's content can not be read: its copies are not used until it can"])
    await keep(store, content)
  })

  test('is hashed at once where it is new; of the rest the newest first', async () => {
    const { store, contentDirectory } = await openWithContent()
    const [oldest, old, fresh] = several as [Content, Content, Content]
    for (const [each, hoursAgo] of [
      [old, 1],
      [fresh, 0],
      [oldest, 2],
    ] as const) {
      commitContent(contentDirectory, each.bytes)
      const modified = Date.now() / 1000 - hoursAgo * 3600
      utimesSync(contentPath(contentDirectory, each.digest), modified, modified)
    }
    const found: Digest[] = []
    store.onFound((state) => found.push(state.digest))
    await store.start()
    await eventually(() => store.stats().containerdBlobs === 3)
    expect(found.filter((each) => each !== fresh.digest)).toEqual([old.digest, oldest.digest])
  })

  test('that took over from our own copy and is wrong, is dropped at its first read', async () => {
    const directory = directoryForTest()
    const contentDirectory = makeContentDirectory(directory)
    const options = { containerdContentDirectory: contentDirectory, maxBytes: 350 * KiB }
    const store = await openForTest(directory, { options })
    await keep(store, content)
    commitContent(contentDirectory, flipped(content.bytes, 150 * KiB), content)
    await store.start()
    const evicted: Digest[] = []
    store.onEvicted((gone) => evicted.push(gone))
    const [other] = several as [Content]
    await keep(store, other, [0])
    const blob = await store.open(digest, size)
    expect(blob).toMatchObject({ source: 'containerd', complete: true })
    expect(content.chunk(0).equals(await blob.read(0, limits.chunkSizeMinBytes))).toBe(true)
    expect(evicted).toEqual([])
    await expect(blob.read(0, size)).rejects.toMatchObject({ code: 'CHUNK_CORRUPT' })
    expect(evicted).toEqual([digest])
    expect(blob).toMatchObject({ complete: false, have: Uint8Array.of(0) })
    expect(store.state(digest)).toBeUndefined()
    await blob.close()
  })
})

describe("a disk that fails to read containerd's copy", () => {
  /** One chunk: what has more is read by a thread of its own. */
  const small = contentFrom('small', 100 * KiB)
  const refused = { code: 'DISK_FAILED' }

  beforeEach(() => void vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout'] }))
  afterEach(() => void vi.useRealTimers())

  async function openVouched() {
    const reading = { tries: 0, fails: false }
    const writing = { failsOnce: false }
    const disk: Disk = {
      ...realDisk,
      async write(...args) {
        const { failsOnce } = writing
        writing.failsOnce = false
        failWith(failsOnce ? 'ENOSPC' : undefined)
        return realDisk.write(...args)
      },
      async read(...args) {
        reading.tries++
        failWith(reading.fails ? 'EIO' : undefined)
        return realDisk.read(...args)
      },
    }
    const opened = await openWithContent(disk)
    const { contentDirectory, store } = opened
    commitContent(contentDirectory, small.bytes)
    await store.start()
    await eventually(() => isVouched(store))
    return { ...opened, reading, writing }
  }

  const isVouched = (store: DiskStore): boolean => store.state(small.digest)?.complete === true

  async function failToRead({ reading, store }: Awaited<ReturnType<typeof openVouched>>): Promise<void> {
    const blob = await store.open(small.digest, small.size)
    reading.fails = true
    await expect(blob.read(0, small.size)).rejects.toMatchObject(refused)
    await blob.close()
  }

  test('has it hashed again in a while, and serve when that goes well', async () => {
    const opened = await openVouched()
    const { reading, store } = opened
    await failToRead(opened)
    expect(isVouched(store)).toBe(false)
    reading.fails = false
    await vi.advanceTimersByTimeAsync(limits.storeContainerdAgainMs)
    await eventually(() => isVouched(store))
    const blob = await store.open(small.digest, small.size)
    expect(blob.source).toBe('containerd')
    expect(small.bytes.equals(await blob.read(0, small.size))).toBe(true)
    await blob.close()
    expect(opened.lines).toEqual([])
  })

  test('has our own copy stay, which came in its place, as long as others can make room', async () => {
    const opened = await openVouched()
    const { store, writing } = opened
    await failToRead(opened)
    await keep(store, content)
    const blob = await store.open(small.digest, small.size)
    await fill(blob, small)
    await blob.markComplete()
    await blob.close()
    await vi.advanceTimersByTimeAsync(limits.storeContainerdAgainMs)
    await eventually(() => store.stats().containerdWaiting === 0)
    const evicted: Digest[] = []
    store.onEvicted((gone) => evicted.push(gone))
    writing.failsOnce = true
    await keep(store, several[0]!)
    expect(evicted).toEqual([digest])
    expect(store.stats()).toMatchObject({ evictedBlobs: 1, containerdBlobs: 0, completeBlobs: 2 })
  })

  test('has it tried a few times and no more', async () => {
    const opened = await openVouched()
    const { lines, reading, store } = opened
    await failToRead(opened)
    const triesBefore = reading.tries
    for (let again = 0; again < limits.storeContainerdAgainMax; again++) {
      await vi.advanceTimersByTimeAsync(limits.storeContainerdAgainMs * 2 ** again - 1)
      expect(reading.tries - triesBefore).toBe(again)
      await vi.advanceTimersByTimeAsync(1)
      await eventually(() => lines.length > again)
    }
    expect(lines.at(-1)).toBe("error: containerd's copy is corrupt and is not used: check the disk")
    reading.fails = false
    const triesAfter = reading.tries
    await vi.advanceTimersByTimeAsync(1 * hour)
    const blob = await store.open(small.digest, small.size)
    expect(blob.source).toBe('shoal')
    await blob.close()
    await eventually(() => store.stats().containerdWaiting === 0)
    expect([isVouched(store), reading.tries]).toEqual([false, triesAfter])
  })
})

describe('pass-through', () => {
  test('is what a store that has stopped does', async () => {
    const store = await openTestStore(directoryForTest())
    const blob = await store.open(digest, size)
    await store.stop()
    await expect(fill(blob, content)).rejects.toMatchObject({ code: 'DISK_FAILED' })
    await expect(store.open(digest, size)).rejects.toMatchObject({ code: 'DISK_FAILED' })
    await blob.close()
  })

  test('is what a store of no size does', async () => {
    const store = await openForTest(directoryForTest(), { options: { maxBytes: 0 } })
    const blob = await store.open(digest, size)
    await expect(fill(blob, content)).rejects.toMatchObject({ code: 'DISK_FULL' })
    await blob.close()
    expect(held(store)).toEqual([])
  })
})

async function failToRemove(): Promise<never> {
  throw Object.assign(new Error('immutable'), { code: 'EPERM' })
}

test('a data file without a log that can not be removed keeps no other blob out', async () => {
  const directory = directoryForTest()
  const before = await openTestStore(directory)
  const blob = await before.open(digest, size)
  await fill(blob, content)
  await blob.close()
  await before.stop()
  const orphan = contentFrom('orphan', 1000)
  writeFileSync(dataPath(directory, orphan.digest), orphan.bytes)
  const after = await openTestStore(directory, { disk: { ...realDisk, remove: failToRemove } })
  onTestFinished(() => after.stop())
  expect(after.stats().mode).toBe('disk')
  expect(held(after)).toEqual([digest])
})
