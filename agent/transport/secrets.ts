/**
 * Admission: noise with the cluster secret in its prologue. Whoever has another secret fails the handshake's last tag, so
 * no protocol of ours is spoken to them; the noise specification, section 6, says why that is sound. The protocol's name
 * carries an ID of the secret, so that an agent can offer two while the secret is being replaced, and each finds the other's.
 */
import { createHmac, hkdfSync } from 'node:crypto'
import { noise } from '@chainsafe/libp2p-noise'
import type { ConnectionEncrypter, MessageStream } from '@libp2p/interface'
import type { ClusterSecrets } from '../cluster-secret.ts'

type EncrypterFactory = (components: Parameters<ReturnType<typeof noise>>[0]) => ConnectionEncrypter

/** Long enough that two secrets never share it, and says nothing about the secret. */
const keyIdLength = 16

function protocolOf(secret: Uint8Array): string {
  const keyId = createHmac('sha256', secret).update('shoal peers: key id').digest('hex').slice(0, keyIdLength)
  return `/shoal/noise/1/${keyId}`
}

function encrypter(secret: Uint8Array): EncrypterFactory {
  const prologueBytes = new Uint8Array(hkdfSync('sha256', secret, new Uint8Array(0), 'shoal peers: noise prologue', 32))
  const create = noise({ prologueBytes })
  return (components) => sendingWhole(Object.assign(create(components), { protocol: protocolOf(secret) }))
}

/** The current secret is offered first. */
export function encryptersOf(secrets: ClusterSecrets): EncrypterFactory[] {
  return [secrets.current, ...(secrets.previous === undefined ? [] : [secrets.previous])].map((secret) =>
    encrypter(secret),
  )
}

/**
 * A noise record is its length, its ciphertext and its tag; @libp2p/tcp would write each to the socket by itself, three system
 * calls and packets for one record. Copying them into one costs less.
 */
function sendingWhole(inner: ConnectionEncrypter): ConnectionEncrypter {
  return {
    protocol: inner.protocol,
    secureInbound: (stream, options) => inner.secureInbound(whole(stream), options),
    secureOutbound: (stream, options) => inner.secureOutbound(whole(stream), options),
  }
}

function whole<Stream extends MessageStream>(stream: Stream): Stream {
  const send = stream.send.bind(stream)
  stream.send = (data) => send(data.subarray())
  return stream
}
