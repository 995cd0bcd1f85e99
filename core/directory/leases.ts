/** Who may fetch which chunks of one digest: the lowest that nobody has or fetches in its area, shared out fairly. */
import { limits } from '../limits.ts'
import type { Elsewhere } from './areas.ts'
import { hintOf } from './neighbours.ts'
import {
  addClaim,
  endBrought,
  endMourning,
  holds,
  isBrought,
  isFetched,
  isFree,
  isHeld,
  lapseOthers,
  lapseStalled,
} from './table.ts'
import type { AnnounceItem, ChunkRange, Lease } from './messages.ts'
import type { Announcer, Table } from './table.ts'

interface Found extends ChunkRange {
  /** Across the border; undefined: the origin. */
  readonly from?: Announcer
}

/** Where chunks may be fetched. */
export interface Sources {
  /** Undefined where there is no border, or nobody behind it. */
  readonly elsewhere: Elsewhere | undefined
  /** The origin may be asked now. */
  readonly origin: boolean
  /** It does not answer several agents: one asks at a time. */
  readonly isSick: boolean
}

/** `ttlMs`: so long a lease may show nothing. `nextId` numbers leases so that those of two hosts do not collide. */
export function grantLease(
  table: Table,
  asker: Announcer,
  item: AnnounceItem & { readonly lease: NonNullable<AnnounceItem['lease']> },
  nowMs: number,
  sources: Sources,
  ttlMs: number,
  nextId: () => number,
): Lease | undefined {
  lapseStalled(table, nowMs, ttlMs)
  endMourning(table, nowMs)
  endBrought(table, nowMs)
  if (isUnheardOf(asker, item)) return asker.lastLease
  const found = find(table, asker, item.lease, nowMs, sources)
  if (found === undefined) return undefined
  const { end, from, start } = found
  const source = from === undefined ? {} : { source: hintOf(from) }
  const lease: Lease = { id: nextId(), start, end, ...source, ttlMs }
  if (from !== undefined) from.lent++
  const claim = { lease: lease.id, sinceMs: nowMs, endsAtMs: nowMs + (item.lease.lifeMs ?? Infinity) }
  for (let index = lease.start; index < lease.end; index++) {
    if (!holds(asker, index)) addClaim(table, asker, index, claim)
  }
  if (table.unranged && from === undefined) table.whole = asker
  asker.grants++
  asker.lastLease = lease
  table.waiting.delete(asker.peer)
  return lease
}

function find(
  table: Table,
  asker: Announcer,
  wish: NonNullable<AnnounceItem['lease']>,
  nowMs: number,
  { elsewhere, isSick, origin }: Sources,
): Found | undefined {
  const mayAskOrigin = origin && wish.acrossOnly !== true
  const ofOrigin = { mayAskOrigin: true, holdersMax: isSick ? 1 : Infinity }
  if (mayAskOrigin && !table.unranged) return nextRange(table, asker, wish, nowMs, elsewhere, ofOrigin)
  const ofOthers = { mayAskOrigin: false, holdersMax: Infinity }
  const across = elsewhere === undefined ? undefined : nextRange(table, asker, wish, nowMs, elsewhere, ofOthers)
  return across ?? (mayAskOrigin ? wholeBlob(table, asker, wish.insists === true, elsewhere) : undefined)
}

/** The answer that granted the asker's newest lease was lost: every chunk of it is claimed still, and none is on its way. */
function isUnheardOf({ lastLease, claims }: Announcer, { fetching }: AnnounceItem): boolean {
  if (lastLease === undefined) return false
  for (let index = lastLease.start; index < lastLease.end; index++) {
    if (claims.get(index)?.lease !== lastLease.id) return false
  }
  return !fetching.some(({ start, end }) => start < lastLease.end && end > lastLease.start)
}

/** An origin that ignores Range sends the blob from its first byte: to one agent only. */
function wholeBlob(
  table: Table,
  asker: Announcer,
  insists: boolean,
  elsewhere: Elsewhere | undefined,
): ChunkRange | undefined {
  const { fetchers, whole } = table
  if (whole !== undefined && [...fetchers].some(({ peer }) => !asker.bans.includes(peer))) return undefined
  const isDone = (index: number): boolean =>
    insists ? isHad(table, asker, index) : isHeld(table, asker, index) || elsewhere?.isHeld(index) === true
  let lacking = table.chunks - 1
  while (lacking >= 0 && isDone(lacking)) lacking--
  // Who gets the blob elsewhere has its last chunk last.
  if (lacking < 0 || elsewhere?.isFetched(lacking) === true) return undefined
  // Who can use nothing of whoever brings it gets it beside that one: if each took it from the other, both would begin again and again.
  if (whole === undefined) lapseOthers(table, asker)
  return { start: 0, end: table.chunks }
}

