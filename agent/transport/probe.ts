/** Does a peer let this node in? Once, as a stranger that knows the secret: the handshake, the hello, and a lane of those it offers. */
import type { Connection } from '@libp2p/interface'
import type { PeerId } from '../../core/ports.ts'
import { decodeAnswer, encodeHello, type LanesOffer } from '../../core/wire/hello.ts'
import type { ClusterSecrets } from '../cluster-secret.ts'
import type { HostPort } from '../config-values.ts'
import { createIdentity } from '../identity/identity.ts'
import { systemClock } from '../system/clock.ts'
import { abortConnection } from './abort.ts'
import { hostOf, targetsOf, tcpPortOf } from './addresses.ts'
import { closeStream, controlProtocol, wordOf } from './control.ts'
import { createGate } from './gate.ts'
import { laneTo } from './lanes.ts'
import { createNode } from './node.ts'

export interface ProbedPort extends HostPort {
  /** Why it was not reached; undefined where it was. */
  readonly error?: unknown
}

export interface PeerProbe {
  readonly peers: ProbedPort
  /** Undefined where nobody said where it is. */
  readonly bulk?: ProbedPort
}

const silent = { debug: (): void => {}, warn: (): void => {} }

/** Never rejects for what the peer does or does not. */
export async function probePeer(
  secrets: ClusterSecrets,
  peer: PeerId,
  addresses: readonly string[],
  signal: AbortSignal,
): Promise<PeerProbe> {
  const gate = createGate({ clock: systemClock })
  // An identity of its own: with this node's, the peer would take it for the agent, and end its link.
  const identity = createIdentity()
  const node = await createNode({ identity, secrets, gate, log: silent }, { advertiseAddress: '127.0.0.1' })
  const [target] = targetsOf(peer, addresses)
  const peers = target === undefined ? { host: '', port: 0 } : { host: hostOf(target), port: tcpPortOf(target) }
  try {
    await node.start()
    const connection = await node.dial(target === undefined ? [] : [target], { signal })
    const lanes = await hello(connection, signal)
    return { peers, bulk: await openLane(hostOf(connection.remoteAddr), lanes) }
  } catch (error) {
    return { peers: { ...peers, error } }
  } finally {
    // The peer ends it too as the lane is gone, and of two that close a connection at once libp2p has one wait for the other.
    for (const connection of node.getConnections()) abortConnection(connection, 'the probe is over')
    await node.stop()
  }
}

async function hello(connection: Connection, signal: AbortSignal): Promise<LanesOffer> {
  const stream = await connection.newStream(controlProtocol, { signal })
  signal.addEventListener('abort', () => stream.abort(new Error('it did not answer in time')))
  stream.send(encodeHello(1))
  const { lanes } = decodeAnswer(await wordOf(stream))
  closeStream(stream)
  if (lanes === undefined) throw new Error('it takes no link')
  return lanes
}

async function openLane(host: string, offer: LanesOffer): Promise<ProbedPort> {
  const at = { host, port: offer.port }
  try {
    const socket = await laneTo(host, offer)('chunks', () => {})
    socket.destroy()
    return at
  } catch (error) {
    return { ...at, error }
  }
}
