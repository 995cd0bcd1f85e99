/**
 * The seams of Shoal. Everything that core needs from the world, it takes as one of these; each has an in-memory
 * twin, and one suite in `test/contracts` runs on the twin and on the real thing.
 */
import type { Digest } from './oci/digest.ts'
import type { Entry } from './swarm/entry.ts'
import type { Lessons } from './swarm/lessons.ts'

/** A libp2p peer ID in its text form (`12D3KooW…`, Ed25519 only). */
export type PeerId = string & { readonly brand?: 'peer' }

/** Monotonic time. The only way core may learn the time. */
export interface Clock {
  /** Milliseconds since an arbitrary start; never goes backwards. */
  now(): number
}

/** The only source of chance in core. */
export interface Random {
  /** A uniform integer in `[0, limit)`. */
  below(limit: number): number
  /** An independent stream, so that a new draw here does not shift the draws elsewhere. */
  fork(name: string): Random
}

/** Who signs entries on this node, and who checks those of others. Ed25519 over the bytes that `entryPayload` gives. */
export interface Notary {
  readonly self: PeerId
  sign(payload: Uint8Array): Uint8Array
  verify(signer: PeerId, payload: Uint8Array, signature: Uint8Array): boolean
}

/** What a store says of one blob. `have[index]` is a bit, least significant first; see core/swarm/bitfield.ts. */
export interface StoredBlobState {
  readonly digest: Digest
  readonly size: number
  /** All chunks are here and the whole blob matched its digest. */
  readonly complete: boolean
  readonly have: Uint8Array
}

/**
 * Where verified chunks rest. One copy per digest. Every method rejects with a ShoalError of code `DISK_…`
 * when the disk is full or fails; the caller then passes bytes through without keeping them.
 */
export interface BlobStore {
  /** What is held, without touching the disk. */
  state(digest: Digest): StoredBlobState | undefined
  /** All blobs held, complete or not. */
  list(): Iterable<StoredBlobState>
  /**
   * Opens a blob for reading and, unless it is a read-only copy of containerd's, for writing; creates it where it is not.
   * An open blob is never evicted. Rejects with `SIZE_CONFLICT` when the digest is held with another size and is open or
   * proven; an unproven copy that nobody has open gives way, since its size may have come from a lying manifest.
   */
  open(digest: Digest, size: number): Promise<StoredBlob>
  /** Drops a blob that nobody has open (else `false`). */
  remove(digest: Digest): Promise<boolean>
  /**
   * Called whenever a blob has left the store (evicted, removed, vanished from containerd, found corrupt). Where a lesser
   * copy is left, `onFound` follows with what that holds.
   */
  onEvicted(listener: (digest: Digest) => void): void
  /** Called whenever a blob arrived by another way than `write` (containerd committed it, and its hash was checked). */
  onFound(listener: (state: StoredBlobState) => void): void
}

/** One blob, opened; close it exactly once. */
export interface StoredBlob {
  readonly digest: Digest
  readonly size: number
  readonly source: 'shoal' | 'containerd'
  /** Live view of the chunks held; the same array that `state().have` shows (unless containerd has the blob by now). */
  readonly have: Uint8Array
  readonly complete: boolean
  /** The entry kept with a chunk; undefined where none was kept (containerd's copy). */
  entry(index: number): Entry | undefined
  /** SHA-256 of a chunk held, in lower-case hex, without reading its data. */
  hash(index: number): string | undefined
  /** Keeps a chunk whose hash was checked: data first, then the log record. `parts` are the chunk's bytes in order. */
  write(index: number, parts: readonly Uint8Array[], entry: Entry): Promise<void>
  /**
   * Reads bytes that lie in held chunks. A chunk read for the first time since the process started is hashed
   * first; when it does not match it is dropped from `have` and the read rejects with `CHUNK_CORRUPT`, as does a read of
   * a chunk that is not held (any more). `into`, of at least `length` bytes, is filled and its start returned in place of
   * a new buffer: whoever reads much and lets go soon saves half the cost so.
   */
  read(offset: number, length: number, into?: Uint8Array): Promise<Uint8Array>
  /** SHA-256 of each chunk is proven by the whole blob's digest from here on. */
  markComplete(): Promise<void>
  /** The whole blob did not match its digest: every chunk is dropped, or of those that are held these. */
  discard(indices?: readonly number[]): Promise<void>
  close(): Promise<void>
}

/** What lies have taught this node, over restarts. Where that is lost, each liar can deceive it once more, and no worse happens. */
export interface LessonStore {
  /** What was kept last, by this process or the one before, and how old it has become; nothing where that can't be read. */
  kept(): Lessons
  /** Takes the place of all that was kept. Resolves when the next process will have it, or it is clear that it can't be kept. */
  keep(lessons: Lessons): Promise<void>
}
