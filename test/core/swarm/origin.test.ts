import { describe, expect, it } from 'vitest'
import { limits } from '../../../core/limits.ts'
import { createPlaces } from '../../../core/members/places.ts'
import {
  bitsOf,
  comes,
  createAhead,
  createBench,
  createHolder,
  digest,
  fetched,
  firstChunks,
  entryOf,
  hashOf,
  lease,
  origin,
  sizeOf,
  span,
  wishOf,
  type Bench,
} from './bench.ts'

/** What a holder tells of the origin's silence that has lasted for a second, in which a peer sent so many frames each tick. */
function silenceAfterSecond(peerFramesPerTick: number): number | undefined {
  const { bench, fetch } = createHolder()
  bench.joins('a', span(4, 100))
  comes(bench, fetch, 0)
  for (let passedMs = 0; passedMs < 1000; passedMs += limits.tickMs) {
    for (let frame = 0; frame < peerFramesPerTick; frame++)
      bench.handle({ type: 'frame', peer: 'a', id: -1, bytes: limits.frameSizeBytes })
    bench.pass(limits.tickMs)
  }
  return bench.swarm.announceState(digest)?.silentMs
}

describe('a lease', () => {
  it('is fetched, and its chunks signed as this origin gave them', () => {
    const { bench, fetch } = createHolder()
    expect(bench.swarm.announceState(digest)?.fetching).toEqual([{ start: 0, end: 4 }])
    comes(bench, fetch, 0)
    expect(bench.take('hash')).toEqual([{ type: 'hash', digest, size: sizeOf(100), index: 0 }])
    bench.handle({ type: 'hashed', digest, index: 0, hash: 'f00' })
    expect(bench.take('keep')).toEqual([
      {
        type: 'keep',
        digest,
        size: sizeOf(100),
        index: 0,
        mayPass: true,
        entry: entryOf(sizeOf(100), 0, 'self', fetched, 'f00'),
      },
    ])
  })

  it('is told to be silent as long as nothing comes on a link that idles, and hardly while others fill it', () => {
    expect(silenceAfterSecond(0)).toBeGreaterThan(900)
    expect(silenceAfterSecond(1)).toBeLessThan(600)
  })

  it('is given back when all its chunks are kept, not before', () => {
    const { bench, fetch } = createHolder()
    for (const index of span(0, 4)) comes(bench, fetch, index)
    bench.handle({ type: 'origin-ended', digest, fetch })
    expect(bench.swarm.announceState(digest)).toMatchObject({ fetching: [{ start: 0, end: 4 }] })
    expect(bench.swarm.announceState(digest)?.released).toBeUndefined()
    bench.settle()
    expect(bench.swarm.announceState(digest)).toMatchObject({ fetching: [], released: [7] })
    bench.pass(2100)
    expect(bench.swarm.announceState(digest)?.released).toBeUndefined()
  })

  it('is not given back while what has come is being kept, though nobody reads here any more', () => {
    const { bench, fetch } = createHolder()
    comes(bench, fetch, 0)
    bench.handle({ type: 'reader-closed', digest, reader: 1 })
    expect(bench.swarm.announceState(digest)).toMatchObject({ fetching: [{ start: 0, end: 1 }] })
    expect(bench.swarm.announceState(digest)?.released).toBeUndefined()
    bench.settle()
    expect(bench.swarm.announceState(digest)).toMatchObject({
      have: { bits: bitsOf(100, [0]) },
      fetching: [],
      released: [7],
    })
  })

  it('is given back when the store says anew what it holds, which what was being kept is not', () => {
    const { bench, fetch } = createHolder()
    comes(bench, fetch, 0)
    bench.handle({ type: 'held', digest, size: sizeOf(100), have: bitsOf(100, [1]), complete: false })
    expect(bench.swarm.announceState(digest)).toMatchObject({ fetching: [], released: [7] })
  })

  it('is followed by the next without a gap', () => {
    const { bench, fetch } = createHolder()
    for (const index of span(0, 3)) comes(bench, fetch, index)
    expect(wishOf(bench)).toEqual({ chunks: firstChunks, position: 4 })
    bench.answer({ lease: { ...lease, id: 8, start: 4, end: 8 } })
    expect(bench.take('fetch-origin')).toEqual([])
    comes(bench, fetch, 3)
    bench.handle({ type: 'origin-ended', digest, fetch })
    expect(bench.take('fetch-origin')).toMatchObject([{ start: 4, end: 8, offset: 0 }])
  })

  it('does not cover what is here already', () => {
    const bench = createBench()
    bench.handle({
      type: 'held',
      digest,
      size: sizeOf(100),
      have: new Uint8Array(13).fill(0b0110, 0, 1),
      complete: false,
    })
    bench.read()
    bench.answer({ lease })
    expect(bench.take('fetch-origin')).toMatchObject([{ start: 0, end: 1 }])
  })

  it('that nobody here wants any more is given back at once', () => {
    const { bench, fetch } = createHolder()
    bench.handle({ type: 'reader-closed', digest, reader: 1 })
    expect(bench.take('stop-fetch')).toEqual([{ type: 'stop-fetch', digest, fetch }])
    expect(bench.swarm.announceState(digest)).toMatchObject({ leaves: true })
  })

  it('that others have by now is given back', () => {
    const { bench, fetch } = createHolder()
    bench.answer({ lost: [6] })
    expect(bench.take('stop-fetch')).toEqual([])
    bench.answer({ lost: [7] })
    expect(bench.take('stop-fetch')).toEqual([{ type: 'stop-fetch', digest, fetch }])
    expect(bench.swarm.announceState(digest)).toMatchObject({ fetching: [], released: [7] })
  })

  it('that another was granted before is given back, where it names a chunk that is still to come', () => {
    const { bench, fetch } = createHolder()
    comes(bench, fetch, 0)
    bench.settle()
    const others = [
      { start: 0, end: 1 },
      { start: 4, end: 9 },
    ]
    bench.answer({ contested: others })
    expect(bench.take('stop-fetch')).toEqual([])
    bench.answer({ contested: [{ start: 3, end: 4 }] })
    expect(bench.take('stop-fetch')).toEqual([{ type: 'stop-fetch', digest, fetch }])
    expect(bench.swarm.announceState(digest)).toMatchObject({ fetching: [], released: [7] })
  })

  it('that a reader insisted on goes on though another was granted it before', () => {
    const bench = createBench()
    bench.read()
    bench.joins('peer', [])
    bench.answer({ counts: new Uint8Array(100).fill(1) })
    bench.pass(limits.starvedMs + 100)
    bench.answer({ lease })
    expect(bench.take('fetch-origin')).toHaveLength(1)
    bench.answer({ contested: [{ start: 0, end: 4 }] })
    expect(bench.take('stop-fetch')).toEqual([])
  })

  it('that is granted twice is one', () => {
    const { bench, fetch } = createHolder()
    bench.answer({ lease })
    expect(bench.swarm.announceState(digest)).not.toHaveProperty('released')
    for (const index of span(0, 4)) comes(bench, fetch, index)
    bench.settle()
    expect(bench.swarm.announceState(digest)).toMatchObject({ fetching: [], released: [7] })
  })

  it('does not cover what is on its way from a peer, as long as peers starve nobody here', () => {
    const bench = createBench()
    bench.read()
    bench.joins('peer', [1])
    bench.answer({ lease })
    expect(bench.take('fetch-origin')).toMatchObject([{ start: 0, end: 1 }])
    expect(bench.swarm.announceState(digest)?.fetching).toEqual([
      { start: 0, end: 1 },
      { start: 2, end: 4 },
    ])
    expect(bench.told('cancel')).toEqual([])
  })

  it('covers what is on its way from peers that starve the reader; those that withheld what they have are told to', () => {
    const bench = createBench()
    bench.read()
    bench.answer({ counts: new Uint8Array(100).fill(1) })
    bench.joins('idle', [])
    bench.pass(limits.starvedMs - limits.stallMs)
    bench.joins('silent', [0])
    bench.joins('mistaken', [2])
    bench.pass(limits.stallMs - limits.tickMs)
    bench.joins('late', [1])
    const [late] = bench.told('request', 'late')
    bench.pass(limits.tickMs)
    bench.joins('mistaken', [])
    bench.told('cancel')
    bench.answer({ lease })
    expect(bench.told('cancel')).toEqual([{ type: 'cancel', id: late!.id, to: 'late' }])
    expect(bench.take('fetch-origin')).toMatchObject([{ start: 0, end: 4 }])
    expect(bench.swarm.announceState(digest)?.bans).toEqual(['silent'])
  })

  it('for which nobody reads any more is given back', () => {
    const bench = createBench()
    bench.handle({ type: 'held', digest, size: sizeOf(100), have: bitsOf(100, [9]), complete: false })
    bench.read()
    bench.handle({ type: 'reader-closed', digest, reader: 1 })
    bench.answer({ lease })
    expect(bench.take('fetch-origin')).toEqual([])
    expect(bench.swarm.announceState(digest)).toMatchObject({ fetching: [], released: [7] })
  })

  it('of what has come meanwhile is given back, and the next asked for at once', () => {
    const bench = createBench()
    bench.handle({ type: 'held', digest, size: sizeOf(100), have: bitsOf(100, span(0, 4)), complete: false })
    bench.read()
    bench.answer({ lease })
    expect(bench.swarm.announceState(digest)).toMatchObject({ fetching: [], released: [7] })
    expect(wishOf(bench)).toMatchObject({ position: 4 })
  })

  it('that was not insisted on does not make its reader less patient', () => {
    const { bench, fetch } = createHolder()
    bench.joins('peer', [])
    for (const index of span(0, 4)) comes(bench, fetch, index)
    bench.settle()
    bench.answer({ counts: new Uint8Array(100).fill(1) })
    bench.pass(limits.starvedMs - limits.tickMs)
    expect(wishOf(bench)).toBeUndefined()
    bench.pass(limits.tickMs)
    expect(wishOf(bench)).toMatchObject({ position: 4, insists: true })
  })

  it('that waits for its turn leaves to neighbours what they have gained meanwhile', () => {
    const { bench, fetch } = createHolder()
    bench.answer({ lease: { ...lease, id: 8, start: 4, end: 7 } })
    bench.joins('peer', [5])
    for (const index of span(0, 4)) comes(bench, fetch, index)
    bench.settle()
    expect(bench.take('fetch-origin')).toMatchObject([{ start: 4, end: 5 }])
    expect(bench.told('request')).toMatchObject([{ index: 5 }])
    expect(bench.swarm.announceState(digest)?.fetching).toEqual([
      { start: 4, end: 5 },
      { start: 6, end: 7 },
    ])
  })

  it('that waits for its turn is given back when neighbours have gained all of it', () => {
    const { bench, fetch } = createHolder()
    bench.answer({ lease: { ...lease, id: 8, start: 4, end: 6 } })
    bench.joins('peer', [4, 5])
    for (const index of span(0, 4)) comes(bench, fetch, index)
    expect(bench.take('fetch-origin')).toEqual([])
    expect(bench.swarm.announceState(digest)).toMatchObject({ released: [8], fetching: [{ start: 0, end: 4 }] })
  })

  it('that is insisted on leaves nothing to neighbours', () => {
    const bench = createBench()
    bench.read()
    bench.joins('peer', [])
    bench.answer({ counts: new Uint8Array(100).fill(1) })
    bench.pass(limits.starvedMs)
    bench.answer({ lease })
    bench.answer({ lease: { ...lease, id: 8, start: 4, end: 6 } })
    bench.says('peer', { type: 'have', digest, indices: [4] })
    for (const { fetch } of bench.take('fetch-origin')) for (const index of span(0, 4)) comes(bench, fetch, index)
    expect(bench.take('fetch-origin')).toMatchObject([{ start: 4, end: 6 }])
  })

  it('that is lost in the middle of a chunk leaves what has come of it, from which the next goes on', () => {
    const { bench, fetch } = createHolder()
    comes(bench, fetch, 0, 100_000)
    bench.answer({ lost: [7] })
    expect(bench.take('drop')).toEqual([])
    bench.answer({ lease: { ...lease, id: 8 } })
    expect(bench.take('fetch-origin')).toMatchObject([{ start: 0, end: 4, offset: 100_000 }])
  })

  it('is asked for as soon as the one before it has but a chunk to come', () => {
    const { bench, fetch } = createHolder()
    bench.take('announce')
    for (const index of [0, 1]) comes(bench, fetch, index)
    expect(bench.take('announce')).toEqual([])
    comes(bench, fetch, 2)
    expect(bench.take('announce')).toEqual([{ type: 'announce', digest, now: true }])
  })
})

