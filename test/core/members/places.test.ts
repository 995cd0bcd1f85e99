import { describe, expect, it } from 'vitest'
import { createPlaces, nearness } from '../../../core/members/places.ts'

const placeOf = (peer: string) => (peer === 'unknown' ? undefined : { region: peer.slice(0, 2), zone: peer.slice(2) })

describe('nearness', () => {
  it('is greatest within a zone, and greater within a region than without', () => {
    const here = { region: 'eu', zone: 'a' }
    expect(nearness(here, { region: 'eu', zone: 'a' })).toBe(2)
    expect(nearness(here, { region: 'eu', zone: 'b' })).toBe(1)
    expect(nearness(here, { region: 'us', zone: 'a' })).toBe(0)
  })

  it('takes who tells no zone to share none', () => {
    expect(nearness({ region: 'eu' }, { region: 'eu' })).toBe(1)
    expect(nearness({ region: 'eu' }, undefined)).toBe(0)
  })
})

describe('areas', () => {
  it.each([
    ['none', 'eua', 'usb', true],
    ['region', 'eua', 'eub', true],
    ['region', 'eua', 'usa', false],
    ['zone', 'eua', 'eua', true],
    ['zone', 'eua', 'eub', false],
    ['zone', 'eua', 'usa', false],
  ] as const)('with the border %s, %s and %s are in one: %s', (border, one, other, isSame) => {
    const places = createPlaces(border, placeOf)
    expect(places.areaOf(one) === places.areaOf(other)).toBe(isSame)
  })

  it('are unknown for who is no member, where there is a border', () => {
    expect(createPlaces('zone', placeOf).areaOf('unknown')).toBeUndefined()
    expect(createPlaces('none', placeOf).areaOf('unknown')).toBe('')
  })
})
