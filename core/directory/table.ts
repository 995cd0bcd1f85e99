/**
 * One digest's row in the directory: who holds which chunks, and who is fetching which from the origin.
 *
 * A *claim* is one chunk that one announcer is fetching, under a lease granted here or (id 0) adopted from what it
 * announced, so that a successor knows the leases of an owner that died. A claim whose holder is silent, or shows neither
 * a new chunk nor more bytes, for `limits.leaseTtlMs`, or longer where all are slow (punctuality.ts), *lapses*; before the origin's first byte, which may be slow to come,
 * for `limits.leaseFirstByteMs`, or until its holder's credential ends, who then can't ask again. The chunk is free again, but stays noted, so that its holder's next announce of the same
 * stalled fetch does not claim it anew; only new bytes do, where nobody else fetches it by then.
 */
import { limits } from '../limits.ts'
import type { Place } from '../members/places.ts'
import type { Digest } from '../oci/digest.ts'
import type { PeerId } from '../ports.ts'
import { bitfieldOf, countBits, hasBit } from '../swarm/bitfield.ts'
import { chunkCountOf } from '../swarm/chunks.ts'
import type { AnnounceItem, ChunkRange, Lease } from './messages.ts'
import { markOf } from './rendezvous.ts'
import type { Mark } from './rendezvous.ts'

interface Claim {
  readonly lease: number
  readonly sinceMs: number
  /** Its holder has no credential after that. */
  readonly endsAtMs: number
  lapsed: boolean
}

export interface Announcer {
  readonly peer: PeerId
  readonly mark: Mark
  addresses: readonly string[]
  place: Place | undefined
  complete: boolean
  /** Chunks held, all zero while `complete`: those are counted apart. */
  bits: Uint8Array
  /** Number of chunks held. */
  held: number
  wants: boolean
  /** Whom it banned: it counts nothing of theirs as held or coming. */
  bans: readonly PeerId[]
  /** Since when it has, or does. */
  wantsSinceMs: number
  /** It is about to leave the cluster. */
  departs: boolean
  heardMs: number
  /** When it was told to announce again, after `heardMs`. */
  intervalMs: number
  /** When it last showed a chunk it had claimed, or when a byte last came of what it is fetching. */
  progressMs: number
  readonly claims: Map<number, Claim>
  /** Claims that have not lapsed. */
  active: number
  /** Leases granted so far. */
  grants: number
  /** How often it was named as the source of chunks that cross the border. */
  lent: number
  /** The newest lease, given again as long as its holder does not seem to know of it. */
  lastLease: Lease | undefined
}

export interface Table {
  readonly digest: Digest
  /** On which side of a border (areas.ts); '' where there is none. */
  readonly area: string
  readonly size: number
  readonly chunks: number
  /** Until then this host listens and grants nothing. */
  readonly learnUntilMs: number
  readonly announcers: Map<PeerId, Announcer>
  /**
   * Members that have just died, and until when their chunks count as held: whoever took them from there meanwhile says so by
   * then.
   */
  readonly mourned: Map<Announcer, number>
  /** Announcers per chunk that hold it without being complete. */
  readonly partial: Uint16Array
  completes: number
  /** Active claims per chunk. */
  readonly claimed: Uint16Array
  /** Claims of all announcers, those that have lapsed too. */
  claims: number
  /** Announcers with active claims. */
  readonly fetchers: Set<Announcer>
  /** Chunks that leases have just brought, to whom and when, longest ago first. */
  readonly brought: Map<number, { readonly peer: PeerId; readonly atMs: number }>
  /** Who was turned away because as many others fetch as may, and until when a place is kept for it. */
  readonly waiting: Map<PeerId, number>
  /** Who described the digest with another size. */
  readonly dissenters: Map<PeerId, number>
  /** Since when nobody was heard to fetch under the lease of another host, though the origin could be asked. */
  quietSinceMs: number
  /** The origin ignores Range. */
  unranged: boolean
  /** Who gets the whole blob from such an origin; one of the fetchers, since who can use nothing of another's gets it beside that one. */
  whole: Announcer | undefined
  /** Seeds asked to write a DHT record, and when. */
  readonly providers: Map<PeerId, number>
}

