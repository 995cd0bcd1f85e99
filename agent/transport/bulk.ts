/** The bulk stream: chunks to a peer, one long-lived stream per direction, opened by whoever uploads. */
import type { Connection, Stream, StreamMessageEvent } from '@libp2p/interface'
import { Uint8ArrayList } from 'uint8arraylist'
import { ShoalError } from '../../core/errors.ts'
import { limits } from '../../core/limits.ts'
import type { PeerId } from '../../core/ports.ts'
import type { BulkMessage } from '../../core/swarm/messages.ts'
import { createBulkDecoder, encodeChunkHead, encodeFrameHead } from '../../core/wire/bulk-messages.ts'
import type { Link, Links } from './links.ts'
import { updateWindowByHalves } from './yamux-window.ts'
import type { PeerTransport, TransportEvent } from './peer-transport.ts'

export const bulkProtocol = '/shoal/bulk/1'

export interface Bulk {
  accept(stream: Stream, connection: Connection): void
  readonly upload: PeerTransport['upload']
}

export function createBulk(components: {
  readonly links: Links
  readonly emit: (event: TransportEvent) => void
}): Bulk {
  const { links, emit } = components
  const outgoing = new WeakMap<Link, Promise<Stream>>()

  /** A peer opens its bulk stream only once it is linked, on the connection of the link; then so are we. */
  function accept(stream: Stream, connection: Connection): void {
    const link = links.get(connection.remotePeer.toString())
    if (link?.connection !== connection) {
      stream.abort(new Error('there is no link on this connection'))
      return
    }
    updateWindowByHalves(stream)
    const decoder = createBulkDecoder()
    stream.addEventListener('message', ({ data }: StreamMessageEvent) => {
      try {
        for (const piece of data instanceof Uint8Array ? [data] : data) {
          for (const message of decoder.push(piece)) deliver(link, message)
        }
      } catch (error) {
        stream.abort(new Error('the peer broke the protocol'))
        if (!(error instanceof ShoalError)) throw error
        links.violated(link, error)
      }
    })
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
    const stream = await streamTo(link)
    await put(stream, peer, encodeChunkHead({ type: 'chunk', id, offset, entry }), signal)
    for await (const piece of source instanceof Uint8Array ? [source] : source) {
      link.pulse.used()
      for (const frame of framesIn(piece)) {
        await put(stream, peer, new Uint8ArrayList(encodeFrameHead(id, frame.length), frame), signal)
      }
    }
    await room(stream, peer, signal)
  }

  function streamTo(link: Link): Promise<Stream> {
    const open = outgoing.get(link)
    if (open !== undefined) return open
    const opening = link.connection
      .newStream(bulkProtocol, { signal: AbortSignal.timeout(limits.helloMs) })
      .catch((cause: unknown) => {
        outgoing.delete(link)
        throw gone(link.peer, cause)
      })
    outgoing.set(link, opening)
    return opening
  }

  return { accept, upload }
}

function gone(peer: PeerId, cause?: unknown): ShoalError {
  return new ShoalError('PEER_GONE', `There is no link to ${peer}`, { cause })
}

function* framesIn(piece: Uint8Array): Generator<Uint8Array> {
  for (let start = 0; start < piece.length; start += limits.frameFillBytes) {
    yield piece.subarray(start, start + limits.frameFillBytes)
  }
}

async function put(
  stream: Stream,
  peer: PeerId,
  bytes: Uint8Array | Uint8ArrayList,
  signal: AbortSignal,
): Promise<void> {
  await room(stream, peer, signal)
  try {
    stream.send(bytes)
  } catch (cause) {
    // The connection below has closed, and the stream has not been told yet.
    throw gone(peer, cause)
  }
}

/**
 * Waits until all that was sent has been taken by the connection, so that at most one frame per upload waits here. The
 * stream's own `onDrain` resolves at once after its first use (@libp2p/utils 7.4).
 */
async function room(stream: Stream, peer: PeerId, signal: AbortSignal): Promise<void> {
  for (;;) {
    signal.throwIfAborted()
    if (stream.writeStatus !== 'writable') throw gone(peer)
    if (!stream.writableNeedsDrain && stream.writeBufferLength === 0) return
    await nextChange(stream, signal)
  }
}

function nextChange(stream: Stream, signal: AbortSignal): Promise<void> {
  const { promise, resolve } = Promise.withResolvers<void>()
  const changed = (): void => resolve()
  stream.addEventListener('drain', changed)
  stream.addEventListener('close', changed)
  signal.addEventListener('abort', changed)
  return promise.finally(() => {
    stream.removeEventListener('drain', changed)
    stream.removeEventListener('close', changed)
    signal.removeEventListener('abort', changed)
  })
}
