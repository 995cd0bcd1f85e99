/** One agent: core/swarm, the directory's client and its share of the directory, unchanged, in virtual time. */
import { createDirectoryClient, type DirectoryClient, type DirectoryClientOutput } from '../../core/directory/client.ts'
import { createDirectory, type Directory } from '../../core/directory/directory.ts'
import type { AnnounceAnswer, AnnounceRequest } from '../../core/directory/messages.ts'
import { createOwners, type Owners } from '../../core/directory/owners.ts'
import { limits } from '../../core/limits.ts'
import type { Digest } from '../../core/oci/digest.ts'
import type { Notary, PeerId, Random } from '../../core/ports.ts'
import type { SwarmCommand, SwarmEvent } from '../../core/swarm/events.ts'
import type { SwarmOptions } from '../../core/swarm/state.ts'
import { createSwarm, type Swarm } from '../../core/swarm/swarm.ts'
import { createAssembly, type Assembly } from './assembly.ts'
import { createDisk, type Disk } from './disk.ts'
import type { Engine } from './engine.ts'
import { createLink, type Link, type Stream } from './links.ts'
import type { Blob, Piece } from './matter.ts'
import type { Network } from './network.ts'
import type { Origin } from './origin.ts'
import { createReaders, type Readers } from './readers.ts'

/** `spoils`: sends wrong bytes. `forges`: signs for wrong bytes as proved. `freezes`: stops, with its connections open. */
export type Behaviour = 'honest' | 'spoils' | 'forges' | 'freezes'

export interface NodeOptions {
  readonly id: PeerId
  readonly upBytesPerMs: number
  readonly downBytesPerMs: number
  readonly delayMs: number
  /** One write in so many is refused; 0: none. */
  readonly diskRefusesOneIn: number
  readonly swarm: SwarmOptions
}

export interface World {
  readonly engine: Engine
  readonly network: Network
  readonly origin: Origin
  readonly originName: string
  readonly blobs: ReadonlyMap<Digest, Blob>
  readonly nodes: Map<PeerId, SimNode>
  readonly notaryOf: (id: PeerId) => Notary
  /** One line for each thing that happens. */
  readonly trace: (line: string) => void
  /** An invariant is broken. */
  readonly violated: (what: string) => void
}

export interface SimNode {
  readonly id: PeerId
  readonly world: World
  readonly options: NodeOptions
  readonly random: Random
  readonly link: Link
  readonly disk: Disk
  readonly notary: Notary
  readonly readers: Readers
  readonly obey: Obey
  readonly counts: { peerBytes: number; originBytes: number; fails: number; wrongBytes: number; bans: PeerId[] }
  behaviour: Behaviour
  lives: number
  life: Life | undefined
}

/** What a crash takes away. */
export interface Life {
  readonly swarm: Swarm
  readonly client: DirectoryClient
  readonly directory: Directory
  readonly owners: Owners
  readonly assembly: Assembly
  /** Chunks that the disk refused. */
  readonly unkept: Map<string, readonly Piece[]>
  readonly uploads: Map<string, Stream>
  /** How to give up each fetch. */
  readonly fetches: Map<number, () => void>
  readonly banned: Set<PeerId>
  wakeMs: number
}

const directoryTickMs = 500

/** Carries out one of the node's commands (hands.ts). */
export type Obey = (node: SimNode, command: SwarmCommand) => void

export function createNode(world: World, random: Random, options: NodeOptions, obey: Obey): SimNode {
  const { id } = options
  const disk = createDisk()
  const node: SimNode = {
    id,
    world,
    options,
    random,
    link: createLink(options),
    disk,
    notary: world.notaryOf(id),
    readers: createReaders({
      handle: (event) => handle(node, event),
      piecesOf: ({ digest }, index) =>
        disk.of(digest)?.chunks.get(index)?.pieces ?? node.life?.unkept.get(chunkKey(digest, index)),
      isProved: (digest) => disk.of(digest)?.complete === true,
      onWrongByte: (_blob, index) => {
        node.counts.wrongBytes++
        world.trace(`${id} wrong byte in chunk ${index}`)
      },
      origin: world.originName,
    }),
    obey,
    counts: { peerBytes: 0, originBytes: 0, fails: 0, wrongBytes: 0, bans: [] },
    behaviour: 'honest',
    lives: 0,
    life: undefined,
  }
  world.nodes.set(id, node)
  world.network.attach({
    id,
    link: node.link,
    delayMs: options.delayMs,
    isUp: () => node.life !== undefined,
    takesPeer: (peer) => node.life?.banned.has(peer) !== true,
    onConnected: (peer) => handle(node, { type: 'peer-connected', peer }),
    onDisconnected: (peer) => handle(node, { type: 'peer-disconnected', peer }),
    onMessage: (peer, message) => handle(node, { type: 'message', peer, message }),
  })
  return node
}

