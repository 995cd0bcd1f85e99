/** When a node wants the origin, and of which chunks; what is fetched is in origin.test.ts. */
import { describe, expect, it } from 'vitest'
import { limits } from '../../../core/limits.ts'
import { createPlaces } from '../../../core/members/places.ts'
import { GiB } from '../../../core/units.ts'
import {
  bitsOf,
  comes,
  firstChunks,
  createBench,
  createHolder,
  digest,
  entryOf,
  fetched,
  lease,
  sizeOf,
  span,
  wishOf,
  type Bench,
} from './bench.ts'

describe('a lease', () => {
  it('is wished for when nobody has what is wanted', () => {
    const bench = createBench()
    expect(bench.swarm.announceState(digest)).toBeUndefined()
    bench.read()
    expect(bench.take('announce')).toContainEqual({ type: 'announce', digest, now: true })
    expect(bench.swarm.announceState(digest)).toMatchObject({
      wants: true,
      lease: { chunks: firstChunks, position: 0 },
    })
  })

  it('is wished for by the first announce, and by no second one while that is on its way', () => {
    const bench = createBench()
    bench.read()
    bench.take('announce')
    bench.pass(limits.leaseAgainMs - limits.tickMs)
    expect(bench.take('announce')).toEqual([])
    bench.pass(limits.tickMs)
    expect(bench.take('announce')).toHaveLength(1)
  })

  it('is wished for chunks that neither neighbours nor the directory have', () => {
    const bench = createBench()
    bench.read()
    bench.joins('a', [0, 1])
    bench.answer({ counts: new Uint8Array(100).fill(1, 0, 5) })
    expect(wishOf(bench)).toEqual({ chunks: firstChunks, position: 5 })
    bench.joins('b', span(0, 100))
    expect(wishOf(bench)).toBeUndefined()
  })

  it('is wished for no other chunks by the reader of a part', () => {
    const bench = createBench()
    bench.read({ whole: false, start: sizeOf(4), end: sizeOf(6) })
    expect(wishOf(bench)).toEqual({ chunks: 2, position: 4, theseOnly: true })
    bench.read({ reader: 2 })
    expect(wishOf(bench)).toEqual({ chunks: firstChunks, position: 4 })
  })

  it('is wished for no more while what only this node has takes long to leave it', () => {
    const { bench, fetch } = createHolder()
    bench.joins('a', [])
    for (const index of span(0, 4)) comes(bench, fetch, index)
    bench.settle()
    bench.says('a', { type: 'request', id: 1, digest, index: 0, offset: 0 })
    bench.pass(limits.leaseLeavesMs)
    expect(wishOf(bench)).toMatchObject({ position: 4 })
    bench.pass(limits.tickMs)
    expect(wishOf(bench)).toBeUndefined()
    bench.handle({ type: 'uploaded', peer: 'a', id: 1, ok: true })
    expect(wishOf(bench)).toMatchObject({ position: 4 })
  })

  it('is wished for though what only this node has takes long to leave it, by a reader whom nothing reaches', () => {
    const { bench, fetch } = createHolder()
    bench.joins('a', [])
    bench.answer({ counts: new Uint8Array(100).fill(1) })
    for (const index of span(0, 4)) comes(bench, fetch, index)
    bench.settle()
    bench.says('a', { type: 'request', id: 1, digest, index: 0, offset: 0 })
    bench.pass(limits.starvedMs)
    expect(wishOf(bench)).toMatchObject({ position: 4, insists: true })
  })

  it('is wished for twice ahead, and not while more is on its way than the origin gives in half a second', () => {
    const { bench, fetch } = createHolder()
    expect(wishOf(bench)).toBeUndefined()
    for (const index of span(0, 3)) {
      comes(bench, fetch, index)
      bench.pass(50)
    }
    expect(wishOf(bench)).toMatchObject({ position: 4 })
    bench.answer({ lease: { ...lease, id: 8, start: 4, end: 8 } })
    expect(wishOf(bench)).toBeUndefined()
    comes(bench, fetch, 3)
    bench.answer({ lease: { ...lease, id: 9, start: 8, end: 16 } })
    expect(wishOf(bench)).toBeUndefined()
  })

  it('is wished for no more while as much is on its way for all blobs as may be', () => {
    const bench = createBench()
    const large = { size: 4 * GiB, end: 4 * GiB }
    const others = span(0, 2).map((number) => digest.replaceAll('ab', `c${number}`) as typeof digest)
    const chunks = limits.originInFlightMaxBytes / limits.chunkSizeMaxBytes
    bench.read()
    for (const [number, other] of others.entries()) bench.read({ ...large, digest: other, reader: 2 + number })
    bench.answer({ ...large, digest: others[0]!, lease: { ...lease, end: chunks - 1 } })
    expect(wishOf(bench)).toBeDefined()
    bench.answer({ ...large, digest: others[1]!, lease: { ...lease, id: 8, end: 1 } })
    expect(wishOf(bench)).toBeUndefined()
  })

  it('is asked for again only when the directory says', () => {
    const bench = createBench()
    bench.read()
    bench.answer({ leaseAfterMs: 700 })
    expect(wishOf(bench)).toBeUndefined()
    bench.pass(700)
    expect(wishOf(bench)).toEqual({ chunks: firstChunks, position: 0 })
  })

  it('is as large as what the origin gives in a second', () => {
    const { bench, fetch } = createHolder()
    for (const index of span(0, 4)) {
      comes(bench, fetch, index)
      bench.pass(50)
    }
    bench.handle({ type: 'origin-ended', digest, fetch })
    expect(wishOf(bench)).toEqual({ chunks: 16, position: 4 })
  })

  it('is wished for by nobody who has no origin, nor from across a border', () => {
    const bench = createBench({ places: createPlaces('zone', () => ({ zone: 'own' })) })
    bench.read({ origin: undefined, prefetch: true })
    expect(wishOf(bench)).toBeUndefined()
  })

  it('of a prefetch waits until nobody who reads needs the origin', () => {
    const bench = createBench()
    const other = digest.replaceAll('ab', 'cd') as typeof digest
    bench.read()
    bench.read({ digest: other, reader: 2, prefetch: true })
    expect(wishOf(bench, other)).toBeUndefined()
    bench.joins('seed', span(0, 100))
    expect(wishOf(bench, other)).toBeDefined()
  })

  it('of a prefetch waits for no blob of which others have or fetch all, until one of them has failed', () => {
    const bench = createBench()
    const other = digest.replaceAll('ab', 'cd') as typeof digest
    bench.read()
    bench.read({ digest: other, reader: 2, prefetch: true })
    bench.answer({ leaseAfterMs: 700, isAllTaken: true })
    expect(wishOf(bench, other)).toBeDefined()
    bench.answer({ leaseAfterMs: 700 })
    expect(wishOf(bench, other)).toBeUndefined()
  })
})