function nextRange(
  table: Table,
  asker: Announcer,
  wish: NonNullable<AnnounceItem['lease']>,
  nowMs: number,
  elsewhere: Elsewhere | undefined,
  { mayAskOrigin, holdersMax }: { readonly mayAskOrigin: boolean; readonly holdersMax: number },
): Found | undefined {
  if (!hasTurn(table, asker, nowMs, holdersMax)) return undefined
  const insists = wish.insists === true
  const isComing = mayAskOrigin ? isFetched : isCrossing
  const isOpen = (index: number): boolean => !isComing(table, asker, index) && !isHeld(table, asker, index)
  const share = insists ? wish.chunks : fairShare(table, isOpen)
  const most = Math.min(wish.chunks, limits.leasedChunksMax - asker.active, share)
  if (most < 1) return undefined
  const isAcross = (index: number): boolean => !insists && elsewhere?.isHeld(index) === true
  const taken = (index: number): boolean => {
    if (!mayAskOrigin && !isAcross(index)) return true
    if (!isAcross(index) && elsewhere?.isFetched(index) === true) return true
    return insists ? isComing(table, asker, index) || isHad(table, asker, index) : !isOpen(index)
  }
  const position = Math.min(Math.max(0, wish.position), table.chunks)
  const limit = wish.theseOnly === true ? Math.min(position + wish.chunks, table.chunks) : table.chunks
  const after = firstFree(position, limit, taken)
  const start = after ?? (wish.theseOnly === true ? undefined : firstFree(0, position, taken))
  if (start === undefined) return undefined
  const from = isAcross(start) ? elsewhere?.sourceOf(start) : undefined
  // Who had it has just died.
  if (isAcross(start) && from === undefined) return undefined
  const goesOn = (index: number): boolean => (from === undefined ? !isAcross(index) : holds(from, index))
  let end = start + 1
  while (end < limit && end - start < most && !taken(end) && goesOn(end)) end++
  return { start, end, ...(from === undefined ? {} : { from }) }
}

/** Is somebody bringing across what is held there? When it comes to who has an origin that ignores Range send all, nobody can tell. */
function isCrossing(table: Table, { bans }: Announcer, index: number): boolean {
  const { unranged, whole } = table
  const isSlow = unranged && whole !== undefined && !bans.includes(whole.peer)
  return isFetched(table, { bans: isSlow ? [...bans, whole.peer] : bans }, index)
}

/** Does who insists have the chunk, or somebody who can't have withheld it yet? */
function isHad(table: Table, asker: Announcer, index: number): boolean {
  return holds(asker, index) || isBrought(table, asker, index)
}

function firstFree(start: number, end: number, taken: (index: number) => boolean): number | undefined {
  for (let index = start; index < end; index++) if (!taken(index)) return index
  return undefined
}

/**
 * Of what is free, for each of a few: a share for each of a thousand would be too small to be worth its round trips. Those who have not
 * asked yet count too, since small layers late in an image would else be fetched by whoever asks first.
 */
function fairShare({ announcers, chunks }: Table, isOpen: (index: number) => boolean): number {
  let free = 0
  for (let index = 0; index < chunks; index++) if (isOpen(index)) free++
  return Math.ceil(free / Math.min(announcers.size, limits.leaseSharesMax))
}

/** Somebody has each chunk, or fetches it, as far as that is of use to `asker`. */
export function isAllTaken(table: Table, asker: Announcer): boolean {
  for (let index = 0; index < table.chunks; index++) if (isFree(table, asker, index)) return false
  return true
}

/** How many of so many may fetch at the same time. */
export function holdersAmong(announcers: number): number {
  const share = Math.floor(announcers / limits.announcersPerLeaseHolder)
  return Math.min(Math.max(share, limits.leaseHoldersMin), limits.leaseHoldersMax)
}

/**
 * While as many fetch as should, others wait. Who asks before its lease has ended keeps its place, since a place kept for
 * somebody who asks again in half a second is an idle origin. One that falls free is kept for who was turned away and has
 * had fewer leases, so that many agents, and not the fastest, become the first holders.
 */
function hasTurn(table: Table, asker: Announcer, nowMs: number, holdersMax: number): boolean {
  const isHolder = asker.active > 0
  const others = table.fetchers.size - (isHolder ? 1 : 0)
  const isRoom = others < Math.min(holdersAmong(table.announcers.size), holdersMax)
  const free = isRoom && (isHolder || !someoneWaitsLonger(table, asker, nowMs))
  if (!free && asker.active === 0) table.waiting.set(asker.peer, nowMs + limits.leaseTtlMs)
  return free
}

function someoneWaitsLonger(table: Table, asker: Announcer, nowMs: number): boolean {
  for (const [peer, untilMs] of table.waiting) {
    const waiter = table.announcers.get(peer)
    if (waiter === undefined || untilMs <= nowMs) table.waiting.delete(peer)
    else if (waiter.grants < asker.grants) return true
  }
  return false
}
