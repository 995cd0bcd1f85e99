import { describe, expect, it } from 'vitest'
import { limits } from '../../../core/limits.ts'
import { digestFromHex } from '../../../core/oci/digest.ts'
import {
  allOf,
  bitsOf,
  comes,
  createAhead,
  createBench,
  createHolder,
  digest,
  hashOf,
  lease,
  origin,
  proved,
  sizeOf,
  span,
  type Bench,
} from './bench.ts'

const size = sizeOf(100)

/** A reader of the whole blob to whom `a` sends chunk 4, so far as `bytes` say, when it ends. */
function closeAfter(bytes: number | undefined, complete = false): Bench {
  const bench = createBench()
  bench.handle({ type: 'held', digest, size, have: complete ? allOf(bench) : bitsOf(100, []), complete })
  bench.read()
  bench.joins('a', [4])
  const [request] = bench.told('request')
  if (request !== undefined) bench.sends(request, bytes === undefined ? {} : { bytes })
  bench.settle()
  bench.take('announce')
  bench.handle({ type: 'reader-closed', digest, reader: 1 })
  return bench
}

describe('a blob that nobody reads any more', () => {
  it('of which no chunk is whole is forgotten, with the part that has come, and its directory told once', () => {
    const bench = closeAfter(1000)
    expect(bench.take('drop')).toEqual([{ type: 'drop', digest, index: 4 }])
    expect(bench.take('announce')).toEqual([{ type: 'announce', digest, now: true }])
    expect(bench.swarm.stats()).toMatchObject({ sessions: 0, requests: 0 })
  })

  it('of which something is held has its directory know that the rest is not wanted', () => {
    const bench = closeAfter(undefined)
    expect(bench.take('announce')).toEqual([{ type: 'announce', digest, now: true }])
    expect(bench.swarm.stats()).toMatchObject({ sessions: 1 })
  })

  it('of which all is here is nothing that its directory need hear of', () => {
    expect(closeAfter(undefined, true).take('announce')).toEqual([])
  })

  it('is told to its directory as left, with those that were left last', () => {
    const bench = createBench({ limits: { leftDigestsMax: 2 } })
    const blobs = ['01', '02', '03'].map((hex) => digestFromHex(hex.repeat(32)))
    for (const of of blobs) {
      bench.read({ digest: of })
      bench.handle({ type: 'reader-closed', digest: of, reader: 1 })
    }
    expect(blobs.map((of) => bench.swarm.announceState(of) !== undefined)).toEqual([false, true, true])
  })
})

describe('a reader that ends beside another', () => {
  it('takes nothing from it: what the origin sends goes on', () => {
    const { bench } = createHolder()
    bench.read({ reader: 2 })
    bench.handle({ type: 'reader-closed', digest, reader: 1 })
    expect(bench.take('stop-fetch')).toEqual([])
    expect(bench.swarm.stats()).toMatchObject({ readers: 1, fetches: 1 })
  })

  it('is the last to want what it alone wanted of peers', () => {
    const bench = createBench()
    for (const [reader, chunk] of [
      [1, 4],
      [2, 50],
    ] as const)
      bench.read({ reader, whole: false, start: sizeOf(chunk), end: sizeOf(chunk + 1) })
    bench.joins('a', [4, 50])
    const requests = bench.told('request')
    bench.handle({ type: 'reader-closed', digest, reader: 1 })
    expect(bench.told('cancel').map(({ id }) => id)).toEqual(
      requests.filter(({ index }) => index === 4).map(({ id }) => id),
    )
    expect(bench.swarm.stats()).toMatchObject({ requests: 1 })
  })
})

