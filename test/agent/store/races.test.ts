/** What a store on a real disk does while two things happen to a blob at once; the disk waits wherever a test tells it to. */
import { existsSync, readFileSync, readdirSync, readlinkSync, writeFileSync } from 'node:fs'
import { afterEach, beforeEach, describe, expect, onTestFinished, test, vi } from 'vitest'
import { type Disk, realDisk } from '../../../agent/store/disk.ts'
import type { DiskStore } from '../../../agent/store/store.ts'
import { limits } from '../../../core/limits.ts'
import { KiB } from '../../../core/units.ts'
import { type Content, contentFrom, fill, flipped } from '../../support/content.ts'
import { dataPath, directoryForTest, eventually, logLines, logPath, openTestStore } from '../../support/disk-store.ts'

/** Three chunks, the last one short. */
const content = contentFrom('one', 300 * KiB)
const { digest, size } = content
const other = contentFrom('other', 300 * KiB)

beforeEach(() => void vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout'] }))
afterEach(() => void vi.useRealTimers())

/** What a test does before a call to the disk goes on, by the path of the file. */
interface Before {
  write?: ((path: string) => Promise<void>) | undefined
  sync?: ((path: string) => Promise<void>) | undefined
  remove?: ((path: string) => Promise<void>) | undefined
}

const pathOf = (fd: number | string): string => readlinkSync(`/proc/self/fd/${fd}`)

/** The descriptor by which they are listed is gone by then. */
const openFiles = (): string[] =>
  readdirSync('/proc/self/fd').flatMap((fd) => (existsSync(`/proc/self/fd/${fd}`) ? pathOf(fd) : []))

async function openForTest() {
  const before: Before = {}
  /** Calls that have ended, as `written …/x.log`. */
  const done: string[] = []
  const disk: Disk = {
    ...realDisk,
    async write(fd, parts, position) {
      const path = pathOf(fd)
      await before.write?.(path)
      const count = await realDisk.write(fd, parts, position)
      done.push(`written ${path}`)
      return count
    },
    async sync(fd) {
      const path = pathOf(fd)
      await before.sync?.(path)
      await realDisk.sync(fd)
      done.push(`synced ${path}`)
    },
    async remove(path) {
      await before.remove?.(path)
      await realDisk.remove(path)
    },
  }
  const directory = directoryForTest()
  const { lines, logger } = logLines()
  const store = await openTestStore(directory, { disk, logger })
  onTestFinished(() => store.stop())
  /** The store that the next process opens. */
  async function restarted(): Promise<DiskStore> {
    await store.stop()
    const next = await openTestStore(directory)
    onTestFinished(() => next.stop())
    return next
  }
  return { before, directory, done, lines, restarted, store }
}

/** Whoever passes waits until it is open. */
function createGate() {
  const reached = Promise.withResolvers<void>()
  const opened = Promise.withResolvers<void>()
  onTestFinished(() => opened.resolve())
  return {
    reached: reached.promise,
    open: () => opened.resolve(),
    /** Whoever waits fails. */
    fail: (error: Error) => opened.reject(error),
    async pass(): Promise<void> {
      reached.resolve()
      await opened.promise
    },
  }
}

async function keep(store: DiskStore, each: Content): Promise<void> {
  const blob = await store.open(each.digest, each.size)
  await fill(blob, each)
  await blob.close()
}

/** A sync of `content` is under way, and waits. */
async function openSyncing(indices?: readonly number[]) {
  const opened = await openForTest()
  const gate = createGate()
  opened.before.sync = (path) => (path === dataPath(opened.directory, digest) ? gate.pass() : Promise.resolve())
  const blob = await opened.store.open(digest, size)
  await fill(blob, content, indices)
  if (indices === undefined) await blob.markComplete()
  await timeToSync()
  await gate.reached
  return { ...opened, blob, gate }
}

/** Opens so many others that the files of those before them are put away. */
async function putAway({ blob, directory, done, store }: Awaited<ReturnType<typeof openSyncing>>): Promise<void> {
  await blob.close()
  const next = contentFrom('next', 1 * KiB)
  const others = Array.from({ length: limits.storeIdleBlobsMax }, (_, index) => contentFrom(`${index}`, 1 * KiB))
  for (const each of [next, ...others]) await keep(store, each)
  // It is synced as its files are put away too, which comes after; no timer syncs it while the sync before waits.
  await eventually(() => done.includes(`synced ${logPath(directory, next.digest)}`))
}

const whole = { complete: true, have: Uint8Array.of(0b111) }
const timeToSync = (): Promise<unknown> => vi.advanceTimersByTimeAsync(limits.storeSyncMs)
const refusedWith = (code: string): object => ({ status: 'rejected', reason: { code } })
const errno = (code: string): Error => Object.assign(new Error(code), { code })

test('two rotten chunks that are read at once are both found out', async () => {
  const { directory, restarted, store } = await openForTest()
  await keep(store, content)
  const path = dataPath(directory, digest)
  writeFileSync(path, flipped(flipped(readFileSync(path), 5), limits.chunkSizeMinBytes + 5))
  const next = await restarted()
  const blob = await next.open(digest, size)
  const reads = [0, 1].map((index) => blob.read(index * limits.chunkSizeMinBytes, limits.chunkSizeMinBytes))
  const corrupt = refusedWith('CHUNK_CORRUPT')
  expect(await Promise.allSettled(reads)).toMatchObject([corrupt, corrupt])
  expect(blob.have).toEqual(Uint8Array.of(0b100))
  await blob.close()
})

describe('while a blob is synced', () => {
  test('its files can be put away, and no chunk is lost', async () => {
    const opened = await openSyncing()
    await putAway(opened)
    opened.gate.open()
    expect((await opened.restarted()).state(digest)).toMatchObject(whole)
    expect(opened.lines).toEqual([])
  })

  test('its files are not put away before it is known what the disk may not have', async () => {
    const opened = await openSyncing()
    await putAway(opened)
    opened.gate.fail(errno('ENOSPC'))
    expect((await opened.restarted()).state(digest)).toBeUndefined()
  })

  test.each([
    ['succeeds', undefined, []],
    ['fails', errno('ENOSPC'), ['error: a blob could not be synced: its newest chunks are dropped']],
  ])('it can be discarded, and no chunk that comes anew is lost: the sync %s', async (_how, error, logged) => {
    const { before, blob, directory, gate, lines, restarted } = await openSyncing()
    before.sync = undefined
    const discarded = blob.discard()
    await eventually(() => !existsSync(dataPath(directory, digest)))
    await fill(blob, content)
    await blob.markComplete()
    if (error === undefined) gate.open()
    else gate.fail(error)
    await discarded
    await blob.close()
    expect((await restarted()).state(digest)).toMatchObject(whole)
    expect(lines).toEqual(logged)
  })

  test('a chunk that is kept is lost with the others if the sync fails', async () => {
    const { before, blob, gate, restarted } = await openSyncing([0])
    before.sync = undefined
    await fill(blob, content, [1])
    expect(blob.have).toEqual(Uint8Array.of(0b011))
    gate.fail(errno('ENOSPC'))
    await eventually(() => blob.have[0] !== 0b011)
    expect(blob.have).toEqual(Uint8Array.of(0))
    await fill(blob, content, [2])
    await blob.close()
    expect((await restarted()).state(digest)?.have).toEqual(Uint8Array.of(0b100))
  })

  test('a chunk that is noted in its log then is synced by the next sync', async () => {
    const { before, directory, done, store } = await openForTest()
    const blob = await store.open(digest, size)
    await fill(blob, content, [0])
    const gate = createGate()
    before.write = (path) => (path === logPath(directory, digest) ? gate.pass() : Promise.resolve())
    const written = fill(blob, content, [1])
    await gate.reached
    await timeToSync()
    await eventually(() => done.at(-1) === `synced ${logPath(directory, digest)}`)
    gate.open()
    await written
    await blob.close()
    await store.stop()
    expect(done.slice(-3)).toEqual([
      `written ${logPath(directory, digest)}`,
      `synced ${dataPath(directory, digest)}`,
      `synced ${logPath(directory, digest)}`,
    ])
  })

  test('a chunk whose data was written before the sync failed is refused, and not there after a restart', async () => {
    const { before, directory, restarted, store } = await openForTest()
    const blob = await store.open(digest, size)
    await fill(blob, content, [0])
    const gate = createGate()
    before.write = (path) => (path === logPath(directory, digest) ? gate.pass() : Promise.resolve())
    before.sync = () => Promise.reject(errno('ENOSPC'))
    const written = Promise.allSettled([fill(blob, content, [1])])
    await gate.reached
    await timeToSync()
    await eventually(() => blob.have[0] === 0)
    before.sync = undefined
    gate.open()
    expect(await written).toMatchObject([refusedWith('DISK_FAILED')])
    expect(blob.have).toEqual(Uint8Array.of(0))
    await fill(blob, content, [2])
    await blob.close()
    expect((await restarted()).state(digest)?.have).toEqual(Uint8Array.of(0b100))
  })
})

test('a blob that loses a chunk while its proof is noted is not complete, and its log can be read on', async () => {
  const { restarted, store } = await openForTest()
  const blob = await store.open(digest, size)
  await fill(blob, content)
  const [noted] = await Promise.allSettled([blob.markComplete(), blob.discard([1])])
  expect(noted).toMatchObject(refusedWith('CHUNK_CORRUPT'))
  expect(blob.complete).toBe(false)
  await fill(blob, content, [1])
  expect(blob).toMatchObject({ complete: false, have: Uint8Array.of(0b111) })
  await blob.close()
  expect((await restarted()).state(digest)).toMatchObject({ complete: false, have: Uint8Array.of(0b111) })
})

test.each([
  ['the files of its blob are created', logPath],
  ['its bytes are written', dataPath],
])('a chunk that is being kept when the store stops is kept before it has stopped: %s', async (_when, pathIn) => {
  const { before, directory, restarted, store } = await openForTest()
  const gate = createGate()
  const blob = await store.open(digest, size)
  before.write = (path) => (path === pathIn(directory, digest) ? gate.pass() : Promise.resolve())
  const written = fill(blob, content, [0])
  await gate.reached
  const stopping = store.stop()
  // Long enough for a store that did not wait to have stopped by then.
  const another = await openTestStore(directoryForTest())
  await keep(another, other)
  await another.stop()
  gate.open()
  await Promise.all([written, stopping])
  expect(openFiles().filter((path) => path.startsWith(directory))).toEqual([])
  expect((await restarted()).state(digest)?.have).toEqual(Uint8Array.of(0b001))
})

describe('while the files of a blob are deleted', () => {
  test('it can be opened twice, and what is written then is not deleted with them', async () => {
    const { before, restarted, store } = await openForTest()
    await keep(store, content)
    const gate = createGate()
    before.remove = () => gate.pass()
    const removed = store.remove(digest)
    await gate.reached
    before.remove = undefined
    await (await store.open(digest, size)).close()
    const blob = await store.open(digest, size)
    const written = fill(blob, content, [0])
    // Long enough for a chunk that did not wait to be there by then.
    await keep(store, other)
    gate.open()
    await Promise.all([removed, written])
    await blob.close()
    expect((await restarted()).state(digest)?.have).toEqual(Uint8Array.of(0b001))
  })

  test('a failure keeps it out until they can be deleted, and no longer', async () => {
    const { before, directory, restarted, store } = await openForTest()
    const blob = await store.open(digest, size)
    await fill(blob, content)
    before.remove = () => Promise.reject(errno('EPERM'))
    await expect(blob.discard()).rejects.toMatchObject({ code: 'DISK_FAILED' })
    await expect(fill(blob, content, [1])).rejects.toMatchObject({ code: 'DISK_FAILED' })
    before.remove = undefined
    await fill(blob, content, [1])
    await blob.discard()
    expect(existsSync(dataPath(directory, digest))).toBe(false)
    await fill(blob, content, [2])
    await blob.close()
    expect((await restarted()).state(digest)?.have).toEqual(Uint8Array.of(0b100))
  })
})
