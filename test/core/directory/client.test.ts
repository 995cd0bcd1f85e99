import { describe, expect, it } from 'vitest'
import { createDirectoryClient } from '../../../core/directory/client.ts'
import { createRoster } from '../../../core/directory/rosters.ts'
import { limits } from '../../../core/limits.ts'
import type { DirectoryClient, DirectoryClientOutput } from '../../../core/directory/client.ts'
import type { AnnounceAnswer, AnnounceItem, RosterAnswer, TimedAnswer } from '../../../core/directory/messages.ts'
import type { Digest } from '../../../core/oci/digest.ts'
import type { PeerId } from '../../../core/ports.ts'
import { GiB, hour, minute, second } from '../../../core/units.ts'
import { seededRandom } from '../../support/seeded-random.ts'
import { virtualClock } from '../../support/virtual-clock.ts'
import type { VirtualClock } from '../../support/virtual-clock.ts'
import { addressOf, digestOf, having, itemOf, sizeOf, span } from './world.ts'

type Call = Extract<DirectoryClientOutput, { type: 'call' }>

interface Bench {
  readonly clock: VirtualClock
  readonly client: DirectoryClient
  readonly items: Map<Digest, AnnounceItem>
  readonly hosts: { of(digest: Digest): PeerId[] }
  readonly suspects: PeerId[]
  members: number
  /** Hosts that answer at once, and how; the others are silent. */
  readonly replies: Map<PeerId, Partial<TimedAnswer> | 'refuse'>
  /** When hosts gave a sign of life otherwise. */
  readonly heardMs: Map<PeerId, number>
  /** Done whenever something is emitted. */
  onOutput: () => void
  /** What was emitted since the last look. */
  taken(): DirectoryClientOutput[]
  calls(): Call[]
  /** Passes time in steps of 5 ms, ticking. */
  pass(ms: number): void
}

function createBench(): Bench {
  const clock = virtualClock(1000)
  const outputs: DirectoryClientOutput[] = []
  const items = new Map<Digest, AnnounceItem>()
  const suspects: PeerId[] = []
  const emit = (output: DirectoryClientOutput): void => {
    outputs.push(output)
    bench.onOutput()
    const reply = output.type === 'call' ? bench.replies.get(output.to) : undefined
    if (output.type !== 'call' || reply === undefined) return
    if (reply === 'refuse') bench.client.failed(output.id)
    else bench.client.answered(output.id, answerTo(output, reply))
  }
  const bench: Bench = {
    clock,
    items,
    suspects,
    members: 8,
    replies: new Map(),
    heardMs: new Map(),
    onOutput() {},
    hosts: { of: () => ['owner', 'standby', 'third', 'fourth', 'fifth'] },
    client: createDirectoryClient({
      clock,
      random: seededRandom('client'),
      from: () => addressOf('self'),
      state: (digest) => items.get(digest),
      hosts: (digest) => bench.hosts.of(digest),
      nearest: () => [{ ...addressOf('near'), complete: false }],
      membersCount: () => bench.members,
      heardMs: (host) => bench.heardMs.get(host) ?? Number.NEGATIVE_INFINITY,
      suspect: (host) => void suspects.push(host),
      emit,
    }),
    taken: () => outputs.splice(0),
    calls: () => bench.taken().filter((output) => output.type === 'call'),
    pass(ms) {
      for (let passed = 0; passed < ms; passed += 5) {
        clock.advance(5)
        bench.client.tick()
      }
    },
  }
  return bench
}

const digest = digestOf(1)
const wish = { lease: { chunks: 4, position: 0 } }

function answerTo(call: Call, change: Partial<TimedAnswer> = {}): AnnounceAnswer {
  const base = { peers: [], announceAfterMs: 500 }
  return { items: call.request.items.map(({ digest: of, size }) => ({ digest: of, size, ...base, ...change })) }
}

/** The answer of who hosts the digest no longer. */
function asking(ask: PeerId): AnnounceAnswer {
  return { items: [{ digest, peers: [], ask, announceAfterMs: 500 }] }
}

/** Announces one digest and gives the calls that leave. */
function start(bench: Bench, change: Partial<AnnounceItem> = {}): Call[] {
  bench.items.set(digest, itemOf(change))
  bench.client.announce(digest, true)
  bench.client.tick()
  return bench.calls()
}

function silences(bench: Bench): DirectoryClientOutput[] {
  return bench.taken().filter(({ type }) => type === 'directory-silent')
}

/** Who was asked for a lease since the last look, and in whose place. */
function wishes(bench: Bench): string[] {
  const calls = bench.taken().filter((output) => output.type === 'call')
  return calls.flatMap(({ request: { items }, to }) =>
    items.flatMap(({ lease }) => (lease === undefined ? [] : [lease.instead === true ? `${to} instead` : to])),
  )
}

/** What the swarm was told that others were fetching before. */
function contests(bench: Bench): unknown[] {
  return bench.taken().flatMap((output) => {
    const contested = output.type === 'directory' ? output.answer.contested : undefined
    return contested === undefined ? [] : [contested]
  })
}

