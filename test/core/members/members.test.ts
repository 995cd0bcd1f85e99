import { describe, expect, it } from 'vitest'
import { limits } from '../../../core/limits.ts'
import { createMemberList } from '../../../core/members/list.ts'
import { createBench, requestFrom, tell } from './bench.ts'
import { allList, createWorld, recordOf, settled } from './world.ts'
import type { Node, World } from './world.ts'

describe('a cluster forms', () => {
  it('of eight that start within a second and know one seed, within two seconds', () => {
    const world = createWorld('eight')
    const peers = Array.from({ length: 8 }, (_, number) => `node-${number}`)
    for (const peer of peers) {
      world.start(peer, ['node-0:5052'])
      world.run(125)
    }
    const tookMs = world.runUntil(() => allList(world, peers), 2000)
    expect(tookMs).toBeLessThan(1000)
    expect([...world.nodes.values()].every(({ members }) => members.agreed())).toBe(true)
  })

  it('of eight whose seed starts last', () => {
    const world = createWorld('late seed')
    const peers = Array.from({ length: 8 }, (_, number) => `node-${number}`)
    for (const peer of peers.toReversed()) {
      world.start(peer, ['node-0:5052'])
      world.run(125)
    }
    expect(world.runUntil(() => allList(world, peers), 3000)).toBeLessThan(1500)
  })

  it('of fifty within five seconds, and then all agree cheaply', () => {
    const world = createWorld('fifty')
    const peers = Array.from({ length: 50 }, (_, number) => `node-${number}`)
    for (const peer of peers) world.start(peer, ['node-0:5052', 'node-1:5052', 'node-2:5052'])
    expect(world.runUntil(() => allList(world, peers), 5000)).toBeLessThan(2500)
    world.run(5000)
    const hashes = new Set([...world.nodes.values()].map(({ members }) => members.hash()))
    expect(hashes.size).toBe(1)
    const before = [...world.nodes.values()].map(({ exchanges, records }) => ({ exchanges, records }))
    world.run(10_000)
    for (const [index, node] of [...world.nodes.values()].entries()) {
      expect(node.exchanges - (before[index]?.exchanges ?? 0)).toBeLessThanOrEqual(27)
      expect(node.records - (before[index]?.records ?? 0)).toBe(0)
    }
  })

  it('again with a seed that died and returns: its members soon ask it, before it grants what they have granted', () => {
    const { world, peers } = settled('seed returns', 30)
    world.kill('node-0', true)
    const others = peers.filter((peer) => peer !== 'node-0')
    world.runUntil(() => allList(world, others), 5000)
    const seed = world.start('node-0', ['node-0:5052'], 2)
    expect(world.runUntil(() => seed.members.live().length > 1, 5000)).toBeLessThan(limits.directoryLearnMs)
  })

  it('again with the first seed as soon as it returns, by way of the others that it knows', () => {
    const { world } = settled('first seed', 30)
    world.kill('node-0', true)
    const seed = world.start('node-0', ['node-0:5052', 'node-1:5052'], 2)
    expect(world.runUntil(() => seed.members.live().length > 1, 9000)).toBeLessThan(20)
  })

  it.each([1, 2, 3])('again with one that was away a moment after all began at once (seed %i)', (number) => {
    const world = createWorld(`seed away ${number}`)
    const others = Array.from({ length: 39 }, (_, other) => `node-${other + 1}`)
    for (const peer of ['node-0', ...others]) world.start(peer, ['node-0:5052'])
    world.run(100)
    const death = { ...world.nodes.get('node-1')!.members.get('node-0')!, state: 'dead' } as const
    world.kill('node-0', true)
    for (const peer of others) world.nodes.get(peer)?.members.handle({ ...requestFrom('node-1'), news: [death] })
    world.run(400)
    const seed = world.start('node-0', ['node-0:5052'], 2)
    expect(world.runUntil(() => seed.members.live().length > 1, 9000)).toBeLessThan(limits.directoryLearnMs)
  })

  it('and takes in a newcomer within a second', () => {
    const { world, peers } = settled('newcomer', 20)
    world.start('newcomer', ['node-0:5052'])
    expect(world.runUntil(() => allList(world, [...peers, 'newcomer']), 3000)).toBeLessThan(1000)
  })

  it('of one that has no seed, which agrees with itself at once', () => {
    const world = createWorld('alone')
    const node = world.start('alone', [])
    expect(node.members.agreed()).toBe(true)
    world.run(60_000)
    expect(node.members.live()).toEqual(['alone'])
  })

  it('though all seeds are down: after ten seconds each partition goes by itself', () => {
    const world = createWorld('no seed answers')
    const node = world.start('node-1', ['node-0:5052'])
    world.run(9900)
    expect(node.members.agreed()).toBe(false)
    world.run(400)
    expect(node.members.agreed()).toBe(true)
  })
})

