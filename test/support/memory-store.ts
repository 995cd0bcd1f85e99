/** The store's in-memory twin: keeps the same contract (test/contracts/store.ts), and lets a test play disk and containerd. */
import { createHash } from 'node:crypto'
import { type ErrorCode, ShoalError } from '../../core/errors.ts'
import type { Digest } from '../../core/oci/digest.ts'
import type { BlobStore, StoredBlob, StoredBlobState } from '../../core/ports.ts'
import { bitfieldOf, clearBit, countBits, fullBitfield, hasBit, setBit } from '../../core/swarm/bitfield.ts'
import { chunkCountOf, chunkLengthOf, chunksOf, chunkSizeOf } from '../../core/swarm/chunks.ts'
import type { Entry } from '../../core/swarm/entry.ts'
import { contentOf } from './content.ts'

export interface MemoryStore extends BlobStore {
  /** As after a restart of the process: nothing is open, and every chunk is hashed again before its first read. */
  restart(): void
  /** Flips a bit of a chunk at rest. */
  corrupt(digest: Digest, index: number): void
  /** Evicts a blob that nobody has open. */
  evict(digest: Digest): void
  /** Writes reject with this code from here on; undefined: they work again. */
  refuse(code: Extract<ErrorCode, 'DISK_FULL' | 'DISK_FAILED'> | undefined, which?: (index: number) => boolean): void
  /** Writes hang from here on, until what this returns is called. */
  hang(): () => void
  /** containerd commits a blob. */
  commit(bytes: Buffer): Digest
  /** containerd deletes a blob. */
  forget(digest: Digest): void
}

interface Held {
  readonly digest: Digest
  readonly size: number
  readonly bytes: Buffer
  readonly have: Uint8Array
  readonly entries: Map<number, Entry>
  readonly hashes: readonly string[] | undefined
  readonly verified: Set<number>
  complete: boolean
  users: number
  discards: number
}

const everyChunk = (): boolean => true

export function createMemoryStore(): MemoryStore {
  const own = new Map<Digest, Held>()
  const committed = new Map<Digest, Held>()
  const evicted: ((digest: Digest) => void)[] = []
  const found: ((state: StoredBlobState) => void)[] = []
  let refusal: Extract<ErrorCode, 'DISK_FULL' | 'DISK_FAILED'> | undefined
  let isRefused: (index: number) => boolean = everyChunk
  let hanging = Promise.resolve()

  function current(digest: Digest): Held | undefined {
    const mine = own.get(digest)
    return mine?.complete === true ? mine : (committed.get(digest) ?? mine)
  }

  function announceFound(held: Held | undefined): void {
    if (held !== undefined) for (const listener of found) listener(stateOf(held))
  }

  function lost(digest: Digest): void {
    const left = current(digest)
    if (left?.complete === true) return
    for (const listener of evicted) listener(digest)
    announceFound(left)
  }

  function drop(digest: Digest): boolean {
    const held = own.get(digest)
    if (held === undefined || held.users > 0) return false
    own.delete(digest)
    lost(digest)
    return true
  }

  function openOwn(digest: Digest, size: number): StoredBlob {
    const held = own.get(digest) ?? emptyHeld(digest, size)
    if (held.size !== size) {
      if (held.complete || held.users > 0)
        throw new ShoalError('SIZE_CONFLICT', `${digest} has ${held.size} bytes here`)
      drop(digest)
      return openOwn(digest, size)
    }
    own.set(digest, held)
    held.users++
    return handle(held, 'shoal', () => {
      held.users--
      if (held.users === 0 && !held.complete && countBits(held.have) === 0) own.delete(digest)
    })
  }

  function openCommitted(held: Held, size: number): StoredBlob {
    if (held.size !== size) throw new ShoalError('SIZE_CONFLICT', `${held.digest} has ${held.size} bytes here`)
    return handle(held, 'containerd', () => {})
  }

  /** containerd's copy is wrong somewhere: none of it is believed any more. */
  function refute(held: Held): void {
    clear(held, chunksOf(held.size))
    if (committed.get(held.digest) !== held) return
    committed.delete(held.digest)
    lost(held.digest)
  }

  function handle(held: Held, source: StoredBlob['source'], onClose: () => void): StoredBlob {
    let isOpen = true
    return {
      digest: held.digest,
      size: held.size,
      source,
      have: held.have,
      get complete() {
        return held.complete
      },
      entry: (index) => held.entries.get(index),
      hash: (index) => held.hashes?.[index] ?? held.entries.get(index)?.hash,
      async write(index, parts, entry) {
        requireChunk(held, index, parts)
        if (hasBit(held.have, index)) return
        if (source === 'containerd') throw refuted(held)
        if (refusal !== undefined && isRefused(index)) throw new ShoalError(refusal, 'the test refuses writes')
        const { discards } = held
        await hanging
        if (held.discards !== discards) throw new ShoalError('CHUNK_CORRUPT', `${held.digest} was discarded`)
        Buffer.concat(parts).copy(held.bytes, index * chunkSizeOf(held.size))
        held.entries.set(index, entry)
        held.verified.add(index)
        setBit(held.have, index)
      },
      async read(offset, length, into) {
        try {
          return read(held, offset, length, into)
        } finally {
          if (source === 'containerd' && !held.complete) refute(held)
        }
      },
      async markComplete() {
        if (source === 'containerd' && !held.complete) throw refuted(held)
        if (countBits(held.have) !== chunkCountOf(held.size)) throw new RangeError(`${held.digest} lacks chunks`)
        held.complete = true
      },
      async discard(indices) {
        if (source === 'containerd') return refute(held)
        clear(held, indices ?? chunksOf(held.size))
        if (indices === undefined) held.discards++
      },
      async close() {
        if (isOpen) onClose()
        isOpen = false
      },
    }
  }

  return {
    state(digest) {
      const held = current(digest)
      return held === undefined ? undefined : stateOf(held)
    },
    *list() {
      for (const digest of new Set([...own.keys(), ...committed.keys()])) {
        const held = current(digest)
        if (held !== undefined) yield stateOf(held)
      }
    },
    async open(digest, size) {
      const copy = own.get(digest)?.complete === true ? undefined : committed.get(digest)
      return copy === undefined ? openOwn(digest, size) : openCommitted(copy, size)
    },
    remove: async (digest) => drop(digest),
    onEvicted: (listener) => void evicted.push(listener),
    onFound: (listener) => void found.push(listener),
    restart() {
      for (const held of [...own.values(), ...committed.values()]) {
        held.users = 0
        held.verified.clear()
      }
    },
    corrupt(digest, index) {
      const held = current(digest)
      if (held === undefined) throw new RangeError(`${digest} is not held`)
      const at = index * chunkSizeOf(held.size)
      held.bytes[at] = (held.bytes[at] ?? 0) ^ 1
    },
    evict: (digest) => void drop(digest),
    refuse(code, which = everyChunk) {
      refusal = code
      isRefused = which
    },
    hang() {
      const { promise, resolve } = Promise.withResolvers<void>()
      hanging = promise
      return resolve
    },
    commit(bytes) {
      const held = committedHeld(bytes)
      committed.set(held.digest, held)
      announceFound(current(held.digest))
      return held.digest
    },
    forget(digest) {
      if (committed.delete(digest)) lost(digest)
    },
  }
}

