/**
 * What blobs are called on one link and in one direction: a digest goes over it whole once, and is one byte from then on
 * (as header fields are in HPACK, RFC 7541 section 2.3.2). Nothing is agreed on: both sides count alike. A digest that goes
 * whole takes the next handle; after the last it is the turn of the first again, whose blob then has none any more.
 */
import { limits } from '../limits.ts'
import type { Digest } from '../oci/digest.ts'

export interface Handles {
  /** That of handle 1 first. */
  readonly digests: Digest[]
  /** Where the next one goes. */
  next: number
}

export function createHandles(): Handles {
  return { digests: [], next: 0 }
}

/** From 1 to `limits.handlesMax`; undefined where the digest has to go whole. */
export function handleOf({ digests }: Handles, digest: Digest): number | undefined {
  const at = digests.indexOf(digest)
  return at < 0 ? undefined : at + 1
}

/** Gives the next handle to a digest that has none. */
export function giveHandle(handles: Handles, digest: Digest): void {
  handles.digests[handles.next] = digest
  handles.next = (handles.next + 1) % limits.handlesMax
}

export function digestOf({ digests }: Handles, handle: number): Digest | undefined {
  return digests[handle - 1]
}
