/**
 * Chunk hashes of containerd's files, kept so that an agent that restarts need not read all of them again before it says that it
 * has them. One file for each, which counts for the very file that was hashed and for no other; and each chunk is hashed again
 * before its first read, as everything at rest is.
 *
 *     'shoal hashes 1\n' | SHA-256 (32) | chunk size u32 | identity length u16 | identity | 32 bytes for each chunk | crc u32
 *
 * Integers are big-endian. It is written in one go and not synced: the CRC tells what a crash has left of it.
 */
import { mkdir, readFile, rm, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { crc32 } from 'node:zlib'
import { digestFromHex, type Digest, digestHex } from '../../core/oci/digest.ts'
import { chunkCountOf, chunkSizeOf } from '../../core/swarm/chunks.ts'
import { namesIn } from '../kept-file.ts'
import type { SeenFile } from './containerd-files.ts'
import { errnoOf } from './disk.ts'
import type { StoreLogger } from './logger.ts'

type HashedFile = Pick<SeenFile, 'identity' | 'size'>

export interface KeptHashes {
  /** 32 bytes for each chunk; undefined where none were kept of this very file. */
  read(digest: Digest, file: HashedFile): Promise<Uint8Array | undefined>
  /** Where that fails, it is hashed again after a restart; said once. */
  keep(digest: Digest, file: HashedFile, hashes: Uint8Array): Promise<void>
  drop(digest: Digest): Promise<void>
  /** Drops those of all others. */
  dropAllBut(isThere: (digest: Digest) => boolean): Promise<void>
}

/** `directory` is made when it is needed. */
export function createKeptHashes(
  { logger }: { readonly logger: StoreLogger },
  { directory }: { readonly directory: string },
): KeptHashes {
  const pathOf = (digest: Digest): string => join(directory, digestHex(digest))
  let hasSaidFailed = false

  async function attempt(work: () => Promise<unknown>): Promise<void> {
    try {
      await work()
    } catch (error) {
      const message = "hashes of containerd's copies can not be kept: after a restart they are hashed again"
      if (!hasSaidFailed) logger.warn({ directory, errno: errnoOf(error) }, message)
      hasSaidFailed = true
    }
  }

  const drop = (digest: Digest): Promise<void> => attempt(() => rm(pathOf(digest), { force: true }))

  return {
    async read(digest, file) {
      const bytes = await readFile(pathOf(digest)).catch(() => undefined)
      return bytes && hashesIn(bytes, digest, file)
    },
    keep: (digest, file, hashes) =>
      attempt(async () => {
        await mkdir(directory, { recursive: true, mode: 0o700 })
        await writeFile(pathOf(digest), encodeHashes(digest, file, hashes), { mode: 0o600 })
      }),
    drop,
    dropAllBut: (isThere) =>
      attempt(async () => {
        const digests = (await namesIn(directory)).filter((name) => /^[0-9a-f]{64}$/.test(name)).map(digestFromHex)
        for (const digest of digests) if (!isThere(digest)) await drop(digest)
      }),
  }
}

const magic = Buffer.from('shoal hashes 1\n')
const crcBytes = 4

export function encodeHashes(digest: Digest, file: HashedFile, hashes: Uint8Array): Buffer {
  const bytes = Buffer.concat([headerOf(digest, file), hashes, Buffer.alloc(crcBytes)])
  bytes.writeUInt32BE(crc32(bytes.subarray(0, -crcBytes)), bytes.length - crcBytes)
  return bytes
}

function headerOf(digest: Digest, { identity, size }: HashedFile): Buffer {
  const numbers = Buffer.alloc(6)
  numbers.writeUInt32BE(chunkSizeOf(size))
  numbers.writeUInt16BE(Buffer.byteLength(identity), 4)
  return Buffer.concat([magic, Buffer.from(digestHex(digest), 'hex'), numbers, Buffer.from(identity)])
}

function hashesIn(bytes: Buffer, digest: Digest, file: HashedFile): Uint8Array | undefined {
  const header = headerOf(digest, file)
  const end = header.length + 32 * chunkCountOf(file.size)
  if (bytes.length !== end + crcBytes || !bytes.subarray(0, header.length).equals(header)) return undefined
  return crc32(bytes.subarray(0, end)) === bytes.readUInt32BE(end) ? bytes.subarray(header.length, end) : undefined
}
