/** A cluster of many: runs core/members and core/directory in real time, over HTTP with a MAC. Decides nothing itself. */
import { createBoundedMap } from '../../core/bounded-map.ts'
import { createDirectoryClient } from '../../core/directory/client.ts'
import type { DirectoryClient, DirectoryClientOutput } from '../../core/directory/client.ts'
import { createDirectory } from '../../core/directory/directory.ts'
import type { Directory } from '../../core/directory/directory.ts'
import type {
  LocateAnswer,
  LocateRequest,
  PeerHint,
  PossessionAnswer,
  PossessionRequest,
} from '../../core/directory/messages.ts'
import { createOwners } from '../../core/directory/owners.ts'
import type { Owners } from '../../core/directory/owners.ts'
import { ShoalError } from '../../core/errors.ts'
import { limits } from '../../core/limits.ts'
import { createMembers } from '../../core/members/members.ts'
import type { Members, MembersOutput } from '../../core/members/members.ts'
import { createCautioner, type Cautioner } from '../../core/members/cautioner.ts'
import type { GoneRecord, MemberRecord } from '../../core/members/messages.ts'
import type { Places } from '../../core/members/places.ts'
import type { Clock, PeerId, Random } from '../../core/ports.ts'
import type { ClusterSecrets } from '../cluster-secret.ts'
import { formatHostPort, toHostPort } from '../config-values.ts'
import type { HostPort } from '../config-values.ts'
import type { Logger } from '../logging.ts'
import { within } from '../system/within.ts'
import { plainHost } from '../transport/addresses.ts'
import type { PeerTransport } from '../transport/peer-transport.ts'
import { sleepBySystem } from '../upstream/retry.ts'
import { askHosts } from './ask-hosts.ts'
import { askContent, type AskContentComponents, askSize } from './ask-content.ts'
import { createClusterClient, isRefusal } from './client.ts'
import type { ClusterClient } from './client.ts'
import type {
  Cluster,
  ClusterObserver,
  ClusterSwarm,
  ContentServer,
  PossessionNews,
  PossessionQuestion,
} from './cluster.ts'
import { bequeath, type HandOverComponents, offer } from './hand-over.ts'
import { macKeysOf } from './mac.ts'
import { watchSeeds } from './seeds.ts'
import type { SeedLookup, SeedOptions } from './seeds.ts'
import { createClusterServer, routeOf } from './server.ts'
import type { ClusterServer } from './server.ts'
import {
  announceCall,
  type Call,
  cautionCall,
  contentCall,
  exchangeCall,
  inheritCall,
  locateCall,
  lookCall,
  possessionCall,
  takeCall,
} from './wire.ts'

export interface MemberClusterComponents {
  readonly clock: Clock
  readonly random: Random
  readonly logger: Pick<Logger, 'debug' | 'info' | 'warn'>
  readonly secrets: ClusterSecrets
  readonly transport: Pick<PeerTransport, 'self' | 'addresses'>
  readonly runner: ClusterSwarm
  readonly contents: ContentServer
  readonly observer: ClusterObserver
  /** For the directory; from `placeOf`. */
  readonly places: Places
}

export interface MemberClusterOptions extends SeedOptions {
  readonly listen: HostPort
  /** The IP address under which others reach this node. */
  readonly advertiseAddress: string
  readonly zone?: string
  readonly region?: string
}

export interface MemberCluster extends Cluster {
  /** Where others reach the cluster listener; known after `start`. */
  address(): string
  /** Live members, this agent included. */
  members(): readonly PeerId[]
}

const always = (): boolean => true
const never = (): boolean => false

interface State extends MemberClusterComponents {
  readonly options: MemberClusterOptions
  readonly owners: Owners
  readonly directory: Directory
  readonly client: DirectoryClient
  readonly cautioner: Cautioner
  readonly http: ClusterClient
  readonly server: ClusterServer
  readonly restingRelays: AskContentComponents['resting']
  /** Calls under way; a departure waits for them. */
  readonly calls: Set<Promise<void>>
  readonly warnedMs: Map<string, number>
  members: Members | undefined
  seeds: SeedLookup | undefined
  address: string
  /** When this agent came into a cluster that may have run before it. */
  arrivedMs: number
  /** The members changed since the directory's client was told. */
  changed: boolean
  timer: NodeJS.Timeout | undefined
  directoryTickMs: number
  stopped: boolean
}

