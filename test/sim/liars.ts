/**
 * Members that hold the secret and lie. Each runs the shipped program like everybody else, and one lie instead of some of
 * what that tells it to do.
 */
import { limits } from '../../core/limits.ts'
import type { Digest } from '../../core/oci/digest.ts'
import type { Directory } from '../../core/directory/directory.ts'
import type { AnnounceRequest, TimedAnswer } from '../../core/directory/messages.ts'
import { fullBitfield } from '../../core/swarm/bitfield.ts'
import { chunkCountOf, chunkLengthOf } from '../../core/swarm/chunks.ts'
import type { Witness } from '../../core/swarm/entry.ts'
import type { SwarmCommand } from '../../core/swarm/events.ts'
import { blobOf, obey, sign, takeFrame } from './hands.ts'
import type { Lie } from './lies.ts'
import { spoil, type Blob, type Piece } from './matter.ts'
import { handle, later, wake, type SimNode } from './node.ts'

type CommandOf<Type extends SwarmCommand['type']> = Extract<SwarmCommand, { type: Type }>

/** The node, which has started, tells this lie from now on. */
export function makeLiar(node: SimNode, lie: Lie): void {
  node.behaviour = lie === 'sends rubbish' ? 'spoils' : 'lies'
  switch (lie) {
    case 'sends rubbish':
      return
    case 'forges fetched':
      return uploadInstead(node, (command) => forge(node, command, { kind: 'fetched', origin: node.world.originName }))
    case 'forges proved':
      return uploadInstead(node, (command) => forge(node, command, { kind: 'proved' }))
    case 'forges in other names':
      return uploadInstead(node, (command) => forge(node, command, { kind: 'proved' }, alias(node, command.digest)))
    case 'forges one chunk':
      return forgeLast(node)
    case 'vouches for another blob':
      return vouchFor(node, (_, index) => (index + 1).toString(16).padStart(64, '0'))
    case 'claims all':
      return claimAll(node)
    case 'trickles':
      return uploadInstead(node, (command) => trickle(node, command))
    case 'denies':
      return uploadInstead(node, (command) => deny(node, command))
    case 'begins nothing':
      return uploadInstead(node, () => {})
    case 'is ever busy':
      return uploadInstead(node, (command) => turnAway(node, command))
    case 'keeps waiting':
      return uploadInstead(node, (command) => keepWaiting(node, command))
    case 'slanders':
      node.slander = [...node.world.nodes.keys()].filter((peer) => peer !== node.id).map((peer) => ({ peer }))
      node.life?.cautioner.caution()
      return wake(node)
    case 'floods':
      return flood(node)
    case 'takes nothing':
      return takeNothing(node)
    case 'grants everybody':
      return answerInstead(node, grantAlways)
    case 'grants nobody':
      return answerInstead(node, ({ lease: _lease, ...item }) => ({ ...item, leaseAfterMs: 100 }))
    case 'names only itself':
      return answerInstead(node, (item) => nameOnly(node, item))
  }
}

/** This node's origin gives it other bytes than it gives everybody else. */
export function deceive(node: SimNode, index: number): void {
  const blobs = new Map([...node.world.blobs].map(([digest, blob]) => [digest, spoilt(blob, index)]))
  const deceived: SimNode = Object.create(node, { world: { value: { ...node.world, blobs } } })
  instead(node, 'fetch-origin', (command) => obey(deceived, command))
}

function spoilt(blob: Blob, wrong: number): Blob {
  return {
    ...blob,
    piece: (index, from, to) =>
      index === wrong && from === 0 ? spoil(blob.piece(index, from, to), 'origin') : blob.piece(index, from, to),
  }
}

function instead<Type extends SwarmCommand['type']>(
  node: SimNode,
  type: Type,
  act: (command: CommandOf<Type>) => void,
): void {
  const before = node.obey
  const isIt = (command: SwarmCommand): command is CommandOf<Type> => command.type === type
  node.obey = (of, command) => (isIt(command) ? act(command) : before(of, command))
}

/** Nor gives up what it has asked for. */
function takeNothing(node: SimNode): void {
  const before = node.obey
  node.takesNothing = true
  instead(node, 'send', (command) => {
    if (command.message.type !== 'cancel') before(node, command)
  })
}

function uploadInstead(node: SimNode, act: (command: CommandOf<'upload'>) => void): void {
  instead(node, 'upload', act)
}

function alias(node: SimNode, digest: Digest): SimNode {
  const id = `${node.id} as ${digest.slice(-8)}`
  return Object.create(node, { id: { value: id }, notary: { value: node.world.notaryOf(id) } })
}

/** The chunk with its first byte wrong, and a signature under that. */
function forge(
  node: SimNode,
  { digest, id, index, offset, peer }: CommandOf<'upload'>,
  witness: Witness,
  signer = node,
): void {
  const receiver = node.world.nodes.get(peer)
  const blob = blobOf(node, digest)
  const length = chunkLengthOf(blob.size, index)
  const entry = sign(signer, blob, index, forgedHash(node, blob, index), witness)
  if (receiver === undefined) return
  let at = offset
  const onHead = (): void => handle(receiver, { type: 'chunk-started', peer: node.id, id, offset, entry })
  const onFrame = (bytes: number): void => {
    takeFrame(receiver, node, id, forgedPiece(node, blob, index, at, at + bytes))
    at += bytes
  }
  const onSent = (): void => later(node, 0, () => handle(node, { type: 'uploaded', peer, id, ok: true }))
  node.port.stream(peer, length - offset, { onHead, onFrame, onSent })
}

