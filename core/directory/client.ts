/**
 * How one agent talks to the directories of all its digests: a pure machine between the swarm and the hosts.
 *
 * Each digest (a *subject*) has a line to its owner and one to its standby, each due at its own time; what is due for one
 * host leaves in one call, and a host has at most one call in flight. Only the first line carries the wish for a lease. What a host
 * has heard of and is at rest needs no line: once a minute it is said of all of it that it is as before (rosters.ts).
 */
import { limits } from '../limits.ts'
import type { Digest } from '../oci/digest.ts'
import type { Clock, PeerId, Random } from '../ports.ts'
import { countBits, hasBit } from '../swarm/bitfield.ts'
import { chunkSizeOf } from '../swarm/chunks.ts'
import { chunksTold } from './announce-length.ts'
import type {
  AnnounceAnswer,
  AnnounceItem,
  AnnounceRequest,
  AnswerItem,
  Lease,
  PeerAddress,
  PeerHint,
  RosterAnswer,
  TimedAnswer,
} from './messages.ts'
import { createOwed, type Owed } from './owed.ts'
import { createRoster, isAtRest, type Roster } from './rosters.ts'

export type DirectoryClientOutput =
  /** Carry `request` to the host, which may be this agent itself; then `answered` or `failed` with the same id. */
  | { readonly type: 'call'; readonly to: PeerId; readonly id: number; readonly request: AnnounceRequest }
  /** Events for the swarm. */
  | { readonly type: 'directory'; readonly answer: AnswerItem }
  | { readonly type: 'directory-silent'; readonly digest: Digest }

export interface DirectoryClientComponents {
  readonly clock: Clock
  readonly random: Random
  /** What this agent says of itself in each call. */
  from(): PeerAddress
  /** What to announce now (core/swarm); undefined: nothing any more. */
  state(digest: Digest): AnnounceItem | undefined
  /** Owner, standby and followers of a digest, best first (core/directory/owners.ts). */
  hosts(digest: Digest): readonly PeerId[]
  /** The members that rank highest as neighbours of this agent (DESIGN, Swarm). */
  nearest(): readonly PeerHint[]
  /** How many members there are: so many may turn to the origin at the same moment. */
  membersCount(): number
  /** When the host last gave a sign of life, in whatever way: one that does is slow, not gone. */
  heardMs(host: PeerId): number
  /** A host did not answer: perhaps it is dead, and worth a look. */
  suspect(host: PeerId): void
  emit(output: DirectoryClientOutput): void
}

export interface DirectoryClient {
  /** The swarm wants a digest announced: at once, or when its time comes. */
  announce(digest: Digest, now: boolean): void
  answered(id: number, answer: AnnounceAnswer): void
  failed(id: number): void
  /** Others took this agent for dead, so the hosts have forgotten what it announced: say it again. */
  renew(): void
  /** The list of members changed, or who of them is silent. */
  membersChanged(): void
  /** A member is there, perhaps again: what its last life left unanswered says nothing, and is asked anew. Followed by `membersChanged`. */
  memberCame(peer: PeerId): void
  /** Call it at `nextMs()`, or every few milliseconds. */
  tick(): void
  /** When there will be something to do, on the clock; Infinity: nothing. */
  nextMs(): number
}

interface Subject {
  readonly digest: Digest
  /** When each host is to hear of it next, the host that grants leases first. */
  readonly lines: Map<PeerId, number>
  /** Who was its host before, and until when it may name this agent as a holder. */
  readonly former: Map<PeerId, number>
  /** Who was named by `ask`, until the members change. */
  redirect: PeerId | undefined
  /** None of those who may host it answers. */
  isCutOff: boolean
  /** Since when who answers wishes does not grant leases, or not yet; Infinity: the last one was answered by who does. */
  deputisedMs: number
  /** Who granted nothing while a reader waited, or what others had been granted, so that the next host is asked first; and since when. */
  passedOver: PeerId | undefined
  passedOverMs: number
  /** Since when the standby says in each answer that another was fetching before this agent; Infinity: it does not. */
  contestedMs: number
  /** Its host let a reader starve: nobody waits for it again before it grants something of use. */
  isForsaken: boolean
  /** How long the host said that there is no lease, at the longest for the present wish. */
  toldMs: number
  /** What a waiting reader's wish looked like, and since when nothing has come of it. */
  wish: Wish | undefined
  /** When the swarm is told to help itself, and how often it was for the present wish. */
  silentMs: number
  tries: number
  /** When to look next whether the reader gets on. */
  watchMs: number
}

