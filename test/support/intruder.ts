/** Says to honest agents what no agent would, under one peer ID after the other, all from one address. */
import { generateKeyPair } from '@libp2p/crypto/keys'
import type { TLSSocket } from 'node:tls'
import type { Libp2p, StreamMessageEvent } from '@libp2p/interface'
import { tcp } from '@libp2p/tcp'
import { yamux } from '@libp2p/yamux'
import { multiaddr } from '@multiformats/multiaddr'
import { createLibp2p } from 'libp2p'
import type { ClusterSecrets } from '../../agent/cluster-secret.ts'
import { laneTo } from '../../agent/transport/lanes.ts'
import { encryptersOf } from '../../agent/transport/secrets.ts'
import { limits } from '../../core/limits.ts'
import { digestFromHex } from '../../core/oci/digest.ts'
import type { PeerMessage } from '../../core/swarm/messages.ts'
import { varint } from '../../core/wire/bytes.ts'
import { decodeAnswer, encodeHello } from '../../core/wire/hello.ts'
import { createPeerMessageEncoder } from '../../core/wire/peer-messages.ts'

export type Intrusion = 'malforms' | 'oversizes' | 'floods'

/** How many IDs each peer let in, and how many it kept out, in the order of `peers`. */
export interface IntrusionReport {
  readonly admitted: readonly number[]
  readonly refused: readonly number[]
}

const identities = 12
const digest = digestFromHex('ab'.repeat(32))

/** `peers`: `host:port` of peers listeners; `host`: the loopback address from which it comes. */
export async function intrude(
  how: Intrusion,
  host: string,
  peers: readonly string[],
  secrets: ClusterSecrets,
): Promise<IntrusionReport> {
  const admitted = peers.map(() => 0)
  for (let number = 0; number < identities; number++) {
    const node = await createNode(host, secrets)
    await Promise.all(
      peers.map(async (peer, at) => {
        if (await enter(node, peer, how)) admitted[at] = (admitted[at] ?? 0) + 1
      }),
    )
    await node.stop()
  }
  return { admitted, refused: admitted.map((count) => identities - count) }
}

async function createNode(host: string, secrets: ClusterSecrets): Promise<Libp2p> {
  const dialOpts = { noDelay: true, localAddress: host }
  return createLibp2p({
    privateKey: await generateKeyPair('Ed25519'),
    transports: [tcp({ dialOpts })],
    connectionEncrypters: encryptersOf(secrets),
    streamMuxers: [yamux()],
    connectionMonitor: { enabled: false },
  })
}

/** True when it was let in; then it does its worst until it is thrown out. */
async function enter(node: Libp2p, peer: string, how: Intrusion): Promise<boolean> {
  const [host, port] = peer.split(':')
  try {
    const connection = await node.dial(multiaddr(`/ip4/${host}/tcp/${port}`))
    const control = await connection.newStream('/shoal/control/2')
    control.send(encodeHello(1))
    const { data } = await new Promise<StreamMessageEvent>((resolve, reject) => {
      control.addEventListener('message', resolve, { once: true })
      control.addEventListener('close', () => reject(new Error('not let in')), { once: true })
    })
    const { lanes } = decodeAnswer(data.subarray(1))
    if (lanes === undefined) throw new Error('not taken')
    await misbehave(await laneTo(String(host), lanes)('messages', () => {}), how)
    return true
  } catch {
    return false
  }
}

async function misbehave(lane: TLSSocket, how: Intrusion): Promise<void> {
  const closed = new Promise((resolve) => lane.once('close', resolve))
  const encode = createPeerMessageEncoder()
  for (let id = 1; lane.writable; id += floodBatch) {
    lane.write(wordsOf(how, id, encode))
    if (how !== 'floods') break
    await new Promise((resolve) => setImmediate(resolve))
  }
  await closed
}

const floodBatch = 500

function wordsOf(how: Intrusion, firstId: number, encode: (message: PeerMessage) => Uint8Array): Uint8Array {
  switch (how) {
    case 'malforms':
      return Uint8Array.of(2, 99, 0)
    case 'oversizes':
      return varint(limits.controlFrameMaxBytes + 1)
    case 'floods':
      return Buffer.concat(
        Array.from({ length: floodBatch }, (_, at) =>
          encode({ type: 'request', id: firstId + at, digest, index: 0, offset: 0 }),
        ),
      )
  }
}
