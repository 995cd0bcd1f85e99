/** Who pulls beside somebody who has proved the blob is deceived by no single liar, at one witness too (core/swarm/witnesses.ts). */
import { describe, expect, it } from 'vitest'
import { MiB } from '../../core/units.ts'
import { backForgery, makeLiar } from './liars.ts'
import type { Lie } from './lies.ts'
import { tell } from './story.ts'

const forgeries = [
  'forges fetched',
  'forges proved',
  'forges one chunk',
  'forges in other names',
] as const satisfies readonly Lie[]

/** How often each of ten nodes had to try again that pull the image at once, beside an honest seed and one that lies. */
function pullAtOnce(lie: Lie, backs: 'with its word' | 'silently', seed: string): unknown {
  const story = tell({ nodes: 12, layerBytes: [2, 3, 5].map((size) => size * MiB) }, {}, seed)
  const liar = story.node(0)
  for (const number of [0, 1]) story.seed(number)
  story.begin([])
  makeLiar(liar, lie)
  backForgery(liar, backs === 'with its word')
  const pulls = story.sim.pulls.slice(2)
  for (const pull of pulls) pull.begin()
  story.sim.engine.run(60_000, () => pulls.every(({ doneAtMs }) => doneAtMs !== undefined))
  expect(story.originRatio()).toBeLessThan(1)
  return {
    open: pulls.filter(({ doneAtMs }) => doneAtMs === undefined),
    retries: pulls.map(({ node }) => node.counts.retries),
    violations: story.sim.violations,
  }
}

describe.each(forgeries)('ten nodes that pull at once beside an honest seed and one that %s', (lie) => {
  describe.each(['with its word', 'silently'] as const)('%s when it is asked', (backs) => {
    it.each(['a', 'b', 'c'])('never try again (seed %s)', (seed) => {
      expect(pullAtOnce(lie, backs, seed)).toEqual({ open: [], retries: Array(10).fill(0), violations: [] })
    })
  })
})
