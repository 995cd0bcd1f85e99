/**
 * The directory that one host keeps for its share of the digests: a pure machine, hosted by every agent (and by trackers).
 * All its state is soft: announces rebuild it within seconds.
 */
import { limits } from '../limits.ts'
import { nowhere, type Places } from '../members/places.ts'
import type { Digest } from '../oci/digest.ts'
import type { Clock, PeerId, Random } from '../ports.ts'
import { createTables, elsewhereOf, type Tables } from './areas.ts'
import { departureOf, isWantedByStayers } from './departures.ts'
import { grantLease, isAllTaken } from './leases.ts'
import type {
  AnnounceAnswer,
  AnnounceItem,
  AnnounceRequest,
  AnswerItem,
  InheritRequest,
  KnownFact,
  LocateAnswer,
  LocateRequest,
  PeerAddress,
  PossessionAnswer,
  PossessionRequest,
  RosterAnswer,
  RosterSum,
  TimedAnswer,
} from './messages.ts'
import { neighboursOf } from './neighbours.ts'
import { createPossessions, type Possessions } from './possession.ts'
import { createPunctuality, type Punctuality } from './punctuality.ts'
import { createRelays, type Relays } from './relays.ts'
import { createRoster, isAtRest, isSameSum, type Roster } from './rosters.ts'
import { createSickOrigins, type SickOrigins } from './sick-origins.ts'
import {
  addAnnouncer,
  contestedOf,
  countsOf,
  createTable,
  endMourning,
  lapseStalled,
  lostLeases,
  mourn,
  removeAnnouncer,
  updateAnnouncer,
} from './table.ts'
import type { Announcer, Table } from './table.ts'

export interface DirectoryComponents {
  readonly self: PeerId
  readonly clock: Clock
  readonly random: Random
  /** The hosts of a digest as this host sees the members, best first (core/directory/owners.ts). */
  ownersOf(digest: Digest): readonly PeerId[]
  /** How long a table made now must listen before this host knows what its predecessor for the digest granted. */
  learningMs(digest: Digest): number
  /** The same where it has a table. */
  catchingUpMs(digest: Digest): number
  /** How long this host must still listen, whatever tables it has, since it has just come (back) into the cluster. */
  arrivingMs(): number
  /** This host's member list has agreed with its seed's. */
  ready(): boolean
  /** `by` asks here for a lease that `host`, who ranks higher, should have granted: perhaps it is dead, and worth a look. */
  suspect(host: PeerId, by: PeerId): void
}

export interface DirectoryOptions {
  /** Most digests kept; the longest unheard is forgotten first. Default `limits.directoryDigestsMax`. */
  readonly digestsMax?: number
  /** Most memory for chunks over all digests; the largest is forgotten first. Default `limits.directoryBytesMax`. */
  readonly bytesMax?: number
  /** Most announcers kept over all digests; further ones are answered but not noted. Default `limits.directoryAnnouncersMax`. */
  readonly announcersMax?: number
  /** Peers named to a leech. Default `limits.neighboursNamed`. */
  readonly neighboursNamed?: number
  /** Where announcers are. Default: everybody is equally near. */
  readonly places?: Places
}

export interface Directory {
  announce(request: AnnounceRequest): AnnounceAnswer
  locate(request: LocateRequest): LocateAnswer
  possession(request: PossessionRequest): PossessionAnswer
  /** Takes over what another host knew of possession. */
  inherit(request: InheritRequest): void
  /** What is known of possession here. */
  facts(): Iterable<KnownFact>
  /**
   * Has this peer a lease of this host, or had one a moment ago? There are few at a time, and the origin is idle while they wait:
   * so they need not wait their turn in a crowd (turns.ts).
   */
  isFetcher(peer: PeerId): boolean
  /** A member left or died: it is out of all answers at once. */
  memberGone(peer: PeerId): void
  /** Forgets who has gone silent; call it about every half second. */
  tick(): void
  /** What is kept now. */
  stats(): { readonly digests: number; readonly announcers: number; readonly leases: number }
}

