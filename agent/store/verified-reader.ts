import { ShoalError } from '../../core/errors.ts'
import type { Digest } from '../../core/oci/digest.ts'
import { hasBit, setBit } from '../../core/swarm/bitfield.ts'
import { chunkLengthOf, chunkSizeOf } from '../../core/swarm/chunks.ts'
import { diskError, readFully, type Disk } from './disk.ts'
import { hashFileRange } from './hash.ts'

/** A file that stays open until `release`, whatever happens to its name. */
export interface HeldFile {
  readonly fd: number
  release(): void
}

/** A blob at rest, as the reader sees it. */
export interface ChunkSource {
  readonly digest: Digest
  readonly size: number
  readonly have: Uint8Array
  /** Chunks that this process wrote or hashed; the others are hashed before they are first read. */
  readonly verified: Uint8Array
  /** Grows whenever chunks are dropped: bytes read across a change mean nothing. */
  readonly generation: number
  hash(index: number): string | undefined
  hold(): HeldFile | undefined
  /** Chunk `index` is not what its hash says, or (`unreadable`) can't be read. */
  drop(index: number, reason: string): Promise<void>
}

/** Why a chunk is dropped of which nothing is known to be wrong. */
export const unreadable = 'can not be read'

/** Chunks `first` to `last`, both included. */
interface ChunkRange {
  readonly first: number
  readonly last: number
}

/** See `StoredBlob.read`. */
export type ReadRange = (offset: number, length: number, into?: Uint8Array) => Promise<Uint8Array>

export function createVerifiedReader(disk: Disk, source: ChunkSource): ReadRange {
  const { digest, size } = source
  const chunkSize = chunkSizeOf(size)
  const checks = new Map<number, Promise<void>>()

  return async function read(offset, length, into = Buffer.allocUnsafeSlow(length)) {
    requireRange(size, offset, length)
    const target = into.subarray(0, length)
    if (length === 0) return target
    const range = { first: Math.floor(offset / chunkSize), last: Math.floor((offset + length - 1) / chunkSize) }
    for (;;) {
      await requireVerified(range.first, range.last)
      const { generation } = source
      const count = await whileHeld(range, (fd) => readFully(disk, fd, target, offset))
      if (count < length) await dropFrom(Math.floor((offset + count) / chunkSize), range.last)
      if (source.generation === generation) return target
    }
  }

  async function requireVerified(first: number, last: number): Promise<void> {
    // More than once where another chunk is dropped meanwhile: such a check says nothing.
    for (let index = first; index <= last; index++)
      while (hasBit(source.have, index) && !hasBit(source.verified, index)) await verifyOnce(index)
    for (let index = first; index <= last; index++) if (!hasBit(source.have, index)) throw notHeld(index)
  }

  function verifyOnce(index: number): Promise<void> {
    const ongoing = checks.get(index)
    if (ongoing !== undefined) return ongoing
    const check = verify(index).finally(() => checks.delete(index))
    checks.set(index, check)
    return check
  }

  async function verify(index: number): Promise<void> {
    const expected = source.hash(index)
    if (!hasBit(source.have, index) || expected === undefined) throw notHeld(index)
    const { generation } = source
    const start = index * chunkSize
    const hashed = await whileHeld({ first: index, last: index }, (fd) =>
      hashFileRange(disk, fd, start, start + chunkLengthOf(size, index)),
    )
    if (source.generation !== generation) return
    if (hashed === expected) setBit(source.verified, index)
    else await source.drop(index, 'does not match its hash')
  }

  async function whileHeld<Result>(range: ChunkRange, work: (fd: number) => Promise<Result>): Promise<Result> {
    const file = source.hold()
    if (file === undefined) throw notHeld(range.first)
    try {
      return await work(file.fd)
    } catch (error) {
      await dropFrom(range.first, range.last)
      throw diskError(error, `read ${digest}`)
    } finally {
      file.release()
    }
  }

  async function dropFrom(first: number, last: number): Promise<void> {
    for (let index = first; index <= last; index++) await source.drop(index, unreadable)
  }

  function notHeld(index: number): ShoalError {
    return new ShoalError('CHUNK_CORRUPT', `chunk ${index} of ${digest} is not held`)
  }
}

function requireRange(size: number, offset: number, length: number): void {
  const isInside = Number.isSafeInteger(offset) && Number.isSafeInteger(length) && offset >= 0 && length >= 0
  if (!isInside || offset + length > size) throw new RangeError(`bytes ${offset}+${length} of a blob of ${size}`)
}
