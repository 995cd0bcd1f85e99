import { describe, expect, it } from 'vitest'
import { createTable } from '../../../core/directory/table.ts'
import { markOf, scoreOf } from '../../../core/directory/rendezvous.ts'
import { limits } from '../../../core/limits.ts'
import { GiB } from '../../../core/units.ts'
import type { AnnounceItem } from '../../../core/directory/messages.ts'
import {
  addressOf,
  createWorld,
  digestHostedBy,
  digestNotHostedBy,
  digestOf,
  having,
  itemOf,
  sizeOf,
  span,
} from './world.ts'
import type { World } from './world.ts'

const pairScore = (a: string, b: string): number => scoreOf(markOf(a), markOf(b))

const wish = { lease: { chunks: 10, position: 0 } }

describe('who holds what', () => {
  it('counts holders per chunk as they gain, lose and complete', () => {
    const world = createWorld()
    world.say('a', having(100, [0, 1, 2]))
    world.say('b', having(100, [2, 3]))
    const counts = (): number[] => [...(world.say('z').counts ?? [])].slice(0, 5)
    expect(counts()).toEqual([1, 1, 2, 1, 0])
    world.say('a', having(100, [1, 2]))
    expect(counts()).toEqual([0, 1, 2, 1, 0])
    world.say('b', { have: { complete: true }, wants: false })
    expect(counts()).toEqual([1, 2, 2, 1, 1])
    world.say('b', having(100, [4]))
    expect(counts()).toEqual([0, 1, 1, 0, 1])
    world.say('a', { leaves: true })
    expect(counts()).toEqual([0, 0, 0, 0, 1])
  })

  it('saturates the counts at 255', () => {
    const world = createWorld()
    for (const number of span(0, 300)) world.say(`seed-${number}`, { have: { complete: true }, wants: false })
    expect(world.say('z').counts?.[0]).toBe(255)
  })

  it('tells a holder that wants nothing neither peers nor counts', () => {
    const world = createWorld()
    world.say('a')
    const answer = world.say('b', { have: { complete: true }, wants: false })
    expect(answer.peers).toEqual([])
    expect(answer.counts).toBeUndefined()
    expect(answer.size).toBe(sizeOf(100))
  })

  it('names nobody to a leech that has enough neighbours, and counts for it all the same', () => {
    const world = createWorld()
    world.say('a', having(100, [0]))
    const { counts, peers } = world.say('b', { isConnected: true })
    expect(peers).toEqual([])
    expect(counts?.[0]).toBe(1)
  })

  it('names nobody to a leech that has as many neighbours as others announce', () => {
    const world = createWorld()
    for (const peer of ['a', 'b', 'c']) world.say(peer)
    expect(world.say('c', { neighbours: 1 }).peers).toHaveLength(2)
    expect(world.say('c', { neighbours: 2 }).peers).toEqual([])
  })

  it('names the announcers that rank highest with the asker, so that both sides choose alike', () => {
    const world = createWorld()
    const leeches = span(0, 200).map((number) => `leech-${number}`)
    for (const leech of leeches) world.say(leech)
    const nearest = leeches
      .filter((leech) => leech !== 'leech-7')
      .toSorted((a, b) => pairScore(b, 'leech-7') - pairScore(a, 'leech-7'))
      .slice(0, limits.neighboursNamed)
    expect(world.say('leech-7').peers.map(({ peer }) => peer)).toEqual(nearest)
  })

  it('names a few that have all of it first to a leech for which many neighbours are not enough', () => {
    const world = createWorld()
    for (const number of span(0, 200)) world.say(`leech-${number}`, having(100, span(0, 60)))
    const seeds = span(0, 6).map((number) => `seed-${number}`)
    for (const seed of seeds) world.say(seed, { have: { complete: true }, wants: false })
    const first = (neighbours: number): string[] => {
      const { peers } = world.say('leech-7', { ...having(100, span(0, 60)), neighbours })
      return peers.slice(0, limits.usefulHolders).map(({ peer }) => peer)
    }
    const nearest = seeds.toSorted((a, b) => pairScore(b, 'leech-7') - pairScore(a, 'leech-7'))
    expect(first(limits.neighboursAim)).toEqual(nearest.slice(0, limits.usefulHolders))
    expect(first(limits.neighboursAim - 1).filter((peer) => seeds.includes(peer))).toEqual([])
  })

  it('names a few holders first to a leech that has next to nothing', () => {
    const world = createWorld()
    for (const number of span(0, 200)) world.say(`leech-${number}`)
    for (const number of span(0, 6)) world.say(`seed-${number}`, { have: { complete: true }, wants: false })
    const { peers } = world.say('leech-7')
    const seeds = span(0, 6)
      .map((number) => `seed-${number}`)
      .toSorted((a, b) => pairScore(b, 'leech-7') - pairScore(a, 'leech-7'))
    expect(peers.slice(0, 4)).toEqual(seeds.slice(0, 4).map((peer) => ({ ...addressOf(peer), complete: true })))
    expect(new Set(peers.map(({ peer }) => peer)).size).toBe(peers.length)
    expect(peers.length).toBeLessThanOrEqual(limits.neighboursNamed + limits.usefulHolders)
    const rich = world.say('leech-7', having(100, span(0, 50)))
    expect(rich.peers).toHaveLength(limits.neighboursNamed)
  })

  it('is told as many peers as the directory was made to name', () => {
    const world = createWorld({ directory: { neighboursNamed: 3 } })
    for (const number of span(0, 10)) world.say(`rich-${number}`, having(100, span(0, 50)))
    expect(world.say('asker', having(100, span(50, 100))).peers).toHaveLength(3)
  })

  it('does not name who neither holds nor wants', () => {
    const world = createWorld()
    world.say('idle', { wants: false })
    expect(world.say('a').peers).toEqual([])
  })

  it('tells of nobody to whom has banned it, and of all to the others', () => {
    const world = createWorld()
    world.say('seed', { have: { complete: true }, wants: false })
    world.say('half', having(100, span(50, 100)))
    world.say('liar', having(100, span(0, 60)))
    const answer = world.say('a', { bans: ['seed', 'liar', 'unknown'], ...wish })
    expect(answer.peers.map(({ peer }) => peer)).toEqual(['half'])
    expect([0, 49, 50, 99].map((index) => answer.counts![index])).toEqual([0, 0, 1, 1])
    expect(answer.lease).toMatchObject({ start: 0, end: 10 })
    const other = world.say('b', wish)
    expect(other.peers.map(({ peer }) => peer).toSorted()).toEqual(['a', 'half', 'liar', 'seed'])
    expect([0, 50, 99].map((index) => other.counts![index])).toEqual([2, 3, 2])
    expect(other.lease).toBeUndefined()
  })

  it('waits for nothing that only they fetch whom the asker has banned', () => {
    const world = createWorld()
    world.say('liar', wish)
    expect(world.say('a', wish).lease).toMatchObject({ start: 10, end: 20 })
    expect(world.say('b', { bans: ['liar'], ...wish }).lease).toMatchObject({ start: 0, end: 10 })
    expect(world.say('c', { bans: ['liar'], ...wish }).lease).toMatchObject({ start: 20, end: 30 })
  })

  it('lets another have the blob of an origin that ignores Range where the one who gets it is banned', () => {
    const world = createWorld()
    const whole = { unranged: true, ...wish }
    expect(world.say('liar', whole).lease).toMatchObject({ start: 0, end: 100 })
    expect(world.say('a', whole).lease).toBeUndefined()
    expect(world.say('b', { bans: ['liar'], ...whole }).lease).toMatchObject({ start: 0, end: 100 })
    expect(world.say('c', { bans: ['liar'], ...whole }).lease).toBeUndefined()
  })

  it('forgets who is silent for five seconds, with its counts and leases', () => {
    const world = createWorld()
    expect(world.say('a', { ...having(100, [50]), ...wish }).lease).toMatchObject({ start: 0, end: 10 })
    world.clock.advance(5000)
    world.directory.tick()
    expect(world.directory.stats().announcers).toBe(1)
    world.clock.advance(1)
    world.directory.tick()
    expect(world.directory.stats()).toEqual({ digests: 0, announcers: 0, leases: 0 })
    const answer = world.say('b', wish)
    expect(answer).toMatchObject({ peers: [], lease: { start: 0, end: 10 } })
    expect(answer.counts?.[50]).toBe(0)
  })

  it('forgets who merely holds only after three of its long intervals', () => {
    const world = createWorld()
    world.say('seed', { have: { complete: true }, wants: false })
    world.clock.advance(180_000)
    world.directory.tick()
    expect(world.directory.stats().announcers).toBe(1)
    world.clock.advance(1)
    world.directory.tick()
    expect(world.directory.stats().announcers).toBe(0)
  })

  it('forgets within five seconds what it may have missed the end of, and is not told again', () => {
    const world = createWorld()
    const held = { ...having(100, [50]), wants: false }
    for (const number of [1, 2]) world.say('seed', { ...held, digest: digestOf(number) })
    world.say('other', { ...held, digest: digestOf(2) })
    const from = addressOf('seed')
    world.directory.announce({ from, items: [itemOf({ ...held, digest: digestOf(1) })], anew: true })
    world.clock.advance(5000)
    world.directory.tick()
    expect(world.directory.stats().announcers).toBe(3)
    world.clock.advance(1)
    world.directory.tick()
    expect(world.directory.stats().announcers).toBe(2)
    expect([1, 2].map((number) => world.say('z', { digest: digestOf(number) }).counts?.[50])).toEqual([1, 1])
  })

  it('forgets who leaves a digest also where it is no host of it any more', () => {
    const world = createWorld()
    const digest = digestOf(1)
    world.say('seed', { digest, have: { complete: true }, wants: false })
    for (let number = 0; world.owners.of(digest).includes('host'); number++) world.owners.add(`member-${number}`)
    world.say('seed', { digest, leaves: true })
    expect(world.directory.stats().announcers).toBe(0)
  })

  it('forgets a member that is gone at once, in every digest', () => {
    const world = createWorld()
    world.say('a', { ...having(100, [3]), ...wish })
    world.say('a', { digest: digestOf(2) })
    world.say('b')
    world.directory.memberGone('a')
    expect(world.directory.stats()).toEqual({ digests: 1, announcers: 1, leases: 0 })
    expect(world.say('b', wish)).toMatchObject({ peers: [], lease: { start: 0 } })
  })
})