export function createMemberCluster(components: MemberClusterComponents, options: MemberClusterOptions): MemberCluster {
  const state = createState(components, options)
  return {
    start: () => start(state),
    stop: () => stop(state),
    announce(digest, now) {
      state.client.announce(digest, now)
      arm(state)
    },
    caution() {
      state.cautioner.caution()
      arm(state)
    },
    askContent: (digest, origin, signal) => askContent(contentCalls(state), digest, origin, signal),
    sizeOf: (digest, origin) => askSize(contentCalls(state), digest, origin),
    askPossession: (question) => askPossession(state, question),
    tellPossession: (news) => tellPossession(state, news),
    offer: (digest, size) => offer(handOverCalls(state), digest, size),
    bequeath: (found) => bequeath(handOverCalls(state), [...state.directory.facts(), ...found]),
    heard: (peer) => state.members?.heard(peer),
    placeOf: (peer) => state.members?.get(peer),
    addressOf: (peer) => addressOf(state, peer),
    others: () => othersOf(state),
    notReady: () => notReady(state),
    stats: () => ({ members: state.members?.live().length ?? 1, ...state.directory.stats() }),
    address: () => state.address,
    members: () => state.members?.live() ?? [],
  }
}

function createState(components: MemberClusterComponents, options: MemberClusterOptions): State {
  const { clock, random, transport, secrets, runner } = components
  const { self } = transport
  const keys = macKeysOf(secrets)
  const owners = createOwners({ self, clock })
  owners.add(self)
  const directory = createDirectory(
    {
      self,
      clock,
      random: random.fork('directory'),
      ownersOf: (digest) => owners.of(digest),
      learningMs: (digest) => owners.learningMs(digest),
      catchingUpMs: (digest) => owners.catchingUpMs(digest),
      arrivingMs: () => owners.arrivingMs(),
      ready: () => state.members?.agreed() === true,
      suspect: (peer, by) => suspect(state, peer, by),
    },
    { places: components.places },
  )
  const client = createDirectoryClient({
    clock,
    random: random.fork('directory client'),
    from: () => ({ peer: self, addresses: transport.addresses() }),
    state: (digest) => runner.swarm.announceState(digest),
    hosts: (digest) => owners.of(digest),
    nearest: () => nearestOf(state),
    membersCount: () => state.members?.live().length ?? 1,
    heardMs: (peer) => state.members?.heardMs(peer) ?? Number.NEGATIVE_INFINITY,
    suspect: (peer) => suspect(state, peer),
    emit: (output) => onDirectory(state, output),
  })
  const announceRoute = routeOf(
    announceCall,
    { byAddress: false, inTurn: (from) => !directory.isFetcher(from) },
    ({ from }) => from.peer,
    (request) => {
      components.observer.hosted()
      state.members?.heard(request.from.peer)
      return directory.announce(request)
    },
  )
  const exchangeRoute = routeOf(
    exchangeCall,
    { byAddress: true, inTurn: never },
    ({ from }) => from.peer,
    (request) => {
      const answer = membersOf(state).handle(request)
      arm(state)
      return answer
    },
  )
  const cautioner = createCautioner({
    clock,
    random: random.fork('cautioner'),
    self,
    hasCautions: () => runner.swarm.cautions().length > 0,
    members: () => state.members?.live() ?? [],
    tell: (member) => track(state, tellCautions(state, member)),
  })
  const cautionRoute = routeOf(
    cautionCall,
    { byAddress: false, inTurn: never },
    ({ from }) => from,
    ({ from, cautions }, address) => {
      runner.post({ type: 'cautioned', by: from, address, cautions })
      return {}
    },
  )
  const locateRoute = routeOf(
    locateCall,
    { byAddress: false, inTurn: always },
    ({ from }) => from,
    (request) => directory.locate(request),
  )
  const possessionRoute = routeOf(
    possessionCall,
    { byAddress: false, inTurn: always },
    ({ from }) => from,
    (request) => directory.possession(request),
  )
  const contentRoute = routeOf(
    contentCall,
    { byAddress: false, inTurn: never },
    ({ from }) => from,
    ({ digest }) => components.contents.serve(digest),
  )
  const takeRoute = routeOf(
    takeCall,
    { byAddress: false, inTurn: never },
    ({ from }) => from,
    ({ digest, size }) => ({ isTaken: components.contents.take(digest, size) }),
  )
  const inheritRoute = routeOf(
    inheritCall,
    { byAddress: false, inTurn: never },
    ({ from }) => from,
    (request) => {
      directory.inherit(request)
      return {}
    },
  )
  const lookRoute = routeOf(
    lookCall,
    { byAddress: true, inTurn: never },
    ({ from }) => from,
    () => ({ peer: self, addresses: transport.addresses(), timeMs: Date.now() }),
  )
  const state: State = {
    ...components,
    options,
    owners,
    directory,
    client,
    cautioner,
    http: createClusterClient({ self, keys }),
    server: createClusterServer({
      clock,
      self,
      keys,
      routes: [
        announceRoute,
        exchangeRoute,
        cautionRoute,
        locateRoute,
        possessionRoute,
        inheritRoute,
        contentRoute,
        takeRoute,
        lookRoute,
      ],
    }),
    restingRelays: createBoundedMap(limits.relaysRestingMax),
    calls: new Set(),
    warnedMs: new Map(),
    members: undefined,
    seeds: undefined,
    address: '',
    arrivedMs: Number.NEGATIVE_INFINITY,
    changed: false,
    timer: undefined,
    directoryTickMs: clock.now(),
    stopped: false,
  }
  return state
}

