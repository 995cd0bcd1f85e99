import { describe, expect, it } from 'vitest'
import { limits } from '../../../core/limits.ts'
import type { MembersOutput } from '../../../core/members/members.ts'
import {
  accusationsIn,
  answerFrom,
  benchOf,
  callsTo,
  callTo,
  createBench,
  eventsIn,
  exchangesOf,
  pass,
  requestFrom,
  talk,
  tell,
} from './bench.ts'
import type { Bench } from './bench.ts'
import { recordOf } from './world.ts'

function refuse(bench: Bench, peer: string): MembersOutput[] {
  bench.members.failed(callTo(bench, peer).id, true)
  return bench.taken()
}

function accuse(bench: Bench, by: string, incarnation = 1, peer = 'x'): MembersOutput[] {
  bench.members.handle({ ...requestFrom(by), accusations: [{ peer, incarnation }] })
  return bench.taken()
}

/** `by` says that it hears from a member. */
function vouch(bench: Bench, peer: string, by = 'b'): MembersOutput[] {
  bench.members.handle({ ...requestFrom(by), vouched: [peer] })
  return bench.taken()
}

/** Passes time in which these members speak, but answer no exchange. */
function hear(bench: Bench, ms: number, peers: readonly string[]): MembersOutput[] {
  for (let passed = 0; passed < ms; passed += 100) {
    for (const peer of peers) bench.members.heard(peer)
    pass(bench, 100)
  }
  return bench.taken()
}

/** Six ticks in turn come late by `lagMs`, and then all is well for a moment. */
function laggingBench(lagMs: number): Bench {
  const bench = benchOf('a', 'b', 'x')
  for (let count = 0; count < 6; count++) {
    bench.members.tick()
    for (const peer of ['a', 'b', 'x']) bench.members.heard(peer)
    bench.clock.set(bench.members.nextMs() + lagMs)
    bench.members.tick()
  }
  hear(bench, 600, ['a', 'b', 'x'])
  return bench
}

