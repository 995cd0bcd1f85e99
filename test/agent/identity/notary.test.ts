import { generateKeyPair } from '@libp2p/crypto/keys'
import { peerIdFromPrivateKey } from '@libp2p/peer-id'
import { expect, test } from 'vitest'
import { createIdentity } from '../../../agent/identity/identity.ts'
import { createNotary } from '../../../agent/identity/notary.ts'

const payload = new TextEncoder().encode('shoal entry 1\n')

test('signs as libp2p would with the same key', async () => {
  const key = await generateKeyPair('Ed25519')
  const notary = createNotary(createIdentity())
  const signature = await key.sign(payload)
  expect(notary.verify(peerIdFromPrivateKey(key).toString(), payload, signature)).toBe(true)
})

test('a signer with another kind of key is refused, though its signature is good', async () => {
  const notary = createNotary(createIdentity())
  for (const key of [await generateKeyPair('secp256k1'), await generateKeyPair('RSA', 2048)]) {
    const signature = await key.sign(payload)
    expect(notary.verify(peerIdFromPrivateKey(key).toString(), payload, signature)).toBe(false)
  }
  expect(notary.verify('not a peer ID', payload, new Uint8Array(64))).toBe(false)
})
