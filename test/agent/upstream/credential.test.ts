import { inspect } from 'node:util'
import { expect, test } from 'vitest'
import { anonymous, createCredential, revealAuthorization } from '../../../agent/upstream/credential.ts'

const key = new Uint8Array(32).fill(1)

test('shows its secret to nobody who prints it', () => {
  const credential = createCredential('Bearer canary-5f3a', key)
  const printed = [
    Object.prototype.toString.call(credential),
    JSON.stringify(credential),
    inspect(credential, { showHidden: true, depth: 9 }),
    `${credential?.key}`,
  ]
  expect(printed.join()).not.toContain('canary')
  expect(credential && revealAuthorization(credential)).toBe('Bearer canary-5f3a')
  expect(revealAuthorization(anonymous)).toBeUndefined()
  expect(revealAuthorization({ key: credential?.key ?? '' })).toBeUndefined()
})

const keyOf = (authorization: string, hmacKey: Uint8Array) => createCredential(authorization, hmacKey)?.key

test('equal secrets have equal keys, under one HMAC key only', () => {
  expect(keyOf('Basic dTpw', key)).toBe(keyOf('Basic dTpw', key))
  expect(keyOf('Basic dTpw', key)).not.toBe(keyOf('Basic dTpx', key))
  expect(keyOf('Basic dTpw', key)).not.toBe(keyOf('Basic dTpw', key.with(0, 2)))
})

test.each([
  '',
  'Basic',
  'Basic ',
  'Basic a b',
  'Digest a=b',
  'Negotiate abc',
  'Bearer a\r\nx: y',
  'Bearer \u00e9',
  'dTpw',
  `Bearer ${'a'.repeat(20_000)}`,
])('%j is no credential that we pass on', (authorization) => {
  expect(createCredential(authorization, key)).toBeUndefined()
})
