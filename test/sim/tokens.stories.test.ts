import { describe, expect, it } from 'vitest'
import { MiB, second } from '../../core/units.ts'
import { endlessLife } from '../../core/swarm/state.ts'
import { tell, type Story } from './story.ts'

/** At the rate of the origin's link: three times as long as tokens live. */
const layerBytes = [18 * MiB]
const tokenMs = 1 * second

/** No request is refused: what has ended is not shown. */
function expectNoRefusal({ sim }: Story): void {
  expect(sim.world.origin.refusedTokens()).toBe(0)
  expect(sim.violations).toEqual([])
}

describe('tokens that live a third of the time that a layer takes', () => {
  it('cost one node nothing but new tokens, and none that has ended is shown', () => {
    const story = tell({ nodes: 1, layerBytes, tokenMs })
    story.begin()
    expect(story.end()).toBe(true)
    expect(story.originRatio()).toBe(1)
    expectNoRefusal(story)
  })

  it('cost eight nodes no byte more from the origin', () => {
    const story = tell({ nodes: 8, layerBytes, tokenMs })
    story.begin()
    expect(story.end()).toBe(true)
    expect(story.originRatio()).toBe(1)
    expectNoRefusal(story)
  })

  it('move leases to whose token lives: the others end none of their reads', () => {
    const story = tell({ nodes: 8, layerBytes, tokenMs })
    story.begin()
    for (const node of story.sim.nodes.slice(0, 2)) story.at(1, () => void (node.tokenEndsAtMs = Infinity))
    expect(story.end()).toBe(true)
    expect(story.sim.nodes.map(({ counts }) => counts.fails)).toEqual(Array.from({ length: 8 }, () => 0))
    expect(story.originRatio()).toBe(1)
    expectNoRefusal(story)
  })

  it('cost a refusal each where they do not say when they end, and no byte more', () => {
    const story = tell({ nodes: 8, layerBytes, tokenMs }, { credentialLife: () => endlessLife })
    story.begin()
    expect(story.end()).toBe(true)
    expect(story.originRatio()).toBe(1)
    expect(story.sim.world.origin.refusedTokens()).toBeGreaterThan(0)
    expect(story.sim.violations).toEqual([])
  })
})
