import { describe, expect, it } from 'vitest'
import { createPunctuality } from '../../../core/directory/punctuality.ts'
import { limits } from '../../../core/limits.ts'

describe('a lease', () => {
  it('lasts as long as ever where announces come when they were asked for, or half a second later', () => {
    const punctuality = createPunctuality()
    punctuality.heard(500, 1000)
    punctuality.heard(1500, 1000)
    expect(punctuality.leaseTtlMs()).toBe(1750)
  })

  it('lasts longer the later they come on the average, of which each is an eighth', () => {
    const punctuality = createPunctuality()
    punctuality.heard(1800, 500)
    expect(punctuality.leaseTtlMs()).toBe(1750 + 4 * 100)
    punctuality.heard(1800, 500)
    expect(punctuality.leaseTtlMs()).toBe(1750 + 4 * 187.5)
    punctuality.heard(500, 500)
    expect(punctuality.leaseTtlMs()).toBe(1750 + (4 * 187.5 * 7) / 8)
  })

  it('lasts little longer because one was away for long', () => {
    const punctuality = createPunctuality()
    punctuality.heard(60_000, 500)
    expect(punctuality.leaseTtlMs()).toBe(1750 + (4 * 1750) / 8)
  })

  it('never lasts until readers turn to the origin', () => {
    const punctuality = createPunctuality()
    for (let count = 0; count < 100; count++) punctuality.heard(60_000, 500)
    expect(punctuality.leaseTtlMs()).toBeLessThan(limits.starvedMs)
  })
})
