/** Carries out a swarm's commands, as agent/swarm does, on the simulated network, disk and origin. */
import type { Digest } from '../../core/oci/digest.ts'
import type { PeerId } from '../../core/ports.ts'
import { chunkCountOf, chunkLengthOf, chunkSizeOf } from '../../core/swarm/chunks.ts'
import { checkServed } from './checkers.ts'
import { entryPayload, type Entry, type Witness } from '../../core/swarm/entry.ts'
import type { SwarmCommand } from '../../core/swarm/events.ts'
import { sliceOf, spoil, type Blob, type Piece } from './matter.ts'
import { chunkHeadBytes } from './wire-size.ts'
import { handle, isLiar, later, leave, offer, wake, type Life, type SimNode } from './node.ts'
import type { KeptBlob } from './disk.ts'
import { stopStream, type Stream } from './links.ts'

type CommandOf<Type extends SwarmCommand['type']> = Extract<SwarmCommand, { type: Type }>

const hashBytesPerMs = 1_500_000

export function obey(node: SimNode, command: SwarmCommand): void {
  const { life, world } = node
  if (life === undefined) return
  world.trace?.(`${node.id} > ${describe(command)}`)
  switch (command.type) {
    case 'dial':
      return world.network.dial(node.id, command.peer, () =>
        later(node, 0, () => handle(node, { type: 'dial-failed', peer: command.peer })),
      )
    case 'release':
      return world.network.hangUp(node.id, command.peer)
    case 'send':
      return node.port.send(command.peer, command.message)
    case 'upload':
      return upload(node, command)
    case 'stop-upload':
      return stopUpload(node, command.peer, command.id)
    case 'expect':
      return expectChunk(life, command)
    case 'ignore':
      return life.assembly.end(command.peer, command.id)
    case 'fetch-origin':
      return fetchOrigin(node, command)
    case 'stop-fetch':
      return stopFetch(node, command.fetch)
    case 'hash':
      return hash(node, blobOf(node, command.digest), command.index)
    case 'keep':
      return keep(node, blobOf(node, command.digest), command)
    case 'deliver':
      return node.readers.advance(command.digest)
    case 'vouch':
      return vouch(node, command)
    case 'drop':
      return life.assembly.drop(command.digest, command.index)
    case 'prove':
      return prove(node, blobOf(node, command.digest))
    case 'discard':
      return node.disk.discard(command.digest, command.indices)
    case 'announce':
      life.client.announce(command.digest, command.now)
      return wake(node)
    case 'caution':
      if (!isLiar(node)) world.foundOut?.(node)
      life.cautioner.caution()
      return wake(node)
    case 'learnt':
      return void node.disk.lessons.keep(life.swarm.lessons())
    case 'offer':
      return offer(node, blobOf(node, command.digest))
    case 'departed':
      return later(node, 0, () => leave(node))
    case 'ban':
      life.banned.add(command.peer)
      if (command.address !== undefined) life.banned.add(command.address)
      node.counts.bans.push(command.peer)
      // A signer may be a mere name (liars.ts).
      if (!world.nodes.has(command.peer)) return
      return world.network.hangUp(node.id, command.peer)
    case 'fail':
      node.counts.fails++
      if (node.tokenEndsAtMs <= world.engine.clock.now()) node.counts.renewals++
      return later(node, 0, () => node.readers.fail(command.digest, whyOf(command), command.reader))
  }
}

function whyOf({ failure }: CommandOf<'fail'>): 'origin' | 'corrupt' {
  return failure.kind === 'corrupt' ? 'corrupt' : 'origin'
}

function describe(command: SwarmCommand): string {
  const of = 'index' in command ? ` ${command.index}` : ''
  const to = 'peer' in command ? ` ${command.peer}` : ''
  const what = command.type === 'send' ? ` ${command.message.type}` : ''
  return `${command.type}${what}${to}${of}`
}

export function blobOf(node: SimNode, digest: Digest): Blob {
  const blob = node.world.blobs.get(digest)
  if (blob === undefined) throw new Error(`no such blob: ${digest}`)
  return blob
}

function expectChunk({ assembly }: Life, { digest, id, index, offset, peer, size }: CommandOf<'expect'>): void {
  assembly.begin(digest, index, peer, id, offset, chunkLengthOf(size, index))
}