function othersOf({ members, transport }: State): string[] {
  const others = (members?.live() ?? []).filter((peer) => peer !== transport.self)
  return others.flatMap((peer) => members?.get(peer)?.cluster ?? [])
}

function addressOf({ members }: State, peer: PeerId): string | undefined {
  const record = members?.get(peer)
  return record?.state !== 'alive' ? undefined : plainHost(toHostPort(record.cluster).host)
}

function notReady({ members, clock, arrivedMs }: State): string | undefined {
  if (members?.agreed() !== true) return 'the member list agrees with no seed yet'
  const isListening = clock.now() - arrivedMs < limits.directoryLearnMs
  return isListening ? 'the directory listens for what others have granted' : undefined
}

/** Requests come only once the listener is open, and by then there is a list. */
function membersOf({ members }: State): Members {
  if (members === undefined) throw new TypeError('the cluster has not started')
  return members
}

async function start(state: State): Promise<void> {
  const { options, transport } = state
  const { port } = await state.server.listen(options.listen)
  // The time of day outlives this process; a clock that went back is made up for when others tell of our last life.
  const startedMs = Date.now()
  state.address = formatHostPort({ host: options.advertiseAddress, port })
  state.members = createMembers(
    { clock: state.clock, random: state.random.fork('members'), emit: (output) => onMembers(state, output) },
    {
      self: {
        peer: transport.self,
        addresses: transport.addresses(),
        cluster: state.address,
        incarnation: startedMs,
        life: startedMs,
        ...(options.zone === undefined ? {} : { zone: options.zone }),
        ...(options.region === undefined ? {} : { region: options.region }),
        state: 'alive',
      },
    },
  )
  state.seeds = watchSeeds(state, options, (seeds) => {
    state.members?.setSeeds(seeds)
    arm(state)
  })
  arm(state)
}

async function stop(state: State): Promise<void> {
  state.seeds?.stop()
  state.members?.leave()
  // What is asked of it until it is gone, it passes on.
  state.owners.remove(state.transport.self)
  state.stopped = true
  clearTimeout(state.timer)
  await within(Promise.all(state.calls), limits.departureMs)
  await state.server.close()
  state.http.close()
}

// Time

/** Wakes at the moment at which the next of the machines has something to do; what comes within a millisecond gathers. */
function arm(state: State): void {
  if (state.stopped || state.members === undefined) return
  const next = state.changed
    ? state.clock.now()
    : Math.min(state.members.nextMs(), state.client.nextMs(), state.cautioner.nextMs(), state.directoryTickMs)
  clearTimeout(state.timer)
  state.timer = setTimeout(() => wake(state), Math.max(0, next - state.clock.now()))
}