/** A peer denies the chunk that it claims, and perhaps says anew what it has; after ten seconds the origin is to send it. */
function createDenied(corrects: boolean): Bench {
  const bench = createBench()
  bench.read()
  bench.joins('peer', [0])
  bench.answer({ counts: new Uint8Array(100).fill(1) })
  for (const { id } of bench.told('request')) bench.says('peer', { type: 'missing', id })
  if (corrects) bench.joins('peer', [])
  bench.pass(limits.starvedMs + 100)
  expect(wishOf(bench)).toMatchObject({ position: 0, insists: true })
  bench.answer({ lease })
  return bench
}

/** For half a minute the reader of a part has had so many chunks, all that it wants for now, which `signer` fetched. */
function createSated(held: number, signer: string): Bench {
  const bench = createBench()
  bench.handle({ type: 'held', digest, size: sizeOf(100), have: bitsOf(100, span(0, held)), complete: false })
  const entries = span(0, held).map((index) => entryOf(sizeOf(100), index, signer, fetched))
  bench.handle({ type: 'entries', digest, entries })
  bench.read({ whole: false })
  bench.joins('peer', [])
  bench.answer({ counts: new Uint8Array(100).fill(1) })
  bench.pass(30_000)
  return bench
}

describe('a reader to whom all deny what they are said to have', () => {
  it('insists at once, and has the directory count nothing of theirs', () => {
    const bench = createBench()
    bench.read()
    bench.answer({ counts: new Uint8Array(100).fill(2) })
    bench.joins('a', [0])
    bench.joins('b', [0])
    const [first] = bench.told('request')
    bench.take('announce')
    bench.says(first!.to, { type: 'missing', id: first!.id })
    expect(bench.take('announce')).toContainEqual({ type: 'announce', digest, now: true })
    expect(wishOf(bench)).toBeUndefined()
    const [second] = bench.told('request')
    bench.says(second!.to, { type: 'missing', id: second!.id })
    expect(wishOf(bench)).toEqual({ chunks: firstChunks, position: 0, insists: true })
    expect(bench.swarm.announceState(digest)?.bans?.toSorted()).toEqual(['a', 'b'])
  })
})

