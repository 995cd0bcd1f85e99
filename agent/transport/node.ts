/** libp2p as Shoal uses it: TCP, noise, yamux, identify and ping (kad-dht needs both), and nothing that acts by itself. */
import { identify } from '@libp2p/identify'
import { privateKeyFromRaw } from '@libp2p/crypto/keys'
import type { Libp2p } from '@libp2p/interface'
import type { KadDHT } from '@libp2p/kad-dht'
import { ping } from '@libp2p/ping'
import { tcp } from '@libp2p/tcp'
import { yamux } from '@libp2p/yamux'
import { createLibp2p } from 'libp2p'
import { limits } from '../../core/limits.ts'
import { hour } from '../../core/units.ts'
import type { ClusterSecrets } from '../cluster-secret.ts'
import type { Identity } from '../identity/identity.ts'
import { advertised, tcpAddress } from './addresses.ts'
import { quietDht } from './dht.ts'
import type { Gate } from './gate.ts'
import { libp2pLogger } from './logger.ts'
import type { TransportLogger } from './peer-transport.ts'
import { createRecords } from './records.ts'
import { encryptersOf } from './secrets.ts'

export type Node = Libp2p<{ dht: KadDHT; identify: unknown; ping: unknown }>

export interface NodeOptions {
  /** Where to listen; port 0 lets the system choose; undefined: nowhere. */
  readonly listen?: { readonly host: string; readonly port: number }
  /** The one IP address under which others reach this node. */
  readonly advertiseAddress: string
}

export async function createNode(
  components: { identity: Identity; secrets: ClusterSecrets; gate: Gate; log: TransportLogger },
  options: NodeOptions,
): Promise<Node> {
  return createLibp2p({
    start: false,
    privateKey: privateKeyFromRaw(components.identity.rawKey),
    datastore: createRecords(),
    addresses: {
      listen: options.listen === undefined ? [] : [tcpAddress(options.listen.host, options.listen.port)],
      announceFilter: (listening) => advertised(listening, options.advertiseAddress),
    },
    transports: [
      tcp({
        inboundSocketInactivityTimeout: limits.peerConnectionIdleMs,
        outboundSocketInactivityTimeout: limits.peerConnectionIdleMs,
      }),
    ],
    connectionEncrypters: encryptersOf(components.secrets),
    streamMuxers: [
      yamux({
        maxInboundStreams: limits.streamsPerConnectionMax,
        maxOutboundStreams: limits.streamsPerConnectionMax,
        maxEarlyStreams: limits.streamsPerConnectionMax,
        // The first ping tells the round trip, by which windows grow; more would keep connections alive that nobody uses.
        keepAliveInterval: hour,
        streamOptions: {
          initialStreamWindowSize: limits.streamWindowBytes,
          maxStreamWindowSize: limits.streamWindowMaxBytes,
          maxReadBufferLength: limits.streamWindowMaxBytes,
          maxWriteBufferLength: limits.streamWindowMaxBytes,
        },
      }),
    ],
    connectionGater: components.gate.gater,
    connectionManager: {
      maxConnections: limits.peerConnectionsMax,
      maxIncomingPendingConnections: limits.peerHandshakesMax,
      inboundConnectionThreshold: limits.peerConnectionsPerHostMax,
      maxParallelDials: limits.peerHandshakesMax,
      maxDialQueueLength: limits.peerConnectionsMax,
      maxPeerAddrsToDial: limits.peerAddressesMax,
      dialTimeout: limits.peerDialMs,
      addressDialTimeout: limits.peerAddressDialMs,
      inboundUpgradeTimeout: limits.peerDialMs,
      inboundStreamProtocolNegotiationTimeout: limits.helloMs,
      outboundStreamProtocolNegotiationTimeout: limits.helloMs,
      reconnectRetries: 0,
      resolvers: {},
    },
    // Links are watched by agent/transport/links.ts; libp2p's monitor would open a stream per connection every 10 s.
    connectionMonitor: { enabled: false },
    services: { identify: identify(), ping: ping(), dht: quietDht() },
    logger: libp2pLogger(components.log),
  })
}
