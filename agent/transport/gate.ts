/** Who may connect at all: members with an Ed25519 identity that are not banned, at addresses that nodes have. */
import type { ConnectionGater, PeerId as Libp2pPeerId } from '@libp2p/interface'
import { createBoundedMap } from '../../core/bounded-map.ts'
import { limits } from '../../core/limits.ts'
import type { Clock, PeerId } from '../../core/ports.ts'
import { isDialable } from './addresses.ts'

export interface Gate {
  readonly gater: ConnectionGater
  ban(peer: PeerId, durationMs: number): void
  isBanned(peer: PeerId): boolean
}

export function createGate(components: { readonly clock: Clock }): Gate {
  const bannedUntil = createBoundedMap<PeerId, number>(limits.bansMax)

  function isBanned(peer: PeerId): boolean {
    return (bannedUntil.get(peer) ?? 0) > components.clock.now()
  }
  function refuses(peer: Libp2pPeerId): boolean {
    return peer.type !== 'Ed25519' || isBanned(peer.toString())
  }

  return {
    isBanned,
    ban: (peer, durationMs) => bannedUntil.set(peer, components.clock.now() + durationMs),
    gater: {
      denyDialPeer: refuses,
      denyDialMultiaddr: (address) => !isDialable(address),
      denyInboundEncryptedConnection: refuses,
      denyOutboundEncryptedConnection: refuses,
    },
  }
}
