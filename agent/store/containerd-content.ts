/**
 * containerd's content directory as a second, read-only source. A file under `blobs/sha256` is finished once it is there
 * with mode 0444 (facts/protocols.md §8: commit is fsync, check, rename, chmod); it may vanish at any time, so it is
 * opened first and then promised. Nothing is vouched for before its bytes are hashed here.
 *
 *     seen ──hashed, matches──▶ vouched ──gone, replaced or corrupt──▶ forgotten
 *       └────adopted: hashes known from our own proven copy; each chunk is hashed before its first read
 */
import fs, { watch, type BigIntStats, type FSWatcher } from 'node:fs'
import { lstat, readdir } from 'node:fs/promises'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { limits } from '../../core/limits.ts'
import { digestHex, parseDigest, type Digest } from '../../core/oci/digest.ts'
import type { StoredBlob, StoredBlobState } from '../../core/ports.ts'
import { bitfieldOf, fullBitfield } from '../../core/swarm/bitfield.ts'
import { chunkCountOf, chunkSizeOf } from '../../core/swarm/chunks.ts'
import { errnoOf, type Disk } from './disk.ts'
import type { Hasher } from './hasher.ts'
import type { StoreLogger } from './logger.ts'
import { createVerifiedReader } from './verified-reader.ts'

const open = promisify(fs.open)
const close = promisify(fs.close)
const fstat: (fd: number, options: { bigint: true }) => Promise<BigIntStats> = promisify(fs.fstat)
const { O_NOFOLLOW, O_NONBLOCK, O_RDONLY } = fs.constants

export interface ContainerdComponents {
  readonly disk: Disk
  readonly hasher: Hasher
  readonly logger: StoreLogger
  /** Is hashing this one a waste, since our own copy is proven? */
  readonly isHeldElsewhere: (digest: Digest) => boolean
  readonly onVouched: (digest: Digest) => void
  readonly onForgotten: (digest: Digest) => void
}

export interface ContainerdContent {
  /** Begins to list, watch and hash. Without a readable directory it logs that and does nothing. */
  start(): Promise<void>
  stop(): Promise<void>
  /** A finished file is there, hashed or not. */
  holds(digest: Digest): boolean
  state(digest: Digest): StoredBlobState | undefined
  list(): Iterable<StoredBlobState>
  /** Hash this one next, if it is there and not vouched for. */
  consider(digest: Digest): void
  /** Vouches for a file by chunk hashes (32 bytes each) of a proven copy; false when there is no such file. */
  adopt(digest: Digest, size: number, hashes: Uint8Array): boolean
  /** Undefined when there is no vouched file, or it has just gone. */
  open(digest: Digest): Promise<StoredBlob | undefined>
  /** Files that wait to be hashed. */
  readonly waiting: number
}

interface Vouched extends StoredBlobState {
  readonly verified: Uint8Array
  readonly hashes: Uint8Array
}

interface Seen {
  /** Changes whenever the file is replaced, written to, linked or unlinked. */
  readonly identity: string
  readonly size: number
  readonly changedAt: bigint
  vouched?: Vouched
  /** Its bytes are not what its name says; hashing the same file again would not help. */
  isBad?: boolean
}