interface State extends DirectoryComponents {
  readonly digestsMax: number
  readonly bytesMax: number
  readonly announcersMax: number
  readonly neighboursNamed: number
  readonly places: Places
  readonly tables: Tables
  readonly relays: Relays
  readonly possessions: Possessions
  announcers: number
  /** What rests with each announcer. */
  readonly rosters: Map<PeerId, Roster>
  /** Who lately announced a digest that it wants or fetches, longest ago first. */
  readonly callers: Map<PeerId, number>
  /** Who was last heard of with a lease of this host when, longest ago first. */
  readonly fetchers: Map<PeerId, number>
  readonly limitedOrigins: Map<string, number>
  readonly sickOrigins: SickOrigins
  readonly punctuality: Punctuality
  leaseId: number
  providedMs: number
}

export function createDirectory(components: DirectoryComponents, options: DirectoryOptions = {}): Directory {
  const state: State = {
    ...components,
    digestsMax: options.digestsMax ?? limits.directoryDigestsMax,
    bytesMax: options.bytesMax ?? limits.directoryBytesMax,
    announcersMax: options.announcersMax ?? limits.directoryAnnouncersMax,
    neighboursNamed: options.neighboursNamed ?? limits.neighboursNamed,
    places: options.places ?? nowhere,
    tables: createTables(),
    relays: createRelays({ clock: components.clock, random: components.random.fork('relays') }),
    possessions: createPossessions(components.clock),
    announcers: 0,
    rosters: new Map(),
    callers: new Map(),
    fetchers: new Map(),
    limitedOrigins: new Map(),
    sickOrigins: createSickOrigins(components.clock),
    punctuality: createPunctuality(),
    leaseId: components.random.below(2 ** 40),
    providedMs: Number.NEGATIVE_INFINITY,
  }
  return {
    announce: (request) => announce(state, request),
    locate: (request) => locate(state, request),
    possession: (request) => possession(state, request),
    inherit: ({ facts }) => state.possessions.inherit(facts),
    facts: () => state.possessions.facts(),
    isFetcher: (peer) => (state.fetchers.get(peer) ?? Number.NEGATIVE_INFINITY) > state.clock.now() - limits.leaseTtlMs,
    memberGone(peer) {
      for (const table of state.tables.values()) bury(state, table, peer)
      state.callers.delete(peer)
      state.fetchers.delete(peer)
    },
    tick: () => tick(state),
    stats: () => stats(state),
  }
}

function announce(state: State, { anew, asBefore, from, items }: AnnounceRequest): AnnounceAnswer {
  if (anew === true) doubt(state, from.peer)
  if (items.some(isBusy)) noteLast(state.callers, from.peer, state.clock.now())
  const answers = items.map((item) => answerItem(state, from, item))
  return { items: answers, ...(asBefore === undefined ? {} : { roster: answerRoster(state, from.peer, asBefore) }) }
}

/** It may have gained, lost or begun things meanwhile: whatever it does not say again by then is forgotten. */
function doubt(state: State, peer: PeerId): void {
  for (const table of state.tables.values()) {
    const announcer = table.announcers.get(peer)
    if (announcer === undefined) continue
    announcer.heardMs = state.clock.now()
    announcer.intervalMs = limits.announceMs
  }
}

/** What rests with the peer is heard of again, where it is what this host knows. */
function answerRoster(state: State, peer: PeerId, sum: RosterSum): RosterAnswer {
  const announceAfterMs = loadIntervalMs(state, limits.announceIdleMs)
  const roster = state.rosters.get(peer)
  if (roster === undefined || !isSameSum(roster.sum(), sum)) return { isSame: false, announceAfterMs }
  let provide: Digest | undefined
  for (const digest of roster.digests()) {
    for (const table of state.tables.of(digest)) {
      const announcer = table.announcers.get(peer)
      if (announcer === undefined) continue
      announcer.heardMs = state.clock.now()
      announcer.intervalMs = announceAfterMs
      state.tables.touch(table)
      if (provide === undefined && isFirst(state, digest) && mayProvide(state, table, announcer)) provide = digest
    }
  }
  return { isSame: true, announceAfterMs, ...(provide === undefined ? {} : { provide }) }
}

function isFirst(state: State, digest: Digest): boolean {
  return state.ownersOf(digest)[0] === state.self
}

function noteRest({ rosters }: State, peer: PeerId, item: AnnounceItem): void {
  if (!isAtRest(item)) return leaveRoster(rosters, peer, item.digest)
  const roster = rosters.get(peer) ?? createRoster()
  rosters.set(peer, roster)
  roster.add(item.digest)
}

