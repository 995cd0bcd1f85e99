import { expect, it } from 'vitest'
import { replayOf } from './fuzz.ts'
import { run } from './run.ts'

/** Worlds with as many nodes as they draw that once broke an invariant, or nearly: apart from worlds.test.ts, as they take longest. */
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
  'eve-166',
  'dusk6-8',
  'dusk3cpu-209',
  'fb2-91',
  'gr1-62',
  'fin1-71',
  'last1-134',
  'ab1-434',
  'end1-125',
  'f20a-40',
  'p19a-73',
]

it.each(knownWorlds)('a world in which things go wrong keeps every invariant, as it was drawn (seed %s)', (seed) => {
  expect(run({ seed }).violations, replayOf(seed)).toEqual([])
})
