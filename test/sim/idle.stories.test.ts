/** What agents that merely hold say to their directories: of what is as before, one line a host. */
import { describe, expect, it } from 'vitest'
import { limits } from '../../core/limits.ts'
import { KiB, minute } from '../../core/units.ts'
import { crash, start } from './node.ts'
import { tell, type Story } from './story.ts'

const blobs = 150

/** One of four nodes holds many blobs, and all directories have heard of them. */
function holding(many = blobs): Story {
  const story = tell({ nodes: 4, layerBytes: Array<number>(many).fill(64 * KiB), realBytes: false })
  story.seed(0)
  story.begin([])
  story.wait(2 * minute)
  return story
}

/** What the holder says while `act` is done. */
function said(story: Story, act: () => void): { lines: number; calls: number } {
  const counted = { lines: 0, calls: 0 }
  story.sim.world.answered = (_answer, { from, items }) => {
    if (from.peer !== 'n0') return
    counted.lines += items.length
    counted.calls++
  }
  act()
  story.sim.world.answered = undefined
  return counted
}

describe('an idle agent', () => {
  it('says once a minute to each host that all is as before, and no line for each blob', () => {
    const story = holding()
    const minutes = 5
    const { calls, lines } = said(story, () => story.wait(minutes * minute))
    expect(lines).toBe(0)
    expect(calls).toBeGreaterThanOrEqual(minutes * 4 - 4)
    expect(calls).toBeLessThanOrEqual(minutes * 4 + 4)
  })

  it('is known as a holder for as long as it says so', () => {
    const story = holding()
    story.wait(10 * minute)
    story.pull(3).begin()
    story.wait(minute / 2)
    expect(story.pull(3).doneAtMs).toBeDefined()
    expect(story.originRatio()).toBe(0)
  })

  it('says all of it anew to a host that has forgotten it, and to no other', () => {
    const story = holding()
    const [owner] = story.hosts()
    const hosted = story.sim.layers.filter((_, layer) =>
      story.hosts(layer).slice(0, limits.hostsPerDigest).includes(owner!),
    )
    const { lines } = said(story, () => {
      crash(owner!, false)
      start(owner!)
      story.wait(2 * minute)
    })
    expect(lines).toBeGreaterThanOrEqual(hosted.length)
    expect(lines).toBeLessThan(2 * hosted.length)
    expect(said(story, () => story.wait(2 * minute)).lines).toBe(0)
  })

  it('tells at once of what it has lost, and goes on as before with the rest', () => {
    const story = holding()
    const [{ digest } = { digest: undefined }] = story.sim.layers
    // Who was asked before all had started has forgotten it by then.
    story.wait(3 * minute)
    const { lines } = said(story, () => {
      story.node(0).life?.swarm.handle({ type: 'evicted', digest: digest! })
      story.wait(1000)
    })
    expect(lines).toBe(limits.hostsPerDigest)
    expect(said(story, () => story.wait(3 * minute)).lines).toBe(0)
  })

  it('tells of all that it has lost at once, however much', () => {
    const many = 1000
    const story = holding(many)
    story.wait(3 * minute)
    const { lines } = said(story, () => {
      for (const { digest } of story.sim.layers) story.node(0).life?.swarm.handle({ type: 'evicted', digest })
      story.wait(2000)
    })
    expect(lines).toBe(many * limits.hostsPerDigest)
    expect(story.sim.layers.filter(({ digest }) => story.node(0).life?.swarm.announceState(digest))).toEqual([])
  })
})
