/**
 * The log beside a blob's data: which chunks of the sparse file are real, and who vouches for them.
 *
 *     header   'shoal log 1\n' | SHA-256 (32) | size u64 | chunk size u32 | crc u32
 *     record   body length u16 | body | crc u32
 *       chunk    1 | index u32 | SHA-256 (32) | witness u8 | origin length u16 | signer length u16 | signature length u16
 *                  | origin | signer | signature
 *       dropped  2 | index u32           the chunk was found corrupt
 *       complete 3                       the whole blob matched its digest
 *
 * Integers are big-endian. Each CRC continues the one before it, so a record counts only after the very records it was
 * written after: what a failed or torn write left behind can never be taken for a record.
 */
import { crc32 } from 'node:zlib'
import { bitfieldOf, clearBit, countBits, setBit } from '../../core/swarm/bitfield.ts'
import { chunkCountOf, chunkSizeOf } from '../../core/swarm/chunks.ts'
import type { Entry } from '../../core/swarm/entry.ts'
import { digestFromHex, digestHex, type Digest } from '../../core/oci/digest.ts'

export type LogRecord =
  | { readonly kind: 'chunk'; readonly entry: Entry }
  | { readonly kind: 'dropped'; readonly index: number }
  | { readonly kind: 'complete' }

/** Where the next record goes, and the CRC that it continues. */
export interface LogTail {
  readonly offset: number
  readonly crc: number
}

/** What a log says. */
export interface LogView {
  readonly digest: Digest
  readonly size: number
  readonly have: Uint8Array
  readonly complete: boolean
  /** Per chunk held, the offset of its newest record's body in `bytes`; 0 where none is held. */
  readonly positions: Uint32Array
  /** The end of the last sound record; bytes beyond it are torn and mean nothing. */
  readonly tail: LogTail
  readonly bytes: Buffer
}

const magic = Buffer.from('shoal log 1\n')
const headerBytes = magic.length + 32 + 8 + 4 + 4
const chunkFixedBytes = 1 + 4 + 32 + 1 + 2 + 2 + 2
/** A hundred-odd bytes in practice; above this a length field is damaged. */
const bodyBytesMax = 4096

const kinds = { chunk: 1, dropped: 2, complete: 3 } as const
const witnesses = { fetched: 1, proved: 2 } as const

export function encodeHeader(digest: Digest, size: number): Buffer {
  const bytes = Buffer.alloc(headerBytes)
  magic.copy(bytes)
  let at = magic.length
  at += bytes.write(digestHex(digest), at, 'hex')
  at = bytes.writeBigUInt64BE(BigInt(size), at)
  at = bytes.writeUInt32BE(chunkSizeOf(size), at)
  bytes.writeUInt32BE(crc32(bytes.subarray(0, at)), at)
  return bytes
}

/** The end of a log that is nothing but `header`. */
export function tailOfHeader(header: Buffer): LogTail {
  return { offset: headerBytes, crc: header.readUInt32BE(headerBytes - 4) }
}

/** The bytes of records, given as bodies, as they are written after `tail`; and the tail after them. */
export function frameBodies(
  bodies: readonly Buffer[],
  tail: LogTail,
): { readonly bytes: Buffer; readonly tail: LogTail } {
  let crc = tail.crc
  const frames = bodies.map((body) => {
    const frame = frameOf(body, crc)
    crc = frame.readUInt32BE(frame.length - 4)
    return frame
  })
  const bytes = Buffer.concat(frames)
  return { bytes, tail: { offset: tail.offset + bytes.length, crc } }
}

function frameOf(body: Buffer, crcBefore: number): Buffer {
  const frame = Buffer.alloc(2 + body.length + 4)
  frame.writeUInt16BE(body.length)
  body.copy(frame, 2)
  frame.writeUInt32BE(crc32(frame.subarray(0, -4), crcBefore), frame.length - 4)
  return frame
}

/** Throws a RangeError for an entry that no log could hold. */
export function encodeBody(record: LogRecord): Buffer {
  switch (record.kind) {
    case 'chunk':
      return encodeChunk(record.entry)
    case 'dropped': {
      const body = Buffer.alloc(5, kinds.dropped)
      body.writeUInt32BE(record.index, 1)
      return body
    }
    case 'complete':
      return Buffer.of(kinds.complete)
  }
}

