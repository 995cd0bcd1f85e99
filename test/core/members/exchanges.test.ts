import { describe, expect, it } from 'vitest'
import { markOf } from '../../../core/directory/rendezvous.ts'
import { limits } from '../../../core/limits.ts'
import { createMemberList } from '../../../core/members/list.ts'
import type { ExchangeRequest, MemberRecord } from '../../../core/members/messages.ts'
import {
  accusationsIn,
  agreedBench,
  answerFrom,
  benchOf,
  callsTo,
  callTo,
  createBench,
  exchangesOf,
  longest,
  pass,
  pushesOf,
  requestFrom,
  seedsAsked,
  talk,
  tell,
} from './bench.ts'
import type { Bench, Exchange } from './bench.ts'
import { recordOf } from './world.ts'

/** A member refutes its death, of which this one was told, and so long after falls silent, as one other finds too. */
function isDeadByOneWitness(afterMs: number): boolean {
  const bench = createBench()
  const others = [recordOf('a'), recordOf('b')]
  tell(bench, 'x')
  tell(bench, 'a', recordOf('x', { state: 'dead' }))
  talk(bench, afterMs, [...others, recordOf('x', { incarnation: 2 })])
  talk(bench, 2 * limits.memberSilentMs, others)
  bench.members.suspect('x', 'a')
  talk(bench, limits.memberDeadMs, others)
  return bench.members.get('x')?.state === 'dead'
}

/** The call by which `x` is looked for. */
function lookOf(bench: Bench): number {
  return callsTo(bench.taken(), 'x')[0]!.id
}

function answerOf(bench: Bench, from: MemberRecord): void {
  bench.members.exchanged(lookOf(bench), { ...answerFrom(bench, from.peer), from })
}

/** Neither `self` nor `a` is in that bucket. */
function namesInOneBucket(count: number): string[] {
  const names: string[] = []
  for (let number = 0; names.length < count; number++)
    if ((markOf(`n-${number}`).low >>> 0) % limits.memberBuckets === 0) names.push(`n-${number}`)
  return names
}

