import { spawnSync } from 'node:child_process'
import { describe, expect, it } from 'vitest'
import { MiB } from '../../core/units.ts'
import { benchCases } from './bench-cases.ts'
import { bench } from './bench.ts'
import { replayOf } from './fuzz.ts'
import { run } from './run.ts'

/** Fewer than in a fuzz run, so that all worlds of this file take some seconds. */
const nodes = 30

/** Worlds that once broke an invariant, or nearly. */
const knownSeeds = [2, 15, 30, 37, 52, 60, 67, 70, 101, 218, 'a-48', '91c1c8d64194-3', 'hk-25', 'lk-64', 'ci1-35']

/** Likewise, with as many nodes as they draw. */
const knownWorlds = [
  'alive-6',
  'end-59',
  'fz1-9',
  'fin1-152',
  'f152-126',
  'ga-97',
  'gb-221',
  'late-74',
  'noon-26',
  'dusk4-57',
  'dusk3cpu-114',
  'dusk5-121',
  'fu-207',
  'eve-166',
  'dusk6-8',
  'dusk3cpu-209',
  'fb2-91',
  'gr1-62',
  'fin1-71',
  'last1-134',
  'ab1-434',
  'end1-125',
]

/** Likewise, of twelve nodes. */
const knownSmallWorlds = [
  'final12-178',
  'final12-293',
  'tl-7',
  'tl-110',
  'late12-59',
  'late12-414',
  'late12-440',
  'late12-513',
  'late12-672',
  'late12-856',
  'later12-278',
  'later12-442',
  'dawn12-35',
  'second12-541',
  'hsh-8',
  'sm1-430',
  'fb12-352',
  'fb12-572',
  'fb12-787',
  'lay2-138',
  'ctD-758',
  'ctD-2177',
  'nov2-454',
  'end12-613',
  'end12-1159',
  'end12-1516',
  'end13-592',
  'end13-878',
  'now12-189',
  'now12-761',
  'end12-195',
  'now12-1054',
  'y12-1180',
  'z12-1593',
  'y12-1228',
  'y12-184',
  'wl12-740',
  'wl12-838',
  's15b-651',
  's15d-302',
  'h16s-1525',
  'me3-12',
  'me3-21',
  'me3-103',
  'me4-246',
  'me5-385',
]

/** New ones with each commit; `npm run sim -- --fuzz` draws many. Empty where there is no repository. */
function seedsOfCommit(): string[] {
  const { stdout } = spawnSync('git', ['rev-parse', '--short=12', 'HEAD'], {
    cwd: import.meta.dirname,
    encoding: 'utf8',
  })
  return stdout === '' ? [] : [1, 2].map((number) => `${stdout.trim()}-${number}`)
}

describe('a world in which things go wrong', () => {
  it.each([...knownSeeds, ...seedsOfCommit()])('keeps every invariant (seed %s)', (seed) => {
    expect(run({ seed, nodes }).violations, replayOf(seed, nodes)).toEqual([])
  })

  it.each(knownWorlds)('keeps every invariant, as it was drawn (seed %s)', (seed) => {
    expect(run({ seed }).violations, replayOf(seed)).toEqual([])
  })

  it.each(knownSmallWorlds)('keeps every invariant among twelve (seed %s)', (seed) => {
    expect(run({ seed, nodes: 12 }).violations, replayOf(seed, 12)).toEqual([])
  })

  it('is the same twice', () => {
    const seed = 'c8d59b25cbe9'
    const one = run({ seed, nodes })
    const other = run({ seed, nodes })
    expect(other).toEqual(one)
    expect(run({ seed: 'another', nodes }).traceHash).not.toBe(one.traceHash)
  })
})

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
