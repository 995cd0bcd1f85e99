/** Signs the entries of this agent and checks those of others (core/ports.ts, Notary). */
import { createPublicKey, sign, verify, type KeyObject } from 'node:crypto'
import { createBoundedMap } from '../../core/bounded-map.ts'
import { limits } from '../../core/limits.ts'
import type { Notary, PeerId } from '../../core/ports.ts'
import { publicKeyOf } from '../../core/wire/peer-id.ts'
import type { Identity } from './identity.ts'

/** What goes before the 32 bytes of an Ed25519 public key in DER (RFC 8410, section 4). */
const derPrefix = Buffer.from('302a300506032b6570032100', 'hex')

/** Only Ed25519 peer IDs can be signers: the key is in the ID, so nothing is looked up and nobody is asked. */
export function createNotary(identity: Pick<Identity, 'peer' | 'privateKey'>): Notary {
  // Making a key ready costs as much as half a verification.
  const keys = createBoundedMap<PeerId, KeyObject>(limits.signerKeysMax)

  function keyOf(signer: PeerId): KeyObject | undefined {
    const ready = keys.get(signer)
    if (ready !== undefined) return ready
    const raw = publicKeyOf(signer)
    if (raw === undefined) return undefined
    const key = createPublicKey({ key: Buffer.concat([derPrefix, raw]), format: 'der', type: 'spki' })
    keys.set(signer, key)
    return key
  }

  return {
    self: identity.peer,
    sign: (payload) => new Uint8Array(sign(null, payload, identity.privateKey)),
    verify(signer, payload, signature) {
      const key = keyOf(signer)
      return key !== undefined && verify(null, payload, key, signature)
    },
  }
}
