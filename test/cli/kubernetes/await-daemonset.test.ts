import { expect, test } from 'vitest'
import { awaitDaemonSet } from '../../../cli/kubernetes/await-daemonset.ts'
import { minute } from '../../../core/units.ts'
import { virtualClock } from '../../support/virtual-clock.ts'

const counts = (desired: number, updated: number, ready: number) => ({
  observedGeneration: 1,
  desiredNumberScheduled: desired,
  updatedNumberScheduled: updated,
  numberReady: ready,
})

/** One status for each time that it is looked at; the last one stays. */
async function wait(statuses: readonly (object | Error)[], mustBeDone = true) {
  const clock = virtualClock()
  const asked: string[] = []
  let said = ''
  const waited = awaitDaemonSet(
    {
      clock,
      get: async (objectPath) => {
        const status = statuses[Math.min(asked.push(objectPath), statuses.length) - 1]
        if (status instanceof Error) throw status
        return { metadata: { generation: 1 }, status }
      },
      pause: async (ms) => clock.advance(ms),
      print: (text) => (said += text),
    },
    { namespace: 'shoal-system', name: 'shoal-cleanup', timeoutMs: 1 * minute, mustBeDone },
  )
  const error = await waited.then(
    () => undefined,
    (reason: unknown) => reason,
  )
  return { error, said, asked, tookMs: clock.now() }
}

test('ends when every node has a ready pod of this version', async () => {
  const { error, said, asked } = await wait([counts(3, 3, 1), counts(3, 3, 1), counts(3, 2, 3), counts(3, 3, 3)])
  expect({ error, said }).toEqual({ error: undefined, said: '1 of 3 nodes\n2 of 3 nodes\n3 of 3 nodes\n' })
  expect(new Set(asked)).toEqual(new Set(['/apis/apps/v1/namespaces/shoal-system/daemonsets/shoal-cleanup']))
})

test('counts that its controller has not made yet are none', async () => {
  const { said } = await wait([{}, counts(0, 0, 0)])
  expect(said).toBe('not seen by its controller yet\n0 of 0 nodes\n')
})

test('an API that fails for a while is asked again', async () => {
  const { error, said } = await wait([new Error('HTTP 500'), counts(1, 1, 1)])
  expect({ error, said }).toEqual({ error: undefined, said: 'HTTP 500\n1 of 1 nodes\n' })
})

test('fails when the time is over, and says how many are left', async () => {
  const { error, tookMs } = await wait([counts(3, 3, 2)])
  expect(error).toMatchObject({ code: 'NODES_LEFT', detail: 'DaemonSet shoal-system/shoal-cleanup: 2 of 3 nodes' })
  expect(tookMs).toBe(1 * minute)
})

test('goes on when the time is over, where that is wanted', async () => {
  const { error, said } = await wait([counts(3, 3, 2)], false)
  expect({ error, said }).toEqual({ error: undefined, said: '2 of 3 nodes\nthe time is over; going on\n' })
})
