import { createHash } from 'node:crypto'
import { setImmediate } from 'node:timers/promises'
import { multiaddr } from '@multiformats/multiaddr'
import { afterEach, expect, test } from 'vitest'
import type { PeerTransport } from '../../../agent/transport/peer-transport.ts'
import type { PeerAddress } from '../../../core/directory/messages.ts'
import { limits } from '../../../core/limits.ts'
import { digestFromHex, digestHex, type Digest } from '../../../core/oci/digest.ts'
import { framed, varint } from '../../../core/wire/bytes.ts'
import { createLoopbackTransport } from '../../support/libp2p-transport.ts'
import { connect, createRawPeer } from '../../support/raw-peer.ts'

const digest = digestFromHex('ab'.repeat(32))
const never = new AbortController().signal
const nodes: PeerTransport[] = []

afterEach(async () => {
  await Promise.all(nodes.splice(0).map((node) => node.stop()))
})

async function found(node: PeerTransport, sought = digest): Promise<PeerAddress[]> {
  const seeds: PeerAddress[] = []
  for await (const seed of node.findSeeds(sought, never)) seeds.push(seed)
  return seeds
}

test('among five nodes in a row, the last finds what the first provides', async () => {
  for (let at = 0; at < 5; at++) {
    const node = await createLoopbackTransport()
    await node.start()
    const before = nodes.at(-1)
    nodes.push(node)
    if (before !== undefined) await node.dial(before.self, before.addresses())
  }
  const [first, last] = [nodes[0], nodes[4]]
  if (first === undefined || last === undefined) throw new Error('five were made')
  first.provide(digest)
  let seeds: PeerAddress[] = []
  while (seeds.length === 0) {
    await setImmediate()
    seeds = await found(last)
  }
  expect(seeds).toEqual([{ peer: first.self, addresses: first.addresses() }])
  await last.dial(first.self, seeds[0]?.addresses ?? [])
})

test('a digest that nobody provides is not found', async () => {
  const node = await createLoopbackTransport()
  await node.start()
  nodes.push(node)
  expect(await found(node)).toEqual([])
})

/** A field of a protobuf message that is bytes. */
function field(number: number, bytes: Uint8Array): Uint8Array {
  return Buffer.concat([varint((number << 3) | 2), framed([bytes])])
}

/** The DHT's messages, as kad-dht has them (libp2p's kad-dht specification, "RPC messages"). */
const ping = framed([Uint8Array.of(1 << 3, 5)])

function addProvider(provided: Digest, provider: Uint8Array, address: Uint8Array): Uint8Array {
  const key = Buffer.concat([Uint8Array.of(1, 0x55, 0x12, 32), Buffer.from(digestHex(provided), 'hex')])
  return framed([
    Uint8Array.of(1 << 3, 2),
    field(2, key),
    field(9, Buffer.concat([field(1, provider), field(2, address)])),
  ])
}

function numbered(number: number): Digest {
  return digestFromHex(createHash('sha256').update(String(number)).digest('hex'))
}

test('a member that provides more than any may is remembered for the newest only', async () => {
  const node = await createLoopbackTransport()
  await node.start()
  nodes.push(node)
  const raw = await createRawPeer()
  const stream = await (await connect(raw, node)).newStream('/shoal/kad/2')
  const answered = new Promise((resolve) => stream.addEventListener('message', resolve, { once: true }))
  const address = multiaddr('/ip4/127.0.0.1/tcp/1').bytes
  for (let number = 0; number <= limits.dhtRecordsMax; number++) {
    if (!stream.send(addProvider(numbered(number), raw.peerId.toMultihash().bytes, address))) await stream.onDrain()
  }
  stream.send(ping)
  await answered
  expect(await found(node, numbered(0))).toEqual([])
  const seed = { peer: raw.peerId.toString(), addresses: [`/ip4/127.0.0.1/tcp/1/p2p/${raw.peerId.toString()}`] }
  expect(await found(node, numbered(1))).toEqual([seed])
  expect(await found(node, numbered(limits.dhtRecordsMax))).toEqual([seed])
  await raw.stop()
})
