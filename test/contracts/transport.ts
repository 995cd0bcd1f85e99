import { createHash } from 'node:crypto'
import { afterEach, expect, test } from 'vitest'
import type { PeerTransport } from '../../agent/transport/peer-transport.ts'
import { limits } from '../../core/limits.ts'
import { digestFromHex } from '../../core/oci/digest.ts'
import type { Entry } from '../../core/swarm/entry.ts'
import type { PeerMessage } from '../../core/swarm/messages.ts'
import { MiB, minute } from '../../core/units.ts'
import { peerIdOf } from '../../core/wire/peer-id.ts'
import { probe, type Probe } from '../support/transport-probe.ts'
import { virtualClock, type VirtualClock } from '../support/virtual-clock.ts'

const never = new AbortController().signal
const digest = digestFromHex('ab'.repeat(32))
const nobody = peerIdOf(new Uint8Array(32).fill(9))

function entryOf(index: number): Entry {
  const witness = { kind: 'fetched', origin: 'registry.example:5000' } as const
  return { index, hash: 'cd'.repeat(32), witness, signer: nobody, signature: new Uint8Array(64).fill(7) }
}

/** Bytes that differ at every place where frames could be swapped or lost. */
function pattern(length: number): Uint8Array {
  const words = new Uint32Array(Math.ceil(length / 4)).map((_, at) => at)
  return new Uint8Array(words.buffer, 0, length)
}

function sha256(bytes: Uint8Array): string {
  return createHash('sha256').update(bytes).digest('hex')
}

async function* endless() {
  for (;;) yield pattern(MiB)
}

/** How `work` fails; taken before the failure is brought about, so that it is never unhandled. */
function failureOf(work: Promise<unknown>): Promise<unknown> {
  return work.then(
    () => undefined,
    (error: unknown) => error,
  )
}

function cancels(from: number, to: number): PeerMessage[] {
  return Array.from({ length: to - from }, (_, at): PeerMessage => ({ type: 'cancel', id: from + at }))
}

