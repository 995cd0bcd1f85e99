import { expect, it } from 'vitest'
import { createOwners } from '../../../core/directory/owners.ts'
import type { Owners } from '../../../core/directory/owners.ts'
import { limits } from '../../../core/limits.ts'
import { markOf, scoreOf } from '../../../core/directory/rendezvous.ts'
import { virtualClock } from '../../support/virtual-clock.ts'
import { digestHostedBy, digestOf, span } from './world.ts'

function ownersOf(self: string, peers: string[], clock = virtualClock()): Owners {
  const owners = createOwners({ self, clock })
  for (const peer of peers) owners.add(peer)
  return owners
}

const peers = span(0, 20).map((number) => `peer-${number}`)

it('ranks alike on every agent, whatever the order in which members came', () => {
  const here = ownersOf('peer-0', peers)
  const there = ownersOf('peer-1', peers.toReversed())
  for (const number of span(0, 200)) expect(here.of(digestOf(number))).toEqual(there.of(digestOf(number)))
})

it('shares the digests out evenly', () => {
  const owners = ownersOf('peer-0', peers)
  const shares = new Map<string, number>()
  for (const number of span(0, 10_000)) {
    const owner = owners.of(digestOf(number))[0] ?? ''
    shares.set(owner, (shares.get(owner) ?? 0) + 1)
  }
  expect(shares.size).toBe(20)
  for (const share of shares.values()) expect(Math.abs(share - 500)).toBeLessThan(100)
})

it('names five hosts, or all of fewer', () => {
  expect(ownersOf('peer-0', peers).of(digestOf(1))).toHaveLength(5)
  expect(ownersOf('peer-0', peers.slice(0, 3)).of(digestOf(1))).toHaveLength(3)
})

it('moves only the digests of a member that goes, each to its standby', () => {
  const owners = ownersOf('peer-0', peers)
  const before = span(0, 500).map((number) => owners.of(digestOf(number)))
  owners.remove('peer-7')
  for (const [number, hosts] of before.entries()) {
    const expected = hosts[0] === 'peer-7' ? hosts[1] : hosts[0]
    expect(owners.of(digestOf(number))[0]).toBe(expected)
  }
})

it('passes over a silent member until it is heard again', () => {
  const owners = ownersOf('peer-0', peers)
  const digest = digestHostedBy(owners, 'peer-3')
  const [, standby] = owners.of(digest)
  owners.silence('peer-3')
  expect(owners.of(digest)[0]).toBe(standby)
  owners.hear('peer-3')
  expect(owners.of(digest)[0]).toBe('peer-3')
})

it('never finds itself silent', () => {
  const owners = ownersOf('peer-0', ['peer-0'])
  owners.silence('peer-0')
  expect(owners.of(digestOf(1))).toEqual(['peer-0'])
})

/** A host that is third for a digest, and who are before it. */
function createThird() {
  const clock = virtualClock()
  const owners = ownersOf('peer-0', peers, clock)
  const third = digestHostedBy(owners, 'peer-0', 2)
  const [owner = '', standby = ''] = owners.of(third)
  return { clock, owners, third, owner, standby }
}

it('has nothing to learn where it has always been first', () => {
  expect(ownersOf('peer-0', peers).learningMs(digestOf(1))).toBe(0)
})

it('learns for two seconds what a predecessor knew that has just gone', () => {
  const clock = virtualClock()
  const owners = ownersOf('peer-0', peers, clock)
  const inherited = digestHostedBy(owners, 'peer-0', 1)
  const predecessor = owners.of(inherited)[0] ?? ''
  const own = digestHostedBy(owners, 'peer-0')
  owners.remove(predecessor)
  expect(owners.learningMs(inherited)).toBe(2000)
  expect(owners.learningMs(own)).toBe(0)
  clock.advance(1500)
  expect(owners.learningMs(inherited)).toBe(500)
  clock.advance(500)
  expect(owners.learningMs(inherited)).toBe(0)
})

