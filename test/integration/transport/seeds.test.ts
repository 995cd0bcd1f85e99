import { setImmediate } from 'node:timers/promises'
import { afterEach, expect, test } from 'vitest'
import type { PeerTransport } from '../../../agent/transport/peer-transport.ts'
import type { PeerAddress } from '../../../core/directory/messages.ts'
import { digestFromHex } from '../../../core/oci/digest.ts'
import { createLoopbackTransport } from '../../support/libp2p-transport.ts'

const digest = digestFromHex('ab'.repeat(32))
const never = new AbortController().signal
const nodes: PeerTransport[] = []

afterEach(async () => {
  await Promise.all(nodes.splice(0).map((node) => node.stop()))
})

async function found(node: PeerTransport): Promise<PeerAddress[]> {
  const seeds: PeerAddress[] = []
  for await (const seed of node.findSeeds(digest, never)) seeds.push(seed)
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
