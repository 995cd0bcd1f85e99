/**
 * Membership: a pure machine that keeps the full list of members by push-pull exchange, finds who died, and says goodbye.
 *
 * - Each second it exchanges with a random member, which spreads what it knows, and with its successor on a ring of hashed
 *   names, which is how each member has somebody who notices its death within a second. News is pushed at once besides.
 * - Who fails to answer is tried again, and two others are asked to look (an *accusation*). Two own failures with another
 *   member's, or three own ones, are a death (one less, and it is passed over as a host); unless this member reaches nobody, and so is probably the one cut off.
 * - A live member that hears itself declared dead raises its incarnation, and that word wins.
 * - Seeds are asked until the list agrees with one of theirs, and now and then later, so that partitions heal.
 */
import { limits } from '../limits.ts'
import type { Clock, PeerId, Random } from '../ports.ts'
import { createMemberList, replaces } from './list.ts'
import type { MemberList } from './list.ts'
import type { Accusation, ExchangeAnswer, ExchangeRequest, MemberRecord } from './messages.ts'

export type MembersOutput =
  /** Carry `request` to a member, or to whoever listens there where `peer` is undefined; then `exchanged` or `failed`. */
  | {
      readonly type: 'exchange'
      readonly id: number
      readonly peer: PeerId | undefined
      readonly cluster: string
      readonly request: ExchangeRequest
    }
  /** A record is new or changed; `before` is the one it replaces. Never about this agent itself. */
  | { readonly type: 'member'; readonly record: MemberRecord; readonly before: MemberRecord | undefined }
  /** This agent gets no answer from a live member, or gets one again. */
  | { readonly type: 'silent'; readonly peer: PeerId }
  | { readonly type: 'heard'; readonly peer: PeerId }
  /** The list has agreed with a seed's for the first time. */
  | { readonly type: 'agreed' }
  /** Others believed this agent dead, and it has told them better. */
  | { readonly type: 'refuted' }

export interface MembersComponents {
  readonly clock: Clock
  readonly random: Random
  emit(output: MembersOutput): void
}

export interface MembersOptions {
  /** This agent's own record. Its incarnation must be higher than in its last life: the time of day at the start serves. */
  readonly self: MemberRecord
}

export interface Members {
  /** Where seeds listen, in an order on which all agree; the first three count. Call it at the start, and on change. */
  setSeeds(seeds: readonly string[]): void
  /** Another member's exchange. */
  handle(request: ExchangeRequest): ExchangeAnswer
  exchanged(id: number, answer: ExchangeAnswer): void
  /** `refused`: its machine answered that nobody listens there, which tells more than silence. */
  failed(id: number, refused: boolean): void
  /** This member has just spoken in another way than by an exchange: it lives. */
  heard(peer: PeerId): void
  /** This member, or `by`, has reason to think that `peer` is dead: look. */
  suspect(peer: PeerId, by?: PeerId): void
  /** Says goodbye to several members at once. */
  leave(): void
  /** Call it at `nextMs()`, or every few tens of milliseconds. */
  tick(): void
  nextMs(): number
  get(peer: PeerId): MemberRecord | undefined
  /** The live members, this agent included. */
  live(): readonly PeerId[]
  /** The live members that rank highest as this agent's neighbours, best first. */
  nearest(count: number): readonly MemberRecord[]
  /** The list has agreed with a seed's at least once, or there is none to agree with. */
  agreed(): boolean
  hash(): string
}

interface Contact {
  heardMs: number
  failures: number
  failedMs: number
  /** It has been reported silent. */
  silent: boolean
  /** Who else could not reach it, and when they said so. */
  readonly accusers: Map<PeerId, number>
}

interface Flight {
  readonly peer: PeerId | undefined
  readonly cluster: string
  readonly seed: boolean
  /** Buckets asked for; the comparison goes on while they become fewer. */
  readonly wanted: number
  deadlineMs: number
  excused: boolean
}

