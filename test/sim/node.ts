/** One agent: core/swarm, the directory's client and its share of the directory, unchanged, in virtual time. */
import { createDirectoryClient, type DirectoryClient, type DirectoryClientOutput } from '../../core/directory/client.ts'
import type { PeerHint } from '../../core/directory/messages.ts'
import { createDirectory, type Directory } from '../../core/directory/directory.ts'
import type { AnnounceAnswer, AnnounceRequest } from '../../core/directory/messages.ts'
import { createOwners, type Owners } from '../../core/directory/owners.ts'
import { createCautioner, type Cautioner } from '../../core/members/cautioner.ts'
import { createMembers, type Members, type MembersOutput } from '../../core/members/members.ts'
import type { Caution } from '../../core/members/messages.ts'
import { createPlaces, type Border, type Place } from '../../core/members/places.ts'
import { limits } from '../../core/limits.ts'
import { second } from '../../core/units.ts'
import type { Digest } from '../../core/oci/digest.ts'
import type { Notary, PeerId, Random } from '../../core/ports.ts'
import type { Entry } from '../../core/swarm/entry.ts'
import type { SwarmCommand, SwarmEvent } from '../../core/swarm/events.ts'
import type { CredentialLife, SwarmOptions } from '../../core/swarm/state.ts'
import { createSwarm, type Swarm } from '../../core/swarm/swarm.ts'
import { createAssembly, hollowAssembly, type Assembly } from './assembly.ts'
import { costs, createCpu, type Cpu } from './cpu.ts'
import { createDisk, type Disk } from './disk.ts'
import type { Engine } from './engine.ts'
import { createLink, type Link, type Stream } from './links.ts'
import type { Blob, Piece } from './matter.ts'
import type { Cut, Network, Port } from './network.ts'
import type { Origin } from './origin.ts'
import type { GivenOwners } from './owners.ts'
import { createReaders, type Readers } from './readers.ts'
import { announceBytes } from './wire-size.ts'

/** `spoils`: sends wrong bytes. `lies`: otherwise (liars.ts). `freezes`: stops, with its connections open. */
export type Behaviour = 'honest' | 'spoils' | 'lies' | 'freezes'

export interface NodeOptions {
  readonly id: PeerId
  readonly upBytesPerMs: number
  readonly downBytesPerMs: number
  readonly delayMs: number
  /** How long a write takes. */
  readonly diskMs: number
  /** One write in so many is refused; 0: none. */
  readonly diskRefusesOneIn: number
  readonly zone: string
  /** Does it say so? */
  readonly zoneKnown: boolean
  readonly border: Border
  readonly swarm: SwarmOptions
}

export interface World {
  readonly engine: Engine
  readonly network: Network
  readonly origin: Origin
  readonly originName: string
  readonly blobs: ReadonlyMap<Digest, Blob>
  readonly nodes: Map<PeerId, SimNode>
  /** Where members are asked for others; none: the members are given. */
  readonly seeds: readonly PeerId[]
  readonly notaryOf: (id: PeerId) => Notary
  /** Real bytes can be wrong; hollow ones only take time. */
  readonly realBytes: boolean
  /** One line for each thing that happens; undefined: nobody listens. */
  readonly trace: ((line: string) => void) | undefined
  /** Who hosts which directory, where the members are given. */
  readonly givenOwners: GivenOwners | undefined
  /** Bytes to and from directories, and of chunk heads, so far. */
  readonly traffic: { announceBytes: number; headBytes: number }
  /** A directory has answered. */
  answered: ((answer: AnnounceAnswer, request: AnnounceRequest, host: PeerId) => void) | undefined
  /** An agent that waited in vain for a directory takes a chunk of the digest from the origin itself. */
  helpsItself: ((node: SimNode, digest: Digest) => void) | undefined
  /** No seed was there for so long that it works with the members that it knows. */
  foundNoSeed: ((node: SimNode) => void) | undefined
  /** An honest node cautions others of a liar. */
  foundOut: ((node: SimNode) => void) | undefined
  /** An invariant is broken. */
  readonly violated: (what: string) => void
}

