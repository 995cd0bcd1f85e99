/** Three zones whose nodes pull cold: what crosses between them. */
import { expect, it } from 'vitest'
import { KiB, MiB } from '../../core/units.ts'
import type { SimOptions } from './options.ts'
import { tell, type Story } from './story.ts'

const image = 8 * MiB

function pull(change: Partial<SimOptions>): Story {
  const grain = { realBytes: false, frameBytes: 256 * KiB }
  const story = tell({ nodes: 24, zones: 3, layerBytes: [image], ...grain, ...change })
  story.begin()
  expect(story.end()).toBe(true)
  return story
}

/** What came into each zone from the others, over the image. */
function crossedRatios({ sim }: Story): number[] {
  const crossed = new Map<string, number>()
  for (const { counts, options } of sim.nodes)
    crossed.set(options.zone, (crossed.get(options.zone) ?? 0) + counts.crossedBytes / image)
  return [...crossed.values()]
}

const sum = (ratios: readonly number[]): number => ratios.reduce((total, ratio) => total + ratio, 0)

it('nodes that know their zones take less from others', () => {
  const known = pull({ nodes: 120, zonesKnown: true })
  const unknown = pull({ nodes: 120, zonesKnown: false })
  expect(sum(crossedRatios(known))).toBeLessThan(0.8 * sum(crossedRatios(unknown)))
  expect(known.nowMs()).toBeLessThan(1.05 * unknown.nowMs())
  expect(known.originRatio()).toBe(1)
})
