import { describe, expect, it } from 'vitest'
import { limits } from '../../../core/limits.ts'
import { digestFromHex } from '../../../core/oci/digest.ts'
import { bitsOf, createBench, createHolder, digest, hashOf, sizeOf, span, wishOf, type Bench } from './bench.ts'

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

  it('and of which a part is lost before neighbours have heard of it is told to them without that part', () => {
    const bench = createBench()
    bench.read()
    bench.joins('b', [])
    bench.joins('a', [4, 5, 6])
    comes(bench)
    bench.told('have', 'b')
    bench.handle({ type: 'lost', digest, have: bitsOf(100, [4, 5]) })
    bench.pass(limits.haveBatchMs)
    expect(bench.told('have', 'b').flatMap(({ indices }) => indices)).toEqual([5])
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

  it('has the last chunk fetched of which it wants but a byte', () => {
    const bench = createBench()
    bench.read({ whole: false, start: sizeOf(10), end: sizeOf(11) + 1 })
    bench.joins('a', span(0, 100))
    expect(comes(bench)).toEqual([10, 11])
  })

  it('wants the chunk in whose middle it is, and of the last that it may read ahead as well', () => {
    const bench = createPart()
    const ahead = limits.rangedAheadBytes / limits.chunkSizeMinBytes
    const [first] = bench.told('request')
    bench.handle({ type: 'reader-moved', digest, reader: 1, position: sizeOf(10) + 1 })
    bench.read({ reader: 2, whole: false, start: sizeOf(90), end: sizeOf(91) })
    bench.handle({ type: 'reader-closed', digest, reader: 2 })
    expect(bench.told('cancel')).toEqual([])
    bench.sends(first!)
    bench.settle()
    expect(comes(bench).at(-1)).toBe(10 + ahead)
  })

  it('wants nothing of others once all of it is here, though an origin that ignores Range sends more', () => {
    const bench = createBench()
    bench.read({ whole: false, end: sizeOf(1) })
    bench.answer({ lease: { id: 7, start: 0, end: 1, ttlMs: 1750 } })
    const [{ fetch } = { fetch: -1 }] = bench.take('fetch-origin')
    bench.handle({ type: 'origin-unranged', digest, fetch })
    bench.handle({ type: 'origin-frame', digest, fetch, index: 0, bytes: limits.chunkSizeMinBytes })
    expect(bench.swarm.announceState(digest)).toMatchObject({ wants: false })
  })

  it('needs nothing that it has passed by', () => {
    const bench = createBench()
    bench.read({ whole: false, start: sizeOf(10), end: sizeOf(70) })
    bench.handle({ type: 'reader-moved', digest, reader: 1, position: sizeOf(12) })
    expect(wishOf(bench)).toMatchObject({ position: 12 })
  })

  it.each([
    ['a part', false, [11, 12]],
    ['the whole', true, [10, 11, 12]],
  ])(
    'whose chunks the disk refused has them come anew for who begins to read %s in their middle',
    (_what, whole, anew) => {
      const bench = createBench()
      bench.read({ whole: false, start: sizeOf(10), end: sizeOf(13) })
      bench.joins('a', span(10, 13))
      for (let asked = bench.told('request'); asked.length > 0; asked = bench.told('request')) {
        for (const request of asked) bench.sends(request)
        for (const { index } of bench.take('hash')) bench.handle({ type: 'hashed', digest, index, hash: hashOf(index) })
        for (const { index } of bench.take('keep')) bench.handle({ type: 'kept', digest, index, ok: false })
      }
      bench.read({ reader: 2, whole, start: sizeOf(11) })
      expect(comes(bench).toSorted((a, b) => a - b)).toEqual(anew)
    },
  )

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
    bench.pass(limits.urgentAfterMs + limits.tickMs)
    bench.sends(request!)
    bench.settle()
    const counts = new Uint8Array(100).fill(1)
    counts[41] = 2
    bench.answer({ counts })
    bench.joins('b', [41, 42])
    expect(bench.told('request')[0]).toMatchObject({ index: 42 })
  })

  it('is late though others have come meanwhile', () => {
    const bench = createReader()
    bench.joins('a', [60])
    const [request] = bench.told('request')
    bench.pass(limits.urgentAfterMs)
    bench.sends(request!)
    bench.settle()
    bench.pass(limits.tickMs)
    const counts = new Uint8Array(100).fill(2)
    counts[50] = 1
    bench.answer({ counts })
    bench.joins('b', span(40, 60))
    expect(bench.told('request')[0]).toMatchObject({ index: 40 })
  })

  it('needs what the store lost before it came there', () => {
    const bench = createReader()
    bench.handle({ type: 'lost', digest, have: bitsOf(100, [...span(0, 21), ...span(22, 40)]) })
    bench.handle({ type: 'reader-moved', digest, reader: 1, position: sizeOf(21) + 1 })
    expect(wishOf(bench)).toMatchObject({ position: 21 })
  })

  it('needs last what comes before it', () => {
    const bench = createBench()
    bench.handle({ type: 'held', digest, size, have: bitsOf(100, span(50, 99)), complete: false })
    bench.read({ start: sizeOf(50) })
    expect(wishOf(bench)).toMatchObject({ position: 99 })
    bench.handle({ type: 'held', digest, size, have: bitsOf(100, span(50, 100)), complete: false })
    expect(wishOf(bench)).toMatchObject({ position: 0 })
  })

  it('needs of what peers withhold nothing that has come, and is being kept', () => {
    const { bench, fetch } = createHolder()
    bench.joins('a', [])
    for (let left = limits.chunkSizeMinBytes; left > 0; left -= 16_384)
      bench.handle({ type: 'origin-frame', digest, fetch, index: 0, bytes: 16_384 })
    bench.answer({ lost: [7], counts: new Uint8Array(100).fill(1) })
    bench.pass(limits.starvedMs)
    expect(wishOf(bench)).toMatchObject({ position: 1, insists: true })
  })

  it('wants no more of others once the origin is to send the rest', () => {
    const bench = createReader()
    expect(bench.swarm.announceState(digest)).toMatchObject({ wants: true })
    bench.answer({ lease: { id: 7, start: 40, end: 100, ttlMs: 1750 } })
    expect(bench.swarm.announceState(digest)).toMatchObject({ wants: false })
  })
})