/** All that it wants is said to be held by one other. */
function createReaderOfOne(): Bench {
  const bench = createBench()
  bench.read()
  bench.joins('holder', span(0, 100))
  bench.answer({ counts: new Uint8Array(100).fill(1) })
  bench.take('announce')
  return bench
}

describe('a reader of what only a member has that gives no sign of life', () => {
  it('has the directory count nothing of that, and wishes for it at once', () => {
    const bench = createReaderOfOne()
    bench.handle({ type: 'peer-silent', peer: 'holder' })
    expect(bench.take('announce')).toContainEqual({ type: 'announce', digest, now: true })
    expect(bench.swarm.announceState(digest)?.bans).toEqual(['holder'])
    bench.answer({ counts: new Uint8Array(100) })
    const asked = bench.told('request').map(({ index }) => index)
    expect(wishOf(bench)?.position).toBe(span(0, 100).find((index) => !asked.includes(index)))
  })

  it('asks it again once it is heard', () => {
    const bench = createReaderOfOne()
    bench.handle({ type: 'peer-silent', peer: 'holder' })
    bench.handle({ type: 'peer-heard', peer: 'holder' })
    expect(bench.swarm.announceState(digest)?.bans).toBeUndefined()
  })

  it.each([
    ['is found dead', { type: 'peer-gone', peer: 'holder', how: 'dead' }, 2],
    ['says goodbye', { type: 'peer-gone', peer: 'holder', how: 'left' }, 0],
    ['is there anew', { type: 'peer-came', peer: 'holder' }, 0],
  ] as const)(
    'which then %s, has it counted for nothing for as long as it counts for others',
    (_how, event, seconds) => {
      const bench = createReaderOfOne()
      bench.handle({ type: 'peer-silent', peer: 'holder' })
      bench.handle(event)
      const isOut = (): boolean => bench.swarm.announceState(digest)?.bans !== undefined
      const before = isOut()
      bench.pass(1000 * seconds + 1000)
      expect([before, isOut()]).toEqual([seconds > 0, false])
    },
  )

  it('tells its directory at once that it is dead, which waits for those who had it from there', () => {
    const bench = createReaderOfOne()
    bench.handle({ type: 'peer-gone', peer: 'holder', how: 'dead' })
    expect(bench.take('announce')).toContainEqual({ type: 'announce', digest, now: true })
    expect(bench.swarm.announceState(digest)?.bans).toBeUndefined()
    bench.handle({ type: 'peer-gone', peer: 'nobody', how: 'dead' })
    expect(bench.take('announce')).toEqual([])
  })
})

