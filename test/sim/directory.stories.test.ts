/** Directories, members and leases while owners, standbys and others die, part, join and leave; without a tracker. */
import { describe, expect, it } from 'vitest'
import { MiB } from '../../core/units.ts'
import { viewsOf } from './checkers.ts'
import { crash, handle, part, start, type SimNode } from './node.ts'
import { allDone } from './sim.ts'
import { tell, type Loss, type Story } from './story.ts'

const losses: readonly Loss[] = ['dies', 'falls silent', 'hangs', 'departs']

/** Before the first lease, while leases are out, when half is there, and when nearly all is. */
const momentsMs = [0, 250, 1000, 2000, 3000]

/** Fourteen nodes pull from an origin slower than their links; `act` happens `atMs` after they began. */
function pullWhile(atMs: number, act: (story: Story) => void): Story {
  const story = tell({ nodes: 14, layerBytes: [10 * MiB], originBytesPerMs: 3000, realBytes: false })
  story.begin()
  story.at(atMs, () => act(story))
  expect(story.end(), `all are done though something happened at ${atMs} ms`).toBe(true)
  return story
}

function worstRatio(act: (story: Story) => void): number {
  return Math.max(...momentsMs.map((atMs) => pullWhile(atMs, act).originRatio()))
}

describe.each(losses)('at any moment an owner that %s', (how) => {
  it('costs the origin next to nothing', () => {
    expect(worstRatio((story) => story.lose(story.hosts()[0]!, how))).toBeLessThan(1.05)
  })

  it('together with its standby makes nobody rush to the origin', () => {
    expect(worstRatio((story) => loseAll(story, story.hosts().slice(0, 2), how))).toBeLessThan(1.05)
  })
})

describe('an owner', () => {
  it.each([100, 600])('that is back before anybody misses it, after %d ms, soon knows what others hold', (awayMs) => {
    const story = tell({ nodes: 4, realBytes: false })
    story.begin([])
    const owner = story.hosts()[0]!
    const [holder, reader] = story.sim.pulls.filter(({ node }) => node !== owner)
    holder!.begin()
    story.wait(20_000)
    crash(owner, false)
    story.wait(awayMs)
    start(owner)
    story.wait(5000)
    reader!.begin()
    story.wait(20_000)
    expect([reader!.doneAtMs === undefined, story.originRatio()]).toEqual([false, 1])
  })

  it.each([2, 4])(
    'of %d nodes that was cut off while another lost the blob keeps no reader waiting for that one',
    (nodes) => {
      const story = tell({ nodes, realBytes: false })
      story.begin([])
      const owner = story.hosts()[0]!
      const [holder, reader = story.sim.pulls.find(({ node }) => node === owner)] = story.sim.pulls.filter(
        ({ node }) => node !== owner,
      )
      holder!.begin()
      story.wait(20_000)
      const heal = part(story.sim.world, new Set([owner.id]), 'two-way')
      for (const { digest } of story.sim.layers) handle(holder!.node, { type: 'evicted', digest })
      story.wait(1500)
      heal()
      story.wait(15_000)
      reader!.begin()
      const beganMs = story.sim.engine.clock.now()
      story.wait(30_000)
      expect(reader!.doneAtMs! - beganMs).toBeLessThan(5000)
    },
  )

  it.each(['dies', 'departs'] as const)(
    'that %s with a grant on its way leaves nobody to grant the same again',
    (how) => {
      const story = tell({
        nodes: 14,
        layerBytes: [20 * MiB],
        originBytesPerMs: 3000,
        realBytes: false,
        delayMsMax: 40,
      })
      story.begin([])
      const owner = story.hosts()[0]!
      const [early, ...late] = story.sim.pulls.filter(({ node }) => node !== owner)
      story.sim.world.answered = ({ items }) => {
        const isGrant = items.some(({ lease }) => lease !== undefined)
        // By then the standby's own table has listened.
        if (!isGrant || story.nowMs() < 2500) return
        story.sim.world.answered = undefined
        story.lose(owner, how)
        for (const pull of late) pull.begin()
      }
      early!.begin()
      expect(story.sim.engine.run(60_000, () => allDone(story.sim))).toBe(true)
      expect(story.originRatio()).toBeLessThan(1.05)
    },
  )
})

function loseAll(story: Story, nodes: readonly SimNode[], how: Loss): void {
  for (const node of nodes) story.lose(node, how)
}

