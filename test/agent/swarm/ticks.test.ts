import { afterEach, beforeEach, expect, test, vi } from 'vitest'
import { createTicks, type Ticks } from '../../../agent/swarm/ticks.ts'
import { limits } from '../../../core/limits.ts'

let ticks: Ticks
let isAtRest: boolean
let count: number

beforeEach(() => {
  vi.useFakeTimers()
  isAtRest = false
  count = 0
  ticks = createTicks({ isAtRest: () => isAtRest, tick: () => count++ })
  ticks.start()
})

afterEach(() => {
  ticks.stop()
  vi.useRealTimers()
})

function ticksIn(ms: number): number {
  const before = count
  vi.advanceTimersByTime(ms)
  return count - before
}

/** The tick after which there is nothing to do. */
function rest(): void {
  isAtRest = true
  vi.advanceTimersByTime(limits.tickMs)
}

test('the swarm is told the time often while anything is under way', () => {
  expect(ticksIn(10 * limits.tickMs)).toBe(10)
})

test('at rest it is told seldom', () => {
  rest()
  expect(ticksIn(10 * limits.restTickMs)).toBe(10)
})

test('what ends the rest comes after a tick, and others follow as often as before', () => {
  rest()
  ticksIn(limits.tickMs)
  isAtRest = false
  const before = count
  ticks.wake()
  expect(count - before).toBe(1)
  expect(ticksIn(10 * limits.tickMs)).toBe(10)
})

test('what leaves it at rest brings two ticks', () => {
  rest()
  const before = count
  ticks.wake()
  ticksIn(limits.restTickMs)
  expect(count - before).toBe(2)
})

test('while anything is under way nothing comes earlier', () => {
  const before = count
  ticks.wake()
  expect(count - before).toBe(0)
})

test('none comes once they were stopped, whatever happens', () => {
  rest()
  ticks.stop()
  ticks.wake()
  expect(ticksIn(10 * limits.restTickMs)).toBe(0)
})
