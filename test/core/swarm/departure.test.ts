import { describe, expect, it } from 'vitest'
import { limits } from '../../../core/limits.ts'
import { digestFromHex, type Digest } from '../../../core/oci/digest.ts'
import { MiB } from '../../../core/units.ts'
import { bitsOf, createBench, digest, sizeOf, span, type Bench } from './bench.ts'

const digestOf = (number: number): Digest => digestFromHex(number.toString(16).padStart(64, '0'))

/** Holds whole blobs of so many chunks: `digestOf` 0, 1 … */
function createSeed(...chunks: number[]): Bench {
  const bench = createBench()
  for (const [number, count] of chunks.entries()) hold(bench, digestOf(number), count)
  bench.take('announce')
  return bench
}

function hold(bench: Bench, which: Digest, chunks: number): void {
  const have = bitsOf(chunks, span(0, chunks))
  bench.handle({ type: 'held', digest: which, size: sizeOf(chunks), have, complete: true })
}

/** The directory's word for a blob: nobody else has it, or `others` do. */
function tell(bench: Bench, which: Digest, chunks: number, { isWanted = false, others = false } = {}): void {
  const departure = { ...(others ? {} : { sole: bitsOf(chunks, span(0, chunks)) }), isWanted }
  bench.handle({ type: 'directory', answer: { digest: which, size: sizeOf(chunks), peers: [], departure } })
}

const offered = (bench: Bench): Digest[] => bench.take('offer').map((command) => command.digest)
const isOver = (bench: Bench): boolean => bench.take('departed').length > 0

describe('a node that departs', () => {
  it('asks the directories of all that it holds', () => {
    const bench = createSeed(4, 8)
    bench.handle({ type: 'departs', maxBytes: Infinity })
    expect(bench.take('announce')).toEqual(
      [0, 1].map((number) => ({ type: 'announce', digest: digestOf(number), now: true })),
    )
    expect(bench.swarm.announceState(digestOf(0))).toMatchObject({ departs: true, wants: false })
    expect(isOver(bench)).toBe(false)
  })

  it('may go at once where it holds nothing', () => {
    const bench = createSeed()
    bench.handle({ type: 'departs', maxBytes: Infinity })
    expect(isOver(bench)).toBe(true)
  })

  it('may go when others have all that it has', () => {
    const bench = createSeed(4, 8)
    bench.handle({ type: 'departs', maxBytes: Infinity })
    tell(bench, digestOf(0), 4, { others: true })
    expect(isOver(bench)).toBe(false)
    tell(bench, digestOf(1), 8, { others: true })
    expect(isOver(bench)).toBe(true)
    expect(offered(bench)).toEqual([])
  })

  it('waits for those who read what only it has, and asks nobody to take it', () => {
    const bench = createSeed(4)
    bench.handle({ type: 'departs', maxBytes: Infinity })
    tell(bench, digestOf(0), 4, { isWanted: true })
    bench.pass(5000)
    expect(offered(bench)).toEqual([])
    expect(isOver(bench)).toBe(false)
    tell(bench, digestOf(0), 4, { isWanted: true, others: true })
    expect(isOver(bench)).toBe(true)
  })

  it('has what nobody reads taken by one who stays, and goes when that one has it', () => {
    const bench = createSeed(4)
    bench.handle({ type: 'departs', maxBytes: Infinity })
    tell(bench, digestOf(0), 4)
    expect(offered(bench)).toEqual([digestOf(0)])
    bench.handle({ type: 'offered', digest: digestOf(0), isTaken: true })
    // The directory has not heard of it yet.
    tell(bench, digestOf(0), 4)
    tell(bench, digestOf(0), 4, { isWanted: true })
    expect(isOver(bench)).toBe(false)
    tell(bench, digestOf(0), 4, { others: true })
    expect(isOver(bench)).toBe(true)
  })

  it('goes when nobody takes it, or who took it has given it up', () => {
    const bench = createSeed(4, 4)
    bench.handle({ type: 'departs', maxBytes: Infinity })
    for (const number of [0, 1]) tell(bench, digestOf(number), 4)
    bench.handle({ type: 'offered', digest: digestOf(0), isTaken: false })
    bench.handle({ type: 'offered', digest: digestOf(1), isTaken: true })
    bench.pass(limits.handOverBeginMs)
    expect(isOver(bench)).toBe(false)
    tell(bench, digestOf(1), 4)
    expect(isOver(bench)).toBe(true)
  })

  it('offers the smallest first, and a large one when those before it are gone', () => {
    const large = (100 * MiB) / sizeOf(1)
    const bench = createSeed(large, 4, 8)
    bench.handle({ type: 'departs', maxBytes: Infinity })
    for (const [number, chunks] of [large, 4, 8].entries()) tell(bench, digestOf(number), chunks)
    // The large one was all that was known of at first.
    expect(offered(bench)).toEqual([digestOf(0)])
    bench.handle({ type: 'offered', digest: digestOf(0), isTaken: false })
    expect(offered(bench)).toEqual([digestOf(1), digestOf(2)])
  })

  it('keeps to itself what is more than it may hand over', () => {
    const bench = createSeed(10, 4, 4)
    bench.handle({ type: 'departs', maxBytes: sizeOf(9) })
    for (const [number, chunks] of [10, 4, 4].entries()) tell(bench, digestOf(number), chunks)
    expect(offered(bench)).toEqual([digestOf(1), digestOf(2)])
    for (const number of [1, 2]) bench.handle({ type: 'offered', digest: digestOf(number), isTaken: false })
    expect(isOver(bench)).toBe(true)
  })

  it('offers no half of a blob: of what nobody wants nobody has the other half', () => {
    const bench = createBench()
    bench.handle({ type: 'held', digest, size: sizeOf(100), have: bitsOf(100, [1, 2]), complete: false })
    bench.handle({ type: 'departs', maxBytes: Infinity })
    bench.answer({ departure: { sole: bitsOf(100, [1, 2]), isWanted: false } })
    expect(offered(bench)).toEqual([])
    expect(isOver(bench)).toBe(true)
  })

  it('forgets what it has lost meanwhile', () => {
    const bench = createSeed(4)
    bench.handle({ type: 'departs', maxBytes: Infinity })
    bench.handle({ type: 'evicted', digest: digestOf(0) })
    bench.pass(1000)
    expect(isOver(bench)).toBe(true)
  })

  it('gives back the leases that it has not begun, where others read the blob', () => {
    const bench = createBench()
    bench.read()
    bench.answer({ lease: { id: 1, start: 0, end: 4, ttlMs: 1750 } })
    bench.answer({ lease: { id: 2, start: 4, end: 8, ttlMs: 1750 } })
    expect(bench.take('fetch-origin')).toHaveLength(1)
    bench.joins('a', [50])
    bench.handle({ type: 'departs', maxBytes: Infinity })
    bench.answer({ departure: { isWanted: true } })
    expect(bench.swarm.announceState(digest)?.released ?? []).toEqual([2])
    expect(bench.swarm.announceState(digest)?.fetching).toEqual([{ start: 0, end: 4 }])
  })

  it('tells who asks for what has left already of what has not', () => {
    const bench = createBench()
    bench.handle({ type: 'held', digest, size: sizeOf(100), have: bitsOf(100, [1, 2]), complete: false })
    for (const peer of ['a', 'b']) bench.joins(peer, [])
    bench.handle({ type: 'departs', maxBytes: Infinity })
    bench.says('a', { type: 'request', id: 1, digest, index: 1, offset: 0 })
    bench.says('b', { type: 'request', id: 1, digest, index: 1, offset: 0 })
    expect(bench.told('suggest')).toEqual([{ type: 'suggest', to: 'b', id: 1, index: 2 }])
  })
})

