import { once } from 'node:events'
import { connect as connectTcp } from 'node:net'
import { noise } from '@chainsafe/libp2p-noise'
import type { Libp2p } from '@libp2p/interface'
import { tcp } from '@libp2p/tcp'
import { yamux } from '@libp2p/yamux'
import { createLibp2p } from 'libp2p'
import { afterEach, describe, expect, test } from 'vitest'
import type { ClusterSecrets } from '../../../agent/cluster-secret.ts'
import { encryptersOf } from '../../../agent/transport/secrets.ts'
import type { PeerTransport } from '../../../agent/transport/peer-transport.ts'
import { limits } from '../../../core/limits.ts'
import { createLoopbackTransport, secretOf } from '../../support/libp2p-transport.ts'
import { connect, createRawPeer } from '../../support/raw-peer.ts'
import { probe, type Probe } from '../../support/transport-probe.ts'

const running: Pick<PeerTransport | Libp2p, 'stop'>[] = []

async function agent(secrets?: ClusterSecrets): Promise<Probe> {
  const transport = await createLoopbackTransport(secrets)
  await transport.start()
  running.push(transport)
  return probe(transport)
}

afterEach(async () => {
  for (const node of running.splice(0)) await node.stop()
})

const [old, fresh] = [secretOf(1), secretOf(2)]

describe('while the cluster secret is being replaced', () => {
  test.each<[string, ClusterSecrets, ClusterSecrets]>([
    ['before it starts', { current: old }, { current: old }],
    ['the new one is known to some, and used', { current: old }, { current: fresh, previous: old }],
    ['the new one is known to some, not yet used', { current: old }, { current: old, previous: fresh }],
    ['all know both, in either order', { current: old, previous: fresh }, { current: fresh, previous: old }],
    ['the old one is gone from some that used the new one', { current: fresh }, { current: fresh, previous: old }],
    ['the old one is gone from some that used the old one', { current: fresh }, { current: old, previous: fresh }],
    ['after it', { current: fresh }, { current: fresh }],
  ])('agents reach each other both ways: %s', async (_stage, one, other) => {
    for (const [from, to] of [
      [await agent(one), await agent(other)],
      [await agent(other), await agent(one)],
    ] as const) {
      await from.transport.dial(to.transport.self, to.transport.addresses())
      from.transport.send(to.transport.self, { type: 'cancel', id: 1 })
      await to.until(() => to.messages(from.transport.self).length === 1)
      expect(from.links(to.transport.self)).toEqual({ connected: 1, disconnected: 0 })
    }
  })
})

test('agents with different secrets do not connect', async () => {
  const [alice, eve] = [await agent({ current: old }), await agent({ current: fresh, previous: secretOf(3) })]
  for (const [from, to] of [
    [alice, eve],
    [eve, alice],
  ] as const) {
    const dial = from.transport.dial(to.transport.self, to.transport.addresses())
    await expect(dial).rejects.toMatchObject({ code: 'PEER_UNREACHABLE' })
    await expect(dial).rejects.not.toThrow(Buffer.from(old).toString('hex'))
  }
  expect(alice.events).toEqual([])
  expect(eve.events).toEqual([])
})

test('an outsider completes no handshake, also when it offers the name of ours', async () => {
  const alice = await agent({ current: old })
  const stranger = await createRawPeer({ outsider: true })
  running.push(stranger)
  await expect(connect(stranger, alice.transport)).rejects.toMatchObject({ name: 'EncryptionFailedError' })
  // The name is no secret: it is sent in the clear. Without the prologue it is worth nothing.
  const impostor = await createLibp2p({
    transports: [tcp()],
    streamMuxers: [yamux()],
    connectionEncrypters: encryptersOf({ current: old }).map(
      (ours) => (components) => Object.assign(noise()(components), { protocol: ours(components).protocol }),
    ),
  })
  running.push(impostor)
  await expect(connect(impostor, alice.transport)).rejects.toMatchObject({ name: 'EncryptionFailedError' })
  expect(alice.events).toEqual([])
})

/** A line of multistream-select. */
function line(text: string): Buffer {
  return Buffer.concat([Buffer.of(text.length + 1), Buffer.from(`${text}\n`)])
}

test('an outsider learns none of our protocols', async () => {
  const alice = await agent({ current: old })
  const port = Number(/tcp\/(\d+)/.exec(alice.transport.addresses()[0] ?? '')?.[1])
  const socket = connectTcp(port, '127.0.0.1')
  await once(socket, 'connect')
  const asked = ['/noise', '/tls/1.0.0', '/yamux/1.0.0', '/shoal/control/2', '/shoal/kad/2', '/ipfs/id/1.0.0']
  socket.write(Buffer.concat([line('/multistream/1.0.0'), ...asked.map(line)]))
  let heard = ''
  socket.on('data', (data: Buffer) => {
    heard += data.toString('latin1')
    if (heard.split('\x03na\n').length > asked.length) socket.end()
  })
  await once(socket, 'close')
  expect(heard).toBe(`\x13/multistream/1.0.0\n${'\x03na\n'.repeat(asked.length)}`)
})

test('however many connect from one address and say no more than they must, others come in', async () => {
  const [alice, bob] = [await agent({ current: old }), await agent({ current: old })]
  const port = Number(/tcp\/(\d+)/.exec(alice.transport.addresses()[0] ?? '')?.[1])
  const heard: Promise<unknown>[] = []
  for (let count = 0; count < 2 * limits.peerHandshakesMax; count++) {
    const socket = connectTcp({ port, host: '127.0.0.1', localAddress: '127.0.0.2' }).on('error', () => {})
    running.push({ stop: async () => void socket.destroy() })
    socket.write(line('/multistream/1.0.0'))
    heard.push(new Promise((resolve) => socket.once('data', resolve).once('close', resolve)))
  }
  await Promise.all(heard)
  await bob.transport.dial(alice.transport.self, alice.transport.addresses())
  await alice.until(() => alice.events.length > 0)
  expect(alice.links(bob.transport.self)).toEqual({ connected: 1, disconnected: 0 })
})

test.each(['RSA', 'secp256k1'] as const)(
  'a member with an identity of kind %s is refused, in and out',
  async (kind) => {
    const alice = await agent({ current: old })
    const raw = await createRawPeer({ kind })
    running.push(raw)
    const opened = connect(raw, alice.transport).then((connection) => connection.newStream('/shoal/control/2'))
    const refused = expect.objectContaining({ name: expect.stringMatching(/Error$/) })
    await expect(opened).rejects.toEqual(refused)
    const addresses = raw.getMultiaddrs().map(String)
    const dial = alice.transport.dial(raw.peerId.toString(), addresses)
    await expect(dial).rejects.toMatchObject({ code: 'PEER_UNREACHABLE' })
    expect(alice.events).toEqual([])
  },
)
