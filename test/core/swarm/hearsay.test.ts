import { describe, expect, it } from 'vitest'
import { limits } from '../../../core/limits.ts'
import type { Caution } from '../../../core/members/messages.ts'
import { createHearsay, type Hearsay } from '../../../core/swarm/hearsay.ts'
import { virtualClock } from '../../support/virtual-clock.ts'
import { span } from './bench.ts'

const liar: Caution = { peer: 'liar', address: '10.0.0.66' }

/** Somebody, at an address of its own. */
const one = (number: number): Caution => ({ peer: `peer ${number}`, address: `10.0.1.${number}` })

const nobody = (): boolean => false

function create(): { hearsay: Hearsay; pass: (ms: number) => void } {
  const clock = virtualClock()
  return { hearsay: createHearsay(clock), pass: (ms) => clock.advance(ms) }
}

describe('of one address', () => {
  it('few cautions count, whatever IDs it makes, and others besides', () => {
    const { hearsay } = create()
    for (const number of span(0, 20)) hearsay.note(`liar ${number}`, 'rooted', [one(number)])
    hearsay.note('a', 'a', [liar])
    expect(hearsay.said(nobody)).toEqual([...span(0, limits.cautionsPerAddress).map(one), liar])
  })

  it('each counts as long as a ban lasts after it was last said, and makes room then', () => {
    const { hearsay, pass } = create()
    hearsay.note('liar', 'rooted', span(0, 4).map(one))
    pass(limits.banMs - 1)
    hearsay.note('liar', 'rooted', span(2, 8).map(one))
    expect(hearsay.said(nobody)).toEqual(span(0, 4).map(one))
    pass(1)
    expect(hearsay.said(nobody)).toEqual(span(2, 4).map(one))
    pass(limits.banMs - 1)
    expect(hearsay.said(nobody)).toEqual([])
    hearsay.note('liar', 'rooted', span(4, 8).map(one))
    expect(hearsay.said(nobody)).toEqual(span(4, 8).map(one))
  })

  it('what it found out of all origins takes the place of what it said of one', () => {
    const { hearsay } = create()
    hearsay.note('a', 'a', [{ ...liar, origin: 'docker.io' }])
    hearsay.note('a', 'a', [liar])
    expect(hearsay.said(nobody)).toEqual([liar])
  })

  it('the IDs at a place count each, and so do the places of an ID', () => {
    const { hearsay } = create()
    const said = [liar, { ...liar, peer: 'liar again' }, { ...liar, address: '10.0.0.67' }]
    hearsay.note('a', 'a', said)
    expect(hearsay.said(nobody)).toEqual(said)
  })

  it('nothing counts where anybody there is out', () => {
    const { hearsay } = create()
    hearsay.note('liar', 'rooted', [one(1)])
    hearsay.note('liar again', 'rooted', [one(2)])
    hearsay.note('a', 'a', [liar])
    expect(hearsay.said((by) => by === 'liar')).toEqual([liar])
    expect(hearsay.said(nobody)).toEqual([one(1), one(2), liar])
  })
})

it('of more addresses than are remembered the latest count', () => {
  const { hearsay } = create()
  for (const number of span(0, limits.cautionersMax + 1)) hearsay.note(`${number}`, `${number}`, [one(number)])
  expect(hearsay.said(nobody)).toEqual(span(1, limits.cautionersMax + 1).map(one))
})