interface Wish {
  readonly position: number
  readonly held: number
  readonly sinceMs: number
  /** When it was last made. */
  seenMs: number
  /** How long a chunk of this blob may take others. */
  readonly patienceMs: number
}

interface Call {
  readonly id: number
  readonly to: PeerId
  readonly sentMs: number
  readonly items: readonly AnnounceItem[]
  /** It says that all is as before. */
  readonly isRoster: boolean
  /** The swarm has been told to try the nearest members meanwhile. */
  isSlow: boolean
}

/** What one host knows of what is at rest here, and when it is to hear that it still is. */
interface Standing {
  readonly roster: Roster
  dueMs: number
}

interface State extends DirectoryClientComponents {
  readonly subjects: Map<Digest, Subject>
  readonly standings: Map<PeerId, Standing>
  /** Calls in flight by host. */
  readonly calls: Map<PeerId, Call>
  /** Hosts that did not answer, and until when they are passed over. */
  readonly silent: Map<PeerId, number>
  /** Hosts that have answered since they last failed to, or came: all others may know what is so no more. */
  readonly informed: Set<PeerId>
  readonly owed: Owed
  /** When a host was last called. */
  readonly lastMs: Map<PeerId, number>
  nextId: number
  /** Undefined: what is due has changed. */
  nextMs: number | undefined
}

export function createDirectoryClient(components: DirectoryClientComponents): DirectoryClient {
  const state: State = {
    ...components,
    subjects: new Map(),
    standings: new Map(),
    calls: new Map(),
    silent: new Map(),
    informed: new Set(),
    owed: createOwed(),
    lastMs: new Map(),
    nextId: 0,
    nextMs: undefined,
  }
  return {
    announce: (digest, now) => announce(state, digest, now),
    answered: (id, answer) => answered(state, id, answer),
    failed: (id) => failed(state, id),
    membersChanged() {
      for (const subject of state.subjects.values()) subject.redirect = undefined
      retargetAll(state)
    },
    memberCame: (peer) => memberCame(state, peer),
    renew: () => renew(state),
    tick: () => tick(state),
    nextMs: () => nextMs(state),
  }
}

function announce(state: State, digest: Digest, now: boolean): void {
  const nowMs = state.clock.now()
  let subject = state.subjects.get(digest)
  if (subject === undefined) {
    subject = createSubject(digest)
    state.subjects.set(digest, subject)
    state.owed.forget(digest)
    retarget(state, subject, now ? 0 : limits.announceMs)
  }
  if (now) for (const host of urgentHosts(state, subject)) setLine(state, subject, host, nowMs)
  for (const host of subject.lines.keys())
    if (isStanding(state, subject, host)) setLine(state, subject, host, nowMs + limits.announceStandbyMs)
  state.nextMs = undefined
}

/** The host is to hear of the digest then: until it has, what it knows may not be as before. */
function setLine(state: State, subject: Subject, host: PeerId, dueMs: number): void {
  state.standings.get(host)?.roster.delete(subject.digest)
  subject.lines.set(host, dueMs)
}

function dropLine(state: State, subject: Subject, host: PeerId): void {
  state.standings.get(host)?.roster.delete(subject.digest)
  subject.lines.delete(host)
}

function isStanding({ standings }: State, { digest }: Subject, host: PeerId): boolean {
  return standings.get(host)?.roster.has(digest) === true
}

