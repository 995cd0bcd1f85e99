import { expect, it } from 'vitest'
import { limits } from '../../../core/limits.ts'
import { createMemberList } from '../../../core/members/list.ts'
import { recordOf } from './world.ts'

const zoneOf = (number: number): string => `zone ${number % 3}`

it('has as nearest members mostly those of one zone, and always some of others', () => {
  const list = createMemberList()
  for (let number = 0; number < 300; number++) list.put(recordOf(`p${number}`, { zone: zoneOf(number) }), 0)
  const near = list.nearest('p0', limits.neighboursAim).map(({ zone }) => zone === zoneOf(0))
  const nearFirst = limits.neighboursAim * limits.nearShare
  expect(near.slice(0, nearFirst)).not.toContain(false)
  expect(near.slice(nearFirst)).toContain(false)
})
