import { generateKeyPair } from '@libp2p/crypto/keys'
import { peerIdFromPrivateKey, peerIdFromString } from '@libp2p/peer-id'
import * as fc from 'fast-check'
import { expect, test } from 'vitest'
import { peerIdOf, publicKeyOf } from '../../../core/wire/peer-id.ts'
import { bytesOf } from './arbitraries.ts'

test('a peer ID and its key are one: each gives the other', () => {
  fc.assert(
    fc.property(bytesOf(32), (key) => {
      expect(publicKeyOf(peerIdOf(key))).toEqual(key)
    }),
  )
})

test('the text is the one that libp2p gives', async () => {
  const key = await generateKeyPair('Ed25519')
  const id = peerIdFromPrivateKey(key)
  expect(peerIdOf(key.publicKey.raw)).toBe(id.toString())
  expect(peerIdFromString(peerIdOf(new Uint8Array(32))).type).toBe('Ed25519')
})

test('identities of other kinds are none', async () => {
  const secp256k1 = peerIdFromPrivateKey(await generateKeyPair('secp256k1')).toString()
  const rsa = peerIdFromPrivateKey(await generateKeyPair('RSA', 2048)).toString()
  const good = peerIdOf(new Uint8Array(32))
  const malformed = [secp256k1, rsa, '', '12D3KooW', good.slice(0, -1), `${good}1`, good.replace('K', '0'), `1${good}`]
  expect(malformed.map((text) => publicKeyOf(text))).toEqual(malformed.map(() => undefined))
  expect(publicKeyOf('12D3KooWzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzz')).toBeUndefined()
})