describe('sizes that conflict', () => {
  it('keeps the first and answers others with it', () => {
    const world = createWorld()
    world.say('a')
    expect(world.say('b', { size: sizeOf(50), ...wish })).toEqual({
      digest: digestOf(1),
      size: sizeOf(100),
      peers: [],
      leaseAfterMs: 1000,
    })
    expect(world.say('a').peers).toEqual([])
  })

  it('takes what the majority says', () => {
    const world = createWorld()
    world.say('liar')
    expect(world.say('a', { size: sizeOf(50) }).size).toBe(sizeOf(100))
    expect(world.say('b', { size: sizeOf(50) }).size).toBe(sizeOf(50))
    expect(world.say('liar').size).toBe(sizeOf(50))
    expect(world.say('a', { size: sizeOf(50) }).peers).toEqual([{ ...addressOf('b'), complete: false }])
  })

  it('keeps a size against as many others as there are, of which none is said by more', () => {
    const world = createWorld()
    for (const peer of ['a', 'b']) world.say(peer)
    for (const [number, peer] of ['c', 'd', 'e'].entries())
      expect(world.say(peer, { size: sizeOf(50 + number) }).size).toBe(sizeOf(100))
  })

  it('counts for each its last word', () => {
    const world = createWorld()
    for (const peer of ['a', 'b', 'c']) world.say(peer)
    expect(world.say('a', { size: sizeOf(50) }).size).toBe(sizeOf(100))
    expect(world.say('b', { size: sizeOf(50) }).size).toBe(sizeOf(50))
    expect(world.directory.stats()).toMatchObject({ announcers: 1 })
  })

  it.each<[string, (world: World) => unknown, string[]]>([
    ['has come round', (world) => world.say('c'), ['e', 'f']],
    ['is gone', (world) => world.directory.memberGone('c'), ['e']],
  ])('counts nobody any more who %s', (_what, ends, more) => {
    const world = createWorld()
    const other = { size: sizeOf(50) }
    for (const peer of ['a', 'b']) world.say(peer)
    for (const peer of ['c', 'd']) world.say(peer, other)
    ends(world)
    for (const peer of more) expect(world.say(peer, other).size).toBe(sizeOf(100))
  })

  it('hosts no blob larger than is shared', () => {
    const world = createWorld()
    const answer = world.say('a', { size: 256 * GiB + 1, have: { complete: true } })
    expect(answer).toEqual({ digest: digestOf(1), peers: [] })
    expect(world.directory.stats().digests).toBe(0)
  })
})