describe('records', () => {
  it('of a higher incarnation win, and within one the departure does', () => {
    const bench = createBench()
    tell(bench, 'a', recordOf('x', { incarnation: 5 }))
    tell(bench, 'a', recordOf('x', { incarnation: 4, state: 'left' }))
    expect(bench.members.get('x')).toMatchObject({ incarnation: 5, state: 'alive' })
    tell(bench, 'a', recordOf('x', { incarnation: 5, state: 'dead' }))
    tell(bench, 'a', recordOf('x', { incarnation: 5 }))
    expect(bench.members.get('x')?.state).toBe('dead')
    tell(bench, 'a', recordOf('x', { incarnation: 5, state: 'left' }))
    tell(bench, 'a', recordOf('x', { incarnation: 5, state: 'dead' }))
    expect(bench.members.get('x')?.state).toBe('left')
    tell(bench, 'a', recordOf('x', { incarnation: 6 }))
    expect(bench.members.get('x')?.state).toBe('alive')
  })

  it('that claim the same and differ end alike whoever came first', () => {
    const one = recordOf('x', { zone: 'a' })
    const other = recordOf('x', { zone: 'b' })
    const first = createBench()
    tell(first, 'a', one, other)
    const second = createBench()
    tell(second, 'a', other, one)
    expect(first.members.get('x')).toEqual(second.members.get('x'))
    expect(first.members.hash()).toBe(second.members.hash())
  })

  it('of the departed that nobody here knows are not taken in', () => {
    const bench = createBench()
    tell(bench, 'a', recordOf('x', { state: 'dead' }), recordOf('y', { state: 'left' }))
    expect(bench.members.get('x')).toBeUndefined()
    expect(bench.members.get('y')).toBeUndefined()
  })

  it('of a death are doubted while there is fresh contact, until a look confirms them', () => {
    const bench = createBench()
    tell(bench, 'x')
    bench.taken()
    tell(bench, 'a', recordOf('x', { state: 'dead' }))
    expect(bench.members.get('x')?.state).toBe('alive')
    const look = bench.taken().find((output) => output.type === 'exchange')
    expect(look).toMatchObject({ peer: 'x', request: { accusations: [{ peer: 'x', incarnation: 1 }] } })
    bench.members.failed(look!.id, true)
    expect(bench.members.get('x')?.state).toBe('dead')
  })

  it('of one that does not answer pass it over after a second of silence, with a witness', () => {
    const bench = createBench()
    tell(bench, 'x')
    tell(bench, 'a')
    pass(bench, 1000)
    bench.taken()
    bench.members.suspect('x', 'a')
    pass(bench, 1100)
    expect(bench.taken()).toContainEqual({ type: 'silent', peer: 'x' })
    expect(bench.members.get('x')?.state).toBe('alive')
  })

  it('about itself are answered with a higher incarnation', () => {
    const bench = createBench()
    const answer = tell(bench, 'a', recordOf('self', { incarnation: 7, state: 'dead' }))
    expect(answer.from).toMatchObject({ peer: 'self', incarnation: 8, state: 'alive' })
    expect(bench.taken()).toContainEqual({ type: 'refuted' })
  })

  it.each([
    ['each second by others', 1000, 0, 1],
    ['each second to one whose ticks come half a second late', 1000, limits.memberSilentMs / 2, 1],
    ['every half a minute', limits.missedEveryMs, 0, 4],
    ['each time that it was cut off', limits.memberDeadMs, 0, 4],
    ['each time that it was held up', 1000, limits.memberSilentMs, 4],
  ])('about itself that say four times that it is dead, %s', (_when, everyMs, lagMs, missed) => {
    const bench = createBench()
    tell(bench, 'a')
    let told = 0
    for (let count = 1; count <= 4; count++) {
      pass(bench, everyMs)
      bench.clock.set(bench.members.nextMs() + lagMs)
      bench.members.tick()
      const { from } = tell(bench, 'a', recordOf('self', { incarnation: 10 * count, state: 'dead' }))
      expect(from).toEqual(recordOf('self', { incarnation: 10 * count + 1 }))
      told += bench.taken().filter(({ type }) => type === 'refuted').length
    }
    expect(told).toBe(missed)
  })

  it.each([
    ['later, elsewhere', { life: 9, cluster: 'elsewhere:5052' }, [{ type: 'cloned', cluster: 'elsewhere:5052' }]],
    ['later, as its clock was set back since', { life: 9 }, []],
    ['earlier, elsewhere, as its address was another', { life: 0, cluster: 'elsewhere:5052' }, []],
    ['later, elsewhere, and is gone', { life: 9, cluster: 'elsewhere:5052', state: 'left' }, []],
  ] as const)('about itself that say it began %s', (_what, change, told) => {
    const bench = createBench()
    tell(bench, 'a', recordOf('self', { incarnation: 7, ...change }))
    expect(bench.taken().filter(({ type }) => type === 'cloned')).toEqual(told)
  })

  it('about itself that say it lives are told better, but refute nothing', () => {
    const bench = createBench()
    tell(bench, 'a')
    bench.taken()
    expect(tell(bench, 'a', recordOf('self', { incarnation: 7 })).from).toEqual(recordOf('self', { incarnation: 8 }))
    expect(bench.taken()).toEqual([])
  })

  it('of an accused self are raised as well', () => {
    const bench = createBench()
    const accusations = [{ peer: 'self', incarnation: 1 }]
    const answer = bench.members.handle({ ...requestFrom('a'), accusations })
    expect(answer.from).toMatchObject({ incarnation: 2, state: 'alive' })
  })

  it('that are refuted leave the member in its place', () => {
    const bench = createBench()
    tell(bench, 'x')
    bench.taken()
    tell(bench, 'x', recordOf('x', { incarnation: 2 }))
    expect(bench.taken().map(({ type }) => type)).not.toContain('came')
  })

  it('that are refuted make it take a second witness for a minute, though nobody here believed them', () => {
    expect([500, limits.falseAlarmMs + 500].map(isDeadByOneWitness)).toEqual([false, true])
  })

  it('of whoever answers at another member’s address do not count as that member', () => {
    const bench = createBench()
    tell(bench, 'x')
    bench.members.suspect('x')
    const look = bench.taken().find((output) => output.type === 'exchange')
    bench.members.exchanged(look!.id, { from: recordOf('y'), hash: 'other', news: [] })
    expect(bench.taken()).toContainEqual({ type: 'silent', peer: 'x' })
    expect(bench.members.get('y')).toBeUndefined()
  })
})

