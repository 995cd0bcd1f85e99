import { expect, test } from 'vitest'
import { createSingleFlight } from '../../../agent/upstream/single-flight.ts'

const never = new AbortController().signal

/** Work that the test ends, and the signal it was given. */
function work() {
  const { promise, resolve, reject } = Promise.withResolvers<string>()
  const signals: AbortSignal[] = []
  const start = (signal: AbortSignal): Promise<string> => {
    signals.push(signal)
    return promise
  }
  return { start, signals, resolve, reject }
}

test('one question at a time per key, and its answer for all', async () => {
  const fly = createSingleFlight<string>()
  const [first, other] = [work(), work()]
  const answers = [fly('a', never, first.start), fly('a', never, other.start), fly('b', never, other.start)]
  first.resolve('first')
  other.resolve('other')
  expect(await Promise.all(answers)).toEqual(['first', 'first', 'other'])
  expect([first.signals.length, other.signals.length]).toEqual([1, 1])
})

test('an answered question is asked anew', async () => {
  const fly = createSingleFlight<string>()
  for (const text of ['one', 'two']) expect(await fly('a', never, () => Promise.resolve(text))).toBe(text)
})

test('a failure fails all who wait, and none after', async () => {
  const fly = createSingleFlight<string>()
  const failing = work()
  const answers = Promise.allSettled([fly('a', never, failing.start), fly('a', never, failing.start)])
  failing.reject(new Error('down'))
  expect((await answers).map(({ status }) => status)).toEqual(['rejected', 'rejected'])
  expect(await fly('a', never, () => Promise.resolve('up'))).toBe('up')
})

test('who gives up leaves the others waiting; the last one stops the work', async () => {
  const fly = createSingleFlight<string>()
  const slow = work()
  const [one, two] = [new AbortController(), new AbortController()]
  const [first, second] = [fly('a', one.signal, slow.start), fly('a', two.signal, slow.start)]
  one.abort(new Error('one is gone'))
  await expect(first).rejects.toThrow('one is gone')
  expect(slow.signals[0]?.aborted).toBe(false)
  two.abort(new Error('two is gone'))
  await expect(second).rejects.toThrow('two is gone')
  expect(slow.signals[0]?.aborted).toBe(true)
  expect(await fly('a', never, () => Promise.resolve('new'))).toBe('new')
})

test('who is gone already asks nothing', async () => {
  const fly = createSingleFlight<string>()
  const unused = work()
  await expect(fly('a', AbortSignal.abort(new Error('gone')), unused.start)).rejects.toThrow('gone')
  expect(unused.signals).toEqual([])
})
