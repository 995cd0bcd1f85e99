/** The addresses that peers come from: whoever holds the cluster's secret makes peer IDs at will, addresses it has few. */
import type { PeerId } from '../ports.ts'
import type { Host, Peer, SwarmState } from './state.ts'

/** The address that a peer has, or had lately: after a while it may be another node's. */
export function hostOf(state: SwarmState, { address, connected, leftAtMs }: Peer): Host | undefined {
  if (address === undefined || (!connected && state.clock.now() - leftAtMs > state.limits.banMs)) return undefined
  const known = state.hosts.get(address)
  if (known !== undefined) return known
  const host: Host = { address, strikes: 0, struckAtMs: 0, bannedUntilMs: 0, idleRests: 0, idleUntilMs: 0 }
  state.hosts.set(address, host)
  return host
}

/** What a peer's word counts by; undefined where it was never connected here, or long ago. */
export function addressOf(state: SwarmState, id: PeerId): string | undefined {
  const peer = state.peers.get(id)
  return peer === undefined ? undefined : hostOf(state, peer)?.address
}

/** By its own ID, or with everybody at its address. */
export function isBanned(state: SwarmState, id: PeerId): boolean {
  if (state.clock.now() >= state.bansEndMs) return false
  const peer = state.peers.get(id)
  return peer !== undefined && (peer.bannedUntilMs > state.clock.now() || isHostBanned(state, peer))
}

/** Whom this node has banned. */
export function bannedPeers(state: SwarmState): PeerId[] {
  if (state.clock.now() >= state.bansEndMs) return []
  return [...state.peers.keys()].filter((id) => isBanned(state, id))
}

export function isHostBanned(state: SwarmState, peer: Peer): boolean {
  return (hostOf(state, peer)?.bannedUntilMs ?? 0) > state.clock.now()
}