describe('news', () => {
  it('is gathered, then pushed twice to three others at most, each time with all that makes an exchange', () => {
    const bench = createBench()
    tell(bench, 'a', recordOf('b'))
    pass(bench, 100)
    tell(bench, 'c', recordOf('d'))
    pass(bench, limits.newsMs - 101)
    expect(pushesOf(bench)).toEqual([])
    const request: ExchangeRequest = {
      from: recordOf('self'),
      hash: bench.members.hash(),
      news: ['a', 'b', 'c', 'd'].map((peer) => recordOf(peer)),
      accusations: [],
      vouched: [],
      compare: false,
      want: [],
    }
    for (const waitMs of [1, limits.newsMs]) {
      pass(bench, waitMs)
      const pushes = pushesOf(bench)
      expect(new Set(pushes.map(({ peer }) => peer)).size).toBe(limits.newsTargets)
      expect(pushes.map((push) => push.request)).toStrictEqual(pushes.map(() => request))
    }
    pass(bench, limits.newsMs)
    expect(pushesOf(bench)).toEqual([])
  })

  it.each([
    [limits.newsAtOnceMax, 1],
    [limits.newsAtOnceMax + 1, 0],
  ])('of %i members at once is pushed to %i others', (count, pushes) => {
    const bench = createBench()
    tell(bench, 'a', ...Array.from({ length: count }, (_, number) => recordOf('a', { incarnation: number + 2 })))
    pass(bench, 2 * limits.newsMs + 1)
    bench.taken()
    tell(bench, 'a', ...Array.from({ length: count }, (_, number) => recordOf('a', { incarnation: number + 200 })))
    pass(bench, limits.newsMs)
    expect(pushesOf(bench)).toHaveLength(pushes)
  })

  it('is no more than a message holds', () => {
    const bench = createBench()
    for (let page = 0; page < 40; page++)
      tell(bench, 'a', ...Array.from({ length: 60 }, (_, number) => recordOf(`${page}-${number}`)))
    expect(callTo(bench, 'a').request.news).toHaveLength(limits.membersPerMessage)
  })

  it('is what others said of this agent, as it has told better', () => {
    const bench = createBench()
    tell(bench, 'a')
    pass(bench, 1000)
    bench.taken()
    tell(bench, 'a', recordOf('self', { incarnation: 7, state: 'dead' }))
    expect(bench.members.get('self')).toEqual(recordOf('self', { incarnation: 8 }))
    pass(bench, limits.newsMs)
    expect(pushesOf(bench).map(({ request }) => request.news)).toEqual([[recordOf('self', { incarnation: 8 })]])
  })
})

describe('an answer', () => {
  it('tells who calls though it has departed that it has', () => {
    const bench = createBench()
    tell(bench, 'x', recordOf('a'))
    const left = recordOf('x', { state: 'left' })
    tell(bench, 'a', left)
    pass(bench, 1000)
    expect(tell(bench, 'a').news).toEqual([])
    expect(tell(bench, 'x').news).toEqual([left])
  })

  it('names buckets to who compares, where lists differ, and gives the records that it wants', () => {
    const bench = createBench()
    tell(bench, 'a')
    pass(bench, 1000)
    const answer = answerFrom(bench, 'self')
    expect(tell(bench, 'a')).toStrictEqual(answer)
    const { buckets } = bench.members.handle({ ...requestFrom('a'), compare: true })
    const want = [...buckets!.keys()].filter((bucket) => buckets![bucket] !== 0)
    const { news } = bench.members.handle({ ...requestFrom('a'), want })
    expect(new Set(news)).toEqual(new Set([recordOf('self'), recordOf('a')]))
  })

  it('counts once', () => {
    const bench = createBench()
    tell(bench, 'a')
    const { id } = callTo(bench, 'a')
    bench.members.exchanged(id, answerFrom(bench, 'a', { news: [recordOf('x')] }))
    bench.members.exchanged(id, answerFrom(bench, 'a', { news: [recordOf('y')] }))
    bench.members.failed(id, true)
    expect(bench.members.live()).toEqual(['self', 'a', 'x'])
    expect(bench.taken().map(({ type }) => type)).toEqual(['came'])
  })

  it.each([
    [limits.memberCallMs - 1, true],
    [limits.memberCallMs, false],
  ])('that comes after %i ms is heard: %s', (ms, isHeard) => {
    const bench = createBench()
    bench.members.setSeeds(['a:5052'])
    bench.members.tick()
    const [call] = exchangesOf(bench)
    pass(bench, ms)
    bench.members.exchanged(call!.id, answerFrom(bench, 'a', { from: recordOf('a', { incarnation: 2 }) }))
    expect(bench.members.live()).toEqual(isHeard ? ['self', 'a'] : ['self'])
    expect(bench.members.heardMs('a')).toBe(isHeard ? bench.clock.now() : Number.NEGATIVE_INFINITY)
  })

  it('whose buckets differ is followed by their records, as long as they become fewer', () => {
    const bench = createBench()
    tell(bench, 'a')
    pass(bench, 1000)
    const buckets = [...bench.members.handle({ ...requestFrom('a'), compare: true }).buckets!]
    const full = buckets.flatMap((hash, bucket) => (hash === 0 ? [] : [bucket]))
    const follow = (id: number, ...differing: number[]): Exchange[] => {
      const theirs = buckets.map((hash, bucket) => (differing.includes(bucket) ? hash + 1 : hash))
      bench.members.exchanged(id, answerFrom(bench, 'a', { hash: 'other', buckets: theirs }))
      return exchangesOf(bench)
    }
    expect(follow(callTo(bench, 'a').id)).toEqual([])
    const [first] = follow(callTo(bench, 'a').id, ...full)
    expect(first).toMatchObject({ peer: 'a', cluster: 'a:5052', request: { compare: true, want: full } })
    expect(new Set(first!.request.news)).toEqual(new Set([recordOf('self'), recordOf('a')]))
    const [second] = follow(first!.id, full[0]!)
    expect(second!.request.want).toEqual([full[0]])
    expect(follow(second!.id, full[1]!)).toEqual([])
  })
})

