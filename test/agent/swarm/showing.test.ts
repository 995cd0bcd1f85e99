/** A blob of four chunks that arrives while it is read: which of them may go to a reader of `reg.io`? */
import { expect, test } from 'vitest'
import type { Possession } from '../../../agent/access/possession.ts'
import { createBufferPool } from '../../../agent/swarm/buffer-pool.ts'
import { createRecentChunks } from '../../../agent/swarm/recent-chunks.ts'
import { createSessions, hashOf } from '../../../agent/swarm/sessions.ts'
import { createShowing } from '../../../agent/swarm/showing.ts'
import { anonymous } from '../../../agent/upstream/credential.ts'
import { OriginError } from '../../../agent/upstream/origin-error.ts'
import { limits } from '../../../core/limits.ts'
import { digestHex } from '../../../core/oci/digest.ts'
import { chunksOf, chunkSizeOf } from '../../../core/swarm/chunks.ts'
import type { Witness } from '../../../core/swarm/entry.ts'
import { createMemoryStore } from '../../support/memory-store.ts'
import { digestOf, someBytes } from '../../support/registry-content.ts'
import { virtualClock } from '../../support/virtual-clock.ts'

const bytes = someBytes(1_000_000)
const digest = digestOf(bytes)
const chunkSize = chunkSizeOf(bytes.length)
const want = { origin: 'reg.io', repository: 'team/app', digest, kind: 'blob', credential: anonymous } as const
const own: Witness = { kind: 'fetched', origin: 'reg.io' }
const foreign: Witness = { kind: 'fetched', origin: 'other.io' }
const proved: Witness = { kind: 'proved' }
const notHere = new OriginError('not-found', 'not here', { status: 404 })

async function startReading({ whole = true } = {}) {
  const clock = virtualClock()
  const pool = createBufferPool()
  const recent = createRecentChunks(pool)
  const store = createMemoryStore()
  const sessions = createSessions({ store, clock, pool, recent, onOpened: () => {}, onLost: () => {} })
  const session = await sessions.acquire(digest, bytes.length)
  const known = { has: true, isHeld: false, isKnown: false, isGiven: false, failure: undefined as Error | undefined }
  const asked: string[] = []
  const possession: Possession = {
    prove: async () => void asked.push('has'),
    async isKnownToHold() {
      asked.push('others')
      known.isHeld ||= known.isKnown
      return known.isKnown
    },
    async proveHeld() {
      asked.push('samples')
      if (!known.isGiven) throw notHere
      known.isHeld = true
    },
    async provePart(_want, { start }) {
      asked.push(`part ${start / chunkSize}`)
      if (!known.isGiven) throw notHere
    },
  }
  const findings = { has: () => known.has, isHeld: () => known.isHeld }
  const { signal } = new AbortController()
  const showing = createShowing({ clock, possession, findings }, session, want, {
    whole,
    signal,
    failed: () => known.failure,
  })
  const mayShow = (index: number): boolean => showing.mayShow(index, hashOf(session, index))
  return {
    clock,
    session,
    known,
    asked,
    showing,
    mayShow,
    /** As a read does where it comes upon a chunk. */
    seek: async (index: number): Promise<void> => {
      if (!mayShow(index)) await showing.seek(index)
    },
    receive: async (index: number, witness: Witness): Promise<void> => {
      const chunk = bytes.subarray(index * chunkSize, (index + 1) * chunkSize)
      const entry = { index, hash: digestHex(digestOf(chunk)), witness, signer: 'peer', signature: new Uint8Array(64) }
      await session.stored.write(index, [chunk], entry)
      session.changed.notify()
    },
  }
}

test('chunks of the own origin go at once, whoever fetched them; others do not, though they come in the middle', async () => {
  const { mayShow, receive } = await startReading()
  for (const [index, witness] of [own, foreign, proved, own].entries()) await receive(index, witness)
  expect([0, 1, 2, 3].map(mayShow)).toEqual([true, false, false, true])
})

test('nothing goes before the repository is known to have the content', async () => {
  const { asked, known, mayShow, receive, seek } = await startReading()
  known.has = false
  await receive(0, own)
  expect(mayShow(0)).toBe(false)
  await seek(0)
  expect({ asked, shown: mayShow(0) }).toEqual({ asked: ['has'], shown: true })
})