describe('announces', () => {
  it('go to owner and standby at once, with the wish for a lease to the owner only', () => {
    const calls = start(createBench(), wish)
    expect(calls.map(({ to }) => to)).toEqual(['owner', 'standby'])
    expect(calls[0]?.request).toEqual({ from: addressOf('self'), items: [itemOf(wish)], anew: true })
    expect(calls[1]?.request.items).toEqual([itemOf()])
  })

  it('of all digests of one host leave in one call', () => {
    const bench = createBench()
    for (const number of span(1, 6)) {
      bench.items.set(digestOf(number), itemOf({ digest: digestOf(number) }))
      bench.client.announce(digestOf(number), true)
    }
    bench.client.tick()
    expect(bench.calls().map(({ to, request }) => [to, request.items.length])).toEqual([
      ['owner', 5],
      ['standby', 5],
    ])
  })

  it('wait while a call to the host is in flight', () => {
    const bench = createBench()
    const [first] = start(bench)
    bench.client.announce(digest, true)
    bench.pass(100)
    expect(bench.calls()).toEqual([])
    bench.client.answered(first!.id, answerTo(first!))
    bench.client.tick()
    expect(bench.calls().map(({ to }) => to)).toEqual(['owner'])
  })

  it('come again when the answer says', () => {
    const bench = createBench()
    for (const call of start(bench)) bench.client.answered(call.id, answerTo(call, { announceAfterMs: 700 }))
    bench.pass(695)
    expect(bench.calls()).toEqual([])
    bench.pass(5)
    expect(bench.calls().map(({ to }) => to)).toEqual(['owner', 'standby'])
  })

  it('come to the standby half a second after a lease was granted', () => {
    const bench = createBench()
    const [owner, standby] = start(bench, wish)
    bench.client.answered(standby!.id, answerTo(standby!, { announceAfterMs: 4000 }))
    bench.client.answered(owner!.id, answerTo(owner!, { lease: { id: 7, start: 0, end: 4, ttlMs: 1750 } }))
    bench.items.set(digest, itemOf({ fetching: [{ start: 0, end: 4 }] }))
    bench.pass(limits.announceMs - 5)
    expect(bench.calls()).toEqual([])
    bench.pass(5)
    expect(bench.calls().map(({ to, request }) => [to, request.items[0]?.fetching])).toEqual([
      ['owner', [{ start: 0, end: 4 }]],
      ['standby', [{ start: 0, end: 4 }]],
    ])
  })

  it('go to the owner alone where one has gained, and to both where one has lost, or gives a lease back', () => {
    const bench = createBench()
    for (const call of start(bench)) bench.client.answered(call.id, answerTo(call, { announceAfterMs: 4000 }))
    const told = (change: Partial<AnnounceItem>): PeerId[] => {
      bench.items.set(digest, itemOf(change))
      bench.client.announce(digest, true)
      bench.pass(20)
      const calls = bench.calls()
      for (const call of calls) bench.client.answered(call.id, answerTo(call, { announceAfterMs: 4000 }))
      return calls.map(({ to }) => to).toSorted()
    }
    expect(told({ have: { complete: true }, wants: false })).toEqual(['owner'])
    expect(told({ wants: false })).toEqual(['owner', 'standby'])
    expect(told({ wants: true })).toEqual(['owner'])
    expect(told({ wants: true, released: [7] })).toEqual(['owner', 'standby'])
  })

  it('of what is being fetched come soon to who follows a silent owner, and does not know of that', () => {
    const bench = createBench()
    bench.replies.set('standby', { announceAfterMs: 4000 })
    start(bench, { fetching: [{ start: 0, end: 4 }] })
    bench.pass(limits.announceTimeoutMs)
    bench.taken()
    bench.pass(2000)
    expect(bench.calls().filter(({ to }) => to === 'standby')).toHaveLength(4)
  })

  it('of what is merely held come again at the idle interval', () => {
    const bench = createBench()
    for (const call of start(bench, { have: { complete: true }, wants: false })) {
      bench.client.answered(call.id, answerTo(call, { announceAfterMs: 60_000 }))
    }
    bench.pass(59_995)
    expect(bench.calls()).toEqual([])
    bench.pass(5)
    expect(bench.calls()).toHaveLength(2)
  })

  it('come sooner where a lease is to be had sooner', () => {
    const bench = createBench()
    for (const call of start(bench, wish)) bench.client.answered(call.id, answerTo(call, { leaseAfterMs: 200 }))
    bench.pass(195)
    expect(bench.calls()).toEqual([])
    bench.pass(5)
    expect(bench.calls().map(({ to }) => to)).toEqual(['owner'])
  })

  it('leave in one call with what is due within a tenth of a second', () => {
    const bench = createBench()
    const digests = span(1, 4).map(digestOf)
    for (const one of digests) {
      bench.items.set(one, itemOf({ digest: one }))
      bench.client.announce(one, true)
    }
    bench.client.tick()
    const [owner] = bench.calls()
    const afterMs = [500, 500 + limits.announceBatchMs, 500 + limits.announceBatchMs + 5]
    const items = digests.map((one, at) => ({
      digest: one,
      size: sizeOf(100),
      peers: [],
      announceAfterMs: afterMs[at]!,
    }))
    bench.client.answered(owner!.id, { items })
    bench.pass(495)
    expect(bench.calls().filter(({ to }) => to === 'owner')).toEqual([])
    bench.pass(5)
    const [next] = bench.calls().filter(({ to }) => to === 'owner')
    expect(next?.request.items.map((item) => item.digest)).toEqual(digests.slice(0, 2))
  })

  it('are so many in one call at most; the others follow', () => {
    const bench = createBench()
    for (const host of ['owner', 'standby']) bench.replies.set(host, { announceAfterMs: minute })
    for (const one of span(0, limits.announceItemsMax + 1).map(digestOf)) {
      bench.items.set(one, itemOf({ digest: one }))
      bench.client.announce(one, true)
    }
    bench.pass(limits.announceGapMs + 5)
    const sizes = bench.calls().flatMap(({ to, request }) => (to === 'owner' ? [request.items.length] : []))
    expect(sizes).toEqual([limits.announceItemsMax, 1])
  })

  it('tell of as many chunks in one call at most as the largest blob has; the others follow', () => {
    const bench = createBench()
    for (const host of ['owner', 'standby']) bench.replies.set(host, { announceAfterMs: minute })
    const sizes = [limits.blobSizeMaxBytes / 2, limits.blobSizeMaxBytes / 2, 1, limits.blobSizeMaxBytes]
    for (const [at, size] of sizes.entries()) {
      const one = digestOf(at)
      bench.items.set(one, itemOf({ digest: one, size, have: { complete: true } }))
      bench.client.announce(one, true)
    }
    bench.pass(2 * limits.announceGapMs + 5)
    const told = bench
      .calls()
      .flatMap(({ to, request }) => (to === 'owner' ? [request.items.map(({ size }) => size)] : []))
    expect(told).toEqual([sizes.slice(0, 2), [1], [limits.blobSizeMaxBytes]])
  })

  it('say nothing of a blob that no host takes, and all else at once', () => {
    const bench = createBench()
    const large = digestOf(7)
    bench.items.set(large, itemOf({ digest: large, size: limits.blobSizeMaxBytes + 1, have: { complete: true } }))
    bench.client.announce(large, true)
    bench.items.set(digest, itemOf())
    bench.client.announce(digest, true)
    bench.pass(25)
    const told = bench.calls().map(({ request, to }) => [to, request.items.map((item) => item.digest)])
    expect(told).toEqual([
      ['owner', [digest]],
      ['standby', [digest]],
    ])
    expect(bench.client.nextMs()).toBeGreaterThan(bench.clock.now())
  })

  it('come again after two minutes, however long a host says', () => {
    const bench = createBench()
    for (const call of start(bench)) bench.client.answered(call.id, answerTo(call, { announceAfterMs: hour }))
    bench.pass(limits.announceWaitMaxMs - 5)
    expect(bench.calls()).toEqual([])
    bench.pass(5)
    expect(bench.calls()).toHaveLength(2)
  })

  it('of what is fetched come to the standby when that says', () => {
    const bench = createBench()
    bench.replies.set('owner', { announceAfterMs: 500 }).set('standby', { announceAfterMs: 1500 })
    start(bench, { fetching: [{ start: 0, end: 4 }] })
    bench.pass(1495)
    expect(bench.calls().map(({ to }) => to)).toEqual(['owner', 'owner'])
    bench.pass(5)
    expect(bench.calls().map(({ to }) => to)).toContain('standby')
  })

  it('say that the digest is left also to a host that had yet to answer', () => {
    const bench = createBench()
    const [owner, standby] = start(bench)
    bench.client.answered(owner!.id, answerTo(owner!))
    bench.items.set(digest, itemOf({ leaves: true }))
    bench.client.announce(digest, true)
    bench.pass(25)
    expect(bench.calls().map(({ to }) => to)).toEqual(['owner'])
    bench.client.answered(standby!.id, answerTo(standby!))
    bench.pass(25)
    expect(bench.calls()).toMatchObject([{ to: 'standby', request: { items: [{ leaves: true }] } }])
  })

  it('that are urgent keep 20 ms apart per host', () => {
    const bench = createBench()
    for (const call of start(bench)) bench.client.answered(call.id, answerTo(call))
    bench.client.announce(digest, true)
    bench.pass(15)
    expect(bench.calls()).toEqual([])
    bench.pass(5)
    expect(bench.calls()).toHaveLength(1)
  })

  it('go to the owner alone where they wish for a lease', () => {
    const bench = createBench()
    for (const call of start(bench)) bench.client.answered(call.id, answerTo(call))
    bench.items.set(digest, itemOf({ lease: { chunks: 4, position: 0 } }))
    bench.client.announce(digest, true)
    bench.pass(20)
    expect(bench.calls().map(({ to }) => to)).toEqual(['owner'])
  })

  it('say once that the digest is left', () => {
    const bench = createBench()
    for (const call of start(bench)) bench.client.answered(call.id, answerTo(call))
    bench.items.set(digest, itemOf({ leaves: true }))
    bench.client.announce(digest, true)
    bench.pass(20)
    const calls = bench.calls()
    expect(calls.map(({ request }) => request.items[0]?.leaves)).toEqual([true, true])
    for (const call of calls) bench.client.answered(call.id, answerTo(call))
    bench.pass(5000)
    expect(bench.calls()).toEqual([])
  })

  it('cease when the swarm knows the digest no more', () => {
    const bench = createBench()
    for (const call of start(bench)) bench.client.answered(call.id, answerTo(call))
    bench.items.delete(digest)
    bench.pass(5000)
    expect(bench.calls()).toEqual([])
    expect(bench.client.nextMs()).toBe(Number.POSITIVE_INFINITY)
  })

  it('go to a new owner at once when the members change', () => {
    const bench = createBench()
    for (const call of start(bench)) bench.client.answered(call.id, answerTo(call))
    bench.hosts.of = () => ['newcomer', 'owner', 'standby']
    bench.client.membersChanged()
    bench.client.tick()
    expect(bench.calls().map(({ to }) => to)).toEqual(['newcomer'])
  })

  it('of what is merely held find a new owner in half the time that it listens', () => {
    const bench = createBench()
    for (const call of start(bench, { have: { complete: true }, wants: false })) {
      bench.client.answered(call.id, answerTo(call, { announceAfterMs: 60_000 }))
    }
    bench.hosts.of = () => ['newcomer', 'owner']
    bench.client.membersChanged()
    bench.pass(limits.directoryLearnMs / 2)
    expect(bench.calls().map(({ to }) => to)).toEqual(['newcomer'])
  })

  it('of what is merely held go to a new owner spread over that time, of what is fetched at once', () => {
    const bench = createBench()
    for (const host of ['owner', 'standby']) bench.replies.set(host, { announceAfterMs: minute })
    const digests = span(0, 20).map(digestOf)
    for (const one of digests) {
      const fetching = one === digestOf(7) ? [{ start: 0, end: 1 }] : []
      bench.items.set(one, itemOf({ digest: one, have: { complete: true }, wants: false, fetching }))
      bench.client.announce(one, true)
    }
    bench.pass(100)
    bench.taken()
    bench.hosts.of = () => ['newcomer', 'owner']
    bench.replies.set('newcomer', { announceAfterMs: minute })
    bench.client.membersChanged()
    bench.client.tick()
    const told = (): Digest[] =>
      bench.calls().flatMap(({ to, request }) => (to === 'newcomer' ? request.items.map((item) => item.digest) : []))
    expect(told()).toContain(digestOf(7))
    bench.pass(limits.retargetIdleMs / 2)
    const early = told()
    bench.pass(limits.retargetIdleMs / 2)
    const late = told()
    expect(early.length).toBeGreaterThan(0)
    expect(late.length).toBeGreaterThan(0)
  })

  it('hand each answer to the swarm', () => {
    const bench = createBench()
    const [owner] = start(bench, wish)
    const lease = { id: 7, start: 0, end: 4, ttlMs: 1750 }
    bench.client.answered(owner!.id, answerTo(owner!, { lease }))
    const answer = { digest, size: sizeOf(100), peers: [], lease, announceAfterMs: 500 }
    expect(bench.taken()).toEqual([{ type: 'directory', answer }])
  })
})

