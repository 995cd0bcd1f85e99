import { describe, expect, it } from 'vitest'
import { MiB, second } from '../../core/units.ts'
import { endlessLife, type SwarmOptions } from '../../core/swarm/state.ts'
import { tell, type Story } from './story.ts'

/** At the rate of the origin's link: three times as long as tokens live. */
const layerBytes = [18 * MiB]
const tokenMs = 1 * second

/** So many nodes begin to pull the layer. */
function begin(nodes: number, swarm: SwarmOptions = {}): Story {
  const story = tell({ nodes, layerBytes, tokenMs }, swarm)
  story.begin()
  return story
}

function expectOneCopy(story: Story): void {
  expect(story.end()).toBe(true)
  expect(story.originRatio()).toBe(1)
  expect(story.sim.violations).toEqual([])
}

const refusals = ({ sim }: Story): number => sim.world.origin.refusedTokens()

describe('tokens that live a third of the time that a layer takes', () => {
  it.each([1, 8])('cost %i nodes nothing but new tokens, and none that has ended is shown', (nodes) => {
    const story = begin(nodes)
    expectOneCopy(story)
    expect(refusals(story)).toBe(0)
  })

  it('move leases to whose token lives: the others end none of their reads', () => {
    const story = begin(8)
    for (const node of story.sim.nodes.slice(0, 2)) story.at(1, () => void (node.tokenEndsAtMs = Infinity))
    expectOneCopy(story)
    expect(refusals(story)).toBe(0)
    expect(story.sim.nodes.map(({ counts }) => counts.fails)).toEqual(Array.from({ length: 8 }, () => 0))
  })

  it('cost a refusal each where they do not say when they end, and no byte more', () => {
    const story = begin(8, { credentialLife: () => endlessLife })
    expectOneCopy(story)
    expect(refusals(story)).toBeGreaterThan(0)
  })
})
