/** A gateway in zone `own`; the peer `far` is in another, and `stranger` no member that is known. */
import { describe, expect, it } from 'vitest'
import { limits } from '../../../core/limits.ts'
import { createPlaces } from '../../../core/members/places.ts'
import { bitsOf, connects, createBench, digest, sizeOf, span, type Bench } from './bench.ts'

const places = createPlaces('zone', (peer) =>
  peer === 'stranger' ? undefined : { zone: peer === 'far' ? 'other' : 'own' },
)
const source = { peer: 'far', addresses: ['/far'], complete: true }
const lease = { id: 7, start: 10, end: 12, ttlMs: limits.leaseTtlMs, source }

/** A reader, and a lease to bring two chunks from `far`, which is connected. */
function gateway(): Bench {
  const bench = createBench({ places })
  bench.read()
  bench.answer({ lease })
  bench.joins('far', span(0, 100))
  return bench
}

const stateOf = (bench: Bench) => bench.swarm.announceState(digest)

describe('a peer on the other side of a border', () => {
  it('is asked for what a lease names, and nothing else', () => {
    const bench = gateway()
    expect(bench.take('dial')).toMatchObject([{ peer: 'far', addresses: ['/far'] }])
    const requests = bench.told('request')
    expect(requests.map(({ index }) => index)).toEqual([10, 11])
    for (const request of requests) bench.sends(request)
    bench.settle()
    bench.pass(1000)
    expect(bench.told('request')).toEqual([])
    expect(stateOf(bench)).toMatchObject({ released: [7], fetching: [] })
  })

  it('is asked before others are for what they have', () => {
    const bench = createBench({ places, limits: { inFlightSlowChunks: 1 } })
    bench.read()
    bench.joins('near', span(0, 50))
    const [only] = bench.told('request')
    bench.answer({ lease: { ...lease, start: 60, end: 61 } })
    bench.joins('far', span(0, 100))
    expect(bench.told('request')).toEqual([])
    bench.sends(only!)
    bench.settle()
    expect(bench.told('request')[0]).toMatchObject({ to: 'far', index: 60 })
  })

  it('is asked for nothing without a lease, whatever it says it has', () => {
    const bench = createBench({ places })
    bench.read()
    bench.joins('far', span(0, 50))
    bench.says('far', { type: 'have', digest, indices: span(50, 100) })
    bench.answer({ peers: [source] })
    expect(bench.told('request')).toEqual([])
    expect(bench.take('dial')).toEqual([])
    expect(stateOf(bench)?.lease).toMatchObject({ position: 0 })
  })

  it('is not asked for what waits at others, though it says that it has that', () => {
    const bench = createBench({ places })
    bench.read()
    bench.joins('near', span(0, 50))
    const [waiting] = bench.told('request')
    bench.says('near', { type: 'queued', id: waiting!.id, ahead: limits.uploadsWaitingMax })
    bench.answer({ lease: { ...lease, start: 60, end: 61 } })
    bench.joins('far', span(0, 100))
    expect(bench.told('request', 'far').map(({ index }) => index)).toEqual([60])
    bench.says('far', { type: 'have', digest, indices: [waiting!.index] })
    expect(bench.told('request', 'far')).toEqual([])
  })

  it('is none of the neighbours that this node has enough of', () => {
    const bench = gateway()
    expect(stateOf(bench)).toMatchObject({ neighbours: 0 })
    bench.joins('near', [])
    expect(stateOf(bench)).toMatchObject({ neighbours: 1 })
  })

  it('is not told what this node gains', () => {
    const bench = gateway()
    bench.joins('near', [])
    for (const request of bench.told('request')) bench.sends(request)
    bench.settle()
    bench.pass(500)
    expect(bench.told('have').every(({ to }) => to === 'near')).toBe(true)
  })

  it('that would rather send something else is asked for the rest of its lease, and for that again later', () => {
    const bench = createBench({ places })
    bench.read()
    bench.answer({ lease: { ...lease, end: 14 } })
    bench.joins('far', span(0, 100))
    const [first, second] = bench.told('request')
    bench.says('far', { type: 'suggest', id: first!.id, index: 50 })
    expect(bench.told('request').map(({ index }) => index)).toEqual([12])
    bench.pass(limits.deflectedMs)
    bench.sends(second!)
    expect(bench.told('request').map(({ index }) => index)).toEqual([first!.index])
  })

  it('that may be there is turned away until it is known where it is', () => {
    const bench = createBench({ places })
    bench.read()
    bench.joins('stranger', span(0, 100))
    expect(bench.told('leave', 'stranger')).toHaveLength(1)
    expect(bench.told('request')).toEqual([])
  })
})

