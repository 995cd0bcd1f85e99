/**
 * Membership: a pure machine that keeps the full list of members by push-pull exchange, finds who died, and says goodbye.
 *
 * - Each second it exchanges with a random member, which spreads what it knows, and with its successor on a ring of hashed
 *   names unless that has just been heard, which is how each member has somebody who notices its death; every other second with
 *   the one after that, since who should notice may die as well. News is pushed at once besides.
 * - Who gives no sign of life is called again, and others are asked to look (an *accusation*); whoever hears from it says so. A
 *   death takes silence and a witness, or a machine that refuses twice (contacts.ts). An agent that finds most others silent, or
 *   its own ticks late, gives them more time, and in the end accuses nobody (health.ts).
 * - A live member that hears itself declared dead raises its incarnation, and that word wins.
 * - Seeds are asked until the list agrees with one of theirs, and now and then later, so that partitions heal.
 */
import { limits } from '../limits.ts'
import type { Clock, PeerId, Random } from '../ports.ts'
import {
  acquit,
  type Circumstances,
  type Contact,
  createContact,
  forgetWitnesses,
  isTold,
  silenceMs,
  verdictOn,
  wasWronged,
  witnessesNeeded,
} from './contacts.ts'
import { createHealth, type Health } from './health.ts'
import { createMemberList, replaces } from './list.ts'
import type { MemberList } from './list.ts'
import type { Accusation, ExchangeAnswer, ExchangeRequest, GoneRecord, MemberRecord } from './messages.ts'

export type MembersOutput =
  /** Carry `request` to a member, or to whoever listens there where `peer` is undefined; then `exchanged` or `failed`. */
  | {
      readonly type: 'exchange'
      readonly id: number
      readonly peer: PeerId | undefined
      readonly cluster: string
      readonly request: ExchangeRequest
    }
  /** Another member is there: for the first time, again, or as a new process that knows nothing of what its last one was told. */
  | { readonly type: 'came'; readonly record: MemberRecord }
  /** Another member has left, or was found dead. */
  | { readonly type: 'gone'; readonly record: GoneRecord }
  /** This agent gets no answer from a live member, or gets one again. */
  | { readonly type: 'silent'; readonly peer: PeerId }
  | { readonly type: 'heard'; readonly peer: PeerId }
  /** The list has agreed with a seed's for the first time. */
  | { readonly type: 'agreed' }
  /** Others believed this agent dead, or said so, and it has told them better; what may be a lie is told every `limits.missedEveryMs`. */
  | { readonly type: 'refuted' }
  /** Another process with this agent's identity says to have started later, and to listen there: the two take each other's place again and again. */
  | { readonly type: 'cloned'; readonly cluster: string }

export interface MembersComponents {
  readonly clock: Clock
  readonly random: Random
  emit(output: MembersOutput): void
}