function leaveRoster(rosters: Map<PeerId, Roster>, peer: PeerId, digest: Digest): void {
  const roster = rosters.get(peer)
  roster?.delete(digest)
  if (roster?.size === 0) rosters.delete(peer)
}

/** Whom to ask of a digest that this host is neither first nor second for. */
function properHostOf(state: State, digest: Digest): PeerId | undefined {
  const hosts = state.ownersOf(digest)
  return hosts.slice(0, limits.hostsPerDigest).includes(state.self) ? undefined : hosts[0]
}

function possession(state: State, request: PossessionRequest): PossessionAnswer {
  const ask = properHostOf(state, request.digest)
  return ask === undefined ? state.possessions.answer(request) : { ask, known: [] }
}

function locate(state: State, { from, digest, origin, except }: LocateRequest): LocateAnswer {
  const ask = properHostOf(state, digest)
  if (ask !== undefined) return { ask }
  const area = state.places.areaOf(from) ?? ''
  const table = state.tables.get(digest, area)
  const known = [...state.tables.of(digest)]
  const size = known[0] === undefined ? {} : { size: (table ?? known[0]).size }
  const relayAmong = (name: string, tables: readonly Table[]): PeerId | undefined =>
    state.relays.relayFor(
      name,
      from,
      tables.flatMap((one) => seedsOf(one, from)),
      except,
    )
  let relay = relayAmong(`${digest}${area}`, table === undefined ? [] : [table])
  // Who is first in its area stands in a line with those of other areas, of which one asks the origin.
  if (area !== '') relay ??= relayAmong(digest, known)
  if (relay !== undefined) return { relay, ...size }
  const againMs = state.ready() ? limitedForMs(state, origin) : limits.relayAgainMs
  return { ...size, ...(againMs > 0 ? { againMs } : {}) }
}

/** Some that have all of it, other than `asker`. */
function seedsOf(table: Table, asker: PeerId): PeerId[] {
  const seeds: PeerId[] = []
  for (const { peer, complete } of table.announcers.values()) {
    if (complete && peer !== asker) seeds.push(peer)
    if (seeds.length === limits.relaySeedsMax) break
  }
  return seeds
}

function isBusy(item: AnnounceItem): boolean {
  return item.wants || item.fetching.length > 0
}

/** There are no more members: whoever knows the secret may speak for any number of others. */
function noteLast(heard: Map<PeerId, number>, peer: PeerId, nowMs: number): void {
  heard.delete(peer)
  heard.set(peer, nowMs)
  const [oldest] = heard.size > limits.membersMax ? heard.keys() : []
  if (oldest !== undefined) heard.delete(oldest)
}

function forgetBefore(heard: Map<PeerId, number>, sinceMs: number): void {
  for (const [peer, heardMs] of heard) {
    if (heardMs >= sinceMs) return
    heard.delete(peer)
  }
}

/** `leastMs`, or so long that all who announce together take `limits.announceShareOfCore` of this host. */
function loadIntervalMs({ callers }: State, leastMs: number): number {
  return Math.max(leastMs, (callers.size * limits.announceCostMs) / limits.announceShareOfCore)
}

/** When who announces `item` to the host that is `rank`th for it should do so again. */
function intervalMs(state: State, item: AnnounceItem, rank: number, announcer?: Announcer): number {
  if (item.departs === true) return limits.announceMs
  if (!isBusy(item)) return loadIntervalMs(state, limits.announceIdleMs)
  const isFetching = announcer !== undefined && announcer.active > 0
  if (rank > 0) return isFetching ? limits.announceFetchStandbyMs : loadIntervalMs(state, limits.announceStandbyMs)
  if (isFetching) return limits.announceMs
  return loadIntervalMs(state, announcer === undefined ? limits.announceWantMs : wantIntervalMs(state, announcer))
}

/** Who has wanted it for long gets on slowly, and has less to say in a second. */
function wantIntervalMs({ clock }: State, { wantsSinceMs }: Announcer): number {
  const ownMs = (clock.now() - wantsSinceMs) * limits.announceWantShare
  return Math.min(Math.max(limits.announceWantMs, ownMs), limits.announceWantMaxMs)
}

