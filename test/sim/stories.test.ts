import { describe, expect, it } from 'vitest'
import { limits } from '../../core/limits.ts'
import { KiB, MiB } from '../../core/units.ts'
import { makeLiar } from './liars.ts'
import { tell } from './story.ts'
import { allDone } from './sim.ts'
import { crashAndRestart, startAll } from './world.ts'

/** Milliseconds in which a link of `quiet` carries so many bytes. */
const linkMs = (bytes: number): number => bytes / 6250

/** How long a pull takes from two seeds, of which one may hang. */
function pullFromSeedsMs({ hangs }: { hangs: boolean }): number {
  const story = tell({ nodes: 3 })
  story.seed(0)
  story.seed(1)
  story.begin([2])
  if (hangs) story.at(500, () => (story.node(0).behaviour = 'freezes'))
  expect(story.end()).toBe(true)
  return story.nowMs()
}

describe('a quiet cluster', () => {
  it('of one agent pulls as fast as its link allows', () => {
    const story = tell({ nodes: 1, layerBytes: [8 * MiB, 4 * MiB] })
    story.begin()
    expect(story.end()).toBe(true)
    expect(story.originRatio()).toBe(1)
    expect(story.nowMs()).toBeLessThan(1.05 * linkMs(12 * MiB))
  })

  it('of one agent is not held up by an origin that is slow to begin', () => {
    const story = tell({ nodes: 1, layerBytes: [16 * MiB], originFirstByteMs: 200 })
    story.begin()
    expect(story.end()).toBe(true)
    expect(story.nowMs()).toBeLessThan(1.2 * linkMs(16 * MiB))
  })

  it('takes each byte from the origin once', () => {
    const story = tell({ nodes: 8 })
    story.begin()
    expect(story.end()).toBe(true)
    expect(story.originRatio()).toBe(1)
    expect(story.sim.violations).toEqual([])
  })

  it('that has just started and knows one seed still takes each byte once', () => {
    const story = tell({ nodes: 8, layerBytes: [4 * MiB, 8 * MiB], startSpreadMs: 1000 })
    startAll(story.sim)
    expect(story.sim.engine.run(15_000, () => allDone(story.sim))).toBe(true)
    expect(story.originRatio()).toBeLessThan(1.05)
  })

  it('gives a late joiner everything, and the origin nothing to do', () => {
    const story = tell({ nodes: 4 })
    for (const number of [0, 1, 2]) story.seed(number)
    story.begin([3])
    expect(story.end()).toBe(true)
    expect(story.originRatio()).toBe(0)
    expect(story.nowMs()).toBeLessThan(1.3 * linkMs(8 * MiB))
  })

  it('fetches for a ranged reader what it reads and a little more', () => {
    const story = tell({ nodes: 1, layerBytes: [32 * MiB] })
    story.begin([])
    const blob = story.sim.layers[0]!
    let isRead = false
    const onEnd = (): void => void (isRead = true)
    story.node(0).readers.open({ blob, start: MiB, end: MiB + 10, whole: false, prefetch: false, onEnd })
    story
      .node(0)
      .readers.open({ blob, start: 20 * MiB, end: 32 * MiB, whole: false, prefetch: false, onEnd: () => 0 })()
    story.wait(5000)
    expect(isRead).toBe(true)
    expect(story.node(0).disk.heldCount()).toBe(1)
  })
})

