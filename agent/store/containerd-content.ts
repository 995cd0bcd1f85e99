/**
 * containerd's content directory as a second, read-only source of whole blobs. Nothing is vouched for before its bytes were
 * hashed here; a file may vanish at any time, so it is opened first and then promised.
 *
 *     seen ──hashed, matches──▶ vouched ──gone, replaced or corrupt──▶ forgotten
 *       │                              └──can not be read──▶ set aside ──in a while, a few times──▶ seen
 *       └────adopted: hashes known from our own proven copy, or kept since it was hashed before a restart; each chunk is hashed
 *            before its first read
 */
import { join } from 'node:path'
import { limits } from '../../core/limits.ts'
import { digestHex, type Digest } from '../../core/oci/digest.ts'
import type { StoredBlob, StoredBlobState } from '../../core/ports.ts'
import { bitfieldOf, fullBitfield } from '../../core/swarm/bitfield.ts'
import { chunkCountOf, chunkSizeOf } from '../../core/swarm/chunks.ts'
import { closeFile, containerdBlob, isSame, openSame, type VouchedCopy } from './containerd-blob.ts'
import { createContainerdFiles, type SeenFile } from './containerd-files.ts'
import { errnoOf, type Disk } from './disk.ts'
import { hashFileRange } from './hash.ts'
import { createHashQueue } from './hash-queue.ts'
import type { HashResult } from './hash-worker.ts'
import { createHasher } from './hasher.ts'
import { createKeptHashes } from './kept-hashes.ts'
import type { StoreLogger } from './logger.ts'
import { unreadable } from './verified-reader.ts'

export interface ContainerdComponents {
  readonly disk: Disk
  readonly logger: StoreLogger
  /** Is hashing this one a waste, since our own copy is proven? */
  readonly isHeldElsewhere: (digest: Digest) => boolean
  readonly onVouched: (digest: Digest) => void
  /** A vouched copy is gone. */
  readonly onForgotten: (digest: Digest) => void
}

export interface ContainerdContent {
  /** Begins to list, watch and hash. */
  start(): Promise<void>
  stop(): Promise<void>
  /** A finished file is there, hashed or not, and not known to be bad, nor to have been unreadable when it was last looked into. */
  holds(digest: Digest): boolean
  /** Vouched copies only. */
  state(digest: Digest): StoredBlobState | undefined
  list(): Iterable<StoredBlobState>
  /** Hash this one next, if it is there and not hashed. */
  consider(digest: Digest): void
  /** Vouches for a file by chunk hashes (32 bytes each) of a proven copy, if there is such a file. */
  adopt(digest: Digest, size: number, hashes: Uint8Array): void
  /** Undefined when there is no vouched file, or it has just gone. */
  open(digest: Digest): Promise<StoredBlob | undefined>
  /** Files that wait to be hashed. */
  readonly waiting: number
}

interface Candidate {
  readonly file: SeenFile
  copy?: VouchedCopy
  /** Its bytes are not what its name says, and hashing the same file again would not help; or it is set aside. */
  isOut?: boolean
  /** How often it could not be read. */
  failures?: number
}