function answerItem(state: State, from: PeerAddress, item: AnnounceItem): TimedAnswer {
  const { digest } = item
  const hosts = state.ownersOf(digest)
  const rank = hosts.indexOf(state.self)
  const owner = rank === 0 ? undefined : hosts[0]
  noteRateLimit(state, item)
  noteSickness(state, from.peer, item)
  const nobody = { digest, peers: [], announceAfterMs: intervalMs(state, item, rank) }
  if (item.leaves === true) return answerLeaver(state, from.peer, nobody)
  if (rank < 0) return { ...nobody, ...(owner === undefined ? {} : { ask: owner }) }
  if (item.lease !== undefined) for (const before of hosts.slice(0, rank)) state.suspect(before, from.peer)
  const area = state.places.areaOf(from.peer)
  // Whoever is not known as a member yet may be on either side of the border.
  if (area === undefined) return { ...nobody, announceAfterMs: limits.announceMs, ...later(item, limits.announceMs) }
  const table = tableFor(state, from.peer, area, item, rank === 0)
  if (table === undefined) return nobody
  const announcer = table.size === item.size ? noted(state, table, from, item) : undefined
  evictLargest(state)
  if (announcer === undefined || state.tables.get(digest, area) !== table)
    return { ...nobody, size: table.size, ...later(item, nobody.announceAfterMs) }
  noteTrouble(state, table, item)
  const grants = rank === 0 || (item.lease?.instead === true && isNeglected(state, table))
  const lease = grants ? leaseFor(state, table, announcer, item) : later(item, limits.announceMs)
  if (announcer.active > 0) noteLast(state.fetchers, from.peer, state.clock.now())
  announcer.intervalMs = intervalMs(state, item, rank, announcer)
  return {
    digest,
    size: table.size,
    peers: lacksNeighbours(table, item)
      ? neighboursOf(table, announcer, state.neighboursNamed, item.neighbours ?? 0)
      : [],
    ...(item.wants ? { counts: countsOf(table, announcer) } : {}),
    ...lease,
    ...(rank === 0 ? lostOf(table, announcer) : contestedFor(state, table, announcer)),
    ...(rank === 0 ? departureFor(state, table, announcer) : {}),
    ...(owner !== undefined && item.lease !== undefined && !grants ? { ask: owner } : {}),
    ...(rank === 0 && mayProvide(state, table, announcer) ? { provide: true } : {}),
    announceAfterMs: announcer.intervalMs,
  }
}

function lacksNeighbours({ announcers }: Table, { isConnected, neighbours = 0, wants }: AnnounceItem): boolean {
  return wants && isConnected !== true && neighbours < announcers.size - 1
}

function later(item: AnnounceItem, afterMs: number): Pick<AnswerItem, 'leaseAfterMs'> {
  return item.lease === undefined ? {} : { leaseAfterMs: afterMs }
}

function answerLeaver(state: State, peer: PeerId, answer: TimedAnswer): TimedAnswer {
  for (const table of state.tables.of(answer.digest)) forget(state, table, peer)
  return answer
}

/**
 * The digest's table, made at its first announce, now the most recently used. When more announcers describe it with
 * another size than with the table's, that size is taken and those who told the old one must announce anew.
 */
function tableFor(state: State, peer: PeerId, area: string, item: AnnounceItem, first: boolean): Table | undefined {
  if (item.size > limits.blobSizeMaxBytes) return undefined
  let table = state.tables.get(item.digest, area)
  if (table !== undefined && table.size !== item.size && isOutvoted(state, table, peer, item.size)) {
    for (const told of table.announcers.keys()) forget(state, table, told)
    table = undefined
  }
  const learningMs = first ? state.learningMs(item.digest) : limits.directoryLearnMs
  table ??= createTable(item.digest, area, item.size, state.clock.now() + learningMs, state.clock.now())
  state.tables.touch(table)
  const [oldest] = state.tables.size > state.digestsMax ? state.tables.values() : []
  if (oldest !== undefined) evict(state, oldest)
  return table
}

function isOutvoted(state: State, table: Table, peer: PeerId, size: number): boolean {
  forget(state, table, peer)
  if (table.dissenters.size < state.announcersMax) table.dissenters.set(peer, size)
  let votes = 0
  for (const told of table.dissenters.values()) if (told === size) votes++
  return votes > table.announcers.size
}