export interface MembersOptions {
  /** This agent's own record. Incarnation and life must be higher than those of its last process: the time of day at the start serves. */
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
  /** When this member last gave a sign of life; -Infinity: never. */
  heardMs(peer: PeerId): number
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

interface Flight {
  readonly peer: PeerId | undefined
  readonly cluster: string
  readonly seed: boolean
  /** Buckets asked for; the comparison goes on while they become fewer. */
  readonly wanted: number
  readonly sentMs: number
}

interface State extends MembersComponents {
  self: MemberRecord
  readonly list: MemberList
  readonly health: Health
  readonly contacts: Map<PeerId, Contact>
  /** Members that were called and have given no sign of life since. */
  readonly called: Set<PeerId>
  readonly flights: Map<number, Flight>
  /** Records to push, and how often yet. */
  readonly news: Map<PeerId, number>
  seeds: readonly string[] | undefined
  seedTurn: number
  seedHeard: boolean
  agreed: boolean
  nextId: number
  /** When this agent last exchanged with anybody. */
  contactMs: number
  /** Until then it was held up or cut off (contacts.ts). */
  deafUntilMs: number
  /** When it came back after so long a time of that that others may have found it dead. */
  returnedMs: number
  /** When it last told that others believed it dead. */
  missedMs: number
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
    heardMs: (peer) => state.contacts.get(peer)?.heardMs ?? Number.NEGATIVE_INFINITY,
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
    health: createHealth(),
    contacts: new Map(),
    called: new Set(),
    flights: new Map(),
    news: new Map(),
    seeds: undefined,
    seedTurn: 0,
    seedHeard: false,
    agreed: false,
    nextId: 0,
    contactMs: Number.NEGATIVE_INFINITY,
    deafUntilMs: Number.NEGATIVE_INFINITY,
    returnedMs: Number.NEGATIVE_INFINITY,
    missedMs: Number.NEGATIVE_INFINITY,
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
      if (isDoubtful(state, record)) hearOfDeath(state, record, by)
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

/**
 * A death is hearsay: fresh contact of one's own outweighs it until a look confirms it. A goodbye is too, whoever seems to say it, once
 * a member was wrongly said to be gone: a liar could say so again and again.
 */
function isDoubtful(state: State, { peer, state: told }: MemberRecord): boolean {
  if (told === 'alive' || state.list.get(peer)?.state !== 'alive') return false
  return told === 'dead' ? isFresh(state, peer) : wasWronged(contactOf(state, peer), state.clock.now())
}

/** A departed member that is not in the list has been forgotten, or was never known. */
function isWelcome(state: State, record: MemberRecord): boolean {
  return record.state === 'alive' && state.list.hasRoomFor(record.peer)
}

function isFresh(state: State, peer: PeerId): boolean {
  const contact = state.contacts.get(peer)
  return contact?.suspected === false && state.clock.now() - contact.heardMs < limits.contactFreshMs
}

function put(state: State, record: MemberRecord): void {
  const before = state.list.get(record.peer)
  state.list.put(record, state.clock.now())
  const wasSilent = state.contacts.get(record.peer)?.silent === true
  // A departure and a sign of new life both end what was noted of the old one.
  state.contacts.delete(record.peer)
  state.called.delete(record.peer)
  // A process that raises its incarnation has heard that others miss it.
  const isFalseAlarm = record.state === 'alive' && before?.life === record.life
  if (isFalseAlarm) contactOf(state, record.peer).wrongedMs = state.clock.now()
  if (record.state !== 'alive' && state.seeds?.includes(record.cluster) === true)
    state.seedMs = Math.min(state.seedMs, state.clock.now() + state.random.below(missingWaitMs(state)))
  if (isGone(record)) state.emit({ type: 'gone', record })
  else if (before?.state !== 'alive' || before.life !== record.life) state.emit({ type: 'came', record })
  if (wasSilent && record.state === 'alive') state.emit({ type: 'heard', peer: record.peer })
}

function isGone(record: MemberRecord): record is GoneRecord {
  return record.state !== 'alive'
}

function spread(state: State, peer: PeerId): void {
  state.news.set(peer, limits.newsPushes)
  state.newsMs = Math.min(state.newsMs, state.clock.now() + limits.newsMs)
}

/** Somebody tells about this agent what it did not say. */
function defend(state: State, record: MemberRecord): void {
  if (!replaces(record, state.self)) return
  const isOther = record.life > state.self.life && record.cluster !== state.self.cluster
  if (isOther && record.state === 'alive') state.emit({ type: 'cloned', cluster: record.cluster })
  setSelf(state, { ...state.self, incarnation: record.incarnation + 1 })
  if (record.state !== 'alive' && state.self.state === 'alive') noteMissed(state)
}

/** One that lies could say so again and again: after the first time it counts for a while only if this agent knows itself that it was away. */
function noteMissed(state: State): void {
  const nowMs = state.clock.now()
  if (state.returnedMs <= state.missedMs && nowMs - state.missedMs < limits.missedEveryMs) return
  state.missedMs = nowMs
  state.emit({ type: 'refuted' })
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
  accused(state, request.accusations, peer)
  for (const living of request.vouched) vouched(state, living, peer)
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
  readonly vouched?: readonly PeerId[]
  readonly seed?: boolean
}

function exchange(state: State, peer: PeerId | undefined, cluster: string, sending: Sending): void {
  const id = state.nextId++
  const sentMs = state.clock.now()
  const wanted = sending.want?.length ?? Number.POSITIVE_INFINITY
  state.flights.set(id, { peer, cluster, seed: sending.seed ?? false, wanted, sentMs })
  if (peer !== undefined) expectWord(state, peer)
  const request: ExchangeRequest = {
    from: state.self,
    hash: state.list.hash(),
    news: [...(sending.news ?? []), ...newsOf(state)],
    accusations: sending.accusations ?? [],
    vouched: sending.vouched ?? [],
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
    onRefusal(state, flight.peer)
    return
  }
  if (state.clock.now() - flight.sentMs < limits.memberSilentMs) state.health.inTime()
  if (peer === state.self.peer) {
    if (flight.seed && flight.cluster === state.seeds?.[0]) agree(state)
    return
  }
  // Who answers where that member listens says it itself. Where a seed listens anybody may.
  if (flight.peer === undefined) learn(state, [answer.from], peer)
  else if (isNews(state, answer.from)) {
    put(state, answer.from)
    spread(state, peer)
  }
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

// Signs of life, and their absence

function contactOf(state: State, peer: PeerId): Contact {
  let contact = state.contacts.get(peer)
  if (contact === undefined) {
    contact = createContact()
    state.contacts.set(peer, contact)
  }
  return contact
}

function circumstancesOf({ clock, deafUntilMs, health, list }: State): Circumstances {
  return { nowMs: clock.now(), deafUntilMs, patience: health.patience(), others: list.live().length - 2 }
}

/** It is being called: from now on its silence counts. */
function expectWord(state: State, peer: PeerId): void {
  if (state.list.get(peer)?.state !== 'alive') return
  const contact = contactOf(state, peer)
  if (contact.calledMs !== undefined) return
  contact.calledMs = state.clock.now()
  contact.lookMs = contact.calledMs + limits.memberSilentMs
  state.called.add(peer)
}

function heard(state: State, peer: PeerId): void {
  regainContact(state)
  if (state.list.get(peer)?.state !== 'alive') return
  const contact = contactOf(state, peer)
  contact.heardMs = state.clock.now()
  clear(state, peer, contact)
  if (contact.askers.size === 0) return
  for (const asker of contact.askers) exchangeWith(state, asker, { vouched: [peer] })
  contact.askers.clear()
}

function clear(state: State, peer: PeerId, contact: Contact): void {
  const wasSilent = contact.silent
  acquit(contact, state.clock.now())
  state.called.delete(peer)
  if (wasSilent) state.emit({ type: 'heard', peer })
}

/**
 * Another member, which was asked to look, hears from it: this one may just be badly placed, and goes on calling. The word of others
 * counts for nothing, or one that lies would keep the dead in all lists.
 */
function vouched(state: State, peer: PeerId, by: PeerId): void {
  const contact = state.contacts.get(peer)
  if (contact?.calledMs === undefined || contact.refusals > 0 || !contact.told.has(by)) return
  clear(state, peer, contact)
  expectWord(state, peer)
}

/** Silence while this member reached nobody says nothing about others. */
function regainContact(state: State): void {
  const nowMs = state.clock.now()
  const awayMs = nowMs - state.contactMs
  if (awayMs >= limits.memberDeadMs) state.returnedMs = nowMs
  if (awayMs > limits.contactFreshMs) {
    state.deafUntilMs = nowMs
    for (const peer of state.called) call(state, peer, [])
  }
  state.contactMs = nowMs
}

function failed(state: State, id: number, isRefusal: boolean): void {
  const flight = state.flights.get(id)
  if (flight === undefined) return
  state.flights.delete(id)
  if (flight.peer !== undefined && isRefusal) onRefusal(state, flight.peer)
}

function onRefusal(state: State, peer: PeerId): void {
  if (state.list.get(peer)?.state !== 'alive' || state.self.state !== 'alive') return
  // A machine that refuses is reached.
  regainContact(state)
  expectWord(state, peer)
  const contact = contactOf(state, peer)
  contact.refusals++
  judge(state, peer, contact)
  if (state.called.has(peer)) suspectAnew(state, peer, contact)
}

/** What has become of a call that brought no sign of life so far. */
function look(state: State, peer: PeerId): void {
  const contact = contactOf(state, peer)
  const circumstances = circumstancesOf(state)
  const patienceMs = limits.memberSilentMs * circumstances.patience
  const leftMs = patienceMs - silenceMs(contact, circumstances)
  // Less than a millisecond is lost where clocks are added to.
  if (leftMs >= 1 && contact.refusals === 0) {
    contact.lookMs = circumstances.nowMs + leftMs
    return
  }
  if (!contact.suspected && contact.refusals === 0) state.health.late()
  judge(state, peer, contact)
  if (!state.called.has(peer)) return
  call(state, peer, [])
  suspectAnew(state, peer, contact)
}

function suspectAnew(state: State, peer: PeerId, contact: Contact): void {
  const isWatched = !contact.suspected && watched(state).includes(peer)
  contact.suspected = true
  // Whoever it watches over may have died with it, and has nobody else who notices.
  if (isWatched) watch(state, watched(state))
  contact.lookMs = state.clock.now() + limits.memberAgainMs
  if (!state.health.doubtsItself() || contact.refusals > 0) accuse(state, peer, contact)
}

/** Others are asked to look, one more than have to agree; and whoever asked this member hears what it found. */
function accuse(state: State, peer: PeerId, contact: Contact): void {
  const nowMs = state.clock.now()
  const targets = new Set(contact.askers)
  const wanted = witnessesNeeded(contact, circumstancesOf(state)) + 1 - contact.witnesses.size
  for (let count = 0; count < wanted; count++) {
    const isNew = (one: PeerId): boolean => one !== peer && !isTold(contact, one, nowMs) && !targets.has(one)
    const other = state.list.pick(state.random, (one) => isNew(one) && isReachable(state, one))
    if (other !== undefined) targets.add(other)
  }
  contact.askers.clear()
  for (const target of targets) {
    contact.told.set(target, nowMs)
    exchangeWith(state, target, { accusations: [accusationOf(state, peer)] })
  }
}

function accusationOf({ list }: State, peer: PeerId): Accusation {
  return { peer, incarnation: list.get(peer)?.incarnation ?? 0 }
}

function isReachable(state: State, peer: PeerId): boolean {
  return peer !== state.self.peer && state.contacts.get(peer)?.suspected !== true
}

/** `by` hears nothing of these members: this one's own contact decides, or a look. Whoever it vouches for, it does in one call. */
function accused(state: State, accusations: readonly Accusation[], by: PeerId): void {
  const living = new Set<PeerId>()
  for (const accusation of accusations) if (isVouchedFor(state, accusation, by)) living.add(accusation.peer)
  if (living.size > 0) exchangeWith(state, by, { vouched: [...living] })
}

/** Has this member just heard from whom `by` accuses? If not, it takes note, and looks. */
function isVouchedFor(state: State, { peer, incarnation }: Accusation, by: PeerId): boolean {
  if (peer === state.self.peer) {
    if (incarnation >= state.self.incarnation) defend(state, { ...state.self, incarnation, state: 'dead' })
    return false
  }
  const known = state.list.get(peer)
  if (known?.state !== 'alive' || known.incarnation > incarnation) return false
  const contact = contactOf(state, peer)
  if (!contact.suspected && state.clock.now() - contact.heardMs < limits.memberSilentMs) return true
  contact.witnesses.set(by, state.clock.now())
  if (!isTold(contact, by, state.clock.now())) contact.askers.add(by)
  if (contact.suspected) judge(state, peer, contact)
  else call(state, peer, [])
  return false
}

/** Somebody has found a member dead of which this one has heard lately: it is told, and if it stays silent that is enough. */
function hearOfDeath(state: State, { peer, incarnation }: MemberRecord, by: PeerId): void {
  const contact = contactOf(state, peer)
  const isAsked = contact.toldDead
  contact.toldDead = true
  contact.witnesses.set(by, state.clock.now())
  // It has been told already: one message may say the same a thousand times, and is no reason for a thousand calls.
  call(state, peer, isAsked ? [] : [{ peer, incarnation }])
}

function suspect(state: State, peer: PeerId, by: PeerId | undefined): void {
  if (by === undefined || by === state.self.peer) call(state, peer, [])
  else accused(state, [accusationOf(state, peer)], by)
}

/** Calls a member now, unless a call is under way; it hears what is said of it. */
function call(state: State, peer: PeerId, accusations: readonly Accusation[]): void {
  if (state.list.get(peer)?.state === 'alive' && (accusations.length > 0 || !isCalled(state, peer)))
    exchangeWith(state, peer, { accusations })
}

/** A call that has been under way for long may hang with its connection, and does not keep another from being tried. */
function isCalled({ clock, flights }: State, peer: PeerId): boolean {
  const sinceMs = clock.now() - limits.memberAgainMs
  for (const flight of flights.values()) if (flight.peer === peer && flight.sentMs > sinceMs) return true
  return false
}

function judge(state: State, peer: PeerId, contact: Contact): void {
  forgetWitnesses(contact, state.clock.now())
  const verdict = verdictOn(contact, circumstancesOf(state))
  if (verdict !== 'well' && !contact.silent) {
    contact.silent = true
    state.emit({ type: 'silent', peer })
  }
  const record = state.list.get(peer)
  if (verdict !== 'dead' || record === undefined) return
  put(state, { ...record, state: 'dead' })
  spread(state, peer)
  pushNews(state)
}

// Time

function tick(state: State): void {
  const nowMs = state.clock.now()
  noteLag(state, nowMs)
  for (const [id, { sentMs }] of state.flights) if (sentMs + limits.memberCallMs <= nowMs) failed(state, id, false)
  if (state.self.state === 'alive') {
    if (state.roundMs <= nowMs) round(state, nowMs)
    if (state.newsMs <= nowMs) pushNews(state)
    if (state.seedMs <= nowMs) askSeeds(state, nowMs)
    if (state.departedMs <= nowMs) tryDeparted(state, nowMs)
    for (const peer of state.called) if (contactOf(state, peer).lookMs <= nowMs) look(state, peer)
  }
  state.expectedTickMs = nextMs(state)
}

/** A tick that comes late means that this process was held up: answers may lie unread, and nobody is to blame. */
function noteLag(state: State, nowMs: number): void {
  const lagMs = nowMs - state.expectedTickMs
  if (lagMs < limits.lagMs) return
  state.health.late()
  state.deafUntilMs = nowMs
  if (lagMs >= limits.memberSilentMs) state.returnedMs = nowMs
}

function round(state: State, nowMs: number): void {
  state.roundMs = nowMs + limits.exchangeMs
  state.list.forgetDeparted(nowMs)
  const next = watched(state)
  watch(state, next)
  const isOther = (peer: PeerId): boolean => peer !== next[0] && isReachable(state, peer) && !isCalled(state, peer)
  const other = state.list.pick(state.random, isOther)
  if (other !== undefined) exchangeWith(state, other, { compare: true })
}

type Watched = readonly [first: PeerId | undefined, second: PeerId | undefined]

/** The next two on the ring of whom this member thinks that they live. */
function watched(state: State): Watched {
  const first = state.list.successor(state.self.peer, (peer) => isReachable(state, peer))
  const second = state.list.successor(state.self.peer, (peer) => peer !== first && isReachable(state, peer))
  return [first, second]
}

/** Calls them, where they have not just been heard. */
function watch(state: State, [first, second]: Watched): void {
  const isDue = (peer: PeerId, ms: number): boolean =>
    state.clock.now() - contactOf(state, peer).heardMs >= ms && !isCalled(state, peer)
  if (second !== undefined && isDue(second, limits.exchangeMs)) exchangeWith(state, second, { compare: true })
  // However much is heard from the only one that is left: its list may be another.
  const leastMs = second === undefined ? 0 : limits.exchangeMs / 2
  if (first !== undefined && isDue(first, leastMs)) exchangeWith(state, first, { compare: true })
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
  if (state.seedGraceMs === Number.POSITIVE_INFINITY) state.seedGraceMs = nowMs + limits.seedGraceMs
  if (state.seeds.length === 0 || state.seeds[0] === state.self.cluster) agree(state)
  state.seedMs = nowMs
}

function askSeeds(state: State, nowMs: number): void {
  const others = (state.seeds ?? []).filter((seed) => seed !== state.self.cluster)
  const missing = state.agreed ? missingOf(state, others) : others
  state.seedMs = nowMs + seedWaitMs(state, missing.length > 0)
  if (nowMs >= state.seedGraceMs && !state.seedHeard) agree(state)
  const asked = missing.length > 0 ? missing : others
  const seed = asked[state.seedTurn++ % Math.max(1, asked.length)]
  if (seed === undefined) return
  for (const flight of state.flights.values())
    if (flight.seed && flight.cluster === seed && flight.sentMs + limits.memberSilentMs > nowMs) return
  exchange(state, undefined, seed, { compare: true, seed: true })
}

/** Seeds that no live member is. */
function missingOf({ list }: State, seeds: readonly string[]): string[] {
  const missing = new Set(seeds)
  for (const peer of list.live()) missing.delete(list.get(peer)?.cluster ?? '')
  return [...missing]
}

/**
 * A seed that returns knows nobody, and takes itself for the whole cluster until one of its members asks: so some soon do. Though all
 * asked at one moment, the first asks again soon.
 */
function seedWaitMs(state: State, isMissing: boolean): number {
  if (!state.agreed) return limits.seedEagerMs
  const live = state.list.live().length
  if (live < 2) return limits.seedLonelyMs
  return state.random.below(2 * (isMissing ? missingWaitMs(state) : limits.seedIdleMs))
}

/** So long that all members together ask it every `limits.seedMissingMs`. */
function missingWaitMs({ list }: State): number {
  return Math.min(list.live().length * limits.seedMissingMs, limits.seedIdleMs)
}

function agree(state: State): void {
  if (state.agreed) return
  state.agreed = true
  // All that start together would ask once more at the same moment.
  state.seedMs = state.clock.now() + seedWaitMs(state, false)
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
  for (const { sentMs } of state.flights.values()) next = Math.min(next, sentMs + limits.memberCallMs)
  if (state.self.state !== 'alive') return next
  for (const peer of state.called) next = Math.min(next, state.contacts.get(peer)?.lookMs ?? next)
  return Math.min(next, state.roundMs, state.newsMs, state.seedMs, state.departedMs)
}