export interface SimNode {
  readonly id: PeerId
  /** Where others see it come from; liars share one (liars.ts). */
  address: string
  readonly world: World
  readonly options: NodeOptions
  readonly random: Random
  readonly port: Port
  readonly link: Link
  readonly cpu: Cpu
  readonly disk: Disk
  readonly notary: Notary
  readonly readers: Readers
  obey: Obey
  readonly counts: {
    peerBytes: number
    /** Those of them that came from another zone. */
    crossedBytes: number
    originBytes: number
    /** Those from liars. */
    liarsBytes: number
    fails: number
    /** Of these, so that its containerd brings a token in place of one that has ended. */
    renewals: number
    wrongBytes: number
    /** Pulls that ended with a layer of another digest, and were tried again. */
    retries: number
    bans: PeerId[]
  }
  /** Chunks that the disk refused. */
  readonly refused: { readonly blob: Blob; readonly index: number }[]
  /** Blobs of which it refused what no reader might have yet: this node takes them itself. */
  readonly ownOnly: Set<Blob>
  behaviour: Behaviour
  /** Of whom it cautions others, whatever it has found out; undefined: it does not lie so (liars.ts). */
  slander: readonly Caution[] | undefined
  /** What is uploaded to it waits in the sender's kernel for ever. */
  takesNothing: boolean
  /** Of the last token that its containerd brought. */
  tokenEndsAtMs: number
  /** Its machine is gone: it does not even refuse. */
  isSilent: boolean
  lives: number
  life: Life | undefined
  /** Since when this life knows of whom to beware (checkers.ts); Infinity: it may not. */
  cautionedMs: number
}

/** What a crash takes away. */
export interface Life {
  readonly swarm: Swarm
  readonly client: DirectoryClient
  readonly cautioner: Cautioner
  directory: Directory
  readonly owners: Owners
  /** Undefined where the members are given and never change. */
  readonly members: Members | undefined
  /** Called when it has handed over what it could. */
  whenLeaving: () => void
  /** It has said goodbye. */
  isLeaving: boolean
  /** The members changed since the directory's client was told. */
  changed: boolean
  readonly assembly: Assembly
  /** Chunks that the disk refused. */
  readonly unkept: Map<Digest, Map<number, readonly Piece[]>>
  /** Blobs that were wrong and are not right yet: of these it hands on nothing but its own (core/swarm/forgery.ts). */
  readonly wrong: Set<Digest>
  readonly uploads: Map<PeerId, Map<number, Stream>>
  /** How to give up each fetch. */
  readonly fetches: Map<number, () => void>
  /** Peer IDs and addresses. */
  readonly banned: Set<string>
  wakeMs: number
}

const directoryTickMs = 500

export function isLiar(node: SimNode | undefined): boolean {
  return node?.behaviour === 'spoils' || node?.behaviour === 'lies'
}

/** Is it under a liar's name, or under one that no node has, which a liar made up? */
export function isLiarsWord({ nodes }: World, entry: Entry | undefined): boolean {
  return entry !== undefined && (!nodes.has(entry.signer) || isLiar(nodes.get(entry.signer)))
}

/** Carries out one of the node's commands (hands.ts). */
export type Obey = (node: SimNode, command: SwarmCommand) => void