export function chunkKey(digest: Digest, index: number): string {
  return `${digest} ${index}`
}

/** Runs `act` after a while, unless the node has crashed meanwhile or is frozen. */
export function later(node: SimNode, delayMs: number, act: (life: Life) => void): void {
  const { life } = node
  node.world.engine.after(delayMs, () => {
    if (life !== undefined && life === node.life && node.behaviour !== 'freezes') act(life)
  })
}

export function start(node: SimNode): void {
  node.lives++
  node.life = createLife(node)
  for (const { blob, complete, have } of node.disk.all())
    handle(node, { type: 'held', digest: blob.digest, size: blob.size, have, complete })
  every(node, limits.tickMs, () => handle(node, { type: 'tick' }))
  every(node, directoryTickMs, (life) => life.directory.tick())
}

/** All state but the disk is lost; the peers notice after `noticeMs`. */
export function crash(node: SimNode, noticeMs: number): void {
  for (const giveUp of node.life?.fetches.values() ?? []) giveUp()
  node.life = undefined
  node.readers.clear()
  node.world.network.crash(node.id, noticeMs)
}

function every(node: SimNode, periodMs: number, act: (life: Life) => void): void {
  const again = (delayMs: number): void =>
    later(node, delayMs, (life) => {
      act(life)
      again(periodMs)
    })
  again(node.random.below(periodMs))
}

function createLife(node: SimNode): Life {
  const { id, notary, world } = node
  const { clock } = world.engine
  const random = node.random.fork(`life ${node.lives}`)
  const owners = createOwners({ self: id, clock })
  for (const peer of world.nodes.keys()) owners.add(peer)
  if (node.lives > 1) owners.arrive()
  const emit = (command: SwarmCommand): void => node.obey(node, command)
  const swarm = createSwarm({ self: id, clock, random: random.fork('swarm'), notary, emit }, node.options.swarm)
  const ownersOf = (digest: Digest): readonly PeerId[] => owners.of(digest)
  return {
    swarm,
    owners,
    directory: createDirectory({
      self: id,
      clock,
      random: random.fork('directory'),
      ownersOf,
      learningMs: (digest) => owners.learningMs(digest),
      ready: () => true,
      suspect: () => undefined,
    }),
    client: createDirectoryClient({
      clock,
      random: random.fork('client'),
      from: () => ({ peer: id, addresses: [`/sim/${id}`] }),
      state: (digest) => swarm.announceState(digest),
      hosts: ownersOf,
      membersCount: () => world.nodes.size,
      suspect: () => undefined,
      emit: (output) => heedClient(node, output),
    }),
    assembly: createAssembly(),
    unkept: new Map(),
    uploads: new Map(),
    fetches: new Map(),
    banned: new Set(),
    wakeMs: Infinity,
  }
}

function heedClient(node: SimNode, output: DirectoryClientOutput): void {
  if (output.type === 'call') call(node, output.to, output.id, output.request)
  else later(node, 0, () => handle(node, output))
}

export function handle(node: SimNode, event: SwarmEvent): void {
  if (node.life === undefined || node.behaviour === 'freezes') return
  node.world.trace(`${node.id} < ${event.type}`)
  node.life.swarm.handle(event)
  wakeClient(node)
}

/** The membership says whether `peer` lives. */
export function hearOfMember(node: SimNode, peer: PeerId, alive: boolean): void {
  if (node.life === undefined) return
  const { client, directory, owners } = node.life
  if (alive) owners.hear(peer)
  else {
    owners.silence(peer)
    directory.memberGone(peer)
  }
  client.membersChanged()
  wakeClient(node)
}

/** The client is ticked when it says that it will have something to do. */
function wakeClient(node: SimNode): void {
  const { life, world } = node
  const dueMs = life?.client.nextMs() ?? Infinity
  if (life === undefined || dueMs >= life.wakeMs) return
  life.wakeMs = dueMs
  later(node, dueMs - world.engine.clock.now(), () => {
    if (life.wakeMs !== dueMs) return
    life.wakeMs = Infinity
    life.client.tick()
    wakeClient(node)
  })
}

/** An announce over HTTP; a host that is up answers, one that crashed refuses, a frozen one is silent. */
function call(node: SimNode, to: PeerId, callId: number, request: AnnounceRequest): void {
  const { network, nodes } = node.world
  const tripMs = (): number => (to === node.id ? 0 : network.delayMs(node.id, to))
  later(node, tripMs(), () => {
    const host = nodes.get(to)
    if (host?.behaviour === 'freezes') return
    const answer = host?.life?.directory.announce(request)
    later(node, tripMs(), (life) => settleCall(node, life, callId, answer))
  })
}

function settleCall(node: SimNode, { client }: Life, callId: number, answer: AnnounceAnswer | undefined): void {
  if (answer === undefined) client.failed(callId)
  else client.answered(callId, answer)
  wakeClient(node)
}
