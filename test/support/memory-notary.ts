/** The Notary of tests: names instead of keys, a hash instead of a signature. Whoever knows a name can sign in it. */
import { createHash } from 'node:crypto'
import type { Notary, PeerId } from '../../core/ports.ts'

function seal(signer: PeerId, payload: Uint8Array): Uint8Array {
  return new Uint8Array(createHash('sha512').update(`${signer}\n`).update(payload).digest())
}

export function createMemoryNotary(self: PeerId): Notary {
  return {
    self,
    sign: (payload) => seal(self, payload),
    verify: (signer, payload, signature) => Buffer.from(seal(signer, payload)).equals(signature),
  }
}