interface State extends MembersComponents {
  self: MemberRecord
  readonly list: MemberList
  readonly contacts: Map<PeerId, Contact>
  readonly flights: Map<number, Flight>
  /** Members to try again, and when. */
  readonly probes: Map<PeerId, number>
  /** Records to push, and how often yet. */
  readonly news: Map<PeerId, number>
  seeds: readonly string[] | undefined
  seedTurn: number
  seedHeard: boolean
  agreed: boolean
  nextId: number
  /** When this agent last exchanged with anybody. */
  contactMs: number
  roundMs: number
  newsMs: number
  seedMs: number
  seedGraceMs: number
  departedMs: number
  expectedTickMs: number
}

export function createMembers(components: MembersComponents, { self }: MembersOptions): Members {
  const state = createState(components, self)
  return {
    setSeeds: (seeds) => setSeeds(state, seeds),
    handle: (request) => handle(state, request),
    exchanged: (id, answer) => exchanged(state, id, answer),
    failed: (id, refused) => failed(state, id, refused),
    heard: (peer) => heard(state, peer),
    suspect: (peer, by) => suspect(state, peer, by),
    leave: () => leave(state),
    tick: () => tick(state),
    nextMs: () => nextMs(state),
    get: (peer) => state.list.get(peer),
    live: () => state.list.live(),
    nearest: (count) => state.list.nearest(self.peer, count),
    agreed: () => state.agreed,
    hash: () => state.list.hash(),
  }
}

function createState(components: MembersComponents, self: MemberRecord): State {
  const nowMs = components.clock.now()
  const list = createMemberList()
  list.put(self, nowMs)
  return {
    ...components,
    self,
    list,
    contacts: new Map(),
    flights: new Map(),
    probes: new Map(),
    news: new Map(),
    seeds: undefined,
    seedTurn: 0,
    seedHeard: false,
    agreed: false,
    nextId: 0,
    contactMs: Number.NEGATIVE_INFINITY,
    roundMs: nowMs + components.random.below(limits.exchangeMs),
    newsMs: Number.POSITIVE_INFINITY,
    seedMs: Number.POSITIVE_INFINITY,
    seedGraceMs: Number.POSITIVE_INFINITY,
    departedMs: nowMs + limits.departedTryMs,
    expectedTickMs: nowMs,
  }
}

// Merging

/** Takes over what is news to this list; `by` is who told it. */
function learn(state: State, records: readonly MemberRecord[], by: PeerId): void {
  const changed: PeerId[] = []
  for (const record of records) {
    if (record.peer === state.self.peer) defend(state, record)
    else if (isNews(state, record)) {
      if (isDoubtful(state, record)) accuse(state, record, by)
      else {
        put(state, record)
        changed.push(record.peer)
      }
    }
  }
  if (changed.length <= limits.newsAtOnceMax) for (const peer of changed) spread(state, peer)
}

function isNews(state: State, record: MemberRecord): boolean {
  const known = state.list.get(record.peer)
  return known === undefined ? isWelcome(state, record) : replaces(record, known)
}

/** A death is hearsay: fresh contact of one's own outweighs it until a look confirms it. */
function isDoubtful(state: State, { peer, state: told }: MemberRecord): boolean {
  return told === 'dead' && state.list.get(peer)?.state === 'alive' && isFresh(state, peer)
}

/** A departed member that is not in the list has been forgotten, or was never known. */
function isWelcome(state: State, record: MemberRecord): boolean {
  return record.state === 'alive' && state.list.size() < limits.membersMax
}

function isFresh(state: State, peer: PeerId): boolean {
  const contact = state.contacts.get(peer)
  return contact?.failures === 0 && state.clock.now() - contact.heardMs < limits.contactFreshMs
}

