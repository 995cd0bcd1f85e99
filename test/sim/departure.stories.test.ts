/** What a node that leaves has, and nobody else, goes to others before it is gone. */
import { describe, expect, it } from 'vitest'
import { MiB } from '../../core/units.ts'
import type { SimNode } from './node.ts'
import { tell, type Loss, type Story } from './story.ts'

/** The only seed of an image is lost `atMs` after four began to pull it. */
function pullFromLost(how: Loss, atMs: number): Story {
  const story = tell({ nodes: 5, layerBytes: [12 * MiB] })
  story.seed(0)
  story.begin([1, 2, 3, 4])
  story.at(atMs, () => story.lose(story.node(0), how))
  expect(story.end()).toBe(true)
  return story
}

describe('a seed that leaves in the middle of a pull', () => {
  it.each([0, 200, 1000])('(after %i ms) leaves the origin nothing to do', (atMs) => {
    const story = pullFromLost('departs', atMs)
    expect(story.originRatio()).toBe(0)
    expect(story.sim.violations).toEqual([])
  })

  it('does better than one that dies', () => {
    expect(pullFromLost('dies', 200).originRatio()).toBeGreaterThan(0.5)
  })
})

describe('a holder of leases that leaves', () => {
  it.each([250, 500, 1000, 2000])('(after %i ms) makes the origin send nothing twice', (atMs) => {
    const story = tell({ nodes: 8, layerBytes: [10 * MiB], originBytesPerMs: 3000, realBytes: false })
    story.begin()
    let leaver: SimNode | undefined
    story.at(atMs, () => {
      leaver = story.sim.nodes.find((node) => (node.life?.swarm.stats().leases ?? 0) > 0)
      story.lose(leaver!, 'departs')
    })
    expect(story.end()).toBe(true)
    expect(leaver?.life).toBeUndefined()
    expect(story.originRatio()).toBe(1)
  })
})

/** Seeds leave a cluster in which nobody reads; then one of those who stayed pulls all that they had. */
function pullAfter(act: (story: Story) => void, seeds = 1): Story {
  const story = tell({ nodes: 6, layerBytes: [8 * MiB, 2 * MiB, MiB] })
  for (let number = 0; number < seeds; number++) story.seed(number)
  story.begin([])
  act(story)
  for (let number = 0; number < seeds; number++) story.lose(story.node(number), 'departs')
  story.wait(15_000)
  for (let number = 0; number < seeds; number++) expect(story.node(number).life).toBeUndefined()
  story.pull(5).begin()
  story.wait(10_000)
  expect(story.pull(5).doneAtMs).toBeDefined()
  return story
}

const copies = ({ sim }: Story): number[] =>
  sim.layers.map(({ digest }) => sim.nodes.slice(2).filter(({ disk }) => disk.of(digest)?.complete === true).length)

describe('a seed that leaves while nobody reads', () => {
  it('hands each blob to one who stays', () => {
    const story = pullAfter(() => undefined)
    expect(story.originRatio()).toBe(0)
  })

  it('hands over once what two have who leave together', () => {
    const story = tell({ nodes: 6, layerBytes: [8 * MiB, 2 * MiB, MiB] })
    story.seed(0)
    story.seed(1)
    story.begin([])
    for (const number of [0, 1]) story.lose(story.node(number), 'departs')
    story.wait(15_000)
    expect(copies(story)).toEqual([1, 1, 1])
  })

  it('passes over those who leave as well', () => {
    const story = pullAfter((begun) => {
      for (const number of [1, 2, 3]) begun.lose(begun.node(number), 'departs')
    })
    expect(story.originRatio()).toBe(0)
  })

  it('goes at once where others have it too', () => {
    const story = tell({ nodes: 4, layerBytes: [8 * MiB] })
    story.seed(0)
    story.seed(1)
    story.begin([])
    story.lose(story.node(0), 'departs')
    story.wait(1500)
    expect(story.node(0).life).toBeUndefined()
    expect(story.node(2).disk.heldCount() + story.node(3).disk.heldCount()).toBe(0)
  })
})
