/** The control stream of one link: what comes in as frames, what goes out batched and bounded. */
import type { Stream } from '@libp2p/interface'
import { pipe } from 'it-pipe'
import { Uint8ArrayList } from 'uint8arraylist'
import { limits } from '../../core/limits.ts'
import { splitFrames } from '../../core/wire/frames.ts'
import { updateWindowByHalves } from './yamux-window.ts'

export const controlProtocol = '/shoal/control/1'

export type Frames = AsyncGenerator<Uint8Array>

export function framesOf(stream: Stream): Frames {
  updateWindowByHalves(stream)
  return pipe(stream, (source) => splitFrames(source, limits.controlFrameMaxBytes))
}

/** A frame without bytes: I am here. */
export const heartbeat = Uint8Array.of(0)

export interface Outbox {
  /** Queues an encoded message; false when more waits than the bound allows. */
  push(bytes: Uint8Array): boolean
  /** Hands on what is queued now. */
  flush(): void
}

/** Messages of one turn of the event loop leave together: each packet costs its receiver as much as the next. */
export function createOutbox(stream: Stream): Outbox {
  let waiting = new Uint8ArrayList()

  function flush(): void {
    if (waiting.byteLength === 0 || stream.writeStatus !== 'writable') return
    const batch = waiting
    waiting = new Uint8ArrayList()
    try {
      stream.send(batch)
    } catch (error) {
      // The connection below has closed; the stream is told next, and with it the link.
      stream.log.error('lost %d bytes - %e', batch.byteLength, error)
    }
  }

  return {
    flush,
    push(bytes) {
      if (waiting.byteLength === 0) queueMicrotask(flush)
      waiting.append(bytes)
      return waiting.byteLength + stream.writeBufferLength <= limits.controlQueueMaxBytes
    },
  }
}
