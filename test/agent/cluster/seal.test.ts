import { expect, it } from 'vitest'
import { macKeysOf } from '../../../agent/cluster/mac.ts'
import { seal, unseal } from '../../../agent/cluster/seal.ts'

const [key, other] = macKeysOf({ current: new Uint8Array(32).fill(7), previous: new Uint8Array(32).fill(8) })
const bytes = Buffer.from('{"auths":{"registry.example.com":{}}}')

it.each([bytes, Buffer.alloc(0)])('opens what it sealed, under the same key alone', (plain) => {
  const sealed = seal(key, plain)
  expect(unseal(key, sealed)).toEqual(plain)
  expect(unseal(other!, sealed)).toBeUndefined()
})

it('shows nothing of the bytes, and never the same twice', () => {
  const sealed = seal(key, bytes)
  expect(sealed.includes(bytes.subarray(0, 8))).toBe(false)
  expect(seal(key, bytes)).not.toEqual(sealed)
})

it('opens nothing that was changed or cut', () => {
  const sealed = seal(key, bytes)
  for (let at = 0; at < sealed.length; at++) {
    const changed = Buffer.from(sealed)
    changed[at]! ^= 1
    expect(unseal(key, changed)).toBeUndefined()
    expect(unseal(key, sealed.subarray(0, at))).toBeUndefined()
  }
})
