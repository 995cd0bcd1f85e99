import { describe, expect, test } from 'vitest'
import { type FilesystemUsage, realDisk } from '../../../agent/store/disk.ts'
import { createSpace, type Excess, type Space } from '../../../agent/store/space.ts'
import { limits } from '../../../core/limits.ts'
import { ShoalError } from '../../../core/errors.ts'
import { logLines } from '../../support/disk-store.ts'
import { virtualClock } from '../../support/virtual-clock.ts'

const full = { code: 'DISK_FULL' }

/** A filesystem of 1000 bytes, and a store of at most 400 that evicts what it is told to in whole blobs, or `freesMax` of it. */
function world(usage: Partial<FilesystemUsage> = {}, freesMax = Infinity, blobBytes = 1) {
  const filesystem = { sizeBytes: 1000, availableBytes: 1000, inodes: 100, inodesFree: 100, ...usage }
  const evictions: Excess[] = []
  const { lines, logger } = logLines()
  const clock = virtualClock()
  /** Come when something has been evicted, and before those hear of it that wait for that. */
  const comers: (() => void)[] = []
  const disk = { ...realDisk, usage: async (): Promise<FilesystemUsage> => filesystem }
  const space: Space = createSpace(
    {
      clock,
      disk,
      logger,
      async evict(excess) {
        evictions.push(excess)
        const freed = Math.min(freesMax, Math.ceil(excess.bytes / blobBytes) * blobBytes, space.usedBytes)
        space.add(-freed)
        filesystem.availableBytes += freed
        filesystem.inodesFree += 2 * excess.blobs
        for (const come of comers.splice(0)) come()
      },
    },
    { directory: '/nowhere', maxBytes: 400, highWatermark: 0.8, lowWatermark: 0.7 },
  )
  async function write(bytes: number): Promise<void> {
    const free = await space.reserve(bytes)
    space.add(bytes)
    filesystem.availableBytes -= bytes
    free()
  }
  return { space, filesystem, evictions, write, comers, lines, clock }
}

async function filledWithBlobs() {
  const { space, write, evictions } = world({}, Infinity, 100)
  await write(300)
  return { space, evictions }
}

