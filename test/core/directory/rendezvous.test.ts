import { expect, it } from 'vitest'
import { insertRanked, type Scored } from '../../../core/directory/rendezvous.ts'

function ranked(count: number, candidates: readonly (readonly [score: number, name: string])[]): string[] {
  const best: Scored<string>[] = []
  for (const [score, name] of candidates) insertRanked(best, count, `item ${name}`, score, name)
  return best.map(({ item, name, score }) => `${item} ${name} ${score}`)
}

it('keeps the highest scores, and the smaller names of equal ones, best first, whatever order they come in', () => {
  const best = ['item d d 9', 'item a a 5', 'item b b 5']
  const all = [
    [5, 'c'],
    [1, 'e'],
    [5, 'b'],
    [9, 'd'],
    [5, 'a'],
  ] as const
  expect(ranked(3, all)).toEqual(best)
  expect(ranked(3, all.toReversed())).toEqual(best)
})

it('keeps all while they are fewer, and none where none is wanted', () => {
  expect(ranked(3, [[1, 'a']])).toEqual(['item a a 1'])
  expect(ranked(0, [[1, 'a']])).toEqual([])
})
