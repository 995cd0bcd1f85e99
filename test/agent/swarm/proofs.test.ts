import { expect, test } from 'vitest'
import { createBufferPool } from '../../../agent/swarm/buffer-pool.ts'
import { createProofs } from '../../../agent/swarm/proofs.ts'
import { createRecentChunks } from '../../../agent/swarm/recent-chunks.ts'
import { type BlobSession, createSessions } from '../../../agent/swarm/sessions.ts'
import { systemClock } from '../../../agent/system/clock.ts'
import type { StoredBlob } from '../../../core/ports.ts'
import { limits } from '../../../core/limits.ts'
import { digestHex } from '../../../core/oci/digest.ts'
import { KiB, MiB } from '../../../core/units.ts'
import { contentFrom, fill } from '../../support/content.ts'
import { createMemoryStore } from '../../support/memory-store.ts'
import { digestOf } from '../../support/registry-content.ts'

const content = contentFrom('proofs', 1250 * KiB)

/** A session of a blob of which the first chunk is here; what is read of it comes when the test says so. */
async function slowlyRead() {
  const pool = createBufferPool()
  const gate = Promise.withResolvers<void>()
  const memory = createMemoryStore()
  async function open(...args: Parameters<typeof memory.open>): Promise<StoredBlob> {
    const stored = await memory.open(...args)
    const read: StoredBlob['read'] = async (...range) => {
      const bytes = await stored.read(...range)
      await gate.promise
      return bytes
    }
    return { ...stored, read }
  }
  const sessions = createSessions({
    store: { ...memory, open },
    clock: systemClock,
    pool,
    recent: createRecentChunks(pool),
    onOpened: () => {},
    onLost: () => {},
  })
  const session = await sessions.acquire(content.digest, content.size)
  await fill(session.stored, content, [0])
  return { session, proofs: createProofs({ pool, onEnd: () => {}, onMixed: () => {} }), letRead: gate.resolve }
}

/** A session whose chunks are of 1 MiB, read in two pieces, of which the disk keeps none; and what was mixed. */
async function nothingKept() {
  const pool = createBufferPool()
  const sessions = createSessions({
    store: createMemoryStore(),
    clock: systemClock,
    pool,
    recent: createRecentChunks(pool),
    onOpened: () => {},
    onLost: () => {},
  })
  const session = await sessions.acquire(content.digest, limits.chunksPerBlobAim * MiB)
  const mixed: BlobSession[] = []
  const proofs = createProofs({ pool, onEnd: () => {}, onMixed: (which) => void mixed.push(which) })
  const put = (of: number): void => {
    const bytes = Buffer.alloc(MiB, of)
    session.unkept.put(0, bytes, { ...content.entry(0), hash: digestHex(digestOf(bytes)) })
  }
  return { session, proofs, mixed, put }
}

test('a read that was under way when the proof began anew is no part of the new one', async () => {
  const { session, proofs, letRead } = await slowlyRead()
  proofs.advance(session)
  proofs.restart(session)
  letRead()
  await new Promise(setImmediate)
  expect({ genuine: session.genuine, provedBytes: session.provedBytes }).toEqual({ genuine: [], provedBytes: 0 })
})

test('what this node has signed is signed anew when the proof has begun anew', async () => {
  const { session, proofs } = await slowlyRead()
  session.proofs.set(0, content.entry(0))
  proofs.restart(session)
  expect([...session.proofs]).toEqual([])
})

test('a chunk that is replaced while it is half hashed can not be proved', async () => {
  const { session, proofs, mixed, put } = await nothingKept()
  put(1)
  // Its first half is read at once.
  proofs.advance(session)
  put(2)
  await expect.poll(() => mixed).toEqual([session])
  expect(session.provedBytes).toBe(512 * KiB)
})

test('a chunk that is replaced by itself is hashed on', async () => {
  const { session, proofs, mixed, put } = await nothingKept()
  put(1)
  proofs.advance(session)
  put(1)
  await expect.poll(() => session.provedBytes).toBe(MiB)
  expect(mixed).toEqual([])
})
