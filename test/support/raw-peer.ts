/** A libp2p node that is no agent: it opens our protocols and says what it likes. */
import { noise } from '@chainsafe/libp2p-noise'
import type { TLSSocket } from 'node:tls'
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
import { decodeAnswer, encodeHello, type LanesOffer } from '../../core/wire/hello.ts'
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

export interface RawMeeting {
  readonly connection: Connection
  readonly offer: LanesOffer
  readonly openLane: OpenLane
}

export interface RawLink extends RawMeeting {
  readonly messages: TLSSocket
}

/** Says hello as an agent would; opening the lanes is left to the caller. */
export async function meet(raw: Libp2p, to: PeerTransport): Promise<RawMeeting> {
  const connection = await connect(raw, to)
  const control = await connection.newStream('/shoal/control/2')
  control.send(encodeHello(1))
  const answered = Promise.withResolvers<StreamMessageEvent>()
  control.addEventListener('message', answered.resolve, { once: true })
  const { data } = await answered.promise
  const { lanes: offer } = decodeAnswer(data.subarray(1))
  if (offer === undefined) throw new Error('the stream was not taken')
  await control.close()
  return { connection, offer, openLane: laneTo(hostOf(connection.remoteAddr), offer) }
}

/** Links as an agent would; the lane for messages is the caller's from then on, and so is opening the one for chunks. */
export async function link(raw: Libp2p, to: PeerTransport): Promise<RawLink> {
  const meeting = await meet(raw, to)
  return { ...meeting, messages: await meeting.openLane('messages', () => {}) }
}

/** Resolves once the other side has closed the connection or the stream. */
export function closed(lane: Connection | Stream): Promise<void> {
  const { promise, resolve } = Promise.withResolvers<void>()
  const target: EventTarget = lane
  target.addEventListener('close', () => resolve())
  if (lane.status !== 'open') resolve()
  return promise
}
