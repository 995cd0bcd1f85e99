/**
 * How much the store may hold: never above its own bound, and never so much that the filesystem comes near the points
 * where kubelet collects images (85 % used) or evicts pods (imagefs.available < 15 %, inodesFree < 5 %).
 */
import { ShoalError } from '../../core/errors.ts'
import { limits } from '../../core/limits.ts'
import type { Clock } from '../../core/ports.ts'
import { errnoOf, isDiskBroken, type Disk, type FilesystemUsage } from './disk.ts'
import type { StoreLogger } from './logger.ts'

/** What has to go. */
export interface Excess {
  readonly bytes: number
  /** Each blob gone frees two inodes. */
  readonly blobs: number
}

export interface SpaceComponents {
  readonly clock: Clock
  readonly disk: Disk
  readonly logger: StoreLogger
  /** Removes blobs until that much is gone, or nothing more can go. */
  readonly evict: (excess: Excess) => Promise<void>
}

export interface SpaceOptions {
  readonly directory: string
  /** The most that the store's files take. */
  readonly maxBytes: number
  /** The share of the filesystem in use, whoever uses it, at which the store begins to shrink. */
  readonly highWatermark: number
  /** The share of the filesystem at which it stops; of its own bound it then keeps low / high. */
  readonly lowWatermark: number
}

export interface Space {
  readonly usedBytes: number
  /** As of the last look; undefined before the first, or where the filesystem does not say. */
  readonly filesystem: FilesystemUsage | undefined
  /** The store's files grew or shrank. */
  add(deltaBytes: number): void
  /** Sets room for `bytes` aside until the result is called. Rejects with `DISK_FULL`, or `DISK_FAILED` while the disk is taken for broken. */
  reserve(bytes: number): Promise<() => void>
  /** Could so much more be kept, and nothing need go for it? */
  hasRoomFor(bytes: number): boolean
  /** Asks the filesystem how full it is, and shrinks if that is too full. */
  look(): Promise<void>
  /** How often room was made for what the filesystem refused. */
  readonly roomsMade: number
  /**
   * The filesystem refused `bytes`, whatever it said before: makes room for at least so much, unless what was made since its write
   * began, when `roomsMade` was `roomsBefore`, does for it too.
   */
  refused(bytes: number, roomsBefore: number): Promise<void>
  /** A disk call failed: when the disk itself is to blame, nothing is reserved for a while. */
  failed(error: unknown): void
  /** Nothing is ever reserved again. */
  close(): void
}