describe('leases', () => {
  it('are the lowest chunks that nobody has or fetches, from the position on', () => {
    const world = createWorld()
    world.say('a', having(100, span(0, 5)))
    expect(world.say('b', wish).lease).toMatchObject({ start: 5, end: 15, ttlMs: 1750 })
    expect(world.say('c', { lease: { chunks: 10, position: 40 } }).lease).toMatchObject({ start: 40, end: 50 })
    expect(world.say('d', wish).lease).toMatchObject({ start: 15, end: 25 })
    expect(world.say('e', { lease: { chunks: 20, position: 30 } }).lease).toMatchObject({ start: 30, end: 40 })
  })

  it('wrap around at the end of the blob', () => {
    const world = createWorld()
    expect(world.say('a', { lease: { chunks: 10, position: 95 } }).lease).toMatchObject({ start: 95, end: 100 })
    expect(world.say('b', { lease: { chunks: 10, position: 95 } }).lease).toMatchObject({ start: 0, end: 10 })
    expect(world.say('c', { lease: { chunks: 10, position: 1000 } }).lease).toMatchObject({ start: 10, end: 20 })
  })

  it('of who reads a part are of that part, or none', () => {
    const world = createWorld()
    const part = { chunks: 2, theseOnly: true }
    expect(world.say('a', { lease: { ...part, position: 4 } }).lease).toMatchObject({ start: 4, end: 6 })
    expect(world.say('b', { lease: { ...part, position: 5 } }).lease).toMatchObject({ start: 6, end: 7 })
    expect(world.say('c', { lease: { ...part, position: 5 } }).lease).toBeUndefined()
  })

  it('skip what another announces to be fetching', () => {
    const world = createWorld()
    world.say('a', { fetching: [{ start: 0, end: 7 }] })
    expect(world.say('b', wish).lease).toMatchObject({ start: 7, end: 17 })
  })

  it('shrink to a fair share when many ask', () => {
    const world = createWorld()
    const sizes = span(0, 10).map((number) => {
      const { lease } = world.say(`leech-${number}`, { size: sizeOf(20), ...wish })
      return (lease?.end ?? 0) - (lease?.start ?? 0)
    })
    expect(sizes).toEqual([10, 5, 2, 1, 0, 0, 0, 0, 0, 0])
  })

  it.each([4, 200])(
    'leave the shares of those of %i who will ask, of a few at most: they count before they wish for a lease',
    (leeches) => {
      const world = createWorld()
      for (const number of span(0, leeches)) world.say(`leech-${number}`, { size: sizeOf(20) })
      expect(world.say('leech-0', { size: sizeOf(20), ...wish }).lease).toMatchObject({ start: 0, end: 5 })
    },
  )

  it('are bounded however much is asked', () => {
    const world = createWorld()
    expect(world.say('a', { lease: { chunks: 1000, position: 0 } }).lease).toMatchObject({ start: 0, end: 32 })
    const full = world.say('a', { fetching: [{ start: 0, end: 32 }], lease: { chunks: 10, position: 32 } })
    expect(full.lease).toBeUndefined()
    expect(full.leaseAfterMs).toBe(1000)
    const more = world.say('a', {
      ...having(100, span(0, 4)),
      fetching: [{ start: 4, end: 32 }],
      lease: { chunks: 10, position: 32 },
    })
    expect(more.lease).toMatchObject({ start: 32, end: 36 })
  })

  it('say who asks when nothing is left that nobody has or fetches', () => {
    const world = createWorld()
    const four = { size: sizeOf(4), lease: { chunks: 2, position: 0 } }
    expect(world.say('a', four).isAllTaken).toBeUndefined()
    expect(world.say('b', four).isAllTaken).toBeUndefined()
    expect(world.say('c', four)).toMatchObject({ lease: { start: 3, end: 4 }, isAllTaken: true })
    expect(world.say('d', four)).toMatchObject({ leaseAfterMs: 1000, isAllTaken: true })
    world.directory.memberGone('a')
    const again = world.say('d', four)
    expect(again.lease).toBeDefined()
    expect(again.isAllTaken).toBeUndefined()
  })

  it('are given again when the answer was lost, and not twice when it was not', () => {
    const world = createWorld()
    const first = world.say('a', wish).lease
    expect(world.say('a', wish).lease).toEqual(first)
    const next = world.say('a', { ...wish, fetching: [{ start: 0, end: 10 }] }).lease
    expect(next).toMatchObject({ start: 10, end: 20 })
    expect(next?.id).not.toBe(first?.id)
  })

  it('are given again where what is on its way is of another lease, next to it', () => {
    const world = createWorld()
    world.say('a', wish)
    const later = world.say('a', { ...wish, fetching: [{ start: 0, end: 10 }] }).lease
    expect(world.say('a', { ...wish, fetching: [{ start: 0, end: 10 }] }).lease).toEqual(later)
    const lower = world.say('b', { ...wish, digest: digestOf(2) }).lease
    const above = { ...wish, digest: digestOf(2), fetching: [{ start: 10, end: 20 }] }
    expect(world.say('b', above).lease).toEqual(lower)
  })

  it('that have lapsed are not given again, but anew', () => {
    const world = createWorld()
    const first = world.say('a', wish).lease
    world.clock.advance(1750)
    const { lease } = world.say('a', wish)
    expect(lease).toMatchObject({ start: 0, end: 10 })
    expect(lease?.id).not.toBe(first?.id)
  })

  it('are never granted twice while they live', () => {
    const world = createWorld()
    const seen = new Set<number>()
    for (const number of span(0, 8)) {
      const { lease } = world.say(`leech-${number}`, wish)
      for (const index of span(lease?.start ?? 0, lease?.end ?? 0)) {
        expect(seen.has(index)).toBe(false)
        seen.add(index)
      }
    }
    expect(seen.size).toBe(40)
  })

  it('are lost when their holder falls silent, and granted anew', () => {
    const world = createWorld()
    world.say('a', wish)
    world.clock.advance(1749)
    expect(world.say('b', wish).lease).toMatchObject({ start: 10 })
    world.clock.advance(1)
    expect(world.say('c', wish).lease).toMatchObject({ start: 0, end: 10 })
  })

  it('last longer where announces come late, and say so', () => {
    const world = createWorld()
    const slow = { fetching: [{ start: 0, end: 10 }], silentMs: 0 }
    world.say('slow', wish)
    world.clock.advance(1500)
    world.say('slow', slow)
    expect(world.say('a', wish).lease).toMatchObject({ start: 10, ttlMs: 2000 })
    world.clock.advance(1999)
    expect(world.say('b', wish).lease).toMatchObject({ start: 20 })
    world.clock.advance(1)
    expect(world.say('c', wish).lease).toMatchObject({ start: 0, end: 10 })
  })

  it('last no longer because of who wanted nothing for long', () => {
    const world = createWorld()
    world.say('rests', { have: { complete: true }, wants: false })
    world.clock.advance(600_000)
    world.say('rests', { have: { complete: true }, wants: false })
    expect(world.say('a', { ...wish, lease: { chunks: 10, position: 0, insists: true } }).lease).toMatchObject({
      ttlMs: 1750,
    })
  })

  it('are lost when nothing comes within four seconds, though their holder speaks', () => {
    const world = createWorld()
    world.say('a', wish)
    for (let passedMs = 500; passedMs < 4000; passedMs += 500) {
      world.clock.advance(500)
      world.say('a', { fetching: [{ start: 0, end: 10 }] })
    }
    expect(world.say('b', wish).lease).toMatchObject({ start: 10 })
    world.clock.advance(500)
    world.say('a', { fetching: [{ start: 0, end: 10 }] })
    expect(world.say('c', wish).lease).toMatchObject({ start: 0, end: 10 })
  })

  it('that lapsed are their holder’s again when bytes come after all, but not what another fetches by then', () => {
    const world = createWorld()
    world.say('a', wish)
    world.clock.advance(1750)
    expect(world.say('b', { lease: { chunks: 4, position: 0 } }).lease).toMatchObject({ start: 0, end: 4 })
    world.say('a', { fetching: [{ start: 0, end: 10 }], silentMs: 0 })
    expect(world.say('c', { lease: { chunks: 4, position: 0 } }).lease).toMatchObject({ start: 10, end: 14 })
  })

  it('that lapsed are told to be lost though bytes come after all, where another fetches by then', () => {
    const world = createWorld()
    const { lease } = world.say('a', wish)
    world.clock.advance(1750)
    world.say('b', { lease: { chunks: 4, position: 0 } })
    expect(world.say('a', { fetching: [{ start: 0, end: 10 }], silentMs: 0 }).lost).toEqual([lease?.id])
  })

  it.each([
    [5, 10, 0],
    [0, 5, 5],
  ])(
    'that lapsed are their holder’s again from %i to %i where only that comes: the next is from %i',
    (start, end, next) => {
      const world = createWorld()
      world.say('a', wish)
      world.clock.advance(1750)
      world.directory.tick()
      world.say('a', { fetching: [{ start, end }], silentMs: 0 })
      expect(world.say('b', { lease: { chunks: 4, position: 0 } }).lease).toMatchObject({ start: next, end: next + 4 })
    },
  )

  it('that stalled are told no more to who does not fetch under them', () => {
    const world = createWorld()
    world.say('a', wish)
    world.clock.advance(1750)
    world.say('b', wish)
    expect(world.say('a').lost).toBeUndefined()
  })

  it('of another host are not told to be lost', () => {
    const world = createWorld()
    world.say('a', { fetching: [{ start: 0, end: 10 }] })
    world.clock.advance(1750)
    world.say('b', wish)
    expect(world.say('a', { fetching: [{ start: 0, end: 10 }] }).lost).toBeUndefined()
  })

  it('of another host are over as soon as their holder says so', () => {
    const world = createWorld()
    world.say('a', { fetching: [{ start: 0, end: 10 }] })
    world.say('a')
    expect(world.say('b', wish).lease).toMatchObject({ start: 0, end: 10 })
  })

  it('that stalled are told to be lost once others have or fetch of them', () => {
    const world = createWorld()
    const { lease } = world.say('a', wish)
    const stalled = { fetching: [{ start: 0, end: 10 }] }
    world.clock.advance(1750)
    world.directory.tick()
    expect(world.say('a', stalled).lost).toBeUndefined()
    const next = world.say('b', { lease: { chunks: 4, position: 0 } }).lease
    expect(world.say('a', stalled).lost).toEqual([lease?.id])
    world.say('b', { ...having(100, span(0, 4)), released: [next?.id ?? -1] })
    expect(world.say('a', stalled).lost).toEqual([lease?.id])
    expect(world.say('a', { released: [lease?.id ?? -1] }).lost).toBeUndefined()
  })

  it('live on while new chunks come', () => {
    const world = createWorld()
    world.say('a', wish)
    for (const got of span(1, 10)) {
      world.clock.advance(1500)
      world.say('a', { ...having(100, span(0, got)), fetching: [{ start: got, end: 10 }] })
      expect(world.say('z', { ...wish, lease: { chunks: 1, position: 0 } }).lease?.start).not.toBe(got)
      world.say('z', { leaves: true })
    }
  })

  it('of a process that died unnoticed do not live on by what the next one fetches', () => {
    const world = createWorld()
    world.say('a', wish)
    const more = { fetching: [{ start: 50, end: 60 }], silentMs: 0 }
    world.clock.advance(1000)
    world.say('a', more)
    expect(world.say('b', wish).lease).toMatchObject({ start: 10, end: 20 })
    world.clock.advance(750)
    world.say('a', more)
    expect(world.say('c', wish).lease).toMatchObject({ start: 0, end: 10 })
  })

  it('live on while bytes come from a slow origin', () => {
    const world = createWorld()
    world.say('a', wish)
    for (let count = 1; count < 10; count++) {
      world.clock.advance(1000)
      world.say('a', { fetching: [{ start: 0, end: 10 }], silentMs: 100 })
    }
    expect(world.say('b', wish).lease).toMatchObject({ start: 10 })
    world.clock.advance(1000)
    world.say('a', { fetching: [{ start: 0, end: 10 }], silentMs: 1100 })
    world.clock.advance(650)
    expect(world.say('c', wish).lease).toMatchObject({ start: 0 })
  })

  it('do not live on by chunks that came from peers', () => {
    const world = createWorld()
    world.say('a', wish)
    world.clock.advance(1000)
    world.say('a', { fetching: [{ start: 0, end: 10 }], silentMs: 0 })
    world.clock.advance(1000)
    world.say('a', { ...having(100, [50, 51]), fetching: [{ start: 0, end: 10 }], silentMs: 1000 })
    world.clock.advance(750)
    expect(world.say('b', wish).lease).toMatchObject({ start: 0 })
  })

  it('once lost are not claimed back by announcing the same stalled fetch', () => {
    const world = createWorld()
    world.say('a', wish)
    world.clock.advance(1750)
    world.directory.tick()
    world.say('a', { fetching: [{ start: 0, end: 10 }] })
    expect(world.say('b', wish).lease).toMatchObject({ start: 0, end: 10 })
  })

  it('given back are free at once', () => {
    const world = createWorld()
    const { lease } = world.say('a', wish)
    world.say('a', { ...having(100, [0, 1]), released: [lease?.id ?? -1] })
    expect(world.say('b', wish).lease).toMatchObject({ start: 2, end: 12 })
  })

  it('of who leaves or dies are free at once', () => {
    const world = createWorld()
    world.say('a', wish)
    world.say('a', { leaves: true })
    expect(world.say('b', wish).lease).toMatchObject({ start: 0 })
    world.directory.memberGone('b')
    expect(world.say('c', wish).lease).toMatchObject({ start: 0 })
  })

  it('of what only a dead member had wait until those who took it from there have said so', () => {
    const world = createWorld()
    const first = { lease: { chunks: 1, position: 0 } }
    world.say('a', having(100, [0, 1]))
    world.say('b', having(100, []))
    world.directory.memberGone('a')
    expect(world.say('c', first).lease).toMatchObject({ start: 2 })
    world.clock.advance(1000)
    world.say('b', having(100, [1]))
    world.clock.advance(1000)
    expect(world.say('d', first).lease).toMatchObject({ start: 0 })
    expect(world.say('e', first).lease).toMatchObject({ start: 2 })
  })

  it.each([true, false])(
    'of what only a dead member had wait a second, by when who took it has heard of that (it wanted more: %s)',
    (wants) => {
      const world = createWorld()
      world.say('b')
      world.clock.advance(6000)
      world.say('b')
      world.say('a', { ...having(100, [0, 1]), wants })
      world.directory.memberGone('a')
      world.clock.advance(999)
      const insisting = { lease: { chunks: 1, position: 0, theseOnly: true } }
      expect(world.say('c', insisting).lease).toBeUndefined()
      world.clock.advance(1)
      expect(world.say('c', insisting).lease).toMatchObject({ start: 0 })
    },
  )

  it('of what only a dead member had wait for nobody where it has announced nothing for so long that it died long before', () => {
    const world = createWorld()
    world.say('b')
    world.say('a', having(100, [0]))
    world.clock.advance(2000)
    world.directory.memberGone('a')
    expect(world.say('c', { lease: { chunks: 1, position: 0, theseOnly: true } }).lease).toMatchObject({ start: 0 })
  })

  it('of what only a dead member had do not wait where who asks takes nothing from it in any case', () => {
    const world = createWorld()
    world.say('b')
    world.say('a', having(100, [0]))
    world.directory.memberGone('a')
    const answer = world.say('c', { lease: { chunks: 1, position: 0, theseOnly: true }, bans: ['a'] })
    expect([answer.lease?.start, answer.counts?.[0], answer.counts?.[1]]).toEqual([0, 0, 0])
    expect(world.say('d').counts?.[0]).toBe(1)
  })

  it('apart, what only a dead member had is counted no more once those who took it from there have said so', () => {
    const world = createWorld()
    world.say('b')
    world.say('a', { ...having(100, [0]), wants: false })
    world.directory.memberGone('a')
    world.clock.advance(1000)
    expect(world.say('b').counts?.[0]).toBe(1)
    world.directory.tick()
    expect(world.say('b').counts?.[0]).toBe(0)
  })

  it('end when every chunk is here: the answer says when to ask again', () => {
    const world = createWorld()
    world.say('seed', { have: { complete: true }, wants: false })
    expect(world.say('a', wish)).toMatchObject({ leaseAfterMs: 1000 })
    expect(world.say('a', wish).lease).toBeUndefined()
  })

  it('go to four agents at a time, and then to those who have had fewer', () => {
    const world = createWorld()
    const one = { size: sizeOf(500), lease: { chunks: 1, position: 0 } }
    const ids = span(0, 4).map((number) => world.say(`leech-${number}`, one).lease?.id ?? -1)
    expect(new Set(ids).size).toBe(4)
    expect(world.say('late', one)).toMatchObject({ leaseAfterMs: 1000 })
    const again = { ...having(500, [0]), ...one, released: [ids[0] ?? -1] }
    expect(world.say('leech-0', again).lease).toBeUndefined()
    expect(world.say('late', one).lease).toMatchObject({ start: 4, end: 5 })
  })

  it('go to more at a time in a large swarm', () => {
    const world = createWorld()
    const one = { size: sizeOf(500), lease: { chunks: 1, position: 0 } }
    for (const number of span(0, 8 * limits.announcersPerLeaseHolder)) world.say(`leech-${number}`, { size: one.size })
    const granted = span(0, 10).filter((number) => world.say(`late-${number}`, one).lease !== undefined)
    expect(granted).toHaveLength(limits.leaseHoldersMax)
  })

  it('are kept for who was turned away for so long as one may show nothing, and no longer', () => {
    const world = createWorld()
    const one = { size: sizeOf(500), lease: { chunks: 1, position: 0 } }
    const ids = span(0, 4).map((number) => world.say(`leech-${number}`, one).lease?.id ?? -1)
    world.say('late', one)
    const again = { ...having(500, [0]), ...one, released: [ids[0] ?? -1] }
    world.clock.advance(limits.leaseTtlMs - 1)
    for (const number of span(1, 4))
      world.say(`leech-${number}`, { size: one.size, fetching: [{ start: number, end: number + 1 }], silentMs: 0 })
    expect(world.say('leech-0', again).lease).toBeUndefined()
    world.clock.advance(1)
    expect(world.say('leech-0', again).lease).toMatchObject({ start: 4, end: 5 })
  })

  it('follow each other at who asks before its last one ends, so that the origin never idles', () => {
    const world = createWorld()
    const one = { size: sizeOf(500), lease: { chunks: 1, position: 0 } }
    for (const number of span(0, 4)) world.say(`leech-${number}`, one)
    expect(world.say('late', one).lease).toBeUndefined()
    expect(world.say('leech-0', { ...one, fetching: [{ start: 0, end: 1 }] }).lease).toMatchObject({ start: 4 })
  })

  it('go to who insists also for chunks that others hold, but not for those being fetched', () => {
    const world = createWorld()
    world.say('seed', { have: { complete: true }, wants: false })
    const insisting = { lease: { chunks: 10, position: 0, insists: true } }
    expect(world.say('a', insisting).lease).toMatchObject({ start: 0, end: 10 })
    expect(world.say('b', insisting).lease).toMatchObject({ start: 10, end: 20 })
    expect(world.say('c', wish).lease).toBeUndefined()
  })

  it('go to nobody who insists on what it has', () => {
    const world = createWorld()
    const insisting = { lease: { chunks: 10, position: 0, insists: true } }
    expect(world.say('a', { ...having(100, [0, 1]), ...insisting }).lease).toMatchObject({ start: 2, end: 12 })
  })

  it('go to who insists on what another has, though that says to fetch it as well', () => {
    const world = createWorld()
    const both = { ...having(100, span(0, 5)), fetching: [{ start: 0, end: 10 }] }
    for (let round = 0; round < 2; round++) world.say('a', both)
    const insisting = { lease: { chunks: 10, position: 0, insists: true } }
    expect(world.say('b', insisting).lease).toMatchObject({ start: 0, end: 5 })
  })

  it('go to nobody who insists on what another has just fetched: nobody was asked for that in vain', () => {
    const world = createWorld()
    world.say('a', wish)
    world.say('a', having(100, span(0, 10)))
    const insisting = { lease: { chunks: 10, position: 0, insists: true, theseOnly: true } }
    world.clock.advance(limits.starvedAloneMs - 1)
    expect(world.say('b', insisting).lease).toBeUndefined()
    world.clock.advance(1)
    expect(world.say('b', insisting).lease).toMatchObject({ start: 0, end: 10 })
  })

  it('go to who insists on what another has just fetched that it has banned', () => {
    const world = createWorld()
    world.say('a', wish)
    world.say('a', having(100, span(0, 10)))
    const insisting = { lease: { chunks: 10, position: 0, insists: true, theseOnly: true } }
    expect(world.say('b', { ...insisting, bans: ['a'] }).lease).toMatchObject({ start: 0, end: 10 })
  })

  it("of an unranged origin are nobody else's when the blob has just come", () => {
    const world = createWorld()
    const insisting = { unranged: true, lease: { chunks: 100, position: 0, insists: true } }
    world.say('a', { ...wish, unranged: true })
    world.say('a', { have: { complete: true }, wants: false })
    expect(world.say('b', insisting).lease).toBeUndefined()
    world.clock.advance(limits.starvedAloneMs)
    expect(world.say('b', insisting).lease).toMatchObject({ start: 0, end: 100 })
  })

  it('of an unranged origin are the whole blob, for one agent', () => {
    const world = createWorld()
    world.say('a', wish)
    world.say('b', wish)
    const whole = world.say('a', { ...wish, unranged: true, fetching: [{ start: 0, end: 10 }] }).lease
    expect(whole).toMatchObject({ start: 0, end: 100 })
    expect(world.say('b', { ...wish, unranged: true, fetching: [{ start: 10, end: 20 }] }).lease).toBeUndefined()
    expect(world.say('c', wish).lease).toBeUndefined()
    world.directory.memberGone('a')
    expect(world.say('c', wish).lease).toMatchObject({ start: 0, end: 100 })
  })

  it("of an unranged origin are nobody else's while somebody gets the blob without one, after who had one", () => {
    const world = createWorld()
    const { lease } = world.say('a', { ...wish, unranged: true })
    world.say('a', { wants: true, released: [lease!.id] })
    world.say('b', { unranged: true, fetching: [{ start: 0, end: 100 }] })
    expect(world.say('c', wish).lease).toBeUndefined()
  })

  it('of an unranged origin go as well to who bans their holder, who goes on', () => {
    const world = createWorld()
    const whole = { ...wish, unranged: true }
    expect(world.say('a', whole).lease).toMatchObject({ start: 0, end: 100 })
    expect(world.say('b', { ...whole, bans: ['a'] }).lease).toMatchObject({ start: 0, end: 100 })
    expect(world.say('a', { unranged: true, fetching: [{ start: 0, end: 100 }] }).lost).toBeUndefined()
  })

  it("of an unranged origin are nobody else's while one of use gets the blob beside who is banned, whichever was granted it last", () => {
    const world = createWorld()
    const whole = { ...wish, unranged: true }
    world.say('a', whole)
    world.say('b', { ...whole, bans: ['a'] })
    expect(world.say('c', { ...whole, bans: ['a'] }).lease).toBeUndefined()
    expect(world.say('d', { ...whole, bans: ['b'] }).lease).toBeUndefined()
    expect(world.say('e', { ...whole, bans: ['a', 'b'] }).lease).toMatchObject({ start: 0, end: 100 })
  })

  it('of an unranged origin are known to a successor of each who gets the blob, in whichever order it hears of them', () => {
    const all = { unranged: true, fetching: [{ start: 0, end: 100 }] }
    const asking = { ...wish, unranged: true, bans: ['liar'] }
    const last = createWorld()
    last.say('liar', all)
    last.say('a', { ...all, bans: ['liar'] })
    expect(last.say('b', asking).lease).toBeUndefined()
    const first = createWorld()
    first.say('a', { ...all, ...having(100, [0]), bans: ['liar'], fetching: [{ start: 2, end: 100 }] })
    first.say('liar', all)
    expect(first.say('b', asking).lease).toBeUndefined()
  })

  it("of an unranged origin are nobody else's when who is banned has it, and one of use still gets it", () => {
    const world = createWorld()
    const all = { unranged: true, fetching: [{ start: 0, end: 100 }] }
    world.say('liar', all)
    world.say('a', { ...all, bans: ['liar'] })
    world.say('liar', { have: { complete: true }, wants: false })
    expect(world.say('b', { ...wish, bans: ['liar'] }).lease).toBeUndefined()
  })

  it('of an unranged origin are of those who can use what comes: who can, and begins all the same, is not waited for', () => {
    const world = createWorld()
    const all = { unranged: true, fetching: [{ start: 0, end: 100 }] }
    world.say('liar', all)
    world.say('a', all)
    expect(world.say('b', { ...wish, unranged: true, bans: ['liar'] }).lease).toMatchObject({ start: 0, end: 100 })
  })

  it('of an unranged origin are the whole blob also while the lease of a part of it is open', () => {
    const world = createWorld()
    world.say('a', { lease: { chunks: 10, position: 90, theseOnly: true } })
    expect(world.say('b', { ...wish, unranged: true }).lease).toMatchObject({ start: 0, end: 100 })
  })

  it('of an unranged origin are of no use to who can have all of others, unless it insists', () => {
    const world = createWorld()
    world.say('seed', { have: { complete: true }, wants: false })
    expect(world.say('a', { ...wish, unranged: true }).lease).toBeUndefined()
    expect(world.say('a', { unranged: true, lease: { ...wish.lease, insists: true } }).lease).toMatchObject({
      start: 0,
      end: 100,
    })
  })

  it.each([0, 99])('of an unranged origin are the whole blob where only chunk %i is missing', (missing) => {
    const world = createWorld()
    world.say(
      'b',
      having(
        100,
        span(0, 100).filter((index) => index !== missing),
      ),
    )
    expect(world.say('a', { ...wish, unranged: true }).lease).toMatchObject({ start: 0, end: 100 })
  })

  it("of an unranged origin are nobody else's while one of use gets the blob, also after another had all of it", () => {
    const world = createWorld()
    const whole = { unranged: true, fetching: [{ start: 0, end: 100 }] }
    world.say('seed', { have: { complete: true }, wants: false, unranged: true })
    world.say('a', whole)
    expect(world.say('b', { ...wish, unranged: true, bans: ['seed'] }).lease).toBeUndefined()
  })

  it('are known of each who fetches, also where one fetches all of the blob', () => {
    const world = createWorld()
    world.say('a', { fetching: [{ start: 0, end: 100 }] })
    world.say('b', { fetching: [{ start: 0, end: 10 }] })
    world.directory.memberGone('a')
    expect(world.say('c', wish).lease).toMatchObject({ start: 10, end: 20 })
  })

  it('of an unranged origin move on when their holder stalls', () => {
    const world = createWorld()
    world.say('a', { ...wish, unranged: true })
    world.clock.advance(1750)
    expect(world.say('b', wish).lease).toMatchObject({ start: 0, end: 100 })
    world.say('a', { unranged: true, fetching: [{ start: 0, end: 100 }] })
    expect(world.say('c', wish).lease).toBeUndefined()
  })

  it('move on where nothing has come when the credential behind them ends: its holder can not ask again', () => {
    const world = createWorld()
    world.say('a', { lease: { ...wish.lease, lifeMs: 2500 } })
    const still = { fetching: [{ start: 0, end: 10 }] }
    world.clock.advance(1500)
    world.say('a', still)
    world.clock.advance(999)
    world.say('a', still)
    expect(world.say('b', wish).lease).toMatchObject({ start: 10 })
    world.clock.advance(1)
    expect(world.say('c', wish).lease).toMatchObject({ start: 0 })
  })

  it('do not move on sooner where the credential behind them is shorter than others may be silent', () => {
    const world = createWorld()
    world.say('a', { lease: { ...wish.lease, lifeMs: 500 } })
    world.clock.advance(1000)
    world.say('a', { fetching: [{ start: 0, end: 10 }] })
    world.clock.advance(749)
    expect(world.say('b', wish).lease).toMatchObject({ start: 10 })
    world.clock.advance(1)
    expect(world.say('c', wish).lease).toMatchObject({ start: 0 })
  })

  it('stay with a holder whose credential has ended while its bytes come', () => {
    const world = createWorld()
    world.say('a', { lease: { ...wish.lease, lifeMs: 500 } })
    for (let count = 1; count < 10; count++) {
      world.clock.advance(500)
      world.say('a', { fetching: [{ start: 0, end: 10 }], silentMs: 0 })
    }
    expect(world.say('b', wish).lease).toMatchObject({ start: 10 })
  })

  it('wait for a rate-limited origin, in every digest and for all', () => {
    const world = createWorld()
    world.say('a', { origin: 'docker.io', originRetryAfterMs: 3000 })
    const other = { digest: digestOf(2), origin: 'docker.io', ...wish }
    expect(world.say('b', other)).toMatchObject({ leaseAfterMs: 3000 })
    world.say('a', { origin: 'docker.io', originRetryAfterMs: 1000 })
    world.clock.advance(2999)
    expect(world.say('b', other)).toMatchObject({ leaseAfterMs: 1 })
    expect(world.say('b', { ...other, origin: 'quay.io' }).lease).toMatchObject({ start: 0 })
    world.clock.advance(1)
    expect(world.say('c', other).lease).toMatchObject({ start: 10 })
  })

  it('of an origin that does not answer two agents are for one agent at a time, of all others as before', () => {
    const world = createWorld()
    const fails = { origin: 'docker.io', originFails: true }
    world.say('a', fails)
    world.say('b', fails)
    expect(world.say('c', { origin: 'docker.io', ...wish }).lease).toMatchObject({ start: 0 })
    expect(world.say('d', { origin: 'docker.io', ...wish }).lease).toBeUndefined()
    const elsewhere = { digest: digestOf(2), origin: 'quay.io', ...wish }
    for (const peer of ['c', 'd']) expect(world.say(peer, elsewhere).lease).toBeDefined()
    world.directory.memberGone('c')
    expect(world.say('d', { origin: 'docker.io', ...wish }).lease).toMatchObject({ start: 0 })
  })

  it('are not withheld on the word of one, however often it says so', () => {
    const world = createWorld()
    for (const digest of [1, 2, 3])
      world.say('liar', { digest: digestOf(digest), origin: 'docker.io', originFails: true })
    for (const peer of ['a', 'b', 'c']) expect(world.say(peer, { origin: 'docker.io', ...wish }).lease).toBeDefined()
  })

  it('of an origin that does not answer are for one at a time as long as two say so, whoever they are', () => {
    const world = createWorld()
    const fails = { origin: 'docker.io', originFails: true }
    for (const peer of ['a', 'b', 'c']) world.say(peer, fails)
    world.clock.advance(limits.sickOriginMs - 1)
    for (const peer of ['a', 'b', 'c']) world.say(peer, fails)
    world.clock.advance(1)
    world.directory.tick()
    const granted = ['d', 'e'].filter((peer) => world.say(peer, { origin: 'docker.io', ...wish }).lease !== undefined)
    expect(granted).toEqual(['d'])
  })

  it('of an origin that does not answer are for many again ten seconds after one of two last said so', () => {
    const world = createWorld()
    const fails = { origin: 'docker.io', originFails: true }
    for (const peer of ['a', 'b']) world.say(peer, fails)
    world.clock.advance(limits.sickOriginMs - 1)
    world.say('b', fails)
    world.clock.advance(1)
    for (const peer of ['d', 'e']) expect(world.say(peer, { origin: 'docker.io', ...wish }).lease).toBeDefined()
  })

  it.each(['the origin answers one of them', 'ten seconds have passed'])('are for many again when %s', (what) => {
    const world = createWorld()
    for (const peer of ['a', 'b']) world.say(peer, { origin: 'docker.io', originFails: true })
    if (what.startsWith('ten')) world.clock.advance(10_000)
    else world.say('a', { origin: 'docker.io' })
    world.directory.tick()
    for (const peer of ['c', 'd']) expect(world.say(peer, { origin: 'docker.io', ...wish }).lease).toBeDefined()
  })

  it('wait for no origin but the one that limits its rate; where none is named, for that digest alone', () => {
    const world = createWorld()
    world.say('a', { originRetryAfterMs: 3000 })
    expect(world.say('b', wish)).toMatchObject({ leaseAfterMs: 3000 })
    expect(world.say('b', { digest: digestOf(2), ...wish }).lease).toBeDefined()
  })

  it('wait for a bounded number of origins; one that limits its rate no more makes room', () => {
    const world = createWorld()
    const limited = (number: number, originRetryAfterMs: number) =>
      world.say('a', { digest: digestOf(number), origin: `${number}.io`, originRetryAfterMs, ...wish })
    for (const number of span(1, limits.limitedOriginsMax + 1)) limited(number, 3000)
    const more = limits.limitedOriginsMax + 1
    expect(limited(more, 3000).lease).toBeDefined()
    expect(limited(1, 4000)).toMatchObject({ leaseAfterMs: 4000 })
    world.clock.advance(3000)
    world.directory.tick()
    expect(limited(more + 1, 3000)).toMatchObject({ leaseAfterMs: 3000 })
    expect(limited(1, 0)).toMatchObject({ leaseAfterMs: 1000 })
  })

  it('of an origin that does not answer are not for many again because one of those who asked it says nothing of it', () => {
    const world = createWorld()
    for (const peer of ['a', 'b']) world.say(peer, { origin: 'docker.io', originFails: true })
    world.say('a', { digest: digestOf(2), origin: 'docker.io', have: { complete: true }, wants: false })
    const granted = ['c', 'd'].filter((peer) => world.say(peer, { origin: 'docker.io', ...wish }).lease !== undefined)
    expect(granted).toEqual(['c'])
  })

  it('wait five minutes for an origin at most', () => {
    const world = createWorld()
    expect(world.say('a', { originRetryAfterMs: 86_400_000, ...wish }).leaseAfterMs).toBe(300_000)
  })
})

