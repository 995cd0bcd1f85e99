/**
 * Who may connect at all: members with an Ed25519 identity that are not banned, at addresses that nodes have and that are neither banned
 * nor have too many handshakes under way.
 */
import type { ConnectionGater, MultiaddrConnection, PeerId as Libp2pPeerId } from '@libp2p/interface'
import { createBoundedMap } from '../../core/bounded-map.ts'
import { limits } from '../../core/limits.ts'
import type { Clock, PeerId } from '../../core/ports.ts'
import type { Multiaddr } from '@multiformats/multiaddr'
import { hostOf, isDialable } from './addresses.ts'
import { createCrowds } from './crowds.ts'

export interface Gate {
  readonly gater: ConnectionGater
  /** With `address`, an IP address, also whoever is there. */
  ban(peer: PeerId, durationMs: number, address?: string): void
  /** A peer, or an IP address in its one form. */
  isBanned(who: PeerId | string): boolean
}

export function createGate(components: { readonly clock: Clock }): Gate {
  /** Handshakes of others that are under way. */
  const shaking = createCrowds<MultiaddrConnection, MultiaddrConnection>()
  /** By peer ID and by IP address; no text is both. */
  const bannedUntil = createBoundedMap<string, number>(limits.bansMax)

  function isBanned(who: string): boolean {
    return (bannedUntil.get(who) ?? 0) > components.clock.now()
  }
  function isAddressBanned(address: Multiaddr): boolean {
    return isBanned(hostOf(address))
  }
  function refuses(peer: Libp2pPeerId): boolean {
    return peer.type !== 'Ed25519' || isBanned(peer.toString())
  }

  /** An address with as many as it may have is refused further ones, as all are when there are `peerHandshakesMax`: who is refused dials another. */
  function mayShake(connection: MultiaddrConnection): boolean {
    const address = hostOf(connection.remoteAddr)
    if (shaking.countOf(address) >= limits.peerHandshakesPerHostMax) return false
    shaking.add(address, connection, connection)
    connection.addEventListener('close', () => shaking.delete(address, connection))
    return true
  }

  return {
    isBanned,
    ban(peer, durationMs, address) {
      for (const who of [peer, address])
        if (who !== undefined) bannedUntil.set(who, components.clock.now() + durationMs)
    },
    gater: {
      denyDialPeer: refuses,
      denyDialMultiaddr: (address) => !isDialable(address) || isAddressBanned(address),
      // Before the handshake, which costs us milliseconds.
      denyInboundConnection: (connection) => isAddressBanned(connection.remoteAddr) || !mayShake(connection),
      denyInboundUpgradedConnection(_peer, connection) {
        shaking.delete(hostOf(connection.remoteAddr), connection)
        return false
      },
      // A name leads where its resolver says.
      denyOutboundConnection: (_peer, { remoteAddr }) => isAddressBanned(remoteAddr),
      denyInboundEncryptedConnection: refuses,
      denyOutboundEncryptedConnection: refuses,
    },
  }
}
