import { array, assert, constantFrom, nat, oneof, property, record, uniqueArray } from 'fast-check'
import { describe, expect, it } from 'vitest'
import { limits } from '../../../core/limits.ts'
import { createSession } from '../../../core/swarm/session.ts'
import { allOf, bitsOf, createBench, digest, hashOf, sizeOf, span, type Bench } from './bench.ts'

function hint(peer: string, complete = true): { peer: string; addresses: string[]; complete: boolean } {
  return { peer, addresses: [`/ip4/10.0.0.1/tcp/5051/p2p/${peer}`], complete }
}

/** What is asked for comes, from the neighbour that has all: which chunks? */
function gain(bench: Bench): number[] {
  const requests = bench.told('request')
  for (const request of requests) bench.sends(request)
  bench.settle()
  return requests.map(({ index }) => index)
}

/** How often a leech dials another: at once, and after a moment. */
function dialsOf(self: string, peer: string): number[] {
  const bench = createBench({ self })
  bench.read()
  bench.answer({ peers: [hint(peer, false)] })
  const atOnce = bench.take('dial').length
  bench.pass(limits.dialLeftMs)
  return [atOnce, bench.take('dial').length]
}

describe('a session', () => {
  it('dials the peers that the directory names, as many as it needs', () => {
    const bench = createBench()
    bench.read()
    bench.answer({ peers: span(0, 60).map((number) => hint(`p${number}`)) })
    const dialed = bench.take('dial')
    expect(dialed).toHaveLength(limits.dialsMax)
    for (const { peer } of dialed.slice(0, 2)) bench.handle({ type: 'dial-failed', peer })
    for (const { peer } of dialed.slice(2)) bench.handle({ type: 'peer-connected', peer, address: peer })
    expect(bench.take('dial')).toHaveLength(limits.dialsMax)
  })

  it('dials others beside those that do not answer for long', () => {
    const bench = createBench()
    bench.read()
    bench.answer({ peers: span(0, 60).map((number) => hint(`p${number}`)) })
    const first = bench.take('dial')
    bench.pass(limits.dialHangsMs - limits.tickMs)
    expect(bench.take('dial')).toEqual([])
    bench.pass(limits.tickMs)
    const others = bench.take('dial')
    expect(others).toHaveLength(limits.dialsMax)
    expect(first).not.toContainEqual(others[0])
    for (const { peer } of first) bench.handle({ type: 'dial-failed', peer })
    expect(bench.take('dial')).toEqual([])
  })

  it('has no more dials open at a time than handshakes may be', () => {
    const bench = createBench()
    bench.read()
    bench.answer({ peers: span(0, 60).map((number) => hint(`p${number}`)) })
    bench.pass(limits.peerDialMs - limits.tickMs)
    expect(bench.take('dial')).toHaveLength(limits.peerHandshakesMax)
  })

  it('tells the directory when it has as many neighbours as it needs, while they bring something', () => {
    const bench = createBench()
    bench.read()
    for (const number of span(0, limits.neighboursAim - 1)) bench.joins(`p${number}`, [])
    expect(bench.swarm.announceState(digest)).not.toHaveProperty('isConnected')
    bench.joins('last', [])
    expect(bench.swarm.announceState(digest)).toMatchObject({ isConnected: true })
    bench.pass(limits.neighboursIdleMs)
    expect(bench.swarm.announceState(digest)).not.toHaveProperty('isConnected')
  })

  it('of a prefetch wants no more neighbours while anything comes: it only waits for its turn', () => {
    const bench = createBench()
    const ahead = digest.replaceAll('ab', 'cd') as typeof digest
    bench.read()
    bench.read({ digest: ahead, reader: 2, prefetch: true })
    for (const number of span(0, limits.neighboursAim)) bench.joins(`p${number}`, [], ahead)
    bench.joins('seed', span(0, 100))
    bench.pass(limits.neighboursIdleMs / 2)
    gain(bench)
    bench.pass(limits.neighboursIdleMs / 2)
    expect(bench.swarm.announceState(ahead)).toMatchObject({ isConnected: true })
    bench.pass(limits.neighboursIdleMs / 2)
    expect(bench.swarm.announceState(ahead)).not.toHaveProperty('isConnected')
  })

  it('chooses the same few of many whatever the digest', () => {
    const chosen = [digest, digest.replaceAll('ab', 'cd') as typeof digest].map((of) => {
      const bench = createBench({ limits: { dialsMax: 1000 } })
      bench.read({ digest: of })
      bench.answer({ digest: of, peers: span(0, 100).map((number) => hint(`p${number}`)) })
      return new Set(bench.take('dial').map(({ peer }) => peer))
    })
    expect(chosen[0]!.size).toBe(limits.neighboursAim)
    expect(chosen[0]).toEqual(chosen[1])
  })

  it('of two leeches that choose each other is dialed by one, and by the other when that has not come for a moment', () => {
    expect([dialsOf('a', 'b'), dialsOf('b', 'a')]).toEqual([
      [0, 1],
      [1, 0],
    ])
  })

  it('does not dial itself, nor at once a peer that could not be reached', () => {
    const bench = createBench()
    bench.read()
    bench.answer({ peers: [hint('self'), hint('a')] })
    expect(bench.take('dial').map(({ peer }) => peer)).toEqual(['a'])
    bench.handle({ type: 'dial-failed', peer: 'a' })
    bench.answer({})
    expect(bench.take('dial')).toEqual([])
    bench.pass(limits.dialBackoffMs - limits.tickMs)
    bench.answer({})
    expect(bench.take('dial')).toEqual([])
  })

  it('dials again whom it could not reach, or whose connection broke, when a while has passed, whatever the directory says', () => {
    const bench = createBench()
    bench.read()
    bench.answer({ peers: [hint('a')] })
    bench.handle({ type: 'dial-failed', peer: 'a' })
    bench.take('dial')
    bench.pass(limits.dialBackoffMs)
    expect(bench.take('dial').map(({ peer }) => peer)).toEqual(['a'])
    bench.joins('a', span(0, 100))
    bench.handle({ type: 'peer-disconnected', peer: 'a' })
    bench.pass(limits.dialBackoffMs - limits.tickMs)
    expect(bench.take('dial')).toEqual([])
    bench.pass(limits.tickMs)
    expect(bench.take('dial').map(({ peer }) => peer)).toEqual(['a'])
  })

  it('joins a named peer once they are connected', () => {
    const bench = createBench()
    bench.read()
    bench.answer({ peers: [hint('a')] })
    bench.handle({ type: 'peer-connected', peer: 'a', address: 'a' })
    expect(bench.told('join')).toEqual([{ type: 'join', digest, size: sizeOf(100), have: bitsOf(100, []), to: 'a' }])
  })

  it('answers a join by its own, once', () => {
    const bench = createBench()
    bench.handle({ type: 'held', digest, size: sizeOf(100), have: allOf(bench), complete: true })
    bench.joins('a', [3])
    bench.joins('a', [3, 4])
    expect(bench.told('join')).toEqual([{ type: 'join', digest, size: sizeOf(100), have: allOf(bench), to: 'a' }])
  })

  it('tells anew what it has whoever has lost a chunk, who was not told while it had it', () => {
    const bench = createBench({ chunks: 10 })
    bench.read()
    bench.joins('a', [3])
    bench.joins('seed', [3])
    expect(gain(bench)).toEqual([3])
    expect(bench.told('have', 'a')).toEqual([])
    bench.told('join')
    bench.joins('a', [])
    expect(bench.told('join')).toEqual([{ type: 'join', digest, size: sizeOf(10), have: bitsOf(10, [3]), to: 'a' }])
  })

  it('answers a join for what it neither holds nor wants, or knows in another size, by leaving', () => {
    const bench = createBench()
    bench.joins('a', [3])
    bench.read()
    bench.handle({ type: 'peer-connected', peer: 'b', address: 'b' })
    bench.says('b', { type: 'join', digest, size: sizeOf(99), have: bitsOf(99, []) })
    expect(bench.told('leave').map(({ to }) => to)).toEqual(['a', 'b'])
    expect(bench.take('ban')).toEqual([])
  })

  it('takes no more neighbours than it can bear', () => {
    const bench = createBench()
    bench.read()
    for (const number of span(0, 81)) bench.joins(`p${number}`, [])
    expect(bench.told('leave').map(({ to }) => to)).toEqual(['p80'])
    // Who is one may say anew what it has.
    bench.joins('p0', [3])
    expect(bench.told('leave')).toEqual([])
    expect(bench.told('request').map(({ index, to }) => [index, to])).toEqual([[3, 'p0']])
  })

  it('strikes at bitfields and claims that can not be', () => {
    const bench = createBench()
    bench.read()
    bench.handle({ type: 'peer-connected', peer: 'a', address: 'a' })
    bench.says('a', { type: 'join', digest, size: sizeOf(100), have: new Uint8Array(99) })
    bench.joins('a', [])
    bench.says('a', { type: 'have', digest, indices: [100] })
    expect(bench.take('ban')).toMatchObject([{ peer: 'a' }])
    bench.joins('a', [5])
    expect(bench.told('request')).toEqual([])
  })

  it('takes nothing of claims on chunks that no blob has, be it one or more than there are', () => {
    const bench = createBench({ chunks: 4 })
    bench.read()
    const claims = [[4], [-1], [0.5], [0, 0, 1, 1, 2]]
    for (const [number, indices] of claims.entries()) {
      bench.joins(`p${number}`, [])
      for (let strike = 0; strike < limits.strikesMax; strike++)
        bench.says(`p${number}`, { type: 'have', digest, indices })
    }
    expect(bench.take('ban').map(({ peer }) => peer)).toEqual(['p0', 'p1', 'p2', 'p3'])
    expect(bench.told('request')).toEqual([])
  })
})

