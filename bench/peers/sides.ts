/** Two ways of carrying chunks between processes: the agents' transport, and libp2p as it comes. */
import { once } from 'node:events'
import { noise } from '@chainsafe/libp2p-noise'
import type { Stream, StreamMessageEvent } from '@libp2p/interface'
import { tcp } from '@libp2p/tcp'
import { yamux } from '@libp2p/yamux'
import { multiaddr } from '@multiformats/multiaddr'
import { createLibp2p } from 'libp2p'
import { createIdentity } from '../../agent/identity/identity.ts'
import { systemClock } from '../../agent/system/clock.ts'
import { createPeerTransport } from '../../agent/transport/libp2p-transport.ts'
import type { Entry } from '../../core/swarm/entry.ts'
import { limits } from '../../core/limits.ts'

export type Kind = 'shoal' | 'stock'

export interface Address {
  readonly peer: string
  readonly addresses: readonly string[]
}

export interface Side {
  readonly address: Address
  connect(to: Address): Promise<void>
  /** Resolves when the last byte of `count` chunks was handed to the connection. */
  give(to: Address, chunk: Uint8Array, count: number): Promise<void>
}

const loopback = { host: '127.0.0.1', port: 0 }
const secrets = { current: new Uint8Array(32).fill(1) }
const log = { debug: () => {}, warn: () => {} }

/** `onBytes` hears how many bytes of chunks have come. */
export function createSide(kind: Kind, onBytes: (count: number) => void): Promise<Side> {
  return kind === 'shoal' ? createShoal(onBytes) : createStock(onBytes)
}

async function createShoal(onBytes: (count: number) => void): Promise<Side> {
  const transport = await createPeerTransport(
    { identity: createIdentity(), secrets, clock: systemClock, log },
    { listen: loopback, bulkListen: loopback, advertiseAddress: loopback.host },
  )
  transport.on((event) => {
    if (event.type === 'frame') onBytes(event.bytes.length)
  })
  await transport.start()
  const { self: peer } = transport
  const witness = { kind: 'proved' } as const
  const entry: Entry = { index: 0, hash: '00'.repeat(32), witness, signer: peer, signature: new Uint8Array(64) }
  return {
    address: { peer, addresses: transport.addresses() },
    connect: (to) => transport.dial(to.peer, to.addresses),
    async give(to, chunk, count) {
      const { signal } = new AbortController()
      for (let id = 1; id <= count; id++) await transport.upload(to.peer, id, 0, entry, chunk, signal)
    },
  }
}

const stockProtocol = '/bench/chunks/1'

async function createStock(onBytes: (count: number) => void): Promise<Side> {
  const node = await createLibp2p({
    addresses: { listen: ['/ip4/127.0.0.1/tcp/0'] },
    transports: [tcp()],
    connectionEncrypters: [noise()],
    streamMuxers: [yamux()],
  })
  await node.handle(stockProtocol, (stream) => {
    stream.addEventListener('message', ({ data }: StreamMessageEvent) => onBytes(data.byteLength))
  })
  let stream: Stream | undefined
  return {
    address: { peer: node.peerId.toString(), addresses: node.getMultiaddrs().map(String) },
    async connect(to) {
      stream = await node.dialProtocol(
        to.addresses.map((address) => multiaddr(address)),
        stockProtocol,
      )
    },
    async give(_to, chunk, count) {
      if (stream === undefined) throw new Error('connect first')
      for (let sent = 0; sent < count; sent++) {
        for (let start = 0; start < chunk.length; start += limits.frameSizeBytes) {
          if (!stream.send(chunk.subarray(start, start + limits.frameSizeBytes))) await once(stream, 'drain')
        }
      }
    },
  }
}
