/**
 * Hides what members send each other from whoever listens on the network: AES-256-GCM, under a key of its own for each
 * message, so that no nonce can come twice. Announces go without; the content of images may be private, and the names of repositories.
 *
 *   16 bytes of salt │ 16 bytes of tag │ the bytes
 */
import { createCipheriv, createDecipheriv, hkdfSync, randomBytes } from 'node:crypto'
import type { MacKey } from './mac.ts'

const saltBytes = 16
const tagBytes = 16
const keyBytes = 32
const nonceBytes = 12
const cipher = 'aes-256-gcm'

export function seal(key: MacKey, bytes: Uint8Array): Buffer {
  const salt = randomBytes(saltBytes)
  const { messageKey, nonce } = deriveKey(key, salt)
  const cipherer = createCipheriv(cipher, messageKey, nonce)
  const sealed = [cipherer.update(bytes), cipherer.final()]
  return Buffer.concat([salt, cipherer.getAuthTag(), ...sealed])
}

/** Undefined when it was not sealed under this key, or was changed. */
export function unseal(key: MacKey, sealed: Uint8Array): Buffer | undefined {
  if (sealed.length < saltBytes + tagBytes) return undefined
  const { messageKey, nonce } = deriveKey(key, sealed.subarray(0, saltBytes))
  const decipherer = createDecipheriv(cipher, messageKey, nonce, { authTagLength: tagBytes })
  decipherer.setAuthTag(sealed.subarray(saltBytes, saltBytes + tagBytes))
  try {
    return Buffer.concat([decipherer.update(sealed.subarray(saltBytes + tagBytes)), decipherer.final()])
  } catch {
    return undefined
  }
}

function deriveKey({ sealKey }: MacKey, salt: Uint8Array): { messageKey: Uint8Array; nonce: Uint8Array } {
  const derived = new Uint8Array(
    hkdfSync('sha256', sealKey, salt, 'shoal cluster: sealed message 1', keyBytes + nonceBytes),
  )
  return { messageKey: derived.subarray(0, keyBytes), nonce: derived.subarray(keyBytes) }
}
