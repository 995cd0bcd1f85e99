import { expect, test } from 'vitest'
import { parseGoDuration } from '../../../agent/credentials/go-duration.ts'
import { hour, minute, second } from '../../../core/units.ts'

test.each([
  ['12h', 12 * hour],
  ['12h0m0s', 12 * hour],
  ['1h30m', 90 * minute],
  ['1.5h', 90 * minute],
  ['0s', 0],
  ['0', 0],
  ['10m', 10 * minute],
  ['1m0.5s', minute + 0.5 * second],
  ['250ms', 250],
  ['5000us', 5],
  ['5000µs', 5],
  ['1000000ns', 1],
])('%s', (text, ms) => {
  expect(parseGoDuration(text)).toBe(ms)
})

test.each(['', '12', 'h', '-1h', '1h 30m', '1d', '1h-30m', 'Infinity', '1e3s', '1hx'])('%j is none', (text) => {
  expect(parseGoDuration(text)).toBeUndefined()
})