it('listens for a moment with a table that it kept as standby, and learns anew where both that came before it have gone', () => {
  const { clock, owners, third, owner, standby } = createThird()
  owners.remove(owner)
  expect(owners.catchingUpMs(third)).toBe(750)
  clock.advance(500)
  expect(owners.catchingUpMs(third)).toBe(250)
  owners.silence(standby)
  expect(owners.catchingUpMs(third)).toBe(1500)
  clock.advance(1500)
  expect(owners.catchingUpMs(third)).toBe(0)
  expect(owners.learningMs(third)).toBe(500)
})

it('learns of all that came before it and have gone lately, also where others went long ago', () => {
  const { clock, owners, third, owner, standby } = createThird()
  owners.remove(owner)
  clock.advance(2000)
  owners.remove(standby)
  expect(owners.catchingUpMs(third)).toBe(750)
  expect(owners.learningMs(third)).toBe(2000)
})

it('learns once from who falls silent, however often that is noticed', () => {
  const clock = virtualClock()
  const owners = ownersOf('peer-0', peers, clock)
  const inherited = digestHostedBy(owners, 'peer-0', 1)
  const predecessor = owners.of(inherited)[0] ?? ''
  owners.silence(predecessor)
  clock.advance(1500)
  owners.silence(predecessor)
  owners.silence('nobody')
  owners.remove('nobody')
  expect(owners.learningMs(inherited)).toBe(500)
})

it('counts a member that comes among those that it ranks, once', () => {
  const owners = ownersOf('peer-0', peers)
  const before = owners.of(digestOf(1))
  owners.add('peer-1')
  expect(owners.of(digestOf(1))).toBe(before)
  const others = span(20, 200).map((number) => `peer-${number}`)
  for (const peer of others) owners.add(peer)
  expect(owners.of(digestOf(1))).toEqual(ownersOf('peer-0', [...peers, ...others]).of(digestOf(1)))
})

it('learns once when a silent predecessor is then removed', () => {
  const clock = virtualClock()
  const owners = ownersOf('peer-0', peers, clock)
  const inherited = digestHostedBy(owners, 'peer-0', 1)
  const predecessor = owners.of(inherited)[0] ?? ''
  owners.silence(predecessor)
  clock.advance(1500)
  owners.remove(predecessor)
  expect(owners.learningMs(inherited)).toBe(500)
})

it('listens after it has arrived', () => {
  const clock = virtualClock()
  const owners = ownersOf('peer-0', ['peer-0'], clock)
  expect(owners.arrivingMs()).toBe(0)
  owners.arrive()
  clock.advance(1999)
  expect(owners.arrivingMs()).toBe(1)
})

it('looks up an owner among 20,000 members', () => {
  const owners = ownersOf(
    'peer-0',
    span(0, 20_000).map((number) => `peer-${number}`),
  )
  const hosts = owners.of(digestOf(5))
  expect(new Set(hosts).size).toBe(5)
  expect(owners.of(digestOf(5))).toBe(hosts)
})

it('scores a pair the same from both sides', () => {
  const [a, b, c] = [markOf('a'), markOf('b'), markOf('c')]
  expect(scoreOf(a, b)).toBe(scoreOf(b, a))
  expect(scoreOf(a, b)).not.toBe(scoreOf(a, c))
})

it('has what a member leaves taken over by the next in rank that are eligible and not silent, never by itself', () => {
  const owners = ownersOf('peer-0', peers)
  const ranked = owners.of(digestOf(1)).filter((peer) => peer !== 'peer-0')
  expect(owners.heirsOf(digestOf(1), () => true)).toEqual(ranked.slice(0, limits.handOverAskedMax))
  const [first, second, third] = ranked
  owners.silence(first!)
  expect(owners.heirsOf(digestOf(1), (peer) => peer !== second)[0]).toBe(third)
  expect(owners.heirsOf(digestOf(1), () => false)).toEqual([])
})