function whenKilled(name: string, count: number, refuses: boolean): number {
  const { world, peers } = settled(name, count)
  const victim = peers[count - 1] ?? ''
  world.kill(victim, refuses)
  return world.runUntil(
    () =>
      allList(
        world,
        peers.filter((peer) => peer !== victim),
      ),
    10_000,
  )
}

describe('a member that dies', () => {
  it.each([1, 2, 3, 4, 5])('with its machine is out of all lists within five seconds (seed %i)', (seed) => {
    expect(whenKilled(`silent ${seed}`, 30, false)).toBeLessThan(5000)
  })

  it.each([1, 2, 3])('as a process is out of all lists within two seconds (seed %i)', (seed) => {
    expect(whenKilled(`refused ${seed}`, 30, true)).toBeLessThan(2000)
  })

  it('is missed by the only other', () => {
    expect(whenKilled('two', 2, false)).toBeLessThan(5000)
  })

  it('next to others that die with it is missed within five seconds too', () => {
    const { world, peers } = settled('five die', 30)
    for (const peer of peers.slice(0, 5)) world.kill(peer, false)
    expect(world.runUntil(() => allList(world, peers.slice(5)), 10_000)).toBeLessThan(5000)
  })

  it('is missed within five seconds though the one who comes before it dies as it notices', () => {
    const ring = createMemberList()
    const names = settled('ring', 12).peers
    for (const peer of names) ring.put(recordOf(peer), 0)
    const tookMs = names.map((watcher) => {
      const { world } = settled(`${watcher} notices`, 12)
      const lost = ring.successor(watcher, () => true)!
      world.kill(lost, false)
      world.run(1900)
      world.kill(watcher, false)
      const isGone = (): boolean =>
        [...world.nodes.values()].every(({ members, up }) => !up || !members.live().includes(lost))
      return 1900 + world.runUntil(isGone, 10_000)
    })
    expect(Math.max(...tookMs)).toBeLessThan(5000)
  })

  it('is silent to those who tried it, before it is dead', () => {
    const { world, peers } = settled('silent first', 2)
    world.kill('node-1', false)
    world.runUntil(() => allList(world, peers.slice(0, 1)), 10_000)
    const types = world.nodes.get('node-0')?.events.map(({ type }) => type) ?? []
    expect(types.slice(-2)).toEqual(['silent', 'gone'])
  })

  it('is back as soon as it starts again', () => {
    const { world, peers } = settled('restart', 10)
    world.kill('node-9', true)
    world.runUntil(() => allList(world, peers.slice(0, 9)), 10_000)
    world.start('node-9', ['node-0:5052'], 2)
    expect(world.runUntil(() => allList(world, peers), 3000)).toBeLessThan(1000)
  })

  it('and starts again before anybody missed it is told as one that has come', () => {
    const bench = createBench()
    tell(bench, 'x')
    bench.taken()
    const record = recordOf('x', { incarnation: 2, life: 2 })
    tell(bench, 'x', record)
    expect(bench.taken()).toContainEqual({ type: 'came', record })
  })

  it('is known as soon as it starts again though it is the only seed and knows nobody', () => {
    const { world, peers } = settled('the seed', 20)
    world.kill('node-0', false)
    world.run(8000)
    world.start('node-0', ['node-0:5052'], 2)
    expect(world.runUntil(() => allList(world, peers), 10_000)).toBeLessThan(1500)
  })

  it('is back though its incarnation was reset: it tells better', () => {
    const { world, peers } = settled('reset', 10)
    world.kill('node-9', true)
    world.runUntil(() => allList(world, peers.slice(0, 9)), 10_000)
    const node = world.start('node-9', ['node-0:5052'], 1)
    expect(world.runUntil(() => allList(world, peers), 3000)).toBeLessThan(1000)
    expect(node.events.some(({ type }) => type === 'refuted')).toBe(true)
  })

  it('is forgotten after ten minutes, by all, for good', () => {
    const { world, peers } = settled('forgotten', 6)
    world.kill('node-5', true)
    world.runUntil(() => allList(world, peers.slice(0, 5)), 10_000)
    world.run(595_000)
    expect(world.nodes.get('node-0')?.members.get('node-5')?.state).toBe('dead')
    world.run(60_000)
    for (const peer of peers.slice(0, 5)) expect(world.nodes.get(peer)?.members.get('node-5')).toBeUndefined()
  })
})

