import * as fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { createRelays, type Relays } from '../../../core/directory/relays.ts'
import { limits } from '../../../core/limits.ts'
import type { PeerId } from '../../../core/ports.ts'
import { seededRandom } from '../../support/seeded-random.ts'
import { virtualClock } from '../../support/virtual-clock.ts'
import { createWorld, digestOf, itemOf, span } from './world.ts'

const digest = digestOf(1)

function createLine() {
  const clock = virtualClock()
  return { clock, relays: createRelays({ clock, random: seededRandom('relays') }) }
}

function name(number: number): PeerId {
  return `agent ${number}`
}

/** Who each of `count` agents is sent to, asking in order. */
function sendAll(relays: Relays, count: number, seeds: readonly PeerId[] = []): (PeerId | undefined)[] {
  return span(0, count).map((number) => relays.relayFor(digest, name(number), seeds, []))
}

it('the first of those who want what nobody has fetches it, and each passes it on to two', () => {
  const sent = sendAll(createLine().relays, 8)
  expect(sent).toEqual([undefined, ...[0, 0, 1, 1, 2, 2, 3].map(name)])
})

it('where there are seeds nobody is sent to the origin, and each seed passes it on to two', () => {
  const sent = sendAll(createLine().relays, 6, ['seed 1', 'seed 2'])
  expect(sent).toEqual(['seed 1', 'seed 1', 'seed 2', 'seed 2', name(0), name(0)])
})

it('who asks again is sent to the same peer, unless that gave nothing; then to another who stood before it', () => {
  const { relays } = createLine()
  sendAll(relays, 4)
  expect(relays.relayFor(digest, name(3), [], [])).toBe(name(1))
  expect([name(0), name(2)]).toContain(relays.relayFor(digest, name(3), [], [name(1)]))
  expect(relays.relayFor(digest, name(3), [], [name(1), name(2)])).toBe(name(0))
})

it('when the first fetch came to nothing, the second of the line fetches and the third waits for it', () => {
  const { relays } = createLine()
  sendAll(relays, 3)
  expect(relays.relayFor(digest, name(1), [], [name(0)])).toBeUndefined()
  expect(relays.relayFor(digest, name(2), [], [name(0)])).toBe(name(1))
})

it('nobody waits in a circle, whoever asks again and whoever gives nothing', () => {
  const questions = fc.array(fc.record({ asker: fc.nat(9), except: fc.uniqueArray(fc.nat(9)) }), { maxLength: 60 })
  fc.assert(
    fc.property(questions, fc.subarray(span(0, 10)), (asked, seeds) => {
      const { relays } = createLine()
      const order: PeerId[] = seeds.map(name)
      for (const { asker, except } of asked) {
        const relay = relays.relayFor(digest, name(asker), seeds.map(name), except.map(name))
        if (!order.includes(name(asker))) order.push(name(asker))
        if (relay === undefined) continue
        expect(except.map(name)).not.toContain(relay)
        expect(order.indexOf(relay)).toBeGreaterThanOrEqual(0)
        expect(order.indexOf(relay)).toBeLessThan(order.indexOf(name(asker)))
      }
    }),
  )
})

it('a line is over when nobody has asked for a while', () => {
  const { clock, relays } = createLine()
  sendAll(relays, 3)
  clock.advance(limits.relayLineMs)
  relays.tick()
  expect(relays.relayFor(digest, 'late', [], [])).toBeUndefined()
})

it('a line goes on as long as somebody asks, and ends apart from others', () => {
  const { clock, relays } = createLine()
  sendAll(relays, 1)
  clock.advance(limits.relayLineMs - 1)
  relays.relayFor(digestOf(2), 'other', [], [])
  sendAll(relays, 1)
  clock.advance(1)
  relays.tick()
  expect(relays.relayFor(digest, 'late', [], [])).toBe(name(0))
  clock.advance(limits.relayLineMs - 1)
  relays.tick()
  expect(relays.relayFor(digestOf(2), 'next', [], [])).toBeUndefined()
  expect(relays.relayFor(digest, 'later', [], [])).toBe(name(0))
})

