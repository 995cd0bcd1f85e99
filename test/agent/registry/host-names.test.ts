import { expect, test } from 'vitest'
import { isOwnHost } from '../../../agent/registry/host-names.ts'

test.each([
  'localhost',
  'LOCALHOST:5050',
  '127.0.0.1',
  '127.0.0.1:5050',
  '[::1]:5050',
  '10.0.0.7:5050',
  'node.local:5050',
])('ours: %s', (header) => {
  expect(isOwnHost([header], ['Node.local'])).toBe(true)
})

test.each([
  'evil.example',
  'evil.example:5050',
  'localhost.evil.example',
  'node.local.evil',
  '127.0.0.1.evil',
  '',
  ':5050',
  'localhost:port',
  'localhost:5050:1',
  'user@localhost',
  'localhost/',
  '[::1',
  '::1',
  '[evil]',
  'node_local',
])('not ours: %j', (header) => {
  expect(isOwnHost([header], ['node.local'])).toBe(false)
})

test('a request without a Host is not for us', () => {
  expect(isOwnHost(undefined, [])).toBe(false)
})

test('a request with two is for nobody', () => {
  expect(isOwnHost(['localhost', 'localhost'], [])).toBe(false)
})
