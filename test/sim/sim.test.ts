import { spawnSync } from 'node:child_process'
import { describe, expect, it } from 'vitest'
import { benchCold } from './bench.ts'
import { replayOf, seedOf } from './fuzz.ts'
import { run } from './run.ts'

/** Fewer than in a fuzz run, so that all worlds of this file take half a minute. */
const nodes = 30

/** Worlds that once broke an invariant, or nearly. */
const knownSeeds = [2, 15, 30, 37, 52, 60, 67, 70, 101, 218]
const commit = spawnSync('git', ['rev-parse', 'HEAD'], { encoding: 'utf8' }).stdout.trim() || 'no commit'
const newSeeds = [1, 2, 3, 4].map((number) => seedOf(commit.slice(0, 12), number))

describe('a world in which things go wrong', () => {
  it.each([...knownSeeds, ...newSeeds])('keeps every invariant (seed %s)', (seed) => {
    expect(run({ seed, nodes }).violations, replayOf(seed, nodes)).toEqual([])
  })

  it('is the same twice', () => {
    const seed = 'c8d59b25cbe9'
    const one = run({ seed, nodes })
    const other = run({ seed, nodes })
    expect(other).toEqual(one)
    expect(run({ seed: 'another', nodes }).traceHash).not.toBe(one.traceHash)
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