function put(state: State, record: MemberRecord): void {
  const before = state.list.get(record.peer)
  state.list.put(record, state.clock.now())
  const wasSilent = state.contacts.get(record.peer)?.silent === true
  // A departure and a sign of new life both end what was noted of the old one.
  state.contacts.delete(record.peer)
  state.probes.delete(record.peer)
  if (record.state !== 'alive' && state.seeds?.includes(record.cluster) === true)
    state.seedMs = Math.min(state.seedMs, state.clock.now() + seedWaitMs(state, true))
  state.emit({ type: 'member', record, before })
  if (wasSilent && record.state === 'alive') state.emit({ type: 'heard', peer: record.peer })
}

function spread(state: State, peer: PeerId): void {
  state.news.set(peer, limits.newsPushes)
  state.newsMs = Math.min(state.newsMs, state.clock.now() + limits.newsMs)
}

/** Somebody tells about this agent what it did not say. */
function defend(state: State, record: MemberRecord): void {
  if (!replaces(record, state.self)) return
  setSelf(state, { ...state.self, incarnation: record.incarnation + 1 })
  if (record.state !== 'alive' && state.self.state === 'alive') state.emit({ type: 'refuted' })
}

function setSelf(state: State, self: MemberRecord): void {
  state.self = self
  state.list.put(self, state.clock.now())
  spread(state, self.peer)
}

// Exchanges

function handle(state: State, request: ExchangeRequest): ExchangeAnswer {
  const { peer } = request.from
  learn(state, [request.from], peer)
  heard(state, peer)
  learn(state, request.news, peer)
  for (const accusation of request.accusations) accuse(state, accusation, peer)
  const hash = state.list.hash()
  const differs = hash !== request.hash
  return {
    from: state.self,
    hash,
    news: [...correction(state, peer), ...newsOf(state), ...state.list.inBuckets(request.want)],
    ...(differs && request.compare ? { buckets: state.list.bucketHashes() } : {}),
  }
}

/** Whoever calls though the list holds it departed must hear of it, to tell better. */
function correction(state: State, caller: PeerId): MemberRecord[] {
  const record = state.list.get(caller)
  return record === undefined || record.state === 'alive' ? [] : [record]
}

function newsOf(state: State): MemberRecord[] {
  const records: MemberRecord[] = []
  for (const peer of state.news.keys()) {
    if (records.length >= limits.membersPerMessage) break
    const record = state.list.get(peer)
    if (record !== undefined) records.push(record)
  }
  return records
}

interface Sending {
  readonly compare?: boolean
  readonly want?: readonly number[]
  readonly news?: readonly MemberRecord[]
  readonly accusations?: readonly Accusation[]
  readonly seed?: boolean
}

function exchange(state: State, peer: PeerId | undefined, cluster: string, sending: Sending): void {
  const id = state.nextId++
  const deadlineMs = state.clock.now() + limits.exchangeTimeoutMs
  const wanted = sending.want?.length ?? Number.POSITIVE_INFINITY
  state.flights.set(id, { peer, cluster, seed: sending.seed ?? false, wanted, deadlineMs, excused: false })
  const request: ExchangeRequest = {
    from: state.self,
    hash: state.list.hash(),
    news: [...(sending.news ?? []), ...newsOf(state)],
    accusations: sending.accusations ?? [],
    compare: sending.compare ?? false,
    want: sending.want ?? [],
  }
  state.emit({ type: 'exchange', id, peer, cluster, request })
}

function exchangeWith(state: State, peer: PeerId, sending: Sending): void {
  const record = state.list.get(peer)
  if (record !== undefined && peer !== state.self.peer) exchange(state, peer, record.cluster, sending)
}

function exchanged(state: State, id: number, answer: ExchangeAnswer): void {
  const flight = state.flights.get(id)
  if (flight === undefined) return
  state.flights.delete(id)
  const { peer } = answer.from
  if (flight.peer !== undefined && flight.peer !== peer) {
    fail(state, flight.peer, true)
    return
  }
  if (peer === state.self.peer) {
    if (flight.seed && flight.cluster === state.seeds?.[0]) agree(state)
    return
  }
  learn(state, [answer.from], peer)
  heard(state, peer)
  learn(state, answer.news, peer)
  if (flight.seed) state.seedHeard = true
  if (answer.hash === state.list.hash()) {
    if (isSeed(state, flight, answer.from)) agree(state)
  } else if (answer.buckets !== undefined) reconcile(state, flight, answer.buckets)
}

