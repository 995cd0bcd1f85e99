import { spawnSync } from 'node:child_process'
import { describe, expect, it } from 'vitest'
import { replayOf } from './fuzz.ts'
import { run, type RunResult } from './run.ts'
import { createTraceHash } from './trace.ts'

/** Fewer than in a fuzz run, so that a world takes a second or two; those of known-worlds.test.ts have as many as they draw. */
const nodes = 30

/** Worlds that once broke an invariant, or nearly. */
const knownSeeds = [2, 15, 30, 37, 52, 60, 67, 70, 101, 218, 'a-48', '91c1c8d64194-3', 'hk-25', 'lk-64', 'ci1-35']

/** Likewise, of twelve nodes. */
const knownSmallWorlds = [
  'final12-178',
  'g20b-463',
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
  'p19b-205',
  'g20b-355',
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

  it.each(knownSmallWorlds)('keeps every invariant among twelve (seed %s)', (seed) => {
    expect(run({ seed, nodes: 12 }).violations, replayOf(seed, 12)).toEqual([])
  })

  it('is the same twice', () => {
    const traced = (seed: string): { result: RunResult; hash: string } => {
      const hash = createTraceHash()
      const result = run({ seed, nodes, onTrace: hash.onTrace })
      return { result, hash: hash.hex() }
    }
    const one = traced('c8d59b25cbe9')
    expect(traced('c8d59b25cbe9')).toEqual(one)
    expect(traced('another').hash).not.toBe(one.hash)
    expect(run({ seed: 'c8d59b25cbe9', nodes })).toEqual(one.result)
  })
})
