/** Honest nodes beside liars: every pull ends well, nobody honest is banned, who provably lied is. */
import { describe, expect, it } from 'vitest'
import { limits } from '../../core/limits.ts'
import type { SwarmOptions } from '../../core/swarm/state.ts'
import { MiB } from '../../core/units.ts'
import { seededRandom } from '../support/seeded-random.ts'
import { deceive, makeLiar } from './liars.ts'
import { type Lie, type LieOfHost, lies } from './lies.ts'
import type { SimNode } from './node.ts'
import type { SimOptions } from './options.ts'
import { tell, type Story } from './story.ts'

/** What liars did to the honest: wrong bytes and pulls tried again, by node, and who was banned that does not lie. */
function harm({ sim }: Story, liars: readonly SimNode[]): { wrong: number; retries: number; slandered: string[] } {
  const honest = sim.nodes.filter((node) => !liars.includes(node))
  const banned = honest.flatMap(({ counts }) => counts.bans)
  return {
    wrong: honest.reduce((sum, { counts }) => sum + counts.wrongBytes, 0),
    retries: Math.max(...honest.map(({ counts }) => counts.retries)),
    slandered: banned.filter((id) => honest.some((node) => node.id === id)),
  }
}

const none = { wrong: 0, retries: 0, slandered: [] }

const forgeries = lies.filter((lie) => lie.startsWith('forges'))

describe.each([1, 2, 3])('with --witnesses %i', (witnesses) => {
  const harmless = lies.filter((lie) => witnesses > 1 || !forgeries.includes(lie))

  it.each(harmless)('a cold group with a member that %s', (lie) => {
    const [story, liar] = pullWithLiar(lie, witnesses)
    expect(harm(story, [liar])).toEqual(none)
  })
})

it.each(forgeries)('with one witness, a cold group with a member that %s: a node tries again once at most', (lie) => {
  const [story, liar] = pullWithLiar(lie, 1)
  const { retries, slandered } = harm(story, [liar])
  expect({ slandered, isOnce: retries <= 1 }).toEqual({ slandered: [], isOnce: true })
})

function pullWithLiar(lie: Lie, witnesses: number): [Story, SimNode] {
  const story = tell({ nodes: 8, layerBytes: [4 * MiB] }, { witnesses })
  const liar = story.node(0)
  story.begin()
  makeLiar(liar, lie)
  expect(story.end(120_000)).toBe(true)
  return [story, liar]
}

describe.each([1, 2])('two members at one address that send a byte now and then, with --witnesses %i', (witnesses) => {
  it.each(['a', 'b', 'd', 'f'])(
    'hold nobody up for longer than it takes to doubt them a few times (seed %s)',
    (seed) => {
      const story = tell({ nodes: 8, layerBytes: [4 * MiB] }, { witnesses }, seed)
      const liars = [story.node(1), story.node(2)]
      const honest = story.sim.pulls.filter(({ node }) => !liars.includes(node))
      story.begin([])
      for (const liar of liars) {
        liar.address = 'rooted'
        makeLiar(liar, 'trickles')
      }
      for (const pull of story.sim.pulls) pull.begin()
      story.sim.engine.run(200_000, () => honest.every(({ doneAtMs }) => doneAtMs !== undefined))
      expect(story.nowMs()).toBeLessThan(5 * limits.crawlMs)
      expect(harm(story, liars)).toEqual(none)
      expect(story.originRatio()).toBeLessThan(1.6)
    },
  )
})

