import { describe, expect, it } from 'vitest'
import type { AgedFact, Fact, PossessionRequest } from '../../../core/directory/messages.ts'
import { createFacts, createPossessions } from '../../../core/directory/possession.ts'
import { limits } from '../../../core/limits.ts'
import { virtualClock } from '../../support/virtual-clock.ts'
import { createWorld, digestOf, span } from './world.ts'

const digest = digestOf(1)
const has: Fact = { kind: 'has', origin: 'reg.io', repository: 'team/app' }
const holds: Fact = { kind: 'holds', origin: 'reg.io' }
const open: Fact = { kind: 'open' }

function host() {
  const clock = virtualClock()
  const possessions = createPossessions(clock)
  const say = (from: string, request: Partial<PossessionRequest>) =>
    possessions.answer({ from, digest, tells: [], ...request })
  return {
    clock,
    tell: (from: string, ...facts: Fact[]) => say(from, { tells: facts.map((fact) => ({ fact, ageMs: 0 })) }),
    ask: (from: string, fact: Fact = has) => say(from, { asks: { fact, claims: true } }),
    look: (from: string, fact: Fact) => say(from, { asks: { fact, claims: false } }),
    giveUp: (from: string, fact: Fact = has) => say(from, { vain: { fact, isRefuted: false } }),
    refute: (from: string, fact: Fact) => say(from, { vain: { fact, isRefuted: true } }),
  }
}

const wait = { known: [], againMs: limits.possessionAgainMs }
const yourTurn = { known: [] }

function young(...facts: Fact[]): { known: AgedFact[] } {
  return { known: facts.map((fact) => ({ fact, ageMs: 0 })) }
}

describe('what a host is told', () => {
  it('is told to all who ask, with what else is known of the content there, and how old it is', () => {
    const { clock, tell, ask } = host()
    tell('a', has)
    clock.advance(1000)
    tell('b', holds, open)
    for (const peer of ['c', 'd'])
      expect(ask(peer)).toEqual({
        known: [
          { fact: has, ageMs: 1000 },
          { fact: holds, ageMs: 0 },
          { fact: open, ageMs: 0 },
        ],
      })
    expect(ask('e', open)).toEqual(young(open))
  })

  it('is of one content, one repository and one origin', () => {
    const { tell, look } = host()
    tell('a', has, holds)
    expect(look('b', { ...has, repository: 'team/other' })).toEqual(young(holds))
    expect(look('b', { ...has, origin: 'other.io' })).toEqual(yourTurn)
    expect(look('b', { kind: 'holds', origin: 'other.io' })).toEqual(yourTurn)
  })

  it('ends when somebody finds that it is not so any more', () => {
    const { tell, look, refute, giveUp } = host()
    tell('a', has, holds)
    giveUp('b')
    expect(look('c', has)).toEqual(young(has, holds))
    refute('b', has)
    expect(look('c', has)).toEqual(young(holds))
  })

  it('counts for a while: a repository may lose content, an origin has had what it has sent', () => {
    const { clock, tell, ask } = host()
    tell('a', has, holds)
    clock.advance(limits.possessionFreshMs - 1)
    expect(ask('b').againMs).toBeUndefined()
    clock.advance(1)
    const stale = { known: [has, holds].map((fact) => ({ fact, ageMs: limits.possessionFreshMs })) }
    expect(ask('b')).toEqual(stale)
    expect(ask('c')).toEqual({ ...stale, againMs: limits.possessionAgainMs })
    for (const peer of ['c', 'd']) expect(ask(peer, holds)).toEqual({ known: stale.known.slice(1) })
    clock.advance(limits.possessionKeptMs - limits.possessionFreshMs)
    expect(ask('d')).toEqual(yourTurn)
  })
})