describe('a blob that is evicted while it is read', () => {
  it('comes anew: what was asked for, has come in part, is hashed or being kept is given up, and all hear of it', () => {
    const bench = createBench()
    bench.read()
    bench.joins('a', [1])
    bench.sends(bench.told('request')[0]!)
    bench.settle()
    bench.joins('b', [2])
    bench.sends(bench.told('request')[0]!, { bytes: 1000 })
    bench.joins('c', [3])
    bench.sends(bench.told('request')[0]!)
    bench.joins('d', [5])
    bench.sends(bench.told('request')[0]!)
    bench.handle({ type: 'hashed', digest, index: 5, hash: hashOf(5) })
    for (const type of ['drop', 'announce'] as const) bench.take(type)
    for (const type of ['join', 'cancel'] as const) bench.told(type)
    bench.handle({ type: 'evicted', digest })
    expect(bench.take('drop')).toEqual([{ type: 'drop', digest, index: 2 }])
    expect(bench.told('cancel')).toMatchObject([{ to: 'b' }])
    expect(bench.told('join').map(({ have, to }) => [to, have])).toEqual(
      ['a', 'b', 'c', 'd'].map((peer) => [peer, bitsOf(100, [])]),
    )
    expect(bench.take('announce')).toEqual([{ type: 'announce', digest, now: true }])
    expect(bench.swarm.stats()).toMatchObject({ settlingBytes: 0, requests: 4 })
    expect(bench.told('request').map(({ index, offset }) => [index, offset])).toEqual(
      expect.arrayContaining([1, 2, 3, 5].map((index) => [index, 0])),
    )
  })
})

describe('chunks that the store lost', () => {
  it('are the next that a reader needs', () => {
    const bench = createBench()
    bench.handle({ type: 'held', digest, size, have: bitsOf(100, span(0, 40)), complete: false })
    bench.read()
    bench.handle({ type: 'lost', digest, have: bitsOf(100, span(1, 40)) })
    bench.joins('a', [0, ...span(50, 60)])
    expect(bench.told('request')[0]).toMatchObject({ index: 0 })
  })

  it('are told to neighbours and directory, and the blob forgotten when they were the last that nobody reads', () => {
    const bench = createBench()
    bench.handle({ type: 'held', digest, size, have: bitsOf(100, [0, 1]), complete: false })
    bench.joins('a', [])
    bench.told('join')
    bench.take('announce')
    bench.handle({ type: 'lost', digest, have: bitsOf(100, [1]) })
    expect(bench.told('join')).toMatchObject([{ to: 'a', have: bitsOf(100, [1]) }])
    expect(bench.take('announce')).toEqual([{ type: 'announce', digest, now: true }])
    bench.handle({ type: 'lost', digest, have: bitsOf(100, []) })
    expect(bench.told('leave')).toMatchObject([{ to: 'a' }])
    expect(bench.swarm.stats()).toMatchObject({ sessions: 0 })
    expect(bench.swarm.announceState(digest)).toMatchObject({ leaves: true })
  })

  it('show, once the blob is proved with others in their place, who lied', () => {
    const bench = createBench({ chunks: 2 })
    bench.read()
    bench.joins('a', [0])
    bench.sends(bench.told('request')[0]!, { signer: 'liar', witness: proved, hash: hashOf(77) })
    bench.take('hash')
    bench.handle({ type: 'hashed', digest, index: 0, hash: hashOf(77) })
    bench.settle()
    bench.handle({ type: 'lost', digest, have: bitsOf(2, []) })
    bench.joins('b', [0, 1])
    for (let round = 0; round < 2; round++) {
      for (const request of bench.told('request')) bench.sends(request, { signer: 'honest' })
      bench.settle()
    }
    expect(bench.swarm.progress(digest)).toMatchObject({ complete: true })
    expect(bench.take('ban')).toMatchObject([{ peer: 'liar' }])
  })
})

