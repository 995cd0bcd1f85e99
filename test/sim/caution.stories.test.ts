/** At one witness a liar costs one pull a second try, and who pulls after that is cautioned (core/swarm/caution.ts). */
import { describe, expect, it } from 'vitest'
import { MiB } from '../../core/units.ts'
import { backForgery, makeLiar } from './liars.ts'
import type { Lie } from './lies.ts'
import { crash, start } from './node.ts'
import { createPull, type Pull } from './puller.ts'
import { type Story, tell } from './story.ts'

const forgeries = ['forges proved', 'forges fetched', 'forges in other names'] as const satisfies readonly Lie[]

interface Outcome {
  /** How often each had to try again. */
  readonly retries: readonly number[]
  readonly violations: readonly string[]
  /** What the origin sent, over the image. */
  readonly originRatio: number
}

/** Nine nodes pull the image one after the other beside a seed that lies; how often each had to try again. */
function pullInTurn(lie: Lie, seed: string, isTold = true): Outcome {
  const story = tell({ nodes: 10, layerBytes: [2, 3, 5].map((size) => size * MiB) }, {}, seed)
  story.seed(0)
  story.begin([])
  makeLiar(story.node(0), lie)
  backForgery(story.node(0), true)
  if (!isTold) silence(story)
  return endInTurn(story, story.sim.pulls.slice(1))
}

/** The same, each of them another blob, which none has had before. */
function pullApart(lie: Lie, isTold = true): Outcome {
  const story = tell({ nodes: 10, layerBytes: Array.from({ length: 9 }, () => 2 * MiB) })
  story.seed(0)
  story.begin([])
  makeLiar(story.node(0), lie)
  backForgery(story.node(0), true)
  if (!isTold) silence(story)
  const { engine, layers, nodes, options } = story.sim
  const pulls = layers.map((layer, at) => createPull(engine, nodes[at + 1]!, { ...options, layers: [layer] }))
  return endInTurn(story, pulls)
}

/** Nobody tells others of whom it has found out. */
function silence({ sim }: Story): void {
  for (const node of sim.nodes) node.slander = []
}

function endInTurn(story: Story, pulls: readonly Pull[]): Outcome {
  const { sim } = story
  for (const pull of pulls) {
    pull.begin()
    sim.engine.run(sim.engine.clock.now() + 20_000, () => pull.doneAtMs !== undefined)
  }
  expect(pulls.filter(({ doneAtMs }) => doneAtMs === undefined)).toEqual([])
  return {
    retries: pulls.map(({ node }) => node.counts.retries),
    violations: sim.violations,
    originRatio: story.originRatio(),
  }
}

describe.each(forgeries)('nodes that pull one after the other beside a seed that %s', (lie) => {
  it.each(['a', 'b'])('try again once over all of them (seed %s)', (seed) => {
    const { originRatio, ...outcome } = pullInTurn(lie, seed)
    expect(outcome).toEqual({ retries: [1, 0, 0, 0, 0, 0, 0, 0, 0], violations: [] })
    // The image, and at each of the others a chunk or two of each liar, which is of each layer where it has a name for each.
    expect(originRatio).toBeLessThanOrEqual(lie === 'forges in other names' ? 1.3 : 1.1)
  })

  it('try again once over all of them, though each pulls another blob and asks other hosts', () => {
    expect(pullApart(lie)).toMatchObject({ retries: [1, 0, 0, 0, 0, 0, 0, 0, 0], violations: [] })
  })

  it('try again once each, nearly all, where nobody tells, which breaks an invariant', () => {
    const { retries, violations } = pullApart(lie, false)
    expect(Math.max(...retries)).toBe(1)
    expect(retries.filter((count) => count === 1).length).toBeGreaterThan(6)
    expect(violations.length).toBeGreaterThan(6)
  })

  it('try again once over all of them though nobody tells, where who has pulled it before is there as well', () => {
    expect(pullInTurn(lie, 'a', false)).toMatchObject({ retries: [1, 0, 0, 0, 0, 0, 0, 0, 0], violations: [] })
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

/** Three nodes, of which one is a seed that lies. The second pulls a blob, dies, and pulls another one: how often it tries again in all. */
function pullInTwoLives(lie: Lie): Pick<Outcome, 'retries' | 'violations'> {
  const story = tell({ nodes: 3, layerBytes: [4 * MiB, 4 * MiB] })
  story.seed(0)
  story.begin([])
  makeLiar(story.node(0), lie)
  backForgery(story.node(0), true)
  const { engine, layers, options } = story.sim
  const node = story.node(1)
  const [first, second] = layers.map((layer) => createPull(engine, node, { ...options, layers: [layer] }))
  const before = endInTurn(story, [first!])
  crash(node, false)
  start(node)
  const { retries, violations } = endInTurn(story, [second!])
  return { retries: [...before.retries, ...retries], violations }
}

it.each(forgeries)('a node tries again once in both of its lives beside a seed that %s', (lie) => {
  expect(pullInTwoLives(lie)).toEqual({ retries: [1, 1], violations: [] })
})