function addTen(world: World): void {
  for (const number of span(0, 10)) world.owners.add(`member-${number}`)
}

describe('who fetches', () => {
  it('is who has a lease, and who had one until a moment ago', () => {
    const world = createWorld()
    world.say('a', wish)
    world.say('b')
    expect(['a', 'b', 'c'].filter((peer) => world.directory.isFetcher(peer))).toEqual(['a'])
    world.clock.advance(limits.leaseTtlMs - 1)
    world.say('a', { ...wish, fetching: [{ start: 0, end: 10 }] })
    world.clock.advance(limits.leaseTtlMs - 1)
    expect(world.directory.isFetcher('a')).toBe(true)
    world.clock.advance(1)
    expect(world.directory.isFetcher('a')).toBe(false)
  })

  it('is not who has left', () => {
    const world = createWorld()
    world.say('a', wish)
    world.directory.memberGone('a')
    expect(world.directory.isFetcher('a')).toBe(false)
  })
})

describe('who hosts', () => {
  it('answers "ask" and nothing else where it is not among those who may follow', () => {
    const world = createWorld()
    addTen(world)
    const digest = digestNotHostedBy(world.owners, 'host')
    const owner = world.owners.of(digest)[0]
    expect(world.say('a', { digest, ...wish })).toEqual({ digest, peers: [], ask: owner })
    expect(world.suspects).toEqual([])
    expect(world.directory.stats().digests).toBe(0)
  })

  it('answers for what it owns, and names nobody else to ask', () => {
    const answer = createWorld().say('a', wish)
    expect(answer.lease).toBeDefined()
    expect(answer.ask).toBeUndefined()
  })

  it('keeps the table but grants nothing as standby, and has the owner looked at', () => {
    const world = createWorld()
    addTen(world)
    const digest = digestHostedBy(world.owners, 'host', 1)
    const owner = world.owners.of(digest)[0] ?? ''
    world.say('a', { digest, ...having(100, [1]) })
    const answer = world.say('b', { digest, ...wish })
    expect(answer).toMatchObject({ ask: owner, leaseAfterMs: 500, peers: [{ peer: 'a' }] })
    expect(answer.lease).toBeUndefined()
    expect(world.suspects).toEqual([owner])
    expect(world.say('c', { digest }).ask).toBeUndefined()
  })

  it('grants nothing as standby, however long it has listened, and tells nobody that it may leave', () => {
    const world = createWorld()
    addTen(world)
    const digest = digestHostedBy(world.owners, 'host', 1)
    world.say('a', { digest, ...wish })
    world.clock.advance(4000)
    expect(world.say('a', { digest, ...wish }).lease).toBeUndefined()
    expect(world.say('a', { digest, departs: true }).departure).toBeUndefined()
  })

  it('tells of a departure nobody but who departs', () => {
    const world = createWorld()
    expect(world.say('a').departure).toBeUndefined()
    expect(world.say('a', { departs: true }).departure).toBeDefined()
  })

  it('grants as standby in place of an owner once nobody has fetched for seven seconds, and then to others as well', () => {
    const world = createWorld()
    addTen(world)
    const digest = digestHostedBy(world.owners, 'host', 1)
    const asks = (peer: string) => world.say(peer, { digest, lease: { ...wish.lease, instead: true } })
    world.say('a', { digest, fetching: [{ start: 0, end: 10 }], silentMs: 0 })
    expect(asks('b')).toMatchObject({ leaseAfterMs: limits.announceMs, ask: world.owners.of(digest)[0] })
    world.say('a', { digest, ...having(100, span(0, 10)) })
    world.clock.advance(limits.successionMs - 1)
    world.say('a', { digest, ...having(100, span(0, 10)) })
    expect(asks('b').lease).toBeUndefined()
    world.clock.advance(1)
    expect(asks('b')).toMatchObject({ lease: { start: 10, end: 20 } })
    expect(asks('b').ask).toBeUndefined()
    expect(asks('c')).toMatchObject({ lease: { start: 20, end: 30 } })
  })

  it.each([
    ['wants a pause', { originRetryAfterMs: 3000 }, 3000],
    ['answers nobody', { originFails: true }, limits.sickOriginMs],
  ])(
    'grants nothing in place of an owner while the origin %s, nor for seven seconds after',
    (_what, says, troubleMs) => {
      const world = createWorld()
      addTen(world)
      const digest = digestHostedBy(world.owners, 'host', 1)
      const asks = (more = {}) => world.say('b', { digest, lease: { ...wish.lease, instead: true }, ...more })
      world.say('a', { digest, ...wish })
      world.clock.advance(limits.successionMs)
      for (const peer of ['a', 'c']) world.say(peer, { digest, ...wish, ...says })
      world.clock.advance(troubleMs - 1)
      expect(asks().lease).toBeUndefined()
      world.clock.advance(limits.successionMs - 1)
      world.directory.tick()
      expect(asks().lease).toBeUndefined()
      world.clock.advance(1)
      expect(asks().lease).toBeDefined()
    },
  )

  it('tells as standby who fetches what another was fetching before it, who would be of use', () => {
    const world = createWorld()
    addTen(world)
    const digest = digestHostedBy(world.owners, 'host', 1)
    const fetches = (peer: string, start: number, end: number, more = {}) =>
      world.say(peer, { digest, fetching: [{ start, end }], silentMs: 0, ...more }).contested
    expect(fetches('a', 0, 10)).toBeUndefined()
    world.clock.advance(100)
    expect(fetches('b', 8, 12)).toEqual([{ start: 8, end: 10 }])
    expect(fetches('a', 0, 10)).toBeUndefined()
    expect(fetches('c', 9, 12, { bans: ['a', 'b'] })).toBeUndefined()
    world.clock.advance(limits.leaseTtlMs)
    expect(fetches('b', 8, 12)).toBeUndefined()
  })

  it('tells nobody so of an origin that ignores Range, which several may share', () => {
    const world = createWorld()
    addTen(world)
    const digest = digestHostedBy(world.owners, 'host', 1)
    world.say('a', { digest, fetching: [{ start: 0, end: 10 }], silentMs: 0, unranged: true })
    world.clock.advance(100)
    const whole = { digest, fetching: [{ start: 0, end: 100 }], silentMs: 0, unranged: true, bans: ['a'] }
    expect(world.say('b', whole).contested).toBeUndefined()
    expect(world.say('b', { ...whole, bans: [] }).contested).toBeUndefined()
  })

  it('listens for three quarters of a second when a standby with a table succeeds, for what the owner granted last', () => {
    const world = createWorld()
    addTen(world)
    const digest = digestHostedBy(world.owners, 'host', 1)
    world.say('a', { digest, fetching: [{ start: 0, end: 10 }] })
    world.clock.advance(2000)
    world.say('a', { digest, fetching: [{ start: 0, end: 10 }], silentMs: 0 })
    world.owners.remove(world.owners.of(digest)[0] ?? '')
    expect(world.say('b', { digest, ...wish })).toMatchObject({ leaseAfterMs: 750 })
    world.say('c', { digest, fetching: [{ start: 10, end: 20 }], silentMs: 0 })
    world.clock.advance(750)
    expect(world.say('b', { digest, ...wish }).lease).toMatchObject({ start: 20, end: 30 })
  })

  it('follows when owner and standby are silent: has both looked at, listens for two seconds, then grants', () => {
    const world = createWorld()
    addTen(world)
    const digest = digestHostedBy(world.owners, 'host', 2)
    const [owner = '', standby = ''] = world.owners.of(digest)
    expect(world.say('a', { digest, ...wish })).toMatchObject({ ask: owner, leaseAfterMs: 500 })
    expect(world.suspects).toEqual([owner, standby])
    world.say('b', { digest, fetching: [{ start: 0, end: 10 }] })
    for (const silent of [owner, standby]) world.owners.silence(silent)
    world.clock.advance(1999)
    expect(world.say('a', { digest, ...wish })).toMatchObject({ leaseAfterMs: 1 })
    world.say('b', { digest, fetching: [{ start: 0, end: 10 }], silentMs: 0 })
    world.clock.advance(1)
    expect(world.say('a', { digest, ...wish }).lease).toMatchObject({ start: 10, end: 20 })
  })

  it('listens for two seconds when a successor has no table', () => {
    const world = createWorld()
    addTen(world)
    const digest = digestHostedBy(world.owners, 'host', 1)
    world.owners.remove(world.owners.of(digest)[0] ?? '')
    world.clock.advance(300)
    expect(world.say('b', { digest, ...wish })).toMatchObject({ leaseAfterMs: 1700 })
    world.say('a', { digest, fetching: [{ start: 0, end: 10 }] })
    world.clock.advance(1699)
    expect(world.say('b', { digest, ...wish })).toMatchObject({ leaseAfterMs: 1 })
    world.clock.advance(1)
    world.say('a', { digest, fetching: [{ start: 0, end: 10 }] })
    expect(world.say('b', { digest, ...wish }).lease).toMatchObject({ start: 10 })
  })

  it('does not listen for a digest first asked about long after it became owner', () => {
    const world = createWorld()
    addTen(world)
    const digest = digestHostedBy(world.owners, 'host', 1)
    world.owners.remove(world.owners.of(digest)[0] ?? '')
    world.clock.advance(2000)
    expect(world.say('b', { digest, ...wish }).lease).toMatchObject({ start: 0 })
  })

  it('grants nothing before its list agrees with its seed', () => {
    const world = createWorld()
    world.ready = false
    expect(world.say('a', wish)).toMatchObject({ leaseAfterMs: 500 })
    world.ready = true
    expect(world.say('a', wish).lease).toMatchObject({ start: 0 })
  })

  it('grants nothing while it arrives, also of a table that it has', () => {
    const world = createWorld()
    world.say('a')
    world.arrivingMs = 500
    expect(world.say('a', wish)).toMatchObject({ leaseAfterMs: 500 })
    world.arrivingMs = 0
    expect(world.say('a', wish).lease).toMatchObject({ start: 0 })
  })
})