export function createNode(world: World, random: Random, options: NodeOptions, obey: Obey): SimNode {
  const { id } = options
  const disk = createDisk(() => world.engine.clock.now())
  const link = createLink(options)
  const cpu = createCpu(world.engine)
  const addressOf = (peer: PeerId): string => world.nodes.get(peer)?.address ?? peer
  const isBanned = (who: string): boolean => node.life?.banned.has(who) === true
  const port = world.network.attach({
    id,
    link,
    cpu,
    delayMs: options.delayMs,
    isUp: () => node.life !== undefined && node.behaviour !== 'freezes',
    takesPeer: (peer) => !isBanned(peer) && !isBanned(addressOf(peer)),
    onConnected: (peer) => handle(node, { type: 'peer-connected', peer, address: addressOf(peer) }),
    onDisconnected: (peer) => handle(node, { type: 'peer-disconnected', peer }),
    onMessages(peer, messages) {
      node.life?.members?.heard(peer)
      for (const message of messages) handle(node, { type: 'message', peer, message })
    },
  })
  const node: SimNode = {
    id,
    address: id,
    world,
    options,
    random,
    port,
    link,
    cpu,
    disk,
    notary: world.notaryOf(id),
    readers: createReaders({
      handle: (event) => handle(node, event),
      later: (delayMs, act) => later(node, delayMs, act),
      bytesPerMs: readerOverLink * options.downBytesPerMs,
      piecesOf: ({ digest }, index) => disk.of(digest)?.pieces[index] ?? node.life?.unkept.get(digest)?.get(index),
      isProved: (digest) => disk.of(digest)?.complete === true,
      mayDeliver: (digest, index) => node.life?.swarm.mayDeliver(digest, index, world.originName) ?? false,
      onWrongByte: (_blob, index) => {
        node.counts.wrongBytes++
        world.trace?.(`${id} wrong byte in chunk ${index}`)
      },
      origin: world.originName,
    }),
    obey,
    counts: {
      peerBytes: 0,
      crossedBytes: 0,
      originBytes: 0,
      liarsBytes: 0,
      fails: 0,
      renewals: 0,
      wrongBytes: 0,
      retries: 0,
      bans: [],
    },
    refused: [],
    ownOnly: new Set(),
    behaviour: 'honest',
    slander: undefined,
    takesNothing: false,
    tokenEndsAtMs: Infinity,
    isSilent: false,
    lives: 0,
    life: undefined,
    cautionedMs: Infinity,
  }
  world.nodes.set(id, node)
  return node
}

/** A reader takes so many times what the link brings. */
const readerOverLink = 4

/** Runs `act` after a while, unless the node has crashed meanwhile or is frozen. */
export function later(node: SimNode, delayMs: number, act: (life: Life) => void): void {
  const { life } = node
  node.world.engine.after(delayMs, () => {
    if (life !== undefined && life === node.life && node.behaviour !== 'freezes') act(life)
  })
}

/** Answers a request when the node's core has done that work. */
function serve(node: SimNode, how: 'work' | 'workInTurn', act: (life: Life) => void): void {
  const { life } = node
  node.cpu[how](costs.requestMs, () => {
    if (life !== undefined && life === node.life && node.behaviour !== 'freezes') act(life)
  })
}

export function start(node: SimNode): void {
  node.lives++
  node.isSilent = false
  node.cautionedMs = Infinity
  node.life = createLife(node)
  node.life.members?.setSeeds(node.world.seeds)
  wake(node)
  for (const { blob, complete, entries, have } of node.disk.all()) {
    handle(node, { type: 'held', digest: blob.digest, size: blob.size, have, complete })
    if (!complete) handle(node, { type: 'entries', digest: blob.digest, entries })
  }
  every(node, limits.tickMs, () => {
    handle(node, { type: 'tick' })
    wake(node)
  })
  every(node, directoryTickMs, (life) => life.directory.tick())
}

/** A connection to a machine that fell silent looks open for three looks at the link (core/limits.ts). */
const silenceMs = limits.linkSilentLooks * limits.linkLookMs

/** All state but the disk is lost. A process that dies closes its connections, a machine that does leaves them open. */
export function crash(node: SimNode, isSilent: boolean): void {
  node.isSilent = isSilent
  for (const giveUp of node.life?.fetches.values() ?? []) giveUp()
  node.life = undefined
  node.readers.clear()
  node.world.network.crash(node.id, isSilent ? silenceMs : 1)
}

/** It stops with its connections open, and takes and sends nothing more: an agent that hangs, or a machine that does. */
export function hang(node: SimNode): void {
  for (const giveUp of node.life?.fetches.values() ?? []) giveUp()
  node.behaviour = 'freezes'
  node.world.network.crash(node.id, silenceMs)
}