describe('a lease to cross is', () => {
  it('used at once where its source is connected, and where that has joined before', () => {
    const connected = createBench({ places })
    connected.read()
    connects(connected, 'far')
    connected.answer({ lease })
    expect(connected.told('join', 'far')).toHaveLength(1)
    expect(connected.take('dial')).toEqual([])
    const joined = createBench({ places })
    joined.read()
    joined.joins('far', span(0, 100))
    joined.answer({ lease })
    expect(joined.told('request').map(({ index, to }) => [index, to])).toEqual([
      [10, 'far'],
      [11, 'far'],
    ])
  })

  it('lost where the directory says so, as others have or bring its chunks: what has not come is asked for no more', () => {
    const bench = gateway()
    bench.answer({ lease: { ...lease, id: 8, start: 20, end: 21 } })
    const [first, second] = bench.told('request')
    bench.sends(first!)
    bench.sends(second!, { bytes: 1000 })
    bench.settle()
    bench.answer({ lost: [lease.id] })
    expect(bench.told('cancel')).toMatchObject([{ id: second!.id, to: 'far' }])
    expect(stateOf(bench)).toMatchObject({ released: [7], fetching: [{ start: 20, end: 21 }] })
    bench.pass(500)
    expect(bench.told('request').map(({ index }) => index)).toEqual([20])
  })

  it('of no use to who reads nothing, nor where its source is on this side: it is given back', () => {
    const idle = createBench({ places })
    idle.handle({ type: 'held', digest, size: sizeOf(100), have: bitsOf(100, [1]), complete: false })
    idle.answer({ lease })
    const here = createBench({ places })
    here.read()
    here.answer({ lease: { ...lease, source: { ...source, peer: 'near' } } })
    for (const bench of [idle, here]) {
      expect(stateOf(bench)).toMatchObject({ released: [7], fetching: [] })
      expect(bench.take('dial')).toEqual([])
    }
  })

  it('given back when nobody reads here any more', () => {
    const bench = createBench({ places })
    bench.handle({ type: 'held', digest, size: sizeOf(100), have: bitsOf(100, [1]), complete: false })
    bench.read()
    bench.answer({ lease })
    bench.handle({ type: 'reader-closed', digest, reader: 1 })
    expect(stateOf(bench)).toMatchObject({ released: [7], fetching: [] })
  })

  it('a hope that its reader is left, where the origin refuses', () => {
    const bench = createBench({ places, limits: { hopelessAfterMs: limits.tickMs } })
    bench.read()
    bench.answer({ lease: { id: 6, start: 0, end: 1, ttlMs: limits.leaseTtlMs } })
    bench.answer({ lease })
    const { fetch } = bench.take('fetch-origin')[0]!
    bench.handle({ type: 'origin-ended', digest, fetch, failure: { kind: 'refused' } })
    bench.pass(limits.leaseTtlMs - limits.tickMs)
    expect(bench.take('fail')).toEqual([])
    bench.pass(limits.tickMs)
    expect(bench.take('fail')).toHaveLength(1)
  })

  it('given back as soon as all that it names is here', () => {
    const bench = gateway()
    const requests = bench.told('request')
    bench.sends(requests[0]!)
    bench.settle()
    expect(stateOf(bench)).toMatchObject({ fetching: [{ start: 11, end: 12 }] })
    bench.take('announce')
    bench.sends(requests[1]!)
    bench.settle()
    expect(stateOf(bench)).toMatchObject({ released: [7], fetching: [] })
    expect(bench.take('announce')).toContainEqual({ type: 'announce', digest, now: true })
  })

  it('over with its time: its source is asked no more', () => {
    const bench = gateway()
    for (const { id } of bench.told('request')) bench.says('far', { type: 'queued', id, ahead: 1 })
    bench.pass(limits.leaseTtlMs + 100)
    bench.told('request')
    bench.pass(limits.leaseTtlMs)
    expect(bench.told('request')).toEqual([])
  })

  it('told in announces, with the bytes that came', () => {
    const bench = gateway()
    const [request] = bench.told('request')
    bench.sends(request!, { bytes: 65_536 })
    expect(stateOf(bench)).toMatchObject({ fetching: [{ start: 10, end: 12 }], silentMs: 0 })
  })

  it('given back when its source is gone', () => {
    const bench = gateway()
    bench.handle({ type: 'peer-disconnected', peer: 'far' })
    bench.pass(100)
    expect(stateOf(bench)).toMatchObject({ released: [7], fetching: [] })
  })

  it('given back when its source can not be reached', () => {
    const bench = createBench({ places })
    bench.read()
    bench.answer({ lease })
    bench.handle({ type: 'dial-failed', peer: 'far' })
    bench.pass(100)
    expect(stateOf(bench)).toMatchObject({ released: [7], fetching: [] })
  })

  it('wished for again only after a while when its source can not be reached', () => {
    const bench = createBench({ places })
    bench.read()
    bench.answer({ lease })
    bench.handle({ type: 'dial-failed', peer: 'far' })
    bench.pass(limits.leaseAgainMs - 100)
    expect(stateOf(bench)?.lease).toBeUndefined()
    bench.pass(200)
    expect(stateOf(bench)?.lease).toBeDefined()
  })

  it('wished for again only after a while when what it names is here', () => {
    const bench = createBench({ places })
    bench.handle({ type: 'held', digest, size: sizeOf(100), have: bitsOf(100, [10, 11]), complete: false })
    bench.read()
    bench.answer({ lease })
    expect(stateOf(bench)).toMatchObject({ released: [7] })
    expect(stateOf(bench)?.lease).toBeUndefined()
    bench.pass(limits.leaseAgainMs)
    expect(stateOf(bench)?.lease).toBeDefined()
  })

  it('given back when its source has not what it names', () => {
    const bench = gateway()
    for (const { id } of bench.told('request')) bench.says('far', { type: 'missing', id })
    bench.pass(100)
    expect(stateOf(bench)).toMatchObject({ released: [7], fetching: [] })
    bench.answer({ counts: new Uint8Array(100).fill(1) })
    bench.pass(limits.leaseAgainMs)
    expect(stateOf(bench)?.lease).toBeUndefined()
  })

  it('given back when its source sends nothing', () => {
    const bench = gateway()
    for (const { id } of bench.told('request')) bench.says('far', { type: 'queued', id, ahead: 1 })
    bench.pass(limits.leaseTtlMs - 100)
    expect(stateOf(bench)).toMatchObject({ fetching: [{ start: 10, end: 12 }] })
    bench.pass(200)
    expect(stateOf(bench)).toMatchObject({ released: [7], fetching: [] })
  })

  it('given back when its source sends a byte now and then', () => {
    const bench = gateway()
    const requests = bench.told('request')
    for (const request of requests) bench.sends(request, { bytes: 1 })
    for (let passedMs = 0; passedMs < limits.crawlMs + limits.leaseTtlMs + 100; passedMs += 50) {
      for (const { id } of requests) bench.handle({ type: 'frame', peer: 'far', id, bytes: 1 })
      bench.pass(50)
    }
    expect(stateOf(bench)).toMatchObject({ released: [7], fetching: [] })
  })

  it('followed by another until the reader, to whom none brings anything, insists on the origin', () => {
    const bench = createBench({ places })
    bench.read()
    const wishes = span(1, 10).map((id) => {
      bench.answer({ counts: new Uint8Array(100), lease: { ...lease, id } })
      bench.handle({ type: 'dial-failed', peer: 'far' })
      bench.pass(limits.leaseAgainMs + limits.tickMs)
      bench.answer({ counts: new Uint8Array(100) })
      return stateOf(bench)?.lease?.insists === true
    })
    expect(wishes).toEqual([false, false, false, true, true, true, true, true, true])
  })

  it('wished for also while the origin rests, for however long the credential for it lives', () => {
    const bench = createBench({ places, credentialLife: () => ({ endsAtMs: 9000, renewableAtMs: 9000 }) })
    bench.read()
    bench.answer({ lease: { id: 1, start: 0, end: 1, ttlMs: limits.leaseTtlMs } })
    const [fetch] = bench.take('fetch-origin')
    const failure = { kind: 'rate-limited', retryAfterMs: 60_000 } as const
    bench.handle({ type: 'origin-ended', digest, fetch: fetch!.fetch, failure })
    expect(stateOf(bench)?.lease).toEqual({ chunks: expect.any(Number), position: 0, acrossOnly: true })
  })
})