describe('an accusation', () => {
  const others = ['a', 'b', 'c', 'd', 'e', 'f', 'g']

  it('of one that was heard within a second is answered with that, and later with a look', () => {
    const bench = benchOf('a', 'x')
    bench.clock.advance(limits.memberSilentMs - 1)
    expect(accuse(bench, 'a')).toMatchObject([{ peer: 'a', request: { accusations: [], vouched: ['x'] } }])
    bench.clock.advance(1)
    expect(accuse(bench, 'a')).toMatchObject([{ peer: 'x', request: { accusations: [], vouched: [] } }])
    tell(bench, 'x')
    expect(bench.taken()).toMatchObject([{ peer: 'a', request: { accusations: [], vouched: ['x'] } }])
    tell(bench, 'x')
    expect(bench.taken()).toEqual([])
  })

  it('of one that is as silent to this member is answered with that, and one more is asked', () => {
    const bench = benchOf('a', 'b', 'c', 'd', 'x')
    const speaking = ['a', 'b', 'c', 'd'].map((peer) => recordOf(peer))
    talk(bench, limits.memberSilentMs, speaking)
    accuse(bench, 'a')
    const said = talk(bench, limits.memberSilentMs + 200, speaking)
    expect(accusationsIn(said)).toEqual([
      ['a', 'x'],
      [expect.stringMatching(/[bcd]/), 'x'],
    ])
    expect(eventsIn(said)).toEqual([])
    const later = talk(bench, limits.memberAgainMs, speaking)
    expect(accusationsIn(later)).toEqual([[expect.stringMatching(/[bcd]/), 'x']])
    expect(eventsIn(later)).toEqual([{ type: 'silent', peer: 'x' }])
  })

  it('by who was told the same makes it silent, and is not answered again', () => {
    const bench = benchOf('a', 'b', 'x')
    const speaking = [recordOf('a'), recordOf('b')]
    bench.members.suspect('x')
    expect(accusationsIn(talk(bench, limits.memberSilentMs + 100, speaking))).toHaveLength(2)
    expect(accuse(bench, 'a')).toEqual([{ type: 'silent', peer: 'x' }])
    expect(accusationsIn(talk(bench, limits.memberAgainMs + 100, speaking))).toEqual([])
  })

  it('of one whose machine has refused is its death, though it had just spoken', () => {
    const bench = benchOf('a', 'b', 'x')
    refuse(bench, 'x')
    expect(eventsIn(accuse(bench, 'a')).map(({ type }) => type)).toEqual(['gone'])
  })

  it.each([
    ['of another incarnation', 'x', 0],
    ['of who is not known', 'y', 1],
    ['of who has left', 'z', 1],
    ['of this agent before it refuted another', 'self', 0],
  ])('%s counts for nothing', (_, peer, incarnation) => {
    const bench = benchOf('a', 'x', 'z')
    tell(bench, 'z', recordOf('z', { state: 'left' }))
    bench.clock.advance(limits.memberSilentMs)
    bench.taken()
    expect(accuse(bench, 'a', incarnation, peer)).toEqual([])
    expect(bench.members.get('self')).toEqual(recordOf('self'))
    expect(eventsIn(refuse(bench, 'x'))).toEqual([{ type: 'silent', peer: 'x' }])
  })

  it('goes to two others, and half a second later to two more', () => {
    const bench = benchOf(...others, 'x')
    const told = accusationsIn(refuse(bench, 'x'))
    const records = others.map((peer) => recordOf(peer))
    const later = accusationsIn(talk(bench, limits.memberAgainMs, records))
    expect(later).toEqual([])
    const again = accusationsIn(talk(bench, 100, records))
    const all = [...told, ...again]
    expect([told.length, again.length, new Set(all.map(([peer]) => peer)).size]).toEqual([2, 2, 4])
    expect(all.every(([peer, accused]) => peer !== 'x' && accused === 'x')).toBe(true)
  })

  it('goes again to who was told before, when it may not have arrived', () => {
    const bench = benchOf('a', 'x')
    expect(accusationsIn(refuse(bench, 'x'))).toEqual([['a', 'x']])
    expect(accusationsIn(talk(bench, limits.memberDeadMs, [recordOf('a')]))).toEqual([])
    expect(accusationsIn(talk(bench, 100, [recordOf('a')]))).toEqual([['a', 'x']])
  })

  it('is made a second after the call, whoever was called since', () => {
    const bench = benchOf('a', 'x', 'y')
    bench.members.suspect('x')
    pass(bench, 100)
    bench.members.suspect('y')
    const counts = [limits.memberSilentMs - 101, 1].map((ms) => {
      pass(bench, ms)
      return accusationsIn(bench.taken()).length
    })
    expect(counts).toEqual([0, 2])
  })

  it('does not go to who is silent too', () => {
    const bench = benchOf('a', 'b', 'x', 'y')
    refuse(bench, 'y')
    expect(new Set(accusationsIn(refuse(bench, 'x')).map(([peer]) => peer))).toEqual(new Set(['a', 'b']))
  })

  it('by this agent itself makes no witness', () => {
    const bench = benchOf('a', 'x')
    bench.clock.advance(limits.memberSilentMs)
    bench.members.suspect('x', 'self')
    const [call] = exchangesOf(bench)
    bench.members.failed(call!.id, true)
    expect(eventsIn(bench.taken())).toEqual([{ type: 'silent', peer: 'x' }])
  })

  it.each([
    [limits.accusationMs, 'dead'],
    [limits.accusationMs + 1, 'alive'],
  ])('that was made %i ms before a refusal leaves the member %s', (ms, state) => {
    const bench = benchOf('a', 'b', 'x')
    bench.clock.advance(limits.memberSilentMs)
    accuse(bench, 'a')
    bench.clock.advance(ms)
    refuse(bench, 'x')
    expect(bench.members.get('x')?.state).toBe(state)
  })
})

