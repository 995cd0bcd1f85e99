/** The PeerTransport on libp2p: links for messages, bulk streams for chunks, a DHT for the day without a directory. */
import { limits } from '../../core/limits.ts'
import type { Clock } from '../../core/ports.ts'
import type { ClusterSecrets } from '../cluster-secret.ts'
import type { Identity } from '../identity/identity.ts'
import { listenError } from '../listen-error.ts'
import { bulkProtocol, createBulk } from './bulk.ts'
import { controlProtocol } from './control.ts'
import { createSeeds } from './dht.ts'
import { createGate } from './gate.ts'
import { createLinks } from './links.ts'
import { createNode, type NodeOptions } from './node.ts'
import type { PeerTransport, TransportEvent, TransportLogger } from './peer-transport.ts'

export interface TransportComponents {
  readonly identity: Identity
  readonly secrets: ClusterSecrets
  readonly clock: Clock
  readonly log: TransportLogger
}

/** Of a kind, per connection and direction: a second stream would have no meaning. */
const oneStream = { maxInboundStreams: 1, maxOutboundStreams: 1 }

export async function createPeerTransport(
  components: TransportComponents,
  options: NodeOptions,
): Promise<PeerTransport> {
  const self = components.identity.peer
  const listeners = new Set<(event: TransportEvent) => void>()

  /** A listener that throws is a bug; it must not look like a fault of the peer whose bytes were being read. */
  function emit(event: TransportEvent): void {
    try {
      for (const listener of listeners) listener(event)
    } catch (error) {
      queueMicrotask(() => {
        throw error
      })
    }
  }

  const gate = createGate(components)
  const node = await createNode({ ...components, gate }, options)
  const links = createLinks({ node, self, gate, emit })
  const bulk = createBulk({ links, emit })
  const seeds = createSeeds({ dht: node.services.dht, log: components.log })
  let looking: NodeJS.Timeout | undefined

  async function open(): Promise<void> {
    try {
      await node.start()
    } catch (error) {
      const isListening = error instanceof Error && error.name === 'UnsupportedListenAddressesError'
      throw isListening ? listenError('peers', options.listen, error) : error
    }
  }

  return {
    self,
    addresses: () => node.getMultiaddrs().map((address) => address.encapsulate(`/p2p/${self}`).toString()),
    async start() {
      await node.handle(controlProtocol, (stream, connection) => links.accept(stream, connection), oneStream)
      await node.handle(bulkProtocol, (stream, connection) => bulk.accept(stream, connection), oneStream)
      await open()
      looking = setInterval(() => links.look(), limits.linkLookMs)
    },
    async stop() {
      clearInterval(looking)
      seeds.stop()
      await links.endAll()
      await node.stop()
    },
    dial: (peer, addresses) => links.dial(peer, addresses),
    disconnect(peer) {
      const link = links.get(peer)
      if (link !== undefined) links.end(link, 'politely')
    },
    ban(peer, durationMs, address) {
      gate.ban(peer, durationMs, address)
      links.cut(peer)
    },
    send: (peer, message) => links.send(peer, message),
    upload: bulk.upload,
    on(listener) {
      listeners.add(listener)
      return () => listeners.delete(listener)
    },
    provide: (digest) => seeds.provide(digest),
    findSeeds: (digest, signal) => seeds.findSeeds(digest, signal),
  }
}
