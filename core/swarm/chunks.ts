/** How a blob is cut: into chunks of one power-of-two size that follows from the blob's size alone, so all agents agree. */
import { limits } from '../limits.ts'

/** The chunk size of a blob of `size` bytes: about `limits.chunksPerBlobAim` chunks, within the limits. */
export function chunkSizeOf(size: number): number {
  let chunkSize: number = limits.chunkSizeMinBytes
  while (chunkSize < limits.chunkSizeMaxBytes && size / chunkSize > limits.chunksPerBlobAim) chunkSize *= 2
  return chunkSize
}

/** An empty blob has no chunk. */
export function chunkCountOf(size: number): number {
  return Math.ceil(size / chunkSizeOf(size))
}

/** The indices of all chunks. */
export function chunksOf(size: number): number[] {
  return Array.from({ length: chunkCountOf(size) }, (_, index) => index)
}

/** Bytes in chunk `index`; only the last one may be short. */
export function chunkLengthOf(size: number, index: number): number {
  const chunkSize = chunkSizeOf(size)
  return Math.min(chunkSize, size - index * chunkSize)
}