/** The host knows it, and that it is at rest. */
function stand(state: State, { digest }: Subject, host: PeerId, waitMs: number): void {
  const standing = state.standings.get(host) ?? { roster: createRoster(), dueMs: Number.POSITIVE_INFINITY }
  state.standings.set(host, standing)
  standing.roster.add(digest)
  standing.dueMs = Math.min(standing.dueMs, state.clock.now() + bounded(waitMs))
}

/** The host does not know what this agent thinks that it does: it hears all of it. */
function standDown(state: State, host: PeerId): void {
  const digests = [...(state.standings.get(host)?.roster.digests() ?? [])]
  state.standings.delete(host)
  for (const digest of digests) {
    const dueMs = state.clock.now() + state.random.below(limits.retargetIdleMs)
    state.subjects.get(digest)?.lines.set(host, dueMs)
  }
}

/** Only the first host grants leases; what is gained or wished for is no news to the standby, which keeps its own time. What is given back another may fetch at once. */
function urgentHosts(state: State, { digest, lines }: Subject): PeerId[] {
  const hosts = [...lines.keys()]
  const item = state.state(digest)
  const isLess = item === undefined || item.leaves === true || !(item.wants || item.have.complete)
  const givesBack = item?.released !== undefined
  return isLess || givesBack ? hosts : hosts.slice(0, 1)
}

function renew(state: State): void {
  state.standings.clear()
  for (const subject of state.subjects.values()) sayAgain(state, subject, [...subject.lines.keys()])
  state.nextMs = undefined
}

/** The hosts may know nothing of it: what is pulled is said at once, and what is merely held has a moment. */
function sayAgain(state: State, { digest, lines }: Subject, hosts: readonly PeerId[]): void {
  const item = state.state(digest)
  const withinMs = item === undefined || isBusy(item) ? 0 : limits.retargetIdleMs
  for (const host of hosts) lines.set(host, state.clock.now() + (withinMs === 0 ? 0 : state.random.below(withinMs)))
}

function memberCame(state: State, peer: PeerId): void {
  state.silent.delete(peer)
  state.informed.delete(peer)
  const call = state.calls.get(peer)
  state.calls.delete(peer)
  if (call !== undefined) noteUnheard(state, call)
  for (const subject of state.subjects.values()) if (subject.lines.has(peer)) sayAgain(state, subject, [peer])
  state.nextMs = undefined
}

function noteUnheard({ clock, owed }: State, { items, to }: Call): void {
  const left = items.filter(({ leaves }) => leaves === true)
  if (left.length > 0) owed.add(to, left, clock.now() + rememberedMs)
}

/** A host names who holds a digest and says no more of it for so long. */
const rememberedMs = limits.announcerSilentIntervals * limits.announceIdleMs

/** Other members come before it, until one of them is gone again. */
function noteFormer({ clock }: State, { former }: Subject, host: PeerId): void {
  former.delete(host)
  former.set(host, clock.now() + rememberedMs)
  const [oldest] = former.keys()
  if (former.size > limits.hostsRankedMax && oldest !== undefined) former.delete(oldest)
}

/** Who was its host, and may be again, hears that it is left. */
function tellFormer(state: State, { digest, former }: Subject, item: AnnounceItem): void {
  const nowMs = state.clock.now()
  for (const host of former.size === 0 ? [] : state.hosts(digest)) {
    const untilMs = former.get(host) ?? nowMs
    if (untilMs > nowMs) state.owed.add(host, [item], untilMs)
  }
  former.clear()
}

/** Hosts to which something is owed, and that may hear it now. */
function* creditors({ owed, silent }: State): Iterable<PeerId> {
  for (const host of owed.hosts()) if (!silent.has(host)) yield host
}

function createSubject(digest: Digest): Subject {
  return {
    digest,
    lines: new Map(),
    former: new Map(),
    redirect: undefined,
    isCutOff: false,
    deputisedMs: Infinity,
    passedOver: undefined,
    passedOverMs: Number.NEGATIVE_INFINITY,
    contestedMs: Infinity,
    isForsaken: false,
    toldMs: 0,
    wish: undefined,
    silentMs: Number.POSITIVE_INFINITY,
    tries: 0,
    watchMs: Number.POSITIVE_INFINITY,
  }
}

