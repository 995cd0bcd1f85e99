/**
 * The control stream's messages as bytes. A message is a varint with its length, one byte for its type and its fields in
 * the order below; numbers are varints, digests and peers their raw 32 bytes. What a field means is said where the
 * messages are defined, core/swarm/messages.ts. Another meaning of any byte needs another protocol ID.
 *
 *     1 join     blob size have…       5 cancel   id
 *     2 have     blob index…           6 queued   id ahead
 *     3 leave    blob                  7 busy     id peer…
 *     4 request  blob id index offset  8 missing  id
 *     9 doubt    blob start           10 vouch    blob start hash…
 *    11 suggest  id index
 *
 *     blob:      0 digest | handle     (handles.ts)
 */
import { limits } from '../limits.ts'
import type { Digest } from '../oci/digest.ts'
import { isBitfieldFor } from '../swarm/bitfield.ts'
import { chunkCountOf } from '../swarm/chunks.ts'
import type { PeerMessage } from '../swarm/messages.ts'
import { createReader, framed, malformed, varint, type Reader } from './bytes.ts'
import { digestBytes, hashBytes, hashSizeBytes, peerBytes, readDigest, readHash, readPeer } from './fields.ts'
import { createHandles, digestOf, giveHandle, handleOf, type Handles } from './handles.ts'
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

/** In the place of a handle: the digest follows, and has the next one from then on. */
const anew = 0

/** All but the blob that a message is about. */
function fieldsOf(message: PeerMessage): Uint8Array[] {
  switch (message.type) {
    case 'join':
      return [varint(message.size), message.have]
    case 'have':
      return message.indices.map((index) => varint(index))
    case 'leave':
      return []
    case 'request':
      return [varint(message.id), varint(message.index), varint(message.offset)]
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
      return [varint(message.start)]
    case 'vouch':
      return [varint(message.start), ...message.hashes.map((hash) => hashBytes(hash))]
  }
}

function blobParts(digest: Digest, handles: Handles): Uint8Array[] {
  const handle = handleOf(handles, digest)
  if (handle !== undefined) return [varint(handle)]
  const bytes = digestBytes(digest)
  giveHandle(handles, digest)
  return [varint(anew), bytes]
}

/**
 * Encodes what is said on one link, in the order in which it leaves: a message with its length before it. Throws a RangeError
 * for what no agent may say: that is a bug of ours, and nothing can be said after it.
 */
export function createPeerMessageEncoder(): (message: PeerMessage) => Uint8Array {
  const handles = createHandles()
  return (message) => {
    const fields = fieldsOf(message)
    const blob = 'digest' in message ? blobParts(message.digest, handles) : []
    const bytes = framed([Uint8Array.of(types[message.type]), ...blob, ...fields])
    if (bytes.length > limits.controlFrameMaxBytes) throw new RangeError(`a ${message.type} of ${bytes.length} bytes`)
    return bytes
  }
}

/** Where a message says which blob it is about. */
type ReadBlob = (reader: Reader) => Digest

function blobReader(handles: Handles): ReadBlob {
  return (reader) => {
    const handle = reader.varint(limits.handlesMax)
    return handle === anew ? readAnew(reader, handles) : known(handle, handles)
  }
}

function readAnew(reader: Reader, handles: Handles): Digest {
  const digest = readDigest(reader)
  if (handleOf(handles, digest) !== undefined) throw malformed('a digest in place of its handle')
  giveHandle(handles, digest)
  return digest
}

function known(handle: number, handles: Handles): Digest {
  const digest = digestOf(handles, handle)
  if (digest === undefined) throw malformed(`a handle that no blob has, ${handle}`)
  return digest
}

function readId(reader: Reader): number {
  return reader.varint(Number.MAX_SAFE_INTEGER)
}

function readIndex(reader: Reader): number {
  return reader.varint(limits.chunksPerBlobMax - 1)
}

function readJoin(reader: Reader, digest: Digest): PeerMessage {
  const size = reader.varint(limits.blobSizeMaxBytes)
  const have = reader.copy(reader.left())
  if (!isBitfieldFor(have, chunkCountOf(size))) throw malformed('a bitfield does not fit its blob')
  return { type: 'join', digest, size, have }
}

function readHave(reader: Reader, digest: Digest): PeerMessage {
  const indices: number[] = []
  while (reader.left() > 0) indices.push(readIndex(reader))
  return { type: 'have', digest, indices }
}

function readRequest(reader: Reader, digest: Digest): PeerMessage {
  return {
    type: 'request',
    digest,
    id: readId(reader),
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

function readVouch(reader: Reader, digest: Digest): PeerMessage {
  const start = readIndex(reader)
  if (reader.left() > limits.vouchChunks * hashSizeBytes) throw malformed('a vouch for too many chunks')
  const hashes: string[] = []
  while (reader.left() > 0) hashes.push(readHash(reader))
  return { type: 'vouch', digest, start, hashes }
}

function readFields(type: number, reader: Reader, readBlob: ReadBlob): PeerMessage {
  switch (type) {
    case types.join:
      return readJoin(reader, readBlob(reader))
    case types.have:
      return readHave(reader, readBlob(reader))
    case types.leave:
      return { type: 'leave', digest: readBlob(reader) }
    case types.request:
      return readRequest(reader, readBlob(reader))
    case types.cancel:
      return { type: 'cancel', id: readId(reader) }
    case types.queued:
      return { type: 'queued', id: readId(reader), ahead: readId(reader) }
    case types.busy:
      return readBusy(reader)
    case types.missing:
      return { type: 'missing', id: readId(reader) }
    case types.doubt:
      return { type: 'doubt', digest: readBlob(reader), start: readIndex(reader) }
    case types.suggest:
      return { type: 'suggest', id: readId(reader), index: readIndex(reader) }
    case types.vouch:
      return readVouch(reader, readBlob(reader))
    default:
      throw malformed(`an unknown type of message, ${type}`)
  }
}

/**
 * Decodes what is heard on one link, in order: the message in one frame (without its length). Throws `PEER_PROTOCOL` and
 * nothing else; then the stream is lost.
 */
export function createPeerMessageDecoder(): (frame: Uint8Array) => PeerMessage {
  const readBlob = blobReader(createHandles())
  return (frame) => {
    const reader = createReader(frame)
    const message = readFields(reader.byte(), reader, readBlob)
    reader.end()
    return message
  }
}
