/** Connections between nodes: packets of messages in order, and chunk streams over the links. */
import { limits } from '../../core/limits.ts'
import type { PeerId, Random } from '../../core/ports.ts'
import type { PeerMessage } from '../../core/swarm/messages.ts'
import { createHandles, type Handles } from '../../core/wire/handles.ts'
import { costs, take, type Cpu } from './cpu.ts'
import type { Engine } from './engine.ts'
import { startStream, stopStream, windowFor, type Carrier, type Link, type Stream, type StreamHooks } from './links.ts'
import { messageBytes } from './wire-size.ts'

/** A node as the network sees it. */
export interface Host {
  readonly id: PeerId
  readonly link: Link
  readonly cpu: Cpu
  /** One-way milliseconds between it and the core of the network. */
  readonly delayMs: number
  isUp(): boolean
  takesPeer(peer: PeerId): boolean
  onConnected(peer: PeerId): void
  onDisconnected(peer: PeerId): void
  /** All that came in one packet. */
  onMessages(peer: PeerId, messages: readonly PeerMessage[]): void
}

export interface NetworkOptions {
  /** Random extra delay of each packet, up to so many milliseconds. */
  readonly jitterMs: number
  /** One packet in so many is lost and sent again after `retransmitMs`; 0: none. */
  readonly lossOneIn: number
  readonly frameBytes: number
}

/** What a node has of the network. */
export interface Port {
  send(to: PeerId, message: PeerMessage): void
  /** Undefined when the two are not connected. */
  stream(to: PeerId, bytes: number, hooks: StreamHooks): Stream | undefined
}

export interface Network {
  attach(host: Host): Port
  /** `onFailed` unless the two get connected. */
  dial(from: PeerId, to: PeerId, onFailed: () => void): void
  hangUp(from: PeerId, to: PeerId): void
  isConnected(from: PeerId, to: PeerId): boolean
  /** Random one-way travel time. */
  delayMs(from: PeerId, to: PeerId): number
  /** The node's connections end; its peers notice after `noticeMs`. */
  crash(id: PeerId, noticeMs: number): void
  /** Breaks one connection. */
  breakOff(one: PeerId, other: PeerId): void
  /** `side` and the others no longer reach each other; returns how it heals. */
  part(side: ReadonlySet<PeerId>, kind: Cut['kind'], noticeMs: number): () => void
  /** May `from` call or dial `to`? */
  reaches(from: PeerId, to: PeerId): boolean
  /** Does `from` believe in a connection to `to`? */
  sees(from: PeerId, to: PeerId): boolean
  links(): readonly (readonly [PeerId, PeerId])[]
  /** Bytes of all messages so far. */
  controlBytes(): number
}

/**
 * `two-way`: nothing passes, and connections across go silent. `one-way`: as with a firewall, `side` can open nothing to the
 * others, and what is open stays; TCP knows no other one-way.
 */
export interface Cut {
  readonly side: ReadonlySet<PeerId>
  readonly kind: 'one-way' | 'two-way'
}

interface Socket {
  readonly host: Host
  /** Open connections. */
  readonly ends: Map<PeerId, End>
  /** Peers whose connection has ended without this node having noticed yet. */
  readonly unnoticed: Set<PeerId>
  /** Inbound handshakes under way. */
  shaking: number
}

/** One end of a connection: what leaves here. */
interface End extends Carrier {
  readonly from: Socket
  readonly sender: PeerId
  readonly receiver: Host
  /** One-way, without jitter or loss. */
  readonly leastTripMs: number
  lastReadMs: number
  /** What the sender calls blobs here. */
  readonly handles: Handles
  /** What was written in this turn of the event loop leaves in one packet. */
  packet: PeerMessage[]
  packetAtMs: number
}

const retransmitMs = 200
const refusedMs = 1000
/** Noise has three messages; other work is done between them. */
const handshakeParts = 3