function isSeed(state: State, flight: Flight, { cluster }: MemberRecord): boolean {
  return flight.seed || (state.seeds?.includes(cluster) ?? false)
}

/** Sends the records of all buckets that differ, and asks for the other side's. */
function reconcile(state: State, flight: Flight, theirs: readonly number[]): void {
  const ours = state.list.bucketHashes()
  const want = [...ours.keys()].filter((bucket) => ours[bucket] !== theirs[bucket])
  if (want.length === 0 || want.length >= flight.wanted) return
  const news = state.list.inBuckets(want)
  exchange(state, flight.peer, flight.cluster, { want, news, seed: flight.seed, compare: true })
}

// Failures

function contactOf(state: State, peer: PeerId): Contact {
  let contact = state.contacts.get(peer)
  if (contact === undefined) {
    contact = {
      heardMs: Number.NEGATIVE_INFINITY,
      failures: 0,
      failedMs: 0,
      silent: false,
      accusers: new Map(),
    }
    state.contacts.set(peer, contact)
  }
  return contact
}

function heard(state: State, peer: PeerId): void {
  regainContact(state)
  if (state.list.get(peer)?.state !== 'alive') return
  const contact = contactOf(state, peer)
  const wasSilent = contact.silent
  contact.heardMs = state.clock.now()
  contact.failures = 0
  contact.silent = false
  state.probes.delete(peer)
  contact.accusers.clear()
  if (wasSilent) state.emit({ type: 'heard', peer })
}

/** Failures while this member reached nobody say nothing about others. */
function regainContact(state: State): void {
  const nowMs = state.clock.now()
  if (nowMs - state.contactMs > limits.contactFreshMs) {
    for (const contact of state.contacts.values()) contact.failures = 0
    for (const peer of state.probes.keys()) state.probes.set(peer, nowMs)
  }
  state.contactMs = nowMs
}

function failed(state: State, id: number, refused: boolean): void {
  const flight = state.flights.get(id)
  if (flight === undefined) return
  state.flights.delete(id)
  if (flight.peer !== undefined) fail(state, flight.peer, refused)
}

function fail(state: State, peer: PeerId, refused: boolean): void {
  if (state.list.get(peer)?.state !== 'alive' || state.self.state !== 'alive') return
  const nowMs = state.clock.now()
  // A machine that refuses is reached.
  if (refused) regainContact(state)
  const contact = contactOf(state, peer)
  const before = contact.failures
  if (before === 0) contact.failedMs = nowMs
  contact.failures += refused ? limits.failuresSilent : 1
  state.probes.set(peer, nowMs + (before < limits.failuresDead ? limits.probeAgainMs : limits.exchangeMs))
  if (before === 0) askOthers(state, peer, contact)
  judge(state, peer, contact)
}

/** Two others are asked to look, and whoever asked this member to look hears what it found. */
function askOthers(state: State, peer: PeerId, contact: Contact): void {
  const accusations = [{ peer, incarnation: state.list.get(peer)?.incarnation ?? 0 }]
  const targets = new Set(contact.accusers.keys())
  for (let count = 0; count < limits.accusationTargets; count++) {
    const other = state.list.pick(state.random, (one) => one !== peer && isReachable(state, one) && !targets.has(one))
    if (other !== undefined) targets.add(other)
  }
  for (const target of targets) exchangeWith(state, target, { accusations })
}

function isReachable(state: State, peer: PeerId): boolean {
  return peer !== state.self.peer && (state.contacts.get(peer)?.failures ?? 0) === 0
}

