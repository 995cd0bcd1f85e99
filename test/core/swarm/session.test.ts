import { describe, expect, it } from 'vitest'
import { limits } from '../../../core/limits.ts'
import { bitsOf, createBench, digest, sizeOf, span, wishOf, type Bench } from './bench.ts'

const size = sizeOf(100)

/** A reader of the whole blob, of which the first forty chunks are held. */
function createReader(): Bench {
  const bench = createBench()
  bench.handle({ type: 'held', digest, size, have: bitsOf(100, span(0, 40)), complete: false })
  bench.read()
  return bench
}

/** A reader of 60 chunks from chunk 10 on, and a peer with all. */
function createPart(): Bench {
  const bench = createBench()
  bench.read({ whole: false, start: sizeOf(10), end: sizeOf(70) })
  bench.joins('a', span(0, 100))
  return bench
}

/** What is asked for is sent and kept, until nothing more is. */
function comes(bench: Bench): number[] {
  const came: number[] = []
  for (let asked = bench.told('request'); asked.length > 0; asked = bench.told('request')) {
    for (const request of asked) bench.sends(request)
    came.push(...asked.map(({ index }) => index))
    bench.settle()
  }
  return came
}

describe('what the store holds', () => {
  it('is all of a blob that it has proved, whatever it says of the chunks', () => {
    const bench = createBench()
    bench.handle({ type: 'held', digest, size, have: bitsOf(100, []), complete: true })
    expect(bench.swarm.progress(digest)).toMatchObject({ held: 100, complete: true })
  })

  it('is counted once, however often it says so', () => {
    const bench = createReader()
    bench.handle({ type: 'held', digest, size, have: bitsOf(100, span(0, 41)), complete: false })
    expect(bench.swarm.progress(digest)).toMatchObject({ held: 41 })
  })

  it.each<[string, (bench: Bench) => void]>([
    ['evicted', (bench) => bench.handle({ type: 'evicted', digest })],
    ['lost', (bench) => bench.handle({ type: 'lost', digest, have: bitsOf(100, []) })],
  ])('and is %s before neighbours have heard of it is not told to them', (_what, loses) => {
    const bench = createBench()
    bench.read()
    bench.joins('b', [])
    bench.joins('a', [4, 5])
    for (const request of bench.told('request')) bench.sends(request)
    bench.settle()
    expect(bench.told('have', 'b')).toHaveLength(1)
    loses(bench)
    bench.pass(limits.haveBatchMs)
    expect(bench.told('have', 'b')).toEqual([])
  })
})

describe('a reader of a part', () => {
  it('has so much fetched as it may read ahead, and more once it has moved on', () => {
    const bench = createPart()
    const ahead = limits.rangedAheadBytes / limits.chunkSizeMinBytes
    expect(comes(bench)).toEqual(span(10, 10 + ahead))
    bench.handle({ type: 'reader-moved', digest, reader: 1, position: sizeOf(12) })
    expect(comes(bench)).toEqual(span(10 + ahead, 12 + ahead))
    for (const [reader, position] of [
      [1, sizeOf(12)],
      [1, sizeOf(11)],
      [2, sizeOf(60)],
    ] as const)
      bench.handle({ type: 'reader-moved', digest, reader, position })
    expect(comes(bench)).toEqual([])
    bench.handle({ type: 'lost', digest, have: bitsOf(100, span(12, 12 + ahead)) })
    expect(comes(bench)).toEqual([])
  })

  it('wants what was asked for before it moved on no more', () => {
    const bench = createPart()
    const asked = bench.told('request').map(({ index }) => index)
    expect(asked).toEqual([10, 11])
    bench.read({ reader: 2, whole: false, start: sizeOf(90), end: sizeOf(91) })
    bench.handle({ type: 'reader-moved', digest, reader: 1, position: sizeOf(11) })
    bench.handle({ type: 'reader-closed', digest, reader: 2 })
    expect(bench.told('cancel')).toHaveLength(1)
  })
})

describe('a reader of the whole', () => {
  it('needs next what comes after all that is here, also what has come meanwhile', () => {
    const bench = createReader()
    bench.joins('a', [40])
    bench.sends(bench.told('request')[0]!)
    bench.settle()
    bench.joins('b', [40 + limits.windowChunks, ...span(80, 100)])
    expect(bench.told('request')[0]).toMatchObject({ index: 40 + limits.windowChunks })
  })

  it('is late when the chunk that it needs next has been that one for long, and not since it began', () => {
    const bench = createReader()
    bench.joins('a', [40])
    const [request] = bench.told('request')
    bench.pass(limits.urgentAfterMs)
    bench.sends(request!)
    bench.settle()
    const counts = new Uint8Array(100).fill(1)
    counts[41] = 2
    bench.answer({ counts })
    bench.joins('b', [41, 42])
    expect(bench.told('request')[0]).toMatchObject({ index: 42 })
  })
})

describe('a chunk that was refused on the word of one', () => {
  it('is no reason to doubt the others once it is here', () => {
    const bench = createBench()
    bench.read()
    bench.joins('a', [4])
    bench.sends(bench.told('request')[0]!, { witness: { kind: 'fetched', origin: 'evil.example' } })
    bench.joins('b', [4])
    bench.sends(bench.told('request')[0]!)
    bench.settle()
    bench.answer({ counts: new Uint8Array(100).fill(1) })
    bench.pass(limits.starvedMs - limits.tickMs)
    expect(wishOf(bench)).toBeUndefined()
    bench.pass(limits.tickMs)
    expect(wishOf(bench)).toMatchObject({ insists: true })
  })
})
