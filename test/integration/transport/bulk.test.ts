import { createHash, randomBytes } from 'node:crypto'
import { afterEach, beforeEach, expect, test } from 'vitest'
import { limits } from '../../../core/limits.ts'
import type { Entry } from '../../../core/swarm/entry.ts'
import { MiB } from '../../../core/units.ts'
import { createLoopbackTransport } from '../../support/libp2p-transport.ts'
import { probe, type Probe } from '../../support/transport-probe.ts'

const never = new AbortController().signal
const block = randomBytes(4 * MiB)

let alice: Probe
let bob: Probe

beforeEach(async () => {
  ;[alice, bob] = [probe(await createLoopbackTransport()), probe(await createLoopbackTransport())]
  await Promise.all([alice.transport.start(), bob.transport.start()])
  await alice.transport.dial(bob.transport.self, bob.transport.addresses())
})

afterEach(async () => {
  await Promise.all([alice.transport.stop(), bob.transport.stop()])
})

function entryOf(index: number): Entry {
  return {
    index,
    hash: 'cd'.repeat(32),
    witness: { kind: 'proved' },
    signer: alice.transport.self,
    signature: new Uint8Array(64),
  }
}

test('64 MiB arrive as they were sent, in frames within the bound', async () => {
  const received = createHash('sha256')
  let receivedBytes = 0
  let longest = 0
  bob.transport.on((event) => {
    if (event.type !== 'frame') return
    received.update(event.bytes)
    receivedBytes += event.bytes.length
    longest = Math.max(longest, event.bytes.length)
  })
  const sent = createHash('sha256')
  for (let chunk = 0; chunk < 16; chunk++) {
    sent.update(block)
    await alice.transport.upload(bob.transport.self, chunk, 0, entryOf(chunk), block, never)
  }
  await bob.until(() => receivedBytes === 64 * MiB)
  expect(received.digest('hex')).toBe(sent.digest('hex'))
  expect(longest).toBeLessThanOrEqual(limits.frameSizeBytes)
})

test('a message overtakes the chunk data that waits: at most a window of it comes before', async () => {
  const [a, b] = [alice.transport, bob.transport]
  let received = 0
  /** Bytes of chunk data that had arrived when message `id` left, and when it arrived. */
  const left: number[] = []
  const arrived: number[] = []
  b.on((event) => {
    if (event.type === 'message') arrived.push(received)
    if (event.type !== 'frame') return
    received += event.bytes.length
    if (received < (left.length + 1) * 4 * MiB || left.length === 8) return
    left.push(received)
    a.send(b.self, { type: 'cancel', id: left.length })
  })
  for (let chunk = 0; chunk < 12; chunk++) await a.upload(b.self, chunk, 0, entryOf(chunk), block, never)
  await bob.until(() => arrived.length === 8)
  const overtaken = arrived.map((bytes, id) => bytes - (left[id] ?? 0))
  expect(Math.max(...overtaken)).toBeLessThanOrEqual(limits.streamWindowMaxBytes + limits.frameSizeBytes)
})
