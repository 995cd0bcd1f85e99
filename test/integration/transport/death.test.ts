import { fork, type ChildProcess } from 'node:child_process'
import { once } from 'node:events'
import { createServer } from 'node:net'
import { afterEach, beforeEach, expect, test } from 'vitest'
import { createIdentity } from '../../../agent/identity/identity.ts'
import { createLoopbackTransport } from '../../support/libp2p-transport.ts'
import { probe, type Probe } from '../../support/transport-probe.ts'

let alice: Probe
let child: ChildProcess
let other: { self: string; addresses: string[] }

beforeEach(async () => {
  alice = probe(await createLoopbackTransport())
  await alice.transport.start()
  child = fork(new URL('../../support/transport-child.ts', import.meta.url))
  ;[other] = (await once(child, 'message')) as [typeof other]
  await alice.transport.dial(other.self, other.addresses)
})

afterEach(async () => {
  child.kill('SIGKILL')
  await alice.transport.stop()
})

test('a killed process is noticed by its socket', async () => {
  child.kill('SIGKILL')
  await alice.until(() => alice.links(other.self).disconnected === 1)
  expect(alice.events.map((event) => event.type)).toEqual(['connected', 'disconnected'])
  await expect(alice.transport.dial(other.self, other.addresses)).rejects.toMatchObject({ code: 'PEER_UNREACHABLE' })
})

test('a process that stands still is noticed by its silence', async () => {
  child.kill('SIGSTOP')
  await alice.until(() => alice.links(other.self).disconnected === 1)
  expect(alice.events.map((event) => event.type)).toEqual(['connected', 'disconnected'])
})

test('a process that stands still is let go at once by who knows that it is dead', async () => {
  child.kill('SIGSTOP')
  alice.transport.disconnect(other.self)
  expect(alice.links(other.self)).toEqual({ connected: 1, disconnected: 1 })
})

test('a dial that hangs is overtaken by one from the other side', async () => {
  const hole = createServer(() => {}).listen(0, '127.0.0.1')
  await once(hole, 'listening')
  const { port } = hole.address() as { port: number }
  const identities = [createIdentity(), createIdentity()].toSorted((a, b) => (a.peer < b.peer ? -1 : 1))
  const [small, large] = await Promise.all(
    identities.map(async (identity) => probe(await createLoopbackTransport(undefined, undefined, identity))),
  )
  if (small === undefined || large === undefined) throw new Error('two were made')
  await Promise.all([small.transport.start(), large.transport.start()])
  const hanging = small.transport.dial(large.transport.self, [`/ip4/127.0.0.1/tcp/${port}`])
  await large.transport.dial(small.transport.self, small.transport.addresses())
  await hanging
  expect(small.links(large.transport.self)).toEqual({ connected: 1, disconnected: 0 })
  expect(large.links(small.transport.self)).toEqual({ connected: 1, disconnected: 0 })
  await Promise.all([small.transport.stop(), large.transport.stop()])
  hole.close()
})
