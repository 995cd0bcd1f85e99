/** What this node knows of its own link: how much it can bring, and how much of it is in use. */
import type { Session, SwarmState } from './state.ts'

/**
 * `peaks`: the most that came in any `linkSpanMs` of the last one to two `linkMemoryMs`: a mean would be low also where others let us
 * wait, and fewer requests would then keep it low (BBR takes the maximum for the same reason). 0 while unknown.
 */
export interface LinkCapacity {
  bytes: number
  sinceMs: number
  heardAtMs: number
  readonly peaks: [now: number, before: number]
  shiftedMs: number
  /** Bytes since the last tick, and bytes a millisecond over the last few. */
  tickBytes: number
  rate: number
  /**
   * The time by which silence is judged. It runs slower the fuller our link is, since senders that share it wait for each
   * other, and stands still while this process was held up.
   */
  silenceMs: number
}

/** Bytes a millisecond; 0 while unknown: what a crawling peer fills is no link. */
export function capacityOf({ limits, link }: SwarmState): number {
  const peak = Math.max(link.peaks[0], link.peaks[1])
  return peak < limits.frameSizeBytes / limits.crawlMaxMs ? 0 : peak
}

/** So slow a link that messages about chunks are a weighty share of what it carries: nodes with such links say less. */
export function isNarrow(state: SwarmState): boolean {
  const capacity = capacityOf(state)
  return capacity > 0 && capacity < state.limits.narrowLinkBytesMs
}

/** Bytes have come over our link, wanted or not. */
export function countBytes({ clock, download, link }: SwarmState, bytes: number): void {
  download.count(bytes)
  link.bytes += bytes
  link.tickBytes += bytes
  link.heardAtMs = clock.now()
}

/** `elapsedMs`: since the last tick. `wasPaused`: that was no silence of others, but a pause of our own. */
export function measureLink(state: SwarmState, nowMs: number, elapsedMs: number, wasPaused: boolean): void {
  const { limits, link } = state
  measurePeak(state, nowMs)
  link.rate += (link.tickBytes / Math.max(elapsedMs, 1) - link.rate) * Math.min(elapsedMs / limits.linkRateMs, 1)
  link.tickBytes = 0
  if (!wasPaused) link.silenceMs += elapsedMs * Math.max(1 - usedShare(state), limits.silenceShareMin)
}

function measurePeak({ limits, link }: SwarmState, nowMs: number): void {
  const elapsedMs = nowMs - link.sinceMs
  if (elapsedMs < limits.linkSpanMs) return
  if (nowMs - link.shiftedMs >= limits.linkMemoryMs && link.bytes > 0) {
    link.peaks[1] = link.peaks[0]
    link.peaks[0] = 0
    link.shiftedMs = nowMs
  }
  link.peaks[0] = Math.max(link.peaks[0], link.bytes / elapsedMs)
  link.bytes = 0
  link.sinceMs = nowMs
}

/** 0: idle, or its capacity is unknown; 1: full. */
function usedShare(state: SwarmState): number {
  const capacity = capacityOf(state)
  return capacity === 0 ? 0 : Math.min(state.link.rate / capacity, 1)
}

/** Silence that is a stall. It grows each time all were silent at once: then it was our own link, full of what we gave up. */
export function patienceMs({ droughts, limits }: SwarmState): number {
  return limits.stallMs * 2 ** Math.min(droughts, limits.droughtsMax)
}

/** So long a chunk may take a peer, and a queue stand still: at half a Mbit/s. */
export function slowChunkMs({ limits }: SwarmState, { chunkSize }: Session): number {
  return chunkSize / limits.leaseStarvedBytesPerMs
}