describe('what a node gained', () => {
  it('is told at once after a pause, then in batches, and not to those who have it', () => {
    const bench = createBench({ chunks: 4 })
    bench.read()
    bench.joins('seed', span(0, 4))
    bench.joins('a', [])
    gain(bench)
    expect(bench.told('have', 'a').map(({ indices }) => indices.length)).toEqual([1])
    bench.pass(25)
    expect(bench.told('have', 'a').map(({ indices }) => indices.length)).toEqual([1])
    gain(bench)
    bench.pass(25)
    expect(bench.told('have', 'a').flatMap(({ indices }) => indices)).toHaveLength(2)
    expect(bench.told('have', 'seed')).toEqual([])
  })

  it('is told to those who have it by the word of a busy peer only, though that says so of all that they lack', () => {
    for (const has of [[], [1]]) {
      const bench = createBench({ chunks: 2 })
      bench.read()
      bench.joins('busy', [0])
      bench.joins('other', has)
      const request = bench.told('request', 'busy')[0]!
      bench.says('busy', { type: 'busy', id: request.id, try: ['other'] })
      bench.joins('seed', [0])
      for (const { id, index } of bench.told('request', 'other'))
        if (index === 0) bench.says('other', { type: 'busy', id, try: [] })
      bench.sends(bench.told('request', 'seed')[0]!)
      bench.settle()
      expect(bench.told('have')).toEqual([{ type: 'have', digest, indices: [0], to: 'other' }])
    }
  })

  it('is told later on a narrow link where many have it, and not to those who have it by then', () => {
    const bench = createBench({ chunks: 6 })
    bench.read()
    bench.joins('seed', span(0, 6))
    bench.joins('a', [])
    bench.pass(limits.linkSpanMs)
    gain(bench)
    bench.pass(limits.linkSpanMs)
    bench.told('have')
    const gained = gain(bench)
    bench.pass(2 * limits.tickMs)
    gained.push(...gain(bench))
    const told = bench.told('have', 'a').flatMap(({ indices }) => indices)
    expect(told).toEqual(gained.slice(0, 1))
    bench.says('a', { type: 'have', digest, indices: gained.slice(2) })
    bench.pass(limits.linkSpanMs)
    expect(bench.told('have')).toMatchObject([{ to: 'a', indices: gained.slice(1, 2) }])
  })

  it('is told to the last chunk, though the reader has gone', () => {
    const bench = createBench({ chunks: 2 })
    bench.read()
    bench.joins('seed', span(0, 2))
    bench.joins('a', [])
    gain(bench)
    bench.handle({ type: 'reader-closed', digest, reader: 1 })
    expect(bench.told('have', 'a').flatMap(({ indices }) => indices)).toHaveLength(2)
  })

  it('is taken back when the store lost it', () => {
    const bench = createBench({ chunks: 4 })
    bench.handle({ type: 'held', digest, size: sizeOf(4), have: allOf(bench), complete: true })
    bench.joins('a', [])
    bench.handle({ type: 'evicted', digest })
    expect(bench.told('leave', 'a')).toHaveLength(1)
    expect(bench.swarm.announceState(digest)).toMatchObject({ leaves: true })
  })
})

