/**
 * Admission: noise with the cluster secret in its prologue. Whoever has another secret fails the handshake's last tag, so
 * no protocol of ours is spoken to them; the noise specification, section 6, says why that is sound. The protocol's name
 * carries an ID of the secret, so that an agent can offer two while the secret is being replaced, and each finds the other's.
 */
import { createHmac, hkdfSync } from 'node:crypto'
import { noise } from '@chainsafe/libp2p-noise'
import type { ConnectionEncrypter } from '@libp2p/interface'
import type { ClusterSecrets } from '../cluster-secret.ts'

type EncrypterFactory = (components: Parameters<ReturnType<typeof noise>>[0]) => ConnectionEncrypter

/** Long enough that two secrets never share it, and says nothing about the secret. */
const keyIdLength = 16

function protocolOf(secret: Uint8Array): string {
  const keyId = createHmac('sha256', secret).update('shoal peers: key id').digest('hex').slice(0, keyIdLength)
  return `/shoal/noise/2/${keyId}`
}

function encrypter(secret: Uint8Array): EncrypterFactory {
  const prologueBytes = new Uint8Array(hkdfSync('sha256', secret, new Uint8Array(0), 'shoal peers: noise prologue', 32))
  const create = noise({ prologueBytes })
  return (components) => Object.assign(create(components), { protocol: protocolOf(secret) })
}

/** The current secret is offered first. */
export function encryptersOf(secrets: ClusterSecrets): EncrypterFactory[] {
  return [secrets.current, ...(secrets.previous === undefined ? [] : [secrets.previous])].map((secret) =>
    encrypter(secret),
  )
}
