import { describe, expect, it } from 'vitest'
import type { AnnounceItem, RosterAnswer } from '../../../core/directory/messages.ts'
import { createRoster, isAtRest, isSameSum } from '../../../core/directory/rosters.ts'
import { limits } from '../../../core/limits.ts'
import { minute } from '../../../core/units.ts'
import { addressOf, createWorld, digestOf, itemOf, span, type World } from './world.ts'

const complete: Partial<AnnounceItem> = { have: { complete: true }, wants: false }

/** The host has heard that the peer holds these. */
function holding(numbers: readonly number[]): World {
  const world = createWorld()
  for (const number of numbers) world.say('holder', { ...complete, digest: digestOf(number) })
  return world
}

/** What the host answers to a peer that says that it holds these, as before. */
function askedOf({ directory }: World, numbers: readonly number[]): RosterAnswer | undefined {
  const roster = createRoster()
  for (const number of numbers) roster.add(digestOf(number))
  return directory.announce({ from: addressOf('holder'), items: [], asBefore: roster.sum() }).roster
}

const isSame = (world: World, numbers: readonly number[]) => askedOf(world, numbers)?.isSame

describe('a host that hears that all is as before', () => {
  it('says whether that is what it knows, and when to say so again', () => {
    const world = holding([1, 2, 3])
    expect(askedOf(world, [1, 2, 3])).toMatchObject({ isSame: true, announceAfterMs: limits.announceIdleMs })
    expect(isSame(world, [1, 2])).toBe(false)
    expect(isSame(world, [1, 2, 4])).toBe(false)
    expect(isSame(createWorld(), [1])).toBe(false)
  })

  it('keeps who says so though that also says that the host may have missed something', () => {
    const world = holding([1])
    const roster = createRoster()
    roster.add(digestOf(1))
    const request = { from: addressOf('holder'), items: [], asBefore: roster.sum(), anew: true }
    expect(world.directory.announce(request).roster?.isSame).toBe(true)
    world.clock.advance(minute)
    world.directory.tick()
    expect(world.directory.stats().announcers).toBe(1)
  })

  it('keeps who says so as a holder, and forgets who says nothing', () => {
    const world = holding([1])
    for (const _ of span(0, 10)) {
      world.clock.advance(minute)
      expect(isSame(world, [1])).toBe(true)
      world.directory.tick()
    }
    expect(world.say('reader', { digest: digestOf(1) }).peers).toMatchObject([{ peer: 'holder', complete: true }])
    world.clock.advance(3 * minute + 1)
    world.directory.tick()
    expect(isSame(world, [1])).toBe(false)
    expect(world.say('reader', { digest: digestOf(1) }).peers).toEqual([])
  })

  it.each<[string, Partial<AnnounceItem>]>([
    ['wants it', { wants: true }],
    ['has lost a part', { have: { complete: false, bits: new Uint8Array(13) } }],
    ['departs', { departs: true }],
    ['leaves', { leaves: true }],
  ])('does not count what the peer %s of since', (_what, change) => {
    const world = holding([1, 2])
    world.say('holder', { ...complete, digest: digestOf(2), ...change })
    expect(isSame(world, [1])).toBe(true)
    expect(isSame(world, [1, 2])).toBe(false)
  })

  it('knows nothing any more of a member that has gone', () => {
    const world = holding([1, 2])
    world.directory.memberGone('holder')
    expect(isSame(world, [1, 2])).toBe(false)
  })

  it('does not count what it had no room for', () => {
    const world = createWorld({ directory: { digestsMax: 2 } })
    for (const number of [1, 2, 3]) world.say('holder', { ...complete, digest: digestOf(number) })
    expect(isSame(world, [1, 2, 3])).toBe(false)
    expect(isSame(world, [2, 3])).toBe(true)
  })

  it('asks for records in the DHT, one at a time', () => {
    const world = createWorld()
    // Only one is asked for at the first announce of all.
    const asked = [1, 2, 3].filter((number) => world.say('holder', { ...complete, digest: digestOf(number) }).provide)
    expect(asked).toEqual([1])
    world.clock.advance(limits.provideEveryMs)
    expect(askedOf(world, [1, 2, 3])?.provide).toBe(digestOf(2))
    expect(askedOf(world, [1, 2, 3])?.provide).toBeUndefined()
    world.clock.advance(limits.provideEveryMs)
    expect(askedOf(world, [1, 2, 3])?.provide).toBe(digestOf(3))
  })
})

it('a sum is another where it differs in anything', () => {
  const sum = { count: 1, low: 2, high: 3 }
  expect(isSameSum(sum, { ...sum })).toBe(true)
  for (const change of [{ count: 9 }, { low: 9 }, { high: 9 }])
    expect(isSameSum(sum, { ...sum, ...change })).toBe(false)
})

it.each<[string, Partial<AnnounceItem>, boolean]>([
  ['is merely held', {}, true],
  ['is wanted', { wants: true }, false],
  ['is held in part', { have: { complete: false, bits: new Uint8Array(13) } }, false],
  ['is fetched', { fetching: [{ start: 0, end: 1 }] }, false],
  ['is to be fetched', { lease: { chunks: 1, position: 0 } }, false],
  ['departs', { departs: true }, false],
  ['is left', { leaves: true }, false],
])('what %s is nothing to speak of, or is', (_what, change, rests) => {
  expect(isAtRest(itemOf({ ...complete, ...change }))).toBe(rests)
})
