/** The PeerTransport on libp2p: links for messages, lanes for chunks, a DHT for the day without a directory. */
import { limits } from '../../core/limits.ts'
import type { Clock } from '../../core/ports.ts'
import type { ClusterSecrets } from '../cluster-secret.ts'
import type { HostPort } from '../config-values.ts'
import type { Identity } from '../identity/identity.ts'
import { listenError } from '../listen-error.ts'
import { createBulk, type Bulk } from './bulk.ts'
import { controlProtocol } from './control.ts'
import { createSeeds } from './dht.ts'
import { createGate } from './gate.ts'
import { createLanes } from './lanes.ts'
import { createLinks } from './links.ts'
import { createNode, type NodeOptions } from './node.ts'
import type { PeerTransport, TransportEvent, TransportLogger } from './peer-transport.ts'

export interface TransportComponents {
  readonly identity: Identity
  readonly secrets: ClusterSecrets
  readonly clock: Clock
  readonly log: TransportLogger
}

export interface TransportOptions extends Required<NodeOptions> {
  /** Where lanes come in, and under which host peers find it: that of their connection. */
  readonly bulkListen: HostPort
}

/** Of a kind, per connection and direction: a second stream would have no meaning. */
const oneStream = { maxInboundStreams: 1, maxOutboundStreams: 1 }

export async function createPeerTransport(
  components: TransportComponents,
  options: TransportOptions,
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
  const lanes = createLanes(gate, options.bulkListen)
  const links = createLinks({
    node,
    self,
    gate,
    lanes,
    receiver: (link) => bulk.receiver(link),
    emit,
    log: components.log,
  })
  const bulk: Bulk = createBulk({ links, emit })
  const seeds = createSeeds({ dht: node.services.dht, log: components.log })
  let looking: NodeJS.Timeout | undefined
  /** They never change, and libp2p takes a while to say them. */
  let ownAddresses: string[] = []

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
    addresses: () => ownAddresses,
    async start() {
      await node.handle(controlProtocol, (stream, connection) => links.accept(stream, connection), oneStream)
      await lanes.start()
      await open()
      ownAddresses = node.getMultiaddrs().map((address) => address.encapsulate(`/p2p/${self}`).toString())
      looking = setInterval(() => links.look(), limits.linkLookMs)
    },
    async stop() {
      clearInterval(looking)
      seeds.stop()
      await links.endAll()
      await node.stop()
      await lanes.stop()
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