/** Lines to the first two hosts that are not silent; a new line is due within `withinMs`. */
function retarget(state: State, subject: Subject, withinMs: number): void {
  const nowMs = state.clock.now()
  const ranked = state.hosts(subject.digest)
  const wanted = subject.redirect === undefined ? ranked : [subject.redirect, ...ranked]
  const targets = [...new Set(wanted)].filter((host) => !state.silent.has(host)).slice(0, limits.hostsPerDigest)
  if (targets[0] === subject.passedOver) targets.reverse()
  if (targets.length === 0) subject.isCutOff = true
  const known = new Map(subject.lines)
  const [first] = known.keys()
  for (const host of known.keys()) {
    if (targets.includes(host)) continue
    noteFormer(state, subject, host)
    dropLine(state, subject, host)
  }
  for (const host of targets) subject.former.delete(host)
  subject.lines.clear()
  for (const [rank, host] of targets.entries()) {
    // Whoever is first from now on has not heard of the wish.
    const kept = rank > 0 || host === first ? known.get(host) : undefined
    if (kept !== undefined) subject.lines.set(host, kept)
    else setLine(state, subject, host, nowMs + (withinMs === 0 ? 0 : state.random.below(withinMs)))
  }
  state.nextMs = undefined
}

/** A digest that is pulled must find its new host at once; one that is merely held has a moment. */
function retargetAll(state: State): void {
  for (const subject of state.subjects.values()) {
    const item = state.state(subject.digest)
    retarget(state, subject, item === undefined || isBusy(item) ? 0 : limits.retargetIdleMs)
  }
}

function isBusy(item: AnnounceItem): boolean {
  return item.wants || item.fetching.length > 0
}

function tick(state: State): void {
  const nowMs = state.clock.now()
  if (nowMs < nextMs(state)) return
  for (const call of state.calls.values()) if (givenUpMs(state, call) <= nowMs) failed(state, call.id)
  for (const call of state.calls.values()) if (isCrowded(call, nowMs)) tryNearest(state, call)
  hearAgain(state, nowMs)
  for (const subject of state.subjects.values()) watch(state, subject, nowMs)
  for (const [host, subjects] of dueByHost(state, nowMs)) send(state, host, subjects, nowMs)
  for (const [host, standing] of state.standings)
    if (standing.dueMs <= nowMs && mayCall(state, host, nowMs)) sayAsBefore(state, host, standing, nowMs)
  state.nextMs = undefined
}

/** All members may be before this one. */
function givenUpMs(state: State, { sentMs, to }: Call): number {
  const livedMs = Math.max(sentMs, state.heardMs(to))
  const crowdMs = state.membersCount() * limits.announceCostMs
  return Math.min(livedMs + limits.announceTimeoutMs + crowdMs, sentMs + limits.announceTimeoutMaxMs)
}

function isCrowded({ isSlow, sentMs }: Call, nowMs: number): boolean {
  return !isSlow && sentMs + limits.announceSlowMs <= nowMs
}

/** A host that is slow to answer has a crowd before it, and most members are in that: they are tried before it names any. */
function tryNearest(state: State, call: Call): void {
  call.isSlow = true
  const wanted = call.items.filter(({ wants }) => wants)
  const peers = wanted.length === 0 ? [] : state.nearest()
  for (const { digest } of wanted) state.emit({ type: 'directory', answer: { digest, peers } })
}

function hearAgain(state: State, nowMs: number): void {
  const before = state.silent.size
  for (const [host, untilMs] of state.silent) if (untilMs <= nowMs) state.silent.delete(host)
  if (state.silent.size < before) retargetAll(state)
}