export function createContainerdContent(
  { disk, logger, isHeldElsewhere, onVouched, onForgotten }: ContainerdComponents,
  options: {
    readonly directory: string
    /** For what outlives a restart. */
    readonly hashesDirectory: string
  },
): ContainerdContent {
  const directory = join(options.directory, 'blobs', 'sha256')
  const candidates = new Map<Digest, Candidate>()
  /** Of what is set aside. */
  const waits = new Set<NodeJS.Timeout>()
  let isStopped = false
  const kept = createKeptHashes({ logger }, { directory: options.hashesDirectory })
  const hasher = createHasher()
  const queue = createHashQueue(hash)
  const files = createContainerdFiles({ logger, onSeen: noteFile }, { directory })

  function noteFile(digest: Digest, file: SeenFile | undefined): void {
    const before = candidates.get(digest)
    if (before?.file.identity === file?.identity) return
    candidates.delete(digest)
    if (before?.copy !== undefined) onForgotten(digest)
    if (file === undefined) return void kept.drop(digest)
    candidates.set(digest, { file })
    queue.add(digest, file.modifiedMs)
  }

  /** Resolves with how many bytes were hashed. */
  async function hash(digest: Digest): Promise<number> {
    const candidate = candidates.get(digest)
    if (candidate === undefined || !isUnknown(candidate) || isHeldElsewhere(digest)) return 0
    if (await recall(digest, candidate)) return 0
    await hashCandidate(digest, candidate).catch((error: unknown) => {
      logger.warn({ digest, errno: errnoOf(error) }, "a copy of containerd's could not be hashed")
      setAside(digest, candidate)
    })
    return candidate.file.size
  }

  async function recall(digest: Digest, candidate: Candidate): Promise<boolean> {
    const { file } = candidate
    const hashes = isDoubted(candidate) ? undefined : await kept.read(digest, file)
    if (hashes === undefined || candidates.get(digest) !== candidate || !isUnknown(candidate) || isStopped) return false
    candidate.copy = copyOf(digest, file.size, hashes, bitfieldOf(chunkCountOf(file.size)))
    onVouched(digest)
    return true
  }

  async function hashCandidate(digest: Digest, candidate: Candidate): Promise<void> {
    const { size, identity } = candidate.file
    const fd = await openCandidate(digest, candidate)
    if (fd === undefined) return setAside(digest, candidate)
    try {
      const result = isStopped ? undefined : await hashesOf(fd, size)
      const isCurrent = (await isSame(fd, identity)) && candidates.get(digest) === candidate && isUnknown(candidate)
      if (!isCurrent || isStopped) return
      if (result === undefined) setAside(digest, candidate)
      else if (result.whole === digestHex(digest)) await accept(digest, candidate, result.chunks)
      else disown(digest, candidate, 'does not match its digest')
    } finally {
      await closeFile(fd)
    }
  }

  /** What is one chunk is hashed here: a thread of low priority may wait long for its turn, and a manifest is wanted first. */
  async function hashesOf(fd: number, size: number): Promise<HashResult | undefined> {
    if (chunkCountOf(size) !== 1) return hasher.hash({ fd, size, chunkSize: chunkSizeOf(size) })
    const whole = await hashFileRange(disk, fd, 0, size)
    return { whole, chunks: Buffer.from(whole, 'hex') }
  }

  async function accept(digest: Digest, candidate: Candidate, hashes: Uint8Array): Promise<void> {
    const { file } = candidate
    candidate.copy = copyOf(digest, file.size, hashes, fullBitfield(chunkCountOf(file.size)))
    onVouched(digest)
    await kept.keep(digest, file, hashes)
  }

  /** It stays out until it is another file. */
  function disown(digest: Digest, candidate: Candidate, reason: string): void {
    logger.error({ digest, reason }, "containerd's copy is corrupt and is not used: check the disk")
    putOut(digest, candidate)
  }

  /** It can not be read, which may pass: it is hashed again in a while, but not for ever on a disk that is dying. */
  function setAside(digest: Digest, candidate: Candidate): void {
    const { failures = 0 } = candidate
    candidate.failures = failures + 1
    if (failures === limits.storeContainerdAgainMax) return disown(digest, candidate, unreadable)
    putOut(digest, candidate)
    const timer = setTimeout(
      () => {
        waits.delete(timer)
        delete candidate.isOut
        consider(digest)
      },
      limits.storeContainerdAgainMs * 2 ** failures,
    )
    waits.add(timer.unref())
  }

  function putOut(digest: Digest, candidate: Candidate): void {
    candidate.isOut = true
    void kept.drop(digest)
    const { copy } = candidate
    if (copy === undefined) return
    copy.complete = false
    delete candidate.copy
    if (candidates.get(digest) === candidate) onForgotten(digest)
  }

  function consider(digest: Digest): void {
    const candidate = candidates.get(digest)
    if (candidate !== undefined && isUnknown(candidate)) queue.addFirst(digest)
  }

  async function openCandidate(digest: Digest, { file }: Candidate): Promise<number | undefined> {
    const fd = await openSame(join(directory, digestHex(digest)), file.identity)
    if (fd === undefined) files.check(digest)
    return fd
  }

  return {
    async start() {
      await files.start()
      // Nothing at all is what a directory that can not be read looks like.
      if (candidates.size > 0) void kept.dropAllBut((digest) => candidates.has(digest))
    },
    async stop() {
      isStopped = true
      for (const timer of waits) clearTimeout(timer)
      const ended = queue.stop()
      await files.stop()
      await hasher.stop()
      await ended
    },
    holds(digest) {
      const candidate = candidates.get(digest)
      return candidate !== undefined && candidate.isOut !== true && !isDoubted(candidate)
    },
    state: (digest) => candidates.get(digest)?.copy,
    *list() {
      for (const { copy } of candidates.values()) if (copy !== undefined) yield copy
    },
    consider,
    adopt(digest, size, hashes) {
      const candidate = candidates.get(digest)
      if (candidate?.file.size !== size || !isUnknown(candidate) || isDoubted(candidate)) return
      candidate.copy = copyOf(digest, size, hashes, bitfieldOf(chunkCountOf(size)))
    },
    async open(digest) {
      const candidate = candidates.get(digest)
      if (candidate?.copy === undefined) return undefined
      const { copy } = candidate
      const fd = await openCandidate(digest, candidate)
      if (fd === undefined) return undefined
      function onDisowned(reason: string): void {
        // What another handle has found out already says nothing of the copy that may have come after.
        if (candidate?.copy !== copy) return
        if (reason === unreadable) setAside(digest, candidate)
        else disown(digest, candidate, reason)
      }
      return containerdBlob({ disk, onDisowned }, copy, fd)
    },
    get waiting() {
      return queue.waiting
    },
  }
}

/** Neither vouched for nor out. */
function isUnknown({ copy, isOut }: Candidate): boolean {
  return copy === undefined && isOut !== true
}

/** It could not be read: nothing is built on it until it has been hashed in whole. */
function isDoubted({ copy, failures }: Candidate): boolean {
  return copy === undefined && failures !== undefined
}

function copyOf(digest: Digest, size: number, hashes: Uint8Array, verified: Uint8Array): VouchedCopy {
  return { digest, size, complete: true, have: fullBitfield(chunkCountOf(size)), verified, hashes }
}