function forgedPiece({ id }: SimNode, blob: Blob, index: number, from: number, to: number): Piece {
  return from === 0 ? spoil(blob.piece(index, from, to), id) : blob.piece(index, from, to)
}

function forgedHash(node: SimNode, blob: Blob, index: number): string {
  return blob.hash(index, [forgedPiece(node, blob, index, 0, chunkLengthOf(blob.size, index))])
}

function forgeLast(node: SimNode): void {
  const before = node.obey
  uploadInstead(node, (command) => {
    const isLast = command.index === chunkCountOf(command.size) - 1
    if (isLast) forge(node, command, { kind: 'proved' })
    else before(node, command)
  })
}

const trickleMs = 20

function trickle(node: SimNode, { digest, id, index, offset, peer }: CommandOf<'upload'>): void {
  const receiver = node.world.nodes.get(peer)
  const entry = node.disk.of(digest)?.entries[index]
  if (receiver === undefined || entry === undefined) return
  handle(receiver, { type: 'chunk-started', peer: node.id, id, offset, entry })
  const drip = (at: number): void =>
    later(node, trickleMs, () => {
      if (!node.world.network.isConnected(node.id, peer)) return
      takeFrame(receiver, node, id, blobOf(node, digest).piece(index, at, at + 1))
      drip(at + 1)
    })
  drip(offset)
}

function deny(node: SimNode, { id, peer }: CommandOf<'upload'>): void {
  later(node, 0, () => handle(node, { type: 'uploaded', peer, id, ok: false }))
}

/** It is done with the upload, as far as its own program knows. */
function endUpload(node: SimNode, { id, peer }: CommandOf<'upload'>): void {
  later(node, 0, () => handle(node, { type: 'uploaded', peer, id, ok: true }))
}

function turnAway(node: SimNode, command: CommandOf<'upload'>): void {
  endUpload(node, command)
  node.port.send(command.peer, { type: 'busy', id: command.id, try: [] })
}

const keptBehind = 5

function keepWaiting(node: SimNode, command: CommandOf<'upload'>): void {
  const { id, peer } = command
  endUpload(node, command)
  const again = (): void => {
    if (!node.world.network.isConnected(node.id, peer)) return
    node.port.send(peer, { type: 'queued', id, ahead: keptBehind })
    later(node, limits.queuedAgainMs, again)
  }
  again()
}

function claimAll(node: SimNode): void {
  instead(node, 'send', (command) => {
    const { message, peer } = command
    if (message.type === 'missing') return
    const have = message.type === 'join' ? fullBitfield(chunkCountOf(message.size)) : undefined
    obey(node, have === undefined ? command : ({ type: 'send', peer, message: { ...message, have } } as SwarmCommand))
  })
}

/** Who forges tells the hashes of what it forges when it is asked for them, or nothing. */
export function backForgery(node: SimNode, isTold: boolean): void {
  if (isTold) vouchFor(node, (digest, index) => forgedHash(node, blobOf(node, digest), index))
  else instead(node, 'vouch', () => {})
}

/** When asked for its hashes of a blob, it tells these. */
function vouchFor(node: SimNode, hashOf: (digest: Digest, index: number) => string): void {
  instead(node, 'vouch', ({ digest, end, peer, start }) => {
    const hashes = Array.from({ length: end - start }, (_, at) => hashOf(digest, start + at))
    node.port.send(peer, { type: 'vouch', digest, start, hashes })
  })
}

const floodPerTick = 200

function flood(node: SimNode): void {
  let id = 1_000_000
  const again = (): void =>
    later(node, limits.tickMs, () => {
      for (const [one, other] of node.world.network.links())
        if (one === node.id || other === node.id) drown(one === node.id ? other : one)
      again()
    })
  const drown = (peer: string): void => {
    for (const digest of node.world.blobs.keys())
      for (let sent = 0; sent < floodPerTick; sent++)
        node.port.send(peer, { type: 'request', id: id++, digest, index: 0, offset: 0 })
  }
  again()
}

function answerInstead(node: SimNode, change: (item: TimedAnswer, request: AnnounceRequest) => TimedAnswer): void {
  const { life } = node
  if (life === undefined) return
  const honest: Directory = life.directory
  life.directory = {
    ...honest,
    announce(request) {
      const answer = honest.announce(request)
      return { ...answer, items: answer.items.map((item) => change(item, request)) }
    },
  }
}

function grantAlways(item: TimedAnswer, { from, items }: AnnounceRequest): TimedAnswer {
  const wish = items.find(({ digest }) => digest === item.digest)?.lease
  if (wish === undefined) return item
  const { leaseAfterMs: _after, ...rest } = item
  const id = Math.floor(wish.position * 1e6 + from.peer.length)
  const lease = { id, start: wish.position, end: wish.position + wish.chunks, ttlMs: limits.leaseTtlMs }
  return { ...rest, lease }
}

/** It has all there is, and nobody else has anything; so nobody needs the origin. */
function nameOnly(node: SimNode, { digest, size = 0 }: TimedAnswer): TimedAnswer {
  const counts = new Uint8Array(chunkCountOf(size)).fill(1)
  const self = { peer: node.id, addresses: [`/sim/${node.id}`], complete: true }
  return { digest, size, peers: [self], counts, leaseAfterMs: 100, announceAfterMs: limits.announceMs }
}
