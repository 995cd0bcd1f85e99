/**
 * The ciphers of noise on OpenSSL, with one key object per key instead of one per record: the stock implementation spends
 * as much on making keys as on using them (facts/transport.md).
 */
import {
  createCipheriv,
  createDecipheriv,
  createHash,
  createPrivateKey,
  createPublicKey,
  createSecretKey,
  diffieHellman,
  generateKeyPairSync,
  type KeyObject,
} from 'node:crypto'
import { type ICryptoInterface, pureJsCrypto } from '@chainsafe/libp2p-noise'
import { Uint8ArrayList } from 'uint8arraylist'

type Bytes = Uint8Array | Uint8ArrayList

const algorithm = 'chacha20-poly1305'
const authTagLength = 16

/** What DER puts before the 32 bytes of an X25519 key (RFC 8410). */
const privateKeyHead = Buffer.from('302e020100300506032b656e04220420', 'hex')
const publicKeyHead = Buffer.from('302a300506032b656e032100', 'hex')

function der(head: Uint8Array, key: Bytes): Buffer {
  return Buffer.concat([head, key.subarray()])
}

export function createNoiseCrypto(): ICryptoInterface {
  const keys = new WeakMap<Uint8Array, KeyObject>()

  function keyOf(k: Uint8Array): KeyObject {
    const known = keys.get(k)
    if (known !== undefined) return known
    const key = createSecretKey(k)
    keys.set(k, key)
    return key
  }

  return {
    ...pureJsCrypto,
    hashSHA256(data) {
      const hash = createHash('sha256')
      for (const piece of piecesOf(data)) hash.update(piece)
      return hash.digest()
    },
    generateX25519KeyPair() {
      const { privateKey, publicKey } = generateKeyPairSync('x25519', {
        privateKeyEncoding: { format: 'der', type: 'pkcs8' },
        publicKeyEncoding: { format: 'der', type: 'spki' },
      })
      return {
        privateKey: privateKey.subarray(privateKeyHead.length),
        publicKey: publicKey.subarray(publicKeyHead.length),
      }
    },
    generateX25519SharedKey: (privateKey, publicKey) =>
      diffieHellman({
        privateKey: createPrivateKey({ key: der(privateKeyHead, privateKey), format: 'der', type: 'pkcs8' }),
        publicKey: createPublicKey({ key: der(publicKeyHead, publicKey), format: 'der', type: 'spki' }),
      }),
    chaCha20Poly1305Encrypt(plaintext, nonce, ad, k) {
      const cipher = createCipheriv(algorithm, keyOf(k), nonce, { authTagLength })
      cipher.setAAD(ad, { plaintextLength: plaintext.byteLength })
      const output = new Uint8ArrayList()
      for (const piece of piecesOf(plaintext)) output.append(cipher.update(piece))
      cipher.final()
      output.append(cipher.getAuthTag())
      return output
    },
    chaCha20Poly1305Decrypt(ciphertext, nonce, ad, k) {
      const length = ciphertext.byteLength - authTagLength
      const decipher = createDecipheriv(algorithm, keyOf(k), nonce, { authTagLength })
      decipher.setAAD(ad, { plaintextLength: length })
      decipher.setAuthTag(ciphertext.subarray(length))
      const output = new Uint8ArrayList()
      const text = ciphertext instanceof Uint8Array ? ciphertext.subarray(0, length) : ciphertext.sublist(0, length)
      for (const piece of piecesOf(text)) output.append(decipher.update(piece))
      decipher.final()
      return output
    },
  }
}

function piecesOf(bytes: Bytes): Iterable<Uint8Array> {
  return bytes instanceof Uint8Array ? [bytes] : bytes
}
