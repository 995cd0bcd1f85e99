import { expect, test } from 'vitest'
import { createLogger } from '../../../agent/logging.ts'
import { createBufferPool } from '../../../agent/swarm/buffer-pool.ts'
import { createChunkBuffers } from '../../../agent/swarm/chunk-buffers.ts'
import { chunkKey } from '../../../agent/swarm/chunk-key.ts'
import { createRecentChunks } from '../../../agent/swarm/recent-chunks.ts'
import { createSessions } from '../../../agent/swarm/sessions.ts'
import { createWrites } from '../../../agent/swarm/writes.ts'
import { systemClock } from '../../../agent/system/clock.ts'
import type { SwarmEvent } from '../../../core/swarm/events.ts'
import { KiB } from '../../../core/units.ts'
import { contentFrom } from '../../support/content.ts'
import { createMemoryStore } from '../../support/memory-store.ts'

const content = contentFrom('writes', 300 * KiB)
const { digest, size } = content

/** A session of the blob; its first chunk can be brought, and is kept as the disk likes. */
async function createBringing() {
  const pool = createBufferPool()
  const recent = createRecentChunks(pool)
  const store = createMemoryStore()
  const sessions = createSessions({ store, clock: systemClock, pool, recent, onOpened: () => {}, onLost: () => {} })
  const buffers = createChunkBuffers(pool)
  const posted: SwarmEvent[] = []
  const writes = createWrites({
    pool,
    recent,
    sessions,
    buffers,
    post: (event) => void posted.push(event),
    logger: createLogger({ level: 'fatal', format: 'json' }),
    onGained: () => {},
    onUnproved: () => {},
  })
  const session = await sessions.acquire(digest, size)
  async function bring(): Promise<SwarmEvent[]> {
    const chunk = content.chunk(0)
    buffers.begin(chunkKey(digest, 0), 'peer', 0, chunk.length)
    buffers.append(chunkKey(digest, 0), 'peer', chunk)
    writes.keep({ type: 'keep', digest, size, index: 0, entry: content.entry(0), mayPass: true })
    await writes.settled()
    return posted.splice(0)
  }
  return { session, store, bring }
}

test('a chunk that the disk refused once and takes when it comes again is in memory no more', async () => {
  const { bring, session, store } = await createBringing()
  store.refuse('DISK_FULL')
  expect(await bring()).toMatchObject([{ type: 'kept', index: 0, ok: false, isForgotten: false }])
  expect([...session.unkept.indices()]).toEqual([0])
  store.refuse(undefined)
  expect(await bring()).toMatchObject([{ type: 'kept', index: 0, ok: true }])
  expect([...session.unkept.indices()]).toEqual([])
})