describe('one message that is full of', () => {
  it('members that this one has just heard from is answered for all of them in one call', () => {
    const bench = benchOf('a', 'x', 'y')
    const accusations = ['x', 'y', 'x'].map((peer) => ({ peer, incarnation: 1 }))
    bench.members.handle({ ...requestFrom('a'), accusations })
    expect(exchangesOf(bench)).toMatchObject([{ peer: 'a', request: { vouched: ['x', 'y'] } }])
  })

  it('one death makes one call, until the member has spoken', () => {
    const bench = benchOf('a', 'x')
    const dead = recordOf('x', { state: 'dead' })
    const looks = [{ peer: 'x', request: { accusations: [{ peer: 'x', incarnation: 1 }] } }]
    tell(bench, 'a', dead, dead, dead)
    expect(exchangesOf(bench)).toMatchObject(looks)
    bench.members.heard('x')
    tell(bench, 'a', dead)
    expect(exchangesOf(bench)).toMatchObject(looks)
  })
})

it('does not call itself', () => {
  const bench = createBench()
  bench.members.suspect('self')
  bench.members.suspect('self', 'a')
  expect(exchangesOf(bench)).toEqual([])
})

describe('seeds', () => {
  const seeds = ['a:5052', 'b:5052', 'c:5052', 'd:5052']

  it('are asked in turn, the first three of them, and again when their answer has been awaited for a second', () => {
    const bench = createBench()
    bench.members.setSeeds(seeds)
    expect(seedsAsked(bench, 2000)).toEqual([
      [0, 'a:5052'],
      [250, 'b:5052'],
      [500, 'c:5052'],
      [1500, 'a:5052'],
      [1750, 'b:5052'],
      [2000, 'c:5052'],
    ])
    expect(bench.members.agreed()).toBe(false)
  })

  it('are all asked until one agrees, and then those that no member is', () => {
    const bench = createBench(longest)
    tell(bench, 'a')
    bench.members.setSeeds(['a:5052', 'b:5052'])
    expect(seedsAsked(bench, 250)).toEqual([
      [0, 'a:5052'],
      [250, 'b:5052'],
    ])
    const agreed = agreedBench([])
    agreed.members.setSeeds(['a:5052', 'b:5052'])
    expect(seedsAsked(agreed, 2000)).toEqual([
      [0, 'b:5052'],
      [1998, 'b:5052'],
    ])
  })

  it('are to compare lists', () => {
    const bench = createBench()
    bench.members.setSeeds(seeds)
    bench.members.tick()
    expect(exchangesOf(bench).map(({ request }) => request.compare)).toEqual([true])
  })

  it.each([
    [['self:5052', 'a:5052'], true],
    [['a:5052', 'self:5052'], false],
  ])('%j of which this agent is one: agreed %s', (ownSeeds, agreed) => {
    const bench = createBench()
    bench.members.setSeeds(ownSeeds)
    expect(bench.members.agreed()).toBe(agreed)
    expect(seedsAsked(bench, 1000)).toEqual([
      [0, 'a:5052'],
      [1000, 'a:5052'],
    ])
  })

  it.each([
    ['first', 0, true],
    ['second', limits.seedEagerMs, false],
  ])('whose %s is this agent by another name: agreed %s', (_, ms, agreed) => {
    const bench = createBench()
    bench.members.setSeeds(['alias-0:5052', 'alias-1:5052'])
    pass(bench, ms)
    bench.members.tick()
    const call = exchangesOf(bench).at(-1)
    bench.members.exchanged(call!.id, { ...tell(bench, 'self'), news: [recordOf('x')] })
    expect(bench.members.agreed()).toBe(agreed)
    expect(bench.members.live()).toEqual(['self'])
  })

  it('of which none answers are waited for ten seconds, whoever names others, and then asked each second', () => {
    const bench = createBench()
    bench.members.setSeeds(['a:5052'])
    pass(bench, 9000)
    bench.members.setSeeds(['b:5052'])
    pass(bench, 999)
    expect(bench.members.agreed()).toBe(false)
    expect(seedsAsked(bench, 3000).map(([ms]) => ms)).toEqual([1, 1001, 2001])
    expect(bench.members.agreed()).toBe(true)
  })

  it('that answer with another list are waited for', () => {
    const bench = createBench()
    bench.members.setSeeds(['a:5052'])
    bench.members.tick()
    bench.members.exchanged(exchangesOf(bench)[0]!.id, answerFrom(bench, 'a', { hash: 'other' }))
    pass(bench, 2 * limits.seedGraceMs)
    expect(bench.members.agreed()).toBe(false)
  })

  it.each([
    ['a', {}, 1],
    ['a', { hash: 'other' }, 0],
    ['b', {}, 0],
  ])('that %s is one of: agreed by its answer %j, in so many words: %i', (peer, change, count) => {
    const bench = createBench()
    bench.members.setSeeds(['a:5052'])
    tell(bench, peer)
    for (const time of [1, 2]) {
      bench.members.exchanged(callTo(bench, peer).id, answerFrom(bench, peer, change))
      expect(bench.members.agreed()).toBe(count === 1)
      expect(bench.taken().filter(({ type }) => type === 'agreed')).toHaveLength(time === 1 ? count : 0)
    }
  })

  it('that are not known yet agree with nobody', () => {
    const bench = createBench()
    tell(bench, 'a')
    bench.members.exchanged(callTo(bench, 'a').id, answerFrom(bench, 'a'))
    expect(bench.members.agreed()).toBe(false)
  })

  it('that go by another name than their own agree as well', () => {
    const bench = createBench()
    bench.members.setSeeds(['alias:5052'])
    tell(bench, 'a')
    bench.members.tick()
    const [call] = exchangesOf(bench)
    bench.members.exchanged(call!.id, answerFrom(bench, 'a'))
    expect(bench.members.agreed()).toBe(true)
  })

  it('that live are asked now and then, at most twenty seconds later', () => {
    const bench = agreedBench([])
    expect(callsTo(talk(bench, 2 * limits.seedIdleMs, [recordOf('a')]), undefined)).toEqual([])
    expect(callsTo(talk(bench, 200, [recordOf('a')]), undefined)).toHaveLength(1)
    expect(callsTo(talk(bench, 2 * limits.seedIdleMs - 400, [recordOf('a')]), undefined)).toEqual([])
  })

  it.each([
    [1, 499],
    [60, 9999],
  ])('that left %i others are asked for soon: at most %i ms later', (count, ms) => {
    const bench = agreedBench(Array.from({ length: count }, (_, number) => `p${number}`))
    tell(bench, 'p0', recordOf('a', { state: 'left' }))
    expect(seedsAsked(bench, ms)).toEqual([[ms, 'a:5052']])
  })

  it('that have left are asked for again', () => {
    const bench = agreedBench(['b'])
    tell(bench, 'b', recordOf('a', { state: 'left' }))
    const said = talk(bench, 3000, [recordOf('b')])
    expect(callsTo(said, undefined)).toHaveLength(2)
  })

  it('that leave again are not asked for later than they would have been', () => {
    const bench = agreedBench(['b'])
    tell(bench, 'b', recordOf('a', { state: 'left' }))
    pass(bench, 200)
    tell(bench, 'b', recordOf('a', { incarnation: 2 }), recordOf('a', { incarnation: 2, state: 'left' }))
    expect(seedsAsked(bench, 299)).toEqual([[299, 'a:5052']])
  })

  it('that come are not asked for sooner', () => {
    const bench = agreedBench(['b'])
    const a = recordOf('a', { incarnation: 2 })
    tell(bench, 'b', a)
    expect(callsTo(talk(bench, 5000, [a, recordOf('b')]), undefined)).toEqual([])
  })

  it('are not asked for those who are none', () => {
    const bench = agreedBench(['b', 'c'])
    tell(bench, 'a', recordOf('b', { state: 'left' }))
    expect(callsTo(talk(bench, 5000, [recordOf('a'), recordOf('c')]), undefined)).toEqual([])
  })
})

