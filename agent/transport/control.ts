/** What is said on a link: its hello over libp2p's stream, then messages over its control lane, batched and bounded. */
import type { Writable } from 'node:stream'
import type { Stream } from '@libp2p/interface'
import { pipe } from 'it-pipe'
import { limits } from '../../core/limits.ts'
import { splitFrames } from '../../core/wire/frames.ts'

export const controlProtocol = '/shoal/control/2'

/** The only frame that the other side says over the stream. */
export async function wordOf(stream: Stream): Promise<Uint8Array> {
  for await (const frame of pipe(stream, (source) => splitFrames(source, limits.controlFrameMaxBytes))) return frame
  throw new Error('the stream ended before a word')
}

/** Nothing more is said over it; the other side, whose word was the last, may be gone already. */
export function closeStream(stream: Stream): void {
  stream.close().catch((error: Error) => stream.abort(error))
}

/** A frame without bytes: I am here. */
export const heartbeat = Uint8Array.of(0)

export interface Outbox {
  /** What was queued until now leaves over `lane`, and from now on all else. */
  open(lane: Writable): void
  /** Queues an encoded message; false when more waits than the bound allows. */
  push(bytes: Uint8Array): boolean
  /** Hands on what is queued now. */
  flush(): void
}

/**
 * Messages of one turn of the event loop leave together, after all that came in it has been handled: each packet costs its
 * receiver as much as the next. The busier a node, the more comes in a turn.
 */
export function createOutbox(): Outbox {
  let lane: Writable | undefined
  let waiting: Uint8Array[] = []
  let waitingBytes = 0

  function flush(): void {
    if (waitingBytes === 0 || lane?.writable !== true) return
    lane.write(Buffer.concat(waiting, waitingBytes))
    waiting = []
    waitingBytes = 0
  }

  return {
    flush,
    open(opened) {
      lane = opened
      flush()
    },
    push(bytes) {
      if (waitingBytes === 0) setImmediate(flush)
      waiting.push(bytes)
      waitingBytes += bytes.length
      return waitingBytes + (lane?.writableLength ?? 0) <= limits.controlQueueMaxBytes
    },
  }
}
