import { describe, expect, it } from 'vitest'
import { createBench, digest, entryOf, fetched, hashOf, proved, sizeOf, type Bench } from './bench.ts'

/** A reader of chunk 4 only, so that each request is for it. */
function createReader(): Bench {
  const bench = createBench()
  bench.read({ whole: false, start: sizeOf(4), end: sizeOf(5) })
  return bench
}

function lies(bench: Bench, index: number): void {
  bench.take('hash')
  bench.handle({ type: 'hashed', digest, index, hash: hashOf(999) })
}

describe('a chunk of a peer', () => {
  it('is kept under the entry that came with it', () => {
    const bench = createReader()
    bench.joins('a', [4])
    bench.sends(bench.told('request')[0]!, { signer: 'witness' })
    bench.handle({ type: 'hashed', digest, index: 4, hash: hashOf(4) })
    expect(bench.take('keep')).toMatchObject([{ index: 4, entry: entryOf(sizeOf(100), 4, 'witness', proved) }])
  })

  it('is believed when fetched from the origin of the reader, and of no other', () => {
    const bench = createReader()
    bench.joins('a', [4])
    bench.sends(bench.told('request')[0]!, { witness: { kind: 'fetched', origin: 'evil.example' } })
    expect(bench.told('cancel', 'a')).toHaveLength(1)
    expect(bench.take('ban')).toEqual([])
    bench.joins('b', [4])
    bench.sends(bench.told('request')[0]!, { witness: fetched })
    expect(bench.take('hash')).toHaveLength(1)
  })

  it('with a wrong signature is refused; twice is a ban', () => {
    const bench = createReader()
    for (const round of [1, 2]) {
      bench.joins('a', [4])
      const [request] = bench.told('request')
      const entry = { ...entryOf(sizeOf(100), 4, 'witness', proved), signer: 'other' }
      bench.handle({ type: 'chunk-started', peer: 'a', id: request!.id, offset: 0, entry })
      expect(bench.take('ban')).toHaveLength(round - 1)
    }
  })

  it('that does not match its entry is dropped; twice is a ban', () => {
    const bench = createBench()
    bench.read()
    bench.joins('a', [4, 5])
    for (const request of bench.told('request')) {
      bench.sends(request)
      lies(bench, request.index)
    }
    expect(bench.take('drop')).toHaveLength(2)
    expect(bench.take('ban')).toMatchObject([{ peer: 'a' }])
  })

  it('that came from two and does not match is taken whole from one', () => {
    const bench = createReader()
    bench.joins('a', [4])
    bench.sends(bench.told('request')[0]!, { bytes: 100_000, signer: 'witness' })
    bench.handle({ type: 'peer-disconnected', peer: 'a' })
    bench.joins('b', [4])
    bench.sends(bench.told('request')[0]!, { signer: 'witness' })
    lies(bench, 4)
    expect(bench.take('ban')).toEqual([])
    const [again] = bench.told('request')
    expect(again).toMatchObject({ to: 'b', offset: 0 })
    bench.sends(again!, { signer: 'witness' })
    bench.settle()
    expect(bench.swarm.progress(digest)?.held).toBe(1)
  })

  it('with more bytes than it has is a strike', () => {
    const bench = createReader()
    for (const round of [1, 2]) {
      bench.joins('a', [4])
      const [request] = bench.told('request')
      bench.handle({
        type: 'chunk-started',
        peer: 'a',
        id: request!.id,
        offset: 0,
        entry: entryOf(sizeOf(100), 4, 'a', proved),
      })
      bench.handle({ type: 'frame', peer: 'a', id: request!.id, bytes: 300_000 })
      expect(bench.take('ban')).toHaveLength(round - 1)
    }
  })
})

