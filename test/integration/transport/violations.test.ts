import type { Libp2p } from '@libp2p/interface'
import { afterEach, beforeEach, expect, test } from 'vitest'
import { laneTo } from '../../../agent/transport/lanes.ts'
import { limits } from '../../../core/limits.ts'
import type { Entry } from '../../../core/swarm/entry.ts'
import { MiB } from '../../../core/units.ts'
import { varint } from '../../../core/wire/bytes.ts'
import { encodeHello } from '../../../core/wire/hello.ts'
import { createPeerMessageEncoder } from '../../../core/wire/peer-messages.ts'
import { createLoopbackTransport } from '../../support/libp2p-transport.ts'
import { closed, connect, createRawPeer, link, meet } from '../../support/raw-peer.ts'
import { probe, type Probe } from '../../support/transport-probe.ts'

/** What the kernel takes for the two ends of a connection before it makes us wait (Linux: the last figures of tcp_wmem and tcp_rmem). */
const kernelBuffersBytes = 4 * MiB + 32 * MiB

let alice: Probe
let raw: Libp2p

beforeEach(async () => {
  alice = probe(await createLoopbackTransport())
  await alice.transport.start()
  raw = await createRawPeer()
})

afterEach(async () => {
  await Promise.all([alice.transport.stop(), raw.stop()])
})

function entryOf(index: number): Entry {
  const signer = alice.transport.self
  return { index, hash: 'cd'.repeat(32), witness: { kind: 'proved' }, signer, signature: new Uint8Array(64) }
}

function violations(): unknown[] {
  return alice.events.flatMap((event) => (event.type === 'violation' ? [event.error.code] : []))
}

test.each([
  ['an unknown message', Uint8Array.of(1, 99)],
  ['a frame over the bound', varint(limits.controlFrameMaxBytes + 1)],
  ['a blob that was never named', Uint8Array.of(2, 3, 1)],
  ['a message with trailing bytes', Uint8Array.of(3, 5, 1, 0)],
])('%s on the lane for messages: reported, and the peer is out', async (_name, bytes) => {
  const { connection, messages } = await link(raw, alice.transport)
  messages.write(createPeerMessageEncoder()({ type: 'cancel', id: 5 }))
  messages.write(bytes)
  await closed(connection)
  const peer = raw.peerId.toString()
  expect(alice.events).toEqual([
    { type: 'connected', peer, address: '127.0.0.1' },
    { type: 'message', peer, message: { type: 'cancel', id: 5 } },
    { type: 'violation', peer, address: '127.0.0.1', error: expect.objectContaining({ code: 'PEER_PROTOCOL' }) },
    { type: 'disconnected', peer },
  ])
})

test.each([
  ['an unknown message', Uint8Array.of(1, 99)],
  ['a frame over the bound', varint(MiB)],
])('%s on the lane for chunks: reported, and the peer is out', async (_name, bytes) => {
  const { connection, openLane } = await link(raw, alice.transport)
  const lane = await openLane('chunks', () => {})
  lane.write(bytes)
  await closed(connection)
  expect(violations()).toEqual(['PEER_PROTOCOL'])
  expect(alice.links(raw.peerId.toString())).toEqual({ connected: 1, disconnected: 1 })
})

test('a first word that is no hello is reported and makes no link', async () => {
  const connection = await connect(raw, alice.transport)
  const control = await connection.newStream('/shoal/control/2')
  control.send(Uint8Array.of(2, 0x80, 0))
  await alice.until(() => violations().length === 1)
  expect(alice.links(raw.peerId.toString())).toEqual({ connected: 0, disconnected: 0 })
})

test('a lane is for who was told its key, and once', async () => {
  const { offer, openLane } = await link(raw, alice.transport)
  const failure = expect.objectContaining({ code: expect.stringMatching(/^(ERR_SSL|ECONNRESET)/) })
  const guessed = laneTo('127.0.0.1', { ...offer, key: new Uint8Array(32) })
  await expect(guessed('chunks', () => {})).rejects.toEqual(failure)
  await openLane('chunks', () => {})
  await expect(openLane('chunks', () => {})).rejects.toEqual(failure)
  await expect(openLane('messages', () => {})).rejects.toEqual(failure)
  expect(alice.links(raw.peerId.toString())).toEqual({ connected: 1, disconnected: 0 })
})

