import { describe, expect, test } from 'vitest'
import { createBufferPool } from '../../../agent/swarm/buffer-pool.ts'
import { createProver } from '../../../agent/swarm/whole-hash.ts'
import { ShoalError } from '../../../core/errors.ts'
import { bitfieldOf, setBit } from '../../../core/swarm/bitfield.ts'
import { limits } from '../../../core/limits.ts'
import { KiB } from '../../../core/units.ts'
import { contentFrom, contentOf, flipped, type Content } from '../../support/content.ts'
import { createMemoryStore } from '../../support/memory-store.ts'
import { until } from '../../support/until.ts'

const content = contentFrom('proof', 1250 * KiB)

function provable({ digest, size, chunks }: Content, bytes: Uint8Array) {
  const reads: number[] = []
  const have = bitfieldOf(chunks)
  const read = async (offset: number, length: number): Promise<Uint8Array> => {
    reads.push(offset)
    return bytes.subarray(offset, offset + length)
  }
  return { digest, size, have, read, reads }
}

describe('a prover', () => {
  test('proves a blob whose chunks come in any order', async () => {
    const blob = provable(content, content.bytes)
    const prover = createProver(blob, createBufferPool())
    for (const index of [3, 0, 1, 9, 8, 2, 7, 5, 6, 4]) {
      setBit(blob.have, index)
      prover.advance()
    }
    expect(await prover.proved()).toBe(true)
    expect(blob.reads).toEqual(Array.from({ length: 10 }, (_, index) => index * limits.chunkSizeMinBytes))
  })

  test('refutes a blob with one wrong bit', async () => {
    const blob = provable(content, flipped(content.bytes, content.size - 1))
    blob.have.fill(0xff)
    expect(await createProver(blob, createBufferPool()).proved()).toBe(false)
  })

  test('proves an empty blob', async () => {
    const empty = contentOf(Buffer.alloc(0))
    expect(await createProver(provable(empty, empty.bytes), createBufferPool()).proved()).toBe(true)
  })

  test('waits for a chunk that could not be read to come again', async () => {
    const blob = provable(content, content.bytes)
    blob.have.fill(0xff)
    let fails = 1
    const read = async (offset: number, length: number): Promise<Uint8Array> => {
      if (offset >= 512 * KiB && fails-- > 0) throw new ShoalError('CHUNK_CORRUPT', 'no')
      return blob.read(offset, length)
    }
    const failed = Promise.withResolvers<void>()
    const failing = {
      ...blob,
      read: (offset: number, length: number) =>
        read(offset, length).catch((error: unknown) => {
          failed.resolve()
          throw error
        }),
    }
    const prover = createProver(failing, createBufferPool())
    await failed.promise
    prover.advance()
    expect(await prover.proved()).toBe(true)
  })

  test('reads no more once it is stopped', async () => {
    const blob = provable(content, content.bytes)
    const prover = createProver(blob, createBufferPool())
    prover.stop()
    blob.have.fill(0xff)
    prover.advance()
    await expect(prover.proved()).rejects.toThrow('stopped')
    expect(blob.reads).toEqual([])
  })

  test('holds no memory while it waits for a chunk', async () => {
    const blob = provable(content, content.bytes)
    const taken: Uint8Array[] = []
    const given: Uint8Array[] = []
    const pool = createBufferPool()
    const counted = {
      take(length: number): Uint8Array {
        taken.push(pool.take(length))
        return taken.at(-1)!
      },
      give: (bytes: Uint8Array) => void given.push(bytes),
    }
    const prover = createProver(blob, counted)
    setBit(blob.have, 0)
    prover.advance()
    await until(() => blob.reads.length === 1 && given.length === taken.length)
    expect(given.map((one) => taken.indexOf(one))).toEqual([...taken.keys()])
    blob.have.fill(0xff)
    prover.advance()
    expect(await prover.proved()).toBe(true)
    expect(given.map((one) => taken.indexOf(one))).toEqual([...taken.keys()])
  })

  test('proves from a store', async () => {
    const store = createMemoryStore()
    store.commit(content.bytes)
    expect(await createProver(await store.open(content.digest, content.size), createBufferPool()).proved()).toBe(true)
  })
})
