/** A finished file of containerd's as a `StoredBlob`: read-only, its descriptor open before anything is promised. */
import fs, { type BigIntStats } from 'node:fs'
import { promisify } from 'node:util'
import { ShoalError } from '../../core/errors.ts'
import type { StoredBlob, StoredBlobState } from '../../core/ports.ts'
import { identityOf } from './containerd-files.ts'
import type { Disk } from './disk.ts'
import { createVerifiedReader } from './verified-reader.ts'

const open = promisify(fs.open)
export const closeFile = promisify(fs.close)
const fstat: (fd: number, options: { bigint: true }) => Promise<BigIntStats> = promisify(fs.fstat)
const { O_NOFOLLOW, O_NONBLOCK, O_RDONLY } = fs.constants

/** A copy of containerd's that this store stands for. */
export interface VouchedCopy extends StoredBlobState {
  /** Until it turns out to be corrupt, or can't be read. */
  complete: boolean
  readonly verified: Uint8Array
  /** SHA-256 of each chunk, 32 bytes each. */
  readonly hashes: Uint8Array
}

/** The descriptor of the very file that `identity` was seen of; undefined when it is gone or another one. */
export async function openSame(path: string, identity: string): Promise<number | undefined> {
  const fd = await open(path, O_RDONLY | O_NOFOLLOW | O_NONBLOCK).catch(() => undefined)
  if (fd === undefined || (await isSame(fd, identity))) return fd
  await closeFile(fd)
  return undefined
}

export async function isSame(fd: number, identity: string): Promise<boolean> {
  return identityOf(await fstat(fd, { bigint: true })) === identity
}

export interface ContainerdBlobComponents {
  readonly disk: Disk
  /** The copy turned out to be corrupt, or (`unreadable`) can't be read, and is no longer stood for. */
  readonly onDisowned: (reason: string) => void
}

/** Takes `fd` over. */
export function containerdBlob(
  { disk, onDisowned }: ContainerdBlobComponents,
  copy: VouchedCopy,
  fd: number,
): StoredBlob {
  const { digest, size, have, verified } = copy
  let holds = 1
  let isOpen = true
  let generation = 0

  function release(): void {
    holds--
    if (holds === 0) void closeFile(fd)
  }

  async function drop(_index: number, reason: string): Promise<void> {
    generation++
    have.fill(0)
    verified.fill(0)
    onDisowned(reason)
  }

  function requireWhole(): void {
    if (!copy.complete)
      throw new ShoalError('DISK_FAILED', `containerd's copy of ${digest} is corrupt and takes no chunks`)
  }

  const source = {
    digest,
    size,
    have,
    verified,
    get generation() {
      return generation
    },
    hash: (index: number) => hashAt(copy, index),
    hold() {
      if (!isOpen) return undefined
      holds++
      return { fd, release }
    },
    drop,
  }

  return {
    digest,
    size,
    source: 'containerd',
    have,
    get complete() {
      return copy.complete
    },
    entry: () => undefined,
    hash: source.hash,
    read: createVerifiedReader(disk, source),
    // While the copy is complete and proven there is nothing to keep or to prove; once it is refuted there is nowhere to.
    write: async () => requireWhole(),
    markComplete: async () => requireWhole(),
    discard: () => drop(0, 'was refuted'),
    async close() {
      if (!isOpen) return
      isOpen = false
      release()
    },
  }
}

function hashAt({ hashes }: VouchedCopy, index: number): string | undefined {
  const hash = hashes.subarray(32 * index, 32 * (index + 1))
  return hash.length === 32 ? Buffer.from(hash).toString('hex') : undefined
}