describe('the space of the store', () => {
  test('grows to its bound and no further', async () => {
    const { space, write, evictions } = world()
    await write(400)
    expect(evictions).toEqual([])
    await write(1)
    // Its own low mark is 400 × 0.7 / 0.8.
    expect(evictions).toEqual([{ bytes: 51, blobs: 0 }])
    expect(space.usedBytes).toBe(350)
  })

  test('has room for what needs nothing to go', async () => {
    const { space, write, filesystem } = world()
    await write(300)
    expect([space.hasRoomFor(100), space.hasRoomFor(101)]).toEqual([true, false])
    filesystem.availableBytes = 250
    await space.look()
    expect([space.hasRoomFor(50), space.hasRoomFor(51)]).toEqual([true, false])
    space.close()
    expect(space.hasRoomFor(1)).toBe(false)
  })

  test('counts what is reserved and not yet written', async () => {
    const { space } = world({}, 0)
    const free = await space.reserve(300)
    await expect(space.reserve(101)).rejects.toMatchObject(full)
    free()
    await space.reserve(101)
  })

  test('shrinks when somebody else fills the filesystem past the high watermark, down to the low one', async () => {
    const { space, write, filesystem, evictions } = world()
    await write(300)
    filesystem.availableBytes = 200
    await space.look()
    expect(evictions).toEqual([])
    filesystem.availableBytes = 199
    await space.look()
    expect(evictions).toEqual([{ bytes: 101, blobs: 0 }])
    expect(filesystem.availableBytes).toBe(300)
  })

  test('shrinks to nothing if need be, and says that it may not grow', async () => {
    const { clock, space, write, filesystem, lines } = world()
    await write(300)
    filesystem.availableBytes = -200
    await space.look()
    expect(space.usedBytes).toBe(0)
    await expect(space.reserve(1)).rejects.toMatchObject(full)
    expect(lines).toEqual(['warn: the store may not grow: blobs pass through unkept'])
    filesystem.availableBytes = 1000
    clock.advance(limits.storeFullMs)
    await space.look()
    expect(lines.at(-1)).toBe('info: the store may grow again')
    await write(1)
  })

  test('says once that it is full while it takes some and refuses others', async () => {
    const { clock, space, lines } = world()
    for (const bytes of [1001, 1, 1001]) {
      await space.reserve(bytes).catch(() => {})
      clock.advance(limits.storeFullMs / 3)
      await space.look()
    }
    expect(lines).toEqual(['warn: the store may not grow: blobs pass through unkept'])
    clock.advance((limits.storeFullMs * 2) / 3)
    await space.look()
    expect(lines.slice(1)).toEqual(['info: the store may grow again'])
  })

  test('never lets its own writes cross the high watermark', async () => {
    const { write, filesystem } = world({ availableBytes: 250 }, 0)
    await write(50)
    await expect(write(1)).rejects.toMatchObject(full)
    expect(filesystem.availableBytes).toBe(200)
  })

  test('evicts two inodes a blob where inodes run short, and minds no filesystem that counts none', async () => {
    const short = world({ inodesFree: 4 })
    await short.space.look()
    expect(short.evictions).toEqual([{ bytes: 0, blobs: 3 }])
    const uncounted = world({ inodes: 0, inodesFree: 0 })
    await uncounted.write(1)
    expect(uncounted.evictions).toEqual([])
  })

  test('asks once for room that two writes want', async () => {
    const { space, evictions, write } = world()
    await write(400)
    await Promise.all([space.reserve(10), space.reserve(10)])
    expect(evictions).toHaveLength(1)
  })

  test.each([1, 6])('is kept for whom it was made, and made for %i who came meanwhile as well', async (count) => {
    const { space, write, comers } = world()
    await write(400)
    const others: Promise<() => void>[] = []
    for (let comer = 0; comer < count; comer++) comers.push(() => others.push(space.reserve(300 / count)))
    const free = await space.reserve(60)
    expect(await Promise.all(others)).toHaveLength(count)
    await expect(space.reserve(41)).rejects.toMatchObject(full)
    free()
    await space.reserve(41)
  })

  describe('where the filesystem refused what it said it has room for', () => {
    test('serves all writes that began before it was made, as far as it goes', async () => {
      const { space, evictions } = await filledWithBlobs()
      const { roomsMade } = space
      await Promise.all([60, 40, 50].map((bytes) => space.refused(bytes, roomsMade)))
      await space.refused(50, roomsMade)
      expect(evictions).toEqual([60, 50].map((bytes) => ({ bytes, blobs: 0 })))
    })

    test('is made again for a write that was refused in spite of it', async () => {
      const { space, evictions } = await filledWithBlobs()
      await space.refused(60, space.roomsMade)
      await space.refused(10, space.roomsMade)
      expect(evictions).toEqual([60, 10].map((bytes) => ({ bytes, blobs: 0 })))
    })
  })

  test('writes nothing for a while after the disk failed', async () => {
    const { space, clock } = world()
    const broken = new ShoalError('DISK_FAILED', 'x', { cause: Object.assign(new Error('x'), { code: 'EIO' }) })
    const refused = new ShoalError('DISK_FAILED', 'x', { cause: Object.assign(new Error('x'), { code: 'EMFILE' }) })
    space.failed(refused)
    await space.reserve(1)
    space.failed(broken)
    clock.advance(limits.storeBrokenDiskMs - 1)
    await expect(space.reserve(1)).rejects.toMatchObject({ code: 'DISK_FAILED' })
    clock.advance(limits.storeFullMs / 2)
    await space.reserve(1)
  })
})
