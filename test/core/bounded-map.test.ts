import { expect, test } from 'vitest'
import { createBoundedMap } from '../../core/bounded-map.ts'

test('forgets its oldest entry, and one set again is the newest', () => {
  const map = createBoundedMap<string, number>(2)
  map.set('a', 1)
  map.set('b', 2)
  map.set('a', 3)
  map.set('c', 4)
  expect([map.get('a'), map.get('b'), map.get('c')]).toEqual([3, undefined, 4])
  map.delete('a')
  expect(map.get('a')).toBeUndefined()
  expect(map.isEmpty()).toBe(false)
  map.delete('c')
  expect(map.isEmpty()).toBe(true)
})
