/** A libp2p node that is no agent: it opens our protocols and says what it likes. */
import { noise } from '@chainsafe/libp2p-noise'
import { generateKeyPair } from '@libp2p/crypto/keys'
import type { Connection, Libp2p, Stream, StreamMessageEvent } from '@libp2p/interface'
import { tcp } from '@libp2p/tcp'
import { yamux } from '@libp2p/yamux'
import { multiaddr } from '@multiformats/multiaddr'
import { createLibp2p } from 'libp2p'
import { hostOf } from '../../agent/transport/addresses.ts'
import { laneTo, type OpenLane } from '../../agent/transport/lanes.ts'
import { encryptersOf } from '../../agent/transport/secrets.ts'
import type { PeerTransport } from '../../agent/transport/peer-transport.ts'
import { decodeAnswer, encodeHello, type LaneOffer } from '../../core/wire/hello.ts'
import { secretOf } from './libp2p-transport.ts'

export async function createRawPeer(
  options: { kind?: 'Ed25519' | 'RSA' | 'secp256k1'; outsider?: boolean } = {},
): Promise<Libp2p> {
  const kind = options.kind ?? 'Ed25519'
  return createLibp2p({
    privateKey: kind === 'RSA' ? await generateKeyPair('RSA', 2048) : await generateKeyPair(kind),
    addresses: { listen: ['/ip4/127.0.0.1/tcp/0'] },
    transports: [tcp()],
    connectionEncrypters: options.outsider === true ? [noise()] : encryptersOf({ current: secretOf(1) }),
    streamMuxers: [yamux()],
    connectionMonitor: { enabled: false },
  })
}

export function connect(raw: Libp2p, to: PeerTransport): Promise<Connection> {
  return raw.dial(to.addresses().map((address) => multiaddr(address)))
}

export interface RawLink {
  readonly connection: Connection
  readonly control: Stream
  readonly offer: LaneOffer
  readonly openLane: OpenLane
}

/** Links as an agent would; the control stream is the caller's from then on, and so is opening the lane. */
export async function link(raw: Libp2p, to: PeerTransport): Promise<RawLink> {
  const connection = await connect(raw, to)
  const control = await connection.newStream('/shoal/control/1')
  control.send(encodeHello(1))
  const answered = Promise.withResolvers<StreamMessageEvent>()
  control.addEventListener('message', answered.resolve, { once: true })
  const { data } = await answered.promise
  const { lane } = decodeAnswer(data.subarray(1))
  if (lane === undefined) throw new Error('the stream was not taken')
  return { connection, control, offer: lane, openLane: laneTo(hostOf(connection.remoteAddr), lane) }
}

/** Resolves once the other side has closed the connection or the stream. */
export function closed(lane: Connection | Stream): Promise<void> {
  const { promise, resolve } = Promise.withResolvers<void>()
  const target: EventTarget = lane
  target.addEventListener('close', () => resolve())
  if (lane.status !== 'open') resolve()
  return promise
}
