/** Every bound in Shoal, with its reason. Grouped by what they bound; add yours to its group. */
import { KiB, MiB, minute, second } from './units.ts'

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
  /** Longest list in a manifest or index; overlayfs stops at a few hundred layers, large indexes stay below a thousand. */
  manifestDescriptorsMax: 4096,
  /** Manifests nest about five deep; beyond this a document is made to cost its reader. */
  jsonDepthMax: 64,
  /** A repository's name, as docker distribution bounds it. */
  repositoryNameMaxLength: 255,

  // Mirror: requests
  /** Ranges in one request. Lazy snapshotters ask for dozens; the header's own bound allows about 1,500. */
  rangePartsMax: 512,
  /** A name, a digest and a query fit with room to spare. */
  mirrorUrlMaxLength: 4096,
  /** ECR's Basic tokens take 4 KiB, registry JWTs with many scopes 8 KiB, a multi-range 16 KiB. */
  mirrorHeadersMaxBytes: 32 * KiB,
  /** A request is one small packet over loopback; slower is a slowloris. */
  mirrorRequestMs: 10 * second,
  /** Longer than containerd keeps an idle connection (30 s), so that it never sends into one that we just closed. */
  mirrorKeepAliveMs: 75 * second,
  /** Open connections: kubelet's parallel pulls times containerd's parallel ranges stay in the hundreds. */
  mirrorConnectionsMax: 1024,
  /** A client that takes no byte for this long is dropped; containerd's own limit for a pull without progress. */
  clientStallMs: 5 * minute,
  /** After our FIN, how long the client may take to close its side. */
  mirrorLingerMs: 5 * second,
  /** The answer of an origin that is passed through whole (tags, referrers) is a page of at most some thousand names. */
  passThroughMaxBytes: 4 * MiB,

  // Mirror: what it remembers
  /** How long a blob that broke mid-body sends follow-up ranges to the origin; containerd asks again at once, Docker after 5 s. */
  brokenContentMs: 30 * second,
  brokenContentsMax: 10_000,
  /** How long the origin's answer for a tag serves all askers: one pull asks two to three times within a second. */
  tagTtlMs: 3 * second,
  tagsMax: 10_000,
  /** Manifests whose descriptors are kept in memory: a node's images; at ten descriptors of 0.5 KiB each, 5 MiB. */
  describedManifestsMax: 1000,
  /** Descriptors kept over all those manifests. */
  descriptorsMax: 20_000,
  /** Layers fetched ahead of the highest one requested (DESIGN, Life of a pull). */
  prefetchLayersAhead: 2,
  /** A prefetch nobody asked for within this time is dropped (DESIGN, Life of a pull). */
  prefetchUnrequestedMs: 30 * second,
  /** Prefetches at a time on one node: two for each of a handful of pulls. */
  prefetchesMax: 16,

  // Stalls
  /** A source that sends nothing for this long is given up or hedged; issue 2 asks for at most 2 s in all. */
  stallMs: 1 * second,

  // Members
  /** The most members a list may have (DESIGN, Members). */
  membersMax: 20_000,
} as const