describe('"ask" instead of an answer', () => {
  it('is followed once, with the wish', () => {
    const bench = createBench()
    const [owner, standby] = start(bench, wish)
    bench.client.answered(standby!.id, answerTo(standby!))
    bench.taken()
    bench.client.answered(owner!.id, asking('better'))
    bench.client.tick()
    const [followed, ...rest] = bench.calls()
    expect(rest).toEqual([])
    expect(followed).toMatchObject({ to: 'better', request: { items: [wish] } })
    bench.client.answered(followed!.id, asking('owner'))
    bench.client.tick()
    expect(bench.calls().map(({ to }) => to)).not.toContain('better')
  })

  it('is no answer for the swarm, unless who says so hosts the digest as well', () => {
    const bench = createBench()
    const [owner, standby] = start(bench, wish)
    bench.client.answered(owner!.id, asking('better'))
    expect(bench.taken().filter(({ type }) => type === 'directory')).toEqual([])
    bench.client.answered(standby!.id, answerTo(standby!, { ask: 'owner' }))
    expect(bench.taken().filter(({ type }) => type === 'directory')).toHaveLength(1)
  })

  it('of who was named that way is not followed: the first host is asked again soon', () => {
    const bench = createBench()
    const [owner] = start(bench, wish)
    bench.client.answered(owner!.id, asking('better'))
    bench.client.tick()
    const [better] = bench.calls()
    bench.client.answered(better!.id, asking('third'))
    bench.pass(limits.announceMs)
    const asked = bench.calls()
    expect(asked.map(({ to }) => to)).not.toContain('third')
    expect(asked.filter(({ to }) => to === 'owner')).toMatchObject([{ request: { items: [wish] } }])
  })

  it('is over where who was named does not answer', () => {
    const bench = createBench()
    const [owner, standby] = start(bench, wish)
    bench.client.answered(standby!.id, answerTo(standby!, { announceAfterMs: 60_000 }))
    bench.client.answered(owner!.id, asking('better'))
    bench.client.tick()
    const [better] = bench.calls()
    bench.replies.set('owner', {}).set('standby', {})
    bench.client.failed(better!.id)
    bench.pass(limits.hostSilentMs + 1000)
    expect(bench.calls().map(({ to }) => to)).not.toContain('better')
  })

  it('holds until the members change', () => {
    const bench = createBench()
    bench.replies.set('owner', { ask: 'better' }).set('standby', {}).set('better', {})
    start(bench, wish)
    bench.client.tick()
    bench.taken()
    bench.pass(500)
    expect(bench.calls()[0]).toMatchObject({ to: 'better', request: { items: [wish] } })
    bench.client.membersChanged()
    bench.pass(20)
    expect(bench.calls()[0]).toMatchObject({ to: 'owner', request: { items: [wish] } })
  })

  it('that names a silent host is not followed', () => {
    const bench = createBench()
    const [owner, standby] = start(bench, wish)
    bench.client.failed(owner!.id)
    bench.client.answered(standby!.id, answerTo(standby!, { ask: 'owner' }))
    bench.client.tick()
    expect(bench.calls().map(({ to }) => to)).toEqual(['third'])
  })
})

