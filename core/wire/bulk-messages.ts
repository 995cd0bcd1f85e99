/**
 * The bulk stream's messages as bytes, framed as those of the control stream:
 *
 *     1 chunk  id offset entry
 *     2 frame  id bytes…
 *     entry:   index hash witness signer signature      witness: 0 (proved) | 1 length origin (fetched)
 *
 * A frame's bytes are never gathered: the decoder hands on views of whatever piece of it has arrived.
 */
import { limits } from '../limits.ts'
import type { BulkMessage } from '../swarm/messages.ts'
import { createReader, createVarintReader, framed, malformed, varint } from './bytes.ts'
import { entryParts, readEntry } from './fields.ts'

const chunkType = 1
const frameType = 2

export function encodeChunkHead(message: Extract<BulkMessage, { type: 'chunk' }>): Uint8Array {
  return framed([Uint8Array.of(chunkType), varint(message.id), varint(message.offset), ...entryParts(message.entry)])
}

/** What goes before the `length` bytes of a frame of request `id`. */
export function encodeFrameHead(id: number, length: number): Uint8Array {
  if (length < 1 || length > limits.frameSizeBytes) throw new RangeError(`a frame of ${length} bytes`)
  const idBytes = varint(id)
  return Buffer.concat([varint(1 + idBytes.length + length), Uint8Array.of(frameType), idBytes])
}

function decodeChunkHead(bytes: Uint8Array): BulkMessage {
  const reader = createReader(bytes)
  const id = reader.varint(Number.MAX_SAFE_INTEGER)
  const offset = reader.varint(limits.chunkSizeMaxBytes - 1)
  const entry = readEntry(reader)
  reader.end()
  return { type: 'chunk', id, offset, entry }
}

export interface BulkDecoder {
  /** What `piece` brings: heads, and frames in as many parts as they were split into. */
  push(piece: Uint8Array): Generator<BulkMessage>
}

/** Holds at most one chunk head. `push` throws `PEER_PROTOCOL` and nothing else; then the stream is lost. */
export function createBulkDecoder(): BulkDecoder {
  const length = createVarintReader(limits.frameSizeBytes + limits.frameHeadMaxBytes)
  const id = createVarintReader(Number.MAX_SAFE_INTEGER)
  let state: 'length' | 'type' | 'head' | 'id' | 'bytes' = 'length'
  /** Bytes of the current message that have not come yet. */
  let left = 0
  let head = new Uint8Array(0)
  let frameId = 0

  function readLength(byte: number): void {
    const whole = length.feed(byte)
    if (whole === undefined) return
    if (whole === 0) throw malformed('an empty message')
    left = whole
    state = 'type'
  }

  function readType(byte: number): void {
    left--
    if (byte === frameType && left > 0) {
      state = 'id'
      return
    }
    if (byte !== chunkType) throw malformed(`an unknown or empty bulk message of type ${byte}`)
    if (left > limits.chunkHeadMaxBytes) throw malformed('a chunk head is too long')
    head = new Uint8Array(left)
    state = 'head'
  }

  function readFrameId(byte: number): void {
    left--
    const whole = id.feed(byte)
    if (left === 0) throw malformed('an empty frame')
    if (whole === undefined) return
    if (left > limits.frameSizeBytes) throw malformed('a frame is too long')
    frameId = whole
    state = 'bytes'
  }

  /** Consumes a run of `piece` that belongs to a head or a frame. */
  function takeRun(run: Uint8Array): BulkMessage | undefined {
    if (state === 'head') head.set(run, head.length - left)
    left -= run.length
    if (state === 'bytes') {
      if (left === 0) state = 'length'
      return { type: 'frame', id: frameId, bytes: run }
    }
    if (left > 0) return undefined
    state = 'length'
    return decodeChunkHead(head)
  }

  return {
    *push(piece) {
      let position = 0
      while (position < piece.length) {
        if (state === 'head' || state === 'bytes') {
          const run = piece.subarray(position, position + left)
          position += run.length
          const message = takeRun(run)
          if (message !== undefined) yield message
          continue
        }
        const byte = piece[position] ?? 0
        position++
        if (state === 'length') readLength(byte)
        else if (state === 'type') readType(byte)
        else readFrameId(byte)
      }
    },
  }
}