describe('a node that is asked to take what another leaves', () => {
  const other = digestOf(7)

  it('does, and brings it from those who have proved it, never from an origin', () => {
    const bench = createBench()
    expect(bench.swarm.mayTake(digest, sizeOf(100))).toBe(true)
    bench.read({ origin: undefined, prefetch: true })
    bench.joins('leaver', span(0, 100))
    expect(bench.told('request', 'leaver').length).toBeGreaterThan(0)
    bench.pass(20_000)
    expect(bench.swarm.announceState(digest)).toMatchObject({ wants: true })
    expect(bench.swarm.announceState(digest)?.lease).toBeUndefined()
    bench.handle({ type: 'directory-silent', digest })
    expect(bench.take('fetch-origin')).toEqual([])
  })

  it("asks its reader's origin as soon as somebody reads the blob here", () => {
    const bench = createBench()
    bench.read({ origin: undefined, prefetch: true })
    bench.read({ reader: 2 })
    expect(bench.swarm.announceState(digest)?.lease).toBeDefined()
  })

  it('does not while it brings what somebody reads here', () => {
    const bench = createBench()
    bench.read()
    expect(bench.swarm.mayTake(other, sizeOf(1))).toBe(false)
  })

  it('does not when it departs itself', () => {
    const bench = createBench()
    bench.handle({ type: 'departs', maxBytes: Infinity })
    expect(bench.swarm.mayTake(other, sizeOf(1))).toBe(false)
  })

  it('does not take more at a time than it may', () => {
    const bench = createBench()
    bench.read({ origin: undefined, prefetch: true })
    const rest = limits.handOverTakenMaxBytes - sizeOf(100)
    expect(bench.swarm.mayTake(other, rest)).toBe(true)
    expect(bench.swarm.mayTake(other, rest + 1)).toBe(false)
    expect(bench.swarm.mayTake(digest, sizeOf(100))).toBe(true)
  })

  it('does not believe another size than it knows', () => {
    const bench = createSeed(4)
    expect(bench.swarm.mayTake(digestOf(0), sizeOf(5))).toBe(false)
  })
})
