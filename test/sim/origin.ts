/** The registry: one uplink, a first byte that takes its time, and all the ways in which registries fail. */
import type { PeerId, Random } from '../../core/ports.ts'
import { chunkSizeOf } from '../../core/swarm/chunks.ts'
import type { OriginFailure } from '../../core/swarm/events.ts'
import type { Engine } from './engine.ts'
import { createLink, startStream, stopStream, type Link, type Stream } from './links.ts'
import type { Blob } from './matter.ts'

export interface OriginOptions {
  readonly upBytesPerMs: number
  readonly firstByteMs: number
  /** Sends the whole blob whatever was asked. */
  readonly unranged: boolean
  /** One answer in so many stalls, breaks, or is a 503; 0: none. */
  readonly faultOneIn: number
  readonly frameBytes: number
  /** What of an answer may be on its way. */
  readonly windowBytes: number
}

export interface OriginSink {
  onFrame(index: number, from: number, to: number): void
  onUnranged(): void
  onEnded(failure?: OriginFailure): void
}

export interface OriginRequest {
  readonly node: PeerId
  readonly link: Link
  readonly blob: Blob
  /** Bytes `[from, to)` of the blob. */
  readonly from: number
  readonly to: number
  /** Of the token that it shows. */
  readonly tokenEndsAtMs: number
  /** For what is held and may be wrong. */
  readonly isEscape: boolean
}

export interface Origin {
  /** Returns how to give up. */
  get(request: OriginRequest, sink: OriginSink): () => void
  /** Bytes that left it. */
  sentBytes(): number
  requests(): number
  /** From now on: answers nothing (`down`), refuses a node's credential, or works. */
  set(change: {
    readonly down?: boolean
    readonly refuses?: PeerId
    readonly faults?: boolean
    /** Until then every answer is a 429 that says so. */
    readonly limitedUntilMs?: number
  }): void
  /** Has it failed this node so far? */
  hasFailed(node: PeerId): boolean
  /** Requests that showed a token which had ended. */
  refusedTokens(): number
  /** What was sent, oldest first. */
  answers(): readonly Answer[]
}

/** What was asked, and what became of it. */
export interface Answer {
  readonly atMs: number
  readonly node: PeerId
  readonly blob: Blob
  /** Sent from this byte of the blob on. */
  readonly from: number
  sentBytes: number
  /** Undefined while it is open. */
  endedAtMs: number | undefined
  /** It stalled, or its connection broke. */
  hasBroken: boolean
  readonly isEscape: boolean
}

const delayMs = 5

type Fault = 'none' | 'stall' | 'break' | 'unavailable' | 'rate-limited'

export function createOrigin(engine: Engine, random: Random, options: OriginOptions): Origin {
  const link = createLink({ upBytesPerMs: options.upBytesPerMs, downBytesPerMs: Infinity })
  const refused = new Set<PeerId>()
  let down = false
  let faults = true
  const failed = new Set<PeerId>()
  const answers: Answer[] = []
  let limitedUntilMs = 0
  let requests = 0
  let refusedTokens = 0

  const drawFault = (): Fault => {
    if (!faults || options.faultOneIn === 0 || random.below(options.faultOneIn) > 0) return 'none'
    return (['stall', 'break', 'unavailable', 'rate-limited'] as const)[random.below(4)]!
  }

  const get = (request: OriginRequest, sink: OriginSink): (() => void) => {
    const fault = drawFault()
    let stream: Stream | undefined
    let noted: Answer | undefined
    let ended = false
    const close = (): void => {
      ended = true
      if (stream !== undefined) stopStream(stream)
      if (noted !== undefined) noted.endedAtMs ??= engine.clock.now()
    }
    const end = (failure?: OriginFailure): void => {
      if (ended) return
      close()
      if (failure !== undefined) failed.add(request.node)
      sink.onEnded(failure)
    }
    requests++
    const arrivedAtMs = engine.clock.now() + delayMs
    engine.after(options.firstByteMs, () => {
      if (ended) return
      if (down) return end({ kind: 'unavailable' })
      if (refused.has(request.node)) return end({ kind: 'refused' })
      if (arrivedAtMs >= request.tokenEndsAtMs) {
        refusedTokens++
        return end({ kind: 'refused' })
      }
      const waitMs = limitedUntilMs - engine.clock.now()
      if (waitMs > 0) return end({ kind: 'rate-limited', retryAfterMs: waitMs })
      if (fault === 'unavailable') return end({ kind: 'unavailable' })
      if (fault === 'rate-limited') return end({ kind: 'rate-limited', retryAfterMs: 1000 })
      if (options.unranged) sink.onUnranged()
      if (ended) return
      noted = note(request)
      stream = answer(request, fault, sink, noted, end)
    })
    return close
  }

  const note = ({ blob, from, isEscape, node }: OriginRequest): Answer => {
    const start = options.unranged ? 0 : from
    const noted = {
      atMs: engine.clock.now(),
      node,
      blob,
      from: start,
      sentBytes: 0,
      endedAtMs: undefined,
      hasBroken: false,
      isEscape,
    }
    answers.push(noted)
    return noted
  }

  const answer = (
    { blob, link: to, node, to: limit }: OriginRequest,
    fault: Fault,
    sink: OriginSink,
    noted: Answer,
    end: (failure?: OriginFailure) => void,
  ): Stream => {
    const first = noted.from
    const last = options.unranged ? blob.size : limit
    const breaksAt = fault === 'stall' || fault === 'break' ? first + random.below(last - first) : Infinity
    const chunkSize = chunkSizeOf(blob.size)
    let at = first
    const breakOff = (): void => {
      noted.hasBroken = true
      failed.add(node)
      if (fault === 'break') end({ kind: 'unavailable' })
      else stopStream(stream)
    }
    const onFrame = (bytes: number): void => {
      noted.sentBytes += bytes
      for (let left = bytes; left > 0 && noted.endedAtMs === undefined;) {
        const index = Math.floor(at / chunkSize)
        const length = Math.min(left, (index + 1) * chunkSize - at)
        if (at + length > breaksAt) return breakOff()
        sink.onFrame(index, at - index * chunkSize, at - index * chunkSize + length)
        at += length
        left -= length
      }
      if (at >= last && noted.endedAtMs === undefined) end()
    }
    const stream = startStream(engine, {
      from: link,
      to,
      over: { open: true, streams: new Set() },
      bytes: last - first,
      frameBytes: options.frameBytes,
      windowBytes: options.windowBytes,
      delayMs: () => delayMs,
      hooks: { onHead: () => undefined, onFrame, onSent: () => undefined },
    })
    return stream
  }

  return {
    get,
    sentBytes: () => link.sentBytes,
    requests: () => requests,
    refusedTokens: () => refusedTokens,
    hasFailed: (node) => failed.has(node),
    answers: () => answers,
    set(change) {
      if (change.down !== undefined) down = change.down
      if (change.refuses !== undefined) refused.add(change.refuses)
      if (change.limitedUntilMs !== undefined) limitedUntilMs = change.limitedUntilMs
      if (change.faults !== undefined) faults = change.faults
    },
  }
}
