/** On real lanes: a member that asks for chunks, and lives, and reads nothing of what it is sent. */
import { afterEach, beforeEach, expect, test } from 'vitest'
import { systemClock } from '../../../agent/system/clock.ts'
import { heartbeat } from '../../../agent/transport/control.ts'
import type { PeerTransport } from '../../../agent/transport/peer-transport.ts'
import { OriginError } from '../../../agent/upstream/origin-error.ts'
import { limits } from '../../../core/limits.ts'
import { chunkCountOf } from '../../../core/swarm/chunks.ts'
import { createPeerMessageEncoder } from '../../../core/wire/peer-messages.ts'
import { createLoopbackTransport } from '../../support/libp2p-transport.ts'
import { createMemoryOrigin } from '../../support/memory-origin.ts'
import { createRawPeer, link } from '../../support/raw-peer.ts'
import { digestOf, someBytes } from '../../support/registry-content.ts'
import { createSwarmNodes, originsWith, readBytes, type SwarmNodes, wantOf } from '../../support/swarm-nodes.ts'

const bytes = someBytes(40_000_000)
const want = wantOf(digestOf(bytes), bytes.length)
const chunks = chunkCountOf(bytes.length)

let nodes: SwarmNodes
let transports: PeerTransport[]
let stops: (() => Promise<void> | void)[]

beforeEach(() => {
  transports = []
  stops = []
  nodes = createSwarmNodes('idle takers', {
    async transport(identity) {
      const transport = await createLoopbackTransport(undefined, systemClock, identity)
      transports.push(transport)
      return transport
    },
  })
})

afterEach(async () => {
  for (const stop of stops.toReversed()) await stop()
  await nodes.stop()
})

/** Asks for one chunk after the other; returns how many it has asked for. */
async function takeNothingOf(seed: PeerTransport): Promise<() => number> {
  const raw = await createRawPeer()
  stops.push(() => raw.stop())
  const { messages, openLane } = await link(raw, seed)
  const lane = await openLane('chunks', () => {})
  lane.pause()
  const encode = createPeerMessageEncoder()
  let id = 0
  const asking = setInterval(() => {
    messages.write(heartbeat)
    messages.write(encode({ type: 'request', id: ++id, digest: want.digest, index: id % chunks, offset: 0 }))
  }, 5)
  stops.push(() => clearInterval(asking))
  return () => id
}

test('holds up nobody for long, and nobody needs the origin for it', async () => {
  const origin = createMemoryOrigin(originsWith(bytes, want.digest))
  const seed = await nodes.add(origin)
  await readBytes(seed, want)
  const asked = await takeNothingOf(transports[0]!)
  let since = 0

  await expect
    .poll(
      () => {
        if (seed.runner.swarm.stats().uploadsActive < limits.uploadsActiveMax) since = asked()
        return asked() - since
      },
      { timeout: 30_000 },
    )
    .toBeGreaterThan(100)
  origin.fail(new OriginError('unavailable', 'down'))
  const leech = await nodes.add(origin)
  expect((await readBytes(leech, want)).equals(bytes)).toBe(true)
  expect(leech.received).toEqual({ origin: 0, peer: bytes.length })
})
