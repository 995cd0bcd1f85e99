import { expect, it } from 'vitest'
import { createRandom } from '../../core/random.ts'

const draws = (seed: string, count: number, limit: number): number[] => {
  const random = createRandom(seed)
  return Array.from({ length: count }, () => random.below(limit))
}

it('draws the same numbers for the same seed and others for another', () => {
  expect(draws('a', 20, 1000)).toEqual(draws('a', 20, 1000))
  expect(draws('a', 20, 1000)).not.toEqual(draws('b', 20, 1000))
})

it('forks by name alone: a draw made before does not shift the fork', () => {
  const early = createRandom('a').fork('x')
  const parent = createRandom('a')
  parent.below(10)
  const late = parent.fork('x')
  expect(late.below(2 ** 30)).toBe(early.below(2 ** 30))
  expect(parent.fork('x').below(2 ** 30)).not.toBe(parent.fork('y').below(2 ** 30))
})

it('is uniform enough to choose by', () => {
  const counts = Array.from({ length: 10 }, () => 0)
  for (const draw of draws('uniform', 100_000, 10)) counts[draw] = (counts[draw] ?? 0) + 1
  for (const count of counts) expect(Math.abs(count - 10_000)).toBeLessThan(500)
})

it('refuses a limit that is no positive integer', () => {
  expect(() => createRandom('a').below(0)).toThrow(RangeError)
  expect(() => createRandom('a').below(1.5)).toThrow(RangeError)
})