function wake(state: State): void {
  state.members?.tick()
  if (state.changed) {
    state.changed = false
    state.client.membersChanged()
  }
  state.client.tick()
  state.cautioner.tick()
  if (state.directoryTickMs <= state.clock.now()) {
    state.directoryTickMs = state.clock.now() + limits.announceMs
    state.directory.tick()
  }
  arm(state)
}

function suspect(state: State, peer: PeerId, by?: PeerId): void {
  state.members?.suspect(peer, by)
  arm(state)
}

// What the machines say

function onMembers(state: State, output: MembersOutput): void {
  const { owners, logger } = state
  switch (output.type) {
    case 'exchange':
      track(state, exchange(state, output))
      return
    case 'came':
      onCame(state, output.record)
      return
    case 'gone':
      onGone(state, output.record)
      return
    case 'silent':
      logger.debug({ peer: output.peer }, 'member does not answer')
      owners.silence(output.peer)
      state.runner.post({ type: 'peer-silent', peer: output.peer })
      state.changed = true
      return
    case 'heard':
      owners.hear(output.peer)
      state.runner.post({ type: 'peer-heard', peer: output.peer })
      state.changed = true
      return
    case 'agreed':
      logger.info({ members: state.members?.live().length }, 'member list agrees with a seed')
      if (state.options.seeds.length > 0 || state.options.seedsDns !== undefined) arrive(state)
      return
    case 'refuted':
      logger.info('others took this agent for dead and were told better')
      arrive(state)
      state.client.renew()
      return
    case 'cloned':
      warnOfClone(state, output.cluster)
  }
}

function arrive(state: State): void {
  state.arrivedMs = state.clock.now()
  state.owners.arrive()
}

function onCame(state: State, { cluster, peer }: MemberRecord): void {
  state.owners.add(peer)
  state.client.memberCame(peer)
  state.cautioner.memberCame(peer)
  state.runner.post({ type: 'peer-came', peer })
  state.changed = true
  state.logger.debug({ peer, cluster }, 'member came')
}

function onGone(state: State, { cluster, peer, state: how }: GoneRecord): void {
  state.owners.remove(peer)
  state.directory.memberGone(peer)
  state.runner.post({ type: 'peer-gone', peer, how })
  state.changed = true
  state.logger.debug({ peer, cluster, state: how }, 'member gone')
}

function onDirectory(state: State, output: DirectoryClientOutput): void {
  if (output.type !== 'call') {
    state.runner.post(output)
    return
  }
  if (output.to === state.transport.self) queueMicrotask(() => answerSelf(state, output))
  else track(state, announce(state, output))
}

// Calls

function track(state: State, call: Promise<void>): void {
  state.calls.add(call)
  void call.finally(() => state.calls.delete(call))
}

function answerSelf(state: State, { id, request }: Extract<DirectoryClientOutput, { type: 'call' }>): void {
  state.client.answered(id, state.directory.announce(request))
  arm(state)
}

async function announce(state: State, output: Extract<DirectoryClientOutput, { type: 'call' }>): Promise<void> {
  const { id, to, request } = output
  try {
    const answer = await callMember(state, announceCall, to, request)
    state.observer.called('ok')
    state.members?.heard(to)
    state.client.answered(id, answer)
  } catch (error) {
    state.observer.called('failed')
    report(state, error, to)
    state.client.failed(id)
  }
  arm(state)
}

async function tellCautions(state: State, member: PeerId): Promise<void> {
  const request = { from: state.transport.self, cautions: state.runner.swarm.cautions() }
  try {
    await callMember(state, cautionCall, member, request)
    state.cautioner.told(member, true)
  } catch (error) {
    report(state, error, member)
    state.cautioner.told(member, false)
  }
  arm(state)
}

/** Rejects as `ClusterClient.call`. */
async function callMember<Request, Answer>(
  state: State,
  call: Call<Request, Answer>,
  to: PeerId,
  request: Request,
): Promise<Answer> {
  const record = state.members?.get(to)
  if (record === undefined) throw new ShoalError('CLUSTER_UNREACHABLE', 'The directory names somebody who is no member')
  return state.http.call(call, to, record.cluster, request)
}

/** Rejects as `callMember`; a host that does not answer is worth a look. */
async function callHost<Request, Answer>(
  state: State,
  call: Call<Request, Answer>,
  host: PeerId,
  request: Request,
): Promise<Answer> {
  try {
    return await callMember(state, call, host, request)
  } catch (error) {
    suspect(state, host)
    throw error
  }
}