/** What is due, by host; whatever is nearly due for a host that is called anyway goes along. */
function dueByHost(state: State, nowMs: number): Map<PeerId, Subject[]> {
  const due = new Map<PeerId, Subject[]>()
  state.owed.expire(nowMs)
  for (const host of creditors(state)) if (mayCall(state, host, nowMs)) due.set(host, [])
  for (const subject of state.subjects.values()) {
    for (const [host, dueMs] of subject.lines) if (dueMs <= nowMs && mayCall(state, host, nowMs)) due.set(host, [])
  }
  if (due.size === 0) return due
  for (const subject of state.subjects.values()) {
    for (const [host, dueMs] of subject.lines) {
      const batch = due.get(host)
      if (batch !== undefined && dueMs <= nowMs + limits.announceBatchMs && batch.length < limits.announceItemsMax) {
        batch.push(subject)
      }
    }
  }
  return due
}

function mayCall(state: State, host: PeerId, nowMs: number): boolean {
  return !state.calls.has(host) && nowMs >= freeMs(state, host)
}

function freeMs(state: State, host: PeerId): number {
  return (state.lastMs.get(host) ?? Number.NEGATIVE_INFINITY) + limits.announceGapMs
}

function send(state: State, to: PeerId, subjects: readonly Subject[], nowMs: number): void {
  const items: AnnounceItem[] = []
  let chunks = 0
  for (const subject of subjects) {
    const item = state.state(subject.digest)
    // A host takes no larger one: containerd may hold it, and does so for itself.
    if (item === undefined || item.size > limits.blobSizeMaxBytes) {
      for (const host of subject.lines.keys()) dropLine(state, subject, host)
      state.subjects.delete(subject.digest)
      continue
    }
    chunks += chunksTold(item)
    // The rest is due still, and goes with the next call.
    if (chunks > limits.announceChunksMax) break
    noteWish(subject, item, nowMs)
    items.push(itemFor(subject, to, item))
    setLine(state, subject, to, Number.POSITIVE_INFINITY)
    if (item.leaves !== true) continue
    tellFormer(state, subject, item)
    hangUp(state, subject, to)
  }
  const left = state.owed.of(to)
  items.push(...left.slice(0, limits.announceItemsMax - items.length))
  if (items.length > 0) callHost(state, to, { items }, nowMs)
}

/** One line for all that the host knows and that is at rest. */
function sayAsBefore(state: State, to: PeerId, standing: Standing, nowMs: number): void {
  standing.dueMs = Number.POSITIVE_INFINITY
  if (standing.roster.size === 0) state.standings.delete(to)
  else callHost(state, to, { items: [], asBefore: standing.roster.sum() }, nowMs)
}

function callHost(state: State, to: PeerId, said: Omit<AnnounceRequest, 'from'>, nowMs: number): void {
  const id = state.nextId++
  state.calls.set(to, {
    id,
    to,
    sentMs: nowMs,
    items: said.items,
    isRoster: said.asBefore !== undefined,
    isSlow: false,
  })
  if (state.lastMs.size >= limits.announceItemsMax) forgetOldCalls(state, nowMs)
  state.lastMs.set(to, nowMs)
  const anew = state.informed.has(to) ? {} : { anew: true }
  state.emit({ type: 'call', to, id, request: { from: state.from(), ...said, ...anew } })
}

function forgetOldCalls({ lastMs }: State, nowMs: number): void {
  for (const [host, calledMs] of lastMs) if (calledMs + limits.announceGapMs <= nowMs) lastMs.delete(host)
}

function isFirst(subject: Subject, host: PeerId): boolean {
  const [first] = subject.lines.keys()
  return first === host
}

/** Only who is first hears the wish. */
function itemFor(subject: Subject, host: PeerId, item: AnnounceItem): AnnounceItem {
  const { lease, ...rest } = item
  if (lease === undefined || !isFirst(subject, host)) return rest
  return subject.passedOver === undefined ? item : { ...rest, lease: { ...lease, instead: true } }
}

function hangUp(state: State, subject: Subject, host: PeerId): void {
  dropLine(state, subject, host)
  if (subject.lines.size === 0) state.subjects.delete(subject.digest)
}

function answered(state: State, id: number, answer: AnnounceAnswer): void {
  const asked = takeCall(state, id)
  if (asked === undefined) return
  noteInformed(state.informed, asked.to)
  state.owed.settle(asked.to, asked.items)
  if (asked.isRoster) heedRoster(state, asked.to, answer.roster)
  else heedItems(state, asked, answer)
  state.nextMs = undefined
}

