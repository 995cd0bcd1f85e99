/** Three hundred nodes start within one second, know one seed, and pull cold, without a tracker. */
import { expect, it } from 'vitest'
import { MiB } from '../../core/units.ts'
import { allDone } from './sim.ts'
import { tell, type Story } from './story.ts'
import { startAll } from './world.ts'

function crowd(): Story {
  const options = { realBytes: false, frameBytes: 256 * 1024, originBytesPerMs: 3000 }
  const story = tell({ nodes: 300, lateJoiners: 299, faultsUntilMs: 1000, layerBytes: [6 * MiB], ...options })
  startAll(story.sim)
  return story
}

function originRatioOf(story: Story): number {
  expect(story.sim.engine.run(60_000, () => allDone(story.sim))).toBe(true)
  return story.originRatio()
}

it('a crowd takes each byte from the origin once', () => {
  expect(originRatioOf(crowd())).toBeLessThan(1.02)
})

it('a crowd whose owner and standby die together does not rush to the origin', () => {
  const story = crowd()
  story.sim.engine.after(3000, () => {
    for (const host of story.hosts().slice(0, 2)) story.lose(host, 'dies')
  })
  expect(originRatioOf(story)).toBeLessThan(1.05)
})
