/** What becomes of peers that break the rules. Own evidence only: no peer is believed about another. */
import type { PeerId } from '../ports.ts'
import { second } from '../units.ts'
import { hostOf, isHostBanned } from './hosts.ts'
import { dropPeer, peerOf } from './peers.ts'
import type { Host, Peer, SwarmState } from './state.ts'

/**
 * Drops a peer and takes nothing of it for `limits.banMs`. Who provably lied is banned with its address: it can make as
 * many peer IDs as it likes, and nobody else comes from a node's address.
 */
export function ban(state: SwarmState, id: PeerId, reason: string, { isLie = false } = {}): void {
  if (id === state.self) return
  const peer = peerOf(state, id)
  if (isLie) banHost(state, peer, reason)
  banPeer(state, peer, reason)
}

function banHost(state: SwarmState, peer: Peer, reason: string): void {
  const host = hostOf(state, peer)
  if (host === undefined) return
  host.bannedUntilMs = banEndMs(state)
  for (const other of state.peers.values())
    if (other.connected && other.address === host.address) banPeer(state, other, reason)
}

function banPeer(state: SwarmState, peer: Peer, reason: string): void {
  if (peer.bannedUntilMs > state.clock.now()) return
  dropPeer(state, peer)
  peer.bannedUntilMs = banEndMs(state)
  peer.strikes = 0
  // Who was named to have what is missing may have been this one alone; directories name others from now on.
  for (const { supply } of state.active) supply.holderNamedAtMs = -Infinity
  const address = isHostBanned(state, peer) ? peer.address : undefined
  state.emit({ type: 'ban', peer: peer.id, ...(address === undefined ? {} : { address }), reason })
}

/** When a ban that begins now ends. */
function banEndMs(state: SwarmState): number {
  state.bansEndMs = state.clock.now() + state.limits.banMs
  return state.bansEndMs
}

/** Another ID at an address that is banned. */
export function refuseBanned(state: SwarmState, id: PeerId): void {
  const peer = state.peers.get(id)
  if (peer !== undefined && isHostBanned(state, peer)) banPeer(state, peer, 'comes from a banned address')
}

/** Own evidence that a peer broke the rules; enough of it is a ban, and enough from one address is a ban of that. */
export function strike(state: SwarmState, peer: Peer, reason: string): void {
  peer.strikes++
  const host = hostOf(state, peer)
  if (host !== undefined) strikeHost(state, host)
  if ((host?.strikes ?? 0) >= state.limits.hostStrikesMax) ban(state, peer.id, reason, { isLie: true })
  else if (peer.strikes >= state.limits.strikesMax) ban(state, peer.id, reason)
}

function strikeHost(state: SwarmState, host: Host): void {
  const nowMs = state.clock.now()
  if (nowMs - host.struckAtMs >= state.limits.banMs) host.strikes = 0
  host.strikes++
  host.struckAtMs = nowMs
}

/** The transport could not make sense of what it said. */
export function onViolated(state: SwarmState, id: PeerId, address: string): void {
  const peer = peerOf(state, id)
  peer.address = address
  if (!peer.connected) peer.leftAtMs = state.clock.now()
  strike(state, peer, 'broke the protocol')
}

/** Messages cost us work; who spends more than its allowance of a second floods us. */
export function spend(state: SwarmState, peer: Peer, cost: number): void {
  const nowMs = state.clock.now()
  if (nowMs - peer.spentSinceMs >= second) {
    peer.spent = 0
    peer.spentSinceMs = nowMs
  }
  peer.spent += cost
  if (peer.spent > state.limits.messagesPerSecond) strike(state, peer, 'floods us with messages')
}
