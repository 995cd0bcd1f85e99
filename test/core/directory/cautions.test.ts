import { describe, expect, it } from 'vitest'
import { createCautions, type Cautions } from '../../../core/directory/cautions.ts'
import type { Caution } from '../../../core/directory/messages.ts'
import { limits } from '../../../core/limits.ts'
import { virtualClock } from '../../support/virtual-clock.ts'
import { addressOf, createWorld, digestOf, span, type World } from './world.ts'

const liar: Caution = { peer: 'liar', address: '10.0.0.66' }

/** Somebody, at an address of its own. */
const one = (number: number): Caution => ({ peer: `peer ${number}`, address: `10.0.1.${number}` })

/** `peer` cautions of these, and of nobody else. */
function caution({ directory }: World, peer: string, ...of: Caution[]): void {
  directory.announce({ from: addressOf(peer), items: [], cautions: of })
}

describe('what a host says to who wants a blob', () => {
  it('is of whom others caution it, whatever digest that was about', () => {
    const world = createWorld()
    expect(world.say('b')).not.toHaveProperty('cautions')
    caution(world, 'a', liar)
    expect(world.say('b').cautions).toEqual([liar])
    expect(world.say('c', { digest: digestOf(2) }).cautions).toEqual([liar])
  })

  it('is nothing to who merely holds it', () => {
    const world = createWorld()
    caution(world, 'a', liar)
    expect(world.say('seed', { have: { complete: true }, wants: false })).not.toHaveProperty('cautions')
  })

  it('is nothing of what a member said that has gone, or takes it back', () => {
    const world = createWorld()
    caution(world, 'a', liar)
    caution(world, 'b', one(1))
    world.directory.memberGone('a')
    expect(world.say('c').cautions).toEqual([one(1)])
    caution(world, 'b')
    expect(world.say('c')).not.toHaveProperty('cautions')
  })

  it('is nothing of what those say whom it has banned', () => {
    const world = createWorld()
    caution(world, 'a', liar)
    expect(world.say('b', { bans: ['a'] })).not.toHaveProperty('cautions')
  })
})

function create(): { cautions: Cautions; pass: (ms: number) => void } {
  const clock = virtualClock()
  return { cautions: createCautions(clock), pass: (ms) => clock.advance(ms) }
}

describe('of one address', () => {
  it('few count, whatever IDs it makes, and others besides', () => {
    const { cautions } = create()
    for (const number of span(0, 20)) cautions.note(`liar ${number}`, 'rooted', [one(number)])
    cautions.note('a', 'a', [liar])
    const first = span(0, limits.cautionsPerAddress).map(one)
    expect(cautions.namedTo([])).toEqual([first[0], liar, ...first.slice(1)])
  })

  it('others do not come into the places of those that it takes back, before the time of a ban has passed', () => {
    const { cautions, pass } = create()
    cautions.note('liar', 'rooted', span(0, 4).map(one))
    cautions.note('liar', 'rooted', span(4, 8).map(one))
    expect(cautions.namedTo([])).toEqual([])
    cautions.note('liar', 'rooted', span(2, 6).map(one))
    expect(cautions.namedTo([])).toEqual([one(2), one(3)])
    pass(limits.banMs)
    expect(cautions.namedTo([])).toEqual([])
    cautions.note('liar', 'rooted', span(4, 8).map(one))
    expect(cautions.namedTo([])).toEqual(span(4, 8).map(one))
  })

  it('what it found out of all origins takes the place of what it said of one', () => {
    const { cautions } = create()
    cautions.note('a', 'a', [{ ...liar, origin: 'docker.io' }])
    cautions.note('a', 'a', [liar])
    expect(cautions.namedTo([])).toEqual([liar])
  })

  it('nothing is told to who has banned anybody there', () => {
    const { cautions } = create()
    cautions.note('liar', 'rooted', [one(1)])
    cautions.note('liar again', 'rooted', [one(2)])
    cautions.note('a', 'a', [liar])
    expect(cautions.namedTo(['liar'])).toEqual([liar])
    expect(cautions.namedTo([])).toEqual([one(1), liar, one(2)])
  })
})

it('who is accused by many is named once, and a thousand liars are named by the dozen', () => {
  const { cautions } = create()
  for (const number of span(0, 100)) cautions.note(`${number}`, `${number}`, [liar])
  expect(cautions.namedTo([])).toEqual([liar])
  for (const number of span(0, 100)) cautions.note(`${number}`, `${number}`, [liar, one(number)])
  expect(cautions.namedTo([])).toEqual([liar, ...span(0, limits.cautionsNamedMax - 1).map(one)])
})