describe('a host that does not answer', () => {
  it('is given up after a second, reported, and passed over for three', () => {
    const bench = createBench()
    bench.members = 0
    bench.replies.set('standby', {}).set('third', {})
    start(bench, wish)
    bench.pass(990)
    expect(bench.suspects).toEqual([])
    bench.taken()
    bench.pass(10)
    expect(bench.suspects).toEqual(['owner'])
    bench.pass(20)
    expect(bench.calls().map(({ to, request }) => [to, request.items])).toEqual([
      ['standby', [itemOf(wish)]],
      ['third', [itemOf()]],
    ])
    bench.pass(2970)
    expect(bench.calls().map(({ to }) => to)).not.toContain('owner')
    bench.pass(10)
    expect(bench.calls().find(({ to }) => to === 'owner')?.request.items).toEqual([itemOf(wish)])
  })

  it('since it died, and is there again, is asked at once', () => {
    const bench = createBench()
    const [owner] = start(bench, wish)
    bench.client.failed(owner!.id)
    bench.taken()
    bench.client.memberCame('owner')
    bench.client.membersChanged()
    bench.pass(20)
    expect(bench.calls()).toMatchObject([{ to: 'owner', request: { items: [wish] } }])
  })

  it('since it died, and is there again before that is noticed, is asked anew at once', () => {
    const bench = createBench()
    const [owner] = start(bench, wish)
    bench.client.memberCame('owner')
    bench.client.membersChanged()
    bench.pass(20)
    expect(bench.calls()).toMatchObject([{ to: 'owner', request: { items: [wish] } }])
    bench.client.failed(owner!.id)
    expect(bench.suspects).toEqual([])
  })

  it('may have missed what is so no more, as may one that came, until it has answered', () => {
    const bench = createBench()
    bench.hosts.of = () => ['owner']
    const isAnew = (): (boolean | undefined)[] => {
      bench.client.announce(digest, true)
      bench.pass(4000)
      return bench.calls().map(({ request }) => request.anew)
    }
    bench.replies.set('owner', { announceAfterMs: 60_000 })
    bench.items.set(digest, itemOf())
    expect([isAnew(), isAnew()]).toEqual([[true], [undefined]])
    bench.replies.set('owner', 'refuse')
    expect(isAnew()).toEqual([undefined, true])
    bench.replies.set('owner', { announceAfterMs: 60_000 })
    expect([isAnew(), isAnew()]).toEqual([[true], [undefined]])
    bench.client.memberCame('owner')
    expect(isAnew()).toEqual([true])
  })

  it('but gives other signs of life has five seconds', () => {
    const bench = createBench()
    bench.replies.set('standby', {})
    start(bench)
    for (let heard = 0; heard < 6; heard++) {
      bench.pass(800)
      bench.heardMs.set('owner', bench.clock.now())
    }
    bench.pass(195)
    expect(bench.suspects).toEqual([])
    bench.pass(5)
    expect(bench.suspects).toEqual(['owner'])
  })

  it('may answer too late without harm', () => {
    const bench = createBench()
    const [owner] = start(bench)
    bench.pass(1005)
    bench.taken()
    bench.client.answered(owner!.id, answerTo(owner!))
    bench.client.failed(owner!.id)
    expect(bench.taken()).toEqual([])
  })
})

