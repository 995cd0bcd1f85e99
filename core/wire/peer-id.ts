/**
 * Peer IDs of Ed25519 keys: the key is in the ID itself (libp2p peer-ids spec, "Ed25519"), as base58 of an identity
 * multihash around a protobuf of 4 bytes and the 32 bytes of the key. Others (RSA, secp256k1) are no peer IDs to us.
 */
import type { PeerId } from '../ports.ts'

/** Identity multihash (0x00) of 36 bytes (0x24): field 1 varint `1` (Ed25519), field 2 of 32 bytes (the key). */
const prefix = '002408011220'
const alphabet = '123456789ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnopqrstuvwxyz'
const grammar = /^12D3KooW[1-9A-HJ-NP-Za-km-z]{44}$/
export const publicKeySizeBytes = 32

/** The peer ID of an Ed25519 public key of 32 bytes. */
export function peerIdOf(publicKey: Uint8Array): PeerId {
  if (publicKey.length !== publicKeySizeBytes)
    throw new RangeError(`an Ed25519 key has 32 bytes, not ${publicKey.length}`)
  let text = ''
  for (let rest = BigInt(`0x${prefix}${Buffer.from(publicKey).toString('hex')}`); rest > 0n; rest /= 58n) {
    text = alphabet.charAt(Number(rest % 58n)) + text
  }
  return `1${text}`
}

/** The Ed25519 public key in a peer ID, or undefined when `text` is not exactly such an ID. */
export function publicKeyOf(text: string): Uint8Array | undefined {
  if (!grammar.test(text)) return undefined
  let value = 0n
  for (const letter of text) value = value * 58n + BigInt(alphabet.indexOf(letter))
  const hex = value.toString(16).padStart(prefix.length + 2 * publicKeySizeBytes, '0')
  if (!hex.startsWith(prefix) || hex.length !== prefix.length + 2 * publicKeySizeBytes) return undefined
  return Uint8Array.from(Buffer.from(hex.slice(prefix.length), 'hex'))
}
