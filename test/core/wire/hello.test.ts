import { expect, test } from 'vitest'
import { decodeAnswer, decodeHello, encodeAnswer, encodeHello } from '../../../core/wire/hello.ts'

const refused = expect.objectContaining({ code: 'PEER_PROTOCOL' })

test('a hello and its answer come back as they were sent', () => {
  expect(decodeHello(encodeHello(1_800_000_000_123).subarray(1))).toBe(1_800_000_000_123)
  expect(decodeAnswer(encodeAnswer({ taken: true, attempt: 7 }).subarray(1))).toEqual({ taken: true, attempt: 7 })
  expect(decodeAnswer(encodeAnswer({ taken: false, attempt: 0 }).subarray(1))).toEqual({ taken: false, attempt: 0 })
})

test('anything else is refused', () => {
  expect(() => decodeHello(Uint8Array.of())).toThrow(refused)
  expect(() => decodeHello(Uint8Array.of(1, 1))).toThrow(refused)
  expect(() => decodeAnswer(Uint8Array.of(2, 1))).toThrow(refused)
  expect(() => decodeAnswer(Uint8Array.of(1))).toThrow(refused)
})