function failAll(bench: Bench): void {
  for (const output of bench.taken()) {
    if (output.type === 'call') bench.client.failed(output.id)
  }
}

function silentAt(bench: Bench, forMs: number): number[] {
  const startMs = bench.clock.now()
  const times: number[] = []
  for (let passed = 0; passed < forMs; passed += 5) {
    bench.pass(5)
    for (const output of bench.taken()) {
      if (output.type === 'call') bench.client.failed(output.id)
      if (output.type === 'directory-silent') times.push(bench.clock.now() - startMs)
    }
  }
  return times
}

describe('a reader whose hosts are silent', () => {
  it('is helped after a random wait of up to 5 ms per member, then with back-off for the same chunk', () => {
    const bench = createBench()
    for (const call of start(bench, wish)) bench.client.failed(call.id)
    const times = silentAt(bench, 10_000)
    expect(times[0]).toBeLessThanOrEqual(45)
    const gaps = times.slice(1).map((time, index) => time - (times[index] ?? 0))
    expect(gaps.length).toBeGreaterThanOrEqual(3)
    for (const [index, gap] of gaps.entries()) {
      expect(gap).toBeGreaterThanOrEqual(500 * 2 ** index)
      expect(gap).toBeLessThanOrEqual((540 + 5) * 2 ** index + 5)
    }
  })

  it('waits up to five seconds among many members', () => {
    const bench = createBench()
    bench.members = 20_000
    for (const call of start(bench, wish)) bench.client.failed(call.id)
    const [first] = silentAt(bench, 6000)
    expect(first).toBeGreaterThan(40)
    expect(first).toBeLessThanOrEqual(5005)
  })

  it('is helped with its next chunk without back-off', () => {
    const bench = createBench()
    for (const call of start(bench, wish)) bench.client.failed(call.id)
    expect(silentAt(bench, 50)).toHaveLength(1)
    bench.items.set(digest, itemOf({ lease: { chunks: 4, position: 1 }, ...having(100, [0]) }))
    const times = silentAt(bench, 550)
    expect(times).toHaveLength(1)
  })

  it('is left alone when it wishes for nothing', () => {
    const bench = createBench()
    for (const call of start(bench)) bench.client.failed(call.id)
    expect(silentAt(bench, 5000)).toEqual([])
  })

  it('is left alone while one of its hosts answers', () => {
    const bench = createBench()
    bench.replies.set('owner', 'refuse').set('standby', { leaseAfterMs: 300 }).set('third', 'refuse')
    start(bench, wish)
    bench.pass(8000)
    expect(silences(bench)).toEqual([])
  })

  it('asks all who may follow before it is helped', () => {
    const bench = createBench()
    for (const host of ['owner', 'standby', 'third', 'fourth']) bench.replies.set(host, 'refuse')
    bench.replies.set('fifth', { ask: 'owner', leaseAfterMs: 500 })
    start(bench, wish)
    bench.pass(6900)
    expect(silences(bench)).toEqual([])
  })

  it('is helped when who follows has granted nothing for seven seconds and nothing moves', () => {
    const bench = createBench()
    bench.replies.set('owner', 'refuse').set('standby', { ask: 'owner', leaseAfterMs: 500 }).set('third', {})
    start(bench, wish)
    bench.pass(6900)
    bench.items.set(digest, itemOf({ ...wish, ...having(100, [9]) }))
    bench.pass(6900)
    expect(silences(bench)).toEqual([])
    bench.pass(700)
    expect(silences(bench)).toEqual([{ type: 'directory-silent', digest }])
  })

  it('gives who follows seven seconds since it is asked, however long the owner had it wait before', () => {
    const bench = createBench()
    bench.replies
      .set('owner', { leaseAfterMs: 500 })
      .set('standby', { ask: 'owner', leaseAfterMs: 500 })
      .set('third', {})
    start(bench, wish)
    bench.pass(6000)
    bench.replies.set('owner', 'refuse')
    bench.pass(6900)
    expect(silences(bench)).toEqual([])
    bench.pass(700)
    expect(silences(bench)).toEqual([{ type: 'directory-silent', digest }])
  })

  it('is helped when hosts answer but for long grant nothing and nothing moves; from then on sooner', () => {
    const bench = createBench()
    bench.replies.set('owner', { leaseAfterMs: 500 }).set('standby', {})
    start(bench, wish)
    bench.pass(9000)
    bench.items.set(digest, itemOf({ ...wish, ...having(100, [9]) }))
    bench.pass(limits.leaseStarvedMs - 100)
    expect(silences(bench)).toEqual([])
    bench.pass(700)
    expect(silences(bench)).toEqual([{ type: 'directory-silent', digest }])
    bench.items.set(digest, itemOf({ ...wish, ...having(100, [9, 10]) }))
    bench.pass(1500)
    expect(silences(bench)).not.toEqual([])
  })

  it('asks the next host in the place of one that for seven seconds more than it said has granted nothing, and then the first again', () => {
    const bench = createBench()
    bench.replies.set('owner', { leaseAfterMs: 500 }).set('standby', { leaseAfterMs: 500 })
    start(bench, wish)
    bench.pass(limits.successionMs + 400)
    expect(new Set(wishes(bench))).toEqual(new Set(['owner']))
    bench.pass(200)
    expect(wishes(bench)).toEqual(['standby instead'])
    bench.pass(limits.successionMs + 300)
    expect(new Set(wishes(bench))).toEqual(new Set(['standby instead']))
    bench.pass(300)
    expect(wishes(bench)).toEqual(['owner instead'])
  })

  it('asks the first host again at once where the next one sends it back, and the next one again after as long', () => {
    const bench = createBench()
    bench.replies.set('owner', { leaseAfterMs: 500 }).set('standby', { ask: 'owner', leaseAfterMs: 500 })
    start(bench, wish)
    bench.pass(limits.successionMs + 600)
    expect(wishes(bench).slice(-2)).toEqual(['standby instead', 'owner'])
    bench.pass(limits.successionMs + 300)
    expect(new Set(wishes(bench))).toEqual(new Set(['owner']))
    bench.pass(300)
    expect(wishes(bench)).toEqual(['standby instead', 'owner'])
    expect(silences(bench)).toEqual([])
  })

  it('asks the standby instead where that says twice that another was fetching the same before', () => {
    const bench = createBench()
    const fetching = { ...wish, fetching: [{ start: 0, end: 4 }] }
    const contested = { announceAfterMs: 600, contested: fetching.fetching }
    bench.replies.set('owner', { announceAfterMs: 600 }).set('standby', contested)
    start(bench, fetching)
    bench.pass(500)
    expect(contests(bench)).toEqual([])
    bench.pass(200)
    expect(contests(bench)).toEqual([contested.contested])
    bench.replies.set('standby', { ask: 'owner', leaseAfterMs: 500 })
    bench.pass(2000)
    expect(new Set(wishes(bench))).toEqual(new Set(['standby instead']))
  })

  it.each([
    ['says so in between that nobody was', {}, 'standby'],
    ['is the host that grants', { contested: [{ start: 0, end: 4 }] }, 'owner'],
  ])('does not where who says so %s', (_what, between, host) => {
    const bench = createBench()
    const fetching = { ...wish, fetching: [{ start: 0, end: 4 }] }
    bench.replies.set('owner', { announceAfterMs: 600 }).set('standby', { announceAfterMs: 600 })
    for (let round = 0; round < 6; round++) {
      const said = round % 2 === 0 ? { contested: fetching.fetching } : between
      bench.replies.set(host, { announceAfterMs: 600, ...said })
      if (round === 0) start(bench, fetching)
      bench.pass(round === 0 ? 300 : 600)
    }
    expect(new Set(wishes(bench))).toEqual(new Set(['owner']))
  })

  it('waits for a host anew once that has granted something of use', () => {
    const bench = createBench()
    bench.replies.set('owner', { leaseAfterMs: 500 }).set('standby', {})
    start(bench, wish)
    bench.pass(limits.leaseStarvedMs + 1000)
    expect(silences(bench)).not.toEqual([])
    const lease = { id: 1, start: 9, end: 10, ttlMs: 1750 }
    for (const [held, isHelped, withinMs] of [
      [9, true, 2500],
      [8, false, limits.leaseStarvedMs - 2000],
    ] as const) {
      bench.items.set(digest, itemOf({ ...wish, ...having(100, [held]) }))
      bench.replies.set('owner', { lease })
      bench.pass(1000)
      silences(bench)
      bench.replies.set('owner', { leaseAfterMs: 500 })
      bench.pass(withinMs)
      expect(silences(bench).length > 0).toBe(isHelped)
    }
  })

  it('waits no longer where it asks peers in between, in vain', () => {
    const bench = createBench()
    bench.replies.set('owner', { leaseAfterMs: 100 }).set('standby', {})
    start(bench, wish)
    for (let waitedMs = 0; waitedMs < limits.leaseStarvedMs; waitedMs += 2000) {
      expect(silences(bench)).toEqual([])
      bench.items.set(digest, itemOf({ wants: false }))
      bench.pass(1000)
      bench.items.set(digest, itemOf(wish))
      bench.pass(1000)
    }
    bench.pass(1000)
    expect(silences(bench)).not.toEqual([])
  })

  it('waits anew once it has wished for nothing for as long', () => {
    const bench = createBench()
    bench.replies.set('owner', { leaseAfterMs: 500 }).set('standby', {})
    start(bench, wish)
    bench.items.set(digest, itemOf())
    bench.pass(limits.leaseStarvedMs + 1000)
    bench.items.set(digest, itemOf(wish))
    bench.pass(limits.leaseStarvedMs - 1000)
    expect(silences(bench)).toEqual([])
    bench.pass(2000)
    expect(silences(bench)).not.toEqual([])
  })

  it('waits as long as others may take for a chunk of that size', () => {
    const bench = createBench()
    bench.replies.set('owner', { leaseAfterMs: 500 }).set('standby', {})
    const size = 256 * GiB
    const waitMs = limits.chunkSizeMaxBytes / limits.leaseStarvedBytesPerMs
    expect(waitMs).toBeGreaterThan(limits.leaseStarvedMs)
    start(bench, { size, ...wish })
    bench.pass(waitMs - 1000)
    expect(silences(bench)).toEqual([])
    bench.pass(2000)
    expect(silences(bench)).not.toEqual([])
  })

  it('waits as usual for a host that is there again, though it was helped while there was none', () => {
    const bench = createBench()
    for (const host of ['owner', 'standby', 'third', 'fourth', 'fifth']) bench.replies.set(host, 'refuse')
    start(bench, wish)
    bench.pass(1000)
    expect(silences(bench)).not.toEqual([])
    for (const host of ['owner', 'standby']) bench.replies.set(host, { leaseAfterMs: 500 })
    bench.items.set(digest, itemOf({ ...wish, ...having(100, [9]) }))
    bench.pass(limits.hostSilentMs)
    silences(bench)
    bench.items.set(digest, itemOf({ ...wish, ...having(100, [9, 10]) }))
    bench.pass(limits.leaseStarvedMs - 1000)
    expect(silences(bench)).toEqual([])
  })

  it('waits for the longest pause that a host has told for its wish', () => {
    const bench = createBench()
    bench.replies.set('owner', { leaseAfterMs: 30 * second }).set('standby', {})
    start(bench, wish)
    bench.replies.set('owner', { leaseAfterMs: 500 })
    bench.pass(29_000)
    expect(silences(bench)).toEqual([])
    bench.pass(2000)
    expect(silences(bench)).not.toEqual([])
  })

  it('waits as long as a host says that the origin wants a pause, within bounds', () => {
    for (const [leaseAfterMs, waitMs] of [
      [30 * second, 30 * second],
      [hour, limits.limitedOriginMaxMs],
    ] as const) {
      const bench = createBench()
      bench.replies.set('owner', { leaseAfterMs }).set('standby', {})
      start(bench, wish)
      bench.pass(waitMs - 1000)
      expect(silences(bench)).toEqual([])
      bench.pass(2000)
      expect(silences(bench)).not.toEqual([])
    }
  })

  it('hears of the directory again once the members have found who follows', () => {
    const bench = createBench()
    for (const call of start(bench, wish)) bench.client.failed(call.id)
    failAll(bench)
    bench.hosts.of = () => ['self']
    bench.client.membersChanged()
    bench.client.tick()
    const [call] = bench.calls().filter(({ to }) => to === 'self')
    bench.client.answered(call!.id, answerTo(call!, { lease: { id: 1, start: 0, end: 4, ttlMs: 1750 } }))
    bench.items.set(digest, itemOf())
    bench.taken()
    bench.pass(400)
    expect(bench.taken()).toEqual([])
  })
})

