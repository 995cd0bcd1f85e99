/**
 * Bandwidth. Every node, and the origin, has an uplink that sends one frame at a time, its streams in turn, and a downlink
 * that takes what arrives in order. Of a stream that shares a slow uplink with many, frames are smaller, since a real one is told
 * of its packets. A frame flows through both at once, as its packets would:
 *
 *     streams ─▶ [ uplink, rate u ] ─── delay ──▶ [ downlink, rate d ] ─▶ receiver
 *        ▲                                                                  │
 *        └─────────────────── a window of bytes per stream ◀────────────────┘
 */
import { limits } from '../../core/limits.ts'
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

/** What a stream runs over. Closed, it hands over nothing more. */
export interface Carrier {
  open: boolean
  /** Those of which not all has left. */
  readonly streams: Set<Stream>
}

export interface StreamHooks {
  /** What goes before the first byte is there. */
  readonly onHead: () => void
  /** `bytes` more are there. */
  readonly onFrame: (bytes: number) => void
  /** The last byte has left the sender. */
  readonly onSent: () => void
}

export interface StreamOptions {
  readonly from: Link
  readonly to: Link
  readonly over: Carrier
  readonly bytes: number
  readonly frameBytes: number
  /** What may be on its way. */
  readonly windowBytes: number
  readonly delayMs: () => number
  readonly hooks: StreamHooks
}

/** One transfer on its way: a chunk of a peer, or an answer of the origin. */
export interface Stream {
  readonly engine: Engine
  readonly options: StreamOptions
  /** Sizes of the frames on their way, which arrive in order. */
  readonly flying: number[]
  left: number
  inFlight: number
  /** Size of the frame that is leaving. */
  frame: number
  lastArrivalMs: number
  isOver: boolean
}

/** What TCP lets a stream have on its way. */
export const windowBytes = 256 * 1024

/** All streams of a link have had their turn in this time, or in that of a packet for each where this takes longer. */
const turnsMs = limits.stallMs / 4
const packetBytes = 1448

/** The same for all that share a link, as its queue treats them alike; a coarse grain needs room for two frames. */
export function windowFor(frameBytes: number): number {
  return Math.max(windowBytes, 2 * frameBytes)
}

export function createLink({ downBytesPerMs, upBytesPerMs }: LinkOptions): Link {
  return { upBytesPerMs, downBytesPerMs, streams: [], turn: 0, sending: false, downFreeAtMs: 0, sentBytes: 0 }
}

export function startStream(engine: Engine, options: StreamOptions): Stream {
  const { bytes, from, over } = options
  const stream = { engine, options, flying: [], left: bytes, inFlight: 0, frame: 0, lastArrivalMs: 0, isOver: false }
  over.streams.add(stream)
  from.streams.push(stream)
  pump(from)
  return stream
}

/** Nothing more is sent; what has left arrives all the same. */
export function stopStream(stream: Stream): void {
  if (stream.isOver) return
  stream.left = 0
  end(stream)
  pump(stream.options.from)
}

/** Bytes are left, and the window is open. */
function maySend({ inFlight, left, options }: Stream): boolean {
  return left > 0 && inFlight < options.windowBytes
}

function sendHead(stream: Stream): void {
  const { engine, options } = stream
  const delayMs = options.delayMs()
  stream.lastArrivalMs = engine.clock.now() + delayMs
  engine.after(stream.lastArrivalMs - engine.clock.now(), () => {
    if (options.over.open) options.hooks.onHead()
  })
}

/** Called when the uplink is free. */
function sendFrame(stream: Stream): void {
  const { bytes, frameBytes, from } = stream.options
  if (stream.left === bytes) sendHead(stream)
  stream.frame = Math.min(frameBytes, turnBytes(from), stream.left)
  stream.left -= stream.frame
  stream.inFlight += stream.frame
  from.sending = true
  stream.engine.after(stream.frame / from.upBytesPerMs, () => leave(stream))
}

/** So much that each stream has its turn before any looks stalled, but no less than a packet. */
function turnBytes({ streams, upBytesPerMs }: Link): number {
  return Math.max(Math.floor((upBytesPerMs * turnsMs) / streams.length), packetBytes)
}

function leave(stream: Stream): void {
  const { from, hooks } = stream.options
  from.sending = false
  from.sentBytes += stream.frame
  travel(stream)
  if (stream.left === 0 && !stream.isOver) {
    end(stream)
    hooks.onSent()
  }
  pump(from)
}

/** The downlink could begin with it when its first byte left; the trip comes on top. */
function travel(stream: Stream): void {
  const { engine, frame, options } = stream
  const { from, to } = options
  const nowMs = engine.clock.now()
  const begunMs = Math.max(nowMs - frame / from.upBytesPerMs, to.downFreeAtMs)
  to.downFreeAtMs = Math.max(nowMs, begunMs + frame / to.downBytesPerMs)
  stream.lastArrivalMs = Math.max(to.downFreeAtMs + options.delayMs(), stream.lastArrivalMs)
  stream.flying.push(frame)
  engine.after(stream.lastArrivalMs - nowMs, () => arrive(stream))
}

function arrive(stream: Stream): void {
  const { from, hooks, over, windowBytes: windowMax } = stream.options
  const arrived = stream.flying.shift()!
  const wasClosed = stream.inFlight >= windowMax
  stream.inFlight -= arrived
  if (over.open) hooks.onFrame(arrived)
  if (wasClosed) pump(from)
}

function end(stream: Stream): void {
  const { from, over } = stream.options
  stream.isOver = true
  over.streams.delete(stream)
  const at = from.streams.indexOf(stream)
  if (at >= 0) from.streams.splice(at, 1)
}

function pump(link: Link): void {
  if (link.sending) return
  const stream = nextStream(link)
  if (stream !== undefined) sendFrame(stream)
}

function nextStream(link: Link): Stream | undefined {
  for (let step = 0; step < link.streams.length; step++) {
    link.turn = (link.turn + 1) % link.streams.length
    const stream = link.streams[link.turn]
    if (stream !== undefined && maySend(stream)) return stream
  }
  return undefined
}