/** Milliseconds after the loss of the owner until somebody is granted a lease. */
function nextLeaseMs(how: Loss): number {
  const story = tell({ nodes: 20, layerBytes: [64 * MiB], originBytesPerMs: 3000, realBytes: false })
  story.begin()
  let grantedMs = Infinity
  story.at(1500, () => {
    story.lose(story.hosts()[0]!, how)
    story.sim.world.answered = ({ items }) => {
      if (items.some(({ lease }) => lease !== undefined)) grantedMs = Math.min(grantedMs, story.nowMs())
    }
  })
  story.wait(5000)
  return grantedMs - 1500
}

describe('a directory', () => {
  it.each(losses)('is whole again within three seconds when its owner %s', (how) => {
    expect(nextLeaseMs(how)).toBeLessThan(3000)
  })
})

describe('a partition that heals', () => {
  it.each(['two-way', 'one-way'] as const)('(%s) costs one more copy at most, and all are done', (kind) => {
    const story = pullWhile(1000, ({ sim }) => {
      const side = new Set(sim.nodes.slice(0, 5).map(({ id }) => id))
      sim.engine.after(4000, part(sim.world, side, kind))
    })
    expect(story.originRatio()).toBeLessThan(2.02)
  })

  it('is forgotten: both sides list each other again, and share', () => {
    const story = tell({ nodes: 12, layerBytes: [4 * MiB], realBytes: false })
    for (const number of [0, 1, 2]) story.seed(number)
    story.begin([])
    const heal = part(story.sim.world, new Set(['n0', 'n1', 'n2']), 'two-way')
    story.wait(20_000)
    expect(story.node(5).life?.members?.live()).toHaveLength(9)
    heal()
    story.wait(20_000)
    for (const { life } of story.sim.nodes) expect(life?.members?.live()).toHaveLength(12)
    story.pull(5).begin()
    story.wait(5000)
    expect(story.pull(5).doneAtMs).toBeDefined()
    expect(story.originRatio()).toBe(0)
  })
})

describe('a peer', () => {
  it.each(losses)('that %s is gone from every view within five seconds', (how) => {
    const story = tell({ nodes: 20, layerBytes: [64 * MiB], realBytes: false })
    const late = 19
    story.begin(Array.from({ length: late }, (_, number) => number))
    const lost = story.hosts().find((host) => host !== story.node(late))!
    story.at(1000, () => story.lose(lost, how))
    story.wait(1000 + 5000)
    const named: string[] = []
    story.sim.world.answered = ({ items }) => named.push(...items.flatMap(({ peers }) => peers.map(({ peer }) => peer)))
    expect(viewsOf(story.sim, lost)).toEqual([])
    story.pull(late).begin()
    story.wait(3000)
    expect(named.length).toBeGreaterThan(0)
    expect(named).not.toContain(lost.id)
  })

  it.each(['hangs', 'falls silent'] as const)('that %s among others costs a pull less than a second', (how) => {
    expect(pullMs((story, seed) => story.lose(seed, how)) - pullMs(() => undefined)).toBeLessThan(1000)
  })

  it('that is slow holds nobody up', () => {
    const withSlow = tell({ nodes: 20, layerBytes: [10 * MiB], slowNodes: 3, realBytes: false })
    withSlow.begin(Array.from({ length: 17 }, (_, number) => number))
    expect(withSlow.end()).toBe(true)
    const without = tell({ nodes: 17, layerBytes: [10 * MiB], realBytes: false })
    without.begin()
    expect(without.end()).toBe(true)
    expect(withSlow.nowMs() / without.nowMs()).toBeLessThan(1.15)
  })

  it('that joins when all others have the blob takes nothing from the origin', () => {
    const story = tell({ nodes: 20, layerBytes: [10 * MiB], realBytes: false, lateJoiners: 1 })
    story.begin(Array.from({ length: 19 }, (_, number) => number))
    expect(story.end()).toBe(true)
    story.pull(19).begin()
    const beganMs = story.nowMs()
    while (story.pull(19).doneAtMs === undefined && story.nowMs() < 60_000) story.wait(50)
    expect(story.originRatio()).toBeLessThan(1.02)
    expect(story.nowMs() - beganMs).toBeLessThan((1.3 * 10 * MiB) / 6250)
  })
})

/** How long a pull takes from four seeds, to one of which `act` happens. */
function pullMs(act: (story: Story, seed: SimNode) => void): number {
  const story = tell({ nodes: 6, layerBytes: [12 * MiB] })
  for (const number of [0, 1, 2, 3]) story.seed(number)
  story.begin([5])
  story.at(500, () => act(story, story.node(3)))
  expect(story.end()).toBe(true)
  return story.nowMs()
}