describe('a pull goes on', () => {
  it('when a holder of leases dies', () => {
    const story = tell({ nodes: 8 })
    story.begin()
    story.at(400, () => {
      story.lose(
        story.sim.nodes.find((node) => (node.life?.swarm.stats().leases ?? 0) > 0)!,
        'dies',
      )
    })
    expect(story.end()).toBe(true)
    expect(story.nowMs()).toBeLessThan(linkMs(8 * MiB) * 1.4 + 2500)
    expect(story.originRatio()).toBeLessThan(1.2)
  })

  it('within a second when a seed hangs', () => {
    expect(pullFromSeedsMs({ hangs: true }) - pullFromSeedsMs({ hangs: false })).toBeLessThan(1000)
  })

  it.each(['hangs', 'falls silent', 'dies'] as const)(
    'within four seconds more when the only holder %s, from the origin',
    (how) => {
      const story = tell({ nodes: 12 })
      story.seed(11)
      story.begin([1, 2])
      story.at(story.nowMs() + 500, () => story.lose(story.node(11), how))
      expect(story.end()).toBe(true)
      expect(story.nowMs()).toBeLessThan(5000 + linkMs(8 * MiB) * 1.5 + 4000)
      expect(story.originRatio()).toBeLessThan(1.02)
    },
  )

  it('from where it was when a node crashes and returns', () => {
    const story = tell({ nodes: 2 })
    story.begin([0])
    story.at(700, () => crashAndRestart(story.sim, story.pull(0), 1000))
    expect(story.end()).toBe(true)
    expect(story.node(0).lives).toBe(2)
    expect(story.originRatio()).toBeLessThan(1.2)
    expect(story.sim.violations).toEqual([])
  })

  it('from peers when the origin is gone', () => {
    const story = tell({ nodes: 4 })
    story.seed(0)
    story.begin([1, 2, 3])
    story.sim.world.origin.set({ down: true })
    expect(story.end()).toBe(true)
    expect(story.originRatio()).toBe(0)
    expect(story.sim.nodes.map(({ counts }) => counts.fails)).toEqual([0, 0, 0, 0])
  })

  it('without a disk', () => {
    const story = tell({ nodes: 1, diskRefusesOneIn: 2 })
    story.begin()
    expect(story.end()).toBe(true)
    expect(story.originRatio()).toBe(1)
  })

  it('past an origin that breaks, stalls and turns away one answer in four', () => {
    const story = tell({ nodes: 6, originFaultOneIn: 4 })
    story.begin()
    expect(story.end()).toBe(true)
    expect(story.originRatio()).toBeLessThan(1.5)
    expect(story.sim.nodes.map(({ counts }) => counts.fails)).toEqual([0, 0, 0, 0, 0, 0])
  })

  it('from an origin that ignores Range, by way of few', () => {
    const story = tell({ nodes: 8, originUnranged: true })
    story.begin()
    expect(story.end()).toBe(true)
    expect(story.originRatio()).toBeLessThan(1.3)
  })
})

describe('a pull ends', () => {
  it('when the origin refuses and no peer has it', () => {
    const story = tell({ nodes: 2, layerBytes: [MiB] })
    story.sim.world.origin.set({ refuses: 'n0' })
    story.begin([0])
    expect(story.end(5000)).toBe(false)
    expect(story.node(0).counts.fails).toBeGreaterThan(0)
  })

  it('when the origin is gone and no peer has it', () => {
    const story = tell({ nodes: 2, layerBytes: [MiB] })
    story.sim.world.origin.set({ down: true })
    story.begin([0])
    expect(story.end(15_000)).toBe(false)
    expect(story.node(0).counts.fails).toBeGreaterThan(0)
  })
})

describe('nobody is fooled', () => {
  it('by a seed that sends rubbish: it is banned', () => {
    const story = tell({ nodes: 5 })
    story.seed(0)
    story.seed(1)
    story.node(0).behaviour = 'spoils'
    story.begin([2, 3, 4])
    expect(story.end()).toBe(true)
    const wrong = story.sim.nodes.map(({ counts }) => counts.wrongBytes)
    expect(wrong).toEqual([0, 0, 0, 0, 0])
    expect([2, 3, 4].map((number) => story.node(number).counts.bans)).toEqual([['n0'], ['n0'], ['n0']])
  })

  it('by who alone says to have all of a small blob and sends rubbish, nor is anybody kept waiting by it', () => {
    const story = tell({ nodes: 5, layerBytes: [100 * KiB] })
    story.seed(0)
    story.node(0).behaviour = 'spoils'
    story.begin([1, 2, 3, 4])
    expect(story.end(2000)).toBe(true)
    expect(story.originRatio()).toBe(1)
  })

  it.each(['trickles', 'denies'] as const)('nor kept waiting twice, by who alone has three blobs and %s', (lie) => {
    const story = tell({ nodes: 6, layerBytes: [10 * MiB, 6 * MiB, 4 * MiB], width: 1 })
    story.seed(0)
    makeLiar(story.node(0), lie)
    story.begin([1, 2, 3, 4, 5])
    expect(story.end(limits.starvedMs + 8000)).toBe(true)
    expect(story.originRatio()).toBe(1)
  })

  it('by a seed that vouches for wrong bytes: the second try takes own bytes, and it is banned', () => {
    const story = tell({ nodes: 2, layerBytes: [MiB - 100 * KiB] })
    story.seed(0)
    story.begin([1])
    makeLiar(story.node(0), 'forges proved')
    expect(story.end()).toBe(true)
    story.wait(100)
    expect(story.node(1).disk.of(story.sim.layers[0]!.digest)?.complete).toBe(true)
    expect(story.node(1).counts.bans).toEqual(['n0'])
    expect(story.originRatio()).toBe(1)
  })
})