/**
 * As measured where sixteen agents share two cores and full links that lose packets: half of all exchanges take longer than
 * 0.5 s, four in ten longer than a second, some four; and now and then a tick comes late by up to half a second.
 */
function saturate(world: World): void {
  const tripsMs = [20, 50, 100, 150, 200, 300, 400, 600, 1000, 2000]
  world.tripMs = (random) => tripsMs[random.below(tripsMs.length)]!
  world.lagMs = (random) => (random.below(10) === 0 ? random.below(500) : random.below(50))
}

function sumOf(world: World, count: (node: Node) => number): number {
  return [...world.nodes.values()].reduce((sum, node) => sum + count(node), 0)
}

function deathsSeen({ events }: Node): number {
  return events.filter((event) => event.type === 'gone' && event.record.state === 'dead').length
}

describe('members that share saturated cores and links', () => {
  it.each([1, 2, 3])('do not take each other for dead, and do not call more for it (seed %i)', (seed) => {
    const { world } = settled(`saturated ${seed}`, 16)
    saturate(world)
    const before = sumOf(world, ({ exchanges }) => exchanges)
    world.run(60_000)
    expect(sumOf(world, deathsSeen)).toBe(0)
    expect(sumOf(world, ({ exchanges }) => exchanges) - before).toBeLessThan(16 * 60 * 10)
  })

  it.each([1, 2, 3])('miss one that dies with its machine within eight seconds all the same (seed %i)', (seed) => {
    const { peers, world } = settled(`one of the saturated ${seed}`, 16)
    saturate(world)
    world.run(10_000)
    world.kill('node-9', false)
    const rest = peers.filter((peer) => peer !== 'node-9')
    expect(world.runUntil(() => allList(world, rest), 20_000)).toBeLessThan(8000)
  })
})

describe('a member that leaves', () => {
  it('is out of all lists within half a second', () => {
    const { world, peers } = settled('leave', 30)
    const leaver = world.nodes.get('node-7')!
    leaver.members.leave()
    world.run(20)
    world.kill('node-7', true)
    const rest = peers.filter((peer) => peer !== 'node-7')
    expect(world.runUntil(() => allList(world, rest), 3000)).toBeLessThan(700)
    expect(world.nodes.get('node-0')?.members.get('node-7')?.state).toBe('left')
  })

  it('says nothing more', () => {
    const { world } = settled('quiet', 5)
    const leaver = world.nodes.get('node-4')!
    leaver.members.leave()
    const said = leaver.exchanges
    world.run(5000)
    expect(leaver.exchanges).toBe(said)
  })
})

function split(world: World, isLeft: (peer: string) => boolean): void {
  world.reaches = (from, to) => isLeft(from) === isLeft(to)
}