const hasChunk = (bench: Bench): void => bench.joins('peer', [4])

function sendsChunk(bench: Bench): void {
  hasChunk(bench)
  bench.sends(bench.told('request')[0]!)
}

describe('a fetch', () => {
  it('that stalls is taken up where it was, under the same lease', () => {
    const { bench, fetch } = createHolder()
    bench.take('announce')
    comes(bench, fetch, 0, 100_000)
    expect(bench.take('announce')).toEqual([])
    bench.pass(1250)
    expect(bench.take('stop-fetch')).toHaveLength(1)
    comes(bench, fetch, 0, 16_384)
    const [again] = bench.take('fetch-origin')
    expect(again).toMatchObject({ start: 0, end: 4, offset: 100_000 })
    bench.take('announce')
    comes(bench, again!.fetch, 0, 16_384)
    expect(bench.take('announce'), 'before the lease lapses').toEqual([{ type: 'announce', digest, now: true }])
  })

  it('needs nothing of what a peer had sent of its chunks', () => {
    const bench = createBench()
    bench.read()
    bench.joins('peer', [1])
    bench.sends(bench.told('request', 'peer')[0]!, { bytes: 64 * 1024, hash: hashOf(99) })
    bench.handle({ type: 'peer-disconnected', peer: 'peer' })
    bench.answer({ lease })
    const { fetch } = bench.take('fetch-origin')[0]!
    for (const index of [0, 1]) comes(bench, fetch, index)
    bench.settle()
    expect(bench.swarm.progress(digest)?.held).toBe(2)
  })

  it('begins anew a chunk of which a peer had sent a part', () => {
    const bench = createBench()
    bench.read()
    bench.joins('peer', [1])
    bench.sends(bench.told('request', 'peer')[0]!, { bytes: 64 * 1024 })
    bench.handle({ type: 'peer-disconnected', peer: 'peer' })
    bench.answer({ lease: { ...lease, start: 1 } })
    expect(bench.take('drop')).toEqual([{ type: 'drop', digest, index: 1 }])
    expect(bench.take('fetch-origin')).toMatchObject([{ start: 1, end: 4, offset: 0 }])
  })

  it('begins while the one before it has as much to send as comes until its own first byte', () => {
    const { bench, fetch } = createHolder()
    bench.pass(75)
    // The first byte takes 75 ms, and 64 KiB come each 25 ms, so 192 KiB: half of the third chunk, and the fourth.
    comes(bench, fetch, 0, 1024)
    bench.pass(50)
    comes(bench, fetch, 0, 127 * 1024)
    bench.answer({ lease: { ...lease, id: 8, start: 4, end: 8 } })
    bench.pass(50)
    comes(bench, fetch, 1)
    comes(bench, fetch, 2, 63 * 1024)
    expect(bench.take('fetch-origin')).toEqual([])
    comes(bench, fetch, 2, 1024)
    expect(bench.take('fetch-origin')).toMatchObject([{ start: 4, end: 8 }])
  })

  it('has two seconds for its first byte, then twice that', () => {
    const { bench } = createHolder()
    bench.pass(1975)
    expect(bench.take('stop-fetch')).toEqual([])
    bench.pass(25)
    expect(bench.take('stop-fetch')).toHaveLength(1)
    bench.pass(3950)
    expect(bench.take('stop-fetch')).toEqual([])
    bench.pass(100)
    expect(bench.take('stop-fetch')).toHaveLength(1)
  })

  it('that nothing comes of three times is given up, and begun again by another lease after a moment', () => {
    const { bench } = createHolder()
    bench.joins('peer', [])
    bench.pass(2000 + 4000 + 8000 - limits.tickMs)
    expect(bench.take('stop-fetch')).toHaveLength(2)
    bench.pass(limits.tickMs)
    expect(bench.take('stop-fetch')).toHaveLength(1)
    expect(bench.swarm.announceState(digest)).toMatchObject({ fetching: [], released: [7], originFails: true })
    bench.pass(limits.originBackoffMs - limits.tickMs)
    expect(wishOf(bench)).toBeUndefined()
    bench.pass(limits.tickMs)
    expect(wishOf(bench)).toBeDefined()
  })

  it('that fails is tried again after 200 to 600 ms, then after twice that; chance spreads those that failed at once', () => {
    const bench = createBench()
    bench.read()
    bench.answer({ lease: { ...lease, end: 100 } })
    let id = bench.take('fetch-origin')[0]!.fetch
    function failsFor(): number {
      bench.handle({ type: 'origin-ended', digest, fetch: id, failure: { kind: 'unavailable' } })
      let waitedMs = 0
      let again: { fetch: number } | undefined
      for (; again === undefined; waitedMs += limits.tickMs) {
        bench.pass(limits.tickMs)
        ;[again] = bench.take('fetch-origin')
      }
      id = again.fetch
      return waitedMs
    }
    const waits = span(0, 50).map((index) => {
      const both = [failsFor(), failsFor()]
      comes(bench, id, index)
      return both
    })
    for (const [nth, leastMs] of [200, 400].entries()) {
      const ms = waits.map((both) => both[nth]!)
      expect([Math.min(...ms), Math.max(...ms)]).toEqual([leastMs + limits.tickMs, 3 * leastMs])
    }
  })

  it.each([
    [limits.stallMs, 2],
    [limits.stallMs + 1, 0],
  ])('that is to be tried again after %i ms is so %i times', (retryAfterMs, times) => {
    const { bench, fetch } = createHolder()
    bench.joins('peer', [])
    let id: number | undefined = fetch
    let tries = -1
    for (; id !== undefined; tries++) {
      bench.handle({ type: 'origin-ended', digest, fetch: id, failure: { kind: 'unavailable', retryAfterMs } })
      bench.pass(1.5 * retryAfterMs)
      id = bench.take('fetch-origin')[0]?.fetch
    }
    expect(tries).toBe(times)
    expect(bench.swarm.announceState(digest)).toMatchObject({ fetching: [] })
  })

  it('that fails three times gives its lease back and leaves the origin alone for a while', () => {
    const { bench, fetch } = createHolder()
    let id = fetch
    for (let round = 0; round < 3; round++) {
      bench.handle({ type: 'origin-ended', digest, fetch: id, failure: { kind: 'unavailable' } })
      bench.pass(1500)
      id = bench.take('fetch-origin')[0]?.fetch ?? -1
    }
    expect(id).toBe(-1)
    expect(bench.swarm.announceState(digest)).toMatchObject({ fetching: [], released: [7] })
  })

  it('that has brought a chunk is tried as often again', () => {
    const { bench, fetch } = createHolder()
    const fails = (id: number): number => {
      bench.handle({ type: 'origin-ended', digest, fetch: id, failure: { kind: 'unavailable' } })
      bench.pass(1500)
      return bench.take('fetch-origin')[0]!.fetch
    }
    const third = fails(fails(fetch))
    comes(bench, third, 0)
    bench.settle()
    fails(fails(third))
    expect(bench.swarm.announceState(digest)).toMatchObject({ fetching: [{ start: 1, end: 4 }] })
  })

  it('that ends between two chunks is followed at once by one for the rest', () => {
    const { bench, fetch } = createHolder()
    comes(bench, fetch, 0)
    bench.handle({ type: 'origin-ended', digest, fetch })
    expect(bench.take('fetch-origin')).toMatchObject([{ start: 1, end: 4, offset: 0 }])
  })

  it.each([0, 1000])('that ends after %i bytes of a chunk as if it were whole is given up', (bytes) => {
    const { bench, fetch } = createHolder()
    bench.joins('peer', [])
    if (bytes > 0) comes(bench, fetch, 0, bytes)
    bench.handle({ type: 'origin-ended', digest, fetch })
    expect(bench.take('fetch-origin')).toEqual([])
    expect(bench.swarm.announceState(digest)).toMatchObject({ fetching: [], released: [7] })
    expect(wishOf(bench)).toBeUndefined()
  })

  it.each(['rate-limited', 'unavailable'] as const)(
    'that the origin asked for a pause is told to the directory, and the origin left alone: %s',
    (kind) => {
      const { bench, fetch } = createHolder()
      bench.joins('peer', [])
      bench.handle({ type: 'origin-ended', digest, fetch, failure: { kind, retryAfterMs: 9000 } })
      expect(bench.swarm.announceState(digest)).toMatchObject({ released: [7], originRetryAfterMs: 9000 })
      expect(wishOf(bench)).toBeUndefined()
      bench.pass(9000)
      expect(wishOf(bench)).toBeDefined()
    },
  )

  it('that the origin asked for a pause of no time is given back, and the origin left alone for a moment', () => {
    const { bench, fetch } = createHolder()
    bench.joins('peer', [])
    bench.handle({ type: 'origin-ended', digest, fetch, failure: { kind: 'rate-limited', retryAfterMs: 0 } })
    bench.pass(limits.originBackoffMs - limits.tickMs)
    expect(wishOf(bench)).toBeUndefined()
    bench.pass(limits.tickMs)
    expect(wishOf(bench)).toBeDefined()
  })

  it('that the origin does not answer this node is told, for a while or until it does; no pause for all', () => {
    const { bench, fetch } = createHolder()
    bench.joins('peer', [])
    let id = fetch
    for (let round = 0; round < 3; round++) {
      bench.handle({ type: 'origin-ended', digest, fetch: id, failure: { kind: 'unavailable' } })
      bench.pass(1500)
      id = bench.take('fetch-origin')[0]?.fetch ?? -1
    }
    expect(bench.swarm.announceState(digest)).not.toHaveProperty('originRetryAfterMs')
    expect(bench.swarm.announceState(digest)).toMatchObject({ originFails: true })
    bench.pass(limits.sickOriginMs)
    expect(bench.swarm.announceState(digest)).not.toHaveProperty('originFails')
  })

  it('whose bytes come again is not told to fail any more', () => {
    const { bench, fetch } = createHolder()
    bench.joins('peer', [])
    bench.handle({ type: 'origin-ended', digest, fetch, failure: { kind: 'unavailable', retryAfterMs: 5000 } })
    expect(bench.swarm.announceState(digest)).toMatchObject({ originFails: true })
    bench.pass(5000)
    bench.answer({ lease: { ...lease, id: 8 } })
    comes(bench, bench.take('fetch-origin')[0]!.fetch, 0, 1024)
    expect(bench.swarm.announceState(digest)).not.toHaveProperty('originFails')
  })

  it('that was refused ends the readers, unless peers may have the blob', () => {
    const { bench, fetch } = createHolder()
    bench.joins('peer', [99])
    bench.handle({ type: 'origin-ended', digest, fetch, failure: { kind: 'refused' } })
    bench.pass(3000)
    expect(bench.take('fail')).toEqual([])
    bench.says('peer', { type: 'leave', digest })
    bench.pass(25)
    expect(bench.take('fail')).toEqual([{ type: 'fail', digest, origin, failure: { kind: 'refused' } }])
    expect(bench.swarm.stats()).toMatchObject({ readers: 0, sessions: 0 })
  })

  it('that was refused stays so though a fetch from before ends well: its readers end at once', () => {
    const { bench, fetch } = createAhead(200 * 1024)
    bench.pass(25)
    const ahead = bench.take('fetch-origin')[0]!.fetch
    bench.handle({ type: 'origin-ended', digest, fetch: ahead, failure: { kind: 'refused' } })
    comes(bench, fetch, 3, 56 * 1024)
    bench.handle({ type: 'origin-ended', digest, fetch })
    bench.settle()
    bench.pass(50)
    expect(bench.take('fail')).toEqual([{ type: 'fail', digest, origin, failure: { kind: 'refused' } }])
  })

  it('that was refused is forgotten once a reader comes with a credential of its own, and not for a prefetch', () => {
    const { bench, fetch } = createHolder()
    bench.joins('peer', [99])
    bench.handle({ type: 'origin-ended', digest, fetch, failure: { kind: 'refused' } })
    bench.read({ reader: 2, prefetch: true })
    expect(wishOf(bench)).toBeUndefined()
    bench.read({ reader: 3 })
    expect(wishOf(bench)).toMatchObject({ position: 0 })
  })

  it('that was refused leaves the origin alone for half a minute, which is not told to fail', () => {
    const { bench, fetch } = createHolder()
    bench.answer({ counts: new Uint8Array(100).fill(1, 99) })
    bench.handle({ type: 'origin-ended', digest, fetch, failure: { kind: 'refused' } })
    expect(bench.swarm.announceState(digest)).not.toHaveProperty('originFails')
    bench.pass(limits.originRefusedMs - limits.tickMs)
    expect(wishOf(bench)).toBeUndefined()
    bench.pass(limits.tickMs)
    expect(wishOf(bench)).toBeDefined()
  })

  it('that was refused ends nobody any more once a reader has come with a credential of its own, nor counts as a failure', () => {
    const { bench, fetch } = createHolder()
    bench.handle({ type: 'origin-ended', digest, fetch, failure: { kind: 'refused' } })
    bench.read({ reader: 2 })
    bench.pass(limits.tickMs)
    expect(bench.take('fail')).toEqual([])
    bench.answer({ lease })
    const [again] = bench.take('fetch-origin')
    bench.handle({
      type: 'origin-ended',
      digest,
      fetch: again!.fetch,
      failure: { kind: 'rate-limited', retryAfterMs: 5000 },
    })
    bench.pass(limits.tickMs)
    expect(bench.take('fail')).toEqual([])
  })

  it('that was refused is forgotten once one ends well', () => {
    const { bench, fetch } = createHolder()
    bench.answer({ counts: new Uint8Array(100).fill(1, 99) })
    bench.handle({ type: 'origin-ended', digest, fetch, failure: { kind: 'refused' } })
    bench.pass(limits.originRefusedMs)
    bench.answer({ lease })
    const [again] = bench.take('fetch-origin')
    for (const index of span(0, 4)) comes(bench, again!.fetch, index)
    bench.settle()
    bench.handle({ type: 'origin-ended', digest, fetch: again!.fetch })
    bench.answer({ counts: new Uint8Array(100) })
    bench.pass(limits.hopelessAfterMs)
    expect(bench.take('fail')).toEqual([])
  })

  it('that ends well makes the next failure the first, also while the origin is left alone since another failed', () => {
    const { bench, fetch } = createAhead(200 * 1024)
    bench.pass(limits.tickMs)
    const failure = { kind: 'rate-limited', retryAfterMs: 3000 } as const
    bench.handle({ type: 'origin-ended', digest, fetch: bench.take('fetch-origin')[0]!.fetch, failure })
    comes(bench, fetch, 3, 56 * 1024)
    bench.handle({ type: 'origin-ended', digest, fetch })
    bench.settle()
    bench.pass(3000)
    bench.answer({ lease: { ...lease, id: 9, start: 4, end: 8 } })
    bench.handle({ type: 'origin-ended', digest, fetch: bench.take('fetch-origin')[0]!.fetch, failure })
    bench.pass(limits.tickMs)
    expect(bench.take('fail')).toEqual([])
  })

  it.each<[string, (bench: Bench) => void, number]>([
    ['nothing', () => undefined, 1],
    ['asked of a peer', hasChunk, 0],
    ['being hashed', sendsChunk, 0],
    [
      'being kept',
      (bench) => {
        sendsChunk(bench)
        bench.handle({ type: 'hashed', digest, index: 4, hash: hashOf(4) })
      },
      0,
    ],
    [
      'kept, and had by a peer',
      (bench) => {
        sendsChunk(bench)
        bench.settle()
      },
      1,
    ],
    ['held by others', (bench) => bench.answer({ counts: new Uint8Array(100).fill(1, 4, 5) }), 0],
  ])('that was refused where what is to come is %s', (_what, has, ended) => {
    const { bench, fetch } = createHolder({ limits: { stallMs: 1e6, crawlMaxMs: 1e6 } })
    has(bench)
    bench.handle({ type: 'origin-ended', digest, fetch, failure: { kind: 'refused' } })
    bench.pass(limits.hopelessAfterMs)
    expect(bench.take('fail')).toHaveLength(ended)
  })

  it('of a node alone, which holds a part, ends its readers once the origin is gone; who comes after a while asks it again', () => {
    const { bench, fetch } = createHolder()
    comes(bench, fetch, 0)
    bench.settle()
    const failure = { kind: 'unavailable', retryAfterMs: 2000 } as const
    bench.handle({ type: 'origin-ended', digest, fetch, failure })
    bench.pass(2000)
    bench.answer({ lease: { ...lease, id: 8 } })
    bench.handle({ type: 'origin-ended', digest, fetch: bench.take('fetch-origin')[0]!.fetch, failure })
    bench.pass(25)
    expect(bench.take('fail')).toMatchObject([{ failure }])
    bench.read({ reader: 2 })
    bench.pass(25)
    expect(bench.take('fail')).toMatchObject([{ failure }])
    bench.pass(1950)
    bench.read({ reader: 3 })
    bench.pass(25)
    expect(bench.take('fail')).toEqual([])
    expect(wishOf(bench)).toMatchObject({ position: 1 })
    bench.answer({ lease: { ...lease, id: 9, start: 1 } })
    bench.handle({ type: 'origin-ended', digest, fetch: bench.take('fetch-origin')[0]!.fetch, failure })
    bench.pass(25)
    expect(bench.take('fail')).toMatchObject([{ failure }])
  })

  it('of a node alone ends its readers at once when refused', () => {
    const { bench, fetch } = createHolder()
    bench.handle({ type: 'origin-ended', digest, fetch, failure: { kind: 'refused' } })
    bench.pass(25)
    expect(bench.take('fail')).toHaveLength(1)
  })

  it('whose origin ignores Range takes everything that is missing', () => {
    const { bench, fetch } = createHolder()
    bench.handle({ type: 'origin-unranged', digest, fetch })
    const fetching = [{ start: 0, end: 100 }]
    expect(bench.swarm.announceState(digest)).toMatchObject({ unranged: true, wants: true, fetching })
    for (const index of span(0, 100)) comes(bench, fetch, index)
    bench.handle({ type: 'origin-ended', digest, fetch })
    bench.settle()
    expect(bench.swarm.progress(digest)).toMatchObject({ held: 100, complete: true })
  })

  it('whose origin ignores Range is told at once, and begins anew', () => {
    const { bench, fetch } = createHolder()
    comes(bench, fetch, 0, 100_000)
    bench.pass(1250)
    const [again] = bench.take('fetch-origin')
    expect(again).toMatchObject({ offset: 100_000 })
    bench.take('announce')
    bench.handle({ type: 'origin-unranged', digest, fetch })
    expect(bench.take('announce'), 'of a fetch that was stopped').toEqual([])
    bench.handle({ type: 'origin-unranged', digest, fetch: again!.fetch })
    expect(bench.take('announce')).toEqual([{ type: 'announce', digest, now: true }])
    expect(bench.take('drop')).toEqual([{ type: 'drop', digest, index: 0 }])
    comes(bench, again!.fetch, 0, limits.chunkSizeMinBytes - 1)
    expect(bench.take('hash')).toEqual([])
    comes(bench, again!.fetch, 0, 1)
    expect(bench.take('hash')).toMatchObject([{ index: 0 }])
  })

  it.each(['here', 'named', 'behind a border'])(
    'whose origin ignores Range is given up where others %s may hold leases too',
    (where) => {
      const places = createPlaces(where === 'behind a border' ? 'zone' : 'none', () => ({ zone: 'own' }))
      const { bench, fetch } = createHolder({ places })
      if (where === 'here') bench.joins('peer', [])
      if (where === 'named') bench.answer({ peers: [{ peer: 'peer', addresses: [], complete: false }] })
      bench.handle({ type: 'origin-unranged', digest, fetch })
      expect(bench.take('stop-fetch')).toHaveLength(1)
      expect(bench.swarm.announceState(digest)).toMatchObject({
        unranged: true,
        released: [7],
        lease: { chunks: 100, position: 0 },
      })
    },
  )
})

