import { afterEach, beforeEach, expect, test } from 'vitest'
import type { Digest } from '../../core/oci/digest.ts'
import type { BlobStore, StoredBlobState } from '../../core/ports.ts'
import { fullBitfield } from '../../core/swarm/bitfield.ts'
import { limits } from '../../core/limits.ts'
import { KiB } from '../../core/units.ts'
import { contentFrom, contentOf, fill } from '../support/content.ts'
import { eventually } from '../support/disk-store.ts'

export interface StoreUnderTest {
  readonly store: BlobStore
  /** The store as the next process finds it; handles and listeners of before are void. */
  restart(): Promise<BlobStore>
  /** Flips a bit of a chunk at rest. */
  corrupt(digest: Digest, index: number): Promise<void>
  /** containerd commits a blob, or deletes it. */
  commit(bytes: Buffer): Promise<void>
  forget(digest: Digest): Promise<void>
  end(): Promise<void>
}

/** Three chunks, the last one short. */
const content = contentFrom('contract', 300 * KiB)
const { digest, size } = content
const corrupt = { code: 'CHUNK_CORRUPT' }

const partial = (have: number): StoredBlobState => ({ digest, size, complete: false, have: Uint8Array.of(have) })

/** What every blob store holds to. */
export function storeContract(start: () => Promise<StoreUnderTest>): void {
  let underTest: StoreUnderTest
  let store: BlobStore
  beforeEach(async () => {
    underTest = await start()
    store = underTest.store
  })
  afterEach(() => underTest.end())

  const restart = async (): Promise<void> => {
    store = await underTest.restart()
  }

  async function keep(indices?: readonly number[]): Promise<void> {
    const blob = await store.open(digest, size)
    await fill(blob, content, indices)
    await blob.close()
  }

  async function keepComplete(): Promise<void> {
    const blob = await store.open(digest, size)
    await fill(blob, content)
    await blob.markComplete()
    await blob.close()
  }

  test('holds nothing at first', async () => {
    expect(store.state(digest)).toBeUndefined()
    expect([...store.list()]).toEqual([])
    expect(await store.remove(digest)).toBe(false)
  })

  test('gives back what was written, in any pieces', async () => {
    const blob = await store.open(digest, size)
    expect(blob).toMatchObject({ digest, size, source: 'shoal', complete: false })
    await blob.write(1, [content.chunk(1).subarray(0, 1), content.chunk(1).subarray(1)], content.entry(1))
    await fill(blob, content, [0, 2])
    for (const [offset, length] of [
      [0, size],
      [0, 0],
      [limits.chunkSizeMinBytes - 1, 2],
      [size - 1, 1],
      [100, 150 * KiB],
    ] as const)
      expect(content.bytes.compare(await blob.read(offset, length), 0, length, offset, offset + length)).toBe(0)
    await blob.close()
  })

  test('fills the buffer it is given', async () => {
    const blob = await store.open(digest, size)
    await fill(blob, content)
    const into = Buffer.alloc(100, 0xee)
    const bytes = await blob.read(5, 60, into)
    expect(Buffer.from(bytes)).toEqual(content.bytes.subarray(5, 65))
    expect(into.subarray(0, 60)).toEqual(content.bytes.subarray(5, 65))
    expect(into.subarray(60)).toEqual(Buffer.alloc(40, 0xee))
    await blob.close()
  })

  test('shows a chunk as held once, and only once, it is kept', async () => {
    const blob = await store.open(digest, size)
    const writing = blob.write(2, [content.chunk(2)], content.entry(2))
    expect(blob.have).toEqual(Uint8Array.of(0))
    await writing
    expect(blob.have).toEqual(Uint8Array.of(0b100))
    expect(store.state(digest)).toEqual(partial(0b100))
    expect(store.state(digest)?.have).toBe(blob.have)
    await blob.close()
  })

  test('keeps entries, also over a restart', async () => {
    await keep()
    await restart()
    const blob = await store.open(digest, size)
    for (const index of [0, 1, 2]) {
      expect(blob.entry(index)).toEqual(content.entry(index))
      expect(blob.hash(index)).toBe(content.entry(index).hash)
    }
    expect(blob.entry(3)).toBeUndefined()
    await blob.close()
  })

  test('keeps chunks over a restart, and takes the rest then', async () => {
    await keep([0, 2])
    await restart()
    expect([...store.list()]).toEqual([partial(0b101)])
    const blob = await store.open(digest, size)
    expect(Buffer.from(await blob.read(0, limits.chunkSizeMinBytes))).toEqual(content.chunk(0))
    await expect(blob.read(0, size)).rejects.toMatchObject(corrupt)
    await fill(blob, content, [1])
    expect(content.bytes.equals(await blob.read(0, size))).toBe(true)
    await blob.close()
  })

  test('writes a chunk once, whoever else brings it', async () => {
    const [one, other] = [await store.open(digest, size), await store.open(digest, size)]
    await Promise.all([fill(one, content), fill(other, content), fill(one, content)])
    expect(other.have).toBe(one.have)
    await one.close()
    expect(content.bytes.equals(await other.read(0, size))).toBe(true)
    await other.close()
  })

  test('knows a complete blob, also after a restart', async () => {
    const blob = await store.open(digest, size)
    await fill(blob, content, [0, 1])
    await expect(blob.markComplete()).rejects.toThrow(RangeError)
    await fill(blob, content, [2])
    expect(blob.complete).toBe(false)
    await blob.markComplete()
    expect(blob.complete).toBe(true)
    await blob.close()
    expect(store.state(digest)).toEqual({ ...partial(0b111), complete: true })
    await restart()
    expect(store.state(digest)).toEqual({ ...partial(0b111), complete: true })
  })

  test('keeps an empty blob', async () => {
    const empty = contentOf(Buffer.alloc(0))
    const blob = await store.open(empty.digest, 0)
    await blob.markComplete()
    expect(await blob.read(0, 0)).toHaveLength(0)
    await blob.close()
    await restart()
    expect(store.state(empty.digest)).toEqual({
      digest: empty.digest,
      size: 0,
      complete: true,
      have: new Uint8Array(0),
    })
  })

  test('forgets a blob that was opened and never written', async () => {
    const blob = await store.open(digest, size)
    await blob.close()
    await blob.close()
    expect(store.state(digest)).toBeUndefined()
    expect([...store.list()]).toEqual([])
  })

  test('discards a refuted blob for good, and takes it again', async () => {
    const blob = await store.open(digest, size)
    await fill(blob, content)
    await blob.discard()
    expect(blob.have).toEqual(Uint8Array.of(0))
    await expect(blob.read(0, 1)).rejects.toMatchObject(corrupt)
    await fill(blob, content, [1])
    expect(Buffer.from(await blob.read(limits.chunkSizeMinBytes, limits.chunkSizeMinBytes))).toEqual(content.chunk(1))
    await blob.close()
    await restart()
    expect(store.state(digest)).toEqual(partial(0b010))
  })

  test('discards some chunks of a refuted blob for good, and takes them again', async () => {
    const blob = await store.open(digest, size)
    await fill(blob, content)
    await blob.discard([0, 2])
    expect(blob.have).toEqual(Uint8Array.of(0b010))
    expect(blob.hash(0)).toBeUndefined()
    await expect(blob.read(0, 1)).rejects.toMatchObject(corrupt)
    await fill(blob, content, [2])
    await blob.discard([0])
    await blob.close()
    await restart()
    expect(store.state(digest)).toEqual(partial(0b110))
  })

  test('takes no chunk that was being written when the blob was discarded', async () => {
    const blob = await store.open(digest, size)
    const discarded = async (written: Promise<void>): Promise<void> => {
      await Promise.all([blob.discard(), expect(written).rejects.toMatchObject(corrupt)])
      expect(blob.have).toEqual(Uint8Array.of(0))
    }
    await discarded(fill(blob, content, [0]))
    await fill(blob, content, [2])
    await discarded(fill(blob, content, [1]))
    await fill(blob, content, [0])
    await blob.close()
    await restart()
    expect(store.state(digest)).toEqual(partial(0b001))
  })

  test('hashes chunks at rest before their first read, and drops those that are wrong', async () => {
    await keepComplete()
    await underTest.corrupt(digest, 1)
    await restart()
    expect(store.state(digest)?.complete).toBe(true)
    const blob = await store.open(digest, size)
    await expect(Promise.all([blob.read(limits.chunkSizeMinBytes, 1), blob.read(150 * KiB, 9)])).rejects.toMatchObject(
      corrupt,
    )
    expect(blob.have).toEqual(Uint8Array.of(0b101))
    expect(blob.complete).toBe(false)
    await expect(blob.read(limits.chunkSizeMinBytes, 1)).rejects.toMatchObject(corrupt)
    expect(Buffer.from(await blob.read(0, limits.chunkSizeMinBytes))).toEqual(content.chunk(0))
    await fill(blob, content, [1])
    expect(content.bytes.equals(await blob.read(0, size))).toBe(true)
    await blob.close()
    await restart()
    expect(store.state(digest)).toEqual(partial(0b111))
  })

  test('remembers over a restart that a chunk was dropped', async () => {
    await keep()
    await underTest.corrupt(digest, 1)
    await restart()
    const blob = await store.open(digest, size)
    await expect(blob.read(limits.chunkSizeMinBytes, 1)).rejects.toMatchObject(corrupt)
    await blob.close()
    await restart()
    expect(store.state(digest)).toEqual(partial(0b101))
  })

  test('removes a blob that nobody has open, and says so', async () => {
    const evicted: Digest[] = []
    store.onEvicted((gone) => evicted.push(gone))
    const blob = await store.open(digest, size)
    await fill(blob, content)
    expect(await store.remove(digest)).toBe(false)
    await blob.close()
    expect(await store.remove(digest)).toBe(true)
    expect(evicted).toEqual([digest])
    expect(store.state(digest)).toBeUndefined()
    await keep([2])
    expect(store.state(digest)).toEqual(partial(0b100))
  })

  test('refuses a second size of a blob that is open or proven', async () => {
    const blob = await store.open(digest, size)
    await expect(store.open(digest, size + 1)).rejects.toMatchObject({ code: 'SIZE_CONFLICT' })
    await fill(blob, content)
    await blob.markComplete()
    await blob.close()
    await expect(store.open(digest, size + 1)).rejects.toMatchObject({ code: 'SIZE_CONFLICT' })
  })

  test('lets an unproven copy of another size go when the digest is opened anew', async () => {
    const liar = await store.open(digest, 150 * KiB)
    await liar.write(0, [content.chunk(0)], content.entry(0))
    await liar.close()
    await keep([0])
    expect(store.state(digest)).toEqual(partial(0b001))
  })

  test('takes no chunk of a wrong length or place, and reads nothing outside the blob', async () => {
    const blob = await store.open(digest, size)
    await expect(blob.write(0, [content.chunk(2)], content.entry(0))).rejects.toThrow(RangeError)
    await expect(blob.write(3, [content.chunk(2)], content.entry(3))).rejects.toThrow(RangeError)
    await fill(blob, content)
    await expect(blob.read(size - 1, 2)).rejects.toThrow(RangeError)
    await expect(blob.read(-1, 1)).rejects.toThrow(RangeError)
    await blob.close()
    await expect(store.open(digest, -1)).rejects.toThrow(RangeError)
  })

  test("serves containerd's copy once it is hashed", async () => {
    const found: StoredBlobState[] = []
    store.onFound((state) => found.push(state))
    await underTest.commit(content.bytes)
    await eventually(() => found.length > 0)
    const state = { digest, size, complete: true, have: fullBitfield(3) }
    expect(found).toEqual([state])
    expect(store.state(digest)).toEqual(state)
    expect([...store.list()]).toEqual([state])
    const blob = await store.open(digest, size)
    expect(blob).toMatchObject({ digest, size, source: 'containerd', complete: true })
    expect(blob.entry(1)).toBeUndefined()
    expect([0, 1, 2, 3].map((index) => blob.hash(index))).toEqual([
      ...[0, 1, 2].map((index) => content.entry(index).hash),
      undefined,
    ])
    await fill(blob, content)
    await blob.markComplete()
    expect(content.bytes.equals(await blob.read(0, size))).toBe(true)
    await expect(store.open(digest, size + 1)).rejects.toMatchObject({ code: 'SIZE_CONFLICT' })
    await blob.close()
  })

  test("keeps nothing in containerd's copy once that is refuted, and takes the blob in one of its own", async () => {
    await underTest.commit(content.bytes)
    await eventually(() => store.state(digest) !== undefined)
    const copy = await store.open(digest, size)
    await copy.discard([1])
    expect(copy).toMatchObject({ source: 'containerd', complete: false, have: Uint8Array.of(0) })
    expect(store.state(digest)).toBeUndefined()
    await expect(fill(copy, content, [0])).rejects.toMatchObject({ code: 'DISK_FAILED' })
    await expect(copy.markComplete()).rejects.toMatchObject({ code: 'DISK_FAILED' })
    expect(copy).toMatchObject({ complete: false, have: Uint8Array.of(0) })
    await copy.close()
    await keep([0])
    expect(store.state(digest)).toEqual(partial(0b001))
  })

  test("has containerd's copy again after a restart", async () => {
    await underTest.commit(content.bytes)
    await eventually(() => store.state(digest) !== undefined)
    await restart()
    await eventually(() => store.state(digest) !== undefined)
    const blob = await store.open(digest, size)
    expect(blob).toMatchObject({ source: 'containerd', complete: true })
    expect(content.bytes.equals(await blob.read(0, size))).toBe(true)
    await blob.close()
  })

  test('reads on in a copy that containerd has deleted, and says that it is gone', async () => {
    const evicted: Digest[] = []
    store.onEvicted((gone) => evicted.push(gone))
    await underTest.commit(content.bytes)
    await eventually(() => store.state(digest) !== undefined)
    const blob = await store.open(digest, size)
    await underTest.forget(digest)
    await eventually(() => evicted.length > 0)
    expect(evicted).toEqual([digest])
    expect(store.state(digest)).toBeUndefined()
    expect(content.bytes.equals(await blob.read(0, size))).toBe(true)
    await blob.close()
  })

  test("falls back to its own part when containerd's copy goes", async () => {
    await keep([1])
    const seen: (StoredBlobState | Digest)[] = []
    store.onFound((state) => seen.push(state))
    store.onEvicted((gone) => seen.push(gone))
    await underTest.commit(content.bytes)
    await eventually(() => seen.length === 1)
    await underTest.forget(digest)
    await eventually(() => seen.length === 3)
    expect(seen).toEqual([{ ...partial(0b111), complete: true }, digest, partial(0b010)])
  })

  test('serves its own proven copy where containerd has one too', async () => {
    await keepComplete()
    await underTest.commit(content.bytes)
    const blob = await store.open(digest, size)
    expect(blob.source).toBe('shoal')
    await blob.close()
  })
}
