/**
 * Which finished files lie in containerd's content directory: watched, and listed at the start and now and then. A listing
 * finds what the watch missed, since the kernel drops events that come too fast and tells a watch nothing of a directory
 * that has taken the place of the watched one.
 */
import { watch as watchDirectory, type BigIntStats, type FSWatcher } from 'node:fs'
import { lstat, readdir, stat } from 'node:fs/promises'
import { join } from 'node:path'
import { limits } from '../../core/limits.ts'
import { digestHex, parseDigest, type Digest } from '../../core/oci/digest.ts'
import { errnoOf } from './disk.ts'
import type { StoreLogger } from './logger.ts'

export interface SeenFile {
  /** Changes whenever the file is replaced, written to, linked or unlinked. */
  readonly identity: string
  readonly size: number
  readonly modifiedMs: number
}

export interface ContainerdFilesComponents {
  readonly logger: StoreLogger
  /** The file of this digest is new, another one, or (undefined) gone. May be told of the same file again. */
  readonly onSeen: (digest: Digest, file: SeenFile | undefined) => void
  /** Another one than the system's only where a test needs one that fails. */
  readonly watch?: (
    directory: string,
    options: { readonly persistent: boolean },
    listener: (event: string, name: string | null) => void,
  ) => FSWatcher
}

export interface ContainerdFilesOptions {
  readonly directory: string
  /** How often it is listed. Default `limits.storeContainerdLookMs`. */
  readonly lookMs?: number
  /** And while it can not be read. Default `limits.storeContainerdRetryMs`. */
  readonly retryMs?: number
  /** Files beyond so many are not looked at. Default `limits.storeContainerdBlobsMax`. */
  readonly blobsMax?: number
}

export interface ContainerdFiles {
  /** Resolves when what is there has been told. A directory that can't be read is logged, and tried again soon. */
  start(): Promise<void>
  stop(): Promise<void>
  /** Look at the file of this digest again. */
  check(digest: Digest): void
}

export function createContainerdFiles(
  { logger, onSeen, watch = watchDirectory }: ContainerdFilesComponents,
  {
    directory,
    lookMs = limits.storeContainerdLookMs,
    retryMs = limits.storeContainerdRetryMs,
    blobsMax = limits.storeContainerdBlobsMax,
  }: ContainerdFilesOptions,
): ContainerdFiles {
  const known = new Set<Digest>()
  const unchecked = new Set<Digest>()
  let watching: { readonly watcher: FSWatcher; readonly inode: string } | undefined
  let timer: NodeJS.Timeout | undefined
  let looking: Promise<void> | undefined
  let checking: Promise<void> | undefined
  let isStopped = false
  /** What was said last, so that it is said once. */
  let trouble: string | undefined
  let hasSaidFull = false
  let hasSaidUnwatched = false

  async function look(): Promise<void> {
    const there = await list()
    // The name of a file is its digest, and whoever opens it looks whether it is still the same: known ones need no look.
    for (const digest of known.symmetricDifference(there)) unchecked.add(digest)
    await checkAll()
    if (isStopped) return
    timer = setTimeout(lookAgain, trouble === undefined ? lookMs : retryMs).unref()
  }

  function lookAgain(): void {
    looking = look()
  }

  async function list(): Promise<Set<Digest>> {
    try {
      const { dev, ino } = await stat(directory)
      tryToWatchAs(`${dev}:${ino}`)
      const there = digestsOf(await readdir(directory))
      if (trouble !== undefined) logger.info({ directory }, "containerd's content can be read now")
      trouble = undefined
      return there
    } catch (error) {
      note(errnoOf(error) ?? String(error))
      return new Set()
    }
  }

  function note(errno: string): void {
    if (trouble === errno) return
    trouble = errno
    logger.warn({ directory, errno }, "containerd's content can not be read: its copies are not used until it can")
  }

  /** A node has only so many inotify instances, and others may have them all: listings still find what is there. */
  function tryToWatchAs(inode: string): void {
    try {
      watchAs(inode)
    } catch (error) {
      const message = "containerd's content can not be watched: what comes is found when it is listed next"
      if (!hasSaidUnwatched) logger.warn({ directory, errno: errnoOf(error) }, message)
      hasSaidUnwatched = true
    }
  }

  /** Before it is listed: what comes in between is told twice rather than never. */
  function watchAs(inode: string): void {
    if (isStopped || watching?.inode === inode) return
    unwatch()
    const watcher = watch(directory, { persistent: false }, (_event, name) => {
      for (const digest of digestsOf([name ?? ''])) check(digest)
    })
    watcher.on('error', unwatch)
    watching = { watcher, inode }
  }

  function unwatch(): void {
    watching?.watcher.close()
    watching = undefined
  }

  function check(digest: Digest): void {
    unchecked.add(digest)
    void checkAll()
  }

  function checkAll(): Promise<void> {
    checking ??= Promise.resolve().then(checkEach)
    return checking
  }

  async function checkEach(): Promise<void> {
    for (const digest of unchecked) {
      unchecked.delete(digest)
      if (!known.has(digest) && isFull()) continue
      const file = await seenAt(join(directory, digestHex(digest)))
      if (isStopped) return
      if (file === undefined) known.delete(digest)
      else known.add(digest)
      onSeen(digest, file)
    }
    checking = undefined
  }

  function isFull(): boolean {
    if (known.size < blobsMax) return false
    if (!hasSaidFull) logger.warn({ directory, blobsMax }, 'containerd has more content than is looked at')
    hasSaidFull = true
    return true
  }

  return {
    start: () => (looking = look()),
    async stop() {
      isStopped = true
      clearTimeout(timer)
      unwatch()
      await looking
      await checking
    },
    check,
  }
}

function digestsOf(names: readonly string[]): Set<Digest> {
  const digests = names.map((name) => parseDigest(`sha256:${name}`))
  return new Set(digests.filter((digest) => digest !== undefined))
}

/** The finished file at `path`: commit is fsync, check, rename and, last, chmod 0444 (facts/protocols.md §8). */
async function seenAt(path: string): Promise<SeenFile | undefined> {
  const stats = await lstat(path, { bigint: true }).catch(() => undefined)
  if (stats === undefined || !stats.isFile() || (stats.mode & 0o777n) !== 0o444n) return undefined
  return { identity: identityOf(stats), size: Number(stats.size), modifiedMs: Number(stats.mtimeMs) }
}

export function identityOf({ dev, ino, size, mode, mtimeNs, ctimeNs }: BigIntStats): string {
  return [dev, ino, size, mode, mtimeNs, ctimeNs].join(':')
}
