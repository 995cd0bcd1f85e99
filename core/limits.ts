/** Every bound in Shoal, with its reason. Grouped by what they bound; add yours to its group. */
import { KiB, MiB, second } from './units.ts'

export const limits = {
  // Chunks
  /** Below this a chunk's head, entry and hand-over cost more than they spread (research/kraken.md §8.3). */
  chunkSizeMinBytes: 256 * KiB,
  /** Above this one hop takes too long: 34 ms at 1 Gbit/s (research/kraken.md §8.2). */
  chunkSizeMaxBytes: 4 * MiB,
  /** About this many chunks per blob keep a thousand nodes near the bound (research/kraken.md §8.1). */
  chunksPerBlobAim: 500,
  /** One bulk frame: the grain at which stalls are judged and transfers move. */
  frameSizeBytes: 64 * KiB,

  // Manifests
  /** OCI distribution spec, "Pushing Manifests": registries should accept 4 MiB; a larger one is refused. */
  manifestSizeMaxBytes: 4 * MiB,

  // Stalls
  /** A source that sends nothing for this long is given up or hedged; issue 2 asks for at most 2 s in all. */
  stallMs: 1 * second,

  // Members
  /** The most members a list may have (DESIGN, Members). */
  membersMax: 20_000,
} as const
