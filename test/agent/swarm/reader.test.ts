/** A blob that turns out to be wrong while it is read, and is taken anew. */
import { expect, test } from 'vitest'
import { createBufferPool } from '../../../agent/swarm/buffer-pool.ts'
import { pieceSizeOf, readVerified } from '../../../agent/swarm/reader.ts'
import { createRecentChunks } from '../../../agent/swarm/recent-chunks.ts'
import { createSessions } from '../../../agent/swarm/sessions.ts'
import { digestHex } from '../../../core/oci/digest.ts'
import { chunkSizeOf, chunksOf } from '../../../core/swarm/chunks.ts'
import { createMemoryStore } from '../../support/memory-store.ts'
import { digestOf, someBytes } from '../../support/registry-content.ts'
import { virtualClock } from '../../support/virtual-clock.ts'

const bytes = someBytes(1_000_000)
const size = bytes.length
const digest = digestOf(bytes)
const chunkSize = chunkSizeOf(size)
const chunks = [...chunksOf(size)]

/** A reader of the whole blob, of which nothing is here. */
async function startReading() {
  const pool = createBufferPool()
  const recent = createRecentChunks(pool)
  const store = createMemoryStore()
  const sessions = createSessions({ store, clock: virtualClock(), pool, recent, onOpened: () => {}, onLost: () => {} })
  const session = await sessions.acquire(digest, size)
  const receive = async (index: number, from: Uint8Array): Promise<void> => {
    const chunk = from.subarray(index * chunkSize, (index + 1) * chunkSize)
    const said = { index, hash: digestHex(digestOf(chunk)), witness: { kind: 'proved' } as const }
    await session.stored.write(index, [chunk], { ...said, signer: 'peer', signature: new Uint8Array(64) })
    session.changed.notify()
  }
  const lackingAt: number[] = []
  const progress = {
    failed: () => undefined,
    moved: () => {},
    lacking: (position: number) => void lackingAt.push(position),
    mayTake: () => true,
  }
  const showing = { mayShow: () => true, seek: async () => {} }
  const { signal } = new AbortController()
  const buffers = [new Uint8Array(pieceSizeOf(size)), new Uint8Array(pieceSizeOf(size))] as const
  const pieces = readVerified(session, { start: 0, end: size }, { whole: true, signal }, progress, showing, buffers)
  const given: Buffer[] = []
  const throwAway = async (): Promise<void> => {
    session.generation++
    await session.stored.discard()
    session.changed.notify()
  }
  return {
    session,
    lackingAt,
    takePiece: async (): Promise<void> => void given.push(Buffer.from((await pieces.next()).value ?? [])),
    receive,
    throwAway,
    prove: () => {
      session.proved = true
      session.changed.notify()
    },
    rest: async (): Promise<Buffer> => {
      for await (const piece of pieces) given.push(Buffer.from(piece))
      return Buffer.concat(given)
    },
  }
}

/** A reader that has been given the first chunk as `first`; all of the blob is then thrown away. */
async function readHalfway(first: Uint8Array) {
  const reader = await startReading()
  await reader.receive(0, first)
  await reader.takePiece()
  await reader.throwAway()
  return reader
}

function spoilt(): Uint8Array {
  const wrong = Buffer.from(bytes)
  wrong[0]! ^= 1
  return wrong
}

test('goes on where what was handed out was right, though a wrong copy came in between', async () => {
  const { lackingAt, prove, receive, rest, throwAway } = await readHalfway(bytes)
  const reading = rest()
  await receive(0, spoilt())
  await expect.poll(() => lackingAt.length).toBeGreaterThan(1)
  await throwAway()
  for (const index of chunks) await receive(index, bytes)
  prove()
  expect((await reading).equals(bytes)).toBe(true)
})

test('ends where what was handed out was wrong, once that is proved', async () => {
  const { prove, receive, rest } = await readHalfway(spoilt())
  const reading = rest()
  for (const index of chunks) await receive(index, bytes)
  prove()
  await expect(reading).rejects.toMatchObject({ code: 'BLOB_CORRUPT' })
})

test('ends where the chunk of which it had a part was replaced by another', async () => {
  const { lackingAt, prove, receive, rest, session } = await startReading()
  const last = chunks.length - 1
  const wrong = Buffer.from(bytes.subarray(last * chunkSize))
  wrong[0]! ^= 1
  const hash = digestHex(digestOf(wrong))
  const said = {
    index: last,
    hash,
    witness: { kind: 'proved' },
    signer: 'peer',
    signature: new Uint8Array(64),
  } as const
  for (const index of chunks.slice(0, -1)) await receive(index, bytes)
  session.unkept.put(last, wrong, said)
  session.changed.notify()
  const reading = rest()
  // All but the last byte is taken, which waits for the proof.
  await expect.poll(() => lackingAt.at(-1)).toBe(size - 1)
  await receive(last, bytes)
  session.unkept.drop(last)
  prove()
  await expect(reading).rejects.toMatchObject({ code: 'BLOB_CORRUPT' })
})