function accuse(state: State, { peer, incarnation }: Accusation, by: PeerId): void {
  if (peer === state.self.peer) {
    if (incarnation >= state.self.incarnation) defend(state, { ...state.self, incarnation, state: 'dead' })
    return
  }
  const known = state.list.get(peer)
  if (known?.state !== 'alive' || known.incarnation > incarnation) return
  const contact = contactOf(state, peer)
  contact.accusers.set(by, state.clock.now())
  if (contact.failures > 0) judge(state, peer, contact)
  else probe(state, peer, [{ peer, incarnation }])
}

function suspect(state: State, peer: PeerId, by: PeerId | undefined): void {
  const incarnation = state.list.get(peer)?.incarnation ?? 0
  if (by === undefined || by === state.self.peer) probe(state, peer, [])
  else accuse(state, { peer, incarnation }, by)
}

/** Looks at a member now, unless a look is under way; it hears what is said of it. */
function probe(state: State, peer: PeerId, accusations: readonly Accusation[]): void {
  state.probes.delete(peer)
  if (state.list.get(peer)?.state !== 'alive') return
  for (const flight of state.flights.values()) if (flight.peer === peer) return
  exchangeWith(state, peer, { accusations })
}

/** What another member failed to reach as well needs one failure less. */
function judge(state: State, peer: PeerId, contact: Contact): void {
  const nowMs = state.clock.now()
  for (const [accuser, saidMs] of contact.accusers) {
    if (nowMs - saidMs > limits.accusationMs) contact.accusers.delete(accuser)
  }
  const counted = contact.failures + (contact.accusers.size > 0 ? 1 : 0)
  if (!contact.silent && counted >= limits.failuresSilent) {
    contact.silent = true
    state.emit({ type: 'silent', peer })
  }
  const record = state.list.get(peer)
  if (counted < limits.failuresDead || record === undefined || isCutOff(state, peer, contact)) return
  put(state, { ...record, state: 'dead' })
  spread(state, peer)
  pushNews(state)
}

/** Nobody else has been heard since the member failed, though there are others: the fault is probably on this side. */
function isCutOff(state: State, peer: PeerId, contact: Contact): boolean {
  const others = state.list.live().length - (state.list.get(peer)?.state === 'alive' ? 2 : 1)
  return others > 0 && state.contactMs < contact.failedMs
}

// Time

function tick(state: State): void {
  const nowMs = state.clock.now()
  excuseLag(state, nowMs)
  for (const [id, flight] of state.flights) if (flight.deadlineMs <= nowMs) failed(state, id, false)
  if (state.self.state === 'alive') {
    if (state.roundMs <= nowMs) round(state, nowMs)
    if (state.newsMs <= nowMs) pushNews(state)
    if (state.seedMs <= nowMs) askSeeds(state, nowMs)
    if (state.departedMs <= nowMs) tryDeparted(state, nowMs)
    for (const [peer, dueMs] of state.probes) if (dueMs <= nowMs) probe(state, peer, [])
  }
  state.expectedTickMs = nextMs(state)
}

/** A tick that comes late means that this process was held up: answers may lie unread, and nobody is to blame. */
function excuseLag(state: State, nowMs: number): void {
  const lagMs = nowMs - state.expectedTickMs
  if (lagMs < limits.lagMs) return
  for (const flight of state.flights.values()) {
    if (flight.excused) continue
    flight.deadlineMs += Math.min(lagMs, limits.exchangeTimeoutMs)
    flight.excused = true
  }
}

function round(state: State, nowMs: number): void {
  state.roundMs = nowMs + limits.exchangeMs
  state.list.forgetDeparted(nowMs)
  const successor = state.list.successor(state.self.peer, (peer) => isReachable(state, peer))
  if (successor === undefined) return
  exchangeWith(state, successor, { compare: true })
  const other = state.list.pick(state.random, (peer) => peer !== successor && isReachable(state, peer))
  if (other !== undefined) exchangeWith(state, other, { compare: true })
}

