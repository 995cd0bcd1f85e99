import { setImmediate as nextTurn } from 'node:timers/promises'
import { expect, test } from 'vitest'
import { whenAwakeFor } from '../../../agent/system/awake-timer.ts'
import { limits } from '../../../core/limits.ts'

/** As on a core that others have. */
function holdUp(ms: number): void {
  const endsMs = performance.now() + ms
  while (performance.now() < endsMs);
}

test('what passes while the process is held up counts as one slice', async () => {
  const acted = Promise.withResolvers<string>()
  let hasActed = false
  void acted.promise.then(() => (hasActed = true))
  whenAwakeFor(3 * limits.awakeSliceMs, () => acted.resolve('acted'))
  for (let slice = 0; slice < 2; slice++) {
    holdUp(4 * limits.awakeSliceMs)
    await nextTurn()
    expect(hasActed).toBe(false)
  }
  expect(await acted.promise).toBe('acted')
})

test('what came meanwhile is read first', async () => {
  const order: string[] = []
  const acted = new Promise<void>((resolve) => {
    whenAwakeFor(1, () => {
      order.push('acted')
      resolve()
    })
  })
  setImmediate(() => order.push('read'))
  holdUp(5)
  await acted
  expect(order).toEqual(['read', 'acted'])
})

test('cancelled, it never acts: neither in mid-slice nor at its end', async () => {
  const acted: string[] = []
  whenAwakeFor(1, () => acted.push('in mid-slice'))()
  const cancel = whenAwakeFor(1, () => acted.push('at its end'))
  // Timers run in the order of their making: the slice has ended, and what it planned is not done yet.
  setTimeout(cancel, 1)
  holdUp(5)
  await new Promise<void>((resolve) => void whenAwakeFor(5, resolve))
  expect(acted).toEqual([])
})
