/** The PeerTransport of tests: a network within the process, where every byte arrives, in order, a moment later. */
import type { PeerTransport, TransportEvent } from '../../agent/transport/peer-transport.ts'
import { ShoalError } from '../../core/errors.ts'
import { limits } from '../../core/limits.ts'
import type { Digest } from '../../core/oci/digest.ts'
import type { Clock, PeerId } from '../../core/ports.ts'

export interface MemoryNetwork {
  /** A transport, not yet started, that others of this network can dial; `host`: its IP address (default loopback). */
  create(self: PeerId, host?: string): PeerTransport
}

interface Party {
  readonly self: PeerId
  readonly links: Set<PeerId>
  readonly host: string
  readonly address: string
  emit(event: TransportEvent): void
  refuses(party: Party): boolean
}

function later(deliver: () => void): void {
  setImmediate(deliver)
}

export function createMemoryNetwork(clock: Clock): MemoryNetwork {
  const parties = new Map<PeerId, Party>()
  const seeds = new Map<Digest, Set<PeerId>>()

  /** Tells `to` something of `from`, unless the link has ended meanwhile. */
  function tell(from: Party, to: Party, event: TransportEvent): void {
    later(() => {
      if (to.links.has(from.self)) to.emit(event)
    })
  }

  function join(one: Party, other: Party): void {
    if (one.links.has(other.self)) return
    one.links.add(other.self)
    other.links.add(one.self)
    one.emit({ type: 'connected', peer: other.self, address: other.host })
    other.emit({ type: 'connected', peer: one.self, address: one.host })
  }

  function leave(party: Party, peer: PeerId): void {
    if (party.links.delete(peer)) party.emit({ type: 'disconnected', peer })
  }

  function part(one: Party, peer: PeerId): void {
    const other = parties.get(peer)
    leave(one, peer)
    if (other !== undefined) later(() => leave(other, one.self))
  }

  function create(self: PeerId, host = '127.0.0.1'): PeerTransport {
    const listeners = new Set<(event: TransportEvent) => void>()
    /** By peer ID and by IP address. */
    const bannedUntil = new Map<string, number>()
    const isBanned = (who: string): boolean => (bannedUntil.get(who) ?? 0) > clock.now()
    const party: Party = {
      self,
      links: new Set(),
      host,
      address: `/ip4/${host}/tcp/${parties.size + 1}/p2p/${self}`,
      emit: (event) => listeners.forEach((listener) => listener(event)),
      refuses: (other) => isBanned(other.self) || isBanned(other.host),
    }

    function linked(peer: PeerId): Party {
      const other = parties.get(peer)
      if (other === undefined || !party.links.has(peer))
        throw new ShoalError('PEER_GONE', `There is no link to ${peer}`)
      return other
    }

    async function dial(peer: PeerId, addresses: readonly string[]): Promise<void> {
      await new Promise<void>(later)
      const other = parties.get(peer)
      const reached = other !== undefined && other !== party && parties.has(self) && addresses.includes(other.address)
      if (!reached || party.refuses(other) || other.refuses(party)) {
        throw new ShoalError('PEER_UNREACHABLE', `${peer} was not reached`)
      }
      join(party, other)
    }

    const upload: PeerTransport['upload'] = async (peer, id, offset, entry, source, signal) => {
      signal.throwIfAborted()
      tell(party, linked(peer), { type: 'chunk-started', peer: self, id, offset, entry })
      for await (const piece of source instanceof Uint8Array ? [source] : source) {
        for (let start = 0; start < piece.length; start += limits.frameSizeBytes) {
          const bytes = piece.slice(start, start + limits.frameSizeBytes)
          tell(party, linked(peer), { type: 'frame', peer: self, id, bytes })
          await new Promise<void>(later)
          signal.throwIfAborted()
        }
      }
    }

    return {
      self,
      addresses: () => (parties.has(self) ? [party.address] : []),
      async start() {
        parties.set(self, party)
      },
      async stop() {
        for (const peer of party.links) part(party, peer)
        parties.delete(self)
      },
      dial: (peer, addresses) => (party.links.has(peer) ? Promise.resolve() : dial(peer, addresses)),
      disconnect: (peer) => part(party, peer),
      ban(peer, durationMs, address) {
        for (const who of [peer, address]) if (who !== undefined) bannedUntil.set(who, clock.now() + durationMs)
        part(party, peer)
      },
      send(peer, message) {
        const other = parties.get(peer)
        if (other !== undefined && party.links.has(peer)) tell(party, other, { type: 'message', peer: self, message })
      },
      upload,
      on(listener) {
        listeners.add(listener)
        return () => listeners.delete(listener)
      },
      provide(digest) {
        seeds.set(digest, (seeds.get(digest) ?? new Set()).add(self))
      },
      async *findSeeds(digest) {
        for (const peer of seeds.get(digest) ?? []) {
          const address = parties.get(peer)?.address
          if (address !== undefined && peer !== self) yield { peer, addresses: [address] }
        }
      },
    }
  }

  return { create }
}