it('an origin that ignores Range is left alone by each lease until one grants the whole blob', () => {
  const bench = createBench()
  bench.read()
  bench.joins('peer', [])
  bench.answer({ lease })
  bench.answer({ lease: { ...lease, id: 8, start: 4, end: 8 } })
  const [first] = bench.take('fetch-origin')
  bench.handle({ type: 'origin-unranged', digest, fetch: first!.fetch })
  bench.pass(25)
  const [second] = bench.take('fetch-origin')
  bench.handle({ type: 'origin-unranged', digest, fetch: second!.fetch })
  expect(bench.take('stop-fetch')).toHaveLength(2)
  bench.answer({ lease: { ...lease, id: 9, start: 0, end: 100 } })
  const [whole] = bench.take('fetch-origin')
  bench.handle({ type: 'origin-unranged', digest, fetch: whole!.fetch })
  expect(bench.take('stop-fetch')).toEqual([])
  expect(bench.swarm.announceState(digest)?.fetching).toEqual([{ start: 0, end: 100 }])
})

it('an origin that ignores Range sends with the whole blob what an earlier lease waits to fetch again', () => {
  const { bench, fetch } = createHolder()
  bench.joins('peer', [])
  bench.handle({ type: 'origin-ended', digest, fetch, failure: { kind: 'unavailable' } })
  bench.answer({ lease: { ...lease, id: 8, start: 0, end: 100 } })
  const [whole] = bench.take('fetch-origin')
  bench.handle({ type: 'origin-unranged', digest, fetch: whole!.fetch })
  expect(bench.swarm.announceState(digest)).toMatchObject({ released: [7], fetching: [{ start: 0, end: 100 }] })
  for (const index of span(0, 100)) comes(bench, whole!.fetch, index)
  bench.pass(1500)
  expect(bench.take('fetch-origin')).toEqual([])
  bench.settle()
  expect(bench.swarm.progress(digest)).toMatchObject({ complete: true })
})