describe('load', () => {
  it('asks for announces every second of who wants, and rarer the more announce', () => {
    const world = createWorld()
    expect(world.sayAgainMs('first')).toBe(1000)
    for (const number of span(0, 1499)) world.say(`leech-${number}`)
    expect(world.sayAgainMs('first')).toBe(4500)
    world.clock.advance(9007)
    world.say('second')
    world.directory.tick()
    expect(world.sayAgainMs('second')).toBe(1000)
  })

  it('asks for them rarer the longer one has wanted, for leases too, and begins anew with the next want', () => {
    const world = createWorld()
    const held = having(100, span(0, 100))
    world.say('holder', { ...held, wants: false })
    world.say('a', wish)
    world.clock.advance(6000)
    expect(world.sayAgainMs('a', wish)).toBe(2000)
    expect(world.say('a', wish).leaseAfterMs).toBe(2000)
    world.clock.advance(60_000)
    expect(world.sayAgainMs('a')).toBe(3000)
    world.say('a', { ...held, wants: false })
    world.clock.advance(1000)
    expect(world.sayAgainMs('a')).toBe(1000)
  })

  it('asks for them at once no rarer than before when those who announced are gone', () => {
    const world = createWorld()
    for (const number of span(0, 1500)) world.say(`leech-${number}`)
    expect(world.sayAgainMs('leech-0')).toBe(4500)
    for (const number of span(1, 1500)) world.directory.memberGone(`leech-${number}`)
    expect(world.sayAgainMs('leech-0')).toBe(1000)
  })

  it('counts those who lately wanted or fetched something, whatever else they announce, and as long as they do', () => {
    const world = createWorld()
    const resting = itemOf({ digest: digestOf(2), have: { complete: true }, wants: false })
    const busy = itemOf({ wants: false, fetching: [{ start: 0, end: 1 }] })
    const announces = (peer: string, items: AnnounceItem[]) =>
      world.directory.announce({ from: addressOf(peer), items })
    for (const number of span(0, 1000)) announces(`rests-${number}`, [resting])
    expect(world.sayAgainMs('a')).toBe(1000)
    for (const number of span(0, 1000)) announces(`busy-${number}`, [resting, busy])
    expect(world.sayAgainMs('a')).toBeCloseTo(1001 * 3, 6)
    world.clock.advance(6000)
    for (const number of span(0, 500)) announces(`busy-${number}`, [busy])
    world.clock.advance(10)
    world.directory.tick()
    expect(world.sayAgainMs('b')).toBeCloseTo(501 * 3, 6)
  })

  it('asks who fetches and wants no more as often as who wants', () => {
    const world = createWorld()
    expect(world.sayAgainMs('a', { wants: false, fetching: [{ start: 0, end: 1 }] })).toBe(500)
  })

  it('asks for them every four seconds as standby, and of who fetches before its leases lapse', () => {
    const world = createWorld()
    addTen(world)
    const digest = digestHostedBy(world.owners, 'host', 1)
    const afterMs = [{}, { fetching: [{ start: 0, end: 2 }] }].map((change) =>
      world.sayAgainMs('a', { digest, ...change }),
    )
    expect(afterMs).toEqual([4000, 1500])
  })

  it('keeps who fetches at half a second, however many announce', () => {
    const world = createWorld()
    for (const number of span(0, 1500)) world.say(`leech-${number}`)
    expect(world.sayAgainMs('leech-0', wish)).toBe(500)
    expect(world.sayAgainMs('leech-1')).toBe(4500)
  })

  it('lets hundreds join at once without naming one chunk twice', () => {
    const world = createWorld()
    const seen = new Set<number>()
    let leases = 0
    for (const number of span(0, 800)) {
      const { lease } = world.say(`leech-${number}`, { size: sizeOf(500), lease: { chunks: 8, position: 0 } })
      if (lease !== undefined) leases++
      for (const index of span(lease?.start ?? 0, lease?.end ?? 0)) {
        expect(seen.has(index)).toBe(false)
        seen.add(index)
      }
    }
    expect(leases).toBe(limits.leaseHoldersMax)
    expect(world.directory.stats()).toEqual({ digests: 1, announcers: 800, leases })
  })

  it('keeps a bounded number of digests, forgetting the longest unheard', () => {
    const world = createWorld({ directory: { digestsMax: 2 } })
    for (const number of [1, 2, 1, 3]) world.say('a', { digest: digestOf(number) })
    world.say('b', { digest: digestOf(1) })
    expect(world.directory.stats()).toMatchObject({ digests: 2, announcers: 3 })
    expect(world.say('b', { digest: digestOf(1) }).peers).toHaveLength(1)
  })

  it('counts no more callers than there may be members, whatever names a liar has', () => {
    const world = createWorld()
    for (const number of span(0, limits.membersMax + 1000)) world.say(`name-${number}`, { isConnected: true })
    expect(world.sayAgainMs('a')).toBeCloseTo(limits.membersMax * 3, 6)
  })

  it('keeps tables of a bounded size, forgetting the largest', () => {
    const world = createWorld({ directory: { bytesMax: 10_000 } })
    world.say('a')
    for (const number of span(2, 10)) {
      const huge = { digest: digestOf(number), size: sizeOf(400) }
      const fetching = { ...huge, fetching: [{ start: 0, end: 400 }] }
      expect(world.say('liar', fetching)).toEqual({ ...huge, peers: [] })
    }
    expect(world.directory.stats()).toEqual({ digests: 1, announcers: 1, leases: 0 })
    expect(world.say('b').peers).toHaveLength(1)
  })

  it('counts tables of which it has noted nobody, too', () => {
    const world = createWorld({ directory: { bytesMax: 10_000, announcersMax: 1 } })
    world.say('a')
    for (const number of span(2, 20)) world.say('liar', { digest: digestOf(number), size: sizeOf(400) })
    expect(world.directory.stats()).toEqual({ digests: 6, announcers: 1, leases: 0 })
  })

  it('counts who says another size', () => {
    const world = createWorld({ directory: { bytesMax: 10_000 } })
    for (const peer of ['a', 'b']) world.say(peer)
    for (const peer of ['liar', 'other']) world.say(peer, { digest: digestOf(2) })
    for (const number of span(0, 80)) world.say(`name-${number}`, { digest: digestOf(2), size: sizeOf(number) })
    expect(world.say('c').peers).toHaveLength(2)
    expect(world.say('liar', { digest: digestOf(2) }).peers).toEqual([])
  })

  it('measures at each tick what tables take by then', () => {
    const world = createWorld({ directory: { bytesMax: 10_000 } })
    const fetches = { fetching: [{ start: 0, end: 50 }] }
    world.say('a', fetches)
    world.say('b')
    world.say('a', { leaves: true })
    world.directory.tick()
    world.say('c', { digest: digestOf(2), ...fetches })
    expect(world.directory.stats()).toEqual({ digests: 2, announcers: 2, leases: 1 })
  })

  it('answers but does not note announcers beyond its bound', () => {
    const world = createWorld({ directory: { announcersMax: 1 } })
    world.say('a')
    expect(world.say('b', wish)).toEqual({ digest: digestOf(1), size: sizeOf(100), peers: [], leaseAfterMs: 1000 })
    expect(world.directory.stats().announcers).toBe(1)
  })
})

