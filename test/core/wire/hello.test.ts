import { expect, test } from 'vitest'
import { decodeAnswer, decodeHello, encodeAnswer, encodeHello } from '../../../core/wire/hello.ts'

const refused = expect.objectContaining({ code: 'PEER_PROTOCOL' })
const lanes = { port: 65_535, id: new Uint8Array(16).fill(3), key: new Uint8Array(32).fill(4) }

test('a hello and its answer come back as they were sent', () => {
  expect(decodeHello(encodeHello(1_800_000_000_123).subarray(1))).toBe(1_800_000_000_123)
  expect(decodeAnswer(encodeAnswer({ lanes, attempt: 7 }).subarray(1))).toEqual({ lanes, attempt: 7 })
  expect(decodeAnswer(encodeAnswer({ lanes: undefined, attempt: 0 }).subarray(1))).toEqual({ attempt: 0 })
})

test('anything else is refused', () => {
  expect(() => decodeHello(Uint8Array.of())).toThrow(refused)
  expect(() => decodeHello(Uint8Array.of(1, 1))).toThrow(refused)
  expect(() => decodeAnswer(Uint8Array.of(2, 1))).toThrow(refused)
  expect(() => decodeAnswer(Uint8Array.of(1))).toThrow(refused)
  expect(() => decodeAnswer(Uint8Array.of(1, 7, 0xff, 0xff, 0x04))).toThrow(refused)
  expect(() => decodeAnswer(Uint8Array.of(0, 7, 1))).toThrow(refused)
})