describe('those who departed', () => {
  it('are tried every ten seconds, any one of the dead', () => {
    const bench = createBench(longest)
    const departed = [
      recordOf('x', { state: 'dead' }),
      recordOf('y', { state: 'dead' }),
      recordOf('z', { state: 'left' }),
    ]
    tell(bench, 'a', recordOf('x'), recordOf('y'), recordOf('z'))
    tell(bench, 'a', ...departed)
    const before = talk(bench, limits.departedTryMs, [recordOf('a')])
    const after = talk(bench, 200, [recordOf('a')])
    expect(['x', 'y', 'z'].flatMap((peer) => callsTo(before, peer))).toEqual([])
    expect(['x', 'y', 'z'].map((peer) => callsTo(after, peer).map(({ request }) => request.compare))).toEqual([
      [],
      [true],
      [],
    ])
    expect(accusationsIn(talk(bench, 2 * limits.memberSilentMs, [recordOf('a')]))).toEqual([])
  })

  it('are called at no other time', () => {
    const bench = benchOf('a', 'x')
    tell(bench, 'x', recordOf('x', { state: 'left' }))
    bench.taken()
    bench.members.suspect('x')
    expect(bench.taken()).toEqual([])
  })

  it('are not there to be tried where none has', () => {
    const bench = createBench()
    tell(bench, 'a')
    const said = talk(bench, limits.departedTryMs + 200, [recordOf('a')])
    expect(callsTo(said, undefined)).toEqual([])
  })
})

