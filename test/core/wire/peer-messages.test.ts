import * as fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { limits } from '../../../core/limits.ts'
import { digestFromHex } from '../../../core/oci/digest.ts'
import { createFrameDecoder } from '../../../core/wire/frames.ts'
import { createPeerMessageDecoder, createPeerMessageEncoder } from '../../../core/wire/peer-messages.ts'
import { cut, faultOf, fractions, peerMessage } from './arbitraries.ts'

const digest = digestFromHex('ab'.repeat(32))
/** As a blob goes that is spoken of for the first time. */
const anew = `00${'ab'.repeat(32)}`

function decodeHex(frame: string) {
  return createPeerMessageDecoder()(Buffer.from(frame, 'hex'))
}

function hex(bytes: Uint8Array): string {
  return Buffer.from(bytes).toString('hex')
}

describe('control messages', () => {
  test('come back as they were sent, however the stream is split', () => {
    fc.assert(
      fc.property(fc.array(peerMessage, { maxLength: 8 }), fractions, (messages, at) => {
        const decoder = createFrameDecoder(limits.controlFrameMaxBytes)
        const pieces = cut(Buffer.concat(messages.map(createPeerMessageEncoder())), at)
        const frames = pieces.flatMap((piece) => [...decoder.push(piece)])
        expect(frames.map(createPeerMessageDecoder())).toEqual(messages)
      }),
    )
  })

  test('have the bytes that the protocol fixes', () => {
    const encode = createPeerMessageEncoder()
    expect(hex(encode({ type: 'cancel', id: 300 }))).toBe('0305ac02')
    expect(hex(encode({ type: 'leave', digest }))).toBe(`2203${anew}`)
    expect(hex(encode({ type: 'request', id: 1, digest, index: 2, offset: 128 }))).toBe('06040101028001')
  })

  test('a blob goes whole once, and once more when others have taken all handles since', () => {
    const encode = createPeerMessageEncoder()
    const decode = createPeerMessageDecoder()
    const lengthOf = (blob: number): number => {
      const message = { type: 'leave', digest: digestFromHex(`${blob}`.padStart(64, '0')) } as const
      const bytes = encode(message)
      expect(decode(bytes.subarray(1))).toEqual(message)
      return bytes.length
    }
    const [whole, short] = [35, 3]
    for (let blob = 1; blob <= limits.handlesMax; blob++) expect(lengthOf(blob)).toBe(whole)
    expect(lengthOf(1)).toBe(short)
    expect(lengthOf(limits.handlesMax + 1)).toBe(whole)
    expect(lengthOf(2)).toBe(short)
    expect(lengthOf(1)).toBe(whole)
    expect(lengthOf(2)).toBe(whole)
  })

  test('a blob that goes whole where it has a handle is refused', () => {
    const decode = createPeerMessageDecoder()
    const leave = Buffer.from(`03${anew}`, 'hex')
    expect(decode(leave)).toEqual({ type: 'leave', digest })
    expect(() => decode(leave)).toThrow(expect.objectContaining({ code: 'PEER_PROTOCOL' }))
  })

  test('a bitfield is a copy, so that it does not hold on to the packet', () => {
    const frame = createPeerMessageEncoder()({ type: 'join', digest, size: 1, have: Uint8Array.of(1) }).slice(1)
    const message = createPeerMessageDecoder()(frame)
    frame.fill(0)
    expect(message).toEqual({ type: 'join', digest, size: 1, have: Uint8Array.of(1) })
  })

  test.each([
    ['nothing', ''],
    ['an unknown type', '0c'],
    ['a handle that no blob has', '0301'],
    ['a handle beyond the last', '038001'],
    ['type 0', '00'],
    ['a trailing byte', '050100'],
    ['a missing field', '05'],
    ['a cut digest', `03${anew.slice(2)}`],
    ['an overlong varint', '058000'],
    ['a varint over 2^53', '05ffffffffffffff1f'],
    ['a varint without end', '05ffffffffffffffffff01'],
    ['an index beyond the largest blob', `04${anew}0180800400`],
    ['an offset beyond the largest chunk', `04${anew}010080808002`],
    ['a bitfield that is too short', `01${anew}01`],
    ['a bitfield that is too long', `01${anew}010100`],
    ['a bit beyond the last chunk', `01${anew}0102`],
    ['a blob larger than any', `01${anew}818080808040`],
    ['a have with an index beyond the largest blob', `02${anew}808004`],
    ['a busy with half a peer', '0701abcd'],
    ['a vouch with half a hash', `0a${anew}00abcd`],
    ['a vouch for too many chunks', `0a${anew}00${'ab'.repeat(32 * (limits.vouchChunks + 1))}`],
    ['a busy with too many peers', `0701${'ab'.repeat(32 * (limits.busyHintsMax + 1))}`],
  ])('%s is refused with PEER_PROTOCOL', (_name, frame) => {
    expect(() => decodeHex(frame)).toThrow(expect.objectContaining({ code: 'PEER_PROTOCOL' }))
  })

  test('any bytes decode or are refused with PEER_PROTOCOL, and decode only from their one encoding', () => {
    const typed = fc.tuple(fc.nat({ max: 11 }), fc.uint8Array({ maxLength: 80 })).map(([type, rest]) => [type, ...rest])
    fc.assert(
      fc.property(typed, (bytes) => {
        const frame = Uint8Array.from(bytes)
        let again: Uint8Array | undefined
        const fault = faultOf(() => (again = createPeerMessageEncoder()(createPeerMessageDecoder()(frame)).subarray(1)))
        expect(fault ?? Uint8Array.from(again ?? [])).toEqual(fault === undefined ? frame : 'PEER_PROTOCOL')
      }),
      { numRuns: 1000 },
    )
  })

  test('what no agent may say is a bug of ours', () => {
    const indices = Array.from({ length: 40_000 }, () => 65_535)
    expect(() => createPeerMessageEncoder()({ type: 'have', digest, indices })).toThrow(RangeError)
    expect(() => createPeerMessageEncoder()({ type: 'cancel', id: -1 })).toThrow(RangeError)
    expect(() => createPeerMessageEncoder()({ type: 'busy', id: 1, try: ['QmNotEd25519'] })).toThrow(RangeError)
  })
})
