/**
 * Bandwidth. Every node, and the origin, has an uplink that sends one frame at a time, its streams in turn, and a downlink
 * that takes what arrives in order. A frame flows through both at once, as its packets would:
 *
 *     streams ─▶ [ uplink, rate u ] ─── delay ──▶ [ downlink, rate d ] ─▶ receiver
 *        ▲                                                                  │
 *        └─────────────────── a window of bytes per stream ◀────────────────┘
 */
import type { Engine } from './engine.ts'

/** Bytes a millisecond, and how long a byte travels. */
export interface LinkOptions {
  readonly upBytesPerMs: number
  readonly downBytesPerMs: number
}

export interface Link {
  readonly upBytesPerMs: number
  readonly downBytesPerMs: number
  readonly streams: Sending[]
  turn: number
  sending: boolean
  downFreeAtMs: number
  sentBytes: number
}

/** One transfer on its way: a chunk of a peer, or an answer of the origin. */
export interface Stream {
  /** Nothing more is sent; what has left arrives all the same. */
  stop(): void
}

interface Sending extends Stream {
  /** Bytes are left, and the window is open. */
  maySend(): boolean
  /** Called when the uplink is free. */
  sendFrame(): void
}

export interface StreamOptions {
  readonly from: Link
  readonly to: Link
  readonly bytes: number
  readonly frameBytes: number
  /** What may be on its way. */
  readonly windowBytes: number
  readonly delayMs: () => number
  /** What goes before the first byte is there. */
  readonly onHead: () => void
  /** `bytes` more are there. */
  readonly onFrame: (bytes: number) => void
  /** The last byte has left the sender. */
  readonly onSent: () => void
}

/** What TCP lets a stream have on its way. */
export const windowBytes = 256 * 1024

/** The same for all that share a link, as its queue treats them alike; a coarse grain needs room for two frames. */
export function windowFor(frameBytes: number): number {
  return Math.max(windowBytes, 2 * frameBytes)
}

export function createLink({ downBytesPerMs, upBytesPerMs }: LinkOptions): Link {
  return { upBytesPerMs, downBytesPerMs, streams: [], turn: 0, sending: false, downFreeAtMs: 0, sentBytes: 0 }
}

export function startStream(engine: Engine, options: StreamOptions): Stream {
  const stream = createStream(engine, options)
  options.from.streams.push(stream)
  pump(options.from)
  return stream
}

function createStream(engine: Engine, options: StreamOptions): Sending {
  const { bytes, frameBytes, from, to, windowBytes: windowMax } = options
  /** Sizes of the frames on their way, which arrive in order. */
  const flying: number[] = []
  let left = bytes
  let inFlight = 0
  let frame = 0
  let lastArrivalMs = 0
  let isStopped = false

  const sendHead = (): void => {
    lastArrivalMs = engine.clock.now() + options.delayMs()
    engine.after(lastArrivalMs - engine.clock.now(), options.onHead)
  }
  const maySend = (): boolean => left > 0 && inFlight < windowMax
  const sendFrame = (): void => {
    if (left === bytes) sendHead()
    frame = Math.min(frameBytes, left)
    left -= frame
    inFlight += frame
    from.sending = true
    engine.after(frame / from.upBytesPerMs, leave)
  }
  const leave = (): void => {
    from.sending = false
    from.sentBytes += frame
    travel()
    if (left === 0) finish()
    pump(from)
  }
  /** The downlink could begin with it when its first byte left; the trip comes on top. */
  const travel = (): void => {
    const nowMs = engine.clock.now()
    const begunMs = Math.max(nowMs - frame / from.upBytesPerMs, to.downFreeAtMs)
    to.downFreeAtMs = Math.max(nowMs, begunMs + frame / to.downBytesPerMs)
    lastArrivalMs = Math.max(to.downFreeAtMs + options.delayMs(), lastArrivalMs)
    flying.push(frame)
    engine.after(lastArrivalMs - nowMs, arrive)
  }
  const arrive = (): void => {
    const arrived = flying.shift()!
    const wasClosed = inFlight >= windowMax
    inFlight -= arrived
    options.onFrame(arrived)
    if (wasClosed) pump(from)
  }
  const finish = (): void => {
    if (isStopped) return
    isStopped = true
    removeStream(from, stream)
    options.onSent()
  }
  const stop = (): void => {
    if (isStopped) return
    isStopped = true
    left = 0
    removeStream(from, stream)
    pump(from)
  }

  const stream: Sending = { maySend, sendFrame, stop }
  return stream
}

function removeStream(link: Link, stream: Sending): void {
  const at = link.streams.indexOf(stream)
  if (at >= 0) link.streams.splice(at, 1)
}

function pump(link: Link): void {
  if (!link.sending) nextStream(link)?.sendFrame()
}

function nextStream(link: Link): Sending | undefined {
  for (let step = 0; step < link.streams.length; step++) {
    link.turn = (link.turn + 1) % link.streams.length
    const stream = link.streams[link.turn]
    if (stream?.maySend() === true) return stream
  }
  return undefined
}
