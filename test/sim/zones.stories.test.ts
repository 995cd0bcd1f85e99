/** Three zones whose nodes pull cold: what crosses between them. */
import { describe, expect, it } from 'vitest'
import { KiB, MiB } from '../../core/units.ts'
import { makeLiar } from './liars.ts'
import type { SimNode } from './node.ts'
import type { SimOptions } from './options.ts'
import { tell, type Story } from './story.ts'

const image = 8 * MiB

function begin(change: Partial<SimOptions>, seeded: readonly number[] = []): Story {
  const grain = { realBytes: false, frameBytes: 256 * KiB }
  const story = tell({ nodes: 24, zones: 3, layerBytes: [image], ...grain, ...change })
  for (const number of seeded) story.seed(number)
  story.begin(story.sim.nodes.map((_, number) => number).filter((number) => !seeded.includes(number)))
  return story
}

function pull(change: Partial<SimOptions>): Story {
  const story = begin(change)
  expect(story.end()).toBe(true)
  return story
}

/** For each zone, what came into it so far by `count`, over the image. */
function ratios({ sim }: Story, count: (node: SimNode) => number): number[] {
  const sums = new Map<string, number>()
  for (const node of sim.nodes) sums.set(node.options.zone, (sums.get(node.options.zone) ?? 0) + count(node) / image)
  return [...sums.values()]
}

/** From other zones. */
const crossedInto = (story: Story): number => Math.max(...ratios(story, ({ counts }) => counts.crossedBytes))
/** From other zones and from the origin. */
const cameInto = (story: Story): number =>
  Math.max(...ratios(story, ({ counts }) => counts.crossedBytes + counts.originBytes))

it('nodes that know their zones take less from others', () => {
  const known = pull({ nodes: 120, zonesKnown: true })
  const unknown = pull({ nodes: 120, zonesKnown: false })
  expect(crossedInto(known)).toBeLessThan(0.8 * crossedInto(unknown))
  expect(known.nowMs()).toBeLessThan(1.05 * unknown.nowMs())
  expect(known.originRatio()).toBe(1)
})

/** One that has brought something across, and is to bring more. */
function gatewayOf({ sim }: Story): SimNode {
  return sim.nodes.find(({ counts, life }) => counts.crossedBytes > 0 && (life?.swarm.stats().leases ?? 0) > 0)!
}

describe('a border between zones', () => {
  const border = { zonesKnown: true, border: 'zone' } as const

  it('is crossed by each byte once, and the origin sends each byte once', () => {
    const story = pull(border)
    expect(story.originRatio()).toBe(1)
    expect(cameInto(story)).toBeLessThan(1.1)
    expect(story.nowMs()).toBeLessThan(1.3 * pull({ ...border, border: 'none' }).nowMs())
  })

  it.each(['dies', 'falls silent', 'hangs'] as const)('is crossed a little more when a gateway %s', (how) => {
    const story = begin(border)
    story.at(600, () => story.lose(gatewayOf(story), how))
    expect(story.end()).toBe(true)
    expect(story.originRatio()).toBeLessThan(1.3)
    expect(crossedInto(story)).toBeLessThan(1.3)
  })

  it.each(['falls silent', 'hangs'] as const)('is crossed anew within four seconds when a gateway %s', (how) => {
    const undisturbed = pull(border).nowMs()
    const story = begin(border)
    story.at(600, () => story.lose(gatewayOf(story), how))
    expect(story.end()).toBe(true)
    expect(story.nowMs() - undisturbed).toBeLessThan(4000)
  })

  it('is crossed by what one zone has, and the origin is not asked, nor needed', () => {
    const story = begin(border, [0, 3, 6])
    story.sim.world.origin.set({ down: true })
    expect(story.end()).toBe(true)
    expect(story.originRatio()).toBe(0)
    expect(crossedInto(story)).toBeLessThan(1.1)
  })

  it('does not keep a node waiting for good where only liars across have what it lacks', () => {
    const story = begin({ ...border, nodes: 2, zones: 2, realBytes: true }, [1])
    makeLiar(story.node(1), 'sends rubbish')
    expect(story.end()).toBe(true)
    expect(story.originRatio()).toBe(1)
  })

  it('lets nodes that are each alone in their zone take one copy in place of what a liar is banned for', () => {
    const story = begin({ ...border, nodes: 4, zones: 4, realBytes: true }, [3])
    makeLiar(story.node(3), 'sends rubbish')
    expect(story.end(5000)).toBe(true)
    expect(story.originRatio()).toBe(1)
  })

  it('parts nodes that are each alone in their zone, and yet one alone has an origin that ignores Range send the blob', () => {
    const story = pull({ ...border, nodes: 3, originUnranged: true })
    expect(story.originRatio()).toBeLessThan(1.2)
  })
})