it('an origin that ignores Range sends with the whole blob what it was asked for at the same time', () => {
  const { bench, fetch } = createHolder()
  // As late to begin as it is fast: the next fetch begins before this one has brought anything.
  bench.pass(500)
  comes(bench, fetch, 0)
  bench.pass(25)
  for (const index of span(1, 4)) comes(bench, fetch, index)
  bench.settle()
  bench.answer({ lease: { ...lease, id: 8, start: 4, end: 8 } })
  bench.answer({ lease: { ...lease, id: 9, start: 8, end: 12 } })
  const [one, other] = bench.take('fetch-origin')
  bench.handle({ type: 'origin-unranged', digest, fetch: one!.fetch })
  expect(bench.take('stop-fetch')).toMatchObject([{ fetch: other!.fetch }])
  expect(bench.swarm.announceState(digest)).toMatchObject({ released: [7, 9], fetching: [{ start: 4, end: 100 }] })
  for (const index of span(0, 100)) comes(bench, one!.fetch, index)
  bench.settle()
  expect(bench.swarm.progress(digest)).toMatchObject({ complete: true })
})

it('an origin that ignores Range sends no more of a blob once what was missing is here', () => {
  const bench = createBench()
  bench.handle({ type: 'held', digest, size: sizeOf(100), have: bitsOf(100, span(4, 100)), complete: false })
  bench.read()
  bench.answer({ lease: { ...lease, start: 0, end: 100 } })
  const [whole] = bench.take('fetch-origin')
  bench.handle({ type: 'origin-unranged', digest, fetch: whole!.fetch })
  for (const index of span(0, 4)) comes(bench, whole!.fetch, index)
  expect(bench.take('stop-fetch')).toEqual([])
  bench.settle()
  expect(bench.take('stop-fetch')).toMatchObject([{ fetch: whole!.fetch }])
})

