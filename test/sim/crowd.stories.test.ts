/** Up to three hundred nodes start within one second, know one seed, and pull cold, without a tracker. */
import { expect, it } from 'vitest'
import { MiB } from '../../core/units.ts'
import { allDone } from './sim.ts'
import { tell, type Story } from './story.ts'
import { startAll } from './world.ts'

function crowd(nodes: number, seed?: string): Story {
  const options = { realBytes: false, frameBytes: 256 * 1024, originBytesPerMs: 3000 }
  const story = tell(
    { nodes, lateJoiners: nodes - 1, faultsUntilMs: 1000, layerBytes: [6 * MiB], ...options },
    {},
    seed,
  )
  startAll(story.sim)
  return story
}

function originRatioOf(story: Story): number {
  expect(story.sim.engine.run(60_000, () => allDone(story.sim))).toBe(true)
  return story.originRatio()
}

it('a crowd takes each byte from the origin once', () => {
  expect(originRatioOf(crowd(300))).toBeLessThan(1.02)
})

it.each([
  [60, 'one', 2500],
  [100, 'two', 1500],
  [150, 'three', 3000],
  [180, 'four', 2200],
  [300, 'five', 3000],
] as const)(
  'of %i (seed %s) nobody rushes to the origin though owner and standby die after %i ms',
  (nodes, seed, atMs) => {
    const story = crowd(nodes, seed)
    story.sim.engine.after(atMs, () => {
      for (const host of story.hosts().slice(0, 2)) story.lose(host, 'dies')
    })
    // What the two had fetched and not passed on is fetched once more: a chunk is 1/24 of this image.
    expect(originRatioOf(story)).toBeLessThan(1.05)
  },
)