test.each(['messages', 'chunks'] as const)('a link ends with its lane for %s', async (freight) => {
  const { connection, messages, openLane } = await link(raw, alice.transport)
  const chunks = await openLane('chunks', () => {})
  const lanes = { messages, chunks }
  lanes[freight].destroy()
  await closed(connection)
  expect(alice.links(raw.peerId.toString())).toEqual({ connected: 1, disconnected: 1 })
})

test('a link whose lane for messages nobody opens ends, whatever else is open', async () => {
  const { connection, openLane } = await meet(raw, alice.transport)
  const chunks = await openLane('chunks', () => {})
  alice.transport.send(raw.peerId.toString(), { type: 'cancel', id: 8 })
  await Promise.all([closed(connection), new Promise((resolve) => chunks.once('close', resolve))])
  expect(alice.links(raw.peerId.toString())).toEqual({ connected: 1, disconnected: 1 })
})

test('a link does without the connection that it was agreed on over', async () => {
  const { connection, messages, openLane } = await link(raw, alice.transport)
  await openLane('chunks', () => {})
  await connection.close()
  messages.write(createPeerMessageEncoder()({ type: 'cancel', id: 7 }))
  const peer = raw.peerId.toString()
  await alice.until(() => alice.messages(peer).length === 1)
  messages.write(Uint8Array.of(1, 99))
  await new Promise((resolve) => messages.once('close', resolve))
  expect(violations()).toEqual(['PEER_PROTOCOL'])
  expect(alice.links(peer)).toEqual({ connected: 1, disconnected: 1 })
})

test('a second control stream of the same attempt changes nothing', async () => {
  const { connection, messages } = await link(raw, alice.transport)
  const again = await connection.newStream('/shoal/control/2')
  again.send(encodeHello(1))
  await closed(again)
  messages.write(createPeerMessageEncoder()({ type: 'cancel', id: 6 }))
  const peer = raw.peerId.toString()
  await alice.until(() => alice.messages(peer).length === 1)
  expect(alice.links(peer)).toEqual({ connected: 1, disconnected: 0 })
})

test('a peer that takes no messages is let go once its queue is full', async () => {
  const { connection, messages } = await link(raw, alice.transport)
  messages.pause()
  const peer = raw.peerId.toString()
  const join = { type: 'busy', id: 1, try: [alice.transport.self, alice.transport.self] } as const
  let sent = 0
  while (alice.links(peer).disconnected === 0 && sent < 100_000) {
    for (let burst = 0; burst < 100; burst++) alice.transport.send(peer, join)
    sent += 100
    await new Promise((resolve) => setImmediate(resolve))
  }
  const sentBytes = sent * createPeerMessageEncoder()(join).length
  expect(alice.links(peer)).toEqual({ connected: 1, disconnected: 1 })
  expect(sentBytes).toBeGreaterThan(limits.controlQueueMaxBytes)
  expect(sentBytes).toBeLessThan(limits.controlQueueMaxBytes + kernelBuffersBytes + MiB)
  await closed(connection)
})

test('an upload that waits for a lane that nobody opens ends when it is cancelled', async () => {
  await link(raw, alice.transport)
  const peer = raw.peerId.toString()
  const stop = new AbortController()
  const upload = alice.transport.upload(peer, 1, 0, entryOf(0), new Uint8Array(MiB), stop.signal)
  const reason = new Error('enough')
  queueMicrotask(() => stop.abort(reason))
  await expect(upload).rejects.toBe(reason)
  expect(alice.links(peer)).toEqual({ connected: 1, disconnected: 0 })
})

test('a peer that takes no chunks is let go once what it cancelled fills its lane', async () => {
  const { connection, openLane } = await link(raw, alice.transport)
  const lane = await openLane('chunks', () => {})
  lane.pause()
  const peer = raw.peerId.toString()
  const chunk = new Uint8Array(MiB)
  let uploads = 0
  while (alice.links(peer).disconnected === 0 && uploads < 20_000) {
    const stop = new AbortController()
    const upload = alice.transport.upload(peer, uploads, 0, entryOf(0), chunk, stop.signal)
    const ended = upload.catch(() => {})
    await new Promise((resolve) => setImmediate(resolve))
    stop.abort()
    await ended
    uploads++
  }
  expect(alice.links(peer)).toEqual({ connected: 1, disconnected: 1 })
  await closed(connection)
})