function noteInformed(informed: Set<PeerId>, host: PeerId): void {
  if (informed.size >= limits.recipientsMax) informed.clear()
  informed.add(host)
}

function heedItems(state: State, asked: Call, answer: AnnounceAnswer): void {
  const answers = new Map(answer.items.map((item) => [item.digest, item]))
  for (const sent of asked.items) {
    const subject = state.subjects.get(sent.digest)
    const item = answers.get(sent.digest)
    // Both hosts have been told: there is nothing more to say of it.
    if (subject === undefined) state.emit({ type: 'directory', answer: { digest: sent.digest, peers: [] } })
    if (subject === undefined || sent.leaves === true) continue
    plan(state, subject, asked.to, sent, item)
    if (item !== undefined) heed(state, subject, asked.to, sent, item)
  }
}

function heedRoster(state: State, host: PeerId, answer: RosterAnswer | undefined): void {
  const standing = state.standings.get(host)
  if (standing === undefined) return
  if (answer?.isSame !== true) return standDown(state, host)
  standing.dueMs = state.clock.now() + bounded(answer.announceAfterMs)
  if (answer.provide === undefined) return
  state.emit({ type: 'directory', answer: { digest: answer.provide, peers: [], provide: true } })
}

function takeCall(state: State, id: number): Call | undefined {
  for (const [host, call] of state.calls) {
    if (call.id !== id) continue
    state.calls.delete(host)
    state.nextMs = undefined
    return call
  }
  return undefined
}

/** As the host says; but while this agent fetches, soon, also where the host does not know yet that it is the first by now. */
function afterMs(subject: Subject, host: PeerId, sent: AnnounceItem, item: TimedAnswer | undefined): number {
  const saidMs = item?.announceAfterMs ?? limits.announceWantMs
  const leaseMs = (sent.lease === undefined ? undefined : item?.leaseAfterMs) ?? Infinity
  const fetchMs = sent.fetching.length > 0 && isFirst(subject, host) ? limits.announceMs : Infinity
  return Math.min(saidMs, leaseMs, fetchMs)
}

/** The line's next turn, unless the swarm has asked for an earlier one since. */
function plan(state: State, subject: Subject, host: PeerId, sent: AnnounceItem, item: TimedAnswer | undefined): void {
  const dueMs = subject.lines.get(host)
  if (dueMs === undefined) return
  const waitMs = afterMs(subject, host, sent, item)
  const isUnasked = dueMs === Number.POSITIVE_INFINITY
  if (isUnasked && isAtRest(sent) && item?.size === sent.size) stand(state, subject, host, waitMs)
  else subject.lines.set(host, Math.min(dueMs, state.clock.now() + bounded(waitMs)))
}

function bounded(waitMs: number): number {
  return Math.min(Math.max(waitMs, limits.announceGapMs), limits.announceWaitMaxMs)
}

function heed(state: State, subject: Subject, host: PeerId, sent: AnnounceItem, answer: AnswerItem): void {
  const { contested: _contested, ...uncontested } = answer
  const isBelieved = isContested(subject, host, answer, state.clock.now())
  const item: AnswerItem = isBelieved ? answer : uncontested
  const { ask } = item
  if (isBelieved) passOver(state, subject)
  const hosted = ask === undefined || item.size !== undefined
  if (hosted) subject.isCutOff = false
  const isReferred = sent.lease !== undefined && ask !== undefined
  if (isReferred && sent.lease.instead === true) return referBack(state, subject, item)
  if (sent.lease !== undefined)
    subject.deputisedMs = ask === undefined ? Infinity : Math.min(subject.deputisedMs, state.clock.now())
  if (item.lease !== undefined) tellFollowers(state, subject, host)
  if (item.lease !== undefined && isOfUse(sent, item.lease)) {
    subject.wish = undefined
    subject.isForsaken = false
  }
  if (item.leaseAfterMs !== undefined) subject.toldMs = Math.max(subject.toldMs, item.leaseAfterMs)
  if (isReferred) follow(state, subject, host, ask)
  if (hosted) state.emit({ type: 'directory', answer: item })
}

