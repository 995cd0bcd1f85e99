/** Who this agent is: an Ed25519 key that persists in the data directory, so that its peer ID survives restarts. */
import { createPrivateKey, generateKeyPairSync, type KeyObject } from 'node:crypto'
import { join } from 'node:path'
import { ShoalError } from '../../core/errors.ts'
import type { PeerId } from '../../core/ports.ts'
import { peerIdOf } from '../../core/wire/peer-id.ts'
import { codeOf, keepOnce, readIfThere } from '../kept-file.ts'

export interface Identity {
  readonly peer: PeerId
  readonly privateKey: KeyObject
  /** The raw key: its 32-byte seed, then the 32 bytes of the public key. */
  readonly rawKey: Uint8Array
}

const fileName = 'identity.pem'

/** An identity for as long as the process lives. */
export function createIdentity(): Identity {
  return identityOf(generateKeyPairSync('ed25519').privateKey)
}

/**
 * The identity in `dataDirectory`, made when there is none. Rejects with `IDENTITY_UNREADABLE` or `IDENTITY_INVALID`
 * and never replaces a file that is there: a peer ID lost by accident would look like another node.
 */
export async function loadIdentity(dataDirectory: string): Promise<Identity> {
  const file = join(dataDirectory, fileName)
  try {
    const kept = await readIfThere(file)
    if (kept !== undefined) return parsePem(kept, file)
    const identity = createIdentity()
    const pem = identity.privateKey.export({ format: 'pem', type: 'pkcs8' }).toString()
    if (await keepOnce(file, pem)) return identity
    // Another process was first; there is one identity per data directory.
    return parsePem((await readIfThere(file)) ?? '', file)
  } catch (error) {
    throw error instanceof ShoalError ? error : unreadable(file, error)
  }
}

function identityOf(privateKey: KeyObject): Identity {
  const { d, x } = privateKey.export({ format: 'jwk' })
  const publicKey = Buffer.from(x ?? '', 'base64url')
  const rawKey = Uint8Array.from([...Buffer.from(d ?? '', 'base64url'), ...publicKey])
  return { peer: peerIdOf(publicKey), privateKey, rawKey }
}

function unreadable(file: string, cause: unknown): ShoalError {
  return new ShoalError('IDENTITY_UNREADABLE', `${file}: ${codeOf(cause)}`, { cause })
}

function parsePem(pem: string, file: string): Identity {
  let key: KeyObject
  try {
    key = createPrivateKey(pem)
  } catch {
    // The cause would quote the file.
    throw new ShoalError('IDENTITY_INVALID', `${file} holds no private key`)
  }
  const kind = key.asymmetricKeyType ?? 'unknown'
  if (kind !== 'ed25519') throw new ShoalError('IDENTITY_INVALID', `${file} holds a key of type ${kind}`)
  return identityOf(key)
}
