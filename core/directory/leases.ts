/** Who may fetch which chunks of one digest from the origin: the lowest that nobody has or fetches, shared out fairly. */
import { limits } from '../limits.ts'
import { addClaim, holds, isFree, lapseOthers, lapseStalled } from './table.ts'
import type { AnnounceItem, ChunkRange, Lease } from './messages.ts'
import type { Announcer, Table } from './table.ts'

/** `nextId` numbers leases so that those of two hosts do not collide. */
export function grantLease(
  table: Table,
  asker: Announcer,
  item: AnnounceItem & { readonly lease: NonNullable<AnnounceItem['lease']> },
  nowMs: number,
  nextId: () => number,
): Lease | undefined {
  lapseStalled(table, nowMs)
  noteAsker(table, asker, nowMs)
  if (isUnheardOf(asker, item)) return asker.lastLease
  const range = table.unranged
    ? wholeBlob(table, asker, item.lease.insists === true)
    : nextRange(table, asker, item.lease, nowMs)
  if (range === undefined) return undefined
  const lease: Lease = { id: nextId(), ...range, ttlMs: limits.leaseTtlMs }
  for (let index = lease.start; index < lease.end; index++) {
    if (!holds(asker, index)) addClaim(table, asker, index, lease.id, nowMs)
  }
  asker.grants++
  asker.lastLease = lease
  table.waiting.delete(asker.peer)
  return lease
}

function noteAsker(table: Table, asker: Announcer, nowMs: number): void {
  table.askers.delete(asker.peer)
  table.askers.set(asker.peer, nowMs)
  for (const [peer, askedMs] of table.askers) {
    if (nowMs - askedMs < limits.leaseTtlMs) break
    table.askers.delete(peer)
  }
}

/** The answer that granted the asker's newest lease was lost: every chunk of it is claimed still, and none is on its way. */
function isUnheardOf({ lastLease, claims }: Announcer, { fetching }: AnnounceItem): boolean {
  if (lastLease === undefined) return false
  for (let index = lastLease.start; index < lastLease.end; index++) {
    const claim = claims.get(index)
    if (claim?.lease !== lastLease.id || claim.lapsed) return false
  }
  return !fetching.some(({ start, end }) => start < lastLease.end && end > lastLease.start)
}

/** An origin that ignores Range sends the blob from its first byte: to one agent only. */
function wholeBlob(table: Table, asker: Announcer, insists: boolean): ChunkRange | undefined {
  if (table.whole !== undefined && table.whole.active > 0) return undefined
  const isHad = firstFree(table, 0, table.chunks, (index) => isHeld(table, index)) === undefined
  if (isHad && !insists) return undefined
  lapseOthers(table, asker)
  table.whole = asker
  return { start: 0, end: table.chunks }
}

function isHeld(table: Table, index: number): boolean {
  return table.completes > 0 || table.partial[index]! > 0
}

function nextRange(
  table: Table,
  asker: Announcer,
  wish: NonNullable<AnnounceItem['lease']>,
  nowMs: number,
): ChunkRange | undefined {
  if (!hasTurn(table, asker, nowMs)) return undefined
  const insists = wish.insists === true
  const share = insists ? wish.chunks : fairShare(table)
  const most = Math.min(wish.chunks, limits.leasedChunksMax - asker.active, share)
  if (most < 1) return undefined
  const taken = (index: number): boolean =>
    insists ? table.claimed[index] !== 0 || holds(asker, index) : !isFree(table, index)
  const position = Math.min(Math.max(0, wish.position), table.chunks)
  const start = firstFree(table, position, table.chunks, taken) ?? firstFree(table, 0, position, taken)
  if (start === undefined) return undefined
  let end = start + 1
  while (end < table.chunks && end - start < most && !taken(end)) end++
  return { start, end }
}

function firstFree(table: Table, start: number, end: number, taken: (index: number) => boolean): number | undefined {
  for (let index = start; index < end; index++) if (!taken(index)) return index
  return undefined
}

function fairShare(table: Table): number {
  let free = 0
  for (let index = 0; index < table.chunks; index++) if (isFree(table, index)) free++
  return Math.ceil(free / Math.max(1, table.askers.size))
}

/**
 * While as many fetch as should, others wait. Who asks before its lease has ended keeps its place, since a place kept for
 * somebody who asks again in half a second is an idle origin. One that falls free is kept for who was turned away and has
 * had fewer leases, so that many agents, and not the fastest, become the first holders.
 */
function hasTurn(table: Table, asker: Announcer, nowMs: number): boolean {
  const isHolder = asker.active > 0
  const others = table.fetchers.size - (isHolder ? 1 : 0)
  const free = others < limits.leaseHoldersMax && (isHolder || !someoneWaitsLonger(table, asker, nowMs))
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