function evict(state: State, table: Table): void {
  state.announcers -= table.announcers.size
  for (const peer of table.announcers.keys()) leaveRoster(state.rosters, peer, table.digest)
  state.tables.delete(table)
}

/** The largest tables go first: one of them makes room for hundreds, and who fills memory on purpose makes it. */
function evictLargest(state: State): void {
  while (state.tables.bytes > state.bytesMax) {
    const largest = state.tables.largest()
    if (largest === undefined) return
    evict(state, largest)
  }
}

function noted(state: State, table: Table, from: PeerAddress, item: AnnounceItem): Announcer | undefined {
  const nowMs = state.clock.now()
  let announcer = table.announcers.get(from.peer)
  if (announcer === undefined) {
    if (state.announcers >= state.announcersMax) return undefined
    announcer = addAnnouncer(table, from.peer, nowMs)
    state.announcers++
  } else if (announcer.wants) {
    state.punctuality.heard(nowMs - announcer.heardMs, announcer.intervalMs)
  }
  table.dissenters.delete(from.peer)
  announcer.addresses = from.addresses
  announcer.place = state.places.placeOf(from.peer)
  updateAnnouncer(table, announcer, item, nowMs)
  noteRest(state, from.peer, item)
  state.tables.measure(table)
  return announcer
}

/** Who wants has announced once more before it died, or died before that; who took of it says so on hearing of the death, which may be a moment later than this host does. */
function bury(state: State, table: Table, peer: PeerId): void {
  const nowMs = state.clock.now()
  forget(state, table, peer, (announcer) => {
    const sinceMs = announcer.wants ? Math.min(nowMs, announcer.heardMs + announcer.intervalMs) : nowMs
    mourn(table, announcer, sinceMs + limits.announceWantMs)
  })
}

function forget(
  state: State,
  table: Table,
  peer: PeerId,
  remove = (announcer: Announcer): void => removeAnnouncer(table, announcer),
): void {
  table.dissenters.delete(peer)
  const announcer = table.announcers.get(peer)
  if (announcer === undefined) return
  remove(announcer)
  leaveRoster(state.rosters, peer, table.digest)
  state.announcers--
  if (table.announcers.size === 0) state.tables.delete(table)
}

function leaseFor(
  state: State,
  table: Table,
  announcer: Announcer,
  item: AnnounceItem,
): Pick<AnswerItem, 'lease' | 'leaseAfterMs' | 'isAllTaken'> {
  if (item.lease === undefined) return {}
  if (announcer.departs && isWantedByStayers(table)) return { leaseAfterMs: limits.announceMs }
  const heldBackMs = heldBackForMs(state, table)
  if (heldBackMs > 0) return { leaseAfterMs: heldBackMs }
  const limitedMs = limitedForMs(state, originOf(item))
  const isSick = state.sickOrigins.isSick(originOf(item))
  const sources = { elsewhere: elsewhereOf(state.tables, table, announcer), origin: limitedMs <= 0, isSick }
  if (limitedMs > 0 && sources.elsewhere === undefined) return { leaseAfterMs: limitedMs }
  const wish = { ...item, lease: item.lease }
  const lease = grantLease(
    table,
    announcer,
    wish,
    state.clock.now(),
    sources,
    state.punctuality.leaseTtlMs(),
    () => state.leaseId++,
  )
  const taken = isAllTaken(table, announcer) ? { isAllTaken: true } : {}
  if (lease !== undefined) return { lease, ...taken }
  // What comes to an area in one moment can be fetched from there in the next, and only wishes bring it across.
  const leastMs = sources.elsewhere === undefined ? wantIntervalMs(state, announcer) : limits.announceMs
  return { leaseAfterMs: loadIntervalMs(state, leastMs), ...taken }
}

/** That nobody fetches is the origin's doing, then: else owner and standby would both grant once it is well again. */
function noteTrouble(state: State, table: Table, item: AnnounceItem): void {
  const origin = originOf(item)
  if (limitedForMs(state, origin) > 0 || state.sickOrigins.isSick(origin)) table.quietSinceMs = state.clock.now()
}