describe('chunks that the store lost while they are read', () => {
  it('are asked for again at once, of whoever has them', () => {
    const bench = createBench({ chunks: 2 })
    bench.read()
    bench.joins('seed', span(0, 2))
    gain(bench)
    gain(bench)
    expect(bench.told('request')).toEqual([])
    bench.handle({ type: 'evicted', digest })
    expect(new Set(bench.told('request', 'seed').map(({ index }) => index))).toEqual(new Set([0, 1]))
  })

  it('come anew without those that are being kept, of which the store tells when they are', () => {
    const bench = createBench({ chunks: 2 })
    bench.read()
    bench.joins('seed', span(0, 2))
    const [first, second] = bench.told('request')
    bench.sends(first!)
    bench.settle()
    bench.sends(second!)
    for (const { index } of bench.take('hash')) bench.handle({ type: 'hashed', digest, index, hash: hashOf(index) })
    const [kept] = bench.take('keep')
    bench.handle({ type: 'lost', digest, have: bitsOf(2, []) })
    bench.handle({ type: 'kept', digest, index: kept!.index, ok: true })
    expect(bench.swarm.progress(digest)).toMatchObject({ held: 1 })
    expect(bench.swarm.holds(digest, kept!.index)).toBe(true)
    expect(gain(bench)).toEqual([1 - kept!.index])
    expect(bench.swarm.progress(digest)).toMatchObject({ held: 2, complete: true })
  })

  it('make a proven blob one that must be proved again', () => {
    const bench = createBench({ chunks: 4 })
    bench.handle({ type: 'held', digest, size: sizeOf(4), have: allOf(bench), complete: true })
    bench.handle({ type: 'lost', digest, have: bitsOf(4, [0, 1, 2]) })
    expect(bench.swarm.progress(digest)).toMatchObject({ held: 3, complete: false })
  })

  it('are none where all is there', () => {
    const bench = createBench({ chunks: 4 })
    bench.handle({ type: 'held', digest, size: sizeOf(4), have: allOf(bench), complete: true })
    bench.handle({ type: 'lost', digest, have: allOf(bench) })
    expect(bench.swarm.progress(digest)).toMatchObject({ held: 4, complete: true })
  })
})

