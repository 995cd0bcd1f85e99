/** What @chainsafe/libp2p-noise does around each record costs more than its cipher: two of these things done otherwise. */
import type { ConnectionEncrypter, MessageStream, SecuredConnection } from '@libp2p/interface'
import type { Uint8ArrayList } from 'uint8arraylist'

/** The same encrypter, whose connections carry short records for less. */
export function withCheapRecords(inner: ConnectionEncrypter): ConnectionEncrypter {
  return {
    protocol: inner.protocol,
    secureInbound: async (stream, options) => readingQuietly(await inner.secureInbound(sendingWhole(stream), options)),
    secureOutbound: async (stream, options) =>
      readingQuietly(await inner.secureOutbound(sendingWhole(stream), options)),
  }
}

/**
 * A record is its length, its ciphertext and its tag; @libp2p/tcp would write each to the socket by itself, three system
 * calls and packets for one record. Copying them into one costs less.
 */
function sendingWhole<Stream extends MessageStream>(stream: Stream): Stream {
  const send = stream.send.bind(stream)
  stream.send = (data) => send(data.subarray())
  return stream
}

/** The field of noise's connections that matters here; it is no part of their declared interface. */
interface DecodingConnection {
  readonly decoder: { lengthDecoder: (data: Uint8ArrayList) => number }
}

/** After each record the decoder looks for another, and is told by an exception that there is none: one for all, for the stack of each costs as much as the record. */
function readingQuietly(secured: SecuredConnection): SecuredConnection {
  const { connection } = secured
  if (!isDecoding(connection)) throw new TypeError('the connections of @chainsafe/libp2p-noise have changed')
  connection.decoder.lengthDecoder = recordLength
  return secured
}

function isDecoding(connection: object): connection is DecodingConnection {
  return 'decoder' in connection && Object.hasOwn(Object(connection.decoder), 'lengthDecoder')
}

const lengthBytes = 2
const incomplete = new RangeError('a record begins with the two bytes of its length')

function recordLength(data: Uint8ArrayList): number {
  if (data.byteLength < lengthBytes) throw incomplete
  return data.getUint16(0)
}