/** How long seven take for an image beside a member that pulls it too and tells the lie, or beside an honest one, and what the origin sends. */
function besideHoarder(lie: Lie | 'none', witnesses: number, seed: string): { ms: number; copies: number } {
  const story = tell({ nodes: 8, layerBytes: [4 * MiB, 4 * MiB] }, { witnesses }, seed)
  const hoarder = story.node(1)
  const others = story.sim.pulls.filter(({ node }) => node !== hoarder)
  story.begin([])
  if (lie !== 'none') makeLiar(hoarder, lie)
  for (const pull of story.sim.pulls) pull.begin()
  expect(story.sim.engine.run(200_000, () => others.every(({ doneAtMs }) => doneAtMs !== undefined))).toBe(true)
  expect(harm(story, lie === 'none' ? [] : [hoarder])).toEqual(none)
  return { ms: story.nowMs(), copies: story.originRatio() }
}

describe.each([1, 2])('who has fetched a part of a blob, and hands on none of it, with --witnesses %i', (witnesses) => {
  it.each([
    ['denies', 1000],
    ['trickles', 2 * limits.crawlMs],
    ['begins nothing', 3 * limits.crawlMs],
    ['keeps waiting', limits.queueStillMs + 1000],
    ['is ever busy', limits.starvedMs + 1000],
  ] as const)('and %s, delays others by less than %i ms, and has that part sent once more', (lie, withinMs) => {
    for (const seed of ['a', 'b', 'c', 'd']) {
      const { copies, ms } = besideHoarder(lie, witnesses, seed)
      expect(ms - besideHoarder('none', witnesses, seed).ms).toBeLessThan(withinMs)
      expect(copies).toBeLessThan(1.5)
    }
  })
})

/** How long three take for an image of a seed's, beside one that asked for it before, and what the origin sends. */
function besideTaker(isIdle: boolean, seed: string): { ms: number; copies: number } {
  const story = tell({ nodes: 5, layerBytes: [12 * MiB, 12 * MiB] }, {}, seed)
  const [taker, ...others] = [1, 2, 3, 4].map((number) => story.pull(number))
  story.seed(0)
  story.begin([])
  if (isIdle) {
    makeLiar(story.node(1), 'takes nothing')
    taker!.begin()
  }
  story.wait(3000)
  const beganMs = story.nowMs()
  for (const pull of others) pull.begin()
  expect(story.sim.engine.run(60_000, () => others.every(({ doneAtMs }) => doneAtMs !== undefined))).toBe(true)
  return { ms: story.nowMs() - beganMs, copies: story.originRatio() }
}

it.each(['a', 'b', 'c'])(
  'who takes nothing of what it asked for delays others by less than three seconds (seed %s)',
  (seed) => {
    const { copies, ms } = besideTaker(true, seed)
    expect(ms - besideTaker(false, seed).ms).toBeLessThan(3000)
    expect(copies).toBe(0)
  },
)

/** Five layers that a forger says to have whole, and honest seeds as well; the nodes that pulled. */
function pullBesideForger(lie: Lie, witnesses: number, honestSeeds: number, seed: number): [Story, SimNode[]] {
  const layerBytes = [1, 2, 3, 4, 5].map((size) => (size + seed / 4) * MiB)
  const story = tell({ nodes: 8, layerBytes }, { witnesses }, `forger ${seed}`)
  const seeds = Array.from({ length: 1 + honestSeeds }, (_, number) => number)
  for (const number of seeds) story.seed(number)
  story.begin(story.sim.nodes.map((_, number) => number).filter((number) => !seeds.includes(number)))
  makeLiar(story.node(0), lie)
  expect(story.end(120_000)).toBe(true)
  return [story, story.sim.nodes.slice(seeds.length)]
}