describe('a connection', () => {
  it('is let go when neither side has drawn on it for five seconds', () => {
    const bench = createBench({ chunks: 2 })
    bench.read()
    bench.joins('seed', span(0, 2))
    gain(bench)
    bench.pass(4000)
    expect(bench.take('release')).toEqual([])
    bench.pass(2000)
    expect(bench.take('release')).toEqual([{ type: 'release', peer: 'seed' }])
    bench.pass(6000)
    expect(bench.take('release')).toEqual([])
  })

  it('that is of no use to anybody is let go each time, not the first time only', () => {
    const bench = createBench()
    for (const round of [1, 2, 3]) {
      bench.handle({ type: 'peer-connected', peer: 'idle', address: 'idle' })
      bench.pass(6000)
      expect([round, bench.take('release')]).toEqual([round, [{ type: 'release', peer: 'idle' }]])
      bench.handle({ type: 'peer-disconnected', peer: 'idle' })
    }
  })

  it('is kept while the last chunk comes over it', () => {
    const bench = createBench({ chunks: 1 })
    bench.read()
    bench.joins('seed', [0])
    const [{ id } = { id: 0 }] = bench.told('request', 'seed')
    bench.sends({ to: 'seed', id, index: 0, offset: 0 }, { bytes: 1024 })
    for (let passedMs = 0; passedMs < 2 * limits.releaseAfterMs; passedMs += 500) {
      bench.handle({ type: 'frame', peer: 'seed', id, bytes: 1024 })
      bench.pass(500)
    }
    expect(bench.take('release')).toEqual([])
  })

  it('is kept while the last chunk comes over another, from where it may never come', () => {
    const bench = createBench({ chunks: 1 })
    bench.handle({ type: 'peer-connected', peer: 'seed', address: 'seed' })
    bench.pass(limits.releaseAfterMs - 500)
    bench.read()
    bench.joins('slow', [0])
    bench.says('seed', { type: 'join', digest, size: sizeOf(1), have: allOf(bench) })
    const [{ id, to } = { id: 0, to: '' }] = bench.told('request')
    expect(to).toBe('slow')
    bench.sends({ to, id, index: 0, offset: 0 }, { bytes: 1 })
    for (let passedMs = 0; passedMs < limits.crawlMs - 100; passedMs += 100) {
      bench.handle({ type: 'frame', peer: to, id, bytes: 1 })
      bench.pass(100)
    }
    expect(bench.told('request')).toEqual([])
    expect(bench.take('release')).toEqual([])
  })

  it('has time for the join that is on its way', () => {
    const bench = createBench({ chunks: 2 })
    bench.handle({ type: 'held', digest, size: sizeOf(2), have: allOf(bench), complete: true })
    bench.pass(10_000)
    bench.handle({ type: 'peer-connected', peer: 'leech', address: 'leech' })
    bench.pass(4000)
    bench.joins('leech', [])
    bench.pass(10_000)
    expect(bench.take('release')).toEqual([])
  })

  it('is kept for a peer that still lacks chunks', () => {
    const bench = createBench({ chunks: 2 })
    bench.handle({ type: 'held', digest, size: sizeOf(2), have: allOf(bench), complete: true })
    bench.joins('leech', [0])
    bench.pass(7000)
    expect(bench.take('release')).toEqual([])
    bench.says('leech', { type: 'have', digest, indices: [1] })
    bench.pass(6000)
    expect(bench.take('release')).toHaveLength(1)
  })
})