/** As agent/main does: it hands over what nobody else has, as far as that goes in the time there is, and then leaves. */
export function depart(node: SimNode, whenLeaving: () => void = () => undefined): void {
  if (node.life === undefined) return
  node.life.whenLeaving = whenLeaving
  handle(node, { type: 'departs', maxBytes: Infinity })
  later(node, drainMs, () => leave(node))
}

/** Half of what the agent's default leaves for responses (agent/main.ts). */
const drainMs = 10 * second

/** Its readers end, it says goodbye, announces nothing more, and is gone when that has had its time. */
export function leave(node: SimNode): void {
  const { life } = node
  if (life === undefined || life.isLeaving) return
  life.whenLeaving()
  node.readers.closeAll()
  life.members?.leave()
  life.owners.remove(node.id)
  life.isLeaving = true
  wake(node)
  later(node, limits.departureMs, () => crash(node, false))
}

/** `side` and the others part; returns how it heals. */
export function part({ network }: World, side: ReadonlySet<PeerId>, kind: Cut['kind']): () => void {
  return network.part(side, kind, silenceMs)
}

function every(node: SimNode, periodMs: number, act: (life: Life) => void): void {
  const again = (delayMs: number): void =>
    later(node, delayMs, (life) => {
      act(life)
      again(periodMs)
    })
  again(node.random.below(periodMs))
}

function tokenLife({ tokenEndsAtMs }: SimNode): CredentialLife {
  return { endsAtMs: tokenEndsAtMs - limits.tokenMarginMs, renewableAtMs: tokenEndsAtMs }
}

function createLife(node: SimNode): Life {
  const { id, notary, world } = node
  const { clock } = world.engine
  const random = node.random.fork(`life ${node.lives}`)
  const owners = world.givenOwners ?? createOwners({ self: id, clock })
  owners.add(id)
  const members = world.givenOwners === undefined ? createMembership(node, random.fork('members')) : undefined
  const suspect = (peer: PeerId, by?: PeerId): void => members?.suspect(peer, by)
  const placeOf = (peer: PeerId): Place | undefined =>
    members === undefined ? toldPlace(world.nodes.get(peer)) : members.get(peer)
  const places = createPlaces(node.options.border, placeOf)
  const isMember = (peer: PeerId): boolean => members === undefined || members.get(peer)?.state === 'alive'
  const addressOfMember = (peer: PeerId): string | undefined =>
    isMember(peer) ? world.nodes.get(peer)?.address : undefined
  const emit = (command: SwarmCommand): void => node.obey(node, command)
  const swarm = createSwarm(
    { self: id, clock, random: random.fork('swarm'), notary, emit },
    {
      credentialLife: () => tokenLife(node),
      ...node.options.swarm,
      places,
      addressOfMember,
      lessons: node.disk.lessons.kept(),
    },
  )
  const ownersOf = (digest: Digest): readonly PeerId[] => owners.of(digest)
  return {
    swarm,
    owners,
    members,
    whenLeaving: () => undefined,
    isLeaving: false,
    changed: false,
    directory: createDirectory(
      {
        self: id,
        clock,
        random: random.fork('directory'),
        ownersOf,
        learningMs: (digest) => owners.learningMs(digest),
        catchingUpMs: (digest) => owners.catchingUpMs(digest),
        arrivingMs: () => owners.arrivingMs(),
        ready: () => members?.agreed() ?? true,
        suspect,
      },
      { places, neighboursNamed: node.options.swarm.limits?.neighboursNamed ?? limits.neighboursNamed },
    ),
    client: createDirectoryClient({
      clock,
      random: random.fork('client'),
      from: () => ({ peer: id, addresses: [`/sim/${id}`] }),
      state: (digest) => swarm.announceState(digest),
      hosts: ownersOf,
      nearest: () => nearestTo(node, members),
      membersCount: () => members?.live().length ?? world.nodes.size,
      heardMs: (peer) => members?.heardMs(peer) ?? Number.NEGATIVE_INFINITY,
      suspect,
      emit: (output) => heedClient(node, output),
    }),
    cautioner: createCautioner({
      clock,
      random: random.fork('cautioner'),
      self: id,
      hasCautions: () => cautionsOf(node, swarm).length > 0,
      members: () => members?.live() ?? [...world.nodes.keys()],
      tell: (member) => tellCautions(node, member),
    }),
    assembly: world.realBytes ? createAssembly() : hollowAssembly,
    unkept: new Map(),
    wrong: new Set(),
    uploads: new Map(),
    fetches: new Map(),
    banned: new Set(),
    wakeMs: Infinity,
  }
}

