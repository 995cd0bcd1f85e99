import { inspect } from 'node:util'
import { expect, test } from 'vitest'
import {
  type Account,
  anonymous,
  createAccountCredential,
  createCredential,
  revealAccount,
  revealAuthorization,
} from '../../../agent/upstream/credential.ts'

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

const robot: Account = { kind: 'password', username: 'robot', password: 'canary-5f3a' }
const token: Account = { kind: 'identity-token', token: 'canary-5f3a' }

test.each([robot, token])('an account shows nothing either, and is no authorization: $kind', (account) => {
  const credential = createAccountCredential(account, key)
  const printed = [JSON.stringify(credential), inspect(credential, { showHidden: true, depth: 9 }), credential?.key]
  expect(printed.join()).not.toMatch(/canary|robot/)
  expect(credential && revealAccount(credential)).toEqual(account)
  expect(credential && revealAuthorization(credential)).toBeUndefined()
  expect(revealAccount(anonymous)).toBeUndefined()
})

test('accounts that differ in anything have keys that differ', () => {
  const accounts: Account[] = [
    robot,
    token,
    { ...robot, username: 'robot2' },
    { ...robot, password: 'canary' },
    { ...token, token: 'robot:canary-5f3a' },
  ]
  const keys = accounts.map((account) => createAccountCredential(account, key)?.key)
  expect(new Set(keys).size).toBe(accounts.length)
  expect(createAccountCredential({ ...robot }, key)?.key).toBe(keys[0])
})

test.each<Account>([
  { ...robot, username: '' },
  { ...robot, username: 'a:b' },
  { ...robot, username: 'a\nb' },
  { ...robot, password: '' },
  { ...robot, password: 'a\0b' },
  { ...robot, password: 'a'.repeat(20_000) },
  { ...token, token: '' },
  { ...token, token: 'a\0' },
])('%j is no account', (account) => {
  expect(createAccountCredential(account, key)).toBeUndefined()
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