it('seeds take places as well, once a line, and what ends makes room for as many', () => {
  const { clock, relays } = createLine()
  const seeds = span(0, limits.relayPlacesMax - 2).map((number) => `seed ${number}`)
  for (const asker of ['first', 'second']) relays.relayFor(digest, asker, seeds, [])
  // None is left: who asks next is not noted, and so nobody is sent to it.
  expect(relays.relayFor(digestOf(2), 'first', [], [])).toBeUndefined()
  expect(relays.relayFor(digestOf(2), 'second', [], [])).toBeUndefined()
  clock.advance(limits.relayLineMs - 1)
  relays.relayFor(digestOf(2), 'first', [], [])
  clock.advance(1)
  relays.tick()
  relays.relayFor(digestOf(2), 'first', [], [])
  expect(relays.relayFor(digestOf(2), 'second', [], [])).toBe('first')
})

it('nobody is sent to itself', () => {
  const { relays } = createLine()
  const seeds = ['seed 1', 'seed 2']
  expect(relays.relayFor(digest, 'seed 1', seeds, [])).toBeUndefined()
  expect(relays.relayFor(digest, 'seed 2', seeds, [])).toBe('seed 1')
})

it('beyond its bound it sends askers on and notes them no more; lines that end make room', () => {
  const { clock, relays } = createLine()
  sendAll(relays, limits.relayPlacesMax)
  expect(relays.relayFor(digest, 'one more', [], [])).toBe(name(limits.relayPlacesMax / 2 - 1))
  expect(relays.relayFor(digestOf(2), 'first', [], [])).toBeUndefined()
  expect(relays.relayFor(digestOf(2), 'second', [], [])).toBeUndefined()
  clock.advance(limits.relayLineMs)
  relays.tick()
  expect(relays.relayFor(digestOf(2), 'first', [], [])).toBeUndefined()
  expect(relays.relayFor(digestOf(2), 'second', [], [])).toBe('first')
})

describe('a directory that is asked where small content is', () => {
  const request = { from: 'asker', digest, origin: 'docker.io', except: [] }

  it('names who has announced all of it, never who has a part, and says the size', () => {
    const world = createWorld()
    const { directory } = world
    world.say('leech')
    expect(directory.locate(request)).toEqual({ size: itemOf().size })
    world.say('seed', { have: { complete: true }, wants: false })
    expect(directory.locate({ ...request, from: 'other' })).toEqual({ relay: 'asker', size: itemOf().size })
    expect(directory.locate({ ...request, digest: digestOf(2) })).toEqual({})
    world.say('seed', { digest: digestOf(3), have: { complete: true }, wants: false })
    expect(directory.locate({ ...request, digest: digestOf(3) })).toEqual({ relay: 'seed', size: itemOf().size })
  })

  it('names a few of those who have announced all of it, the asker not among them', () => {
    const world = createWorld()
    const seeds = span(0, limits.relaySeedsMax + 2).map((number) => `seed-${number}`)
    for (const seed of seeds) world.say(seed, { have: { complete: true }, wants: false })
    const sent = ['seed-0', ...span(0, 2 * limits.relaySeedsMax).map(name)].map(
      (from) => world.directory.locate({ ...request, from }).relay,
    )
    const few = seeds.slice(1, 1 + limits.relaySeedsMax)
    expect(sent).toEqual([...few.flatMap((seed) => [seed, seed]), 'seed-0'])
  })

  it('lets nobody fetch before it knows the members, nor while the origin limits its rate', () => {
    const world = createWorld()
    world.ready = false
    expect(world.directory.locate(request)).toEqual({ againMs: limits.relayAgainMs })
    world.ready = true
    world.say('leech', { digest: digestOf(2), origin: 'docker.io', originRetryAfterMs: 3000 })
    expect(world.directory.locate(request)).toEqual({ againMs: 3000 })
    expect(world.directory.locate({ ...request, origin: 'quay.io' })).toEqual({})
  })

  it('names the owner when it is neither that nor its standby', () => {
    const world = createWorld()
    for (const peer of ['a', 'b', 'c', 'd']) world.owners.add(peer)
    const foreign = span(1, 100)
      .map(digestOf)
      .find((each) => !world.owners.of(each).slice(0, 2).includes('host'))
    const [owner] = world.owners.of(foreign!)
    expect(world.directory.locate({ ...request, digest: foreign! })).toEqual({ ask: owner })
  })
})