function pushNews(state: State): void {
  const targets = new Set<PeerId>()
  for (let count = 0; count < limits.newsTargets; count++) {
    const target = state.list.pick(state.random, (peer) => isReachable(state, peer) && !targets.has(peer))
    if (target !== undefined) targets.add(target)
  }
  for (const target of targets) exchangeWith(state, target, {})
  for (const [peer, pushes] of state.news) {
    if (pushes > 1) state.news.set(peer, pushes - 1)
    else state.news.delete(peer)
  }
  state.newsMs = state.news.size > 0 ? state.clock.now() + limits.newsMs : Number.POSITIVE_INFINITY
}

// Seeds

function setSeeds(state: State, seeds: readonly string[]): void {
  const nowMs = state.clock.now()
  state.seeds = seeds.slice(0, limits.seedsMax)
  state.seedMs = nowMs
  if (state.seedGraceMs === Number.POSITIVE_INFINITY) state.seedGraceMs = nowMs + limits.seedGraceMs
  if (state.seeds.length === 0 || state.seeds[0] === state.self.cluster) agree(state)
}

function askSeeds(state: State, nowMs: number): void {
  const others = (state.seeds ?? []).filter((seed) => seed !== state.self.cluster)
  const missing = state.agreed ? missingOf(state, others) : others
  state.seedMs = nowMs + seedWaitMs(state, missing.length > 0)
  if (nowMs >= state.seedGraceMs && !state.seedHeard) agree(state)
  const asked = missing.length > 0 ? missing : others
  const seed = asked[state.seedTurn++ % Math.max(1, asked.length)]
  if (seed === undefined) return
  for (const flight of state.flights.values()) if (flight.seed && flight.cluster === seed) return
  exchange(state, undefined, seed, { compare: true, seed: true })
}

/** Seeds that no live member is. */
function missingOf({ list }: State, seeds: readonly string[]): string[] {
  const missing = new Set(seeds)
  for (const peer of list.live()) missing.delete(list.get(peer)?.cluster ?? '')
  return [...missing]
}

/** A seed that returns knows nobody, and takes itself for the whole cluster until one of its members asks: so some soon do. */
function seedWaitMs(state: State, isMissing: boolean): number {
  if (!state.agreed) return limits.seedEagerMs
  const live = state.list.live().length
  if (live < 2) return limits.seedLonelyMs
  const waitMs = isMissing ? Math.min(live * limits.seedMissingMs, limits.seedIdleMs) : limits.seedIdleMs
  return waitMs / 2 + state.random.below(waitMs)
}

function agree(state: State): void {
  if (state.agreed) return
  state.agreed = true
  state.emit({ type: 'agreed' })
}

/** One of the departed may be there again, on the other side of a partition that has healed. */
function tryDeparted(state: State, nowMs: number): void {
  state.departedMs = nowMs + limits.departedTryMs
  const departed = state.list.departed().filter((peer) => state.list.get(peer)?.state === 'dead')
  const peer = departed[departed.length === 0 ? 0 : state.random.below(departed.length)]
  if (peer !== undefined) exchangeWith(state, peer, { compare: true })
}

function leave(state: State): void {
  setSelf(state, { ...state.self, state: 'left', incarnation: state.self.incarnation + 1 })
  const targets = new Set<PeerId>()
  for (let count = 0; count < limits.goodbyeTargets; count++) {
    const target = state.list.pick(state.random, (peer) => isReachable(state, peer) && !targets.has(peer))
    if (target !== undefined) targets.add(target)
  }
  for (const target of targets) exchangeWith(state, target, {})
}

function nextMs(state: State): number {
  let next = Number.POSITIVE_INFINITY
  for (const { deadlineMs } of state.flights.values()) next = Math.min(next, deadlineMs)
  if (state.self.state !== 'alive') return next
  for (const dueMs of state.probes.values()) next = Math.min(next, dueMs)
  return Math.min(next, state.roundMs, state.newsMs, state.seedMs, state.departedMs)
}