describe('a word for one that is silent here', () => {
  const others = [recordOf('a'), recordOf('b')]

  it('excuses it until it has been silent again', () => {
    const bench = benchOf('a', 'b', 'x')
    bench.members.suspect('x')
    talk(bench, limits.memberSilentMs + 100, others)
    bench.members.suspect('x', 'a')
    expect(eventsIn(bench.taken())).toEqual([{ type: 'silent', peer: 'x' }])
    expect(vouch(bench, 'x')).toEqual([{ type: 'heard', peer: 'x' }])
    expect(vouch(bench, 'x')).toEqual([])
    expect(accusationsIn(talk(bench, limits.memberSilentMs, others))).toEqual([])
    expect(accusationsIn(talk(bench, 100, others))).toHaveLength(2)
  })

  it('does not excuse a machine that refuses', () => {
    const bench = benchOf('a', 'b', 'x')
    refuse(bench, 'x')
    expect(vouch(bench, 'x')).toEqual([])
    expect(eventsIn(refuse(bench, 'x')).map(({ type }) => type)).toEqual(['gone'])
  })

  it('means nothing from who was not asked to look', () => {
    const peers = ['a', 'b', 'c', 'd', 'e']
    const bench = benchOf(...peers, 'x')
    const records = peers.map((peer) => recordOf(peer))
    bench.members.suspect('x')
    const accusations = accusationsIn(talk(bench, limits.memberSilentMs + 100, records))
    const asked = new Set(accusations.map(([whom]) => whom))
    bench.members.suspect('x', accusations[0]![0])
    expect(eventsIn(bench.taken())).toEqual([{ type: 'silent', peer: 'x' }])
    expect(asked.size).toBe(2)
    const said = peers.map((peer) => (asked.has(peer) ? [] : vouch(bench, 'x', peer)))
    expect(said).toEqual(peers.map(() => []))
    expect(vouch(bench, 'x', accusations[1]![0])).toEqual([{ type: 'heard', peer: 'x' }])
  })

  it('means nothing for one that is not called, or not known', () => {
    const bench = benchOf('a', 'b', 'x')
    expect([vouch(bench, 'x'), vouch(bench, 'y')]).toEqual([[], []])
  })
})

describe('a refusal', () => {
  const others = ['a', 'b', 'c', 'd', 'e', 'f', 'g']

  it('is silence, and a second one death, of which all else is news', () => {
    const bench = benchOf(...others, 'x')
    expect(eventsIn(refuse(bench, 'x'))).toEqual([{ type: 'silent', peer: 'x' }])
    const again = callsTo(
      talk(
        bench,
        limits.memberAgainMs + 100,
        others.map((peer) => recordOf(peer)),
      ),
      'x',
    ).at(-1)
    bench.members.failed(again!.id, true)
    const outputs = bench.taken()
    const record = recordOf('x', { state: 'dead' })
    expect(eventsIn(outputs)).toEqual([{ type: 'gone', record }])
    expect(outputs.slice(1).map((output) => output.type === 'exchange' && output.request.news)).toEqual(
      Array.from({ length: limits.newsTargets }, () => [record]),
    )
    expect(accusationsIn(outputs)).toEqual([])
  })

  it('is silence too though it spoke meanwhile', () => {
    const bench = benchOf('a', 'x')
    const { id } = callTo(bench, 'x')
    bench.members.heard('x')
    bench.members.failed(id, true)
    const outputs = bench.taken()
    expect([eventsIn(outputs), accusationsIn(outputs)]).toEqual([[{ type: 'silent', peer: 'x' }], [['a', 'x']]])
  })

  it('is no failure of another kind', () => {
    const bench = benchOf('a', 'x')
    bench.members.failed(callTo(bench, 'x').id, false)
    expect(bench.taken()).toEqual([])
  })

  it('means nothing of who has left', () => {
    const bench = benchOf('a', 'x')
    const { id } = callTo(bench, 'x')
    tell(bench, 'x', recordOf('x', { state: 'left' }))
    bench.taken()
    bench.members.failed(id, true)
    expect(bench.taken()).toEqual([])
  })

  it('is void when it speaks', () => {
    const bench = benchOf('a', 'x')
    refuse(bench, 'x')
    bench.members.heard('x')
    expect(bench.taken()).toEqual([{ type: 'heard', peer: 'x' }])
    bench.members.heard('x')
    expect(bench.taken()).toEqual([])
    expect(eventsIn(refuse(bench, 'x'))).toEqual([{ type: 'silent', peer: 'x' }])
  })

  it.each([
    ['it has raised its incarnation', { incarnation: 2 }, ['heard']],
    ['it has started again', { incarnation: 2, life: 2 }, ['came', 'heard']],
    ['it has left', { state: 'left' }, ['gone']],
  ] as const)('is void when others say that %s', (_, change, types) => {
    const bench = benchOf('a', 'x')
    refuse(bench, 'x')
    tell(bench, 'a', recordOf('x', change))
    expect(bench.taken().map(({ type }) => type)).toEqual(types)
    expect(bench.members.heardMs('x')).toBe(Number.NEGATIVE_INFINITY)
  })
})

