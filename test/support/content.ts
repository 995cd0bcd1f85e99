/** Blobs for store tests: bytes that follow from a seed, and the entries that go with their chunks. */
import { createCipheriv, createHash } from 'node:crypto'
import { digestFromHex, type Digest } from '../../core/oci/digest.ts'
import type { StoredBlob } from '../../core/ports.ts'
import { chunkCountOf, chunkLengthOf, chunkSizeOf } from '../../core/swarm/chunks.ts'
import type { Entry } from '../../core/swarm/entry.ts'

export interface Content {
  readonly digest: Digest
  readonly size: number
  readonly bytes: Buffer
  readonly chunks: number
  readonly chunk: (index: number) => Buffer
  readonly entry: (index: number) => Entry
}

const sha256 = (bytes: Uint8Array): string => createHash('sha256').update(bytes).digest('hex')

export function contentFrom(seed: string, size: number): Content {
  const key = createHash('sha256').update(seed).digest().subarray(0, 16)
  return contentOf(createCipheriv('aes-128-ctr', key, Buffer.alloc(16)).update(Buffer.alloc(size)))
}

export function contentOf(bytes: Buffer): Content {
  const size = bytes.length
  const start = (index: number): number => index * chunkSizeOf(size)
  const chunk = (index: number): Buffer => bytes.subarray(start(index), start(index) + chunkLengthOf(size, index))
  return {
    digest: digestFromHex(sha256(bytes)),
    size,
    bytes,
    chunks: chunkCountOf(size),
    chunk,
    entry: (index) => ({
      index,
      hash: sha256(chunk(index)),
      witness: index % 2 === 0 ? { kind: 'fetched', origin: 'registry.example.com:5000' } : { kind: 'proved' },
      signer: '12D3KooWLRPJAA5o6YPpVXUGkLjPH8pcjmPjrTKTtZ2dWdTtqkqb',
      signature: Uint8Array.from({ length: 64 }, (_, at) => (at * 3 + index) & 0xff),
    }),
  }
}

/** Writes the given chunks of `content`, all of them if none are named. */
export async function fill(blob: StoredBlob, content: Content, indices?: readonly number[]): Promise<void> {
  for (const index of indices ?? Array.from({ length: content.chunks }, (_, each) => each))
    await blob.write(index, [content.chunk(index)], content.entry(index))
}

/** A copy of `bytes` with one bit flipped. */
export function flipped(bytes: Uint8Array, at: number): Buffer {
  const copy = Buffer.from(bytes)
  copy[at] = (copy[at] ?? 0) ^ 1
  return copy
}
