import { expect, it } from 'vitest'
import { limits } from '../../../core/limits.ts'
import { createPlaces, type Place } from '../../../core/members/places.ts'
import { createWorld } from './world.ts'

const zones = 3
const placeOf = (peer: string): Place => ({ region: 'eu', zone: `zone ${Number(peer.slice(1)) % zones}` })

function namedTo(first: string, count: number, places = createPlaces('none', placeOf)): string[] {
  const world = createWorld({ directory: { places } })
  for (let number = 1; number < count; number++) world.say(`p${number}`)
  return world.say(first).peers.map(({ peer }) => peer)
}

const isNear = (peer: string): boolean => placeOf(peer).zone === placeOf('p0').zone

it('names neighbours in the same zone first, and leaves a quarter of the places to others', () => {
  const named = namedTo('p0', 300)
  expect(named).toHaveLength(limits.neighboursNamed)
  const others = named.slice(limits.neighboursNamed * 0.75)
  expect(named.slice(0, limits.neighboursNamed * 0.75).every(isNear)).toBe(true)
  expect(others.filter((peer) => !isNear(peer)).length).toBeGreaterThan(others.length / 2)
})

it('names all there are where they are few, wherever they are', () => {
  const few = limits.neighboursNamed
  const others = Array.from({ length: few - 1 }, (_, at) => `p${at + 1}`)
  expect(namedTo('p0', few).toSorted()).toEqual(others.toSorted())
})

it('names the same with nobody placed as with all in one place', () => {
  const nobody = createPlaces('none', () => undefined)
  const everybody = createPlaces('none', () => ({ region: 'eu' }))
  expect(namedTo('p0', 100, nobody)).toEqual(namedTo('p0', 100, everybody))
})