function upload(node: SimNode, command: CommandOf<'upload'>): void {
  const { digest, id, index, offset, peer } = command
  const { life, world } = node
  const receiver = world.nodes.get(peer)
  const kept = node.disk.of(digest)
  if (life === undefined || kept?.entries[index] === undefined || receiver === undefined)
    return later(node, 0, () => handle(node, { type: 'uploaded', peer, id, ok: false }))
  if (receiver.takesNothing) return
  const { blob } = kept
  const entry = entryFor(node, kept, index)
  const pieces = kept.pieces[index]!
  if (world.realBytes) checkServed(node, kept, index)
  let at = offset
  const onHead = (): void => {
    world.traffic.headBytes += chunkHeadBytes({ type: 'chunk', id, offset, entry })
    handle(receiver, { type: 'chunk-started', peer: node.id, id, offset, entry })
  }
  const onFrame = (bytes: number): void => {
    takeFrame(receiver, node, id, sentPiece(node, pieces, at, bytes))
    at += bytes
  }
  const uploads = uploadsTo(life, peer)
  const onSent = (): void =>
    later(node, 0, () => {
      if (uploads.delete(id)) handle(node, { type: 'uploaded', peer, id, ok: true })
    })
  const stream = node.port.stream(peer, chunkLengthOf(blob.size, index) - offset, {
    onHead,
    onFrame,
    onSent,
  })
  if (stream !== undefined) uploads.set(id, stream)
}

function uploadsTo({ uploads }: Life, peer: PeerId): Map<number, Stream> {
  const known = uploads.get(peer)
  if (known !== undefined) return known
  const streams = new Map<number, Stream>()
  uploads.set(peer, streams)
  return streams
}

function stopUpload({ life }: SimNode, peer: PeerId, id: number): void {
  const streams = life?.uploads.get(peer)
  const stream = streams?.get(id)
  if (stream !== undefined) stopStream(stream)
  streams?.delete(id)
}

function sentPiece(node: SimNode, pieces: readonly Piece[], at: number, bytes: number): Piece {
  if (!node.world.realBytes) return { length: bytes }
  const piece = sliceOf(pieces, at, at + bytes)
  return node.behaviour === 'spoils' ? spoil(piece, node.id) : piece
}

/** The entry kept with a chunk; that of a proved blob is this node's own, signed when first needed. */
function entryFor(node: SimNode, { blob, complete, entries, pieces }: KeptBlob, index: number): Entry {
  const entry = entries[index]!
  if (!complete || entry.witness.kind === 'proved') return entry
  const own = sign(node, blob, index, blob.hash(index, pieces[index]!), { kind: 'proved' })
  entries[index] = own
  return own
}

export function sign(node: SimNode, { digest, size }: Blob, index: number, hashed: string, witness: Witness): Entry {
  const claim = { index, hash: hashed, witness }
  return { ...claim, signer: node.id, signature: node.notary.sign(entryPayload(digest, size, claim)) }
}

export function takeFrame(node: SimNode, peer: SimNode, id: number, piece: Piece): void {
  if (node.life === undefined) return
  node.counts.peerBytes += piece.length
  if (isLiar(peer)) node.counts.liarsBytes += piece.length
  if (peer.options.zone !== node.options.zone) node.counts.crossedBytes += piece.length
  node.life.members?.heard(peer.id)
  node.life.assembly.append(peer.id, id, piece)
  handle(node, { type: 'frame', peer: peer.id, id, bytes: piece.length })
}

function fetchOrigin(node: SimNode, command: CommandOf<'fetch-origin'>): void {
  const { digest, end, fetch, isEscape, offset, start } = command
  const { life, world } = node
  const blob = blobOf(node, digest)
  const chunkSize = chunkSizeOf(blob.size)
  let current = -1
  const giveUp = world.origin.get(
    {
      node: node.id,
      link: node.link,
      blob,
      from: start * chunkSize + offset,
      to: Math.min(end * chunkSize, blob.size),
      tokenEndsAtMs: node.tokenEndsAtMs,
      isEscape,
    },
    {
      onFrame(index, from, to) {
        if (life === undefined || life !== node.life || node.behaviour === 'freezes') return
        if (index !== current)
          life.assembly.begin(digest, index, 'origin', fetch, from, chunkLengthOf(blob.size, index))
        current = index
        life.assembly.append('origin', fetch, blob.piece(index, from, to))
        node.counts.originBytes += to - from
        handle(node, { type: 'origin-frame', digest, fetch, index, bytes: to - from })
      },
      onUnranged: () => handle(node, { type: 'origin-unranged', digest, fetch }),
      onEnded(failure) {
        life?.fetches.delete(fetch)
        if (life !== node.life) return
        handle(node, { type: 'origin-ended', digest, fetch, ...(failure === undefined ? {} : { failure }) })
      },
    },
  )
  life?.fetches.set(fetch, giveUp)
}