describe('the word that one is dead', () => {
  const dead = recordOf('x', { state: 'dead' })

  it.each([
    [limits.contactFreshMs - 1, 'alive'],
    [limits.contactFreshMs, 'dead'],
  ])('leaves it %s ms after it spoke %s', (ms, state) => {
    const bench = benchOf('a', 'b', 'x')
    bench.clock.advance(ms)
    tell(bench, 'a', dead)
    expect(bench.members.get('x')?.state).toBe(state)
  })

  it('is believed when a second passes without a sign of life, and half a one since others were asked', () => {
    const peers = ['a', 'b', 'c', 'd', 'e', 'f']
    const bench = benchOf(...peers, 'x')
    tell(bench, 'a', dead)
    const wait = limits.memberSilentMs + limits.memberAgainMs
    const speaking = peers.map((peer) => recordOf(peer))
    expect(accusationsIn(talk(bench, wait - 100, speaking))).toHaveLength(2)
    pass(bench, 99)
    expect(bench.members.get('x')?.state).toBe('alive')
    bench.taken()
    pass(bench, 1)
    expect(bench.members.get('x')?.state).toBe('dead')
    expect(accusationsIn(bench.taken())).toEqual([])
  })

  it('is told to it though it is being called', () => {
    const bench = benchOf('a', 'x')
    bench.members.suspect('x')
    bench.taken()
    tell(bench, 'a', dead)
    expect(accusationsIn(bench.taken())).toEqual([['x', 'x']])
  })

  it('is remembered when its machine refuses, however long ago it came', () => {
    const bench = benchOf('a', 'b', 'x')
    tell(bench, 'a', dead)
    bench.clock.advance(limits.accusationMs + 1)
    refuse(bench, 'x')
    expect(bench.members.get('x')?.state).toBe('dead')
  })
})

describe('a call', () => {
  it('is one at a time, until it has taken half a second', () => {
    const bench = benchOf('a', 'x')
    const counts = [0, limits.memberAgainMs - 1, 1].map((ms) => {
      bench.clock.advance(ms)
      bench.members.suspect('x')
      return callsTo(bench.taken(), 'x').length
    })
    expect(counts).toEqual([1, 0, 1])
  })

  it.each([
    ['another speaks', limits.contactFreshMs, 0],
    ['another speaks', limits.contactFreshMs + 1, 1],
    ['another refuses', limits.contactFreshMs, 0],
    ['another refuses', limits.contactFreshMs + 1, 1],
  ])('of which nothing has come is made again when %s, the first sign in %i ms: %i', (sign, ms, count) => {
    const bench = benchOf('a', 'x', 'y')
    bench.members.suspect('y')
    const { id } = callTo(bench, 'x')
    bench.clock.advance(ms)
    if (sign === 'another speaks') bench.members.heard('a')
    else bench.members.failed(id, true)
    const calls = callsTo(bench.taken(), 'y').map(({ request }) => request)
    expect(calls.filter(({ accusations, compare }) => accusations.length === 0 && !compare)).toHaveLength(count)
  })

  it('that was answered is not made again', () => {
    const bench = benchOf('a', 'x')
    bench.members.suspect('x')
    bench.members.heard('x')
    bench.taken()
    bench.clock.advance(limits.contactFreshMs + 1)
    bench.members.heard('a')
    expect(bench.taken()).toEqual([])
  })
})

