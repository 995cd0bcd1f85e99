import { expect, it } from 'vitest'
import { digestFromHex } from '../../core/oci/digest.ts'
import { createAssembly } from './assembly.ts'

const digest = digestFromHex('a'.repeat(64))
const piece = (length: number, from: number): { length: number; bytes: Uint8Array } => ({
  length,
  bytes: Uint8Array.from({ length }, (_, at) => from + at),
})

it('takes no more bytes of a chunk than it has, whatever is sent, so that what was kept stays as it was', () => {
  const assembly = createAssembly()
  assembly.begin(digest, 0, 'first', 1, 0, 3)
  assembly.append('first', 1, piece(2, 0))
  assembly.begin(digest, 0, 'other', 2, 2, 3)
  assembly.append('other', 2, piece(2, 2))
  expect(assembly.whole(digest, 0, 3)).toBeUndefined()
  assembly.append('other', 2, piece(1, 2))
  const kept = assembly.take(digest, 0, 3)
  assembly.append('other', 2, piece(1, 3))
  expect(kept).toEqual([piece(2, 0), piece(1, 2)])
})