describe.each(forgeries)('a seed that %s', (lie) => {
  /** Nothing connects names that are nobody's: each is found out by itself. */
  const isNamed = lie !== 'forges in other names'

  describe.each([0, 1])('beside %i that does not', (honestSeeds) => {
    it.each([1, 2, 3])(
      'costs each node one try of its pull at most, and the origin no copy for each (seed %i)',
      (seed) => {
        const [story, pulled] = pullBesideForger(lie, 1, honestSeeds, seed)
        const { retries, slandered } = harm(story, [story.node(0)])
        expect({ slandered, isOnce: retries <= 1 }).toEqual({ slandered: [], isOnce: true })
        // Six or seven nodes have kept its lies.
        expect(story.originRatio()).toBeLessThan((honestSeeds === 0 ? 3 : 1) + (isNamed ? 0 : 2))
        const banned = pulled.flatMap(({ counts }) => counts.bans).filter((id) => story.sim.world.nodes.has(id))
        expect(new Set(banned)).toEqual(new Set(lie === 'forges fetched' || !isNamed ? [] : ['n0']))
      },
    )

    it('costs no try with two', () => {
      const [story] = pullBesideForger(lie, 2, honestSeeds, 1)
      expect(harm(story, [story.node(0)])).toEqual(none)
    })
  })
})

describe.each([1, 2])('beside disks that refuse one chunk in eight, with --witnesses %i', (witnesses) => {
  it.each(['a', 'b', 'c', 'd'])(
    'a forger costs one try with one and none with two, and a copy for each node at most (seed %s)',
    (seed) => {
      const story = tell({ nodes: 8, layerBytes: [2 * MiB], diskRefusesOneIn: 8 }, { witnesses }, seed)
      story.seed(0)
      story.begin([])
      makeLiar(story.node(0), 'forges proved')
      const honest = story.sim.pulls.slice(1)
      for (const pull of honest) pull.begin()
      expect(story.sim.engine.run(120_000, () => honest.every(({ doneAtMs }) => doneAtMs !== undefined))).toBe(true)
      const { retries, slandered } = harm(story, [story.node(0)])
      expect({ slandered, isOnce: retries <= 2 - witnesses }).toEqual({ slandered: [], isOnce: true })
      expect(story.originRatio()).toBeLessThanOrEqual(story.sim.nodes.length + 1)
    },
  )
})

describe.each([
  // Until the standby has said twice who was fetching before, the origin sends the same to many, as fast as it can: 4 MiB take it 0.7 s.
  ['grants everybody', 4000, 4],
  ['grants nobody', 10_000, 1.02],
  ['names only itself', 12_000, 1.02],
] as const)('a host that %s', (lie, withinMs, copies) => {
  it.each([8, 24])('delays %i nodes by seconds, and no more the more there are', (nodes) => {
    const story = pullBesideHost({ nodes, layerBytes: [4 * MiB] }, { witnesses: 2 }, lie)
    expect(story.nowMs()).toBeLessThan(withinMs)
    expect(story.originRatio()).toBeLessThan(copies)
  })

  it('has an origin that ignores Range, and is asked by all at the same moment, send the blob to the end once', () => {
    const slow = { originUnranged: true, originBytesPerMs: 1000 }
    const story = pullBesideHost({ nodes: 24, layerBytes: [4 * MiB], ...slow }, {}, lie)
    // Each has it send a chunk of the 32, before it hears who is ahead.
    expect(story.originRatio()).toBeLessThan(2)
  })
})

function pullBesideHost(options: Partial<SimOptions>, swarm: SwarmOptions, lie: LieOfHost): Story {
  const story = tell(options, swarm)
  story.begin([])
  const liar = story.hosts()[0]!
  makeLiar(liar, lie)
  for (const pull of story.sim.pulls) pull.begin()
  const honest = story.sim.pulls.filter(({ node }) => node !== liar)
  expect(story.sim.engine.run(200_000, () => honest.every(({ doneAtMs }) => doneAtMs !== undefined))).toBe(true)
  expect(harm(story, [liar])).toEqual(none)
  return story
}