describe('silence', () => {
  it.each([
    [1000, 'dead'],
    [999, 'alive'],
  ])('of one, and of all others from %i ms on, leaves it %s when two speak against it', (ms, state) => {
    const bench = benchOf('a', 'b', 'x')
    bench.members.suspect('x')
    pass(bench, ms)
    bench.members.heard('b')
    pass(bench, 4000 - ms)
    accuse(bench, 'a')
    accuse(bench, 'b')
    expect(bench.members.get('x')?.state).toBe(state)
  })
})

describe('an agent that finds trouble everywhere', () => {
  const silent = ['a', 'b', 'c', 'd', 'e', 'f']

  it('gives the fourth that is silent at once more time', () => {
    const bench = benchOf(...silent, 'g', 'h')
    const speaking = [recordOf('g'), recordOf('h')]
    for (const peer of silent) bench.members.suspect(peer)
    bench.taken()
    talk(bench, limits.memberSilentMs - 100, speaking)
    bench.taken()
    pass(bench, 100)
    const first = bench.taken()
    pass(bench, 320)
    const then = bench.taken()
    pass(bench, 1)
    const last = bench.taken()
    const accused = [first, then, last].map((outputs) => new Set(accusationsIn(outputs).map(([, peer]) => peer)).size)
    expect(accused).toEqual([3, 0, 1])
  })

  it.each([
    [limits.lagMs - 1, 2],
    [limits.lagMs, 0],
  ])('being late itself by %i ms time after time, accuses one that is silent to %i others', (lagMs, accusations) => {
    const bench = laggingBench(lagMs)
    bench.members.suspect('x')
    expect(accusationsIn(hear(bench, 2400, ['a', 'b']))).toHaveLength(accusations)
  })

  it.each([
    [limits.memberSilentMs - 1, 2],
    [limits.memberSilentMs, 0],
  ])('and then two answers after %i ms, accuses it to %i others', (ms, accusations) => {
    const bench = laggingBench(limits.lagMs)
    const calls = ['a', 'b'].map((peer) => [peer, callTo(bench, peer).id] as const)
    hear(bench, 900, ['a', 'b', 'x'])
    pass(bench, ms - 900)
    for (const [peer, id] of calls) bench.members.exchanged(id, answerFrom(bench, peer))
    hear(bench, 600, ['a', 'b', 'x'])
    bench.members.suspect('x')
    expect(accusationsIn(hear(bench, 2400, ['a', 'b']))).toHaveLength(accusations)
  })

  it('accuses one whose machine refuses all the same', () => {
    expect(accusationsIn(refuse(laggingBench(limits.lagMs), 'x'))).toHaveLength(2)
  })
})

it('excuses others when its own process was held up', () => {
  const bench = createBench()
  tell(bench, 'x')
  bench.members.tick()
  bench.members.suspect('x')
  const look = bench.taken().findLast((output) => output.type === 'exchange')
  bench.clock.advance(3000)
  bench.members.tick()
  bench.members.exchanged(look!.id, { from: recordOf('x'), hash: 'other', news: [] })
  expect(bench.taken()).not.toContainEqual({ type: 'silent', peer: 'x' })
})

it.each([
  ['in a new life takes one witness to be dead again', 2, 'dead'],
  ['in the same life, and so was wronged, takes more', 1, 'alive'],
] as const)('one that is back from the dead %s', (_, life, state) => {
  const others = ['a', 'b'].map((peer) => recordOf(peer))
  const bench = benchOf('a', 'b', 'x')
  refuse(bench, 'x')
  refuse(bench, 'x')
  expect(bench.members.get('x')?.state).toBe('dead')
  const back = recordOf('x', { incarnation: 2, life })
  tell(bench, 'x', back)
  talk(bench, 500, [...others, back])
  talk(bench, 2 * limits.memberSilentMs, others)
  bench.members.suspect('x', 'a')
  talk(bench, limits.memberDeadMs, others)
  expect(bench.members.get('x')?.state).toBe(state)
})
