import * as fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { limits } from '../../../core/limits.ts'
import type { BulkMessage } from '../../../core/swarm/messages.ts'
import { varint } from '../../../core/wire/bytes.ts'
import { createBulkDecoder, encodeChunkHead, encodeFrameHead } from '../../../core/wire/bulk-messages.ts'
import { bulkMessage, bytesOf, cut, entry, faultOf, fractions } from './arbitraries.ts'

function encode(message: BulkMessage): Uint8Array {
  if (message.type === 'chunk') return encodeChunkHead(message)
  return Buffer.concat([encodeFrameHead(message.id, message.bytes.length), message.bytes])
}

function decode(pieces: readonly Uint8Array[]): BulkMessage[] {
  const decoder = createBulkDecoder()
  return pieces.flatMap((piece) => [...decoder.push(piece)])
}

/** Puts the parts of frames together, so that what was sent and what came can be compared. */
function gather(messages: readonly BulkMessage[]): unknown[] {
  const gathered: unknown[] = []
  let run: { id: number; hex: string } | undefined
  for (const message of messages) {
    if (message.type === 'chunk') {
      run = undefined
      gathered.push({ ...message, entry: { ...message.entry, signature: [...message.entry.signature] } })
    } else if (run?.id === message.id) {
      run.hex += Buffer.from(message.bytes).toString('hex')
    } else {
      run = { id: message.id, hex: Buffer.from(message.bytes).toString('hex') }
      gathered.push(run)
    }
  }
  return gathered
}

describe('bulk messages', () => {
  test('come back as they were sent, however the stream is split', () => {
    fc.assert(
      fc.property(fc.array(bulkMessage, { maxLength: 8 }), fractions, (messages, at) => {
        const pieces = cut(Buffer.concat(messages.map((message) => encode(message))), at)
        expect(gather(decode(pieces))).toEqual(gather(messages))
      }),
    )
  })

  test('a frame is handed on as views, never gathered', () => {
    const bytes = new Uint8Array(limits.frameSizeBytes)
    const stream = Uint8Array.from(Buffer.concat([encodeFrameHead(1, bytes.length), bytes]))
    const frames = decode([stream.subarray(0, 1000), stream.subarray(1000)])
    expect(frames.map((frame) => frame.type === 'frame' && frame.bytes.buffer === stream.buffer)).toEqual([true, true])
  })

  test('a signature is a copy, so that an entry does not hold on to the packet', () => {
    const sent = fc.sample(entry, 1)[0]
    if (sent === undefined) throw new Error('no sample')
    const stream = Uint8Array.from(encodeChunkHead({ type: 'chunk', id: 1, offset: 0, entry: sent }))
    const [head] = decode([stream])
    if (head?.type !== 'chunk') throw new Error('no head')
    expect(head.entry.signature.buffer).not.toBe(stream.buffer)
  })

  test('the longest head fits its bound', () => {
    const [sample] = fc.sample(entry, 1)
    if (sample === undefined) throw new Error('no sample')
    const origin = 'o'.repeat(limits.originMaxLength)
    const longest = { ...sample, index: limits.chunksPerBlobMax - 1, witness: { kind: 'fetched' as const, origin } }
    const id = Number.MAX_SAFE_INTEGER
    const stream = encodeChunkHead({ type: 'chunk', id, offset: limits.chunkSizeMaxBytes - 1, entry: longest })
    expect(decode([stream])).toHaveLength(1)
    expect(encodeFrameHead(id, 1).length - 1).toBe(limits.frameHeadMaxBytes)
  })

  test.each([
    ['an empty message', '00'],
    ['an unknown type', '0103'],
    ['a frame without an id', '0102'],
    ['a frame without bytes', '020201'],
    ['a frame whose id never ends', '0402808080'],
    ['a chunk head without fields', '010100'],
    ['an id in an overlong form', '0402800001'],
  ])('%s is refused with PEER_PROTOCOL', (_name, hex) => {
    expect(() => decode([Buffer.from(hex, 'hex')])).toThrow(expect.objectContaining({ code: 'PEER_PROTOCOL' }))
  })

  test('a frame or a head over its bound is refused by its length, before its bytes come', () => {
    const refused = expect.objectContaining({ code: 'PEER_PROTOCOL' })
    expect(() => decode([varint(limits.frameSizeBytes + limits.frameHeadMaxBytes + 1)])).toThrow(refused)
    expect(() => decode([varint(limits.frameSizeBytes + 3), Uint8Array.of(2, 1)])).toThrow(refused)
    expect(() => decode([varint(limits.chunkHeadMaxBytes + 2), Uint8Array.of(1)])).toThrow(refused)
    expect(() => encodeFrameHead(1, limits.frameSizeBytes + 1)).toThrow(RangeError)
    expect(() => encodeFrameHead(1, 0)).toThrow(RangeError)
  })

  test('an origin with a newline is refused: it would forge what a signature covers', () => {
    const [sample] = fc.sample(entry, 1)
    if (sample === undefined) throw new Error('no sample')
    const origin = 'registry.example'
    const chunk = {
      type: 'chunk' as const,
      id: 1,
      offset: 0,
      entry: { ...sample, witness: { kind: 'fetched' as const, origin } },
    }
    const stream = Buffer.from(encodeChunkHead(chunk))
    stream.write('\n', stream.indexOf(origin))
    expect(() => decode([stream])).toThrow(expect.objectContaining({ code: 'PEER_PROTOCOL' }))
  })

  test('any bytes decode or are refused with PEER_PROTOCOL', () => {
    const noise = fc.oneof(
      fc.uint8Array({ maxLength: 600 }),
      bytesOf(5).map((bytes) => Uint8Array.of(...bytes, 1)),
    )
    fc.assert(
      fc.property(noise, fractions, (bytes, at) => {
        expect(faultOf(() => decode(cut(bytes, at)))).toBeOneOf([undefined, 'PEER_PROTOCOL'])
      }),
      { numRuns: 1000 },
    )
  })
})
