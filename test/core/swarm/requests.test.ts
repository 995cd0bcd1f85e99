import { describe, expect, it } from 'vitest'
import { limits } from '../../../core/limits.ts'
import { createPlaces } from '../../../core/members/places.ts'
import { parseDigest } from '../../../core/oci/digest.ts'
import { bitsOf, createBench, digest, proved, sizeOf, span } from './bench.ts'
import type { SwarmLimits } from '../../../core/swarm/state.ts'

/** How long a request waits at a peer that says, twice a second, how many are before it; 40 s at most. */
function msUntilGivenUp(limitsOf: Partial<SwarmLimits>, aheadAt: (ms: number) => number): number {
  const bench = createBench({ limits: limitsOf })
  bench.read()
  bench.joins('a', [4])
  const [request] = bench.told('request')
  let ms = 0
  for (; ms < 40_000 && bench.told('cancel').length === 0; ms += 500) {
    bench.says('a', { type: 'queued', id: request!.id, ahead: aheadAt(ms) })
    bench.pass(500)
  }
  return ms
}

/** A request that waits at `a` behind five, where so many bytes have come lately, and has been made of `b`, who gained the chunk later, too. */
function waitsTwice(bytes = 0) {
  const bench = createBench()
  bench.read()
  bench.joins('a', [4])
  bench.joins('b', [])
  const [first] = bench.told('request')
  bench.says('a', { type: 'queued', id: first!.id, ahead: 5 })
  bench.handle({ type: 'frame', peer: 'a', id: -1, bytes })
  bench.pass(limits.linkSpanMs)
  bench.says('b', { type: 'have', digest, indices: [4] })
  const [second] = bench.told('request')
  return { bench, first, second }
}

/** How many requests wait at peers that begin none, on a link that brings four chunks in half a second; four are in flight otherwise. */
function mostWaiting(uploadLargeBytes: number): number {
  const bench = createBench({ limits: { uploadLargeBytes, inFlightChunks: 4, inFlightMs: 0 } })
  bench.read()
  for (const peer of span(0, 8)) bench.joins(`p${peer}`, span(0, 100))
  const wait = (): void => {
    for (let asked = bench.told('request'); asked.length > 0; asked = bench.told('request'))
      for (const { id, to } of asked) bench.says(to, { type: 'queued', id, ahead: 3 })
  }
  for (const request of bench.told('request')) bench.sends(request)
  bench.settle()
  wait()
  bench.pass(limits.linkSpanMs)
  wait()
  return bench.swarm.stats().requests
}