/** What every PeerTransport holds to; `create` gives one that is not started. */
export function transportContract(create: (clock: VirtualClock) => Promise<PeerTransport>): void {
  const started: PeerTransport[] = []
  const clock = virtualClock()

  async function join(): Promise<Probe> {
    const transport = await create(clock)
    await transport.start()
    started.push(transport)
    return probe(transport)
  }

  async function pair(): Promise<[Probe, Probe]> {
    const [alice, bob] = [await join(), await join()]
    await alice.transport.dial(bob.transport.self, bob.transport.addresses())
    await bob.until(() => bob.links(alice.transport.self).connected === 1)
    return [alice, bob]
  }

  afterEach(async () => {
    await Promise.all(started.splice(0).map((transport) => transport.stop()))
  })

  test('a dial links both sides, once, however often it is asked for', async () => {
    const [alice, bob] = [await join(), await join()]
    const [a, b] = [alice.transport, bob.transport]
    await Promise.all([a.dial(b.self, b.addresses()), a.dial(b.self, b.addresses())])
    await a.dial(b.self, [])
    await bob.until(() => bob.links(a.self).connected > 0)
    expect(alice.links(b.self)).toEqual({ connected: 1, disconnected: 0 })
    expect(bob.links(a.self)).toEqual({ connected: 1, disconnected: 0 })
    expect(a.addresses().every((address) => address.endsWith(`/p2p/${a.self}`))).toBe(true)
  })

  test('both may dial at once: one link comes of it, and it works both ways', async () => {
    for (let round = 0; round < 5; round++) {
      const [alice, bob] = [await join(), await join()]
      const [a, b] = [alice.transport, bob.transport]
      await Promise.all([a.dial(b.self, b.addresses()), b.dial(a.self, a.addresses())])
      a.send(b.self, { type: 'cancel', id: 1 })
      b.send(a.self, { type: 'cancel', id: 2 })
      await Promise.all([
        alice.until(() => alice.messages(b.self).length > 0),
        bob.until(() => bob.messages(a.self).length > 0),
      ])
      expect(alice.links(b.self)).toEqual({ connected: 1, disconnected: 0 })
      expect(bob.links(a.self)).toEqual({ connected: 1, disconnected: 0 })
    }
  })

  test('messages of every kind arrive whole and in order', async () => {
    const [alice, bob] = await pair()
    const sent: PeerMessage[] = [
      { type: 'join', digest, size: 12 * limits.chunkSizeMinBytes, have: Uint8Array.of(0b101, 0b1000) },
      { type: 'have', digest, indices: [11, 3] },
      { type: 'request', id: 7, digest, index: 3, offset: 65_536 },
      { type: 'queued', id: 7, ahead: 2 },
      { type: 'busy', id: 7, try: [nobody] },
      { type: 'missing', id: 7 },
      { type: 'leave', digest },
      ...cancels(0, 2000),
    ]
    for (const message of sent) alice.transport.send(bob.transport.self, message)
    await bob.until(() => bob.messages(alice.transport.self).length === sent.length)
    expect(bob.messages(alice.transport.self)).toEqual(sent)
  })

  test('a chunk arrives as its head, then its bytes, from an array or a stream', async () => {
    const [alice, bob] = await pair()
    const [a, b] = [alice.transport, bob.transport]
    const chunk = pattern(MiB + 17)
    async function* pieces() {
      for (let start = 0; start < chunk.length; start += 100_000) yield chunk.subarray(start, start + 100_000)
    }
    const entry = entryOf(65_535)
    await Promise.all([
      a.upload(b.self, 1, 0, entryOf(0), chunk, never),
      a.upload(b.self, 2, 4096, entry, pieces(), never),
      b.upload(a.self, 1, 0, entryOf(1), chunk, never),
    ])
    await bob.until(() => bob.bytes(a.self, 1).length + bob.bytes(a.self, 2).length === 2 * chunk.length)
    await alice.until(() => alice.bytes(b.self, 1).length === chunk.length)
    for (const bytes of [bob.bytes(a.self, 1), bob.bytes(a.self, 2), alice.bytes(b.self, 1)]) {
      expect(sha256(bytes)).toBe(sha256(chunk))
    }
    expect(bob.events).toContainEqual({ type: 'chunk-started', peer: a.self, id: 2, offset: 4096, entry })
    const first = bob.events.findIndex((event) => 'id' in event && event.id === 2)
    expect(bob.events[first]?.type).toBe('chunk-started')
  })

  test('an upload that waits for its source does not hold up others', async () => {
    const [alice, bob] = await pair()
    const carol = await join()
    const [a, b, c] = [alice.transport, bob.transport, carol.transport]
    await a.dial(c.self, c.addresses())
    const more = Promise.withResolvers<void>()
    async function* slow() {
      yield Uint8Array.of(1)
      await more.promise
      yield Uint8Array.of(2)
    }
    const slowUpload = a.upload(b.self, 1, 0, entryOf(0), slow(), never)
    await a.upload(c.self, 1, 0, entryOf(0), pattern(MiB), never)
    await a.upload(b.self, 2, 0, entryOf(1), pattern(MiB), never)
    await bob.until(() => bob.bytes(a.self, 2).length === MiB)
    expect([...bob.bytes(a.self, 1)]).toEqual([1])
    more.resolve()
    await slowUpload
    await bob.until(() => bob.bytes(a.self, 1).length === 2)
  })

  test('a cancelled upload stops between two frames; what came is a prefix, and the next one is whole', async () => {
    const [alice, bob] = await pair()
    const [a, b] = [alice.transport, bob.transport]
    const chunk = pattern(4 * MiB)
    const stop = new AbortController()
    const reason = new Error('enough')
    const failure = failureOf(a.upload(b.self, 1, 0, entryOf(0), chunk, stop.signal))
    void bob.until(() => bob.bytes(a.self, 1).length > 0).then(() => stop.abort(reason))
    expect(await failure).toBe(reason)
    await a.upload(b.self, 2, 0, entryOf(1), chunk, never)
    await bob.until(() => bob.bytes(a.self, 2).length === chunk.length)
    const prefix = bob.bytes(a.self, 1)
    expect(prefix.length).toBeGreaterThan(0)
    expect(prefix.length).toBeLessThan(chunk.length)
    expect(sha256(prefix)).toBe(sha256(chunk.subarray(0, prefix.length)))
    expect(sha256(bob.bytes(a.self, 2))).toBe(sha256(chunk))
    await expect(a.upload(b.self, 3, 0, entryOf(1), chunk, AbortSignal.abort(reason))).rejects.toBe(reason)
  })

  test('a source that fails ends its upload only', async () => {
    const [alice, bob] = await pair()
    const [a, b] = [alice.transport, bob.transport]
    const fault = new Error('the disk')
    async function* broken() {
      yield Uint8Array.of(1)
      throw fault
    }
    await expect(a.upload(b.self, 1, 0, entryOf(0), broken(), never)).rejects.toBe(fault)
    await a.upload(b.self, 2, 0, entryOf(0), Uint8Array.of(5, 6), never)
    await bob.until(() => bob.bytes(a.self, 2).length === 2)
    expect([...bob.bytes(a.self, 2)]).toEqual([5, 6])
  })

  test('a disconnect lets out what was said, ends both sides once, and a new link can follow', async () => {
    const [alice, bob] = await pair()
    const [a, b] = [alice.transport, bob.transport]
    const sent = cancels(0, 100)
    for (const message of sent) a.send(b.self, message)
    a.disconnect(b.self)
    a.send(b.self, { type: 'cancel', id: 999 })
    await bob.until(() => bob.links(a.self).disconnected === 1)
    expect(bob.messages(a.self)).toEqual(sent)
    expect(alice.events.at(-1)).toEqual({ type: 'disconnected', peer: b.self })
    expect(bob.events.at(-1)).toEqual({ type: 'disconnected', peer: a.self })
    await a.dial(b.self, b.addresses())
    a.send(b.self, { type: 'cancel', id: 1000 })
    await bob.until(() => bob.messages(a.self).length > sent.length)
    expect(bob.messages(a.self).at(-1)).toEqual({ type: 'cancel', id: 1000 })
    expect(alice.links(b.self)).toEqual({ connected: 2, disconnected: 1 })
    expect(bob.links(a.self)).toEqual({ connected: 2, disconnected: 1 })
  })

  test('an upload whose peer leaves ends with PEER_GONE', async () => {
    const [alice, bob] = await pair()
    const [a, b] = [alice.transport, bob.transport]
    const failure = failureOf(a.upload(b.self, 1, 0, entryOf(0), endless(), never))
    await bob.until(() => bob.bytes(a.self, 1).length > 0)
    b.disconnect(a.self)
    expect(await failure).toMatchObject({ code: 'PEER_GONE' })
    await alice.until(() => alice.links(b.self).disconnected === 1)
  })

  test('a banned peer is out, in both directions, until its time is over', async () => {
    const [alice, bob] = await pair()
    const [a, b] = [alice.transport, bob.transport]
    a.ban(b.self, minute)
    await bob.until(() => bob.links(a.self).disconnected === 1)
    expect(alice.links(b.self)).toEqual({ connected: 1, disconnected: 1 })
    await expect(a.dial(b.self, b.addresses())).rejects.toMatchObject({ code: 'PEER_UNREACHABLE' })
    await expect(b.dial(a.self, a.addresses())).rejects.toMatchObject({ code: 'PEER_UNREACHABLE' })
    expect(bob.links(a.self)).toEqual({ connected: 1, disconnected: 1 })
    clock.advance(minute)
    await b.dial(a.self, a.addresses())
    expect(alice.links(b.self)).toEqual({ connected: 2, disconnected: 1 })
  })

  test('a banned address takes everybody who is there with it', async () => {
    const [alice, bob, carol] = [await join(), await join(), await join()]
    const [a, b, c] = [alice.transport, bob.transport, carol.transport]
    await a.dial(b.self, b.addresses())
    const [connected] = alice.events
    expect(connected).toEqual({ type: 'connected', peer: b.self, address: expect.stringMatching(/^127\.0\.0\.\d+$/) })
    if (connected?.type === 'connected') a.ban(b.self, minute, connected.address)
    await expect(a.dial(c.self, c.addresses())).rejects.toMatchObject({ code: 'PEER_UNREACHABLE' })
    await expect(c.dial(a.self, a.addresses())).rejects.toMatchObject({ code: 'PEER_UNREACHABLE' })
    clock.advance(minute)
    await c.dial(a.self, a.addresses())
    expect(carol.links(a.self)).toEqual({ connected: 1, disconnected: 0 })
  })

  test('who stops says so to all', async () => {
    const [alice, bob] = await pair()
    await alice.transport.stop()
    await bob.until(() => bob.links(alice.transport.self).disconnected === 1)
    expect(alice.events.at(-1)).toEqual({ type: 'disconnected', peer: bob.transport.self })
    await expect(bob.transport.dial(alice.transport.self, [])).rejects.toMatchObject({ code: 'PEER_UNREACHABLE' })
  })

  test('strangers are not spoken to', async () => {
    const [alice, bob] = [await join(), await join()]
    const [a, b] = [alice.transport, bob.transport]
    a.send(b.self, { type: 'cancel', id: 1 })
    a.disconnect(b.self)
    const upload = a.upload(b.self, 1, 0, entryOf(0), Uint8Array.of(1), never)
    await expect(upload).rejects.toMatchObject({ code: 'PEER_GONE' })
    await expect(a.dial(a.self, a.addresses())).rejects.toMatchObject({ code: 'PEER_UNREACHABLE' })
    await expect(a.dial(nobody, b.addresses())).rejects.toMatchObject({ code: 'PEER_UNREACHABLE' })
    expect(alice.events).toEqual([])
    expect(bob.events).toEqual([])
  })

  test('who stops listening hears no more', async () => {
    const [alice, bob] = await pair()
    const heard: unknown[] = []
    const off = bob.transport.on((event) => heard.push(event))
    off()
    alice.transport.send(bob.transport.self, { type: 'cancel', id: 1 })
    await bob.until(() => bob.messages(alice.transport.self).length === 1)
    expect(heard).toEqual([])
  })
}