describe('a goodbye', () => {
  it('of one that nobody here knows, or that does, is no sign of life', () => {
    const bench = benchOf('x')
    for (const peer of ['x', 'y']) {
      const from = recordOf(peer, { state: 'left' })
      bench.members.handle({ ...requestFrom(peer), from })
      bench.members.heard(peer)
      expect(bench.members.heardMs(peer)).toBe(Number.NEGATIVE_INFINITY)
    }
  })

  const left = recordOf('self', { incarnation: 2, state: 'left' })

  it.each([
    [8, limits.goodbyeTargets],
    [2, 2],
    [0, 0],
  ])('among %i others goes to %i', (count, targets) => {
    const bench = createBench()
    const others = Array.from({ length: count }, (_, number) => recordOf(`p${number}`))
    if (count > 0) tell(bench, 'p0', ...others)
    bench.taken()
    bench.members.leave()
    const calls = exchangesOf(bench)
    expect(calls).toHaveLength(targets)
    expect(new Set(calls.map(({ peer }) => peer)).size).toBe(targets)
    for (const { request } of calls) expect(request).toMatchObject({ from: left, compare: false })
    expect(bench.members.nextMs()).toBe(count > 0 ? bench.clock.now() + limits.memberCallMs : Number.POSITIVE_INFINITY)
    bench.clock.advance(limits.memberCallMs)
    bench.members.tick()
    expect([bench.taken(), bench.members.nextMs()]).toEqual([[], Number.POSITIVE_INFINITY])
  })

  it.each([
    ['who has it from another', recordOf('a'), [recordOf('x', { incarnation: 2, state: 'left' })]],
    ['who seems to say it', recordOf('x', { incarnation: 2, state: 'left' }), []],
  ])('of one that was wrongly said to be gone is looked into, whether said by %s', (_who, from, news) => {
    for (const [afterMs, ends] of [
      [0, 'alive'],
      [limits.falseAlarmMs, 'left'],
    ] as const) {
      const bench = benchOf('a', 'x')
      tell(bench, 'a', recordOf('x', { state: 'left' }))
      expect(bench.members.get('x')?.state).toBe('left')
      tell(bench, 'a', recordOf('x', { incarnation: 2 }))
      bench.clock.advance(afterMs)
      bench.taken()
      bench.members.handle({ ...requestFrom(from.peer), from, news })
      expect(bench.members.get('x')?.state).toBe(ends)
      const told = accusationsIn(bench.taken())
      expect(told).toEqual(ends === 'alive' ? [['x', 'x']] : [])
    }
  })

  it('of such a one is looked into though a seed answers as if it were that member', () => {
    const bench = agreedBench(['x'])
    tell(bench, 'a', recordOf('x', { state: 'left' }))
    tell(bench, 'a', recordOf('x', { incarnation: 2 }))
    bench.members.setSeeds(['seed:5052'])
    bench.taken()
    bench.members.tick()
    const asked = callsTo(bench.taken(), undefined)[0]!
    const from = recordOf('x', { incarnation: 2, state: 'left' })
    bench.members.exchanged(asked.id, { ...answerFrom(bench, 'x'), from })
    expect(bench.members.get('x')?.state).toBe('alive')
    expect(accusationsIn(bench.taken())).toEqual([['x', 'x']])
  })

  it.each([
    [
      'says so where it listens',
      'left',
      (bench: Bench) => answerOf(bench, recordOf('x', { incarnation: 2, state: 'left' })),
    ],
    ['has nobody listen there any more', 'dead', (bench: Bench) => bench.members.failed(lookOf(bench), true)],
  ] as const)('of such a one counts when it %s', (_what, ends, find) => {
    const bench = benchOf('a', 'x')
    tell(bench, 'a', recordOf('x', { state: 'left' }))
    tell(bench, 'a', recordOf('x', { incarnation: 2 }))
    bench.taken()
    tell(bench, 'a', recordOf('x', { incarnation: 2, state: 'left' }))
    find(bench)
    expect(bench.members.get('x')?.state).toBe(ends)
  })

  it('does not go to who is silent', () => {
    const bench = createBench()
    tell(bench, 'a')
    tell(bench, 'x')
    bench.members.failed(callTo(bench, 'x').id, true)
    bench.taken()
    bench.members.leave()
    expect(exchangesOf(bench).map(({ peer }) => peer)).toEqual(['a'])
  })

  it('is repeated to who takes its sender for dead, which is nothing to refute', () => {
    const bench = createBench()
    tell(bench, 'a')
    bench.members.leave()
    bench.taken()
    const answer = tell(bench, 'a', recordOf('self', { incarnation: 5, state: 'dead' }))
    expect(answer.from).toEqual({ ...left, incarnation: 6 })
    expect(bench.taken()).toEqual([])
  })

  it('is the end of judging others', () => {
    const bench = createBench()
    tell(bench, 'x')
    const { id } = callTo(bench, 'x')
    bench.clock.advance(100)
    bench.members.leave()
    expect(bench.members.nextMs()).toBe(bench.clock.now() - 100 + limits.memberCallMs)
    bench.taken()
    bench.members.failed(id, true)
    expect(bench.taken()).toEqual([])
  })
})

