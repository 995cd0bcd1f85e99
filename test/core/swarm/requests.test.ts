import { describe, expect, it } from 'vitest'
import { limits } from '../../../core/limits.ts'
import { createPlaces } from '../../../core/members/places.ts'
import { parseDigest } from '../../../core/oci/digest.ts'
import { KiB } from '../../../core/units.ts'
import { type Bench, bitsOf, comes, createBench, digest, hashOf, lease, proved, sizeOf, span } from './bench.ts'
import type { SwarmLimits } from '../../../core/swarm/state.ts'

/** How long a request waits at a peer that says, twice a second, how many are before it; 40 s at most. */
function msUntilGivenUp(
  limitsOf: Partial<SwarmLimits>,
  aheadAt: (ms: number) => number,
  comesElsewhere = true,
): number {
  const bench = createBench({ limits: limitsOf })
  bench.read()
  const drips = comesElsewhere ? drippingOrigin(bench) : () => {}
  bench.joins('a', [4])
  const [request] = bench.told('request')
  let ms = 0
  for (; ms < 40_000 && bench.told('cancel').length === 0; ms += 500) {
    bench.says('a', { type: 'queued', id: request!.id, ahead: aheadAt(ms) })
    drips()
    bench.pass(500)
  }
  return ms
}

/** The origin sends a byte of what this node has leased at each call. */
function drippingOrigin(bench: Bench): () => void {
  bench.answer({ lease })
  const [fetch] = bench.take('fetch-origin')
  return () => comes(bench, fetch!.fetch, 0, 1)
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

/** Chunk 4 waits at `a`, with so many before it, when `b` gains it too. */
function gainsLater(bench: Bench, ahead: number): void {
  bench.joins('a', [4])
  bench.joins('b', [])
  const [first] = bench.told('request')
  bench.says('a', { type: 'queued', id: first!.id, ahead })
  bench.says('b', { type: 'have', digest, indices: [4] })
}

type Request = Parameters<Bench['sends']>[0]

/**
 * How many requests wait at peers that begin none, on a link that brings four chunks in half a second; four are in flight otherwise. One of
 * them may `end` before the last are counted.
 */
function mostWaiting(uploadLargeBytes: number, end?: (bench: Bench, request: Request) => void): number {
  const bench = createBench({ limits: { uploadLargeBytes, inFlightChunks: 4, inFlightMs: 0 } })
  bench.read()
  for (const peer of span(0, 8)) bench.joins(`p${peer}`, span(0, 100))
  const wait = (): Request | undefined => {
    let first: Request | undefined
    for (let asked = bench.told('request'); asked.length > 0; asked = bench.told('request')) {
      first ??= asked[0]
      for (const { id, to } of asked) bench.says(to, { type: 'queued', id, ahead: 3 })
    }
    return first
  }
  for (const request of bench.told('request')) bench.sends(request)
  bench.settle()
  wait()
  bench.pass(limits.linkSpanMs)
  const waiting = wait()
  end?.(bench, waiting!)
  wait()
  return bench.swarm.stats().requests
}

/** Peers each asked for a chunk of their own, which waits behind so many there (undefined: none is asked); all have chunk 50, wanted at last. */
function lastAskedOf(queues: readonly (number | undefined)[]): string | undefined {
  const bench = createBench()
  bench.handle({ type: 'held', digest, size: sizeOf(100), have: bitsOf(100, []), complete: false })
  for (const [at, ahead] of queues.entries()) {
    bench.joins(`p${at}`, [at, 50])
    if (ahead === undefined) continue
    bench.read({ reader: at, whole: false, start: sizeOf(at), end: sizeOf(at + 1) })
    const [request] = bench.told('request')
    bench.says(`p${at}`, { type: 'queued', id: request!.id, ahead })
  }
  bench.read({ reader: 50, whole: false, start: sizeOf(50), end: sizeOf(51) })
  return bench.told('request')[0]?.to
}

/** How long a peer that says so often in a row that it is busy is left alone each time. */
function restsMs(bench: Bench, times: number): number[] {
  return span(0, times).map(() => {
    const [request] = bench.told('request')
    bench.says('a', { type: 'busy', id: request!.id, try: [] })
    let ms = 0
    for (; bench.swarm.stats().requests === 0; ms += limits.tickMs) bench.pass(limits.tickMs)
    return ms
  })
}

/** Who was asked sends a byte now and then. */
function trickle(bench: Bench, requests: readonly Request[], ms: number): void {
  for (let passedMs = 0; passedMs < ms; passedMs += 25) {
    for (const { to, id } of requests) bench.handle({ type: 'frame', peer: to, id, bytes: 1 })
    bench.pass(25)
  }
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
    expect([chunkSizeMinBytes + 1, chunkSizeMinBytes].map((bytes) => mostWaiting(bytes))).toEqual([4, 7])
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

  it('go to whoever has the fewest to serve first, wherever it stands', () => {
    for (const idle of span(0, 4))
      expect(lastAskedOf(span(0, 4).map((at) => (at === idle ? undefined : 1)))).toBe(`p${idle}`)
    for (const short of span(0, 4))
      expect(lastAskedOf(span(0, 4).map((at) => (at === short ? 0 : 1)))).toBe(`p${short}`)
  })

  it('go to one of equals by chance', () => {
    const bench = createBench()
    bench.handle({ type: 'held', digest, size: sizeOf(100), have: bitsOf(100, []), complete: false })
    for (const peer of span(0, 4)) bench.joins(`p${peer}`, span(0, 100))
    const asked = span(0, 40).map((index) => {
      bench.read({ whole: false, start: sizeOf(index), end: sizeOf(index + 1) })
      const [request] = bench.told('request')
      bench.sends(request!)
      bench.settle()
      return request!.to
    })
    expect(new Set(asked)).toEqual(new Set(['p0', 'p1', 'p2', 'p3']))
  })

  it('are as many as keep all uplinks busy where all wait, and the link is unknown', () => {
    const bench = createBench({ limits: { inFlightChunks: 6 } })
    bench.read()
    for (const peer of span(0, 8)) bench.joins(`p${peer}`, span(0, 100))
    for (let asked = bench.told('request'); asked.length > 0; asked = bench.told('request'))
      for (const { id, to } of asked) bench.says(to, { type: 'queued', id, ahead: 3 })
    expect(bench.swarm.stats().requests).toBe(6)
  })

  it('are for no more bytes than may be in flight in any case', () => {
    const bench = createBench({ limits: { inFlightMaxBytes: sizeOf(2) } })
    bench.read()
    for (const peer of span(0, 8)) bench.joins(`p${peer}`, span(0, 100))
    expect(bench.swarm.stats().requests).toBe(2)
  })

  it('that waited count like others once they begin, and no more once they end', () => {
    expect(mostWaiting(sizeOf(1), (bench, request) => bench.sends(request, { bytes: 0 }))).toBe(7)
    expect(mostWaiting(sizeOf(1), (bench, { id, to }) => bench.says(to, { type: 'missing', id }))).toBe(7)
  })

  it('are made known to who receives chunks, as is that nothing more of them is awaited', () => {
    const bench = createBench()
    bench.read()
    bench.joins('a', [4])
    const ids = [{ type: 'missing' as const }, { type: 'busy' as const, try: [] }].map((answer) => {
      const [request] = bench.told('request')
      expect(bench.take('expect')).toEqual([
        { type: 'expect', peer: 'a', id: request!.id, digest, size: sizeOf(100), index: 4, offset: 0 },
      ])
      bench.says('a', { ...answer, id: request!.id })
      expect(bench.take('ignore')).toEqual([
        { type: 'ignore', peer: 'a', id: request!.id, digest, index: 4, received: 0 },
      ])
      bench.says('a', { type: 'have', digest, indices: [4] })
      return request!.id
    })
    bench.pass(limits.busyBackoffMaxMs)
    const [last] = bench.told('request')
    expect(ids).not.toContain(last!.id)
    bench.handle({ type: 'reader-closed', digest, reader: 1 })
    expect(bench.take('ignore')).toEqual([{ type: 'ignore', peer: 'a', id: last!.id, digest, index: 4, received: 0 }])
  })

  it('that were given up are nothing that an answer could be to', () => {
    const bench = createBench()
    bench.read()
    bench.joins('a', [4])
    const id = bench.told('request')[0]!.id
    bench.handle({ type: 'reader-closed', digest, reader: 1 })
    bench.told('cancel')
    for (const answer of [
      { type: 'queued' as const, ahead: 1 },
      { type: 'busy' as const, try: [] },
      { type: 'missing' as const },
    ])
      bench.says('a', { ...answer, id })
    bench.read()
    bench.joins('a', [4])
    expect(bench.told('request')).toMatchObject([{ to: 'a', index: 4 }])
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

  it('turned away again and again rest longer each time, until the peer lets one wait or sends', () => {
    const bench = createBench()
    bench.read()
    bench.joins('a', [4])
    expect(restsMs(bench, 7)).toEqual([25, 25, 50, 100, 175, 250, 250])
    bench.says('a', { type: 'queued', id: bench.told('request')[0]!.id, ahead: 1 })
    bench.handle({ type: 'peer-disconnected', peer: 'a' })
    bench.joins('a', [4])
    expect(restsMs(bench, 3)).toEqual([25, 25, 50])
    bench.sends(bench.told('request')[0]!, { bytes: 1000 })
    bench.handle({ type: 'peer-disconnected', peer: 'a' })
    bench.joins('a', [4])
    expect(restsMs(bench, 3)).toEqual([25, 25, 50])
  })

  it('turned away from a peer that takes long for a chunk rest an eighth of that', () => {
    const bench = createBench()
    bench.read()
    bench.joins('a', [3])
    const [earlier] = bench.told('request')
    bench.sends(earlier!, { bytes: 0 })
    for (let passed = 0; passed < 4000; passed += 500) {
      bench.pass(500)
      bench.handle({ type: 'frame', peer: 'a', id: earlier!.id, bytes: sizeOf(1) / 8 })
    }
    bench.settle()
    bench.says('a', { type: 'have', digest, indices: [4] })
    // It took 4 s, an eighth of which is what a chunk is taken to take after one.
    expect(restsMs(bench, 2)).toEqual([75, 125])
  })

  it('turned away are made of no more of those whom the busy peer names than it should name', () => {
    const bench = createBench()
    bench.read()
    const named = span(0, limits.busyHintsMax + 1).map((at) => `p${at}`)
    for (const peer of named) bench.joins(peer, [])
    bench.joins('a', [4])
    bench.says('a', { type: 'busy', id: bench.told('request')[0]!.id, try: named })
    for (const peer of named.slice(0, -1)) bench.says(peer, { type: 'leave', digest })
    expect(bench.told('request').filter(({ to }) => to === named.at(-1))).toEqual([])
    expect(bench.swarm.stats().requests).toBe(0)
  })

  it('turned away with the name of a neighbour across a border are not made there without a lease', () => {
    const bench = createBench({ places: createPlaces('zone', (peer) => ({ zone: peer === 'far' ? 'other' : 'own' })) })
    bench.read()
    bench.joins('far', [])
    bench.joins('a', [4])
    const [request] = bench.told('request')
    bench.says('a', { type: 'busy', id: request!.id, try: ['far'] })
    expect(bench.told('request')).toEqual([])
  })

  it('for what others are wrong that a peer has are held against nobody, and its own word counts', () => {
    const bench = createBench()
    bench.read()
    bench.joins('b', [])
    bench.joins('a', [4])
    const [request] = bench.told('request')
    bench.says('a', { type: 'busy', id: request!.id, try: ['b'] })
    bench.says('b', { type: 'missing', id: bench.told('request', 'b')[0]!.id })
    expect(bench.swarm.announceState(digest)?.bans).toBeUndefined()
    bench.pass(limits.tickMs)
    bench.says('a', { type: 'busy', id: bench.told('request', 'a')[0]!.id, try: ['b'] })
    bench.says('b', { type: 'have', digest, indices: [4] })
    bench.says('b', { type: 'missing', id: bench.told('request', 'b')[0]!.id })
    expect(bench.swarm.announceState(digest)?.bans).toEqual(['b'])
  })

  it.each<[string, (bench: Bench) => void, (bench: Bench) => void]>([
    ['before', (bench) => bench.says('b', { type: 'have', digest, indices: [4] }), () => {}],
    ['after', () => {}, (bench) => bench.joins('b', [4])],
  ])('for what a peer has said %s others did that it has are denied on its own word', (_when, before, after) => {
    const bench = createBench()
    bench.read()
    bench.joins('b', [])
    bench.joins('a', [4])
    const [request] = bench.told('request')
    before(bench)
    bench.says('a', { type: 'busy', id: request!.id, try: ['b'] })
    after(bench)
    bench.says('b', { type: 'missing', id: bench.told('request', 'b')[0]!.id })
    expect(bench.swarm.announceState(digest)?.bans).toEqual(['b'])
  })

  it('for what is only fetched ahead are left with one that sends a byte now and then', () => {
    const bench = createBench()
    bench.read({ prefetch: true })
    bench.joins('a', [4])
    const [request] = bench.told('request')
    bench.sends(request!, { bytes: 1 })
    trickle(bench, [request!], 2 * limits.crawlMs)
    expect(bench.told('cancel')).toEqual([])
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

  it('for what a peer has lost, as it says before it answers, are held against nobody', () => {
    const bench = createBench({ chunks: 10 })
    bench.read()
    bench.joins('a', [0, 1])
    const lost = bench.told('request').find(({ index }) => index === 0)!
    bench.joins('a', [1])
    bench.says('a', { type: 'missing', id: lost.id })
    const state = bench.swarm.announceState(digest)
    expect(state?.bans).toBeUndefined()
    expect(state?.lease?.insists).toBeUndefined()
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

  it('that fall silent are asked of a second peer only after four times what usually passes between two frames of the first', () => {
    const bench = createBench()
    bench.read()
    // The link is far wider than what comes of the chunk.
    bench.handle({ type: 'frame', peer: 'stranger', id: -1, bytes: sizeOf(100) })
    bench.pass(4000)
    bench.joins('a', [4])
    bench.joins('b', [])
    const [first] = bench.told('request')
    bench.sends(first!, { bytes: 0, signer: 'seed' })
    for (let frame = 0; frame < 7; frame++) {
      bench.pass(100)
      bench.handle({ type: 'frame', peer: 'a', id: first!.id, bytes: 16 * KiB })
    }
    bench.says('b', { type: 'have', digest, indices: [4] })
    bench.pass(375)
    expect(bench.told('request')).toEqual([])
    bench.pass(50)
    expect(bench.told('request')).toMatchObject([{ to: 'b', index: 4, offset: 7 * 16 * KiB }])
  })

  it('that fell silent and begin again go on where the one that was further ahead had come', () => {
    const bench = createBench()
    bench.read()
    bench.joins('a', [4])
    const [first] = bench.told('request')
    bench.sends(first!, { bytes: 50_000, signer: 'seed' })
    bench.joins('b', [4])
    bench.pass(limits.hedgeAfterMs)
    const [second] = bench.told('request')
    bench.sends(second!, { bytes: 1000, signer: 'seed' })
    bench.handle({ type: 'frame', peer: 'a', id: first!.id, bytes: 30_000 })
    bench.handle({ type: 'frame', peer: 'b', id: second!.id, bytes: 1000 })
    for (const peer of ['a', 'b']) bench.handle({ type: 'peer-disconnected', peer })
    bench.joins('c', [4])
    expect(bench.told('request')).toMatchObject([{ to: 'c', offset: 80_000 }])
    expect(bench.swarm.stats()).toMatchObject({ inFlightBytes: sizeOf(1) - 80_000 })
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
    ['two chunks and a half, each within what is waited before a second is asked,', 2.5 * sizeOf(1), 1],
  ])('that wait where %s has come over the link are asked of such a peer so often', (_what, bytes, times) => {
    expect(waitsTwice(bytes).second === undefined ? 0 : 1).toBe(times)
  })

  it.each([
    [7, 'b'],
    [5, 'b'],
    [3, 'a'],
  ])('that wait in two queues keep the better place: behind five or %i, it is given up at %s', (ahead, left) => {
    const { bench, first, second } = waitsTwice()
    bench.says('a', { type: 'queued', id: first!.id, ahead: 5 })
    expect(bench.told('cancel')).toEqual([])
    bench.says('b', { type: 'queued', id: second!.id, ahead })
    expect(bench.told('cancel')).toMatchObject([{ to: left, id: (left === 'a' ? first : second)!.id }])
  })

  it('that have begun are not made again of a peer that gains the chunk', () => {
    const bench = createBench()
    bench.read()
    bench.joins('a', [4])
    bench.joins('b', [])
    const [first] = bench.told('request')
    bench.says('a', { type: 'queued', id: first!.id, ahead: 9 })
    bench.sends(first!, { bytes: 1000 })
    bench.says('b', { type: 'have', digest, indices: [4] })
    expect(bench.told('request')).toEqual([])
  })

  it('that wait are not made again of the peer at which they do', () => {
    const bench = createBench()
    bench.read()
    bench.joins('a', [4, 5])
    const requests = bench.told('request')
    for (const [at, { id }] of requests.entries()) bench.says('a', { type: 'queued', id, ahead: 9 - 9 * at })
    bench.says('a', { type: 'have', digest, indices: [requests[0]!.index] })
    expect(bench.told('request')).toEqual([])
  })

  it('that wait at a peer nearby are not made again of it', () => {
    const places = createPlaces('none', () => ({ zone: 'own', region: 'own' }))
    const bench = createBench({ places })
    bench.read()
    bench.joins('a', [4])
    const [first] = bench.told('request')
    bench.says('a', { type: 'queued', id: first!.id, ahead: 5 })
    bench.says('a', { type: 'have', digest, indices: [4] })
    expect(bench.told('request')).toEqual([])
  })

  it.each([
    [1, 0, 0],
    [2, 0, 1],
    [3, 1, 0],
    [4, 1, 1],
  ])(
    'that wait behind %i are made of a peer that gains the chunk, asked for %i before, so often: %i',
    (ahead, before, times) => {
      const bench = createBench()
      bench.read()
      bench.joins('a', [4])
      const [first] = bench.told('request')
      bench.says('a', { type: 'queued', id: first!.id, ahead })
      bench.joins('b', span(50, 50 + before))
      bench.says('b', { type: 'have', digest, indices: [4] })
      expect(bench.told('request', 'b').filter(({ index }) => index === 4)).toHaveLength(times)
    },
  )

  it.each([
    [1, 0],
    [2, 1],
  ])(
    'that wait, beside one that does not, on a link for %i are made of a peer that gains the chunk so often: %i',
    (inFlightSlowChunks, times) => {
      const bench = createBench({ limits: { inFlightSlowChunks } })
      bench.read()
      bench.joins('a', [4])
      const [first] = bench.told('request')
      bench.says('a', { type: 'queued', id: first!.id, ahead: 5 })
      bench.joins('c', [5])
      expect(bench.told('request', 'c')).toHaveLength(1)
      bench.joins('b', [])
      bench.says('b', { type: 'have', digest, indices: [4] })
      expect(bench.told('request', 'b')).toHaveLength(times)
    },
  )

  it('that wait are not made of a peer that gains the chunk and rests', () => {
    const bench = createBench()
    bench.read()
    bench.joins('b', [6])
    const [turned] = bench.told('request')
    bench.joins('a', [4])
    const [first] = bench.told('request')
    bench.says('a', { type: 'queued', id: first!.id, ahead: 5 })
    bench.says('b', { type: 'busy', id: turned!.id, try: [] })
    bench.says('b', { type: 'have', digest, indices: [4] })
    expect(bench.told('request')).toEqual([])
  })

  it('that wait for a chunk that must come whole are not made of a second peer', () => {
    const bench = createBench()
    bench.read({ whole: false, start: sizeOf(4), end: sizeOf(5) })
    bench.joins('liar', [4])
    bench.sends(bench.told('request')[0]!)
    bench.handle({ type: 'hashed', digest, index: 4, hash: hashOf(999) })
    gainsLater(bench, 5)
    expect(bench.told('request')).toEqual([])
  })

  it('that have begun wait for nothing, whatever their peer says', () => {
    const bench = createBench()
    bench.read()
    bench.joins('a', [4])
    const [first] = bench.told('request')
    bench.sends(first!, { bytes: 1000, signer: 'seed' })
    bench.says('a', { type: 'queued', id: first!.id, ahead: 5 })
    bench.joins('b', [4])
    bench.pass(limits.hedgeAfterMs)
    expect(bench.told('request')).toMatchObject([{ to: 'b', index: 4, offset: 1000 }])
  })

  it('that are nearly served stay where they are', () => {
    const bench = createBench()
    bench.read()
    gainsLater(bench, 1)
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
    bench.read()
    const drips = drippingOrigin(bench)
    for (const peer of ['a', 'b']) bench.joins(peer, [4])
    const [request] = bench.told('request')
    const other = request!.to === 'a' ? 'b' : 'a'
    const crawls = (ms: number): void => {
      for (let passedMs = 0; passedMs < ms; passedMs += 50) {
        drips()
        trickle(bench, [request!], 50)
      }
    }
    bench.sends(request!, { bytes: 1 })
    crawls(limits.crawlMs - 50)
    expect(bench.told('request')).toEqual([])
    crawls(100)
    expect(bench.told('request')).toMatchObject([{ to: other, index: 4 }])
    expect(bench.told('cancel', request!.to)).toEqual([])
    crawls(limits.crawlMaxMs - limits.crawlMs + 200)
    expect(bench.told('cancel', request!.to)).toMatchObject([{ id: request!.id }])
  })

  it('of a peer that sends a byte now and then are given up after two seconds where nothing else comes, and nobody else has the chunk', () => {
    const bench = createBench()
    bench.read()
    bench.joins('a', [4])
    const [request] = bench.told('request')
    bench.sends(request!, { bytes: 1 })
    trickle(bench, [request!], limits.crawlMs - 50)
    expect(bench.told('cancel')).toEqual([])
    trickle(bench, [request!], 100)
    expect(bench.told('cancel')).toMatchObject([{ id: request!.id }])
  })

  it('of two peers that both send a byte now and then are made of a third in place of one', () => {
    const bench = createBench()
    bench.read({ whole: false, start: sizeOf(4), end: sizeOf(5) })
    for (const peer of ['a', 'b']) bench.joins(peer, [4])
    const crawling = bench.told('request')
    bench.sends(crawling[0]!, { bytes: 1 })
    trickle(bench, crawling, limits.crawlMs + 50)
    crawling.push(...bench.told('request'))
    bench.sends(crawling[1]!, { bytes: 1 })
    bench.joins('c', [4])
    trickle(bench, crawling, limits.crawlMs - 50)
    expect(bench.told('request')).toEqual([])
    trickle(bench, crawling, 100)
    expect(bench.told('request')).toMatchObject([{ to: 'c', index: 4 }])
    expect(bench.told('cancel')).toHaveLength(1)
  })

  it('of a peer whose first frame came soon, and then but a byte now and then, are asked of a second one too', () => {
    const bench = createBench()
    bench.read({ whole: false, start: sizeOf(4), end: sizeOf(5) })
    bench.joins('a', [4])
    const [request] = bench.told('request')
    bench.sends(request!, { bytes: limits.frameSizeBytes })
    bench.joins('b', [4])
    trickle(bench, [request!], 2 * limits.crawlMs)
    expect(bench.told('request')).toMatchObject([{ to: 'b', index: 4 }])
  })

  it('for a chunk that must come whole are made of another in place of one that sends a byte now and then, where there is one', () => {
    const bench = createBench()
    bench.read()
    const drips = drippingOrigin(bench)
    bench.joins('liar', [4])
    bench.sends(bench.told('request')[0]!)
    bench.handle({ type: 'hashed', digest, index: 4, hash: hashOf(999) })
    bench.joins('a', [4])
    const [request] = bench.told('request')
    bench.sends(request!, { bytes: 1 })
    for (let second = 0; second < 4; second++) {
      drips()
      trickle(bench, [request!], 1000)
    }
    expect(bench.told('cancel')).toEqual([])
    bench.joins('b', [4])
    trickle(bench, [request!], 25)
    expect(bench.told('cancel')).toMatchObject([{ to: 'a', id: request!.id }])
    expect(bench.told('request')).toMatchObject([{ to: 'b', index: 4, offset: 0 }])
  })

  it('of one that sends a byte now and then and of one at which they wait are made of a third', () => {
    const bench = createBench()
    bench.read({ whole: false, start: sizeOf(4), end: sizeOf(5) })
    bench.joins('a', [4])
    const [request] = bench.told('request')
    bench.sends(request!, { bytes: 1 })
    bench.joins('b', [4])
    trickle(bench, [request!], limits.crawlMs)
    const [second] = bench.told('request')
    expect(second).toMatchObject({ to: 'b' })
    bench.says('b', { type: 'queued', id: second!.id, ahead: 3 })
    bench.joins('c', [4])
    trickle(bench, [request!], 25)
    expect(bench.told('request')).toMatchObject([{ to: 'c', index: 4 }])
  })

  it.each([
    ['slow, where the other is much faster', {}, 4 * KiB, 25, ['fast']],
    [
      'slow, where the other is much faster and yet the link full',
      { inFlightSlowChunks: 1, inFlightSlowMs: 0 },
      4 * KiB,
      25,
      [],
    ],
    ['slow, where the other is not much faster', {}, 4 * KiB, 1500, []],
    ['hardly slower than others on this link', {}, 8 * KiB, 25, []],
  ])('for the last chunk, which is %s, are made of that too', (_what, limitsOf, bytesPerTenth, chunkMs, asked) => {
    const bench = createBench({ limits: limitsOf })
    bench.read({ whole: false, start: sizeOf(3), end: sizeOf(5) })
    bench.joins('fast', [3])
    const [earlier] = bench.told('request')
    bench.sends(earlier!, { bytes: 0 })
    const frames = sizeOf(1) / limits.frameSizeBytes
    for (let frame = 0; frame < frames; frame++) {
      bench.clock.advance(chunkMs / frames)
      bench.handle({ type: 'frame', peer: 'fast', id: earlier!.id, bytes: limits.frameSizeBytes })
    }
    bench.settle()
    // The link is as wide, whoever fills it.
    bench.handle({ type: 'frame', peer: 'stranger', id: -1, bytes: sizeOf(chunkMs / 100) })
    bench.pass(limits.linkSpanMs)
    bench.joins('slow', [4])
    const [last] = bench.told('request')
    bench.sends(last!, { bytes: 0, signer: 'fast' })
    bench.says('fast', { type: 'have', digest, indices: [4] })
    for (let tenth = 0; tenth < 3; tenth++) {
      bench.pass(100)
      bench.handle({ type: 'frame', peer: 'slow', id: last!.id, bytes: bytesPerTenth })
    }
    bench.handle({ type: 'tick' })
    expect(bench.told('request').map(({ to }) => to)).toEqual(asked)
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
    const drips = drippingOrigin(bench)
    bench.joins('a', [4])
    const [request] = bench.told('request')
    for (let round = 0; round < 10; round++) {
      bench.says('a', { type: 'queued', id: request!.id, ahead: 3 })
      drips()
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

    it('are given up after four where nothing else comes', () => {
      expect(msUntilGivenUp({}, () => 3, false)).toBe(limits.queueStillMs + 500)
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

  it.each([
    ['one of two was asked later, and may be about to answer', 500, 0],
    ['something comes from another', 0, 1000],
  ])('are made as ever where %s', (_what, laterMs, bytes) => {
    const bench = createBench()
    bench.read()
    bench.joins('a', [0])
    bench.pass(laterMs)
    bench.joins('b', [1])
    bench.pass(limits.stallMs - laterMs - limits.tickMs)
    if (bytes > 0) bench.handle({ type: 'frame', peer: 'c', id: -1, bytes })
    bench.pass(limits.tickMs)
    expect(bench.told('cancel')).toHaveLength(laterMs > 0 ? 1 : 2)
    bench.told('request')
    bench.joins('c', span(10, 20))
    expect(bench.told('request')).toHaveLength(2)
  })

  it('are made of nobody else where all were silent at once, and as ever once a chunk has come', () => {
    const bench = createBench()
    bench.read()
    bench.joins('a', [0])
    bench.joins('b', [1])
    bench.pass(limits.stallMs)
    bench.told('request')
    bench.joins('c', [10, 11, 12])
    const [only, ...more] = bench.told('request')
    expect(more).toEqual([])
    bench.joins('d', [10, 11, 12])
    bench.pass(limits.hedgeAfterMs)
    expect(bench.told('request')).toEqual([])
    bench.sends(only!)
    bench.settle()
    expect(bench.told('request')).toHaveLength(2)
  })

  it('of a peer that stalls now and then go on, if it sends a chunk between, after the same rest', () => {
    const bench = createBench()
    bench.read()
    bench.joins('a', span(0, 100))
    for (let stalls = 0; stalls <= limits.stallsMax; stalls++) {
      bench.told('request')
      while (bench.told('cancel').length === 0) bench.pass(limits.tickMs)
      bench.pass(limits.stallRestMs)
      const requests = bench.told('request')
      expect(requests).toHaveLength(2)
      for (const request of requests) bench.sends(request)
      bench.settle()
    }
    expect(bench.take('release')).toEqual([])
  })

  it('are not blamed on peers when this node itself was paused', () => {
    const bench = createBench()
    bench.read()
    bench.joins('a', [4])
    bench.clock.advance(5000)
    bench.handle({ type: 'tick' })
    expect(bench.told('cancel')).toEqual([])
  })

  it('for what nobody wants any more end at both peers that were asked', () => {
    const bench = createBench()
    bench.read({ whole: false, start: sizeOf(4), end: sizeOf(5) })
    bench.read({ reader: 2, whole: false, start: sizeOf(50), end: sizeOf(51) })
    bench.joins('a', [4])
    bench.joins('b', [])
    const [first] = bench.told('request')
    bench.says('a', { type: 'queued', id: first!.id, ahead: 5 })
    bench.says('b', { type: 'have', digest, indices: [4] })
    expect(bench.swarm.stats()).toMatchObject({ requests: 2 })
    bench.handle({ type: 'reader-closed', digest, reader: 1 })
    expect(bench.told('cancel').map(({ to }) => to)).toEqual(['a', 'b'])
    expect(bench.swarm.stats()).toMatchObject({ requests: 0 })
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

/** `a` says so to each request for so long. */
function isBusyFor(bench: Bench, ms: number): void {
  for (let passed = 0; passed < ms; passed += limits.busyBackoffMaxMs) {
    for (const { id } of bench.told('request', 'a')) bench.says('a', { type: 'busy', id, try: [] })
    bench.pass(limits.busyBackoffMaxMs)
  }
}

describe('a peer that is ever busy', () => {
  it('withholds what it has once that has lasted, and not for as long as nobody had it', () => {
    const bench = createBench()
    bench.read()
    bench.answer({ counts: new Uint8Array(100) })
    bench.pass(limits.starvedMs)
    bench.answer({ counts: new Uint8Array(100) })
    bench.joins('a', span(0, 100))
    isBusyFor(bench, limits.starvedMs - 1000)
    expect(bench.swarm.announceState(digest)?.bans).toBeUndefined()
    isBusyFor(bench, 2000)
    expect(bench.swarm.announceState(digest)?.bans).toEqual(['a'])
  })
})
