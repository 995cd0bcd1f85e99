import { describe, expect, test } from 'vitest'
import {
  contentLength,
  contentRange,
  isEncoded,
  mediaType,
  retryAfterMs,
  unsatisfiedSize,
} from '../../../agent/upstream/headers.ts'
import { limits } from '../../../core/limits.ts'

describe('Content-Range', () => {
  test.each([
    ['bytes 0-99/1000', { start: 0, end: 100, total: 1000 }],
    ['bytes 5-5/6', { start: 5, end: 6, total: 6 }],
    ['bytes 0-99/*', undefined],
    ['bytes */1000', undefined],
    ['bytes=0-99/1000', undefined],
    ['bytes 0-99/1000, bytes 5-6/1000', undefined],
    ['bytes -1-99/1000', undefined],
    ['bytes 0x0-0x63/1000', undefined],
    ['bytes 0-99999999999999999999/99999999999999999999', undefined],
    ['', undefined],
  ])('%j', (text, expected) => {
    expect(contentRange({ 'content-range': text })).toEqual(expected)
  })

  test('twice is not at all', () => {
    expect(contentRange({ 'content-range': ['bytes 0-1/2', 'bytes 0-1/2'] })).toBeUndefined()
  })

  test('the size that a 416 tells', () => {
    expect(unsatisfiedSize({ 'content-range': 'bytes */1000' })).toBe(1000)
    expect(unsatisfiedSize({ 'content-range': 'bytes 0-1/2' })).toBeUndefined()
  })
})

test.each([
  ['0', 0],
  ['1234', 1234],
  ['+1', undefined],
  ['1.5', undefined],
  ['12345678901234567890', undefined],
  ['', undefined],
])('Content-Length %j', (text, expected) => {
  expect(contentLength({ 'content-length': text })).toBe(expected)
})

test.each([
  ['application/vnd.oci.image.index.v1+json', 'application/vnd.oci.image.index.v1+json'],
  ['application/json; charset=utf-8', 'application/json'],
  ['application', undefined],
  ['a/b\r\nx: y', undefined],
  ['', undefined],
])('Content-Type %j', (text, expected) => {
  expect(mediaType({ 'content-type': text })).toBe(expected)
})

test('Content-Encoding', () => {
  expect(isEncoded({})).toBe(false)
  expect(isEncoded({ 'content-encoding': 'identity' })).toBe(false)
  expect(isEncoded({ 'content-encoding': 'gzip' })).toBe(true)
  expect(isEncoded({ 'content-encoding': ['identity', 'br'] })).toBe(true)
})

describe('Retry-After', () => {
  const date = 'Mon, 23 Nov 2026 10:00:00 GMT'
  test.each([
    ['0', 0],
    ['7', 7000],
    ['Mon, 23 Nov 2026 10:00:30 GMT', 30_000],
    ['Mon, 23 Nov 2026 09:00:00 GMT', 0],
    ['Mon, 23 Nov 2099 10:00:30 GMT', limits.originRetryAfterMaxMs],
    ['999999999', limits.originRetryAfterMaxMs],
    ['soon', undefined],
    ['-5', undefined],
  ])('%j', (text, expected) => {
    expect(retryAfterMs({ 'retry-after': text, date })).toBe(expected)
  })

  test('is often absent', () => {
    expect(retryAfterMs({ date })).toBeUndefined()
  })
})