function cautionsOf({ slander }: SimNode, swarm: Swarm): readonly Caution[] {
  return slander ?? swarm.cautions()
}

function tellCautions(node: SimNode, member: PeerId): void {
  const { life } = node
  if (life === undefined) return
  const cautions = cautionsOf(node, life.swarm)
  let isOver = false
  const end = ({ cautioner }: Life, isAnswered: boolean): void => {
    if (!isOver) cautioner.told(member, isAnswered)
    isOver = true
  }
  ask(
    node,
    member,
    () => false,
    () => {
      handle(node.world.nodes.get(member)!, { type: 'cautioned', by: node.id, address: node.address, cautions })
      return true
    },
    (own) => end(own, true),
    (own) => end(own, false),
  )
  later(node, limits.memberCallMs, (own) => end(own, false))
}

function toldPlace(node: SimNode | undefined): Place {
  return node?.options.zoneKnown === true ? { zone: node.options.zone } : {}
}

function nearestTo({ id, world }: SimNode, members: Members | undefined): PeerHint[] {
  const names = members?.nearest(limits.neighboursAim).map(({ peer }) => peer)
  return (names ?? world.givenOwners?.nearest(id, limits.neighboursAim) ?? []).map((peer) => ({
    peer,
    addresses: [`/sim/${peer}`],
    complete: false,
  }))
}

function createMembership(node: SimNode, random: Random): Members {
  const incarnation = Math.floor(node.world.engine.clock.now()) + 1
  const self = {
    peer: node.id,
    addresses: [`/sim/${node.id}`],
    cluster: node.id,
    incarnation,
    life: incarnation,
    ...toldPlace(node),
  }
  return createMembers(
    { clock: node.world.engine.clock, random, emit: (output) => heedMembers(node, output) },
    { self: { ...self, state: 'alive' } },
  )
}

export function handle(node: SimNode, event: SwarmEvent): void {
  if (node.life === undefined || node.behaviour === 'freezes') return
  node.world.trace?.(`${node.id} < ${event.type}`)
  node.life.swarm.handle(event)
}

/** Directory client, cautioner and membership are ticked when they say that they will have something to do. */
export function wake(node: SimNode): void {
  const { life, world } = node
  if (life === undefined) return
  const nowMs = world.engine.clock.now()
  const clientMs = life.isLeaving ? Infinity : life.client.nextMs()
  const dueMs = life.changed ? nowMs : Math.min(clientMs, life.cautioner.nextMs(), life.members?.nextMs() ?? Infinity)
  if (dueMs >= life.wakeMs) return
  life.wakeMs = dueMs
  later(node, dueMs - nowMs, () => {
    if (life.wakeMs !== dueMs) return
    life.wakeMs = Infinity
    life.members?.tick()
    if (life.changed) {
      life.changed = false
      life.client.membersChanged()
    }
    if (!life.isLeaving) life.client.tick()
    life.cautioner.tick()
    wake(node)
  })
}

function heedClient(node: SimNode, output: DirectoryClientOutput): void {
  if (output.type === 'directory-silent') node.world.helpsItself?.(node, output.digest)
  if (output.type !== 'call') return later(node, 0, () => handle(node, output))
  const { id, request, to } = output
  ask(
    node,
    to,
    // What a host says to itself it says at once.
    ({ directory }) => to !== node.id && !directory.isFetcher(node.id),
    ({ directory, members }) => {
      members?.heard(node.id)
      const answer = directory.announce(request)
      // What a host says to itself crosses no wire.
      if (to !== node.id) node.world.traffic.announceBytes += announceBytes(request, answer)
      node.world.answered?.(answer, request, to)
      return answer
    },
    ({ client, members }, answer) => {
      members?.heard(to)
      client.answered(id, answer)
    },
    ({ client }) => client.failed(id),
  )
}

