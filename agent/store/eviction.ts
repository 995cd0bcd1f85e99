/** Who must go when room is wanted: blobs that containerd holds too, then those used longest ago; never one in use or pinned. */
import type { Digest } from '../../core/oci/digest.ts'
import { chunkCountOf } from '../../core/swarm/chunks.ts'
import type { ContainerdContent } from './containerd-content.ts'
import type { Shelf, Shelves } from './shelves.ts'
import type { Excess } from './space.ts'

export interface EvictionComponents {
  readonly shelves: Shelves
  readonly containerd: ContainerdContent | undefined
}

export interface Eviction {
  readonly pins: Set<Digest>
  readonly evictedBlobs: number
  readonly evictedBytes: number
  /** Evicts until so much is gone, or nothing more can go. */
  evict(excess: Excess): Promise<void>
}

export function createEviction({ shelves, containerd }: EvictionComponents): Eviction {
  const pins = new Set<Digest>()
  let evictedBlobs = 0
  let evictedBytes = 0

  function isEvictable(shelf: Shelf): boolean {
    return shelf.users === 0 && !pins.has(shelf.digest) && shelves.get(shelf.digest) === shelf
  }

  function copiesElsewhere({ digest }: Shelf): number {
    return containerd?.holds(digest) === true ? 1 : 0
  }

  async function evict(excess: Excess): Promise<void> {
    const candidates = [...shelves.values()].filter(isEvictable)
    candidates.sort((a, b) => copiesElsewhere(b) - copiesElsewhere(a) || a.lastUsedAt - b.lastUsedAt)
    let { bytes, blobs } = excess
    for (const shelf of candidates) {
      if (bytes <= 0 && blobs <= 0) return
      const { usedBytes } = shelf
      if (!(await evictShelf(shelf))) continue
      bytes -= usedBytes
      blobs--
    }
  }

  async function evictShelf(shelf: Shelf): Promise<boolean> {
    const hashes = shelf.complete && copiesElsewhere(shelf) > 0 ? await hashesOf(shelf) : undefined
    if (!isEvictable(shelf)) return false
    // containerd's copy takes over with the hashes that we have proven, so that the blob never leaves the store.
    if (hashes !== undefined && shelf.complete) containerd?.adopt(shelf.digest, shelf.size, hashes)
    evictedBlobs++
    evictedBytes += shelf.usedBytes
    await shelves.remove(shelf)
    return true
  }

  /** 32 bytes per chunk; undefined when the log no longer tells them all. */
  async function hashesOf({ digest, size }: Shelf): Promise<Uint8Array | undefined> {
    const used = await shelves.use(digest, size).catch(() => undefined)
    if (used === undefined) return undefined
    const hashes: Buffer[] = []
    for (let index = 0; index < chunkCountOf(size); index++)
      hashes.push(Buffer.from(used.blob.entry(index)?.hash ?? '', 'hex'))
    shelves.release(used.shelf)
    const all = Buffer.concat(hashes)
    return all.length === 32 * chunkCountOf(size) ? all : undefined
  }

  return {
    pins,
    get evictedBlobs() {
      return evictedBlobs
    },
    get evictedBytes() {
      return evictedBytes
    },
    evict,
  }
}