describe('a peer that is no member any more', () => {
  it('since it was found dead is let go at once, and what it was to send is asked of others', () => {
    const bench = createBench({ chunks: 2 })
    bench.read()
    bench.joins('dead', [0, 1])
    expect(bench.told('request', 'dead')).toHaveLength(2)
    bench.joins('other', [0, 1])
    bench.handle({ type: 'peer-gone', peer: 'dead', how: 'dead' })
    expect(bench.take('release')).toEqual([{ type: 'release', peer: 'dead' }])
    expect(bench.told('request', 'other')).toHaveLength(2)
  })

  it('since it left has two seconds to send what it has begun', () => {
    const bench = createBench({ chunks: 2 })
    bench.read()
    bench.joins('leaver', [0, 1])
    const [first, second] = bench.told('request')
    bench.handle({ type: 'peer-gone', peer: 'leaver', how: 'left' })
    bench.sends(first!)
    bench.sends(second!, { bytes: 1000 })
    bench.settle()
    expect(bench.take('release')).toEqual([])
    bench.pass(limits.uploadsEndMs + 1000)
    expect(bench.take('release')).toEqual([{ type: 'release', peer: 'leaver' }])
    expect(bench.swarm.progress(digest)).toMatchObject({ held: 1 })
  })

  it('and is one again keeps its connection', () => {
    const bench = createBench({ chunks: 2 })
    bench.handle({ type: 'held', digest, size: sizeOf(2), have: allOf(bench), complete: true })
    bench.joins('leaver', [])
    bench.handle({ type: 'peer-gone', peer: 'leaver', how: 'left' })
    bench.handle({ type: 'peer-came', peer: 'leaver' })
    bench.pass(10_000)
    expect(bench.take('release')).toEqual([])
  })

  it('since it left is not dialed for a directory that names it still, until it is one again', () => {
    const bench = createBench()
    bench.read()
    bench.handle({ type: 'peer-gone', peer: 'leaver', how: 'left' })
    bench.answer({ peers: [hint('leaver'), hint('other')] })
    expect(bench.take('dial').map(({ peer }) => peer)).toEqual(['other'])
    bench.handle({ type: 'peer-came', peer: 'leaver' })
    bench.answer({ peers: [hint('leaver')] })
    expect(bench.take('dial').map(({ peer }) => peer)).toEqual(['leaver'])
  })

  it('is not dialed, until it is one again: then at once', () => {
    const bench = createBench()
    bench.read()
    bench.answer({ peers: [hint('a'), hint('b')] })
    for (const { peer } of bench.take('dial')) bench.handle({ type: 'dial-failed', peer })
    bench.handle({ type: 'peer-gone', peer: 'a', how: 'dead' })
    expect(bench.take('release')).toEqual([])
    bench.pass(5000)
    bench.answer({})
    expect(bench.take('dial').map(({ peer }) => peer)).toEqual(['b'])
    bench.handle({ type: 'dial-failed', peer: 'b' })
    bench.handle({ type: 'peer-came', peer: 'b' })
    bench.answer({ peers: [hint('b')] })
    expect(bench.take('dial').map(({ peer }) => peer)).toEqual(['b'])
  })
})

