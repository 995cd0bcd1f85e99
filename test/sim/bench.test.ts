import { describe, expect, it } from 'vitest'
import { MiB } from '../../core/units.ts'
import { benchCases } from './bench-cases.ts'
import { bench } from './bench.ts'

describe('weak uplinks', () => {
  it.each([6, 12])('that %s of 24 nodes have hold up nobody for long', (weakUplinks) => {
    const setup = benchCases().find((one) => one.weakUplinks === weakUplinks)!
    const row = bench(setup, 1, () => undefined)
    expect(row).toMatchObject({ nodes: 24, weak_uplinks: weakUplinks, origin_bytes_ratio: 1 })
    expect(row.max_over_bound).toBeLessThan(1.5)
  })
})

describe('one that does wrong among six', () => {
  it.each([
    ['of what it holds', 'denies', false],
    ['as the host of a directory', 'grants everybody', true],
  ] as const)('%s makes the origin send more, and is not waited for itself', (_what, liar, isHost) => {
    const setup = benchCases().find((one) => one.liar === liar)!
    const [honest, beside] = (['none', liar] as const).map((lie) => {
      return bench({ ...setup, nodes: 6, layerBytes: [8 * MiB], liar: lie }, 1, () => undefined)
    })
    expect(honest).toMatchObject({ liar: 'none', origin_bytes_ratio: 1 })
    expect(beside).toMatchObject({ liar })
    expect(beside!.origin_bytes_ratio).toBeGreaterThan(isHost ? 1.5 : 1)
    expect(beside!.max_over_bound).toBeLessThan(setup.nodes)
  })
})

describe('a cold image of five layers on sixteen equal links', () => {
  it('ends near the fluid bound, from one copy, with next to no byte twice', () => {
    const row = bench(benchCases()[0]!, 1, () => undefined)
    expect(row).toMatchObject({ nodes: 16, start: 'cold', layers: 5 })
    expect(row.origin_bytes_ratio).toBe(1)
    expect(row.max_over_bound).toBeLessThan(1.25)
    expect(row.received_ratio_max).toBeLessThan(1.02)
  })
})