function heedMembers(node: SimNode, output: MembersOutput): void {
  const life = node.life
  switch (output.type) {
    case 'exchange':
      return ask(
        node,
        output.cluster,
        () => false,
        ({ members }) => members?.handle(output.request),
        ({ members }, answer) => members?.exchanged(output.id, answer),
        ({ members }) => members?.failed(output.id, true),
      )
    case 'came':
      life?.owners.add(output.record.peer)
      life?.client.memberCame(output.record.peer)
      life?.cautioner.memberCame(output.record.peer)
      handle(node, { type: 'peer-came', peer: output.record.peer })
      break
    case 'gone':
      life?.owners.remove(output.record.peer)
      life?.directory.memberGone(output.record.peer)
      handle(node, { type: 'peer-gone', peer: output.record.peer, how: output.record.state })
      break
    case 'silent':
      life?.owners.silence(output.peer)
      handle(node, { type: 'peer-silent', peer: output.peer })
      break
    case 'heard':
      life?.owners.hear(output.peer)
      handle(node, { type: 'peer-heard', peer: output.peer })
      break
    case 'agreed':
      if (life?.members?.live().length === 1) node.world.foundNoSeed?.(node)
      return life?.owners.arrive()
    case 'refuted':
      life?.owners.arrive()
      return life?.client.renew()
    case 'cloned':
      return
  }
  if (life !== undefined) life.changed = true
}

/** Asks others, one after the other, to take a blob that only this node has. */
export function offer(node: SimNode, blob: Blob): void {
  const { digest } = blob
  const areaOf = ({ options }: SimNode): string => (options.border === 'none' ? '' : options.zone)
  const isEligible = (peer: PeerId): boolean => peer !== node.id && areaOf(node.world.nodes.get(peer)!) === areaOf(node)
  const heirs = [...(node.life?.owners.heirsOf(digest, isEligible) ?? [])]
  const end = (isTaken: boolean): void => handle(node, { type: 'offered', digest, isTaken })
  const askNext = (): void => {
    const heir = heirs.shift()
    if (heir === undefined) return later(node, 0, () => end(false))
    ask(
      node,
      heir,
      () => false,
      ({ swarm }) => swarm.mayTake(digest, blob.size) && takeOver(node.world.nodes.get(heir)!, blob),
      (_life, isTaken) => (isTaken ? end(true) : askNext()),
      askNext,
    )
  }
  askNext()
}

function takeOver(heir: SimNode, blob: Blob): true {
  const whole = { blob, start: 0, end: blob.size, whole: true, prefetch: true, isTakeOver: true }
  const close = heir.readers.open({ ...whole, onEnd: () => undefined })
  later(heir, limits.handOverTakeMs, close)
  return true
}

/** A call over HTTP: one that is up answers, a crashed process refuses, a dead machine and a frozen process are silent. */
function ask<Answer>(
  node: SimNode,
  to: PeerId,
  inTurn: (host: Life) => boolean,
  answerOf: (host: Life) => Answer | undefined,
  onAnswer: (life: Life, answer: Answer) => void,
  onRefused: (life: Life) => void,
): void {
  const { network, nodes } = node.world
  const tripMs = (): number => (to === node.id ? 0 : network.delayMs(node.id, to))
  const reply = (answer: Answer | undefined): void =>
    later(node, tripMs(), (life) => {
      if (answer === undefined) onRefused(life)
      else onAnswer(life, answer)
      wake(node)
    })
  later(node, tripMs(), () => {
    const host = nodes.get(to)
    if (!network.reaches(node.id, to)) return
    if (host === undefined || host.behaviour === 'freezes' || host.isSilent) return
    if (host.life === undefined) return reply(undefined)
    serve(host, inTurn(host.life) ? 'workInTurn' : 'work', (life) => {
      reply(answerOf(life))
      wake(host)
    })
  })
}