it('waits for a host as long as that may need to answer all members', () => {
  const bench = createBench()
  bench.members = 5000
  bench.replies.set('standby', {})
  start(bench)
  bench.pass(limits.announceTimeoutMs + 5000 * limits.announceCostMs - 5)
  expect(bench.suspects).toEqual([])
  bench.pass(5)
  expect(bench.suspects).toEqual(['owner'])
})

it('names the nearest members, once, while a host is slow to answer', () => {
  const bench = createBench()
  const [owner] = start(bench, wish)
  bench.clock.advance(limits.announceSlowMs - 1)
  bench.client.tick()
  expect(bench.taken()).toEqual([])
  bench.clock.advance(1)
  bench.client.tick()
  const near = { type: 'directory', answer: { digest, peers: [{ ...addressOf('near'), complete: false }] } }
  expect(bench.taken()).toEqual([near, near])
  bench.client.answered(owner!.id, answerTo(owner!))
  expect(bench.taken()).toHaveLength(1)
  bench.pass(100)
  expect(bench.taken()).toEqual([])
})

it('names no members for what is merely held', () => {
  const bench = createBench()
  start(bench, { wants: false })
  bench.pass(500)
  expect(bench.taken()).toEqual([])
})

it('says when it next has something to do', () => {
  const bench = createBench()
  expect(bench.client.nextMs()).toBe(Number.POSITIVE_INFINITY)
  const calls = start(bench)
  expect(bench.client.nextMs()).toBe(bench.clock.now() + limits.announceSlowMs)
  bench.pass(limits.announceSlowMs)
  const patienceMs = limits.announceTimeoutMs + bench.members * limits.announceCostMs
  expect(bench.client.nextMs()).toBe(bench.clock.now() + patienceMs - limits.announceSlowMs)
  for (const call of calls) bench.client.answered(call.id, answerTo(call))
  expect(bench.client.nextMs()).toBe(bench.clock.now() + 500)
})

