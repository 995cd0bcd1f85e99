/** Connections between nodes: messages in order, chunk streams over the links, and calls to directories. */
import type { PeerId, Random } from '../../core/ports.ts'
import type { PeerMessage } from '../../core/swarm/messages.ts'
import type { Engine } from './engine.ts'
import { startStream, stopStream, type Link, type Stream } from './links.ts'

/** A node as the network sees it. */
export interface Host {
  readonly id: PeerId
  readonly link: Link
  /** One-way milliseconds between it and the core of the network. */
  readonly delayMs: number
  isUp(): boolean
  takesPeer(peer: PeerId): boolean
  onConnected(peer: PeerId): void
  onDisconnected(peer: PeerId): void
  onMessage(peer: PeerId, message: PeerMessage): void
}

export interface NetworkOptions {
  /** Random extra delay of each message, up to so many milliseconds. */
  readonly jitterMs: number
  /** One message in so many is lost and sent again after `retransmitMs`; 0: none. */
  readonly lossOneIn: number
  readonly frameBytes: number
}

export interface Network {
  attach(host: Host): void
  /** `onFailed` unless the two get connected. */
  dial(from: PeerId, to: PeerId, onFailed: () => void): void
  hangUp(from: PeerId, to: PeerId): void
  isConnected(from: PeerId, to: PeerId): boolean
  /** Random one-way travel time. */
  delayMs(from: PeerId, to: PeerId): number
  send(from: PeerId, to: PeerId, message: PeerMessage): void
  /** Undefined when the two are not connected. */
  stream(
    from: PeerId,
    to: PeerId,
    bytes: number,
    onFrame: (bytes: number) => void,
    onSent: () => void,
  ): Stream | undefined
  /** The node's connections end; its peers notice after `noticeMs`. */
  crash(id: PeerId, noticeMs: number): void
  /** Breaks one connection. */
  breakOff(one: PeerId, other: PeerId): void
  links(): readonly (readonly [PeerId, PeerId])[]
}

interface Connection {
  readonly ends: readonly [Host, Host]
  open: boolean
  readonly streams: Set<Stream>
  readonly lastArrivalMs: Map<PeerId, number>
}

const retransmitMs = 200
const handshakeMs = 8
const refusedMs = 1000

export function createNetwork(engine: Engine, random: Random, options: NetworkOptions): Network {
  const hosts = new Map<PeerId, Host>()
  const connections = new Map<string, Connection>()
  const unnoticed = new Set<string>()
  const { clock } = engine

  const hostOf = (id: PeerId): Host => {
    const host = hosts.get(id)
    if (host === undefined) throw new Error(`no such node: ${id}`)
    return host
  }
  const connectionOf = (one: PeerId, other: PeerId): Connection | undefined => connections.get(keyOf(one, other))

  const delayMs = (from: PeerId, to: PeerId): number => {
    const lost = options.lossOneIn > 0 && random.below(options.lossOneIn) === 0
    const jitterMs = options.jitterMs === 0 ? 0 : random.below(1000 * options.jitterMs) / 1000
    return hostOf(from).delayMs + hostOf(to).delayMs + jitterMs + (lost ? retransmitMs : 0)
  }

  const close = (connection: Connection, noticeMs: (host: Host) => number | undefined): void => {
    if (!connection.open) return
    const [one, other] = connection.ends
    connection.open = false
    connections.delete(keyOf(one.id, other.id))
    for (const stream of connection.streams) {
      stream.isCut = true
      stopStream(engine, stream)
    }
    for (const [host, peer] of [
      [one, other],
      [other, one],
    ] as const) {
      const afterMs = noticeMs(host)
      if (afterMs === undefined) continue
      unnoticed.add(`${host.id} ${peer.id}`)
      engine.after(afterMs, () => notice(host, peer.id))
    }
  }

  /** Once: a peer that is back before its silence was noticed makes the old connection's end known. */
  const notice = (host: Host, peer: PeerId): void => {
    if (unnoticed.delete(`${host.id} ${peer}`)) host.onDisconnected(peer)
  }

  const connect = (from: Host, to: Host, onFailed: () => void): void => {
    if (connectionOf(from.id, to.id) !== undefined) return from.onConnected(to.id)
    if (!from.isUp()) return
    if (!to.isUp() || !to.takesPeer(from.id)) return engine.after(refusedMs, onFailed)
    connections.set(keyOf(from.id, to.id), {
      ends: [from, to],
      open: true,
      streams: new Set(),
      lastArrivalMs: new Map(),
    })
    notice(to, from.id)
    notice(from, to.id)
    to.onConnected(from.id)
    from.onConnected(to.id)
  }

  const send = (from: PeerId, to: PeerId, message: PeerMessage): void => {
    const connection = connectionOf(from, to)
    if (connection === undefined) return
    const arrivalMs = Math.max(clock.now() + delayMs(from, to), connection.lastArrivalMs.get(from) ?? 0)
    connection.lastArrivalMs.set(from, arrivalMs)
    engine.after(arrivalMs - clock.now(), () => {
      if (connection.open) hostOf(to).onMessage(from, message)
    })
  }

  return {
    attach: (host) => void hosts.set(host.id, host),
    dial(from, to, onFailed) {
      engine.after(2 * delayMs(from, to) + handshakeMs, () => connect(hostOf(from), hostOf(to), onFailed))
    },
    hangUp(from, to) {
      const connection = connectionOf(from, to)
      if (connection !== undefined) close(connection, (host) => (host.id === from ? 0 : delayMs(from, to)))
    },
    isConnected: (from, to) => connectionOf(from, to) !== undefined,
    delayMs,
    send,
    stream(from, to, bytes, onFrame, onSent) {
      const connection = connectionOf(from, to)
      if (connection === undefined) return undefined
      const stream: Stream = {
        from: hostOf(from).link,
        to: hostOf(to).link,
        delayMs: () => delayMs(from, to),
        frameBytes: options.frameBytes,
        left: bytes,
        inFlight: 0,
        stopped: false,
        isCut: false,
        lastArrivalMs: 0,
        onFrame,
        onSent,
      }
      connection.streams.add(stream)
      startStream(engine, stream)
      return stream
    },
    crash(id, noticeMs) {
      for (const connection of connections.values())
        if (connection.ends.some((host) => host.id === id))
          close(connection, (host) => (host.id === id ? undefined : noticeMs))
    },
    breakOff(one, other) {
      const connection = connectionOf(one, other)
      if (connection !== undefined) close(connection, () => delayMs(one, other))
    },
    links: () => [...connections.values()].map(({ ends: [one, other] }) => [one.id, other.id]),
  }
}

function keyOf(one: PeerId, other: PeerId): string {
  return one < other ? `${one} ${other}` : `${other} ${one}`
}
