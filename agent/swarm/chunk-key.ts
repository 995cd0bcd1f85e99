import type { Digest } from '../../core/oci/digest.ts'

/** Names a chunk among the buffers of all blobs. */
export function chunkKey(digest: Digest, index: number): string {
  return `${digest} ${index}`
}
