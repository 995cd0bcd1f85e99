/** What the agent needs of the network to its peers; agent/transport builds it on libp2p, test/support in memory. */
import type { PeerAddress } from '../../core/directory/messages.ts'
import type { ShoalError } from '../../core/errors.ts'
import type { Digest } from '../../core/oci/digest.ts'
import type { PeerId } from '../../core/ports.ts'
import type { Entry } from '../../core/swarm/entry.ts'
import type { SwarmEvent } from '../../core/swarm/events.ts'
import type { PeerMessage } from '../../core/swarm/messages.ts'

export type TransportEvent =
  /** Both sides can speak. Exactly one link per peer, whoever dialed and however often. `address`: the IP address at its other end. */
  | { readonly type: 'connected'; readonly peer: PeerId; readonly address: string }
  /** Exactly once after each `connected`, and the last event of that link. */
  | { readonly type: 'disconnected'; readonly peer: PeerId }
  /** A control message, or the head of the answer to request `id`, after which `frame` events of that ID follow; the swarm takes both as they are. */
  | Extract<SwarmEvent, { type: 'message' | 'chunk-started' }>
  /** The next bytes of request `id`, of any length up to `limits.frameSizeBytes`; overwritten after the event, so copy what is kept. */
  | { readonly type: 'frame'; readonly peer: PeerId; readonly id: number; readonly bytes: Uint8Array }
  /** The peer broke the protocol; its link, where there is one, ends. */
  | { readonly type: 'violation'; readonly peer: PeerId; readonly address: string; readonly error: ShoalError }

export interface PeerTransport {
  readonly self: PeerId
  /** Where others can dial us, as multiaddrs with our peer ID; empty before `start`. */
  addresses(): string[]
  /** Rejects with `LISTEN_FAILED`. */
  start(): Promise<void>
  /** Ends every link (`disconnected` is told) and all that is under way. */
  stop(): Promise<void>
  /**
   * Resolves when there is a link, at once where there is one; joins a dial under way. Rejects with `PEER_UNREACHABLE`.
   * `addresses` are multiaddrs of IP addresses or DNS names with a TCP port; others are ignored.
   */
  dial(peer: PeerId, addresses: readonly string[]): Promise<void>
  /** Sends what is queued, then ends the link. */
  disconnect(peer: PeerId): void
  /** Ends the link at once, and lets nothing of this peer in or out for `durationMs`; where `address` is given, of nobody at that IP address. */
  ban(peer: PeerId, durationMs: number, address?: string): void
  /** In order. To a peer without a link it does nothing: `disconnected` was told. */
  send(peer: PeerId, message: PeerMessage): void
  /**
   * Answers request `id` with a chunk from `offset` on; resolves when the last byte was handed to the connection. Rejects
   * with `PEER_GONE`, with the signal's reason (between two frames), or with what `source` throws. Nothing of `source` may
   * be overwritten before.
   */
  upload(
    peer: PeerId,
    id: number,
    offset: number,
    entry: Entry,
    source: AsyncIterable<Uint8Array> | Uint8Array,
    signal: AbortSignal,
  ): Promise<void>
  /** Returns how to stop listening. A listener is called synchronously and must not throw. */
  on(listener: (event: TransportEvent) => void): () => void
  /** Tells the DHT, soon and at most every `limits.dhtProvideEveryMs`, that we hold this digest; lasts `limits.dhtRecordMs`. */
  provide(digest: Digest): void
  /** Who the DHT says holds this digest, as they are found; ends after `limits.dhtFindMs` at the latest. */
  findSeeds(digest: Digest, signal: AbortSignal): AsyncIterable<PeerAddress>
}

/** Pino's shape, as far as it is used here. */
export interface TransportLogger {
  debug(fields: object, message: string): void
  warn(fields: object, message: string): void
}