describe('of several readers', () => {
  const parts = [
    [10, 20],
    [50, 60],
  ] as const
  it.each([
    ['first', parts],
    ['last', parts.toReversed()],
  ])('of parts the one whose part comes first in the blob is served first, also where it came %s', (_when, opened) => {
    const bench = createBench()
    for (const [reader, [start, end]] of opened.entries())
      bench.read({ reader, whole: false, start: sizeOf(start), end: sizeOf(end) })
    expect(wishOf(bench)).toMatchObject({ position: 10 })
  })

  it.each([
    ['whole', true],
    ['part', false],
  ])('a prefetch of a %s comes last, whenever it came', (_what, whole) => {
    const prefetch = { reader: 3, whole, prefetch: true, end: sizeOf(10) }
    const bench = createBench()
    bench.read(prefetch)
    bench.read({ start: sizeOf(50) })
    expect(wishOf(bench)).toMatchObject({ position: 50 })
    bench.handle({ type: 'reader-closed', digest, reader: 3 })
    bench.read(prefetch)
    expect(wishOf(bench)).toMatchObject({ position: 50 })
  })

  it('who is not known ends nothing', () => {
    const { bench } = createHolder()
    bench.handle({ type: 'reader-closed', digest, reader: 2 })
    expect(bench.take('stop-fetch')).toEqual([])
    expect(bench.swarm.stats()).toMatchObject({ readers: 1, fetches: 1 })
  })

  it('of two blobs those of one do not end with those of the other', () => {
    const bench = createBench()
    const other = digestFromHex('cd'.repeat(32))
    bench.read()
    bench.read({ digest: other, reader: 2 })
    bench.handle({ type: 'reader-closed', digest, reader: 1 })
    expect(bench.swarm.stats()).toMatchObject({ readers: 1 })
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
