/** Real transports on loopback, for tests. */
import { createIdentity, type Identity } from '../../agent/identity/identity.ts'
import type { ClusterSecrets } from '../../agent/cluster-secret.ts'
import { createPeerTransport } from '../../agent/transport/libp2p-transport.ts'
import type { PeerTransport } from '../../agent/transport/peer-transport.ts'
import type { Clock } from '../../core/ports.ts'
import { systemClock } from '../../agent/system/clock.ts'

export function secretOf(byte: number): Uint8Array {
  return new Uint8Array(32).fill(byte)
}

const silentLog = { debug: (): void => {}, warn: (): void => {} }

export function createLoopbackTransport(
  secrets: ClusterSecrets = { current: secretOf(1) },
  clock: Clock = systemClock,
  identity: Identity = createIdentity(),
): Promise<PeerTransport> {
  const anyPort = { host: '127.0.0.1', port: 0 }
  const options = { listen: anyPort, bulkListen: anyPort, advertiseAddress: anyPort.host }
  return createPeerTransport({ identity, secrets, clock, log: silentLog }, options)
}