function stopFetch(node: SimNode, fetch: number): void {
  node.life?.fetches.get(fetch)?.()
  node.life?.fetches.delete(fetch)
}

function hash(node: SimNode, blob: Blob, index: number): void {
  const length = chunkLengthOf(blob.size, index)
  later(node, length / hashBytesPerMs, (life) => {
    const pieces = life.assembly.whole(blob.digest, index, length)
    if (pieces === undefined) return
    handle(node, { type: 'hashed', digest: blob.digest, index, hash: blob.hash(index, pieces) })
  })
}

/** Says what it holds as its own word. */
function vouch(node: SimNode, { digest, end, peer, start }: CommandOf<'vouch'>): void {
  const entries = node.disk.of(digest)?.entries.slice(start, end) ?? []
  const hashes = entries.flatMap((entry) => (entry === undefined ? [] : [entry.hash]))
  node.port.send(peer, { type: 'vouch', digest, start, hashes })
}

function keep(node: SimNode, blob: Blob, { entry, index, mayPass }: CommandOf<'keep'>): void {
  const { digest, size } = blob
  const { diskMs, diskRefusesOneIn } = node.options
  // At once: while it is written, its bytes may come once more, and be dropped.
  const pieces = node.life!.assembly.take(digest, index, chunkLengthOf(size, index))
  later(node, diskMs, (life) => {
    const ok = diskRefusesOneIn === 0 || node.random.below(diskRefusesOneIn) > 0
    if (ok) proveOn(node, node.disk.keep(blob, index, pieces, entry))
    else if (mayPass) refuse(node, life, blob, index, pieces)
    else node.ownOnly.add(blob)
    handle(node, { type: 'kept', digest, index, ok, isForgotten: !ok && !mayPass })
    node.readers.advance(digest)
    endCorrupt(node, life, blob)
  })
}

/** What passes through is hashed with what is kept, as by agent/swarm/proofs: a blob that is wrong ends its readers. */
function endCorrupt(node: SimNode, { unkept }: Life, blob: Blob): void {
  const { digest, size } = blob
  const passed = unkept.get(digest)
  if (passed === undefined) return
  let isTrue = true
  for (let index = 0; index < chunkCountOf(size); index++) {
    const pieces = node.disk.of(digest)?.pieces[index] ?? passed.get(index)
    if (pieces === undefined) return
    isTrue &&= blob.isTrue(index, pieces)
  }
  if (isTrue) return
  unkept.delete(digest)
  handle(node, { type: 'proved', digest, ok: false })
  node.readers.fail(digest, 'corrupt')
}

function refuse(node: SimNode, { unkept }: Life, blob: Blob, index: number, pieces: readonly Piece[]): void {
  node.refused.push({ blob, index })
  const chunks = unkept.get(blob.digest) ?? new Map<number, readonly Piece[]>()
  unkept.set(blob.digest, chunks.set(index, pieces))
}

/** The blob's hash goes on with the chunks that are held without a gap, as agent/swarm/proofs does. */
function proveOn({ world }: SimNode, kept: KeptBlob): void {
  const { blob, pieces } = kept
  kept.provedAtMs = Math.max(kept.provedAtMs, world.engine.clock.now())
  for (; pieces[kept.provedChunks] !== undefined; kept.provedChunks++)
    kept.provedAtMs += chunkLengthOf(blob.size, kept.provedChunks) / hashBytesPerMs
}

function prove(node: SimNode, blob: Blob): void {
  const { digest, size } = blob
  const kept = node.disk.of(digest)
  if (kept === undefined) return
  const { discards } = kept
  later(node, kept.provedAtMs - node.world.engine.clock.now(), ({ wrong }) => {
    if (kept.discards !== discards) return
    let ok = true
    for (let index = 0; index < chunkCountOf(size); index++)
      if (!blob.isTrue(index, kept.pieces[index] ?? [])) ok = false
    kept.complete = ok
    if (ok) wrong.delete(digest)
    else wrong.add(digest)
    handle(node, { type: 'proved', digest, ok })
    node.readers.advance(digest)
  })
}
