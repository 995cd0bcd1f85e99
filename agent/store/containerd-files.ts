/** Which finished files lie in containerd's content directory: listed at the start and now and then, and watched between. */
import { watch, type BigIntStats, type FSWatcher } from 'node:fs'
import { lstat, readdir } from 'node:fs/promises'
import { join } from 'node:path'
import { limits } from '../../core/limits.ts'
import { digestHex, parseDigest, type Digest } from '../../core/oci/digest.ts'
import { errnoOf } from './disk.ts'
import type { StoreLogger } from './logger.ts'

export interface SeenFile {
  /** Changes whenever the file is replaced, written to, linked or unlinked. */
  readonly identity: string
  readonly size: number
}

export interface ContainerdFilesComponents {
  readonly logger: StoreLogger
  /** The file of this digest is new, another one, or (undefined) gone. May be told of the same file again. */
  readonly onSeen: (digest: Digest, file: SeenFile | undefined) => void
}

export interface ContainerdFiles {
  /** Rejects when the directory can not be read. */
  start(): Promise<void>
  stop(): Promise<void>
  /** Look at the file of this digest again. */
  check(digest: Digest): void
}

export function createContainerdFiles(
  { logger, onSeen }: ContainerdFilesComponents,
  { directory }: { readonly directory: string },
): ContainerdFiles {
  const known = new Set<Digest>()
  const unchecked = new Set<Digest>()
  let watcher: FSWatcher | undefined
  let timer: NodeJS.Timeout | undefined
  let checking: Promise<void> | undefined
  let isStopped = false

  async function list(): Promise<void> {
    const names = await readdir(directory)
    for (const digest of known.union(digestsOf(names))) unchecked.add(digest)
    await checkAll()
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
      const file = await seenAt(join(directory, digestHex(digest)))
      if (isStopped) return
      if (file === undefined) known.delete(digest)
      else known.add(digest)
      onSeen(digest, file)
    }
    checking = undefined
  }

  return {
    async start() {
      watcher = watch(directory, { persistent: false }, (_event, name) => {
        for (const digest of digestsOf([name ?? ''])) check(digest)
      })
      watcher.on('error', (error) =>
        logger.warn({ errno: errnoOf(error) }, "containerd's content is not watched any more"),
      )
      await list()
      timer = setInterval(() => {
        list().catch((error: unknown) =>
          logger.warn({ errno: errnoOf(error) }, "containerd's content can not be listed"),
        )
      }, limits.storeContainerdLookMs).unref()
    },
    async stop() {
      isStopped = true
      watcher?.close()
      clearInterval(timer)
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
  return { identity: identityOf(stats), size: Number(stats.size) }
}

export function identityOf({ dev, ino, size, mode, mtimeNs, ctimeNs }: BigIntStats): string {
  return [dev, ino, size, mode, mtimeNs, ctimeNs].join(':')
}