export function createSpace(components: SpaceComponents, options: SpaceOptions): Space {
  const { clock, disk, logger } = components
  let usedBytes = 0
  let reservedBytes = 0
  /** Of those that have not been told yet whether they may write. */
  let waitingBytes = 0
  let writtenSinceLook = 0
  let filesystem: FilesystemUsage | undefined
  let brokenUntil = -Infinity
  let isFull = false
  let refusedAtMs = -Infinity
  let making: Promise<void> = Promise.resolve()
  let roomsMade = 0
  /** Of the room last made for what was refused: what no refused write has been told to take yet. */
  let spareBytes = 0

  async function measure(): Promise<void> {
    writtenSinceLook = 0
    try {
      filesystem = await disk.usage(options.directory)
    } catch (error) {
      if (filesystem !== undefined)
        logger.warn({ errno: errnoOf(error) }, 'the filesystem no longer says how full it is')
      filesystem = undefined
    }
  }

  function excessFor(bytes: number): Excess {
    const ownBytes = usedBytes + reservedBytes + bytes
    const ownTarget = (options.maxBytes * options.lowWatermark) / options.highWatermark
    const own = ownBytes > options.maxBytes ? ownBytes - ownTarget : 0
    if (filesystem === undefined) return { bytes: own, blobs: 0 }
    const takenBytes = writtenSinceLook + bytes
    return {
      bytes: Math.max(own, filesystemExcess(filesystem, takenBytes, options)),
      blobs: inodeExcess(filesystem),
    }
  }

  function fits(bytes: number): boolean {
    const excess = excessFor(bytes)
    return excess.bytes <= 0 && excess.blobs <= 0
  }

  /** One at a time: two that ran together would both evict for the same lack. */
  function makeRoom(bytes: number): Promise<void> {
    making = makeRoomAfter(making, bytes)
    return making
  }

  async function makeRoomAfter(previous: Promise<void>, bytes: number): Promise<void> {
    await previous.catch(() => {})
    await measure()
    if (fits(bytes)) return
    await components.evict(excessFor(waitingBytes))
    await measure()
  }

  /** A blob frees far more than a chunk takes, and a disk that is full refuses many at once: they share what is made for the first. */
  async function makeRoomForRefused(previous: Promise<void>, bytes: number, roomsBefore: number): Promise<void> {
    await previous.catch(() => {})
    if (roomsBefore === roomsMade) spareBytes = 0
    if (spareBytes < bytes) {
      const usedBefore = usedBytes
      await components.evict({ bytes: bytes - spareBytes, blobs: 0 })
      spareBytes += Math.max(0, usedBefore - usedBytes)
      roomsMade++
      await measure()
    }
    spareBytes = Math.max(0, spareBytes - bytes)
  }

  function noteFullness(nowFull: boolean): void {
    if (nowFull && !isFull) logger.warn({ usedBytes, filesystem }, 'the store may not grow: blobs pass through unkept')
    if (!nowFull && isFull) logger.info({ usedBytes, filesystem }, 'the store may grow again')
    isFull = nowFull
  }

  async function reserve(bytes: number): Promise<() => void> {
    if (clock.now() < brokenUntil) throw new ShoalError('DISK_FAILED', 'the disk failed a moment ago')
    waitingBytes += bytes
    try {
      if (filesystem === undefined || writtenSinceLook >= limits.storeSpaceLookBytes) await measure()
      // Whoever comes while room is made for others takes none of it: it finds room for all, or waits until it is its turn.
      if (!fits(waitingBytes)) await makeRoom(bytes)
      if (!fits(bytes)) {
        refusedAtMs = clock.now()
        noteFullness(true)
        throw new ShoalError('DISK_FULL', `no room for ${bytes} bytes`)
      }
      reservedBytes += bytes
    } finally {
      waitingBytes -= bytes
    }
    writtenSinceLook += bytes
    return () => {
      reservedBytes -= bytes
    }
  }

  return {
    get usedBytes() {
      return usedBytes
    },
    get filesystem() {
      return filesystem
    },
    add(deltaBytes) {
      usedBytes += deltaBytes
    },
    reserve,
    hasRoomFor: (bytes) => clock.now() >= brokenUntil && fits(bytes),
    async look() {
      await measure()
      if (!fits(0)) await makeRoom(0)
      noteFullness(!fits(0) || clock.now() - refusedAtMs < limits.storeFullMs)
    },
    get roomsMade() {
      return roomsMade
    },
    refused(bytes, roomsBefore) {
      making = makeRoomForRefused(making, bytes, roomsBefore)
      return making
    },
    failed(error) {
      if (!isDiskBroken(error)) return
      brokenUntil = Math.max(brokenUntil, clock.now() + limits.storeBrokenDiskMs)
      logger.error({ errno: errnoOf(error) }, 'the disk failed: blobs pass through unkept for a while')
    },
    close() {
      brokenUntil = Infinity
    },
  }
}

/** Bytes above the low watermark, once the high one is passed. */
function filesystemExcess(
  { sizeBytes, availableBytes }: FilesystemUsage,
  takenBytes: number,
  { highWatermark, lowWatermark }: SpaceOptions,
): number {
  const inUseBytes = sizeBytes - availableBytes + takenBytes
  return inUseBytes > sizeBytes * highWatermark ? inUseBytes - sizeBytes * lowWatermark : 0
}

function inodeExcess({ inodes, inodesFree }: FilesystemUsage): number {
  return Math.max(0, Math.ceil((inodes * limits.storeInodesFreeMin - inodesFree) / 2))
}