it('says so also after who asked while an answer was heeded', () => {
  const bench = createBench()
  const digests = [digestOf(1), digestOf(2)]
  for (const each of digests) bench.items.set(each, itemOf({ digest: each }))
  for (const each of digests) bench.client.announce(each, true)
  bench.client.tick()
  bench.onOutput = () => void bench.client.nextMs()
  const [toOwner, toStandby] = bench.calls()
  bench.client.answered(toOwner!.id, answerTo(toOwner!))
  const [first, other] = answerTo(toStandby!).items
  bench.client.answered(toStandby!.id, { items: [first!, { ...other!, announceAfterMs: 300 }] })
  expect(bench.client.nextMs()).toBe(bench.clock.now() + 300)
})

it('survives a host that answers for digests it was not asked about', () => {
  const bench = createBench()
  const [owner] = start(bench)
  bench.client.answered(owner!.id, answerTo(owner!, { digest: digestOf(9) }))
  expect(bench.taken()).toEqual([])
})

/** What is said in the next minute. The first host answers so, and the other that it knows the same. */
function nextMinute(bench: Bench, ofOwner: Partial<RosterAnswer> = {}): Call[] {
  const said: Call[] = []
  for (let passed = 0; passed < minute; passed += 1000) {
    bench.pass(1000)
    for (const call of bench.calls()) {
      said.push(call)
      if (call.request.asBefore === undefined) continue
      const roster = { isSame: true, announceAfterMs: minute, ...(call.to === 'owner' ? ofOwner : {}) }
      bench.client.answered(call.id, { items: [], roster })
    }
  }
  return said
}