export function createNetwork(engine: Engine, random: Random, options: NetworkOptions): Network {
  const sockets = new Map<PeerId, Socket>()
  const cuts = new Set<Cut>()
  const { clock } = engine
  let controlBytes = 0

  const socketOf = (id: PeerId): Socket => {
    const socket = sockets.get(id)
    if (socket === undefined) throw new Error(`no such node: ${id}`)
    return socket
  }
  const endOf = (from: PeerId, to: PeerId): End | undefined => sockets.get(from)?.ends.get(to)

  const tripMs = (leastMs: number): number => {
    const lost = options.lossOneIn > 0 && random.below(options.lossOneIn) === 0
    const jitterMs = options.jitterMs === 0 ? 0 : random.below(1000 * options.jitterMs) / 1000
    return leastMs + jitterMs + (lost ? retransmitMs : 0)
  }
  const delayMs = (from: PeerId, to: PeerId): number => tripMs(leastTripMs(socketOf(from), socketOf(to)))

  const reaches = (from: PeerId, to: PeerId): boolean => {
    for (const cut of cuts) if (isCut(cut, from, to)) return false
    return true
  }

  /** Both ends close; each host hears of it after its `noticeMs`, where that is defined. */
  const close = (one: Host, other: Host, noticeMs: (host: Host) => number | undefined): void => {
    for (const [from, to] of [
      [one, other],
      [other, one],
    ] as const) {
      const end = endOf(from.id, to.id)
      if (end === undefined) continue
      closeEnd(end)
      const afterMs = noticeMs(from)
      if (afterMs === undefined) continue
      end.from.unnoticed.add(to.id)
      engine.after(afterMs, () => notice(end.from, to.id))
    }
  }

  const connect = (from: Socket, to: Socket, onFailed: () => void): void => {
    if (from.ends.has(to.host.id)) return from.host.onConnected(to.host.id)
    if (!from.host.isUp()) return
    if (!isTaken(from, to)) return engine.after(refusedMs, onFailed)
    open(from, to)
    open(to, from)
    to.host.onConnected(from.host.id)
    from.host.onConnected(to.host.id)
  }

  /** Both ends work at the same time, in parts. */
  const shakeHands = (from: Socket, to: Socket, onFailed: () => void): void => {
    if (!reaches(from.host.id, to.host.id)) return engine.after(limits.peerDialMs, onFailed)
    if (!isTaken(from, to) || from.ends.has(to.host.id)) return connect(from, to, onFailed)
    if (to.shaking >= limits.peerHandshakesMax) return onFailed()
    to.shaking++
    let working = 2
    const part = (host: Host, left: number): void => {
      if (left > 0) host.cpu.work(costs.handshakeMs / handshakeParts, () => part(host, left - 1))
      else if (--working === 0) end()
    }
    const end = (): void => {
      to.shaking--
      connect(from, to, onFailed)
    }
    part(from.host, handshakeParts)
    part(to.host, handshakeParts)
  }

  const send = (from: Socket, to: PeerId, message: PeerMessage): void => {
    const end = from.ends.get(to)
    if (end === undefined) return
    controlBytes += messageBytes(message, end.handles)
    const nowMs = clock.now()
    if (end.packetAtMs === nowMs) return void end.packet.push(message)
    const packet = [message]
    end.packet = packet
    end.packetAtMs = nowMs
    // It waits for the receiver's core before its trip and not after it: the same sum, by one event in place of two.
    const { receiver, sender } = end
    const readMs = take(receiver.cpu, nowMs, costs.controlMs) + tripMs(end.leastTripMs)
    end.lastReadMs = Math.max(readMs, end.lastReadMs)
    engine.after(end.lastReadMs - nowMs, () => {
      if (end.open) receiver.onMessages(sender, packet)
    })
  }

  const stream = (from: Socket, to: PeerId, bytes: number, hooks: StreamHooks): Stream | undefined => {
    const end = from.ends.get(to)
    if (end === undefined) return undefined
    return startStream(engine, {
      from: from.host.link,
      to: end.receiver.link,
      over: end,
      bytes,
      frameBytes: options.frameBytes,
      windowBytes: windowFor(options.frameBytes),
      delayMs: () => tripMs(end.leastTripMs),
      hooks,
    })
  }

  return {
    attach(host) {
      const socket = { host, ends: new Map<PeerId, End>(), unnoticed: new Set<PeerId>(), shaking: 0 }
      sockets.set(host.id, socket)
      return {
        send: (to, message) => send(socket, to, message),
        stream: (to, bytes, hooks) => stream(socket, to, bytes, hooks),
      }
    },
    dial: (from, to, onFailed) =>
      engine.after(2 * delayMs(from, to), () => shakeHands(socketOf(from), socketOf(to), onFailed)),
    hangUp(from, to) {
      close(socketOf(from).host, socketOf(to).host, (host) => (host.id === from ? 0 : delayMs(from, to)))
      // Who lets go of a connection that has ended unnoticed has done with it too.
      engine.after(0, () => notice(socketOf(from), to))
    },
    isConnected: (from, to) => endOf(from, to) !== undefined,
    delayMs,
    crash(id, noticeMs) {
      const { ends, host } = socketOf(id)
      for (const { receiver } of ends.values()) close(host, receiver, (one) => (one === host ? undefined : noticeMs))
      host.cpu.reset()
    },
    part(side, kind, noticeMs) {
      const cut = { side, kind }
      cuts.add(cut)
      for (const id of side) {
        const { ends, host } = socketOf(id)
        for (const { receiver } of ends.values())
          if (kind === 'two-way' && !side.has(receiver.id)) close(host, receiver, () => noticeMs)
      }
      return () => void cuts.delete(cut)
    },
    reaches,
    sees: (from, to) => endOf(from, to) !== undefined || sockets.get(from)?.unnoticed.has(to) === true,
    breakOff: (one, other) => close(socketOf(one).host, socketOf(other).host, () => delayMs(one, other)),
    controlBytes: () => controlBytes,
    links: () =>
      [...sockets.values()].flatMap(({ ends, host }) =>
        [...ends.keys()].filter((peer) => host.id < peer).map((peer) => [host.id, peer] as const),
      ),
  }
}

function isCut({ kind, side }: Cut, from: PeerId, to: PeerId): boolean {
  if (side.has(from) === side.has(to)) return false
  return kind === 'two-way' || side.has(from)
}

function open(from: Socket, to: Socket): void {
  from.ends.set(to.host.id, {
    from,
    sender: from.host.id,
    receiver: to.host,
    leastTripMs: leastTripMs(from, to),
    open: true,
    streams: new Set(),
    lastReadMs: 0,
    handles: createHandles(),
    packet: [],
    packetAtMs: -1,
  })
  notice(from, to.host.id)
}

function leastTripMs(from: Socket, to: Socket): number {
  return from.host.delayMs + to.host.delayMs
}

function closeEnd(end: End): void {
  end.open = false
  end.from.ends.delete(end.receiver.id)
  for (const stream of end.streams) stopStream(stream)
}

/** Once: a peer that is back before its silence was noticed makes the old connection's end known. */
function notice({ host, unnoticed }: Socket, peer: PeerId): void {
  if (unnoticed.delete(peer)) host.onDisconnected(peer)
}

function isTaken(from: Socket, to: Socket): boolean {
  return to.host.isUp() && to.host.takesPeer(from.host.id)
}