export function createContainerdContent(
  { disk, hasher, logger, isHeldElsewhere, onVouched, onForgotten }: ContainerdComponents,
  options: { readonly directory: string },
): ContainerdContent {
  const directory = join(options.directory, 'blobs', 'sha256')
  const files = new Map<Digest, Seen>()
  const changed = new Set<Digest>()
  /** The next one to hash is last; a digest may be in it twice. */
  const queue: Digest[] = []
  let watcher: FSWatcher | undefined
  let looking: NodeJS.Timeout | undefined
  let checking: Promise<void> | undefined
  let hashing: Promise<void> | undefined
  let isStopped = false

  async function start(): Promise<void> {
    try {
      watcher = watch(directory, { persistent: false }, (_event, name) => noteChange(name))
      watcher.on('error', (error) => logger.warn({ errno: errnoOf(error) }, "can no longer watch containerd's content"))
      await listAll()
    } catch (error) {
      watcher?.close()
      logger.warn({ directory, errno: errnoOf(error) }, "containerd's content can not be read: its copies are not used")
      return
    }
    looking = setInterval(() => void listAll().catch(logUnlisted), limits.storeContainerdLookMs).unref()
  }

  async function stop(): Promise<void> {
    isStopped = true
    queue.length = 0
    watcher?.close()
    clearInterval(looking)
    await hasher.stop()
    await Promise.all([checking, hashing])
  }

  function logUnlisted(error: unknown): void {
    logger.warn({ directory, errno: errnoOf(error) }, "could not list containerd's content")
  }

  async function listAll(): Promise<void> {
    const names = await readdir(directory)
    for (const digest of [...files.keys(), ...names.map(digestOfName)]) if (digest !== undefined) changed.add(digest)
    await checkChanged()
    // What came last is wanted first.
    queue.sort((a, b) => Number((files.get(a)?.changedAt ?? 0n) - (files.get(b)?.changedAt ?? 0n)))
  }

  function noteChange(name: string | null): void {
    const digest = digestOfName(name ?? '')
    if (digest === undefined) return
    changed.add(digest)
    void checkChanged()
  }

  function checkChanged(): Promise<void> {
    checking ??= checkAll().finally(() => {
      checking = undefined
    })
    return checking
  }

  async function checkAll(): Promise<void> {
    for (const digest of changed) {
      changed.delete(digest)
      if (!isStopped) noteFile(digest, await seenAt(join(directory, digestHex(digest))))
    }
    hashWaiting()
  }

  function noteFile(digest: Digest, now: Seen | undefined): void {
    const before = files.get(digest)
    if (before !== undefined && before.identity === now?.identity) return
    forget(digest)
    if (now === undefined) return
    files.set(digest, now)
    queue.push(digest)
  }

  function forget(digest: Digest): void {
    const before = files.get(digest)
    files.delete(digest)
    if (before?.vouched !== undefined) onForgotten(digest)
  }

  function consider(digest: Digest): void {
    const seen = files.get(digest)
    if (seen === undefined || !isUnknown(seen)) return
    queue.push(digest)
    hashWaiting()
  }

  function hashWaiting(): void {
    hashing ??= hashQueue()
      .catch((error: unknown) => logger.warn({ errno: errnoOf(error) }, "could not hash a copy of containerd's"))
      .finally(() => {
        hashing = undefined
      })
  }

  async function hashQueue(): Promise<void> {
    for (let digest = queue.pop(); digest !== undefined; digest = queue.pop()) {
      const seen = files.get(digest)
      if (seen !== undefined && isUnknown(seen) && !isHeldElsewhere(digest)) await hashFile(digest, seen)
    }
  }

  async function hashFile(digest: Digest, seen: Seen): Promise<void> {
    const fd = await openSeen(digest, seen)
    if (fd === undefined) return
    try {
      if (isStopped) return
      const result = await hasher.hash({ fd, size: seen.size, chunkSize: chunkSizeOf(seen.size) })
      const isSame = identityOf(await fstat(fd, { bigint: true })) === seen.identity && files.get(digest) === seen
      if (result === undefined || !isSame || isStopped || seen.vouched !== undefined) return
      if (result.whole === digestHex(digest)) {
        vouch(digest, seen, result.chunks, fullBitfield(chunkCountOf(seen.size)))
        onVouched(digest)
      } else {
        seen.isBad = true
        logger.error({ digest }, "containerd's copy does not match its digest: it is not used. Check the disk")
      }
    } finally {
      await close(fd)
    }
  }

  function vouch(digest: Digest, seen: Seen, hashes: Uint8Array, verified: Uint8Array): void {
    const have = fullBitfield(chunkCountOf(seen.size))
    seen.vouched = { digest, size: seen.size, complete: true, have, verified, hashes }
  }

  async function openSeen(digest: Digest, seen: Seen): Promise<number | undefined> {
    const fd = await open(join(directory, digestHex(digest)), O_RDONLY | O_NOFOLLOW | O_NONBLOCK).catch(() => undefined)
    if (fd !== undefined) {
      const stats = await fstat(fd, { bigint: true })
      if (identityOf(stats) === seen.identity) return fd
      await close(fd)
    }
    noteChange(digestHex(digest))
    return undefined
  }

  async function openBlob(digest: Digest): Promise<StoredBlob | undefined> {
    const seen = files.get(digest)
    const vouched = seen?.vouched
    if (seen === undefined || vouched === undefined) return undefined
    const fd = await openSeen(digest, seen)
    return fd === undefined ? undefined : blobOf(digest, seen, vouched, fd)
  }

  function blobOf(digest: Digest, seen: Seen, vouched: Vouched, fd: number): StoredBlob {
    let holds = 1
    let isOpen = true
    let generation = 0

    function release(): void {
      holds--
      if (holds === 0) fs.close(fd)
    }

    function disown(): void {
      generation++
      vouched.have.fill(0)
      vouched.verified.fill(0)
      seen.isBad = true
      delete seen.vouched
      if (files.get(digest) === seen) onForgotten(digest)
    }

    const read = createVerifiedReader(disk, {
      digest,
      size: vouched.size,
      have: vouched.have,
      verified: vouched.verified,
      get generation() {
        return generation
      },
      hash: (index) => hashAt(vouched, index),
      hold() {
        if (!isOpen) return undefined
        holds++
        return { fd, release }
      },
      async drop(index, reason) {
        if (seen.isBad === true) return
        logger.error({ digest, index, reason }, "containerd's copy is corrupt: it is not used. Check the disk")
        disown()
      },
    })

    return {
      digest,
      size: vouched.size,
      source: 'containerd',
      have: vouched.have,
      get complete() {
        return seen.isBad !== true
      },
      entry: () => undefined,
      hash: (index) => hashAt(vouched, index),
      read,
      // The copy is complete and proven, so there is nothing to keep or to prove.
      write: async () => {},
      markComplete: async () => {},
      discard: async () => disown(),
      async close() {
        if (!isOpen) return
        isOpen = false
        release()
      },
    }
  }

  return {
    start,
    stop,
    holds: (digest) => files.has(digest),
    state: (digest) => files.get(digest)?.vouched,
    *list() {
      for (const { vouched } of files.values()) if (vouched !== undefined) yield vouched
    },
    consider,
    adopt(digest, size, hashes) {
      const seen = files.get(digest)
      if (seen === undefined || seen.size !== size || seen.isBad === true) return false
      if (seen.vouched === undefined) vouch(digest, seen, hashes, bitfieldOf(chunkCountOf(size)))
      return true
    },
    open: openBlob,
    get waiting() {
      return queue.length
    },
  }
}

/** Neither vouched for nor found bad. */
function isUnknown(seen: Seen): boolean {
  return seen.vouched === undefined && seen.isBad !== true
}

function digestOfName(name: string): Digest | undefined {
  return parseDigest(`sha256:${name}`)
}

async function seenAt(path: string): Promise<Seen | undefined> {
  const stats = await lstat(path, { bigint: true }).catch(() => undefined)
  if (stats === undefined || !stats.isFile() || (stats.mode & 0o777n) !== 0o444n) return undefined
  return { identity: identityOf(stats), size: Number(stats.size), changedAt: stats.mtimeNs }
}

function identityOf({ dev, ino, size, mode, mtimeNs, ctimeNs }: BigIntStats): string {
  return [dev, ino, size, mode, mtimeNs, ctimeNs].join(':')
}

/** SHA-256 of chunk `index` in hex; undefined beyond the last. */
function hashAt({ hashes }: Vouched, index: number): string | undefined {
  const hash = hashes.subarray(32 * index, 32 * (index + 1))
  return hash.length === 32 ? Buffer.from(hash).toString('hex') : undefined
}