describe('a round', () => {
  const names = ['a', 'b', 'c', 'd', 'e', 'f']
  const list = createMemberList()
  for (const peer of [...names, 'self']) list.put(recordOf(peer), 0)
  const ring = ['self']
  for (const _ of names) ring.push(list.successor(ring.at(-1)!, () => true)!)
  const [, first, second, third, ...rest] = ring as [string, string, string, string, ...string[]]
  const last = rest.at(-1)!

  /** Who is called in a round, a second after all have been heard; `meanwhile` is run at one moment of it. */
  function calledIn(atMs: number, meanwhile: (bench: Bench) => void): (string | undefined)[] {
    const bench = createBench(longest)
    const records = names.map((peer) => recordOf(peer))
    tell(bench, first, ...ring.slice(2).map((peer) => recordOf(peer)))
    talk(bench, 900, records)
    pass(bench, 99)
    for (const peer of names) bench.members.heard(peer)
    pass(bench, atMs)
    meanwhile(bench)
    pass(bench, limits.exchangeMs - 1 - atMs)
    bench.taken()
    pass(bench, 1)
    return exchangesOf(bench)
      .filter(({ request }) => request.compare)
      .map(({ peer }) => peer)
  }

  it.each<[string, number, (bench: Bench) => void, string[]]>([
    ['unheard for long', 0, () => {}, [second, first, last]],
    ['the next heard half a second ago', 500, ({ members }) => members.heard(first), [second, first, last]],
    ['the next heard since', 501, ({ members }) => members.heard(first), [second, last]],
    ['the one after it heard since the last round', 1, ({ members }) => members.heard(second), [first, last]],
    ['the next called half a second ago', 500, ({ members }) => members.suspect(first), [second, first, last]],
    ['the next called since', 501, ({ members }) => members.suspect(first), [second, last]],
    ['the one after it called since', 501, ({ members }) => members.suspect(second), [first, last]],
    ['the random one called since', 501, ({ members }) => members.suspect(last), [second, first, third]],
  ])('is with the two who come next and a random one: %s', (_, atMs, meanwhile, expected) => {
    expect(calledIn(atMs, meanwhile)).toEqual(expected)
  })

  it('passes over who is silent', () => {
    const called = calledIn(0, (bench) => {
      bench.members.failed(callTo(bench, first).id, true)
      for (const peer of ring.slice(2)) bench.members.heard(peer)
    })
    expect(called).toEqual([third, second, last])
  })

  it.each<[string, string, string[]]>([
    ['the next is silent', first, [third, second]],
    ['the one after it is silent', second, [third, first]],
    ['another is silent', last, []],
  ])('is with the two who come next once more at once when %s', (_, silent, expected) => {
    const bench = createBench(longest)
    tell(bench, first, ...ring.slice(2).map((peer) => recordOf(peer)))
    bench.clock.advance(limits.contactFreshMs - limits.memberSilentMs)
    bench.members.suspect(silent)
    for (const peer of names) if (peer !== silent) bench.members.heard(peer)
    bench.clock.advance(limits.memberSilentMs)
    bench.taken()
    bench.members.failed(callTo(bench, silent).id, true)
    const called = exchangesOf(bench).flatMap(({ peer, request }) => (request.compare ? [peer] : []))
    expect(called).toEqual(expected)
  })

  it('is first at a random moment within a second, and then each second', () => {
    const bench = createBench({ ...longest, below: () => 700 })
    expect(bench.members.nextMs()).toBe(bench.clock.now() + 700)
    pass(bench, 700)
    expect(bench.members.nextMs()).toBe(bench.clock.now() + limits.exchangeMs)
  })
})

