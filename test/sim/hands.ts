/** Carries out a swarm's commands, as agent/swarm does, on the simulated network, disk and origin. */
import { limits } from '../../core/limits.ts'
import type { Digest } from '../../core/oci/digest.ts'
import type { PeerId } from '../../core/ports.ts'
import { chunkCountOf, chunkLengthOf, chunkSizeOf } from '../../core/swarm/chunks.ts'
import { entryPayload, type Entry } from '../../core/swarm/entry.ts'
import type { SwarmCommand } from '../../core/swarm/events.ts'
import { stopStream } from './links.ts'
import { spoil, type Blob, type Piece } from './matter.ts'
import { chunkKey, handle, later, type SimNode } from './node.ts'

type CommandOf<Type extends SwarmCommand['type']> = Extract<SwarmCommand, { type: Type }>

const hashBytesPerMs = 1_500_000
const diskMs = 1

export function obey(node: SimNode, command: SwarmCommand): void {
  const { life, world } = node
  if (life === undefined) return
  world.trace(`${node.id} > ${describe(command)}`)
  switch (command.type) {
    case 'dial':
      return world.network.dial(node.id, command.peer, () =>
        later(node, 0, () => handle(node, { type: 'dial-failed', peer: command.peer })),
      )
    case 'release':
      return world.network.hangUp(node.id, command.peer)
    case 'send':
      return world.network.send(node.id, command.peer, command.message)
    case 'upload':
      return upload(node, command)
    case 'stop-upload':
      return stopUpload(node, uploadKey(command.peer, command.id))
    case 'expect':
      return life.assembly.begin(
        chunkKey(command.digest, command.index),
        uploadKey(command.peer, command.id),
        command.offset,
      )
    case 'ignore':
      return life.assembly.end(uploadKey(command.peer, command.id))
    case 'fetch-origin':
      return fetchOrigin(node, command)
    case 'stop-fetch':
      return stopFetch(node, command.fetch)
    case 'hash':
      return hash(node, blobOf(node, command.digest), command.index)
    case 'keep':
      return keep(node, blobOf(node, command.digest), command.index, command.entry)
    case 'drop':
      return life.assembly.drop(chunkKey(command.digest, command.index))
    case 'prove':
      return prove(node, blobOf(node, command.digest))
    case 'discard':
      return node.disk.discard(command.digest)
    case 'announce':
      return life.client.announce(command.digest, command.now)
    case 'ban':
      life.banned.add(command.peer)
      node.counts.bans.push(command.peer)
      return world.network.hangUp(node.id, command.peer)
    case 'fail':
      node.counts.fails++
      return later(node, 0, () => node.readers.fail(command.digest))
  }
}

function describe(command: SwarmCommand): string {
  const of = 'index' in command ? ` ${command.index}` : ''
  const to = 'peer' in command ? ` ${command.peer}` : ''
  const what = command.type === 'send' ? ` ${command.message.type}` : ''
  return `${command.type}${what}${to}${of}`
}

function uploadKey(peer: PeerId, id: number): string {
  return `${peer} ${id}`
}

function blobOf(node: SimNode, digest: Digest): Blob {
  const blob = node.world.blobs.get(digest)
  if (blob === undefined) throw new Error(`no such blob: ${digest}`)
  return blob
}

function upload(node: SimNode, command: CommandOf<'upload'>): void {
  const { digest, id, index, offset, peer } = command
  const { network, nodes } = node.world
  const receiver = nodes.get(peer)
  const chunk = node.disk.of(digest)?.chunks.get(index)
  if (chunk === undefined || receiver === undefined)
    return later(node, 0, () => handle(node, { type: 'uploaded', peer, id, ok: false }))
  const blob = blobOf(node, digest)
  const entry = entryFor(node, blob, index, chunk)
  let at = offset
  const onFrame = (bytes: number): void => {
    if (at === offset) handle(receiver, { type: 'chunk-started', peer: node.id, id, offset, entry })
    takeFrame(receiver, node.id, id, sentPiece(node, blob, index, at, bytes))
    at += bytes
  }
  const onSent = (): void =>
    later(node, 0, (life) => {
      if (life.uploads.delete(uploadKey(peer, id))) handle(node, { type: 'uploaded', peer, id, ok: true })
    })
  const stream = network.stream(node.id, peer, chunkLengthOf(blob.size, index) - offset, onFrame, onSent)
  if (stream !== undefined) node.life?.uploads.set(uploadKey(peer, id), stream)
}

