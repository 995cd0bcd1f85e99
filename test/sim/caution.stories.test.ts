/** At one witness a liar costs one pull a second try, and who pulls after that is cautioned (core/swarm/caution.ts). */
import { describe, expect, it } from 'vitest'
import { MiB } from '../../core/units.ts'
import { makeLiar } from './liars.ts'
import type { Lie } from './lies.ts'
import { tell } from './story.ts'

const forgeries = ['forges proved', 'forges fetched', 'forges in other names'] as const satisfies readonly Lie[]

/** Nine nodes pull one after the other beside a seed that lies; how often each had to try again. */
function pullInTurn(lie: Lie, seed: string, isTold = true): number[] {
  const story = tell({ nodes: 10, layerBytes: [2, 3, 5].map((size) => size * MiB) }, {}, seed)
  story.seed(0)
  story.begin([])
  makeLiar(story.node(0), lie)
  if (!isTold) for (const node of story.sim.nodes) node.slander = []
  const pulls = story.sim.pulls.slice(1)
  for (const pull of pulls) {
    pull.begin()
    story.sim.engine.run(story.sim.engine.clock.now() + 20_000, () => pull.doneAtMs !== undefined)
  }
  expect(pulls.filter(({ doneAtMs }) => doneAtMs === undefined)).toEqual([])
  return pulls.map(({ node }) => node.counts.retries)
}

describe.each(forgeries)('nodes that pull one after the other beside a seed that %s', (lie) => {
  it.each(['a', 'b'])('try again once over all of them (seed %s)', (seed) => {
    expect(pullInTurn(lie, seed)).toEqual([1, 0, 0, 0, 0, 0, 0, 0, 0])
  })

  it('try again once each, nearly all, where nobody tells', () => {
    const retries = pullInTurn(lie, 'a', false)
    expect(Math.max(...retries)).toBe(1)
    expect(retries.filter((count) => count === 1).length).toBeGreaterThan(6)
  })
})

it('a cold group with a member that cautions of all others has what it pulls once from the origin, and bans nobody', () => {
  const story = tell({ nodes: 8, layerBytes: [4 * MiB] })
  story.begin([])
  makeLiar(story.node(0), 'slanders')
  story.wait(1000)
  for (const pull of story.sim.pulls) pull.begin()
  expect(story.sim.engine.run(60_000, () => story.sim.pulls.every(({ doneAtMs }) => doneAtMs !== undefined))).toBe(true)
  expect(story.originRatio()).toBe(1)
  expect(story.sim.nodes.flatMap(({ counts: { bans, retries, wrongBytes } }) => [bans, retries, wrongBytes])).toEqual(
    story.sim.nodes.flatMap(() => [[], 0, 0]),
  )
})
