import { expect, test } from 'vitest'
import { createBoundedMap } from '../../../agent/upstream/bounded-map.ts'

test('forgets the oldest rather than grow', () => {
  const map = createBoundedMap<number>(2)
  map.set('a', 1)
  map.set('b', 2)
  map.set('a', 3)
  map.set('c', 4)
  expect(['a', 'b', 'c'].map((key) => map.get(key))).toEqual([3, undefined, 4])
  expect(map.size).toBe(2)
  map.delete('a')
  expect([map.get('a'), map.size]).toEqual([undefined, 1])
})