it('counts the leases of all digests', () => {
  const world = createWorld()
  for (const number of [1, 2]) world.say('a', { digest: digestOf(number), ...wish })
  expect(world.directory.stats()).toEqual({ digests: 2, announcers: 2, leases: 2 })
})

it('forgets at the next tick a digest of which it has noted nobody', () => {
  const world = createWorld({ directory: { announcersMax: 1 } })
  world.say('a')
  world.say('b', { digest: digestOf(2) })
  expect(world.directory.stats()).toMatchObject({ digests: 2 })
  world.directory.tick()
  expect(world.directory.stats()).toMatchObject({ digests: 1 })
})

describe('seeds named for the DHT', () => {
  const seed = { have: { complete: true }, wants: false } as const

  it('are three per digest, one a second', () => {
    const world = createWorld()
    const named = span(0, 6).map((number) => {
      world.clock.advance(number === 1 ? 999 : 1000)
      return world.say(`seed-${number}`, seed).provide ?? false
    })
    expect(named).toEqual([true, false, true, true, false, false])
  })

  it('are named again after half an hour', () => {
    const world = createWorld()
    expect(world.say('seed', seed).provide).toBe(true)
    world.clock.advance(limits.provideAgainMs - 1)
    expect(world.say('seed', seed).provide).toBeUndefined()
    world.clock.advance(1)
    expect(world.say('seed', seed).provide).toBe(true)
  })

  it('are named by the first host alone', () => {
    const world = createWorld()
    addTen(world)
    const digest = digestHostedBy(world.owners, 'host', 1)
    expect(world.say('seed', { digest, ...seed }).provide).toBeUndefined()
  })

  it('are replaced when one goes', () => {
    const world = createWorld()
    for (const number of span(0, 3)) {
      world.clock.advance(1000)
      world.say(`seed-${number}`, seed)
    }
    world.directory.memberGone('seed-1')
    world.clock.advance(1000)
    expect(world.say('seed-9', seed).provide).toBe(true)
  })

  it('hold everything', () => {
    expect(createWorld().say('a').provide).toBeUndefined()
  })
})

it('makes a table for the empty blob, which has no chunk', () => {
  expect(createTable(digestOf(1), '', 0, 0, 0).chunks).toBe(0)
  expect(createWorld().say('a', { size: 0, have: { complete: true }, wants: true, ...wish }).leaseAfterMs).toBe(1000)
})