test('what was known when the read began holds until it ends, as a credential may expire meanwhile', async () => {
  const { known, mayShow, receive } = await startReading()
  await receive(0, own)
  expect(mayShow(0)).toBe(true)
  known.has = false
  expect(mayShow(0)).toBe(true)
})

test('a chunk that has been replaced since it was read is not shown for the word of the new one', async () => {
  const { receive, showing } = await startReading()
  await receive(0, own)
  expect(showing.mayShow(0, digestHex(digestOf(someBytes(5))))).toBe(false)
})

test('a reader of the whole waits for the proof, and looks whether others know by then', async () => {
  const { asked, clock, known, mayShow, receive, session, seek } = await startReading()
  await receive(0, proved)
  const waiting = seek(0)
  await turn()
  await receive(1, proved)
  await waiting
  const again = seek(0)
  await turn()
  await receive(2, proved)
  await again
  expect({ asked, shown: mayShow(0) }).toEqual({ asked: ['others'], shown: false })
  clock.advance(limits.possessionWaitMs)
  known.isKnown = true
  await seek(0)
  expect({ asked, shown: mayShow(0) }).toEqual({ asked: ['others', 'others'], shown: true })
  expect(session.proved).toBe(false)
})

test('once it is proved the origin must give parts of it: shown, or not here', async () => {
  for (const isGiven of [true, false]) {
    const { asked, known, mayShow, receive, session, seek } = await startReading()
    for (const index of chunksOf(bytes.length)) await receive(index, proved)
    session.proved = true
    known.isGiven = isGiven
    const [outcome] = await Promise.allSettled([seek(0)])
    expect({ status: outcome?.status, asked, shown: mayShow(0) }).toEqual({
      status: isGiven ? 'fulfilled' : 'rejected',
      asked: ['samples'],
      shown: isGiven,
    })
  }
})

test('a proof that comes while others are asked is used, and no chunk is asked for', async () => {
  const { asked, known, mayShow, receive, session, seek } = await startReading()
  for (const index of chunksOf(bytes.length)) await receive(index, proved)
  known.isGiven = true
  const seeking = seek(0)
  session.proved = true
  await seeking
  expect({ asked, shown: mayShow(0) }).toEqual({ asked: ['others', 'samples'], shown: true })
})

test.each<[string, (reading: Awaited<ReturnType<typeof startReading>>) => void, boolean]>([
  ['a reader of a part', () => {}, false],
  ['what the disk refused', ({ session }) => refuseFirst(session), true],
  ['it is proved, and what the disk refused of it has gone', ({ session }) => void (session.proved = true), true],
])('where no proof is waited for, the origin sends that very chunk: %s', async (_, prepare, whole) => {
  const reading = await startReading({ whole })
  const { asked, known, mayShow, receive, seek } = reading
  await receive(0, proved)
  await receive(1, proved)
  prepare(reading)
  await expect(seek(0)).rejects.toBe(notHere)
  known.isGiven = true
  await seek(0)
  expect({ asked, shown: [0, 1].map(mayShow) }).toEqual({ asked: ['others', 'part 0', 'part 0'], shown: [true, false] })
})

/** Lets what waits for nothing but other promises go on. */
function turn(): Promise<void> {
  return new Promise((resolve) => setImmediate(resolve))
}

function refuseFirst(session: Awaited<ReturnType<typeof startReading>>['session']): void {
  const entry = session.stored.entry(0)
  if (entry !== undefined) session.unkept.put(0, Uint8Array.from(bytes.subarray(0, chunkSize)), entry)
}

test('who has waited for the proof for long has the origin send the chunk, and waits anew for the next', async () => {
  const { asked, clock, known, mayShow, receive, seek } = await startReading()
  known.isGiven = true
  await receive(0, proved)
  const waiting = seek(0)
  await turn()
  await receive(1, proved)
  await waiting
  clock.advance(limits.heldBackMs)
  await seek(0)
  expect({ asked, shown: mayShow(0) }).toEqual({ asked: ['others', 'others', 'part 0'], shown: true })
  const next = seek(1)
  await turn()
  await receive(2, proved)
  await next
  expect(mayShow(1)).toBe(false)
})

test('a read whose blob can be had from nowhere ends with that', async () => {
  const { receive, known, seek } = await startReading()
  await receive(0, proved)
  known.failure = notHere
  await expect(seek(0)).rejects.toBe(notHere)
})
