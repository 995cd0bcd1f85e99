/** What this node knows of its own link: how much it can bring, and how long silence is normal. */
import { KiB, second } from '../units.ts'
import type { Lease, SwarmState } from './state.ts'

/**
 * `peaks`: the most that came in any half second of the last five to ten: a mean would be low also where others let us wait, and
 * fewer requests would then keep it low (BBR takes the maximum for the same reason). 0 while unknown.
 */
export interface LinkCapacity {
  bytes: number
  sinceMs: number
  heardAtMs: number
  readonly peaks: [now: number, before: number]
  shiftedMs: number
  /** Bytes that we gave up and that are on their way all the same, and when that last changed. */
  vainBytes: number
  vainAtMs: number
}

const spanMs = 0.5 * second
const memoryMs = 5 * second
/** By then what does not come was never sent; nor was it when nothing comes at all. */
const vainMs = 2 * second

/** Bytes a millisecond. */
export function capacityOf({ link }: SwarmState): number {
  return Math.max(...link.peaks)
}

/** How long so many bytes take on our link; 0 while its capacity is unknown. */
export function drainMs(state: SwarmState, bytes: number): number {
  const capacity = capacityOf(state)
  return capacity === 0 ? 0 : Math.max(bytes, 0) / capacity
}

/** Bytes have come over our link, wanted or not. */
export function countBytes({ clock, link }: SwarmState, bytes: number): void {
  link.bytes += bytes
  link.heardAtMs = clock.now()
}

/** We gave up a transfer: what its sender's window holds still comes. */
export function expectInVain({ clock, link }: SwarmState, bytes: number): void {
  link.vainBytes += bytes
  link.vainAtMs = clock.now()
}

export function countInVain({ clock, link }: SwarmState, bytes: number): void {
  link.vainBytes = Math.max(link.vainBytes - bytes, 0)
  link.vainAtMs = clock.now()
}

/** Bytes on our link, or about to be: those of a request that waits in its peer's queue are not. */
export function bytesUnderWay(state: SwarmState): number {
  const { flightBytes, fetches, link, queuedBytes } = state
  let bytes = flightBytes - queuedBytes + link.vainBytes
  for (const lease of fetches.values()) bytes += windowOf(lease)
  return bytes
}

/** What a fetch from the origin has on its way: a window of TCP's at the most. */
export function windowOf({ fetch, remaining, session }: Lease): number {
  return fetch === undefined ? 0 : Math.min(remaining.length * session.chunkSize, windowBytes)
}

const windowBytes = 256 * KiB

export function measureLink({ link }: SwarmState, nowMs: number): void {
  if (nowMs - link.vainAtMs >= vainMs || nowMs - link.heardAtMs >= spanMs) link.vainBytes = 0
  const elapsedMs = nowMs - link.sinceMs
  if (elapsedMs < spanMs) return
  if (nowMs - link.shiftedMs >= memoryMs && link.bytes > 0) {
    link.peaks[1] = link.peaks[0]
    link.peaks[0] = 0
    link.shiftedMs = nowMs
  }
  link.peaks[0] = Math.max(link.peaks[0], link.bytes / elapsedMs)
  link.bytes = 0
  link.sinceMs = nowMs
}

/** Silence that is a stall. It grows each time all were silent at once: then it was our own link, full of what we gave up. */
export function patienceMs({ droughts, limits }: SwarmState): number {
  return limits.stallMs * 2 ** Math.min(droughts, droughtsMax)
}

/** Patience grows to sixteen seconds. */
const droughtsMax = 4
