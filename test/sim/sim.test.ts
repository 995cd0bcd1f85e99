import { describe, expect, it } from 'vitest'
import { benchCold } from './bench.ts'
import { run } from './run.ts'

describe('a world of fifty nodes in which things go wrong', () => {
  it.each([1, 2, 5, 24, 36, 42, 47])('keeps every invariant (seed %i)', (seed) => {
    expect(run({ seed }).violations).toEqual([])
  })

  it('is the same twice', () => {
    const seed = 'c8d59b25cbe9'
    const one = run({ seed })
    const other = run({ seed })
    expect(other).toEqual(one)
    expect(run({ seed: 'another' }).traceHash).not.toBe(one.traceHash)
  })
})

describe('a cold image of five layers on eight equal links', () => {
  it('ends near the fluid bound, from one copy, with next to no byte twice', () => {
    const result = benchCold(8, 1)
    expect(result.originRatio).toBe(1)
    expect(result.makespanOverBound).toBeLessThan(1.25)
    expect(result.receivedRatio).toBeLessThan(1.02)
  })
})
