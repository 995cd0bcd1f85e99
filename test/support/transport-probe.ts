/** Watches one PeerTransport: keeps what happened, and waits for what should. */
import type { PeerTransport, TransportEvent } from '../../agent/transport/peer-transport.ts'
import type { PeerId } from '../../core/ports.ts'
import type { PeerMessage } from '../../core/swarm/messages.ts'

export interface Probe {
  readonly transport: PeerTransport
  readonly events: readonly TransportEvent[]
  /** How often a link with `peer` came up, and how often it ended. */
  links(peer: PeerId): { connected: number; disconnected: number }
  messages(peer: PeerId): PeerMessage[]
  /** All bytes that came for request `id`, in the order in which they came. */
  bytes(peer: PeerId, id: number): Buffer
  /** Resolves once `happened` holds, looked at after each event. */
  until(happened: () => boolean): Promise<void>
}

export function probe(transport: PeerTransport): Probe {
  const events: TransportEvent[] = []
  const waiting = new Set<() => void>()
  transport.on((event) => {
    // A frame's bytes are overwritten by what comes next.
    events.push(event.type === 'frame' ? { ...event, bytes: Buffer.from(event.bytes) } : event)
    // After every listener of this event, so that what they count is complete.
    queueMicrotask(() => {
      for (const look of waiting) look()
    })
  })

  function count(peer: PeerId, type: TransportEvent['type']): number {
    return events.filter((event) => event.peer === peer && event.type === type).length
  }

  return {
    transport,
    events,
    links: (peer) => ({ connected: count(peer, 'connected'), disconnected: count(peer, 'disconnected') }),
    messages: (peer) =>
      events.flatMap((event) => (event.type === 'message' && event.peer === peer ? [event.message] : [])),
    bytes: (peer, id) =>
      Buffer.concat(
        events.flatMap((event) =>
          event.type === 'frame' && event.peer === peer && event.id === id ? [event.bytes] : [],
        ),
      ),
    until(happened) {
      const { promise, resolve } = Promise.withResolvers<void>()
      function look(): void {
        if (!happened()) return
        waiting.delete(look)
        resolve()
      }
      waiting.add(look)
      look()
      return promise
    },
  }
}