function stopUpload(node: SimNode, key: string): void {
  const stream = node.life?.uploads.get(key)
  if (stream === undefined) return
  node.life?.uploads.delete(key)
  stopStream(node.world.engine, stream)
}

function sentPiece(node: SimNode, blob: Blob, index: number, at: number, bytes: number): Piece {
  const piece = blob.piece(index, at, at + bytes)
  const isSpoiled = node.behaviour === 'spoils' || (node.behaviour === 'forges' && at === 0)
  return isSpoiled ? spoil(piece, node.id) : piece
}

/** The entry kept with a chunk; that of a proved blob is this node's own, signed when first needed. */
function entryFor(node: SimNode, blob: Blob, index: number, chunk: { entry: Entry; pieces: readonly Piece[] }): Entry {
  if (node.behaviour === 'forges') return forge(node, blob, index)
  const isOwn = chunk.entry.witness.kind === 'proved'
  if (node.disk.of(blob.digest)?.complete === true && !isOwn)
    chunk.entry = sign(node, blob, index, blob.hash(index, chunk.pieces))
  return chunk.entry
}

function forge(node: SimNode, blob: Blob, index: number): Entry {
  const length = chunkLengthOf(blob.size, index)
  const pieces: Piece[] = []
  for (let at = 0; at < length; at += limits.frameSizeBytes)
    pieces.push(sentPiece(node, blob, index, at, Math.min(limits.frameSizeBytes, length - at)))
  return sign(node, blob, index, blob.hash(index, pieces))
}

function sign(node: SimNode, blob: Blob, index: number, hashed: string): Entry {
  const witness = { kind: 'proved' } as const
  const payload = entryPayload(blob.digest, blob.size, { index, hash: hashed, witness })
  return { index, hash: hashed, witness, signer: node.id, signature: node.notary.sign(payload) }
}

function takeFrame(node: SimNode, peer: PeerId, id: number, piece: Piece): void {
  if (node.life === undefined) return
  node.counts.peerBytes += piece.length
  node.life.assembly.append(uploadKey(peer, id), piece)
  handle(node, { type: 'frame', peer, id, bytes: piece.length })
}

function fetchOrigin(node: SimNode, command: CommandOf<'fetch-origin'>): void {
  const { digest, end, fetch, offset, start } = command
  const { life, world } = node
  const blob = blobOf(node, digest)
  const chunkSize = chunkSizeOf(blob.size)
  const source = (index: number): string => `origin ${fetch} ${index}`
  let current = -1
  const giveUp = world.origin.get(
    {
      node: node.id,
      link: node.link,
      blob,
      from: start * chunkSize + offset,
      to: Math.min(end * chunkSize, blob.size),
    },
    {
      onFrame(index, from, to) {
        if (life === undefined || life !== node.life || node.behaviour === 'freezes') return
        if (index !== current) life.assembly.begin(chunkKey(digest, index), source(index), from)
        current = index
        life.assembly.append(source(index), blob.piece(index, from, to))
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
    const pieces = life.assembly.whole(chunkKey(blob.digest, index), length)
    if (pieces === undefined) return
    handle(node, { type: 'hashed', digest: blob.digest, index, hash: blob.hash(index, pieces) })
  })
}

function keep(node: SimNode, blob: Blob, index: number, entry: Entry): void {
  const { digest, size } = blob
  const { diskRefusesOneIn } = node.options
  later(node, diskMs, (life) => {
    const pieces = life.assembly.whole(chunkKey(digest, index), chunkLengthOf(size, index)) ?? []
    const ok = diskRefusesOneIn === 0 || node.random.below(diskRefusesOneIn) > 0
    life.assembly.drop(chunkKey(digest, index))
    if (ok) node.disk.keep(blob, index, pieces, entry)
    else life.unkept.set(chunkKey(digest, index), pieces)
    handle(node, { type: 'kept', digest, index, ok })
    node.readers.advance(digest)
  })
}

function prove(node: SimNode, blob: Blob): void {
  const { digest, size } = blob
  later(node, size / hashBytesPerMs, () => {
    const kept = node.disk.of(digest)
    if (kept === undefined) return
    let ok = true
    for (let index = 0; index < chunkCountOf(size); index++)
      if (!blob.isTrue(index, kept.chunks.get(index)?.pieces ?? [])) ok = false
    kept.complete = ok
    handle(node, { type: 'proved', digest, ok })
    node.readers.advance(digest)
  })
}