export function createTable(digest: Digest, area: string, size: number, learnUntilMs: number, nowMs: number): Table {
  const chunks = chunkCountOf(size)
  return {
    digest,
    area,
    size,
    chunks,
    learnUntilMs,
    announcers: new Map(),
    mourned: new Map(),
    partial: new Uint16Array(chunks),
    completes: 0,
    claimed: new Uint16Array(chunks),
    claims: 0,
    fetchers: new Set(),
    brought: new Map(),
    waiting: new Map(),
    dissenters: new Map(),
    quietSinceMs: nowMs,
    unranged: false,
    whole: undefined,
    providers: new Map(),
  }
}

/**
 * What it takes of memory beside its announcers: two counts and perhaps claims for each chunk, a bit for each announcer, and who says that
 * the blob has another size.
 */
export function bytesOf({ announcers, chunks, claimed, claims, dissenters, mourned, partial }: Table): number {
  const bitfields = (announcers.size + mourned.size) * Math.ceil(chunks / 8)
  const notes = claims * limits.claimBytes + dissenters.size * limits.dissenterBytes
  return partial.byteLength + claimed.byteLength + bitfields + notes
}

export function addAnnouncer(table: Table, peer: PeerId, nowMs: number): Announcer {
  const announcer: Announcer = {
    peer,
    mark: markOf(peer),
    addresses: [],
    place: undefined,
    complete: false,
    bits: bitfieldOf(table.chunks),
    held: 0,
    wants: false,
    bans: [],
    wantsSinceMs: nowMs,
    departs: false,
    heardMs: nowMs,
    intervalMs: limits.announceWantMs,
    progressMs: nowMs,
    claims: new Map(),
    active: 0,
    grants: 0,
    lent: 0,
    lastLease: undefined,
  }
  table.announcers.set(peer, announcer)
  return announcer
}

/** The announcer has gone, with what it held and claimed. */
export function removeAnnouncer(table: Table, announcer: Announcer): void {
  holdNothing(table, announcer)
  unlist(table, announcer)
}

/** The announcer is dead: what it held counts until `untilMs`. */
export function mourn(table: Table, announcer: Announcer, untilMs: number): void {
  table.mourned.set(announcer, untilMs)
  unlist(table, announcer)
}

/** Forgets what those held who died long enough ago. */
export function endMourning(table: Table, nowMs: number): void {
  for (const [announcer, untilMs] of table.mourned) {
    if (untilMs > nowMs) continue
    table.mourned.delete(announcer)
    holdNothing(table, announcer)
  }
}

function holdNothing(table: Table, announcer: Announcer): void {
  hold(table, announcer, { complete: false, bits: bitfieldOf(table.chunks) }, announcer.heardMs)
}

function unlist(table: Table, announcer: Announcer): void {
  for (const index of announcer.claims.keys()) dropClaim(table, announcer, index)
  for (const notes of [table.announcers, table.waiting, table.providers]) notes.delete(announcer.peer)
}

/** Takes over what an announcer says of itself. */
export function updateAnnouncer(table: Table, announcer: Announcer, item: AnnounceItem, nowMs: number): void {
  announcer.heardMs = nowMs
  if (item.wants && !announcer.wants) announcer.wantsSinceMs = nowMs
  announcer.wants = item.wants
  announcer.bans = item.bans ?? []
  announcer.departs = item.departs === true
  hold(table, announcer, item.have, nowMs)
  const byteMs = nowMs - (item.silentMs ?? Infinity)
  if (byteMs > announcer.progressMs) {
    announcer.progressMs = byteMs
    reviveClaims(table, announcer, item.fetching)
  }
  if (item.unranged === true) table.unranged = true
  dropReleased(table, announcer, item, nowMs)
  adoptFetches(table, announcer, item.fetching, nowMs)
  if (table.unranged && announcer.active > 0 && announcer.active + announcer.held >= table.chunks)
    table.whole ??= announcer
}

function hold(table: Table, announcer: Announcer, have: AnnounceItem['have'], nowMs: number): void {
  const bits = have.complete ? bitfieldOf(table.chunks) : have.bits
  if (have.complete !== announcer.complete) table.completes += have.complete ? 1 : -1
  announcer.complete = have.complete
  replaceBits(table, announcer, bits)
  announcer.held = have.complete ? table.chunks : countBits(bits)
  for (const index of announcer.claims.keys()) {
    if (!holds(announcer, index)) continue
    dropClaim(table, announcer, index)
    announcer.progressMs = nowMs
    table.brought.delete(index)
    table.brought.set(index, { peer: announcer.peer, atMs: nowMs })
  }
}