describe('a reader whom nothing reaches', () => {
  it('insists where one of two hosts says that others have the blob, and the other in turn that nobody has', () => {
    const bench = createBench()
    bench.read()
    bench.joins('peer', [])
    const hear = (): void => {
      for (const held of [1, 0]) {
        bench.answer({ counts: new Uint8Array(100).fill(held) })
        bench.pass(100)
      }
    }
    while (bench.clock.now() < 1000 + limits.starvedMs) hear()
    expect(wishOf(bench)).toMatchObject({ position: 0, insists: true })
  })

  it('has had no time to starve while the directory went on saying that nobody has it', () => {
    const bench = createBench()
    bench.read()
    bench.joins('peer', [])
    for (let heard = 0; heard < 2; heard++) {
      bench.answer({ counts: new Uint8Array(100) })
      bench.pass(limits.starvedMs - 100)
    }
    bench.answer({ counts: new Uint8Array(100).fill(1) })
    expect(wishOf(bench)).toBeUndefined()
    bench.pass(100)
    expect(wishOf(bench)).toMatchObject({ insists: true })
  })

  it('insists, though others are said to have the blob', () => {
    const bench = createBench()
    bench.read()
    bench.joins('peer', [])
    bench.answer({ counts: new Uint8Array(100).fill(1) })
    bench.pass(9900)
    expect(wishOf(bench)).toBeUndefined()
    bench.pass(200)
    expect(wishOf(bench)).toEqual({ chunks: firstChunks, position: 0, insists: true })
  })

  it.each([
    ['waits while a queue moves in which its request is', false],
    ['insists though a queue moves in which its request is, where that peer has stalled before', true],
  ])('%s', (_what, stalls) => {
    const bench = createBench()
    bench.read()
    bench.answer({ counts: new Uint8Array(100).fill(1) })
    bench.joins('idle', [])
    if (stalls) bench.joins('peer', [0])
    bench.pass(limits.stallMs + limits.stallRestMs)
    if (!stalls) bench.joins('peer', [0])
    const request = bench.told('request').at(-1)
    for (let ahead = 20; bench.clock.now() < 1000 + limits.starvedMs; ahead--) {
      bench.says('peer', { type: 'queued', id: request!.id, ahead })
      bench.pass(500)
    }
    expect(wishOf(bench)?.insists === true).toBe(stalls)
  })

  it('starves from when a chunk last came, and is as patient again as ever once one has', () => {
    const bench = createBench()
    bench.read()
    bench.joins('peer', [])
    bench.answer({ counts: new Uint8Array(100).fill(1) })
    bench.pass(limits.starvedMs)
    bench.answer({ lease: { ...lease, start: 99, end: 100 } })
    bench.joins('peer', span(0, 40))
    for (let round = 0; round < 20; round++) {
      for (const request of bench.told('request')) bench.sends(request)
      bench.settle()
      bench.pass(800)
    }
    bench.pass(limits.starvedMs - 800 - limits.tickMs)
    expect(wishOf(bench)).toBeUndefined()
    bench.pass(limits.tickMs)
    expect(wishOf(bench)).toMatchObject({ position: 40, insists: true })
  })

  it('has had no time to starve while it was but a prefetch', () => {
    const bench = createBench()
    bench.read({ reader: 1, prefetch: true })
    bench.answer({ counts: new Uint8Array(100).fill(1) })
    bench.pass(30_000)
    expect(wishOf(bench)).toBeUndefined()
    bench.read({ reader: 2 })
    bench.pass(1900)
    expect(wishOf(bench)).toBeUndefined()
    bench.pass(200)
    expect(wishOf(bench)).toMatchObject({ insists: true })
  })

  it('has had no time to starve while another had all that it wanted', () => {
    const bench = createBench()
    bench.handle({ type: 'held', digest, size: sizeOf(100), have: bitsOf(100, span(0, 32)), complete: false })
    bench.read({ reader: 1, whole: false, end: sizeOf(32) })
    bench.joins('peer', [])
    bench.answer({ counts: new Uint8Array(100).fill(1) })
    bench.pass(30_000)
    bench.read({ reader: 2 })
    bench.pass(9900)
    expect(wishOf(bench)).toBeUndefined()
    bench.pass(200)
    expect(wishOf(bench)).toMatchObject({ insists: true })
  })

  it('has had no time to starve while it took nothing, and all was there that it might take next', () => {
    const bench = createSated(33, 'self')
    bench.handle({ type: 'reader-moved', digest, reader: 1, position: 2 * limits.chunkSizeMinBytes })
    bench.pass(9900)
    expect(wishOf(bench)).toBeUndefined()
    bench.pass(200)
    expect(wishOf(bench)).toMatchObject({ insists: true })
  })

  it('has had no time to starve before it was held back, and so began to want all of its part', () => {
    const bench = createSated(32, 'other')
    bench.handle({ type: 'cautioned', by: 'friend', address: '10.0.0.1', cautions: [{ peer: 'other' }] })
    bench.pass(9900)
    expect(wishOf(bench)).toBeUndefined()
    bench.pass(200)
    expect(wishOf(bench)).toMatchObject({ insists: true })
  })

  it('insists again only after a while where what it was granted is not missing', () => {
    const bench = createBench()
    bench.handle({ type: 'held', digest, size: sizeOf(100), have: bitsOf(100, span(0, 4)), complete: false })
    bench.read()
    bench.joins('peer', [])
    bench.answer({ counts: new Uint8Array(100).fill(1) })
    bench.pass(10_100)
    bench.answer({ lease })
    expect(wishOf(bench)).toBeUndefined()
    bench.pass(limits.starvedAgainMs)
    expect(wishOf(bench)).toMatchObject({ insists: true })
  })

  it('insists again only after a while where what it was granted is not what is of no use as others have it', () => {
    const bench = createBench()
    bench.handle({ type: 'held', digest, size: sizeOf(100), have: bitsOf(100, span(0, 4)), complete: false })
    bench.read()
    bench.joins('peer', [4])
    const [request] = bench.told('request', 'peer')
    bench.sends(request!, { witness: { kind: 'fetched', origin: 'elsewhere.example' } })
    expect(wishOf(bench)).toMatchObject({ position: 4, insists: true })
    bench.answer({ lease })
    expect(wishOf(bench)).toBeUndefined()
    bench.pass(limits.starvedAgainMs)
    expect(wishOf(bench)).toMatchObject({ position: 4, insists: true })
  })

  it.each([
    ['others have what it lacks', []],
    ['others have what it lacks, all of which it has asked for', [0]],
  ])('insists though the directory says again and again that %s', (_what, offered) => {
    const bench = createBench({ chunks: 1 })
    bench.read()
    bench.joins('peer', offered)
    for (let round = 0; round < 20; round++) {
      bench.answer({ counts: new Uint8Array(bench.chunks).fill(1) })
      bench.pass(500)
    }
    expect(wishOf(bench)).toMatchObject({ insists: true })
  })

  it('insists again after half the wait, as long as nothing comes of what others have', () => {
    const bench = createBench()
    bench.read()
    bench.answer({ counts: new Uint8Array(100).fill(1) })
    const waits = span(0, 8).map((id) => {
      let waitedMs = 0
      for (; wishOf(bench)?.insists !== true && waitedMs < limits.starvedMs; waitedMs += limits.tickMs)
        bench.pass(limits.tickMs)
      bench.answer({ lease: { ...lease, id, start: id, end: id + 1 } })
      comes(bench, bench.take('fetch-origin')[0]!.fetch, id)
      bench.settle()
      return waitedMs
    })
    expect(waits).toEqual([2000, 2000, 2000, 1250, 625, 325, 250, 250])
  })

  it('insists sooner where no peer can be reached', () => {
    const bench = createBench()
    bench.read()
    bench.answer({ counts: new Uint8Array(100).fill(1) })
    bench.pass(2100)
    expect(wishOf(bench)).toMatchObject({ insists: true })
  })

  it('gives others the same time to be reached again when the last connection breaks', () => {
    const bench = createBench()
    bench.read()
    bench.joins('peer', [])
    bench.answer({ counts: new Uint8Array(100).fill(1) })
    bench.pass(5000)
    bench.handle({ type: 'peer-disconnected', peer: 'peer' })
    bench.pass(1900)
    expect(wishOf(bench)).toBeUndefined()
    bench.pass(200)
    expect(wishOf(bench)).toMatchObject({ insists: true })
  })

  it('has had no time to starve while it knew of nobody', () => {
    const bench = createBench()
    bench.read()
    bench.pass(3000)
    bench.answer({ counts: new Uint8Array(100).fill(1), peers: [{ peer: 'seed', addresses: [], complete: true }] })
    bench.pass(1900)
    expect(wishOf(bench)).toBeUndefined()
    bench.pass(200)
    expect(wishOf(bench)).toMatchObject({ insists: true })
  })

  it('has had no time to starve while those whom it knew had nothing of what it lacks', () => {
    const bench = createBench()
    bench.read()
    bench.joins('peer', [])
    bench.answer({ counts: new Uint8Array(100) })
    bench.pass(9000)
    bench.answer({ counts: new Uint8Array(100) })
    bench.answer({ counts: new Uint8Array(100).fill(1) })
    bench.pass(9900)
    expect(wishOf(bench)).toBeUndefined()
    bench.pass(200)
    expect(wishOf(bench)).toMatchObject({ insists: true })
  })

  it('insists on what a peer is asked for meanwhile, and takes it from the origin', () => {
    const bench = createBench()
    bench.read()
    bench.joins('peer', [])
    bench.answer({ counts: new Uint8Array(100).fill(1) })
    bench.pass(limits.starvedMs - 100)
    bench.says('peer', { type: 'have', digest, indices: [0] })
    const [request] = bench.told('request', 'peer')
    expect(wishOf(bench)).toBeUndefined()
    bench.pass(200)
    expect(wishOf(bench)).toMatchObject({ position: 0, insists: true })
    bench.answer({ lease: { ...lease, start: 0, end: 1 } })
    expect(bench.told('cancel', 'peer')).toMatchObject([{ id: request!.id }])
    expect(bench.take('fetch-origin')).toMatchObject([{ start: 0, end: 1, offset: 0 }])
  })

  it('counts no more on who sends a byte now and then for two seconds, until that sends a chunk', () => {
    const bench = createBench()
    bench.read()
    bench.joins('peer', span(0, 100))
    bench.answer({ counts: new Uint8Array(100).fill(1) })
    const requests = bench.told('request', 'peer')
    for (const request of requests) bench.sends(request, { bytes: 1 })
    const drips = (ms: number): void => {
      for (let passed = 0; passed < ms; passed += 100) {
        for (const { id } of requests) bench.handle({ type: 'frame', peer: 'peer', id, bytes: 1 })
        bench.pass(100)
      }
    }
    drips(limits.crawlMs - 100)
    expect(bench.swarm.announceState(digest)?.bans).toBeUndefined()
    bench.take('announce')
    drips(200)
    expect(bench.take('announce')).toContainEqual({ type: 'announce', digest, now: true })
    expect(bench.swarm.announceState(digest)?.bans).toEqual(['peer'])
    bench.answer({ counts: new Uint8Array(100) })
    expect(wishOf(bench)).toEqual({ chunks: expect.any(Number), position: 0 })
    bench.pass(limits.stallRestMs)
    bench.sends(bench.told('request', 'peer')[0]!)
    bench.settle()
    expect(bench.swarm.announceState(digest)?.bans).toBeUndefined()
  })

  it.each([
    ['speaks all the while', true, ['peer']],
    ['says nothing, and may be cut off', false, undefined],
  ])('of who stalls twice in a row counts no more on who %s', (_what, speaks, bans) => {
    const bench = createBench()
    bench.read()
    bench.joins('peer', span(0, 50))
    const passes = (ms: number): void => {
      for (let passed = 0; passed < ms; passed += 100) {
        if (speaks) bench.says('peer', { type: 'have', digest, indices: [50 + (passed % 50)] })
        bench.pass(100)
      }
    }
    passes(limits.stallMs + limits.stallRestMs)
    expect(bench.swarm.announceState(digest)?.bans).toBeUndefined()
    passes(limits.stallMs + 100)
    expect(bench.swarm.announceState(digest)?.bans).toEqual(bans)
  })

  it('holds the first time against nobody, however long nothing has come', () => {
    const bench = createBench()
    bench.read()
    bench.joins('other', [])
    bench.pass(limits.starvedMs / 2)
    bench.joins('peer', span(0, 50))
    bench.says('peer', { type: 'have', digest, indices: [50] })
    bench.pass(limits.stallMs - 100)
    bench.says('peer', { type: 'have', digest, indices: [51] })
    bench.pass(200)
    expect(bench.told('cancel', 'peer')).not.toEqual([])
    expect(bench.swarm.announceState(digest)?.bans).toBeUndefined()
  })

  it('counts no more on who has been too busy a dozen times in a row, once nothing has come for ten seconds', () => {
    const bench = createBench()
    bench.read()
    bench.joins('peer', span(0, 100))
    const isBusy = (ms: number): void => {
      for (let passed = 0; passed < ms; passed += 100) {
        for (const { id } of bench.told('request')) bench.says('peer', { type: 'busy', id, try: [] })
        bench.pass(100)
      }
    }
    isBusy(limits.starvedMs - 100)
    expect(bench.swarm.announceState(digest)?.bans).toBeUndefined()
    isBusy(600)
    expect(bench.swarm.announceState(digest)?.bans).toEqual(['peer'])
  })

  it('counts no more on who denied what it claims, until that sends a chunk', () => {
    const bench = createDenied(false)
    expect(bench.swarm.announceState(digest)?.bans).toEqual(['peer'])
    bench.says('peer', { type: 'have', digest, indices: [50] })
    bench.sends(bench.told('request')[0]!)
    expect(bench.swarm.announceState(digest)?.bans).toBeUndefined()
  })

  it('goes on with what an origin that ignores Range sends, though who denied its chunks claims more', () => {
    const bench = createDenied(false)
    bench.handle({ type: 'origin-unranged', digest, fetch: bench.take('fetch-origin')[0]!.fetch })
    bench.answer({ lease: { ...lease, id: 8, end: 100 } })
    bench.handle({ type: 'origin-unranged', digest, fetch: bench.take('fetch-origin')[0]!.fetch })
    bench.says('peer', { type: 'have', digest, indices: [9] })
    bench.pass(25)
    expect(bench.told('request')).toEqual([])
  })

  it('holds nothing against who denied what it had lost, and then said what it has', () => {
    expect(createDenied(true).swarm.announceState(digest)?.bans).toBeUndefined()
  })

  it('holds nothing against who stalled while it did not starve', () => {
    const bench = createBench()
    bench.read()
    bench.joins('peer', [0])
    bench.pass(limits.stallMs + limits.tickMs)
    expect(bench.told('cancel', 'peer')).toHaveLength(1)
    bench.handle({ type: 'directory-silent', digest })
    expect(bench.take('fetch-origin')).toHaveLength(1)
    expect(bench.swarm.announceState(digest)?.bans).toBeUndefined()
  })

  it('is patient while peers say that it will come, also beside one that lied', () => {
    const bench = createBench()
    bench.read()
    bench.answer({ peers: [{ peer: 'liar', addresses: [], complete: true }] })
    bench.joins('peer', span(0, 100))
    for (let strikes = 0; strikes < limits.strikesMax; strikes++)
      bench.handle({ type: 'peer-violated', peer: 'liar', address: 'liar' })
    expect(bench.take('ban')).toMatchObject([{ peer: 'liar' }])
    for (let round = 0; round < 30; round++) {
      for (const { id } of bench.told('request')) {
        bench.says('peer', { type: 'queued', id, ahead: 7 })
        bench.says('peer', { type: 'busy', id, try: [] })
      }
      bench.pass(500)
    }
    expect(wishOf(bench)).toBeUndefined()
  })
})