it('beside a host that grants nobody, a member that sends a byte now and then keeps nobody from what only it has', () => {
  const story = tell({ nodes: 8, layerBytes: [14_000] }, {})
  story.begin([])
  const owner = story.hosts()[0]!
  const [hoarder, ...others] = story.sim.pulls.filter(({ node }) => node !== owner)
  hoarder!.begin()
  story.wait(2000)
  expect(hoarder!.doneAtMs).toBeDefined()
  makeLiar(owner, 'grants nobody')
  makeLiar(hoarder!.node, 'trickles')
  for (const pull of others) pull.begin()
  story.sim.engine.run(200_000, () => others.every(({ doneAtMs }) => doneAtMs !== undefined))
  expect(story.nowMs()).toBeLessThan(2 * limits.leaseStarvedMs)
  expect(story.originRatio()).toBeLessThanOrEqual(story.sim.nodes.length)
})

describe('a seed that provably lies', () => {
  it.each(['forges proved', 'vouches for another blob'] as const)('%s, and is banned by all within one blob', (lie) => {
    const story = tell({ nodes: 6, layerBytes: [4 * MiB] }, { witnesses: 3 })
    for (const number of [0, 1]) story.seed(number)
    story.begin([2, 3, 4, 5])
    makeLiar(story.node(0), lie)
    expect(story.end()).toBe(true)
    story.wait(100)
    expect([2, 3, 4, 5].map((number) => story.node(number).counts.bans)).toEqual([['n0'], ['n0'], ['n0'], ['n0']])
    expect(harm(story, [story.node(0)])).toEqual(none)
  })

  it('is banned with the ten IDs that it makes: they cost one blob together', () => {
    const story = tell({ nodes: 14, layerBytes: [4 * MiB] }, { witnesses: 2 })
    const liars = story.sim.nodes.slice(0, 11)
    for (const liar of liars) liar.address = 'rooted'
    for (const number of liars.keys()) story.seed(number)
    story.begin([11])
    for (const liar of liars) makeLiar(liar, 'forges proved')
    expect(story.end()).toBe(true)
    story.wait(20_000)
    expect(harm(story, liars)).toEqual(none)
    const { banned } = story.node(11).life!
    expect(banned.has('rooted')).toBe(true)
    expect(liars.filter(({ id }) => story.sim.world.network.isConnected('n11', id))).toEqual([])
  })
})

describe('an origin that lies to some', () => {
  it('makes nobody banned, and no pull of the others fail', () => {
    const story = tell({ nodes: 6, layerBytes: [4 * MiB] }, { witnesses: 2 })
    story.begin()
    for (const number of [0, 1]) deceive(story.node(number), 3)
    const others = [2, 3, 4, 5].map((number) => story.pull(number))
    expect(story.sim.engine.run(60_000, () => others.every(({ doneAtMs }) => doneAtMs !== undefined))).toBe(true)
    expect(story.sim.nodes.flatMap(({ counts }) => counts.bans)).toEqual([])
    for (const { node } of others) expect(node.counts).toMatchObject({ wrongBytes: 0, fails: 0 })
  })
})

describe('worlds with some liars', () => {
  it.each(Array.from({ length: 12 }, (_, seed) => seed))('end well (seed %i)', (seed) => {
    const random = seededRandom(`liars ${seed}`)
    const count = 1 + random.below(3)
    const story = tell({ nodes: 10 + random.below(10), layerBytes: [2 * MiB, 5 * MiB] }, { witnesses: 2 })
    const liars = story.sim.nodes.slice(1, 1 + count)
    const told = liars.map((): Lie => lies[random.below(lies.length)]!)
    // One node, whoever it says it is: two that vouch for the same lie from two addresses are two.
    for (const liar of liars) liar.address = 'rooted'
    story.begin([])
    liars.forEach((liar, at) => makeLiar(liar, told[at]!))
    for (const pull of story.sim.pulls) pull.begin()
    const honest = story.sim.pulls.filter(({ node }) => !liars.includes(node))
    const isDone = story.sim.engine.run(240_000, () => honest.every(({ doneAtMs }) => doneAtMs !== undefined))
    expect({ told, isDone, ...harm(story, liars) }).toEqual({ told, isDone: true, ...none })
  })
})