it('an origin that ignores Range sends what comes before the lease as well, and is asked for the first that is missing where that breaks off', () => {
  const bench = createBench()
  bench.read()
  bench.joins('gone', [2])
  bench.sends(bench.told('request')[0]!, { bytes: 1000 })
  bench.answer({ lease: { ...lease, start: 4, end: 8 } })
  bench.handle({ type: 'peer-disconnected', peer: 'gone' })
  const fetch = ignoresRange(bench)
  expect(bench.take('drop')).toEqual([{ type: 'drop', digest, index: 2 }])
  comes(bench, fetch, 0)
  comes(bench, fetch, 1)
  bench.handle({ type: 'origin-ended', digest, fetch, failure: { kind: 'unavailable' } })
  bench.pass(1500)
  expect(bench.take('fetch-origin')).toMatchObject([{ start: 2, end: 100, offset: 0 }])
})

it('an origin that ignores Range sends what is here as well, which is dropped once it has passed', () => {
  const bench = createBench()
  bench.handle({ type: 'held', digest, size: sizeOf(100), have: bitsOf(100, [1]), complete: false })
  bench.read()
  bench.answer({ lease: { ...lease, end: 1 } })
  const fetch = ignoresRange(bench)
  comes(bench, fetch, 0)
  comes(bench, fetch, 1, limits.chunkSizeMinBytes - 1)
  expect(bench.take('drop')).toEqual([])
  comes(bench, fetch, 1, 1)
  expect(bench.take('drop')).toEqual([{ type: 'drop', digest, index: 1 }])
})