describe('a blob that its origin does not give', () => {
  it('is at rest once its readers have ended, though a part of it is held', () => {
    const { bench, fetch } = createHolder()
    comes(bench, fetch, 0)
    bench.settle()
    bench.handle({ type: 'origin-ended', digest, fetch, failure: { kind: 'refused' } })
    bench.pass(limits.tickMs)
    expect(bench.take('fail')).toEqual([{ type: 'fail', digest, origin, failure: { kind: 'refused' } }])
    expect(bench.swarm.stats()).toMatchObject({ sessions: 1, readers: 0 })
    expect(bench.swarm.isAtRest()).toBe(true)
  })

  it('is read on while it sends what it had begun', () => {
    const { bench, fetch } = createAhead(64 * 1024)
    bench.settle()
    const [ahead] = bench.take('fetch-origin')
    bench.handle({ type: 'origin-ended', digest, fetch: ahead!.fetch, failure: { kind: 'refused' } })
    bench.pass(limits.tickMs)
    expect(bench.take('fail')).toEqual([])
    comes(bench, fetch, 3, 64 * 1024)
    bench.settle()
    bench.pass(limits.tickMs)
    expect(bench.take('fail')).toEqual([{ type: 'fail', digest, origin, failure: { kind: 'refused' } }])
  })

  it('ends no reader of another blob', () => {
    const { bench, fetch } = createHolder()
    bench.read({ digest: digestFromHex('cd'.repeat(32)), reader: 2 })
    bench.handle({ type: 'origin-ended', digest, fetch, failure: { kind: 'refused' } })
    bench.handle({ type: 'tick' })
    expect(bench.swarm.stats()).toMatchObject({ readers: 1 })
  })

  it('ends its own readers: others go on with theirs', () => {
    const { bench, fetch } = createHolder()
    bench.read({ reader: 2, origin: 'other.example' })
    bench.handle({ type: 'origin-ended', digest, fetch, failure: { kind: 'refused' } })
    bench.take('announce')
    bench.handle({ type: 'tick' })
    expect(bench.take('fail')).toEqual([{ type: 'fail', digest, origin, failure: { kind: 'refused' } }])
    expect(bench.take('announce')).toContainEqual({ type: 'announce', digest, now: true })
    expect(bench.swarm.stats()).toMatchObject({ readers: 1 })
    expect(bench.swarm.announceState(digest)).toMatchObject({ origin: 'other.example' })
  })

  it('ends them once: who takes what others have proved, for nobody, goes on, and asks no origin', () => {
    const bench = createBench()
    bench.read({ reader: 1, origin: undefined, prefetch: true })
    bench.read({ reader: 2 })
    bench.answer({ lease })
    const [fetch] = bench.take('fetch-origin')
    bench.handle({ type: 'origin-ended', digest, fetch: fetch!.fetch, failure: { kind: 'refused' } })
    bench.pass(limits.tickMs)
    expect(bench.take('fail')).toEqual([{ type: 'fail', digest, origin, failure: { kind: 'refused' } }])
    bench.take('announce')
    bench.pass(2 * limits.hopelessAfterMs)
    expect([bench.take('fail'), bench.take('announce')]).toEqual([[], []])
    bench.answer({ lease: { ...lease, id: 8 } })
    expect(bench.take('fetch-origin')).toEqual([])
    expect(bench.swarm.announceState(digest)).toMatchObject({ wants: true, released: [8] })
  })

  it.each<[string, (bench: Bench) => void]>([
    ['a neighbour with nothing', (bench) => bench.joins('a', [])],
    ['one who is named', (bench) => bench.answer({ peers: [{ peer: 'a', addresses: [], complete: false }] })],
  ])('may come within a moment from %s', (_who, appears) => {
    const { bench, fetch } = createHolder()
    appears(bench)
    bench.handle({ type: 'origin-ended', digest, fetch, failure: { kind: 'refused' } })
    bench.pass(limits.hopelessAfterMs - limits.tickMs)
    expect(bench.take('fail')).toEqual([])
    bench.pass(limits.tickMs)
    expect(bench.take('fail')).toHaveLength(1)
  })

  it('is waited for no longer than a promise counts, from those who are said to have it and bring nothing', () => {
    const { bench, fetch } = createHolder()
    bench.answer({ counts: new Uint8Array(100).fill(1) })
    bench.handle({ type: 'origin-ended', digest, fetch, failure: { kind: 'refused' } })
    bench.pass(limits.starvedPromisedMs - limits.tickMs)
    expect(bench.take('fail')).toEqual([])
    bench.pass(limits.tickMs)
    expect(bench.take('fail')).toEqual([{ type: 'fail', digest, origin, failure: { kind: 'refused' } }])
  })

  it.each([
    [limits.originRefusedMs, 1],
    [limits.originRefusedMs - 1000, 0],
  ])('since it wants to be left alone for %i ms ends %i readers at once', (retryAfterMs, ended) => {
    const { bench, fetch } = createHolder()
    bench.handle({ type: 'origin-ended', digest, fetch, failure: { kind: 'rate-limited', retryAfterMs } })
    bench.handle({ type: 'tick' })
    expect(bench.take('fail')).toHaveLength(ended)
  })
})