/** For so long nobody, in whatever area, has fetched anything that the owner would have granted. */
function isNeglected({ clock, tables }: State, { digest }: Table): boolean {
  const sinceMs = clock.now() - limits.successionMs
  return [...tables.of(digest)].every(({ quietSinceMs }) => quietSinceMs <= sinceMs)
}

function lostOf(table: Table, announcer: Announcer): Pick<AnswerItem, 'lost'> {
  const lost = lostLeases(table, announcer)
  return lost.length > 0 ? { lost } : {}
}

function contestedFor(state: State, table: Table, announcer: Announcer): Pick<AnswerItem, 'contested'> {
  lapseStalled(table, state.clock.now(), state.punctuality.leaseTtlMs())
  const contested = contestedOf(table, announcer)
  return contested.length > 0 ? { contested } : {}
}

function departureFor(state: State, table: Table, announcer: Announcer): Pick<AnswerItem, 'departure'> {
  // Not all have announced here yet, so what others hold is not known.
  if (!announcer.departs || heldBackForMs(state, table) > 0) return {}
  return { departure: departureOf(state.tables.of(table.digest), table, announcer) }
}

/** Why nobody gets a lease now, as the time until it may be otherwise. */
function heldBackForMs(state: State, table: Table): number {
  const nowMs = state.clock.now()
  const listMs = state.ready() ? 0 : limits.announceMs
  return Math.max(listMs, state.arrivingMs(), state.catchingUpMs(table.digest), table.learnUntilMs - nowMs)
}

function limitedForMs({ limitedOrigins, clock }: State, origin: string): number {
  return (limitedOrigins.get(origin) ?? 0) - clock.now()
}

/** What a rate limit is kept under: the origin, or the digest alone where the announcer names none. */
function originOf({ origin, digest }: AnnounceItem): string {
  return origin ?? digest
}

function noteRateLimit({ limitedOrigins, clock }: State, item: AnnounceItem): void {
  if (item.originRetryAfterMs === undefined) return
  const untilMs = clock.now() + Math.min(item.originRetryAfterMs, limits.limitedOriginMaxMs)
  const origin = originOf(item)
  const knownMs = limitedOrigins.get(origin)
  if (knownMs === undefined && limitedOrigins.size >= limits.limitedOriginsMax) return
  limitedOrigins.set(origin, Math.max(untilMs, knownMs ?? 0))
}

/** Who only holds the content has not asked. */
function noteSickness({ sickOrigins }: State, peer: PeerId, item: AnnounceItem): void {
  if (isBusy(item)) sickOrigins.note(peer, originOf(item), item.originFails === true)
}

function mayProvide(state: State, table: Table, announcer: Announcer): boolean {
  const nowMs = state.clock.now()
  if (!announcer.complete || nowMs - state.providedMs < limits.provideEveryMs) return false
  const lastMs = table.providers.get(announcer.peer)
  if (lastMs === undefined ? table.providers.size >= limits.providersMax : nowMs - lastMs < limits.provideAgainMs) {
    return false
  }
  table.providers.set(announcer.peer, nowMs)
  state.providedMs = nowMs
  return true
}

function tick(state: State): void {
  const nowMs = state.clock.now()
  state.relays.tick()
  state.sickOrigins.tick()
  for (const table of state.tables.values()) {
    lapseStalled(table, nowMs, state.punctuality.leaseTtlMs())
    endMourning(table, nowMs)
    for (const announcer of table.announcers.values()) {
      if (nowMs - announcer.heardMs > silentAfterMs(announcer)) forget(state, table, announcer.peer)
    }
    if (table.announcers.size === 0) state.tables.delete(table)
    else state.tables.measure(table)
  }
  forgetBefore(state.callers, nowMs - 2 * loadIntervalMs(state, limits.announceWantMaxMs))
  forgetBefore(state.fetchers, nowMs - limits.leaseTtlMs)
  for (const [origin, untilMs] of state.limitedOrigins) if (untilMs <= nowMs) state.limitedOrigins.delete(origin)
}

function silentAfterMs({ intervalMs: ofAnnouncer }: Announcer): number {
  return Math.max(limits.announcerSilentMs, limits.announcerSilentIntervals * ofAnnouncer)
}

function stats({ tables, announcers }: State): ReturnType<Directory['stats']> {
  let leases = 0
  for (const table of tables.values()) leases += table.fetchers.size
  return { digests: tables.size, announcers, leases }
}