describe('what nobody knows', () => {
  it('is found out by the first who asks, while all others wait', () => {
    const { ask, tell } = host()
    expect(ask('first')).toEqual(yourTurn)
    for (const number of span(0, 1000)) expect(ask(`agent ${number}`)).toEqual(wait)
    expect(ask('first')).toEqual(yourTurn)
    tell('first', has)
    expect(ask('agent 7')).toEqual(young(has))
  })

  it('is found out by the next when the first takes too long, however often that one asks', () => {
    const { clock, ask } = host()
    ask('first')
    clock.advance(limits.possessionClaimMs - 1)
    ask('first')
    clock.advance(1)
    expect(ask('second')).toEqual(yourTurn)
  })

  it('is found out anew by whoever asks next, where what was found is so no more', () => {
    const { ask, refute, tell } = host()
    ask('first')
    tell('first', has)
    refute('another', has)
    expect(ask('second')).toEqual(yourTurn)
  })

  it('is found out by the next when the first takes too long', () => {
    const { clock, ask } = host()
    ask('first')
    clock.advance(limits.possessionClaimMs)
    expect(ask('second')).toEqual(yourTurn)
    expect(ask('third')).toEqual(wait)
  })

  it('once it was tried in vain, all find out for themselves for a moment: a no is not passed on', () => {
    const { clock, ask, giveUp } = host()
    clock.advance(limits.possessionClaimMs)
    ask('first')
    giveUp('somebody else')
    expect(ask('second')).toEqual(wait)
    giveUp('first')
    expect([ask('second'), ask('third'), ask('first')]).toEqual([yourTurn, yourTurn, yourTurn])
    clock.advance(limits.possessionClaimMs)
    expect([ask('second'), ask('third')]).toEqual([yourTurn, wait])
  })

  it('is nobody’s task when it is asked by who could not find out', () => {
    const { ask, look } = host()
    expect(look('looker', holds)).toEqual(yourTurn)
    expect(ask('first', holds)).toEqual(yourTurn)
    expect(look('looker', holds)).toEqual(yourTurn)
  })
})

describe('facts', () => {
  it('never grow younger by hearsay', () => {
    const clock = virtualClock()
    const facts = createFacts(clock, 10)
    facts.note(digest, has, 1000)
    facts.note(digest, has, 2000)
    expect(facts.ageMs(digest, has)).toBe(1000)
    facts.note(digest, has, 500)
    expect(facts.ageMs(digest, has)).toBe(500)
  })

  it('are as many as may be, the latest ones', () => {
    const facts = createFacts(virtualClock(), 2)
    for (const number of [1, 2, 3]) facts.note(digestOf(number), holds, 0)
    expect([1, 2, 3].map((number) => facts.isFresh(digestOf(number), holds))).toEqual([false, true, true])
  })
})

it('a host answers for the digests that it is first or second for, and names the first of any other', () => {
  const { directory, owners } = createWorld()
  for (const peer of ['b', 'c', 'd']) owners.add(peer)
  const foreign = span(1, 100)
    .map(digestOf)
    .find((one) => !owners.of(one).slice(0, 2).includes('host'))!
  const own = span(1, 100)
    .map(digestOf)
    .find((one) => owners.of(one)[1] === 'host')!
  const ask = (of: typeof digest) =>
    directory.possession({ from: 'b', digest: of, asks: { fact: has, claims: true }, tells: [{ fact: has, ageMs: 0 }] })
  expect(ask(foreign)).toEqual({ ask: owners.of(foreign)[0], known: [] })
  expect(ask(own)).toEqual(young(has))
})

describe('a host that takes over from another', () => {
  it('knows what that one knew, and how old it is; what is known to be younger stays', () => {
    const clock = virtualClock()
    const before = createPossessions(clock)
    before.answer({ from: 'a', digest, tells: [has, holds, open].map((fact) => ({ fact, ageMs: 7000 })) })
    clock.advance(1000)
    const after = createPossessions(clock)
    after.answer({ from: 'b', digest, tells: [{ fact: has, ageMs: 10 }] })
    after.inherit(before.facts())
    expect(after.answer({ from: 'c', digest, tells: [], asks: { fact: has, claims: false } })).toEqual({
      known: [
        { fact: has, ageMs: 10 },
        { fact: holds, ageMs: 8000 },
        { fact: open, ageMs: 8000 },
      ],
    })
  })

  it('knows of each fact what kind it is', () => {
    const clock = virtualClock()
    const [before, after] = [createPossessions(clock), createPossessions(clock)]
    before.answer({ from: 'a', digest, tells: [has, holds, open].map((fact) => ({ fact, ageMs: 0 })) })
    after.inherit(before.facts())
    expect(after.answer({ from: 'c', digest, tells: [], asks: { fact: has, claims: false } })).toEqual(
      young(has, holds, open),
    )
  })

  it('is not told what is too old to count', () => {
    const clock = virtualClock()
    const before = createPossessions(clock)
    before.answer({ from: 'a', digest, tells: [{ fact: has, ageMs: limits.possessionKeptMs - 1 }] })
    expect([...before.facts()]).toHaveLength(1)
    clock.advance(1)
    expect([...before.facts()]).toEqual([])
  })
})
