import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest'
import { createSyncer } from '../../../agent/store/syncer.ts'
import { limits } from '../../../core/limits.ts'
import { second } from '../../../core/units.ts'
import { directoryForTest, logLines } from '../../support/disk-store.ts'

beforeEach(() => void vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout'] }))
afterEach(() => void vi.useRealTimers())

/** A blob that is dirty until it is synced, and counts how often that was. */
function dirtyBlob(fails = false) {
  return {
    isDirty: true,
    syncs: 0,
    async sync() {
      this.syncs++
      this.isDirty = false
      if (fails) throw new Error('no')
    },
  }
}
type Blob = Parameters<ReturnType<typeof createSyncer>['note']>[0]

function syncerForTest() {
  const failures: unknown[] = []
  const onFailed = (error: unknown): void => void failures.push(error)
  const syncer = createSyncer({ logger: logLines().logger, onFailed }, { directory: directoryForTest() })
  return { syncer, failures, note: (blob: ReturnType<typeof dirtyBlob>) => syncer.note(blob as unknown as Blob) }
}

describe('the syncer', () => {
  test('makes a blob durable in time for a power loss to take at most 5 s', async () => {
    expect(limits.storeSyncMs).toBeLessThan(5 * second)
    const { note } = syncerForTest()
    const blob = dirtyBlob()
    note(blob)
    await vi.advanceTimersByTimeAsync(limits.storeSyncMs - 1)
    expect(blob.syncs).toBe(0)
    await vi.advanceTimersByTimeAsync(1)
    expect(blob.syncs).toBe(1)
    note(blob)
    await vi.advanceTimersByTimeAsync(10 * limits.storeSyncMs)
    expect(blob.syncs).toBe(1)
  })

  test('syncs the others when one fails', async () => {
    const { syncer, note, failures } = syncerForTest()
    const [bad, good] = [dirtyBlob(true), dirtyBlob()]
    note(bad)
    note(good)
    await syncer.stop()
    expect([bad.syncs, good.syncs, failures.length]).toEqual([1, 1, 1])
  })
})
