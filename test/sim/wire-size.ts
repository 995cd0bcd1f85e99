/** What messages weigh on the wire, without encoding each: a run sends some ten million. wire-size.test.ts holds it to the codecs. */
import { announceCall } from '../../agent/cluster/wire.ts'
import type { AnnounceAnswer, AnnounceRequest } from '../../core/directory/messages.ts'
import type { BulkMessage, PeerMessage } from '../../core/swarm/messages.ts'
import { giveHandle, handleOf, type Handles } from '../../core/wire/handles.ts'

const digestBytes = 32
const peerBytes = 32
const hashBytes = 32
const signatureBytes = 64

/** `handles`: what blobs are called where the message goes; it is said now. */
export function messageBytes(message: PeerMessage, handles: Handles): number {
  const body = 1 + blobBytes(message, handles) + fieldBytes(message)
  return varintBytes(body) + body
}

function blobBytes(message: PeerMessage, handles: Handles): number {
  if (!('digest' in message)) return 0
  if (handleOf(handles, message.digest) !== undefined) return 1
  giveHandle(handles, message.digest)
  return 1 + digestBytes
}

function fieldBytes(message: PeerMessage): number {
  switch (message.type) {
    case 'join':
      return varintBytes(message.size) + message.have.length
    case 'have':
      return message.indices.reduce((sum, index) => sum + varintBytes(index), 0)
    case 'leave':
      return 0
    case 'request':
      return varintBytes(message.id) + varintBytes(message.index) + varintBytes(message.offset)
    case 'cancel':
    case 'missing':
      return varintBytes(message.id)
    case 'queued':
      return varintBytes(message.id) + varintBytes(message.ahead)
    case 'suggest':
      return varintBytes(message.id) + varintBytes(message.index)
    case 'busy':
      return varintBytes(message.id) + message.try.length * peerBytes
    case 'doubt':
      return varintBytes(message.start)
    case 'vouch':
      return varintBytes(message.start) + message.hashes.length * hashBytes
  }
}

/** The head of a chunk on the bulk stream. */
export function chunkHeadBytes({ entry, id, offset }: Extract<BulkMessage, { type: 'chunk' }>): number {
  const { index, witness } = entry
  const origin = witness.kind === 'fetched' ? 1 + witness.origin.length : 0
  const entryBytes = varintBytes(index) + hashBytes + 1 + origin + peerBytes + signatureBytes
  const body = 1 + varintBytes(id) + varintBytes(offset) + entryBytes
  return varintBytes(body) + body
}

function varintBytes(value: number): number {
  let bytes = 1
  for (let rest = value; rest >= 0x80; rest = Math.floor(rest / 0x80)) bytes++
  return bytes
}

/** Headers of a request and its answer; test/integration/cluster/mac.test.ts holds it to a real call. */
export const headersBytes = 670
/** A real peer ID and address are longer than the simulator's names by so much. */
const nameBytes = 52 + 24 - 10

/** A request to a directory and its answer, as HTTP. */
export function announceBytes(request: AnnounceRequest, answer: AnnounceAnswer): number {
  const names = answer.items.reduce((sum, { peers }) => sum + peers.length, 1)
  const bodies = announceCall.writeRequest(request).length + announceCall.writeAnswer(answer).length
  return headersBytes + bodies + names * nameBytes
}
