/**
 * Links: at most one per peer, that both sides have agreed on. A connection alone is no link; the DHT makes
 * connections too. Who dials opens a control stream and says hello with the number of its attempt:
 *
 *     opener            acceptor
 *       hello 17  ──▶    no link, not dialing, or its own hello is not sent yet   ──▶  taken: linked on both sides
 *                        dialing too, its hello is sent, its ID is the smaller    ──▶  not taken: mine is coming
 *                        has a link whose peer counted to 17 or further           ──▶  reset: this attempt is void
 *                        has an older link                                        ──▶  that one is dead over there: replace it
 *
 * So of two simultaneous dials exactly one lives: the one with the smaller ID, unless it had not got through by then. An
 * answer carries the answerer's own count, so that its attempts still under way are known to be void. Counts start at the
 * time of day, so that those of a restarted process are higher. A taken attempt's answer also offers the link's two lanes,
 * which the opener opens; over one of them goes all that is said from then on. The stream is done with that answer, and
 * libp2p's connection goes when nothing else uses it. A link ends with either of its lanes, and they end with it.
 */
import type { TLSSocket } from 'node:tls'
import type { Connection, Stream } from '@libp2p/interface'
import { ShoalError } from '../../core/errors.ts'
import { limits } from '../../core/limits.ts'
import type { PeerId } from '../../core/ports.ts'
import type { PeerMessage } from '../../core/swarm/messages.ts'
import { decodeAnswer, decodeHello, encodeAnswer, encodeHello } from '../../core/wire/hello.ts'
import { createFrameDecoder } from '../../core/wire/frames.ts'
import { createPeerMessageDecoder, createPeerMessageEncoder } from '../../core/wire/peer-messages.ts'
import { abortConnection } from './abort.ts'
import { hostOf, targetsOf } from './addresses.ts'
import { closeStream, controlProtocol, createOutbox, heartbeat, wordOf, type Outbox } from './control.ts'
import type { Gate } from './gate.ts'
import { laneTo, type Lanes, type OnBytes, type OpenLane } from './lanes.ts'
import type { Node } from './node.ts'
import type { TransportEvent, TransportLogger } from './peer-transport.ts'
import { createPulse, type Pulse } from './pulse.ts'

export interface Link {
  readonly peer: PeerId
  readonly connection: Connection
  readonly outbox: Outbox
  readonly encode: (message: PeerMessage) => Uint8Array
  /** The other side's attempts up to this number are void. */
  readonly voidUpTo: number
  readonly pulse: Pulse
  /** Its lanes, once they are open; while one is not, the link ends after `limits.helloMs`. */
  readonly messages: Promise<TLSSocket>
  readonly chunks: Promise<TLSSocket>
}

interface Attempt {
  readonly number: number
  readonly stop: AbortController
  readonly settled: PromiseWithResolvers<void>
  helloSent: boolean
}

export interface Links {
  get(peer: PeerId): Link | undefined
  isCurrent(link: Link): boolean
  dial(peer: PeerId, addresses: readonly string[]): Promise<void>
  accept(stream: Stream, connection: Connection): Promise<void>
  send(peer: PeerId, message: PeerMessage): void
  /** Ends the link, once; `politely` lets what is queued leave first. */
  end(link: Link, manner: 'politely' | 'at once'): void
  /** Ends the link and everything else under way with this peer, at once. */
  cut(peer: PeerId): void
  /** Reports what a peer did to the protocol and ends its link. */
  violated(link: Link, error: ShoalError): void
  /** Gives a sign of life on every link and ends the dead ones; called every `limits.linkLookMs`. */
  look(): void
  /** For good: no link comes after it. */
  endAll(): Promise<void>
}