it("an origin that ignores Range sends what a peer is sending as well: that one is to stop, and the chunk is the origin's", () => {
  const bench = createBench()
  bench.read()
  bench.joins('peer', [1])
  const [request] = bench.told('request')
  bench.answer({ lease: { ...lease, end: 100 } })
  const fetch = ignoresRange(bench)
  bench.sends(request!, { bytes: 64 * 1024 })
  comes(bench, fetch, 0)
  comes(bench, fetch, 1)
  expect(bench.told('cancel')).toMatchObject([{ id: request!.id }])
  for (const { index } of bench.take('hash')) bench.handle({ type: 'hashed', digest, index, hash: hashOf(index) })
  expect(bench.take('keep').map(({ entry, index }) => [index, entry.signer])).toEqual([
    [0, 'self'],
    [1, 'self'],
  ])
})

interface Beside {
  readonly sends: number
  readonly gains: number
  /** What others had before, as the directory says. */
  readonly had?: readonly number[]
}

/** An origin that ignores Range is sending a chunk, and a neighbour gains one meanwhile. */
function createBeside({ gains, had = [], sends }: Beside): { bench: Bench; fetch: number } {
  const bench = createBench()
  bench.read()
  bench.joins('peer', [])
  const counts = Uint8Array.from(span(0, 100), (index) => Number(had.includes(index)))
  bench.answer({ counts, lease: { ...lease, end: 100 } })
  const fetch = ignoresRange(bench)
  for (const index of span(0, sends)) comes(bench, fetch, index)
  comes(bench, fetch, sends, 1024)
  bench.says('peer', { type: 'have', digest, indices: [gains] })
  bench.pass(25)
  return { bench, fetch }
}

/** No directory answers, and the origin begins to send all of the blob. */
function beginWhole(bench: Bench): number {
  bench.handle({ type: 'directory-silent', digest })
  return ignoresRange(bench)
}

function ignoresRange(bench: Bench): number {
  const { fetch } = bench.take('fetch-origin')[0]!
  bench.handle({ type: 'origin-unranged', digest, fetch })
  return fetch
}

/** The neighbour had the chunk first, and the rest was left to it. */
function createOutrun(): Bench {
  const { bench, fetch } = createBeside({ sends: 4, gains: 4 })
  comes(bench, fetch, 4)
  bench.settle()
  expect(bench.take('stop-fetch')).toMatchObject([{ fetch }])
  return bench
}

