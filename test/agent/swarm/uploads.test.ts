import { setImmediate } from 'node:timers/promises'
import { expect, test } from 'vitest'
import { createLogger } from '../../../agent/logging.ts'
import { createBufferPool } from '../../../agent/swarm/buffer-pool.ts'
import { createRecentChunks } from '../../../agent/swarm/recent-chunks.ts'
import { createSessions } from '../../../agent/swarm/sessions.ts'
import { createUploads } from '../../../agent/swarm/uploads.ts'
import { systemClock } from '../../../agent/system/clock.ts'
import type { PeerTransport } from '../../../agent/transport/peer-transport.ts'
import { sleepBySystem } from '../../../agent/upstream/retry.ts'
import { limits } from '../../../core/limits.ts'
import type { Digest } from '../../../core/oci/digest.ts'
import type { BlobStore } from '../../../core/ports.ts'
import { createRateLimit } from '../../../core/swarm/rate.ts'
import { type Content, contentFrom, fill } from '../../support/content.ts'
import { createMemoryNetwork } from '../../support/memory-transport.ts'
import { createMemoryNotary } from '../../support/memory-notary.ts'
import { createMemoryStore } from '../../support/memory-store.ts'
import { until } from '../../support/until.ts'

const content = contentFrom('uploads', 600_000)
const others = ['a', 'b', 'c', 'd'].map((seed) => contentFrom(seed, 300_000))
const upload = (id: number, { digest, size } = content) =>
  ({ type: 'upload', peer: 'peer', id, digest, size, index: 0, offset: 0 }) as const

/** A store whose reads begin and then wait for `diskOf` their blob. */
function slowStore(store: BlobStore, diskOf: (digest: Digest) => Promise<void>): BlobStore & { reads(): number } {
  let reads = 0
  return {
    ...store,
    reads: () => reads,
    async open(digest, size) {
      const stored = await store.open(digest, size)
      const read: typeof stored.read = async (...range) => {
        reads++
        await diskOf(digest)
        return stored.read(...range)
      }
      return Object.create(stored, { read: { value: read } })
    },
  }
}

/** Uploads over a transport on which each waits until the test lets it end. */
async function uploadsWithHold(diskOf = (_digest: Digest) => Promise.resolve()) {
  const memory = createMemoryStore()
  for (const each of [content, ...others]) await fill(await memory.open(each.digest, each.size), each)
  const store = slowStore(memory, diskOf)
  const held = new Map<number, PromiseWithResolvers<void>>()
  const send: PeerTransport['upload'] = async (_peer, id, _offset, _entry, _source, signal) => {
    signal.throwIfAborted()
    const hold = Promise.withResolvers<void>()
    held.set(id, hold)
    signal.addEventListener('abort', () => hold.reject(signal.reason))
    await hold.promise
  }
  const outcomes: string[] = []
  const pool = createBufferPool()
  const uploads = createUploads({
    pool,
    transport: { ...createMemoryNetwork(systemClock).create('self'), upload: send },
    sessions: createSessions({
      store,
      clock: systemClock,
      pool,
      recent: createRecentChunks(pool),
      onOpened: () => {},
      onLost: () => {},
    }),
    notary: createMemoryNotary('self'),
    rate: createRateLimit(systemClock),
    sleep: sleepBySystem,
    post: () => {},
    logger: createLogger({ level: 'fatal', format: 'json' }),
    onUploaded: (outcome) => outcomes.push(outcome),
  })
  return { uploads, held, outcomes, reads: () => store.reads() }
}

test('who stops waits for the uploads under way and for none that come later', async () => {
  const { uploads, held, outcomes } = await uploadsWithHold()
  uploads.start(upload(1))
  await until(() => held.size === 1)
  const settled = uploads.settled(60_000)
  uploads.start(upload(2))
  await until(() => held.size === 2)
  held.get(1)?.resolve()
  await settled
  expect(outcomes).toEqual(['sent'])
  uploads.stopAll()
  await until(() => outcomes.length === 2)
  expect(outcomes).toEqual(['sent', 'cancelled'])
})

test('an upload that does not end is not waited for beyond the limit', async () => {
  const { uploads, held, outcomes } = await uploadsWithHold()
  uploads.start(upload(1))
  await until(() => held.size === 1)
  await uploads.settled(1)
  expect(outcomes).toEqual([])
})

test('a peer that uses the number of a cancelled request again can cancel that one too', async () => {
  const { uploads, held, outcomes } = await uploadsWithHold()
  uploads.start(upload(1))
  uploads.stop('peer', 1)
  uploads.start(upload(1))
  await until(() => outcomes.length === 1 && held.size === 1)
  uploads.stop('peer', 1)
  await until(() => outcomes.length === 2)
  expect(outcomes).toEqual(['cancelled', 'cancelled'])
})

test('what is cancelled in the turn in which it was asked for is not read', async () => {
  const { uploads, outcomes, reads } = await uploadsWithHold()
  for (let id = 0; id < 100; id++) {
    uploads.start(upload(id))
    uploads.stop('peer', id)
  }
  await until(() => outcomes.length === 100)
  expect(new Set(outcomes)).toEqual(new Set(['cancelled']))
  expect(reads()).toBe(0)
})

/** A hundred, of these in turn, are asked for and cancelled, each when it has had time to begin to be read. */
async function cancelHundred({ uploads }: Awaited<ReturnType<typeof uploadsWithHold>>, contents: readonly Content[]) {
  for (let id = 0; id < 100; id++) {
    uploads.start(upload(id, contents[id % contents.length]))
    await setImmediate()
    uploads.stop('peer', id)
  }
}

test('of what is asked for and cancelled again and again a few chunks are read at a time', async () => {
  const disk = Promise.withResolvers<void>()
  const opened = await uploadsWithHold(() => disk.promise)
  const { uploads, held, outcomes, reads } = opened
  await cancelHundred(opened, others)
  uploads.start(upload(100))
  await until(() => outcomes.length === 100 - limits.uploadReadsMax)
  expect(reads()).toBe(limits.uploadReadsMax)
  disk.resolve()
  await until(() => held.has(100))
  expect(outcomes).toEqual(Array.from({ length: 100 }, () => 'cancelled'))
})

test('a blob that the disk does not give holds up no other', async () => {
  const disk = Promise.withResolvers<void>()
  const opened = await uploadsWithHold((digest) => (digest === content.digest ? disk.promise : Promise.resolve()))
  const { uploads, held, reads } = opened
  await cancelHundred(opened, [content])
  for (const [index, other] of others.entries()) uploads.start(upload(100 + index, other))
  await until(() => held.size === others.length)
  expect(reads()).toBe(limits.uploadReadsPerBlobMax + others.length)
  disk.resolve()
})
