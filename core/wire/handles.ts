/**
 * What blobs are called on one link and in one direction: a digest goes over it whole once, and is one byte from then on
 * (as header fields are in HPACK, RFC 7541 section 2.3.2). Nothing is agreed on: both sides count alike. A digest that goes
 * whole takes the next handle; after the last it is the turn of the first again, whose blob then has none any more.
 */
import { limits } from '../limits.ts'
import type { Digest } from '../oci/digest.ts'

export interface Handles {
  /** From 1 to `limits.handlesMax`; undefined where the digest has to go whole. */
  of(digest: Digest): number | undefined
  /** Gives the next handle to a digest that has none. */
  give(digest: Digest): void
  digest(handle: number): Digest | undefined
}

export function createHandles(): Handles {
  const digests: Digest[] = []
  let next = 0
  return {
    of(digest) {
      const at = digests.indexOf(digest)
      return at < 0 ? undefined : at + 1
    },
    give(digest) {
      digests[next] = digest
      next = (next + 1) % limits.handlesMax
    },
    digest: (handle) => digests[handle - 1],
  }
}