/**
 * Who was fetching before may have given up, and its word to the standby be on its way: what counts is said again. Once a digest: that a
 * standby lies is as likely as that an owner does.
 */
function isContested(subject: Subject, host: PeerId, { contested }: AnswerItem, nowMs: number): boolean {
  if (subject.passedOver !== undefined || isFirst(subject, host)) return false
  if (contested === undefined) subject.contestedMs = Infinity
  else subject.contestedMs = Math.min(subject.contestedMs, nowMs)
  return nowMs - subject.contestedMs >= limits.announceMs
}

/** Who would follow must know soon what this agent fetches. */
function tellFollowers(state: State, subject: Subject, host: PeerId): void {
  const byMs = state.clock.now() + limits.announceMs
  for (const [other, dueMs] of subject.lines) if (other !== host) setLine(state, subject, other, Math.min(dueMs, byMs))
}

/** Does the lease name a chunk that was not held? */
function isOfUse({ have }: AnnounceItem, { end, start }: Lease): boolean {
  for (let index = start; index < end; index++) if (!have.complete && !hasBit(have.bits, index)) return true
  return false
}

/** `ask` is followed once: whoever was named that way is not followed further. */
function follow(state: State, subject: Subject, host: PeerId, ask: PeerId): void {
  const further = host === subject.redirect
  if (!further && state.silent.has(ask)) return
  subject.redirect = further ? undefined : ask
  dropLine(state, subject, ask)
  retarget(state, subject, further ? limits.announceMs : 0)
}

function failed(state: State, id: number): void {
  const call = takeCall(state, id)
  if (call === undefined) return
  const nowMs = state.clock.now()
  state.standings.delete(call.to)
  state.informed.delete(call.to)
  state.silent.set(call.to, nowMs + limits.hostSilentMs)
  noteUnheard(state, call)
  state.suspect(call.to)
  for (const { digest } of call.items) {
    const subject = state.subjects.get(digest)
    if (subject === undefined) continue
    subject.watchMs = nowMs
    if (subject.redirect === call.to) subject.redirect = undefined
  }
  retargetAll(state)
}

/**
 * While a reader waits for a lease that does not come, because no host answers or nothing has moved for too long, the swarm
 * is told after a random wait to take one chunk from the origin; again with back-off for the same chunk.
 */
function watch(state: State, subject: Subject, nowMs: number): void {
  if (nowMs < subject.watchMs) return
  noteWish(subject, state.state(subject.digest), nowMs)
  const { wish } = subject
  if (wish !== undefined && isRefused(subject, wish, nowMs)) passOver(state, subject)
  else if (wish !== undefined && isStuck(subject, wish, nowMs)) helpOneself(state, subject, nowMs)
  else subject.silentMs = Number.POSITIVE_INFINITY
  const watched = subject.wish !== undefined || subject.isCutOff
  subject.watchMs = watched ? Math.min(subject.silentMs, nowMs + limits.announceMs) : Number.POSITIVE_INFINITY
}

/** For longer than any host takes to learn what it may grant, beyond what it said. */
function isRefused({ deputisedMs, lines, passedOverMs, toldMs }: Subject, { sinceMs }: Wish, nowMs: number): boolean {
  const patienceMs = limits.successionMs + Math.min(toldMs, limits.limitedOriginMaxMs)
  const isLong = nowMs - Math.max(sinceMs, passedOverMs) >= patienceMs
  return isLong && deputisedMs === Infinity && lines.size > 1
}

/** The next host heard of all leases, and so may know better who needs one; and if that grants nothing either, it is the first one's turn again. */
function passOver(state: State, subject: Subject): void {
  const [first] = subject.lines.keys()
  subject.passedOver = first
  subject.passedOverMs = state.clock.now()
  retarget(state, subject, 0)
}

