import * as fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { limits } from '../../../core/limits.ts'
import { digestFromHex } from '../../../core/oci/digest.ts'
import { createFrameDecoder } from '../../../core/wire/frames.ts'
import { decodePeerMessage, encodePeerMessage } from '../../../core/wire/peer-messages.ts'
import { cut, faultOf, fractions, peerMessage } from './arbitraries.ts'

const digest = digestFromHex('ab'.repeat(32))
const digestHexBytes = 'ab'.repeat(32)

function decodeHex(frame: string) {
  return decodePeerMessage(Buffer.from(frame, 'hex'))
}

function hex(bytes: Uint8Array): string {
  return Buffer.from(bytes).toString('hex')
}

describe('control messages', () => {
  test('come back as they were sent, however the stream is split', () => {
    fc.assert(
      fc.property(fc.array(peerMessage, { maxLength: 8 }), fractions, (messages, at) => {
        const decoder = createFrameDecoder(limits.controlFrameMaxBytes)
        const pieces = cut(Buffer.concat(messages.map((message) => encodePeerMessage(message))), at)
        const frames = pieces.flatMap((piece) => [...decoder.push(piece)])
        expect(frames.map((frame) => decodePeerMessage(frame))).toEqual(messages)
      }),
    )
  })

  test('have the bytes that the protocol fixes', () => {
    expect(hex(encodePeerMessage({ type: 'cancel', id: 300 }))).toBe('0305ac02')
    expect(hex(encodePeerMessage({ type: 'leave', digest }))).toBe(`2103${digestHexBytes}`)
    expect(hex(encodePeerMessage({ type: 'request', id: 1, digest, index: 2, offset: 128 }))).toBe(
      `250401${digestHexBytes}028001`,
    )
  })

  test('a bitfield is a copy, so that it does not hold on to the packet', () => {
    const frame = encodePeerMessage({ type: 'join', digest, size: 1, have: Uint8Array.of(1) }).slice(1)
    const message = decodePeerMessage(frame)
    frame.fill(0)
    expect(message).toEqual({ type: 'join', digest, size: 1, have: Uint8Array.of(1) })
  })

  test.each([
    ['nothing', ''],
    ['an unknown type', '0b'],
    ['type 0', '00'],
    ['a trailing byte', '050100'],
    ['a missing field', '05'],
    ['a cut digest', `03${digestHexBytes.slice(2)}`],
    ['an overlong varint', '058000'],
    ['a varint over 2^53', '05ffffffffffffff1f'],
    ['a varint without end', '05ffffffffffffffffff01'],
    ['an index beyond the largest blob', `0401${digestHexBytes}80800400`],
    ['an offset beyond the largest chunk', `0401${digestHexBytes}0080808002`],
    ['a bitfield that is too short', `01${digestHexBytes}01`],
    ['a bitfield that is too long', `01${digestHexBytes}010100`],
    ['a bit beyond the last chunk', `01${digestHexBytes}0102`],
    ['a blob larger than any', `01${digestHexBytes}818080808040`],
    ['a have with an index beyond the largest blob', `02${digestHexBytes}808004`],
    ['a busy with half a peer', '0701abcd'],
    ['a vouch with half a hash', `0a${digestHexBytes}00abcd`],
    ['a vouch for too many chunks', `0a${digestHexBytes}00${'ab'.repeat(32 * (limits.vouchChunks + 1))}`],
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
        const fault = faultOf(() => (again = encodePeerMessage(decodePeerMessage(frame)).subarray(1)))
        expect(fault ?? Uint8Array.from(again ?? [])).toEqual(fault === undefined ? frame : 'PEER_PROTOCOL')
      }),
      { numRuns: 1000 },
    )
  })

  test('what no agent may say is a bug of ours', () => {
    const indices = Array.from({ length: 40_000 }, () => 65_535)
    expect(() => encodePeerMessage({ type: 'have', digest, indices })).toThrow(RangeError)
    expect(() => encodePeerMessage({ type: 'cancel', id: -1 })).toThrow(RangeError)
    expect(() => encodePeerMessage({ type: 'busy', id: 1, try: ['QmNotEd25519'] })).toThrow(RangeError)
  })
})