describe('a partition', () => {
  it('makes two lists, and one again when it heals', () => {
    const { world, peers } = settled('halves', 16)
    const left = peers.slice(0, 8)
    split(world, (peer) => left.includes(peer))
    const halves = (): boolean => peers.every((peer) => world.nodes.get(peer)?.members.live().length === 8)
    world.runUntil(halves, 20_000)
    world.run(30_000)
    expect(new Set(world.nodes.get('node-0')?.members.live())).toEqual(new Set(left))
    world.reaches = () => true
    expect(world.runUntil(() => allList(world, peers), 30_000)).toBeLessThan(15_000)
    world.run(3000)
    expect(allList(world, peers)).toBe(true)
  })

  it('keeps nobody in the list who died meanwhile, though none but those who were parted can agree on it', () => {
    const { world, peers } = settled('two of four', 4)
    const [left, right, ...dead] = peers
    for (const peer of dead) world.kill(peer, false)
    split(world, (peer) => peer === left)
    world.run(3000)
    world.reaches = () => true
    expect(world.runUntil(() => allList(world, [left!, right!]), 30_000)).toBeLessThan(5000)
  })

  it('longer than the dead are remembered heals by way of the seeds', () => {
    const { world, peers } = settled('long', 6)
    split(world, (peer) => peer === 'node-0' || peer === 'node-1')
    world.run(700_000)
    expect(world.nodes.get('node-5')?.members.live()).toHaveLength(4)
    world.reaches = () => true
    expect(world.runUntil(() => allList(world, peers), 30_000)).toBeLessThan(15_000)
  })

  it('of one member makes it silent to itself, not all others dead', () => {
    const { world, peers } = settled('one cut off', 12)
    split(world, (peer) => peer === 'node-3')
    world.run(20_000)
    const cutOff = world.nodes.get('node-3')!
    expect(cutOff.members.live()).toHaveLength(12)
    const silent = new Set(cutOff.events.flatMap((event) => (event.type === 'silent' ? [event.peer] : [])))
    expect(silent.size).toBe(11)
    expect(world.nodes.get('node-0')?.members.live()).toHaveLength(11)
    world.reaches = () => true
    world.runUntil(() => allList(world, peers), 15_000)
    const deaths = [...world.nodes.values()].flatMap(({ events }) =>
      events.filter(
        (event) => event.type === 'gone' && event.record.state === 'dead' && event.record.peer !== 'node-3',
      ),
    )
    expect(deaths).toEqual([])
  })

  it('one way, of one pair only, harms nobody', () => {
    const { world, peers } = settled('one way', 12)
    world.reaches = (from, to) => !(from === 'node-3' && to === 'node-5')
    let wrong = 0
    for (let second = 0; second < 60; second++) {
      world.run(1000)
      for (const { members } of world.nodes.values()) if (members.live().length < 12) wrong++
    }
    world.reaches = () => true
    world.run(3000)
    expect(allList(world, peers)).toBe(true)
    expect(wrong).toBeLessThan(60)
  })
})

it('carries a list of thousands over page by page', () => {
  const world = createWorld('pages')
  const big = world.start('big', [])
  for (let page = 0; page < 6; page++) {
    const news = Array.from({ length: 1000 }, (_, number) => recordOf(`ghost-${page}-${number}`))
    big.members.handle({
      from: recordOf('big-friend'),
      hash: '',
      news,
      accusations: [],
      vouched: [],
      compare: false,
      want: [],
    })
  }
  const joiner = world.start('joiner', ['big:5052'])
  const tookMs = world.runUntil(() => joiner.members.live().length === 6003, 1000)
  expect(tookMs).toBeLessThan(200)
  expect(joiner.members.agreed()).toBe(true)
})

describe('the nearest members', () => {
  it('are the same pairs as seen from both sides, whoever lives', () => {
    const { peers, world } = settled('nearest', 12)
    const nearestOf = (peer: string, count: number): string[] =>
      world.nodes
        .get(peer)!
        .members.nearest(count)
        .map((record) => record.peer)
    const best = peers.flatMap((peer) => nearestOf(peer, 1).map((other) => [peer, other] as const))
    expect(best.some(([peer, other]) => nearestOf(other, 1).includes(peer))).toBe(true)
    expect(nearestOf('node-3', 20).toSorted()).toEqual(peers.filter((peer) => peer !== 'node-3').toSorted())
    expect(nearestOf('node-3', 4)).toEqual(nearestOf('node-3', 20).slice(0, 4))
  })
})
