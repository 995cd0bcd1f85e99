/** What a data directory holds when the store opens: every sound log counts, all else of ours is cleaned up. */
import { lstat, readFile, readdir, truncate } from 'node:fs/promises'
import { limits } from '../../core/limits.ts'
import { digestFromHex, type Digest } from '../../core/oci/digest.ts'
import { countBits } from '../../core/swarm/bitfield.ts'
import { blobPaths, removeBlobFiles, type BlobPaths } from './blob-files.ts'
import { errnoOf, type Disk } from './disk.ts'
import { readLog, type LogView } from './log-format.ts'
import type { StoreLogger } from './logger.ts'

export interface FoundBlob {
  readonly digest: Digest
  readonly size: number
  readonly have: Uint8Array
  readonly complete: boolean
  readonly usedBytes: number
  /** Wall clock, milliseconds. */
  readonly lastUsedAt: number
}

const fileName = /^([a-f0-9]{64})\.(data|log)$/

export interface ScanComponents {
  readonly disk: Disk
  readonly logger: StoreLogger
}

/** Files whose names are not ours, and anything that is not a plain file, are left alone. */
export async function scanBlobs({ disk, logger }: ScanComponents, directory: string): Promise<FoundBlob[]> {
  const { logs, orphans } = await listBlobs(directory)
  for (const digest of orphans) await removeUseless(logger, digest, disk.remove(blobPaths(directory, digest).data))
  if (orphans.length > 0) logger.info({ blobs: orphans.length }, 'removed data files that have no log')
  const found: FoundBlob[] = []
  const next = logs.values()
  async function scanSome(): Promise<void> {
    for (const digest of next) {
      const blob = await scanBlob({ disk, logger }, blobPaths(directory, digest), digest)
      if (blob !== undefined) found.push(blob)
    }
  }
  await Promise.all(Array.from({ length: limits.storeScanParallel }, scanSome))
  return found
}

async function listBlobs(directory: string): Promise<{ logs: Digest[]; orphans: Digest[] }> {
  const logs = new Set<Digest>()
  const data = new Set<Digest>()
  for (const file of await readdir(directory, { withFileTypes: true })) {
    const [, hex, kind] = fileName.exec(file.name) ?? []
    if (hex !== undefined && file.isFile()) (kind === 'log' ? logs : data).add(digestFromHex(hex))
  }
  return { logs: [...logs], orphans: [...data.difference(logs)] }
}

async function scanBlob(
  { disk, logger }: ScanComponents,
  paths: BlobPaths,
  digest: Digest,
): Promise<FoundBlob | undefined> {
  try {
    const bytes = await readFile(paths.log)
    const view = readLog(bytes)
    const reason = whyUseless(view, digest)
    if (view !== undefined && reason === undefined) return await measure(logger, paths, view)
    logger.warn({ digest, reason }, 'dropped a blob: its log is of no use')
  } catch (error) {
    if (errnoOf(error) !== 'ENOENT') {
      logger.error({ digest, errno: errnoOf(error) }, 'left a blob alone: it can not be read')
      return undefined
    }
    logger.warn({ digest }, 'dropped a blob: its data file is gone')
  }
  await removeUseless(logger, digest, removeBlobFiles(disk, paths))
  return undefined
}

/** One file that stays keeps no other blob out. */
async function removeUseless(logger: StoreLogger, digest: Digest, removal: Promise<void>): Promise<void> {
  await removal.catch((error: unknown) => {
    logger.error({ digest, errno: errnoOf(error) }, 'could not remove the files of a dropped blob')
  })
}

function whyUseless(view: LogView | undefined, digest: Digest): string | undefined {
  if (view === undefined) return 'its header is damaged, or of another version'
  if (view.digest !== digest) return `it speaks of ${view.digest}`
  if (view.size > 0 && countBits(view.have) === 0) return 'it lists no chunk'
  return undefined
}

async function measure(logger: StoreLogger, paths: BlobPaths, view: LogView): Promise<FoundBlob> {
  const { digest, size, have, complete, tail, bytes } = view
  const [data, log] = await Promise.all([lstat(paths.data), lstat(paths.log)])
  if (tail.offset < bytes.length) {
    await truncate(paths.log, tail.offset)
    logger.warn({ digest, bytes: bytes.length - tail.offset, held: countBits(have) }, 'cut the torn end of a log')
  }
  return { digest, size, have, complete, usedBytes: (data.blocks + log.blocks) * 512, lastUsedAt: log.mtimeMs }
}
