/** A probe of a peer that does not do as members do; how one that does is found is in test/integration/doctor. */
import { randomBytes } from 'node:crypto'
import { afterEach, expect, test } from 'vitest'
import { createIdentity } from '../../../agent/identity/identity.ts'
import { systemClock } from '../../../agent/system/clock.ts'
import { controlProtocol, wordOf } from '../../../agent/transport/control.ts'
import { createGate } from '../../../agent/transport/gate.ts'
import { createNode, type Node } from '../../../agent/transport/node.ts'
import { probePeer } from '../../../agent/transport/probe.ts'

const secrets = { current: randomBytes(32) }
let peer: Node | undefined
afterEach(async () => peer?.stop())

test('a peer that hears the hello and says nothing is given up in time', async () => {
  const log = { debug: () => {}, warn: () => {} }
  const identity = createIdentity()
  const gate = createGate({ clock: systemClock })
  const at = { listen: { host: '127.0.0.1', port: 0 }, advertiseAddress: '127.0.0.1' }
  peer = await createNode({ identity, secrets, gate, log }, at)
  const came = Promise.withResolvers<unknown>()
  await peer.handle(controlProtocol, (stream) => came.resolve(wordOf(stream)))
  await peer.start()
  const patience = new AbortController()
  const addresses = peer.getMultiaddrs().map(String)
  const probing = probePeer(secrets, identity.peer, addresses, patience.signal)
  await came.promise
  patience.abort()
  const { peers, bulk } = await probing
  expect(peers).toMatchObject({ host: '127.0.0.1', error: { message: 'it did not answer in time' } })
  expect(bulk).toBeUndefined()
})
