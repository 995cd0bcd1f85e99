import { describe, expect, test } from 'vitest'
import { OriginError, type OriginErrorKind } from '../../../agent/upstream/origin-error.ts'
import { withRetries } from '../../../agent/upstream/retry.ts'
import { limits } from '../../../core/limits.ts'
import { seededRandom } from '../../support/seeded-random.ts'
import { virtualClock } from '../../support/virtual-clock.ts'

const never = new AbortController().signal
const down = (retryAfterMs?: number, kind: OriginErrorKind = 'unavailable') =>
  new OriginError(kind, 'down', { retryAfterMs })

/** Runs against these failures, one per try, then success; tells the waits between. */
async function run(failures: readonly OriginError[], tryMs = 0) {
  const clock = virtualClock()
  const waits: number[] = []
  const sleep = (ms: number): Promise<void> => {
    waits.push(ms)
    clock.advance(ms)
    return Promise.resolve()
  }
  let tries = 0
  const outcome = await withRetries({ clock, random: seededRandom('retry'), sleep }, never, ['unavailable'], () => {
    clock.advance(tryMs)
    const failure = failures[tries++]
    return failure === undefined ? Promise.resolve('fine') : Promise.reject(failure)
  }).catch((error: unknown) => error)
  return { outcome, waits, tries }
}

describe('tries again', () => {
  test('while the origin is unavailable, with growing random waits', async () => {
    const { outcome, waits, tries } = await run([down(), down()])
    expect({ outcome, tries }).toEqual({ outcome: 'fine', tries: 3 })
    expect(waits).toHaveLength(2)
    waits.forEach((wait, index) => expect(wait).toBeLessThanOrEqual(limits.originRequestBackoffMs * 2 ** index))
  })

  test('when the origin said', async () => {
    expect(await run([down(1500)])).toEqual({ outcome: 'fine', waits: [1500], tries: 2 })
  })
})

describe('gives up', () => {
  test('after some tries', async () => {
    const last = down()
    expect(await run([down(0), down(0), last, down(0)])).toEqual({
      outcome: last,
      waits: [0, 0],
      tries: limits.originRequestTriesMax,
    })
  })

  test('rather than wait longer than a caller would', async () => {
    const far = down(limits.originRetryMs + 1)
    expect(await run([far])).toEqual({ outcome: far, waits: [], tries: 1 })
  })

  test('when the tries themselves take long', async () => {
    const slow = down(0)
    expect(await run([slow, slow], limits.originRetryMs + 1)).toEqual({ outcome: slow, waits: [], tries: 1 })
  })

  test.each<OriginErrorKind>(['rate-limited', 'denied', 'not-found', 'protocol'])(
    'at once when it is %s',
    async (kind) => {
      const failure = down(0, kind)
      expect(await run([failure])).toEqual({ outcome: failure, waits: [], tries: 1 })
    },
  )
})