describe('what is at rest', () => {
  const complete: Partial<AnnounceItem> = { have: { complete: true }, wants: false }
  const held = span(1, 4).map(digestOf)

  /** Three blobs are held, as owner and standby have heard. */
  function standing(): Bench {
    const bench = createBench()
    for (const host of ['owner', 'standby']) bench.replies.set(host, { announceAfterMs: minute })
    for (const one of held) {
      bench.items.set(one, itemOf({ ...complete, digest: one }))
      bench.client.announce(one, true)
    }
    bench.pass(5000)
    expect(bench.calls().map(({ to, request }) => [to, request.items.length])).toEqual([
      ['owner', 3],
      ['standby', 3],
    ])
    return bench
  }

  it('is said to be as before, in one line a host, with a sum that is told from another', () => {
    const bench = standing()
    bench.replies.clear()
    const said = nextMinute(bench)
    expect(said.map(({ to, request }) => [to, request.items, request.asBefore?.count])).toEqual([
      ['owner', [], 3],
      ['standby', [], 3],
    ])
    expect(said[0]?.request.asBefore).toEqual(said[1]?.request.asBefore)
    const other = createRoster()
    for (const number of [1, 2, 4]) other.add(digestOf(number))
    expect(said[0]?.request.asBefore).not.toEqual(other.sum())
  })

  it('is said so once a minute', () => {
    const bench = standing()
    bench.replies.clear()
    for (let minutes = 0; minutes < 3; minutes++)
      expect(nextMinute(bench).map(({ request }) => request.asBefore?.count)).toEqual([3, 3])
  })

  it('is not, where a host has another size for it', () => {
    const bench = createBench()
    bench.replies.set('owner', { announceAfterMs: minute, size: sizeOf(50) })
    bench.replies.set('standby', { announceAfterMs: minute })
    bench.items.set(digest, itemOf(complete))
    bench.client.announce(digest, true)
    bench.client.tick()
    bench.taken()
    bench.pass(minute + 5)
    expect(bench.calls().map(({ to, request }) => [to, request.items.length])).toEqual(
      expect.arrayContaining([
        ['owner', 1],
        ['standby', 0],
      ]),
    )
  })

  it('is told line by line to a host that does not know the same', () => {
    const bench = standing()
    bench.replies.clear()
    nextMinute(bench, { isSame: false })
    bench.replies.set('owner', { announceAfterMs: minute })
    bench.pass(2000)
    const said = bench.calls().filter(({ to }) => to === 'owner')
    expect(said.flatMap(({ request }) => request.items.map((item) => item.digest)).toSorted()).toEqual(held)
  })

  it('is less by what has changed, of which both hosts hear', () => {
    const bench = standing()
    const [changed, ...others] = held
    bench.items.set(changed!, itemOf({ digest: changed!, wants: true }))
    bench.client.announce(changed!, true)
    bench.pass(limits.announceStandbyMs + 5)
    const heard = bench.calls().filter(({ request }) => request.items.length > 0)
    expect(new Set(heard.map(({ to }) => to))).toEqual(new Set(['owner', 'standby']))
    bench.items.delete(changed!)
    bench.replies.clear()
    const sums = nextMinute(bench).flatMap(({ request }) => request.asBefore?.count ?? [])
    expect(sums).toEqual([others.length, others.length])
  })

  it('of a host that is asked to write a record in the DHT is one', () => {
    const bench = standing()
    bench.replies.clear()
    const provided: unknown[] = []
    for (let passed = 0; passed < minute; passed += 1000) {
      bench.pass(1000)
      for (const output of bench.taken()) {
        if (output.type === 'directory') provided.push(output.answer)
        if (output.type !== 'call') continue
        const roster = { isSame: true, announceAfterMs: minute, provide: held[1]! }
        bench.client.answered(output.id, { items: [], roster })
      }
    }
    provided.push(...bench.taken())
    expect(provided).toContainEqual({ digest: held[1], peers: [], provide: true })
  })

  it('is told anew spread over a second, and what is read at once', () => {
    const bench = createBench()
    const digests = span(0, 20).map(digestOf)
    for (const host of ['owner', 'standby']) bench.replies.set(host, { announceAfterMs: minute })
    for (const one of digests) {
      bench.items.set(one, itemOf(one === digest ? { digest: one } : { ...complete, digest: one }))
      bench.client.announce(one, true)
    }
    bench.pass(100)
    bench.taken()
    const told = (): Digest[] =>
      bench.calls().flatMap(({ to, request }) => (to === 'owner' ? request.items.map((item) => item.digest) : []))
    bench.client.renew()
    bench.client.tick()
    const atOnce = told()
    bench.pass(limits.retargetIdleMs / 2)
    const early = told()
    bench.pass(limits.retargetIdleMs / 2)
    const late = told()
    expect(atOnce).toContain(digest)
    expect(early.length).toBeGreaterThan(0)
    expect(late.length).toBeGreaterThan(0)
    expect([...atOnce, ...early, ...late].toSorted()).toEqual(digests.toSorted())
  })

  it('is told anew to hosts that took this agent for dead', () => {
    const bench = standing()
    bench.client.renew()
    bench.pass(limits.retargetIdleMs + 200)
    const said = bench.calls()
    for (const host of ['owner', 'standby']) {
      const items = said.filter(({ to }) => to === host).flatMap(({ request }) => request.items)
      expect(items.map((item) => item.digest).toSorted()).toEqual(held)
    }
  })
})