describe('an origin that ignores Range, which sends the blob here and to a neighbour', () => {
  it('is asked for no more once a chunk has come from who is ahead', () => {
    const { bench, fetch } = createBeside({ sends: 3, gains: 9 })
    const [request] = bench.told('request')
    expect(request?.index).toBe(9)
    expect(bench.take('stop-fetch')).toEqual([])
    bench.sends(request!)
    bench.settle()
    bench.pass(25)
    expect(bench.take('stop-fetch')).toMatchObject([{ fetch }])
    expect(bench.swarm.progress(digest)).toMatchObject({ held: 4 })
  })

  it.each([
    ['goes on where that chunk was there before, as of one who had a part sent', span(0, 10), []],
    [
      'as before where the directory says that all was there, and yet had this node fetch it',
      span(0, 100),
      [{ fetch: 1 }],
    ],
  ])('%s', (_what, had, stopped) => {
    const { bench, fetch } = createBeside({ sends: 3, gains: 9, had })
    for (const request of bench.told('request')) bench.sends(request)
    bench.settle()
    bench.pass(25)
    expect(bench.take('stop-fetch')).toMatchObject(stopped.map(() => ({ fetch })))
  })

  it('goes on where that one is a word without a chunk', () => {
    const { bench, fetch } = createBeside({ sends: 3, gains: 9 })
    for (const index of [3, 4, 5, 6, 7, 8, 9]) comes(bench, fetch, index)
    bench.settle()
    bench.pass(25)
    expect(bench.take('stop-fetch')).toEqual([])
    expect(bench.swarm.progress(digest)).toMatchObject({ held: 10 })
  })

  it('is not said to send what was left to that one, and sends it all the same if nothing comes of that', () => {
    const { bench, fetch } = createBeside({ sends: 3, gains: 9 })
    expect(bench.swarm.announceState(digest)?.fetching).toEqual([
      { start: 0, end: 9 },
      { start: 10, end: 100 },
    ])
    bench.says('peer', { type: 'leave', digest })
    for (const index of span(3, 9)) comes(bench, fetch, index)
    comes(bench, fetch, 9, 1024)
    bench.settle()
    bench.handle({ type: 'origin-ended', digest, fetch, failure: { kind: 'unavailable' } })
    expect(bench.swarm.announceState(digest)?.fetching).toEqual([{ start: 9, end: 100 }])
    bench.pass(1500)
    expect(bench.take('fetch-origin')).toMatchObject([{ start: 9, end: 100, offset: 1024 }])
  })

  it('goes on where what that one gains is of no use, as others have it', () => {
    const bench = createBench()
    bench.read()
    bench.joins('other', [9])
    bench.sends(bench.told('request')[0]!, { witness: { kind: 'fetched', origin: 'elsewhere.example' } })
    bench.joins('peer', [])
    bench.answer({ lease: { ...lease, end: 100 } })
    comes(bench, ignoresRange(bench), 0, 1024)
    bench.says('peer', { type: 'have', digest, indices: [9] })
    bench.pass(limits.tickMs)
    expect(bench.told('request')).toEqual([])
    expect(bench.swarm.announceState(digest)?.fetching).toEqual([{ start: 0, end: 100 }])
  })

  it('goes on where a neighbour had some of it before, and the directory says that all was there', () => {
    const bench = createBench()
    bench.read()
    bench.joins('peer', span(50, 100))
    bench.answer({ counts: new Uint8Array(100).fill(1), lease: { ...lease, end: 100 } })
    const fetch = ignoresRange(bench)
    for (const index of span(0, 3)) comes(bench, fetch, index)
    for (const request of bench.told('request')) bench.sends(request)
    bench.settle()
    bench.pass(limits.tickMs)
    expect(bench.told('request')).toEqual([])
    expect(bench.take('stop-fetch')).toEqual([])
  })

  it('goes on where the disk keeps nothing, and what others gain is of no use', () => {
    const { bench, fetch } = createBeside({ sends: 3, gains: 99 })
    bench.take('hash')
    bench.handle({ type: 'hashed', digest, index: 0, hash: hashOf(0) })
    bench.take('keep')
    bench.handle({ type: 'kept', digest, index: 0, ok: false, isForgotten: true })
    bench.says('peer', { type: 'have', digest, indices: [3, 9] })
    bench.pass(limits.tickMs)
    comes(bench, fetch, 3)
    expect(bench.swarm.announceState(digest)?.fetching).toEqual([{ start: 1, end: 100 }])
  })

  it('goes on where who had the chunk first has the next one too, until that has come', () => {
    const { bench, fetch } = createBeside({ sends: 4, gains: 4 })
    bench.says('peer', { type: 'have', digest, indices: [5] })
    comes(bench, fetch, 4)
    bench.settle()
    expect(bench.take('stop-fetch')).toEqual([])
  })

  it('is asked for no more once a neighbour had the chunk first, until nothing comes from it either', () => {
    const bench = createOutrun()
    expect(bench.swarm.progress(digest)).toMatchObject({ held: 5 })
    bench.pass(9900)
    expect(wishOf(bench)).toBeUndefined()
    bench.pass(200)
    expect(wishOf(bench)).toMatchObject({ chunks: 100, position: 0 })
  })

  it('goes on where a neighbour had the chunk first, once that has been in vain', () => {
    const bench = createOutrun()
    bench.pass(10_100)
    const again = beginWhole(bench)
    for (const index of span(0, 5)) comes(bench, again, index)
    comes(bench, again, 5, 1024)
    bench.says('peer', { type: 'have', digest, indices: [5] })
    comes(bench, again, 5)
    bench.settle()
    expect(bench.take('stop-fetch')).toEqual([])
  })

  it('goes on to the end where somebody says to have all', () => {
    const { bench, fetch } = createBeside({ sends: 3, gains: 9 })
    bench.joins('liar', span(0, 100))
    bench.pass(25)
    for (const index of span(3, 99)) {
      comes(bench, fetch, index)
      bench.settle()
    }
    expect(bench.take('stop-fetch')).toEqual([])
    comes(bench, fetch, 99)
    bench.settle()
    expect(bench.swarm.progress(digest)).toMatchObject({ held: 100 })
  })
})

/** A reader, and a peer with all. The first chunk that came was not kept. */
function createDiskless(): Bench {
  const bench = createBench()
  bench.handle({ type: 'held', digest, size: sizeOf(100), have: bitsOf(100, [2]), complete: false })
  bench.read()
  bench.answer({ lease: { ...lease, end: 1 } })
  const { fetch } = bench.take('fetch-origin')[0]!
  comes(bench, fetch, 0)
  bench.handle({ type: 'origin-ended', digest, fetch })
  bench.handle({ type: 'hashed', digest, index: 0, hash: hashOf(0) })
  bench.handle({ type: 'kept', digest, index: 0, ok: false, isForgotten: true })
  bench.joins('peer', span(0, 100))
  return bench
}