function stateOf({ digest, size, complete, have }: Held): StoredBlobState {
  return { digest, size, complete, have }
}

function emptyHeld(digest: Digest, size: number): Held {
  if (!Number.isSafeInteger(size) || size < 0) throw new RangeError(`a blob of ${size} bytes`)
  return {
    digest,
    size,
    bytes: Buffer.alloc(size),
    have: bitfieldOf(chunkCountOf(size)),
    entries: new Map(),
    hashes: undefined,
    verified: new Set(),
    complete: false,
    users: 0,
    discards: 0,
  }
}

function committedHeld(bytes: Buffer): Held {
  const { digest, size, chunks, entry } = contentOf(Buffer.from(bytes))
  const indices = Array.from({ length: chunks }, (_, index) => index)
  return {
    ...emptyHeld(digest, size),
    bytes: Buffer.from(bytes),
    have: fullBitfield(chunks),
    hashes: indices.map((index) => entry(index).hash),
    verified: new Set(indices),
    complete: true,
  }
}

function clear(held: Held, indices: Iterable<number>): void {
  for (const index of indices) {
    clearBit(held.have, index)
    held.entries.delete(index)
  }
  held.complete = false
}

function refuted({ digest }: Held): ShoalError {
  return new ShoalError('DISK_FAILED', `containerd's copy of ${digest} is corrupt and takes no chunks`)
}

function requireChunk({ size }: Held, index: number, parts: readonly Uint8Array[]): void {
  const isIndex = Number.isInteger(index) && index >= 0 && index < chunkCountOf(size)
  const length = parts.reduce((sum, part) => sum + part.length, 0)
  if (!isIndex || length !== chunkLengthOf(size, index)) throw new RangeError(`chunk ${index} of ${length} bytes`)
}

function read(held: Held, offset: number, length: number, into: Uint8Array = Buffer.alloc(length)): Uint8Array {
  if (offset < 0 || length < 0 || offset + length > held.size) throw new RangeError(`bytes ${offset}+${length}`)
  const chunkSize = chunkSizeOf(held.size)
  for (let index = Math.floor(offset / chunkSize); index * chunkSize < offset + length; index++) verify(held, index)
  into.set(held.bytes.subarray(offset, offset + length))
  return into.subarray(0, length)
}

function verify(held: Held, index: number): void {
  const start = index * chunkSizeOf(held.size)
  const bytes = held.bytes.subarray(start, start + chunkLengthOf(held.size, index))
  const isKnown = held.verified.has(index)
  const expected = held.hashes?.[index] ?? held.entries.get(index)?.hash
  if (hasBit(held.have, index) && (isKnown || createHash('sha256').update(bytes).digest('hex') === expected)) {
    held.verified.add(index)
    return
  }
  clearBit(held.have, index)
  held.complete = false
  throw new ShoalError('CHUNK_CORRUPT', `chunk ${index} of ${held.digest} is not held`)
}