function replaceBits(table: Table, announcer: Announcer, bits: Uint8Array): void {
  for (let byte = 0; byte < bits.length; byte++) {
    const before = announcer.bits[byte]!
    const after = bits[byte]!
    for (let changed = before ^ after; changed !== 0; changed &= changed - 1) {
      const bit = 31 - Math.clz32(changed & -changed)
      table.partial[byte * 8 + bit]! += (after >> bit) & 1 ? 1 : -1
    }
  }
  announcer.bits = bits
}

export function holds(announcer: Announcer, index: number): boolean {
  return announcer.complete || hasBit(announcer.bits, index)
}

function dropReleased(table: Table, announcer: Announcer, item: AnnounceItem, nowMs: number): void {
  for (const [index, claim] of announcer.claims) {
    const released = item.released?.includes(claim.lease) ?? false
    if (released || (isOver(claim, nowMs) && !covers(item.fetching, index))) dropClaim(table, announcer, index)
  }
}

/** Its holder would say so if it were fetching under it: by now it has heard of it, unless it is another process. */
function isOver({ lapsed, lease, sinceMs }: Claim, nowMs: number): boolean {
  return lease === 0 || lapsed || nowMs - sinceMs >= limits.leaseTtlMs
}

function adoptFetches(table: Table, announcer: Announcer, fetching: readonly ChunkRange[], nowMs: number): void {
  const { whole } = table
  if (whole !== undefined && whole !== announcer && !announcer.bans.includes(whole.peer)) return
  const adopted = { lease: 0, sinceMs: nowMs, endsAtMs: Infinity }
  for (const { start, end } of fetching) {
    for (let index = start; index < Math.min(end, table.chunks); index++) {
      if (!announcer.claims.has(index) && !holds(announcer, index)) addClaim(table, announcer, index, adopted)
      if (announcer.claims.get(index)?.lease === 0) table.quietSinceMs = nowMs
    }
  }
}

/** Bytes come after all: what lapsed and fell to nobody is its holder's again. */
function reviveClaims(table: Table, announcer: Announcer, fetching: readonly ChunkRange[]): void {
  for (const [index, claim] of announcer.claims) {
    if (claim.lapsed && isFree(table, announcer, index) && covers(fetching, index)) {
      addClaim(table, announcer, index, { ...claim, sinceMs: announcer.progressMs })
    }
  }
}

function covers(ranges: readonly ChunkRange[], index: number): boolean {
  return ranges.some(({ start, end }) => index >= start && index < end)
}

/** Notes that `announcer` fetches the chunk under `lease`; in place of a lapsed claim of its own, if there is one. */
export function addClaim(
  table: Table,
  announcer: Announcer,
  index: number,
  { lease, sinceMs, endsAtMs }: Omit<Claim, 'lapsed'>,
): void {
  dropClaim(table, announcer, index)
  announcer.claims.set(index, { lease, sinceMs, endsAtMs, lapsed: false })
  announcer.active++
  table.claims++
  table.claimed[index]!++
  table.fetchers.add(announcer)
}

function dropClaim(table: Table, announcer: Announcer, index: number): void {
  const claim = announcer.claims.get(index)
  if (claim === undefined) return
  lapse(table, announcer, index, claim)
  announcer.claims.delete(index)
  table.claims--
}

function lapse(table: Table, announcer: Announcer, index: number, claim: Claim): void {
  if (claim.lapsed) return
  claim.lapsed = true
  table.claimed[index]!--
  if (--announcer.active > 0) return
  table.fetchers.delete(announcer)
  if (table.whole === announcer) [table.whole] = table.fetchers
}

/** Frees the chunks of holders that are silent or make no progress for `ttlMs`. */
export function lapseStalled(table: Table, nowMs: number, ttlMs: number): void {
  for (const announcer of table.fetchers) {
    for (const [index, claim] of announcer.claims) {
      if (isStalled(announcer, claim, nowMs, ttlMs)) lapse(table, announcer, index, claim)
    }
  }
}

