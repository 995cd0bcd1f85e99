/**
 * Bandwidth. Every node, and the origin, has an uplink that sends one frame at a time, its streams in turn, and a downlink
 * that takes what arrives in order:
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
  readonly streams: Stream[]
  turn: number
  sending: boolean
  downFreeAtMs: number
  sentBytes: number
}

/** One transfer on its way: a chunk of a peer, or an answer of the origin. */
export interface Stream {
  readonly from: Link
  readonly to: Link
  readonly delayMs: () => number
  readonly frameBytes: number
  left: number
  inFlight: number
  /** Nothing more is sent; what has left arrives all the same. */
  stopped: boolean
  /** The connection is gone, and with it what was on its way. */
  isCut: boolean
  lastArrivalMs: number
  /** `bytes` more are there. */
  readonly onFrame: (bytes: number) => void
  /** The last byte has left the sender. */
  readonly onSent: () => void
}

/** What TCP lets a stream have on its way. */
const windowBytes = 256 * 1024

export function createLink({ downBytesPerMs, upBytesPerMs }: LinkOptions): Link {
  return { upBytesPerMs, downBytesPerMs, streams: [], turn: 0, sending: false, downFreeAtMs: 0, sentBytes: 0 }
}

export function startStream(engine: Engine, stream: Stream): void {
  stream.from.streams.push(stream)
  pump(engine, stream.from)
}

export function stopStream(engine: Engine, stream: Stream): void {
  stream.stopped = true
  removeStream(stream)
  pump(engine, stream.from)
}

function removeStream(stream: Stream): void {
  const at = stream.from.streams.indexOf(stream)
  if (at >= 0) stream.from.streams.splice(at, 1)
}

function pump(engine: Engine, link: Link): void {
  if (link.sending) return
  const stream = nextStream(link)
  if (stream === undefined) return
  const bytes = Math.min(stream.frameBytes, stream.left)
  link.sending = true
  stream.left -= bytes
  stream.inFlight += bytes
  engine.after(bytes / link.upBytesPerMs, () => {
    link.sending = false
    link.sentBytes += bytes
    travel(engine, stream, bytes)
    if (stream.left === 0 && !stream.stopped) {
      removeStream(stream)
      stream.onSent()
    }
    pump(engine, link)
  })
}

function nextStream(link: Link): Stream | undefined {
  for (let step = 0; step < link.streams.length; step++) {
    link.turn = (link.turn + 1) % link.streams.length
    const stream = link.streams[link.turn]
    if (stream !== undefined && stream.left > 0 && stream.inFlight < windowBytes) return stream
  }
  return undefined
}

function travel(engine: Engine, stream: Stream, bytes: number): void {
  const { clock } = engine
  const arrivalMs = Math.max(clock.now() + stream.delayMs(), stream.lastArrivalMs)
  stream.lastArrivalMs = arrivalMs
  engine.after(arrivalMs - clock.now(), () => {
    const { to } = stream
    to.downFreeAtMs = Math.max(clock.now(), to.downFreeAtMs) + bytes / to.downBytesPerMs
    engine.after(to.downFreeAtMs - clock.now(), () => {
      stream.inFlight -= bytes
      if (!stream.isCut) stream.onFrame(bytes)
      pump(engine, stream.from)
    })
  })
}
