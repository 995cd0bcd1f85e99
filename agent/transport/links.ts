/**
 * Links: at most one control stream per peer that both sides have agreed on. A connection alone is no link; the DHT makes
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
 * time of day, so that those of a restarted process are higher. A taken attempt's answer also offers the link's lane, which
 * the opener opens; a link ends with its lane and its lane with it.
 */
import type { TLSSocket } from 'node:tls'
import type { Connection, Stream } from '@libp2p/interface'
import { ShoalError } from '../../core/errors.ts'
import { limits } from '../../core/limits.ts'
import type { PeerId } from '../../core/ports.ts'
import type { PeerMessage } from '../../core/swarm/messages.ts'
import { decodeAnswer, decodeHello, encodeAnswer, encodeHello } from '../../core/wire/hello.ts'
import { createPeerMessageDecoder, createPeerMessageEncoder } from '../../core/wire/peer-messages.ts'
import { abortConnection } from './abort.ts'
import { hostOf, targetsOf } from './addresses.ts'
import { controlProtocol, createOutbox, framesOf, heartbeat, type Frames, type Outbox } from './control.ts'
import type { Gate } from './gate.ts'
import { laneTo, type Lanes, type OnBytes, type OpenLane } from './lanes.ts'
import type { Node } from './node.ts'
import type { TransportEvent, TransportLogger } from './peer-transport.ts'
import { createPulse, type Pulse } from './pulse.ts'

export interface Link {
  readonly peer: PeerId
  readonly connection: Connection
  readonly stream: Stream
  readonly outbox: Outbox
  readonly encode: (message: PeerMessage) => Uint8Array
  /** The other side's attempts up to this number are void. */
  readonly voidUpTo: number
  readonly pulse: Pulse
  /** For chunks, once it is open; while it is not, the link ends after `limits.helloMs`. */
  readonly lane: Promise<TLSSocket>
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
  /** Who reads the link's lane. */
  readonly receiver: (link: Link) => OnBytes
  readonly emit: (event: TransportEvent) => void
  readonly log: TransportLogger
}): Links {
  const { node, self, gate, lanes, receiver, emit, log } = components
  const links = new Map<PeerId, Link>()
  const attempts = new Map<PeerId, Attempt>()
  /** Connections that are being closed politely; libp2p would still hand them out. */
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
    signal.addEventListener('abort', () => {
      if (links.get(peer)?.stream !== stream) stream.abort(new Error('the attempt is over'))
    })
    // An attempt that another stream has settled must not say hello any more.
    signal.throwIfAborted()
    const frames = framesOf(stream)
    stream.send(encodeHello(attempt.number))
    attempt.helloSent = true
    const answer = decodeAnswer(await nextFrame(frames))
    if (attempts.get(peer) !== attempt) return
    // Not taken: the other side's own stream is on its way and settles this attempt, or the time runs out.
    if (answer.lane === undefined) await attempt.settled.promise
    else establish(peer, connection, stream, frames, answer.attempt, laneTo(hostOf(connection.remoteAddr), answer.lane))
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
      const frames = framesOf(stream)
      const number = decodeHello(await nextFrame(frames))
      judge(peer, number, stream, connection, frames)
    } catch (error) {
      stream.abort(new Error('no hello'))
      const address = hostOf(connection.remoteAddr)
      if (error instanceof ShoalError && error.code === 'PEER_PROTOCOL')
        emit({ type: 'violation', peer, address, error })
    } finally {
      clearTimeout(late)
    }
  }

  function judge(peer: PeerId, number: number, stream: Stream, connection: Connection, frames: Frames): void {
    const link = links.get(peer)
    if (stopped || gate.isBanned(peer) || (link !== undefined && number <= link.voidUpTo)) {
      stream.abort(new Error('this attempt is void'))
      return
    }
    const mine = attempts.get(peer)?.helloSent === true && self < peer
    if (mine) {
      stream.send(encodeAnswer({ attempt: attemptCount, lane: undefined }))
      return
    }
    const { offer, open: openLane } = lanes.offer()
    stream.send(encodeAnswer({ attempt: attemptCount, lane: offer }))
    if (link !== undefined) end(link, 'at once')
    establish(peer, connection, stream, frames, number, openLane)
  }

  // Links

  function establish(
    peer: PeerId,
    connection: Connection,
    stream: Stream,
    frames: Frames,
    voidUpTo: number,
    openLane: OpenLane,
  ): void {
    const outbox = createOutbox(stream)
    const lane = openLane((bytes) => receive(bytes))
    const encode = createPeerMessageEncoder()
    const link: Link = { peer, connection, stream, outbox, encode, voidUpTo, pulse: createPulse(), lane }
    const receive = receiver(link)
    links.set(peer, link)
    void watchLane(link)
    const attempt = attempts.get(peer)
    attempts.delete(peer)
    emit({ type: 'connected', peer, address: hostOf(connection.remoteAddr) })
    attempt?.settled.resolve()
    attempt?.stop.abort()
    void listen(link, frames)
  }

  async function watchLane(link: Link): Promise<void> {
    const { connection, peer } = link
    try {
      const lane = await link.lane
      connection.addEventListener('close', () => lane.destroy())
      lane.on('close', () => end(link, 'at once'))
      if (connection.status !== 'open' || lane.destroyed) lane.destroy()
    } catch (error) {
      if (!isCurrent(link)) return
      log.warn({ err: error, peer }, 'no lane for chunks: is the bulk listener reached?')
      end(link, 'at once')
    }
  }

  async function listen(link: Link, frames: Frames): Promise<void> {
    try {
      const decode = createPeerMessageDecoder()
      for await (const frame of frames) {
        link.pulse.heard()
        if (frame.length === 0) continue
        const message = decode(frame)
        if (!isCurrent(link)) break
        link.pulse.used()
        emit({ type: 'message', peer: link.peer, message })
      }
    } catch (error) {
      if (error instanceof ShoalError) violated(link, error)
    }
    end(link, 'at once')
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
    else abortConnection(link.connection, 'the link has ended')
    emit({ type: 'disconnected', peer: link.peer })
  }

  /** Says that no more will come; the other side then ends the connection, so everything said before has been heard. */
  function closePolitely({ peer, outbox, stream, connection }: Link): void {
    const closed = Promise.withResolvers<void>()
    const finish = (): void => abortConnection(connection, 'the link has ended')
    const late = setTimeout(finish, limits.linkGoodbyeMs)
    connection.addEventListener('close', () => {
      clearTimeout(late)
      closing.delete(peer)
      closed.resolve()
    })
    closing.set(peer, closed.promise)
    stream.addEventListener('close', finish)
    outbox.flush()
    stream.close().catch(finish)
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

async function nextFrame(frames: Frames): Promise<Uint8Array> {
  const next = await frames.next()
  if (next.done === true) throw new Error('the stream ended before a word')
  return next.value
}