describe('a signer', () => {
  it('of two entries that contradict each other is banned, whoever relayed them', () => {
    const bench = createReader()
    bench.joins('a', [4])
    bench.sends(bench.told('request')[0]!, { bytes: 1000, signer: 'liar' })
    bench.handle({ type: 'peer-disconnected', peer: 'a' })
    bench.joins('b', [4])
    bench.sends(bench.told('request')[0]!, { bytes: 1000, signer: 'liar', hash: hashOf(77) })
    expect(bench.take('ban')).toMatchObject([{ peer: 'liar' }])
  })

  it('that is banned counts for nothing', () => {
    const bench = createReader()
    bench.joins('a', [4])
    bench.sends(bench.told('request')[0]!, { bytes: 1000, signer: 'liar' })
    bench.handle({ type: 'peer-disconnected', peer: 'a' })
    bench.joins('b', [4])
    bench.sends(bench.told('request')[0]!, { bytes: 1000, signer: 'liar', hash: hashOf(77) })
    const [again] = bench.told('request')
    bench.sends(again!, { signer: 'liar' })
    expect(bench.take('hash')).toEqual([])
    expect(bench.swarm.stats().requests).toBe(0)
  })
})

/** Two chunks by a forger; all match their entries, and yet the blob is wrong. */
function createForged(signer: string, witness = proved): Bench {
  const bench = createBench({ chunks: 2 })
  bench.read()
  bench.joins('a', [0, 1])
  for (const request of bench.told('request')) {
    bench.sends(request, { signer, witness, hash: hashOf(900 + request.index) })
    bench.handle({ type: 'hashed', digest, index: request.index, hash: hashOf(900 + request.index) })
    bench.handle({ type: 'kept', digest, index: request.index, ok: true })
  }
  bench.take('prove')
  bench.handle({ type: 'proved', digest, ok: false })
  return bench
}

function refetch(bench: Bench): void {
  bench.pass(25)
  const fetch = bench.take('fetch-origin')[0]!.fetch
  for (const index of [0, 1]) bench.handle({ type: 'origin-frame', digest, fetch, index, bytes: 256 * 1024 })
  bench.handle({ type: 'origin-ended', digest, fetch })
  bench.take('keep')
}

describe('a blob that does not match its digest', () => {
  it('is discarded and taken once more, from the origin only', () => {
    const bench = createForged('forger')
    expect(bench.take('discard')).toEqual([{ type: 'discard', digest }])
    expect(bench.told('join', 'a').at(-1)?.have).toEqual(new Uint8Array(1))
    bench.joins('b', [0, 1])
    expect(bench.told('request')).toEqual([])
    refetch(bench)
    bench.settle()
    expect(bench.swarm.progress(digest)).toMatchObject({ held: 2, complete: true })
  })

  it('proves, once it is right, who lied: whoever vouched for it as proved is banned', () => {
    const bench = createForged('forger')
    refetch(bench)
    bench.settle()
    expect(bench.take('ban')).toMatchObject([{ peer: 'forger' }])
  })

  it('is no proof against who fetched it: the origin may have lied', () => {
    const bench = createForged('witness', fetched)
    refetch(bench)
    bench.settle()
    expect(bench.take('ban')).toEqual([])
  })

  it('twice ends its readers', () => {
    const bench = createForged('forger')
    refetch(bench)
    for (const { index } of bench.take('hash')) bench.handle({ type: 'hashed', digest, index, hash: hashOf(index) })
    for (const { index } of bench.take('keep')) bench.handle({ type: 'kept', digest, index, ok: true })
    bench.handle({ type: 'proved', digest, ok: false })
    expect(bench.take('fail')).toEqual([{ type: 'fail', digest, failure: { kind: 'corrupt' } }])
    expect(bench.swarm.stats()).toMatchObject({ sessions: 0, settlingBytes: 0, inFlightBytes: 0 })
  })
})

describe('a chunk that the disk refuses', () => {
  it('is neither told to peers nor asked for again, until somebody reads anew', () => {
    const bench = createBench({ chunks: 2 })
    bench.read()
    bench.joins('a', [0, 1])
    const requests = bench.told('request')
    for (const request of requests) bench.sends(request)
    for (const { index } of bench.take('hash')) bench.handle({ type: 'hashed', digest, index, hash: hashOf(index) })
    for (const { index } of bench.take('keep')) bench.handle({ type: 'kept', digest, index, ok: false })
    bench.pass(100)
    expect(bench.told('have')).toEqual([])
    expect(bench.told('request')).toEqual([])
    expect(bench.take('prove')).toEqual([])
    bench.read({ reader: 2 })
    expect(new Set(bench.told('request').map(({ index }) => index))).toEqual(new Set([0, 1]))
  })
})
