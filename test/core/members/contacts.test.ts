import { describe, expect, it } from 'vitest'
import { limits } from '../../../core/limits.ts'
import {
  acquit,
  type Contact,
  createContact,
  forgetWitnesses,
  isTold,
  verdictOn,
  witnessesNeeded,
} from '../../../core/members/contacts.ts'

/** It was called at 0 and has been silent since. */
function silent(change: Partial<Contact> = {}): Contact {
  return Object.assign(createContact(), { calledMs: 0, suspected: true }, change)
}

const well = { nowMs: 1000, deafUntilMs: 0, patience: 1, others: 10 }
const witness = (...names: string[]): Pick<Contact, 'witnesses'> => ({
  witnesses: new Map(names.map((name) => [name, 0])),
})

describe('silence', () => {
  it('of a second takes a witness to count', () => {
    expect(verdictOn(silent(), well)).toBe('well')
    expect(verdictOn(silent(witness('a')), well)).toBe('silent')
  })

  it('of two and a half is a death with a witness, without one a host is passed over', () => {
    expect(verdictOn(silent(), { ...well, nowMs: 2500 })).toBe('silent')
    expect(verdictOn(silent(witness('a')), { ...well, nowMs: 2499 })).toBe('silent')
    expect(verdictOn(silent(witness('a')), { ...well, nowMs: 2500 })).toBe('dead')
  })

  it('of the only other needs no witness', () => {
    expect(verdictOn(silent(), { ...well, nowMs: 2500, others: 0 })).toBe('dead')
  })

  it('of a second is a death where somebody has found one already', () => {
    expect(verdictOn(silent({ toldDead: true, ...witness('a') }), well)).toBe('dead')
  })

  it('counts only since this member itself was not held up', () => {
    expect(verdictOn(silent(witness('a')), { ...well, nowMs: 3000, deafUntilMs: 1000 })).toBe('silent')
  })

  it('must last longer, and takes one witness more, where this member finds most others late', () => {
    const late = { ...well, nowMs: 3000, patience: 1.5 }
    expect(verdictOn(silent(witness('a', 'b')), late)).toBe('silent')
    expect(verdictOn(silent(witness('a')), { ...late, nowMs: 4000 })).toBe('silent')
    expect(verdictOn(silent(witness('a', 'b')), { ...late, nowMs: 4000 })).toBe('dead')
  })
})

describe('who was not called', () => {
  it('is not silent, whatever others find', () => {
    expect(verdictOn(createContact(), { ...well, nowMs: 1e6 })).toBe('well')
    expect(verdictOn(Object.assign(createContact(), witness('a')), { ...well, nowMs: 1e6 })).toBe('well')
  })

  it('is counted from its first call where this member was deaf before', () => {
    expect(verdictOn(silent({ calledMs: 1000, ...witness('a') }), { ...well, nowMs: 3499 })).toBe('silent')
    expect(verdictOn(silent({ calledMs: 1000, ...witness('a') }), { ...well, nowMs: 3500 })).toBe('dead')
  })

  it('and was found dead by somebody is well as long as this member does not suspect it', () => {
    expect(verdictOn(silent({ suspected: false, toldDead: true, ...witness('a') }), well)).toBe('well')
  })

  it('and was reported silent stays so until it says a word', () => {
    expect(verdictOn(silent({ silent: true }), well)).toBe('silent')
  })
})

describe('what others say', () => {
  it('counts for a while', () => {
    const contact = silent(witness('a'))
    contact.witnesses.set('b', 1)
    forgetWitnesses(contact, limits.accusationMs)
    expect([...contact.witnesses.keys()]).toEqual(['a', 'b'])
    forgetWitnesses(contact, limits.accusationMs + 1)
    expect([...contact.witnesses.keys()]).toEqual(['b'])
  })

  it('is asked for again once who was told may have missed it', () => {
    const contact = silent({ told: new Map([['a', 1000]]) })
    expect(isTold(contact, 'a', 1000 + limits.memberDeadMs - 1)).toBe(true)
    expect(isTold(contact, 'a', 1000 + limits.memberDeadMs)).toBe(false)
    expect(isTold(contact, 'b', 1000)).toBe(false)
  })
})

describe('a sign of life', () => {
  it('voids all that was held against it', () => {
    const contact = silent({
      lookMs: 5,
      silent: true,
      refusals: 1,
      toldDead: true,
      ...witness('a'),
      told: new Map([['b', 0]]),
    })
    acquit(contact, 1000)
    expect(contact).toEqual({ ...createContact(), wrongedMs: 1000 })
  })

  it.each<[string, Partial<Contact>, number]>([
    ['suspected', { suspected: true }, 1000],
    ['reported by another', { suspected: false, ...witness('a') }, 1000],
    ['neither', { suspected: false }, Number.NEGATIVE_INFINITY],
  ])('proves somebody wrong where it was %s', (_what, change, wrongedMs) => {
    const contact = silent(change)
    acquit(contact, 1000)
    expect(contact.wrongedMs).toBe(wrongedMs)
  })
})

describe('a machine that refuses', () => {
  it('is passed over at once, and dead at the second time, or with a witness', () => {
    expect(verdictOn(silent({ refusals: 1 }), { ...well, nowMs: 1 })).toBe('silent')
    expect(verdictOn(silent({ refusals: 2 }), { ...well, nowMs: 1 })).toBe('dead')
    expect(verdictOn(silent({ refusals: 1, ...witness('a') }), { ...well, nowMs: 1 })).toBe('dead')
    expect(verdictOn(silent({ refusals: 1, toldDead: true }), { ...well, nowMs: 1 })).toBe('dead')
  })
})

describe('a false alarm', () => {
  it('makes one more witness needed for a minute', () => {
    const contact = silent(witness('a'))
    acquit(contact, 1000)
    expect(witnessesNeeded(contact, { ...well, nowMs: 60_999 })).toBe(2)
    expect(witnessesNeeded(contact, { ...well, nowMs: 61_000 })).toBe(1)
    expect(verdictOn(contact, well)).toBe('well')
  })

  it('is none where nobody was alarmed, and more witnesses than others there are not', () => {
    const contact = silent({ suspected: false })
    acquit(contact, 1000)
    expect(witnessesNeeded(contact, well)).toBe(1)
    expect(witnessesNeeded(silent({ wrongedMs: 900 }), { ...well, others: 1 })).toBe(1)
  })
})