function encodeChunk(entry: Entry): Buffer {
  const origin = Buffer.from(entry.witness.kind === 'fetched' ? entry.witness.origin : '')
  const signer = Buffer.from(entry.signer)
  const fixed = Buffer.alloc(chunkFixedBytes)
  let at = fixed.writeUInt8(kinds.chunk)
  at = fixed.writeUInt32BE(entry.index, at)
  at += fixed.write(digestHex(digestFromHex(entry.hash)), at, 'hex')
  at = fixed.writeUInt8(witnesses[entry.witness.kind], at)
  for (const tail of [origin, signer, entry.signature]) at = fixed.writeUInt16BE(tail.length, at)
  const body = Buffer.concat([fixed, origin, signer, entry.signature])
  if (body.length > bodyBytesMax) throw new RangeError(`a log record of ${body.length} bytes`)
  return body
}

/** Reads a log; undefined when its header is not one of ours. Stops at the first record that is not sound. */
export function readLog(bytes: Buffer): LogView | undefined {
  const header = readHeader(bytes)
  if (header === undefined) return undefined
  const count = chunkCountOf(header.size)
  const reading = { have: bitfieldOf(count), positions: new Uint32Array(count), complete: false, count }
  let tail: LogTail = tailOfHeader(bytes)
  for (let next = nextTail(bytes, tail); next !== undefined; next = nextTail(bytes, tail)) {
    if (!apply(reading, bytes, tail.offset + 2, next.offset - 4)) break
    tail = next
  }
  return { ...header, have: reading.have, complete: reading.complete, positions: reading.positions, tail, bytes }
}

function readHeader(bytes: Buffer): { digest: Digest; size: number } | undefined {
  if (bytes.length < headerBytes || !bytes.subarray(0, magic.length).equals(magic)) return undefined
  if (crc32(bytes.subarray(0, headerBytes - 4)) !== bytes.readUInt32BE(headerBytes - 4)) return undefined
  const digest = digestFromHex(bytes.toString('hex', magic.length, magic.length + 32))
  const size = Number(bytes.readBigUInt64BE(magic.length + 32))
  // A later version may cut blobs otherwise; its chunks are then not ours.
  const isCutAsWeDo = bytes.readUInt32BE(magic.length + 40) === chunkSizeOf(size)
  return isCutAsWeDo ? { digest, size } : undefined
}

/** The tail after the record that starts at `tail`, or undefined where no sound record starts. */
function nextTail(bytes: Buffer, { offset, crc }: LogTail): LogTail | undefined {
  if (offset + 2 > bytes.length) return undefined
  const length = bytes.readUInt16BE(offset)
  const end = offset + 2 + length
  if (length === 0 || length > bodyBytesMax || end + 4 > bytes.length) return undefined
  const recorded = bytes.readUInt32BE(end)
  return crc32(bytes.subarray(offset, end), crc) === recorded ? { offset: end + 4, crc: recorded } : undefined
}

interface Reading {
  readonly have: Uint8Array
  readonly positions: Uint32Array
  readonly count: number
  complete: boolean
}

/** Takes one record's body, `bytes[start, end)`, in; false when it makes no sense. */
function apply(reading: Reading, bytes: Buffer, start: number, end: number): boolean {
  const kind = bytes[start]
  if (kind === kinds.complete) {
    reading.complete = countBits(reading.have) === reading.count
    return reading.complete && end - start === 1
  }
  if (end - start < 5) return false
  const index = bytes.readUInt32BE(start + 1)
  if (index >= reading.count) return false
  if (kind === kinds.dropped) {
    reading.complete = false
    clearBit(reading.have, index)
    reading.positions[index] = 0
    return end - start === 5
  }
  if (kind !== kinds.chunk || chunkBodyBytes(bytes, start, end) !== end - start) return false
  setBit(reading.have, index)
  reading.positions[index] = start
  return true
}

function chunkBodyBytes(bytes: Buffer, start: number, end: number): number {
  if (end - start < chunkFixedBytes) return -1
  const at = start + 38
  return chunkFixedBytes + bytes.readUInt16BE(at) + bytes.readUInt16BE(at + 2) + bytes.readUInt16BE(at + 4)
}

/** The entry of chunk `index`, or undefined where the log has none. */
export function entryOf({ bytes, positions }: LogView, index: number): Entry | undefined {
  const start = positions[index] ?? 0
  if (start === 0) return undefined
  const originEnd = start + chunkFixedBytes + bytes.readUInt16BE(start + 38)
  const signerEnd = originEnd + bytes.readUInt16BE(start + 40)
  const origin = bytes.toString('utf8', start + chunkFixedBytes, originEnd)
  return {
    index,
    hash: bytes.toString('hex', start + 5, start + 37),
    witness: bytes[start + 37] === witnesses.proved ? { kind: 'proved' } : { kind: 'fetched', origin },
    signer: bytes.toString('utf8', originEnd, signerEnd),
    signature: Uint8Array.from(bytes.subarray(signerEnd, signerEnd + bytes.readUInt16BE(start + 42))),
  }
}
