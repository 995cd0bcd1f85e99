/**
 * How long an announce is: what it costs its host grows with the chunks of the blobs that it tells of, and not with its bytes, since a few
 * of these say that all of a blob is held, or fetched.
 */
import { chunkCountOf } from '../swarm/chunks.ts'
import type { AnnounceItem } from './messages.ts'

type Told = Pick<AnnounceItem, 'leaves' | 'size'>

/** What is left has no chunks any more. */
export function chunksTold({ leaves, size }: Told): number {
  return leaves === true ? 0 : chunkCountOf(size)
}