export function createLinks(components: {
  readonly node: Node
  readonly self: PeerId
  readonly gate: Pick<Gate, 'isBanned'>
  readonly lanes: Pick<Lanes, 'offer'>
  /** Who reads the link's lane for chunks. */
  readonly receiver: (link: Link) => OnBytes
  readonly emit: (event: TransportEvent) => void
  readonly log: TransportLogger
}): Links {
  const { node, self, gate, lanes, receiver, emit, log } = components
  const links = new Map<PeerId, Link>()
  const attempts = new Map<PeerId, Attempt>()
  /** Links that are being closed politely; libp2p would still hand out their connections. */
  const closing = new Map<PeerId, Promise<void>>()
  let attemptCount = Date.now()
  let stopped = false

  function isCurrent(link: Link): boolean {
    return links.get(link.peer) === link
  }

  // Dialing

  function dial(peer: PeerId, addresses: readonly string[]): Promise<void> {
    if (links.has(peer)) return Promise.resolve()
    const running = attempts.get(peer) ?? begin(peer, addresses)
    return running.settled.promise
  }

  function begin(peer: PeerId, addresses: readonly string[]): Attempt {
    attemptCount++
    const attempt = {
      number: attemptCount,
      stop: new AbortController(),
      settled: Promise.withResolvers<void>(),
      helloSent: false,
    }
    attempts.set(peer, attempt)
    const signal = AbortSignal.any([attempt.stop.signal, AbortSignal.timeout(limits.peerDialMs)])
    signal.addEventListener('abort', () => fail(peer, attempt, signal.reason))
    open(peer, addresses, attempt, signal).catch((error: unknown) => fail(peer, attempt, error))
    return attempt
  }

  async function open(
    peer: PeerId,
    addresses: readonly string[],
    attempt: Attempt,
    signal: AbortSignal,
  ): Promise<void> {
    const targets = peer === self || stopped || gate.isBanned(peer) ? [] : targetsOf(peer, addresses)
    if (targets.length === 0) throw new Error('it is refused, or has no address to dial')
    await closing.get(peer)
    const connection = await node.dial(targets, { signal })
    try {
      const stream = await connection.newStream(controlProtocol, { signal })
      await introduce(peer, attempt, connection, stream, signal)
    } finally {
      closeUnused(connection)
    }
  }

  async function introduce(
    peer: PeerId,
    attempt: Attempt,
    connection: Connection,
    stream: Stream,
    signal: AbortSignal,
  ): Promise<void> {
    signal.addEventListener('abort', () => stream.abort(new Error('the attempt is over')))
    // An attempt that another stream has settled must not say hello any more.
    signal.throwIfAborted()
    stream.send(encodeHello(attempt.number))
    attempt.helloSent = true
    const answer = decodeAnswer(await wordOf(stream))
    closeStream(stream)
    if (attempts.get(peer) !== attempt) return
    // Not taken: the other side's own stream is on its way and settles this attempt, or the time runs out.
    if (answer.lanes === undefined) await attempt.settled.promise
    else establish(peer, connection, answer.attempt, laneTo(hostOf(connection.remoteAddr), answer.lanes))
  }

  function fail(peer: PeerId, attempt: Attempt, cause: unknown): void {
    if (attempts.get(peer) !== attempt) return
    attempts.delete(peer)
    const reason = cause instanceof Error ? cause.message : String(cause)
    attempt.settled.reject(new ShoalError('PEER_UNREACHABLE', `${peer} was not reached: ${reason}`, { cause }))
    attempt.stop.abort()
  }

  // Accepting

  async function accept(stream: Stream, connection: Connection): Promise<void> {
    const peer = connection.remotePeer.toString()
    const late = setTimeout(() => stream.abort(new Error('no hello came')), limits.helloMs)
    try {
      judge(peer, decodeHello(await wordOf(stream)), stream, connection)
    } catch (error) {
      stream.abort(new Error('no hello'))
      const address = hostOf(connection.remoteAddr)
      if (error instanceof ShoalError && error.code === 'PEER_PROTOCOL')
        emit({ type: 'violation', peer, address, error })
    } finally {
      clearTimeout(late)
    }
  }

  function judge(peer: PeerId, number: number, stream: Stream, connection: Connection): void {
    const link = links.get(peer)
    if (stopped || gate.isBanned(peer) || (link !== undefined && number <= link.voidUpTo)) {
      stream.abort(new Error('this attempt is void'))
      return
    }
    const mine = attempts.get(peer)?.helloSent === true && self < peer
    const taken = mine ? undefined : lanes.offer()
    stream.send(encodeAnswer({ attempt: attemptCount, lanes: taken?.offer }))
    closeStream(stream)
    if (taken === undefined) return
    if (link !== undefined) end(link, 'at once')
    establish(peer, connection, number, taken.open)
  }

  // Links

  function establish(peer: PeerId, connection: Connection, voidUpTo: number, openLane: OpenLane): void {
    const [outbox, encode, pulse] = [createOutbox(), createPeerMessageEncoder(), createPulse()]
    const messages = openLane('messages', (bytes) => listen(bytes))
    const chunks = openLane('chunks', (bytes) => receive(bytes))
    const link: Link = { peer, connection, outbox, encode, voidUpTo, pulse, messages, chunks }
    const [listen, receive] = [listener(link), receiver(link)]
    links.set(peer, link)
    void watch(link, messages, (lane) => outbox.open(lane))
    void watch(link, chunks)
    const attempt = attempts.get(peer)
    attempts.delete(peer)
    emit({ type: 'connected', peer, address: hostOf(connection.remoteAddr) })
    attempt?.settled.resolve()
    attempt?.stop.abort()
  }

  async function watch(link: Link, opening: Promise<TLSSocket>, opened?: (lane: TLSSocket) => void): Promise<void> {
    try {
      const lane = await opening
      lane.on('close', () => end(link, 'at once'))
      if (lane.destroyed) end(link, 'at once')
      opened?.(lane)
    } catch (error) {
      if (!isCurrent(link)) return
      log.warn({ err: error, peer: link.peer }, 'a lane is missing: is the bulk listener reached?')
      end(link, 'at once')
    }
  }

  function listener(link: Link): OnBytes {
    const frames = createFrameDecoder(limits.controlFrameMaxBytes)
    const decode = createPeerMessageDecoder()
    return (bytes) => {
      try {
        for (const frame of frames.push(bytes)) {
          if (!isCurrent(link)) return
          link.pulse.heard()
          if (frame.length > 0) hear(link, decode(frame))
        }
      } catch (error) {
        if (!(error instanceof ShoalError)) throw error
        violated(link, error)
      }
    }
  }

  function hear(link: Link, message: PeerMessage): void {
    link.pulse.used()
    emit({ type: 'message', peer: link.peer, message })
  }

  function send(peer: PeerId, message: PeerMessage): void {
    const link = links.get(peer)
    if (link === undefined) return
    link.pulse.used()
    link.pulse.spoke()
    push(link, link.encode(message))
  }

  function push(link: Link, bytes: Uint8Array): void {
    if (!link.outbox.push(bytes)) end(link, 'at once')
  }

  function violated(link: Link, error: ShoalError): void {
    if (!isCurrent(link)) return
    emit({ type: 'violation', peer: link.peer, address: hostOf(link.connection.remoteAddr), error })
    end(link, 'at once')
  }

  function end(link: Link, manner: 'politely' | 'at once'): void {
    if (!isCurrent(link)) return
    links.delete(link.peer)
    if (manner === 'politely') closePolitely(link)
    else drop(link)
    emit({ type: 'disconnected', peer: link.peer })
  }

  function drop({ connection, messages, chunks }: Link): void {
    for (const opening of [messages, chunks]) {
      opening.then(
        (lane) => lane.destroy(),
        () => {},
      )
    }
    abortConnection(connection, 'the link has ended')
  }

  /** Says that no more will come; the other side then ends the link, so everything said before has been heard. */
  function closePolitely(link: Link): void {
    const closed = Promise.withResolvers<void>()
    closing.set(link.peer, closed.promise)
    const finish = (): void => {
      if (closing.get(link.peer) !== closed.promise) return
      closing.delete(link.peer)
      clearTimeout(late)
      drop(link)
      closed.resolve()
    }
    const late = setTimeout(finish, limits.linkGoodbyeMs)
    sayGoodbye(link, finish).catch(finish)
  }

  async function sayGoodbye({ messages, outbox }: Link, heard: () => void): Promise<void> {
    const lane = await messages
    outbox.flush()
    lane.once('close', heard).end()
  }

  function cut(peer: PeerId): void {
    const attempt = attempts.get(peer)
    if (attempt !== undefined) fail(peer, attempt, 'it was cut')
    const link = links.get(peer)
    if (link !== undefined) end(link, 'at once')
    for (const connection of node.getConnections()) {
      if (connection.remotePeer.toString() === peer) abortConnection(connection, 'the peer was cut')
    }
  }

  function look(): void {
    for (const link of links.values()) {
      const state = link.pulse.look()
      if (state === 'dead') end(link, 'at once')
      if (state === 'beat') push(link, heartbeat)
    }
  }

  async function endAll(): Promise<void> {
    stopped = true
    for (const [peer, attempt] of attempts) fail(peer, attempt, 'the agent stops')
    for (const link of links.values()) end(link, 'politely')
    await Promise.all(closing.values())
  }

  function isLinked(connection: Connection): boolean {
    return links.get(connection.remotePeer.toString())?.connection === connection
  }

  /** A connection that an attempt of ours made, or borrowed, and that has no stream left but those libp2p opens itself. */
  function closeUnused(connection: Connection): void {
    const inUse = connection.streams.some((stream) => stream.protocol.startsWith('/shoal/') && stream.status === 'open')
    if (!inUse && !isLinked(connection))
      connection.close().catch((error: Error) => abortConnection(connection, error.message))
  }

  return { get: (peer) => links.get(peer), isCurrent, dial, accept, send, end, cut, violated, look, endAll }
}
