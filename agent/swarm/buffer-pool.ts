import { limits } from '../../core/limits.ts'

/** Memory for chunks on their way, used again and again: fresh megabytes cost more in page faults and collection than in copying. */
export interface BufferPool {
  /** `length` bytes of anything. */
  take(length: number): Uint8Array
  /** What `take` gave is not needed any more; nobody may look at it again. */
  give(bytes: Uint8Array): void
}

export function createBufferPool(): BufferPool {
  const free = new Map<number, ArrayBufferLike[]>()
  let freeBytes = 0

  function take(length: number): Uint8Array {
    const slabSize = slabSizeOf(length)
    const slab = free.get(slabSize)?.pop()
    if (slab === undefined) return Buffer.allocUnsafeSlow(slabSize).subarray(0, length)
    freeBytes -= slabSize
    return Buffer.from(slab, 0, length)
  }

  function give({ buffer }: Uint8Array): void {
    if (freeBytes + buffer.byteLength > limits.pooledMaxBytes) return
    freeBytes += buffer.byteLength
    const slabs = free.get(buffer.byteLength)
    if (slabs === undefined) free.set(buffer.byteLength, [buffer])
    else slabs.push(buffer)
  }

  return { take, give }
}

/** Powers of two, so that the short last chunk of a blob fits what any other leaves. */
function slabSizeOf(length: number): number {
  let size: number = limits.chunkSizeMinBytes
  while (size < length) size *= 2
  return size
}