describe('lists that differ', () => {
  it('are one again after two round trips, and equal ones name no buckets', () => {
    const here = createBench()
    const there = createBench()
    for (let number = 0; number < 100; number++) tell(here, 'a', recordOf(`h-${number}`))
    for (let number = 0; number < 100; number++) tell(there, 'a', recordOf(`t-${number}`))
    here.clock.advance(5000)
    here.members.tick()
    here.taken()
    const request = {
      from: recordOf('a'),
      hash: there.members.hash(),
      news: [],
      accusations: [],
      vouched: [],
      compare: true,
      want: [],
    }
    const answer = here.members.handle(request)
    expect(answer.buckets).toHaveLength(256)
    expect(here.members.handle({ ...request, hash: here.members.hash() }).buckets).toBeUndefined()
  })

  it('are compared each second with the only other member that speaks, however much is heard from it', () => {
    const bench = createBench()
    tell(bench, 'a')
    bench.taken()
    for (let passed = 0; passed < 5000; passed += 100) {
      bench.members.heard('a')
      pass(bench, 100)
    }
    const compared = bench.taken().filter((output) => output.type === 'exchange' && output.request.compare)
    expect(compared.length).toBeGreaterThanOrEqual(4)
  })

  it('stay within their bound', () => {
    const bench = createBench()
    const news = Array.from({ length: 20_100 }, (_, number) => recordOf(`n-${number}`))
    tell(bench, 'a', ...news)
    expect(bench.members.live()).toHaveLength(20_000)
  })

  it('stay so in each bucket, so that a message holds it: whose names crowd one keep nobody out of others', () => {
    const bench = createBench()
    const crowd = namesInOneBucket(limits.membersPerBucketMax + 1).map((peer) => recordOf(peer))
    tell(bench, 'a', ...crowd, recordOf('x'))
    expect(bench.members.live()).toEqual(['self', 'a', ...crowd.slice(0, -1).map(({ peer }) => peer), 'x'])
    tell(bench, 'a', recordOf(crowd[3]!.peer, { state: 'dead' }), crowd.at(-1)!)
    expect(bench.members.get(crowd[3]!.peer)).toBeUndefined()
    expect(bench.members.live()).toContain(crowd.at(-1)!.peer)
  })

  it('and full of the departed, take in who comes in the place of who departed first', () => {
    const bench = createBench()
    const others = Array.from({ length: limits.membersMax - 2 }, (_, number) => recordOf(`n-${number}`))
    tell(bench, 'a', ...others)
    for (const state of ['dead', 'left'] as const) tell(bench, 'a', ...others.map((record) => ({ ...record, state })))
    tell(bench, 'a', recordOf('x'))
    expect(bench.members.live()).toEqual(['self', 'a', 'x'])
    expect(bench.members.get('n-0')).toBeUndefined()
    expect(bench.members.get('n-1')?.state).toBe('left')
  })
})