describe('where the disk keeps nothing', () => {
  it('all comes from the origin, as much at a time as one lease names', () => {
    const bench = createDiskless()
    bench.pass(limits.tickMs)
    expect(bench.take('fetch-origin')).toMatchObject([{ start: 0, end: 2 }])
    bench.pass(limits.stallMs)
    expect(bench.swarm.announceState(digest)?.fetching).toEqual([
      { start: 0, end: 2 },
      { start: 3, end: 3 + limits.leaseChunksMax - 2 },
    ])
    expect(bench.told('request')).toEqual([])
  })

  it('the origin is left alone while it wants to be', () => {
    const bench = createDiskless()
    bench.pass(limits.tickMs)
    const { fetch } = bench.take('fetch-origin')[0]!
    bench.handle({ type: 'origin-ended', digest, fetch, failure: { kind: 'rate-limited', retryAfterMs: 3000 } })
    bench.pass(3000 - limits.tickMs)
    expect(bench.take('fetch-origin')).toEqual([])
    bench.pass(limits.tickMs)
    expect(bench.take('fetch-origin')).toMatchObject([{ start: 0, end: 2 }])
  })
})

describe('without a directory', () => {
  it('one chunk that nobody has is taken', () => {
    const bench = createBench()
    bench.read()
    bench.handle({ type: 'directory-silent', digest })
    expect(bench.take('fetch-origin')).toMatchObject([{ start: 0, end: 1, offset: 0 }])
    bench.handle({ type: 'directory-silent', digest })
    expect(bench.take('fetch-origin')).toEqual([])
  })

  it('one chunk at a time is taken: no second one follows while it comes', () => {
    const bench = createBench()
    bench.read()
    bench.handle({ type: 'directory-silent', digest })
    bench.handle({ type: 'directory-silent', digest })
    const { fetch } = bench.take('fetch-origin')[0]!
    comes(bench, fetch, 0)
    bench.handle({ type: 'origin-ended', digest, fetch })
    bench.settle()
    expect(bench.take('fetch-origin')).toEqual([])
    expect(bench.swarm.announceState(digest)).not.toHaveProperty('released')
  })

  it('the next tick asks it again', () => {
    const bench = createBench()
    bench.read()
    bench.handle({ type: 'directory-silent', digest })
    bench.take('announce')
    bench.pass(limits.tickMs)
    expect(bench.take('announce')).toEqual([{ type: 'announce', digest, now: true }])
  })

  it('what others had when it last answered is left to them', () => {
    const bench = createBench()
    bench.read()
    bench.answer({ counts: new Uint8Array(100).fill(1, 0, 5) })
    bench.handle({ type: 'directory-silent', digest })
    expect(bench.take('fetch-origin')).toMatchObject([{ start: 5, end: 6 }])
  })

  it('nothing is taken where others had all', () => {
    const bench = createBench()
    bench.read()
    bench.answer({ counts: new Uint8Array(100).fill(1) })
    bench.handle({ type: 'directory-silent', digest })
    expect(bench.take('fetch-origin')).toEqual([])
  })

  it('a reader whom peers starve takes more each time, what was asked of them among it', () => {
    const bench = createBench()
    bench.read()
    bench.joins('peer', [])
    bench.answer({ counts: new Uint8Array(100).fill(1) })
    bench.pass(limits.starvedMs - limits.tickMs)
    bench.joins('late', [0])
    const [request] = bench.told('request')
    bench.pass(limits.tickMs)
    const runs = span(0, 7).map(() => {
      bench.handle({ type: 'directory-silent', digest })
      const [run] = bench.take('fetch-origin')
      for (const index of span(run!.start, run!.end)) comes(bench, run!.fetch, index)
      bench.settle()
      bench.handle({ type: 'origin-ended', digest, fetch: run!.fetch })
      bench.pass(limits.starvedMs)
      return [run!.start, run!.end]
    })
    expect(bench.told('cancel')).toMatchObject([{ id: request!.id }])
    expect(runs).toEqual([
      [0, 1],
      [1, 3],
      [3, 7],
      [7, 15],
      [15, 31],
      [31, 47],
      [47, 63],
    ])
  })

  it('nothing is taken while what this node alone has is slow to leave it, as none would be asked for', () => {
    const bench = createBench()
    bench.handle({ type: 'held', digest, size: sizeOf(100), have: bitsOf(100, [0]), complete: false })
    bench.read()
    bench.joins('peer', [])
    bench.says('peer', { type: 'request', id: 1, digest, index: 0, offset: 0 })
    bench.pass(limits.leaseLeavesMs + 100)
    expect(wishOf(bench)).toBeUndefined()
    bench.handle({ type: 'directory-silent', digest })
    expect(bench.take('fetch-origin')).toEqual([])
    bench.handle({ type: 'uploaded', peer: 'peer', id: 1, ok: true })
    bench.handle({ type: 'directory-silent', digest })
    expect(bench.take('fetch-origin')).toHaveLength(1)
  })

  it('nothing is taken for a prefetch while somebody reads what the origin is needed for', () => {
    const bench = createBench()
    const other = digest.replaceAll('ab', 'cd') as typeof digest
    bench.read()
    bench.read({ digest: other, reader: 2, prefetch: true })
    bench.handle({ type: 'directory-silent', digest: other })
    expect(bench.take('fetch-origin')).toEqual([])
    bench.joins('seed', span(0, 100))
    bench.handle({ type: 'directory-silent', digest: other })
    expect(bench.take('fetch-origin')).toHaveLength(1)
  })

  it('nothing is taken of what is left to a neighbour, which the origin sends all of it', () => {
    const bench = createOutrun()
    bench.handle({ type: 'directory-silent', digest })
    expect(bench.take('fetch-origin')).toEqual([])
  })

  it('neighbours share out what they take', () => {
    const bench = createBench()
    bench.read()
    for (const number of span(0, 30)) bench.joins(`p${number}`, [])
    bench.handle({ type: 'directory-silent', digest })
    const [fetch] = bench.take('fetch-origin')
    expect(fetch!.start).toBeGreaterThan(0)
    expect(fetch!.start).toBeLessThan(32)
  })

  it('neighbours share out no more than is fetched ahead of a reader', () => {
    const bench = createBench({ limits: { windowChunks: 2 } })
    bench.read()
    for (const number of span(0, 30)) bench.joins(`p${number}`, [])
    bench.handle({ type: 'directory-silent', digest })
    expect(bench.take('fetch-origin')[0]!.start).toBeLessThan(2)
  })
})