describe('availability', () => {
  it('is the number of neighbours that hold a chunk, whatever they say in whatever order', () => {
    const peer = constantFrom('a', 'b', 'c')
    const act = oneof(
      record({ peer, join: uniqueArray(nat(9)) }),
      record({ peer, have: array(nat(9)) }),
      record({ peer, gone: constantFrom('leave', 'disconnect') }),
    )
    assert(
      property(array(act, { maxLength: 30 }), (acts) => {
        const bench = createBench({ chunks: 10, limits: { requestsPerPeer: 0 } })
        const holds = new Map<string, Set<number>>()
        bench.read({ prefetch: true })
        for (const one of acts) {
          if ('join' in one) {
            bench.joins(one.peer, one.join)
            holds.set(one.peer, new Set(one.join))
          } else if ('have' in one) {
            bench.says(one.peer, { type: 'have', digest, indices: one.have })
            for (const index of one.have) holds.get(one.peer)?.add(index)
          } else {
            if (one.gone === 'leave') bench.says(one.peer, { type: 'leave', digest })
            else bench.handle({ type: 'peer-disconnected', peer: one.peer })
            holds.delete(one.peer)
          }
        }
        const expected = span(0, 10).map((index) => [...holds.values()].filter((held) => held.has(index)).length)
        const position = expected.indexOf(0)
        const wish = bench.swarm.announceState(digest)?.lease
        expect(wish?.position ?? -1).toBe(position)
        expect(bench.swarm.progress(digest)?.neighbours).toBe(holds.size)
      }),
    )
  })
})

describe('a new session', () => {
  it('costs little: a node holds thousands', () => {
    const session = createSession(digest, sizeOf(500), 0)
    expect(session.have.byteLength + session.phase.byteLength + session.availability.byteLength).toBeLessThan(2000)
  })
})
