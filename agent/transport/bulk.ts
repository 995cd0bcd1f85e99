/** Chunks to and from a peer, over that lane of its link. */
import type { TLSSocket } from 'node:tls'
import { ShoalError } from '../../core/errors.ts'
import { limits } from '../../core/limits.ts'
import type { PeerId } from '../../core/ports.ts'
import type { BulkMessage } from '../../core/swarm/messages.ts'
import { createBulkDecoder, encodeChunkHead, encodeFrameHead } from '../../core/wire/bulk-messages.ts'
import type { OnBytes } from './lanes.ts'
import type { Link, Links } from './links.ts'
import type { PeerTransport, TransportEvent } from './peer-transport.ts'

export interface Bulk {
  /** Reads what comes over the lane for chunks of `link`. */
  receiver(link: Link): OnBytes
  readonly upload: PeerTransport['upload']
}

export function createBulk(components: {
  readonly links: Links
  readonly emit: (event: TransportEvent) => void
}): Bulk {
  const { links, emit } = components

  function receiver(link: Link): OnBytes {
    const decoder = createBulkDecoder()
    return (bytes) => {
      try {
        for (const message of decoder.push(bytes)) deliver(link, message)
      } catch (error) {
        if (!(error instanceof ShoalError)) throw error
        links.violated(link, error)
      }
    }
  }

  function deliver(link: Link, message: BulkMessage): void {
    link.pulse.heard()
    link.pulse.used()
    if (!links.isCurrent(link)) return
    const { peer } = link
    if (message.type === 'frame') emit({ type: 'frame', peer, id: message.id, bytes: message.bytes })
    else emit({ type: 'chunk-started', peer, id: message.id, offset: message.offset, entry: message.entry })
  }

  const upload: PeerTransport['upload'] = async (peer, id, offset, entry, source, signal) => {
    signal.throwIfAborted()
    const link = links.get(peer)
    if (link === undefined) throw gone(peer)
    const lane = await laneOf(link, signal)
    // What is cancelled while it waits in the lane stays there: who takes nothing could have us queue without end.
    if (lane.writableLength > limits.laneQueueMaxBytes) {
      links.end(link, 'at once')
      throw gone(peer)
    }
    await put(lane, peer, [encodeChunkHead({ type: 'chunk', id, offset, entry })], signal)
    for await (const piece of source instanceof Uint8Array ? [source] : source) {
      link.pulse.used()
      for (const frame of framesIn(piece)) await put(lane, peer, [encodeFrameHead(id, frame.length), frame], signal)
    }
  }

  return { receiver, upload }
}

function gone(peer: PeerId, cause?: unknown): ShoalError {
  return new ShoalError('PEER_GONE', `There is no link to ${peer}`, { cause })
}

/** Its lane for chunks may be on its way; who cancels meanwhile is not held up, nor what it has in memory. */
async function laneOf({ chunks, peer }: Link, signal: AbortSignal): Promise<TLSSocket> {
  const stopped = Promise.withResolvers<never>()
  const stop = (): void => stopped.reject(signal.reason)
  signal.addEventListener('abort', stop)
  try {
    return await Promise.race([chunks, stopped.promise])
  } catch (error) {
    throw signal.aborted ? signal.reason : gone(peer, error)
  } finally {
    signal.removeEventListener('abort', stop)
  }
}

function* framesIn(piece: Uint8Array): Generator<Uint8Array> {
  for (let start = 0; start < piece.length; start += limits.frameSizeBytes) {
    yield piece.subarray(start, start + limits.frameSizeBytes)
  }
}

/**
 * Resolves when the kernel has taken all of `parts`, so that at most one frame per upload waits here. Rejects with `PEER_GONE` or the
 * signal's reason.
 */
function put(lane: TLSSocket, peer: PeerId, parts: readonly Uint8Array[], signal: AbortSignal): Promise<void> {
  const { promise, resolve, reject } = Promise.withResolvers<void>()
  if (signal.aborted) reject(signal.reason)
  else if (lane.writable) write()
  else reject(gone(peer))

  function write(): void {
    const aborted = (): void => reject(signal.reason)
    signal.addEventListener('abort', aborted)
    lane.cork()
    for (const part of parts.slice(0, -1)) lane.write(part)
    lane.write(parts.at(-1) ?? new Uint8Array(0), (error) => {
      signal.removeEventListener('abort', aborted)
      if (error) reject(gone(peer, error))
      else resolve()
    })
    lane.uncork()
  }
  return promise
}
