import { describe, expect, it } from 'vitest'
import { nearness } from '../../../core/members/places.ts'

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
