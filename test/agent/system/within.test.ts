import { expect, test } from 'vitest'
import { within } from '../../../agent/system/within.ts'

test('work that ends in time, and work that never does', async () => {
  expect(await within(Promise.resolve('done'), 60_000)).toBe(true)
  expect(await within(Promise.race([]), 1)).toBe(false)
})

test('what the work rejects with is passed on', async () => {
  await expect(within(Promise.reject(new Error('broken')), 60_000)).rejects.toThrow('broken')
})
