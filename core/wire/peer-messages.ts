/**
 * The control stream's messages as bytes. A message is a varint with its length, one byte for its type and its fields in
 * the order below; numbers are varints, digests and peers their raw 32 bytes. What a field means is said where the
 * messages are defined, core/swarm/messages.ts. Another meaning of any byte needs another protocol ID.
 *
 *     1 join     digest size have…      5 cancel   id
 *     2 have     digest index…          6 queued   id ahead
 *     3 leave    digest                 7 busy     id peer…
 *     4 request  id digest index offset 8 missing  id
 *     9 doubt    digest start          10 vouch    digest start hash…
 *    11 suggest  id index
 */
import { limits } from '../limits.ts'
import { isBitfieldFor } from '../swarm/bitfield.ts'
import { chunkCountOf } from '../swarm/chunks.ts'
import type { PeerMessage } from '../swarm/messages.ts'
import { createReader, framed, malformed, varint, type Reader } from './bytes.ts'
import { digestBytes, hashBytes, hashSizeBytes, peerBytes, readDigest, readHash, readPeer } from './fields.ts'
import { publicKeySizeBytes } from './peer-id.ts'

const types = {
  join: 1,
  have: 2,
  leave: 3,
  request: 4,
  cancel: 5,
  queued: 6,
  busy: 7,
  missing: 8,
  doubt: 9,
  vouch: 10,
  suggest: 11,
} as const

function fieldsOf(message: PeerMessage): Uint8Array[] {
  switch (message.type) {
    case 'join':
      return [digestBytes(message.digest), varint(message.size), message.have]
    case 'have':
      return [digestBytes(message.digest), ...message.indices.map((index) => varint(index))]
    case 'leave':
      return [digestBytes(message.digest)]
    case 'request':
      return [varint(message.id), digestBytes(message.digest), varint(message.index), varint(message.offset)]
    case 'cancel':
    case 'missing':
      return [varint(message.id)]
    case 'queued':
      return [varint(message.id), varint(message.ahead)]
    case 'busy':
      return [varint(message.id), ...message.try.map((peer) => peerBytes(peer))]
    case 'suggest':
      return [varint(message.id), varint(message.index)]
    case 'doubt':
      return [digestBytes(message.digest), varint(message.start)]
    case 'vouch':
      return [digestBytes(message.digest), varint(message.start), ...message.hashes.map((hash) => hashBytes(hash))]
  }
}

/** A message with its length before it. Throws a RangeError for what no agent may say: that is a bug of ours. */
export function encodePeerMessage(message: PeerMessage): Uint8Array {
  const bytes = framed([Uint8Array.of(types[message.type]), ...fieldsOf(message)])
  if (bytes.length > limits.controlFrameMaxBytes) throw new RangeError(`a ${message.type} of ${bytes.length} bytes`)
  return bytes
}

function readId(reader: Reader): number {
  return reader.varint(Number.MAX_SAFE_INTEGER)
}

function readIndex(reader: Reader): number {
  return reader.varint(limits.chunksPerBlobMax - 1)
}

function readJoin(reader: Reader): PeerMessage {
  const digest = readDigest(reader)
  const size = reader.varint(limits.blobSizeMaxBytes)
  const have = reader.copy(reader.left())
  if (!isBitfieldFor(have, chunkCountOf(size))) throw malformed('a bitfield does not fit its blob')
  return { type: 'join', digest, size, have }
}

function readHave(reader: Reader): PeerMessage {
  const digest = readDigest(reader)
  const indices: number[] = []
  while (reader.left() > 0) indices.push(readIndex(reader))
  return { type: 'have', digest, indices }
}

function readRequest(reader: Reader): PeerMessage {
  return {
    type: 'request',
    id: readId(reader),
    digest: readDigest(reader),
    index: readIndex(reader),
    offset: reader.varint(limits.chunkSizeMaxBytes - 1),
  }
}

function readBusy(reader: Reader): PeerMessage {
  const id = readId(reader)
  if (reader.left() > limits.busyHintsMax * publicKeySizeBytes) throw malformed('a busy with too many peers')
  const hints: string[] = []
  while (reader.left() > 0) hints.push(readPeer(reader))
  return { type: 'busy', id, try: hints }
}

function readVouch(reader: Reader): PeerMessage {
  const digest = readDigest(reader)
  const start = readIndex(reader)
  if (reader.left() > limits.vouchChunks * hashSizeBytes) throw malformed('a vouch for too many chunks')
  const hashes: string[] = []
  while (reader.left() > 0) hashes.push(readHash(reader))
  return { type: 'vouch', digest, start, hashes }
}

function readFields(type: number, reader: Reader): PeerMessage {
  switch (type) {
    case types.join:
      return readJoin(reader)
    case types.have:
      return readHave(reader)
    case types.leave:
      return { type: 'leave', digest: readDigest(reader) }
    case types.request:
      return readRequest(reader)
    case types.cancel:
      return { type: 'cancel', id: readId(reader) }
    case types.queued:
      return { type: 'queued', id: readId(reader), ahead: readId(reader) }
    case types.busy:
      return readBusy(reader)
    case types.missing:
      return { type: 'missing', id: readId(reader) }
    case types.doubt:
      return { type: 'doubt', digest: readDigest(reader), start: readIndex(reader) }
    case types.suggest:
      return { type: 'suggest', id: readId(reader), index: readIndex(reader) }
    case types.vouch:
      return readVouch(reader)
    default:
      throw malformed(`an unknown type of message, ${type}`)
  }
}

/** The message in one frame (without its length). Throws `PEER_PROTOCOL` and nothing else. */
export function decodePeerMessage(frame: Uint8Array): PeerMessage {
  const reader = createReader(frame)
  const message = readFields(reader.byte(), reader)
  reader.end()
  return message
}