function isStalled(
  { heardMs, progressMs }: Announcer,
  { sinceMs, endsAtMs }: Claim,
  nowMs: number,
  ttlMs: number,
): boolean {
  if (nowMs - heardMs >= ttlMs) return true
  if (progressMs > sinceMs) return nowMs - progressMs >= ttlMs
  return nowMs >= Math.min(sinceMs + limits.leaseFirstByteMs, Math.max(sinceMs + ttlMs, endsAtMs))
}

/** Leases that stalled, and of which others have or fetch a chunk by now. */
export function lostLeases(table: Table, announcer: Announcer): number[] {
  const lost = new Set<number>()
  for (const [index, { lapsed, lease }] of announcer.claims)
    if (lapsed && lease !== 0 && !isFree(table, announcer, index)) lost.add(lease)
  return [...lost].slice(-limits.fetchRangesMax)
}

/** Chunks that `announcer` fetches, and another of whom it would take them was fetching before. An origin that ignores Range sends several what they share. */
export function contestedOf(table: Table, announcer: Announcer): ChunkRange[] {
  if (table.unranged) return []
  const contested: { start: number; end: number }[] = []
  for (const [index, claim] of announcer.claims) {
    if (claim.lapsed || table.claimed[index]! < 2 || !isClaimedBefore(table, announcer, index, claim)) continue
    const last = contested.at(-1)
    if (last?.end === index) last.end++
    else contested.push({ start: index, end: index + 1 })
  }
  return contested.slice(0, limits.fetchRangesMax)
}

function isClaimedBefore({ fetchers }: Table, { bans }: Announcer, index: number, { sinceMs }: Claim): boolean {
  for (const { claims, peer } of fetchers) {
    const other = claims.get(index)
    if (other?.lapsed === false && other.sinceMs < sinceMs && !bans.includes(peer)) return true
  }
  return false
}

/** Frees every chunk but those that `except` fetches. */
export function lapseOthers(table: Table, except: Announcer): void {
  for (const announcer of table.fetchers) {
    if (announcer === except) continue
    for (const [index, claim] of announcer.claims) lapse(table, announcer, index, claim)
  }
}

/** Holders of the chunk that are of use to `asker`. */
function holdersOf(table: Table, { bans }: Announcer, index: number): number {
  let holders = table.partial[index]! + table.completes
  for (const peer of bans) {
    const banned = table.announcers.get(peer)
    if (banned !== undefined && holds(banned, index)) holders--
  }
  for (const dead of table.mourned.keys()) if (bans.includes(dead.peer) && holds(dead, index)) holders--
  return holders
}

export function isHeld(table: Table, asker: Announcer, index: number): boolean {
  return holdersOf(table, asker, index) > 0
}

/** Is somebody fetching the chunk, of whom `asker` would take it? */
export function isFetched(table: Table, { bans }: Pick<Announcer, 'bans'>, index: number): boolean {
  let fetchers = table.claimed[index]!
  for (const peer of bans) if (table.announcers.get(peer)?.claims.get(index)?.lapsed === false) fetchers--
  return fetchers > 0
}

/** Forgets what leases brought so long ago that whoever still lacks it may say that it is withheld. */
export function endBrought({ brought }: Table, nowMs: number): void {
  for (const [index, { atMs }] of brought) {
    if (nowMs - atMs < limits.starvedAloneMs) return
    brought.delete(index)
  }
}

/** Has a lease just brought the chunk to somebody of whom `asker` would take it? */
export function isBrought(table: Table, { bans }: Announcer, index: number): boolean {
  const last = table.brought.get(index)
  return last !== undefined && !bans.includes(last.peer)
}

/** Nobody has the chunk, and nobody is fetching it, as far as that is of use to `asker`. */
export function isFree(table: Table, asker: Announcer, index: number): boolean {
  return !isFetched(table, asker, index) && !isHeld(table, asker, index)
}

/** Holders per chunk that are of use to `asker`, saturated at 255. */
export function countsOf(table: Table, asker: Announcer): Uint8Array {
  const counts = new Uint8Array(table.chunks)
  for (let index = 0; index < counts.length; index++) counts[index] = Math.min(255, holdersOf(table, asker, index))
  return counts
}
