import { expect, test } from 'vitest'
import { createBufferPool } from '../../../agent/swarm/buffer-pool.ts'
import { createProofs } from '../../../agent/swarm/proofs.ts'
import { createRecentChunks } from '../../../agent/swarm/recent-chunks.ts'
import { createSessions } from '../../../agent/swarm/sessions.ts'
import { systemClock } from '../../../agent/system/clock.ts'
import type { StoredBlob } from '../../../core/ports.ts'
import { KiB } from '../../../core/units.ts'
import { contentFrom, fill } from '../../support/content.ts'
import { createMemoryStore } from '../../support/memory-store.ts'

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
  return { session, proofs: createProofs({ pool, onEnd: () => {} }), letRead: gate.resolve }
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