/** The next host knows of no reason to grant in the other's place, who is asked again; but for the one that it has given itself. */
function referBack(state: State, subject: Subject, item: AnswerItem): void {
  if (subject.contestedMs === Infinity) {
    subject.passedOver = undefined
    retarget(state, subject, 0)
  }
  state.emit({ type: 'directory', answer: item })
}

function isStuck({ deputisedMs, isCutOff, isForsaken, toldMs }: Subject, wish: Wish, nowMs: number): boolean {
  const waitedMs = nowMs - wish.sinceMs
  if (isCutOff) return true
  if (deputisedMs < Infinity) return nowMs - Math.max(wish.sinceMs, deputisedMs) >= limits.successionMs
  if (isForsaken) return waitedMs >= limits.announceMs
  // Hosts pass on how long an origin wants to be left alone; and may lie about it.
  return waitedMs >= Math.max(wish.patienceMs, Math.min(toldMs, limits.limitedOriginMaxMs))
}

function helpOneself(state: State, subject: Subject, nowMs: number): void {
  if (subject.silentMs === Number.POSITIVE_INFINITY) subject.silentMs = nowMs + silenceMs(state, subject.tries)
  if (subject.silentMs > nowMs) return
  subject.tries++
  subject.isForsaken = !subject.isCutOff && subject.deputisedMs === Infinity
  subject.silentMs = nowMs + silenceMs(state, subject.tries)
  state.emit({ type: 'directory-silent', digest: subject.digest })
}

function silenceMs(state: State, tries: number): number {
  const spreadMs = Math.min(limits.silenceSpreadMaxMs, state.membersCount() * limits.silenceSpreadPerMemberMs)
  const waitMs = state.random.below(Math.ceil(spreadMs) + 1)
  if (tries === 0) return waitMs
  return Math.min(limits.announceWaitMaxMs, (limits.announceMs + waitMs) * 2 ** (tries - 1))
}

/** A reader that gets on, or wishes for nothing for long, starts over. */
function noteWish(subject: Subject, item: AnnounceItem | undefined, nowMs: number): void {
  const held = item?.have.complete === false ? countBits(item.have.bits) : Number.POSITIVE_INFINITY
  if (item?.lease === undefined) {
    // Told to wait, or while peers that withhold it are asked, it wishes for nothing, and its time runs on.
    if (subject.wish?.held === held && nowMs - subject.wish.seenMs < subject.wish.patienceMs) return
    subject.wish = undefined
    subject.tries = 0
    return
  }
  const { position } = item.lease
  subject.watchMs = Math.min(subject.watchMs, nowMs + limits.announceMs)
  if (subject.wish?.position === position && subject.wish.held === held) {
    subject.wish.seenMs = nowMs
    return
  }
  const patienceMs = Math.max(limits.leaseStarvedMs, chunkSizeOf(item.size) / limits.leaseStarvedBytesPerMs)
  subject.wish = { position, held, sinceMs: nowMs, seenMs: nowMs, patienceMs }
  subject.toldMs = 0
  subject.silentMs = Number.POSITIVE_INFINITY
  subject.tries = 0
}

function nextMs(state: State): number {
  state.nextMs ??= nextDueMs(state)
  return state.nextMs
}

function nextDueMs(state: State): number {
  let dueMs = Number.POSITIVE_INFINITY
  for (const call of state.calls.values())
    dueMs = Math.min(dueMs, call.isSlow ? givenUpMs(state, call) : call.sentMs + limits.announceSlowMs)
  for (const untilMs of state.silent.values()) dueMs = Math.min(dueMs, untilMs)
  for (const { lines, watchMs } of state.subjects.values()) {
    dueMs = Math.min(dueMs, watchMs)
    for (const [host, lineMs] of lines) {
      if (!state.calls.has(host)) dueMs = Math.min(dueMs, Math.max(lineMs, freeMs(state, host)))
    }
  }
  for (const host of creditors(state)) if (!state.calls.has(host)) dueMs = Math.min(dueMs, freeMs(state, host))
  for (const [host, standing] of state.standings)
    if (!state.calls.has(host)) dueMs = Math.min(dueMs, Math.max(standing.dueMs, freeMs(state, host)))
  return dueMs
}