describe('requests', () => {
  it('go two to a peer, and as many bytes as may be in flight', () => {
    const bench = createBench()
    bench.read()
    bench.joins('a', span(0, 100))
    expect(bench.told('request', 'a')).toHaveLength(2)
    for (const peer of ['b', 'c', 'd']) bench.joins(peer, span(0, 100))
    expect(bench.told('request')).toHaveLength(2)
    expect(bench.swarm.stats()).toMatchObject({ requests: 4, inFlightBytes: sizeOf(4) })
  })

  it('that wait in queues count half where chunks are large', () => {
    const { chunkSizeMinBytes } = limits
    expect([chunkSizeMinBytes + 1, chunkSizeMinBytes].map(mostWaiting)).toEqual([4, 7])
  })

  it('each want another chunk, of a peer that has it', () => {
    const bench = createBench()
    bench.read()
    bench.joins('a', [1, 2, 3])
    bench.joins('b', [2])
    const requests = bench.told('request')
    expect(new Set(requests.map(({ index }) => index)).size).toBe(requests.length)
    for (const { index, to } of requests) expect(to === 'a' ? [1, 2, 3] : [2]).toContain(index)
  })

  it('go to the nearer peer, as long as it is not much busier', () => {
    const bench = createBench({ places: createPlaces('none', (peer) => ({ zone: peer === 'far' ? 'other' : 'own' })) })
    bench.handle({ type: 'held', digest, size: sizeOf(100), have: bitsOf(100, []), complete: false })
    bench.joins('far', span(0, 100))
    bench.joins('near', span(0, 100))
    bench.read()
    expect(bench.told('request').map(({ to }) => to)).toEqual(['near', 'near', 'far', 'far'])
  })

  it('serve demand before prefetch', () => {
    const bench = createBench()
    bench.read({ prefetch: true })
    bench.read({ reader: 2, whole: false, start: sizeOf(50), end: sizeOf(52) })
    bench.joins('a', span(0, 100))
    expect(bench.told('request').map(({ index }) => index)).toEqual([50, 51])
  })

  it('turned away are made elsewhere, where the busy peer says', () => {
    const bench = createBench()
    bench.read()
    bench.joins('b', [])
    bench.joins('a', [4])
    const [request] = bench.told('request')
    bench.says('a', { type: 'busy', id: request!.id, try: ['b', 'stranger'] })
    expect(bench.told('request')).toMatchObject([{ to: 'b', index: 4 }])
  })

  it('go one to a peer on a narrow link, where as many as a session needs can send', () => {
    const bench = createBench({ limits: { neighboursAim: 2 } })
    bench.read()
    bench.joins('a', span(0, 100))
    for (const request of bench.told('request')) bench.sends(request)
    bench.pass(limits.linkSpanMs)
    const alone = bench.told('request')
    expect(alone).toHaveLength(limits.requestsPerPeer)
    bench.joins('b', [])
    for (const request of alone) bench.sends(request)
    bench.settle()
    expect(bench.told('request')).toHaveLength(1)
  })

  it('turned away rest before the same peer is asked again', () => {
    const bench = createBench()
    bench.read()
    bench.joins('a', [4])
    const [request] = bench.told('request')
    bench.says('a', { type: 'busy', id: request!.id, try: [] })
    expect(bench.told('request')).toEqual([])
    bench.pass(50)
    expect(bench.told('request')).toMatchObject([{ to: 'a', index: 4 }])
  })

  it('for what a peer turns out not to have go elsewhere', () => {
    const bench = createBench()
    bench.read()
    bench.joins('a', [4])
    const [request] = bench.told('request')
    bench.says('a', { type: 'missing', id: request!.id })
    bench.pass(1000)
    expect(bench.told('request')).toEqual([])
    bench.joins('b', [4])
    expect(bench.told('request')).toMatchObject([{ to: 'b', index: 4, offset: 0 }])
  })

  it('of a peer that goes away are taken up where it left off', () => {
    const bench = createBench()
    bench.read()
    bench.joins('a', [4])
    const [request] = bench.told('request')
    bench.sends(request!, { bytes: 100_000 })
    bench.joins('b', [4])
    bench.handle({ type: 'peer-disconnected', peer: 'a' })
    expect(bench.told('request')).toMatchObject([{ to: 'b', index: 4, offset: 100_000 }])
  })

  it('that fall silent are asked of a second peer, and the slower of the two is told', () => {
    const bench = createBench()
    bench.read()
    bench.joins('a', [4])
    const [first] = bench.told('request')
    bench.sends(first!, { bytes: 100_000, witness: proved, signer: 'seed' })
    bench.joins('b', [4])
    bench.pass(225)
    const second = bench.told('request').find(({ to }) => to === 'b')
    expect(second).toMatchObject({ index: 4, offset: 100_000 })
    bench.sends(second!, { signer: 'seed' })
    expect(bench.take('hash')).toMatchObject([{ index: 4 }])
    expect(bench.told('cancel').map(({ to }) => to)).toEqual(['a'])
  })

  it('that wait are asked of a peer that gains the chunk too, and whoever begins first is left with it', () => {
    const { bench, first, second } = waitsTwice()
    expect(second).toMatchObject({ to: 'b', index: 4 })
    bench.sends(second!, { bytes: 1000, signer: 'seed' })
    expect(bench.told('cancel')).toMatchObject([{ to: 'a', id: first!.id }])
  })

  it.each([
    ['a byte now and then, which tells nothing of it,', 1, 1],
    ['a frame, which tells that it is slow,', limits.frameSizeBytes, 0],
  ])('that wait where %s has come over the link are asked of such a peer so often', (_what, bytes, times) => {
    expect(waitsTwice(bytes).second === undefined ? 0 : 1).toBe(times)
  })

  it('that wait in two queues keep the better place', () => {
    const { bench, second } = waitsTwice()
    bench.says('b', { type: 'queued', id: second!.id, ahead: 7 })
    expect(bench.told('cancel')).toMatchObject([{ to: 'b', id: second!.id }])
  })

  it('that are nearly served stay where they are', () => {
    const bench = createBench()
    bench.read()
    bench.joins('a', [4])
    bench.joins('b', [])
    const [first] = bench.told('request')
    bench.says('a', { type: 'queued', id: first!.id, ahead: 1 })
    bench.says('b', { type: 'have', digest, indices: [4] })
    expect(bench.told('request')).toEqual([])
  })

  it('that begin at two peers go on at the first', () => {
    const { bench, first, second } = waitsTwice()
    bench.sends(first!, { bytes: 1000, signer: 'seed' })
    bench.told('cancel')
    bench.sends(second!, { bytes: 1000, signer: 'seed' })
    expect(bench.told('request')).toEqual([])
    expect(bench.swarm.stats().requests).toBe(1)
  })

  it('of a peer that hangs go elsewhere within a second', () => {
    const bench = createBench()
    bench.read()
    bench.joins('a', span(0, 2))
    expect(bench.told('request', 'a')).toHaveLength(2)
    bench.pass(1000)
    expect(bench.told('cancel', 'a')).toHaveLength(2)
    bench.joins('b', span(0, 2))
    expect(bench.told('request').map(({ to }) => to)).toEqual(['b', 'b'])
  })

  it('of a peer that sends a byte now and then are asked of a second one as well, and at last given up', () => {
    const bench = createBench()
    bench.read({ whole: false, start: sizeOf(4), end: sizeOf(5) })
    for (const peer of ['a', 'b']) bench.joins(peer, [4])
    const [request] = bench.told('request')
    const other = request!.to === 'a' ? 'b' : 'a'
    const trickle = (ms: number): void => {
      for (let passedMs = 0; passedMs < ms; passedMs += 25) {
        bench.handle({ type: 'frame', peer: request!.to, id: request!.id, bytes: 1 })
        bench.pass(25)
      }
    }
    bench.sends(request!, { bytes: 1 })
    trickle(limits.crawlMs - 50)
    expect(bench.told('request')).toEqual([])
    trickle(100)
    expect(bench.told('request')).toMatchObject([{ to: other, index: 4 }])
    expect(bench.told('cancel', request!.to)).toEqual([])
    trickle(limits.crawlMaxMs - limits.crawlMs + 200)
    expect(bench.told('cancel', request!.to)).toMatchObject([{ id: request!.id }])
  })

  it('of two peers that both send a byte now and then are made of a third in place of one', () => {
    const bench = createBench()
    bench.read({ whole: false, start: sizeOf(4), end: sizeOf(5) })
    for (const peer of ['a', 'b']) bench.joins(peer, [4])
    const crawling = bench.told('request')
    const trickle = (ms: number): void => {
      for (let passedMs = 0; passedMs < ms; passedMs += 25) {
        for (const { to, id } of crawling) bench.handle({ type: 'frame', peer: to, id, bytes: 1 })
        bench.pass(25)
      }
    }
    bench.sends(crawling[0]!, { bytes: 1 })
    trickle(limits.crawlMs + 50)
    crawling.push(...bench.told('request'))
    bench.sends(crawling[1]!, { bytes: 1 })
    bench.joins('c', [4])
    trickle(limits.crawlMs - 50)
    expect(bench.told('request')).toEqual([])
    trickle(100)
    expect(bench.told('request')).toMatchObject([{ to: 'c', index: 4 }])
    expect(bench.told('cancel')).toHaveLength(1)
  })

  it('that wait while others fill the link are left alone, until the link has room', () => {
    const bench = createBench({ limits: { requestsPerPeer: 8 } })
    bench.read()
    bench.joins('silent', [0])
    bench.joins('busy', span(1, 100))
    for (let round = 0; round < 12; round++) {
      for (const request of bench.told('request', 'busy').slice(0, 1)) bench.sends(request)
      bench.settle()
      bench.pass(100)
    }
    expect(bench.told('cancel', 'silent')).toEqual([])
    bench.pass(1250)
    expect(bench.told('cancel', 'silent')).toHaveLength(1)
  })

  it('that wait in a queue are left there as long as the peer says so', () => {
    const bench = createBench()
    bench.read()
    bench.joins('a', [4])
    const [request] = bench.told('request')
    for (let round = 0; round < 10; round++) {
      bench.says('a', { type: 'queued', id: request!.id, ahead: 3 })
      bench.pass(500)
    }
    expect(bench.told('cancel')).toEqual([])
    bench.pass(1000)
    expect(bench.told('cancel', 'a')).toHaveLength(1)
  })

  describe('in a queue that stands still', () => {
    it('are given up after ten seconds, though the peer says that they wait', () => {
      expect(msUntilGivenUp({}, () => 3)).toBeCloseTo(limits.crawlMaxMs, -3)
    })

    it('are made of another holder as well after two', () => {
      const bench = createBench()
      bench.read()
      bench.joins('a', [4])
      const [request] = bench.told('request')
      const waits = (ms: number): void => {
        for (let passed = 0; passed < ms; passed += 500) {
          bench.says('a', { type: 'queued', id: request!.id, ahead: 3 })
          bench.pass(500)
        }
      }
      waits(500)
      bench.joins('b', [4])
      waits(1000)
      expect(bench.told('request', 'b')).toEqual([])
      waits(1000)
      expect(bench.told('request', 'b')).toMatchObject([{ index: 4 }])
    })

    it('wait on while it moves', () => {
      expect(msUntilGivenUp({}, (ms) => 7 - Math.floor(ms / 5000))).toBe(40_000)
    })

    it('wait longer for chunks that take a slow link longer', () => {
      expect(msUntilGivenUp({ leaseStarvedBytesPerMs: 8 }, () => 3)).toBeCloseTo(sizeOf(1) / 8, -3)
    })
  })

  it.each([
    ['one that had the link to itself is silent too', false, 2],
    ['one is silent that shared it with no origin', true, 1],
  ])('are made one at a time after all were silent at once, until %s', (_what, isShared, requests) => {
    const bench = createBench({ chunks: 3 })
    bench.handle({ type: 'held', digest, size: sizeOf(3), have: bitsOf(3, isShared ? [] : [2]), complete: false })
    bench.read()
    if (isShared) bench.answer({ lease: { id: 7, start: 2, end: 3, ttlMs: limits.leaseTtlMs } })
    bench.joins('a', [0])
    bench.joins('b', [1])
    bench.pass(limits.stallMs)
    expect(bench.told('cancel')).toHaveLength(2)
    bench.told('request')
    bench.pass(limits.stallRestMs)
    expect(bench.told('request')).toHaveLength(1)
    bench.pass(2 * limits.stallMs)
    bench.told('request')
    bench.joins('c', [0, 1])
    expect(bench.swarm.stats()).toMatchObject({ fetches: isShared ? 1 : 0, requests })
  })

  it('are not blamed on peers when this node itself was paused', () => {
    const bench = createBench()
    bench.read()
    bench.joins('a', [4])
    bench.clock.advance(5000)
    bench.handle({ type: 'tick' })
    expect(bench.told('cancel')).toEqual([])
  })

  it('end with the last reader', () => {
    const bench = createBench()
    bench.read()
    bench.joins('a', [4])
    bench.handle({ type: 'reader-closed', digest, reader: 1 })
    expect(bench.told('cancel', 'a')).toHaveLength(1)
    expect(bench.told('leave', 'a')).toHaveLength(1)
    expect(bench.swarm.stats()).toMatchObject({ sessions: 0, requests: 0, inFlightBytes: 0 })
  })

  it('take the blobs in turn, so that none starves', () => {
    const bench = createBench({ chunks: 20 })
    const other = parseDigest(digest.replaceAll('ab', 'cd'))!
    bench.read()
    bench.read({ digest: other, reader: 2 })
    bench.handle({ type: 'peer-connected', peer: 'a', address: 'a' })
    const have = bitsOf(20, span(0, 20))
    for (const of of [digest, other]) bench.says('a', { type: 'join', digest: of, size: sizeOf(20), have })
    bench.told('request')
    const asked = span(1, 9).map((id) => {
      bench.says('a', { type: 'missing', id })
      return bench.told('request').map((request) => request.digest)
    })
    expect(asked.flat().filter((one) => one === other)).toHaveLength(4)
  })
})