async function locate(state: State, host: PeerId, request: LocateRequest): Promise<LocateAnswer> {
  return host === state.transport.self ? state.directory.locate(request) : callHost(state, locateCall, host, request)
}

async function possession(state: State, host: PeerId, request: PossessionRequest): Promise<PossessionAnswer> {
  return host === state.transport.self
    ? state.directory.possession(request)
    : callHost(state, possessionCall, host, request)
}

async function askPossession(state: State, question: PossessionQuestion): Promise<PossessionAnswer | undefined> {
  const request = { from: state.transport.self, ...question, tells: [] }
  const ask = (host: PeerId): Promise<PossessionAnswer> => possession(state, host, request)
  const hosts = state.owners.of(question.digest)
  const answer = await askHosts(hosts, ask)
  // An owner that has just come knows nothing of what its standby was told.
  const isUnknown = answer?.known.length === 0 && answer.againMs === undefined
  return isUnknown ? ((await askHosts(hosts.slice(1), ask)) ?? answer) : answer
}

/** Who does not hear of it asks, or finds out anew. */
function tellPossession(state: State, news: PossessionNews): void {
  const request = { from: state.transport.self, ...news }
  for (const host of state.owners.of(news.digest).slice(0, limits.hostsPerDigest))
    possession(state, host, request).catch((error: unknown) => report(state, error, host))
}

function contentCalls(state: State): AskContentComponents {
  const { clock, owners, transport } = state
  const { self } = transport
  return {
    self,
    clock,
    sleep: sleepBySystem,
    resting: state.restingRelays,
    hosts: (digest) => owners.of(digest),
    locate: (host, request) => locate(state, host, request),
    read: (peer, request, withinMs) => callMember(state, { ...contentCall, withinMs }, peer, request),
  }
}

function handOverCalls(state: State): HandOverComponents {
  const { owners, places, transport } = state
  const { self } = transport
  const isInArea = (peer: PeerId): boolean => places.areaOf(peer) === places.areaOf(self)
  return {
    self,
    heirs: (digest) => owners.heirsOf(digest, isInArea),
    hosts: (digest) => owners.of(digest),
    take: (peer, request) => callMember(state, takeCall, peer, request),
    inherit: (peer, request) => callMember(state, inheritCall, peer, request),
  }
}

function nearestOf({ members }: State): PeerHint[] {
  const nearest = members?.nearest(limits.neighboursAim) ?? []
  return nearest.map(({ addresses, peer }) => ({ peer, addresses, complete: false }))
}

async function exchange(state: State, output: Extract<MembersOutput, { type: 'exchange' }>): Promise<void> {
  const { id, peer, cluster, request } = output
  try {
    const answer = await state.http.call(exchangeCall, peer, cluster, request)
    state.members?.exchanged(id, answer)
  } catch (error) {
    report(state, error, cluster)
    state.members?.failed(id, isRefusal(error))
  }
  arm(state)
}

/** Trouble with a secret is worth a warning, now and then; that a member does not answer is found and told elsewhere. */
function report(state: State, error: unknown, whom: string): void {
  const isMac = error instanceof ShoalError && error.code === 'CLUSTER_MAC_WRONG'
  if (isMac && mayWarn(state, whom))
    state.logger.warn({ err: error, whom }, 'a member could not prove that it knows the cluster secret')
  else state.logger.debug({ err: error, whom }, 'call to a member failed')
}

function warnOfClone(state: State, cluster: string): void {
  if (!mayWarn(state, `clone at ${cluster}`)) return
  const error = new ShoalError('IDENTITY_SHARED', `An agent at ${cluster} has the identity of this one`)
  state.logger.warn({ err: error }, 'another agent has the same identity')
}

/** Of the same thing now and then. */
function mayWarn({ clock, warnedMs }: State, of: string): boolean {
  const nowMs = clock.now()
  if (nowMs - (warnedMs.get(of) ?? Number.NEGATIVE_INFINITY) < limits.clusterWarnEveryMs) return false
  if (warnedMs.size >= limits.recipientsMax) warnedMs.clear()
  warnedMs.set(of, nowMs)
  return true
}
