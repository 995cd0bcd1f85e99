import { describe, expect, it } from 'vitest'
import { limits } from '../../../core/limits.ts'
import { fullBitfield } from '../../../core/swarm/bitfield.ts'
import { second } from '../../../core/units.ts'
import {
  bitsOf,
  connects,
  createBench,
  digest,
  entryOf,
  fetched,
  hashOf,
  origin,
  proved,
  sizeOf,
  span,
  wishOf,
  type Bench,
  type Sending,
} from './bench.ts'

const chunks = 4

/** A whole reader of a blob of four chunks that takes what it is given. */
function createReader(witnesses: number): Bench {
  const bench = createBench({ chunks, witnesses })
  bench.read()
  return bench
}

/** Peer `from` brings chunk 0, alone of all it holds. */
function bring(bench: Bench, from: string, how: Sending = {}): void {
  bench.joins(from, [0])
  bench.sends(bench.told('request', from)[0]!, how)
  keep(bench, how.hash)
}

function keep(bench: Bench, hash?: string): void {
  for (const { index } of bench.take('hash'))
    bench.handle({ type: 'hashed', digest, index, hash: hash ?? hashOf(index) })
  for (const { index } of bench.take('keep')) bench.handle({ type: 'kept', digest, index, ok: true })
}

function vouches(bench: Bench, from: string, hashes = span(0, chunks).map(hashOf), start = 0): void {
  bench.says(from, { type: 'vouch', digest, start, hashes })
}

const mayTake = (bench: Bench, from = origin): boolean => bench.swarm.mayDeliver(digest, 0, from)

describe('a chunk of a peer is handed out before the proof', () => {
  it.each([fetched, proved])('on one word, with one witness', (witness) => {
    const bench = createReader(1)
    bring(bench, 'a', { witness })
    expect(mayTake(bench)).toBe(true)
  })

  it('not before it is kept', () => {
    const bench = createReader(1)
    bench.joins('a', [0])
    bench.sends(bench.told('request', 'a')[0]!)
    expect(mayTake(bench)).toBe(false)
  })

  it('not once a disk that refused it has it no more, to a later reader', () => {
    const bench = createReader(1)
    bench.joins('a', [0])
    bench.sends(bench.told('request', 'a')[0]!)
    bench.handle({ type: 'hashed', digest, index: 0, hash: hashOf(0) })
    bench.handle({ type: 'kept', digest, index: 0, ok: false })
    expect(mayTake(bench)).toBe(true)
    bench.read({ reader: 2 })
    expect(mayTake(bench)).toBe(false)
  })

  it('to readers of the origin that it was fetched from, and to no others', () => {
    const bench = createReader(1)
    bring(bench, 'a', { witness: fetched })
    expect(mayTake(bench, 'evil.example')).toBe(false)
  })

  it('on the word of two who say the same, with two witnesses', () => {
    const bench = createReader(2)
    bring(bench, 'a', { witness: fetched })
    bench.joins('b', span(0, chunks))
    bench.pass(25)
    expect(mayTake(bench)).toBe(false)
    expect(bench.told('doubt')).toEqual([{ type: 'doubt', digest, start: 0, to: 'b' }])
    bench.take('deliver')
    vouches(bench, 'b')
    expect(mayTake(bench)).toBe(true)
    bench.pass(25)
    expect(bench.take('deliver')).toEqual([{ type: 'deliver', digest }])
  })

  it('not on the word of two who say different things', () => {
    const bench = createReader(2)
    bring(bench, 'a')
    bench.joins('b', span(0, chunks))
    bench.pass(25)
    vouches(bench, 'b', [hashOf(77), ...span(1, chunks).map(hashOf)])
    expect(mayTake(bench)).toBe(false)
  })

  it('not on the word of one, where another signed something else for it', () => {
    const bench = createReader(2)
    bench.joins('b', [0])
    bench.sends(bench.told('request', 'b')[0]!, { bytes: 1000, hash: hashOf(77) })
    bench.handle({ type: 'peer-disconnected', peer: 'b' })
    bring(bench, 'a')
    bench.sends(bench.told('request', 'a')[0]!)
    keep(bench)
    expect(bench.swarm.progress(digest)).toMatchObject({ held: 1 })
    expect(mayTake(bench)).toBe(false)
  })

  it('not on the word of two, with three witnesses, where a third says something else', () => {
    const bench = createReader(3)
    bring(bench, 'a')
    for (const peer of ['b', 'c']) bench.joins(peer, span(0, chunks))
    bench.pass(25)
    vouches(bench, 'b')
    vouches(bench, 'c', [hashOf(77), ...span(1, chunks).map(hashOf)])
    expect(mayTake(bench)).toBe(false)
  })

  it('on the word of two IDs at one address as on that of one', () => {
    const bench = createReader(2)
    for (const peer of ['a', 'b']) bench.handle({ type: 'peer-connected', peer, address: '10.0.0.1' })
    bench.says('b', { type: 'join', digest, size: sizeOf(chunks), have: Uint8Array.of(0b1111) })
    bring(bench, 'a')
    bench.pass(25)
    vouches(bench, 'b')
    expect(mayTake(bench)).toBe(true)
  })

  it('not on the word of strangers: they may all be one, or one of those we know', () => {
    const bench = createReader(2)
    bring(bench, 'a', { signer: 'stranger' })
    bench.joins('b', span(0, chunks))
    bench.pass(25)
    vouches(bench, 'b')
    expect(mayTake(bench)).toBe(false)
    bench.handle({ type: 'peer-connected', peer: 'stranger', address: '10.0.0.9' })
    expect(mayTake(bench)).toBe(true)
  })

  it('where this node took it from the origin itself, whatever the witnesses', () => {
    const bench = createReader(3)
    bench.answer({ lease: { id: 1, start: 0, end: 1, ttlMs: 2000 } })
    const [fetch] = bench.take('fetch-origin')
    bench.handle({ type: 'origin-frame', digest, fetch: fetch!.fetch, index: 0, bytes: limits.chunkSizeMinBytes })
    keep(bench)
    expect(mayTake(bench)).toBe(true)
    expect(mayTake(bench, 'evil.example')).toBe(false)
  })

  it('in any case once the whole blob is proved', () => {
    const bench = createReader(3)
    bench.joins('a', span(0, chunks))
    for (const request of bench.told('request')) bench.sends(request)
    keep(bench)
    for (const request of bench.told('request')) bench.sends(request)
    keep(bench)
    expect(mayTake(bench)).toBe(false)
    bench.settle()
    expect(mayTake(bench, 'other.example')).toBe(true)
  })

  it('by the entry that it was kept under before a restart', () => {
    const bench = createBench({ chunks })
    const have = Uint8Array.of(0b0011)
    bench.handle({ type: 'held', digest, size: sizeOf(chunks), have, complete: false })
    expect(mayTake(bench)).toBe(false)
    bench.handle({ type: 'entries', digest, entries: [entryOf(sizeOf(chunks), 0, 'a', fetched)] })
    expect(mayTake(bench)).toBe(true)
    expect(mayTake(bench, 'evil.example')).toBe(false)
    expect(bench.swarm.mayDeliver(digest, 1, origin)).toBe(false)
  })

  it('to readers of any origin where this node had proved it before a restart', () => {
    const bench = createBench({ chunks })
    bench.handle({ type: 'held', digest, size: sizeOf(chunks), have: Uint8Array.of(1), complete: false })
    bench.handle({ type: 'entries', digest, entries: [entryOf(sizeOf(chunks), 0, 'self', proved)] })
    expect(mayTake(bench, 'other.example')).toBe(true)
  })
})

describe('who is asked for its word', () => {
  it('holds the whole blob, and is asked once', () => {
    const bench = createReader(2)
    bring(bench, 'a')
    bench.joins('half', [0, 1])
    bench.joins('b', span(0, chunks))
    bench.pass(3 * second)
    expect(bench.told('doubt').map(({ to }) => to)).toEqual(['b'])
  })

  it('is not alone when it is silent', () => {
    const bench = createReader(2)
    bring(bench, 'a')
    for (const peer of ['b', 'c', 'd']) bench.joins(peer, span(0, chunks))
    bench.pass(25)
    expect(bench.told('doubt').map(({ to }) => to)).toEqual(['b', 'c'])
    bench.pass(limits.doubtAgainMs - limits.tickMs)
    expect(bench.told('doubt')).toEqual([])
    bench.pass(limits.tickMs)
    expect(bench.told('doubt').map(({ to }) => to)).toEqual(['d'])
  })

  it('is one at each address, that has told or may yet: one node that comes as many is not asked before all others', () => {
    const bench = createReader(2)
    bring(bench, 'a')
    const joins = (peer: string): void => {
      connects(bench, peer, '10.0.0.66')
      bench.says(peer, { type: 'join', digest, size: sizeOf(chunks), have: Uint8Array.of(0b1111) })
    }
    for (const peer of ['liar 1', 'liar 2', 'liar 3']) joins(peer)
    for (const peer of ['b', 'c']) bench.joins(peer, span(0, chunks))
    const asked = (): string[] => bench.told('doubt').map(({ to }) => to)
    bench.pass(25)
    expect(asked()).toEqual(['liar 1', 'b'])
    bench.pass(2 * limits.doubtAgainMs)
    expect(asked()).toEqual(['c'])
    bench.handle({ type: 'peer-disconnected', peer: 'liar 1' })
    bench.pass(limits.doubtAgainMs)
    expect(asked()).toEqual(['liar 2'])
    vouches(bench, 'liar 2', [hashOf(77), ...span(1, chunks).map(hashOf)])
    bench.handle({ type: 'peer-disconnected', peer: 'liar 2' })
    joins('liar 4')
    bench.pass(2 * limits.doubtAgainMs)
    expect(asked()).toEqual([])
  })

  it('is asked by nobody whose prefetch takes nothing, nor once all is here and waits for its proof', () => {
    const ahead = createBench({ chunks, witnesses: 2 })
    ahead.read({ prefetch: true })
    bring(ahead, 'a')
    ahead.joins('b', span(0, chunks))
    ahead.pass(25)
    expect(ahead.told('doubt')).toEqual([])
    const whole = createBench({ chunks, witnesses: 2 })
    whole.handle({ type: 'held', digest, size: sizeOf(chunks), have: Uint8Array.of(0b1111), complete: false })
    whole.read()
    whole.joins('b', span(0, chunks))
    whole.pass(25)
    expect(whole.told('doubt')).toEqual([])
  })

  it('tells of a blob of many gigabytes part by part, each from where it was asked', () => {
    const count = limits.vouchChunks + 2
    const size = count * limits.chunkSizeMaxBytes
    const joins = (bench: Bench, peer: string, have: Uint8Array): void => {
      connects(bench, peer)
      bench.says(peer, { type: 'join', digest, size, have })
    }
    const bench = createBench({ witnesses: 2 })
    bench.handle({ type: 'held', digest, size, have: bitsOf(count, [limits.vouchChunks]), complete: false })
    const entries = span(0, count).map((index) => entryOf(size, index, 'a', proved))
    bench.handle({ type: 'entries', digest, entries })
    bench.read({ size, start: limits.vouchChunks * limits.chunkSizeMaxBytes, end: size, whole: false })
    for (const peer of ['a', 'b']) joins(bench, peer, fullBitfield(count))
    bench.pass(25)
    expect(bench.told('doubt', 'b')).toEqual([{ type: 'doubt', digest, start: limits.vouchChunks, to: 'b' }])
    vouches(bench, 'b', span(limits.vouchChunks, count).map(hashOf), limits.vouchChunks)
    expect(bench.swarm.mayDeliver(digest, limits.vouchChunks, origin)).toBe(true)
    const teller = createBench()
    joins(teller, 'a', bitsOf(count, []))
    teller.handle({ type: 'held', digest, size, have: fullBitfield(count), complete: true })
    teller.says('a', { type: 'doubt', digest, start: 0 })
    expect(teller.take('vouch')).toMatchObject([{ start: 0, end: limits.vouchChunks }])
  })

  it('of two behind one address, as a NAT has it, is the other for a part of which the one has gone without a word', () => {
    const count = limits.vouchChunks + 2
    const size = count * limits.chunkSizeMaxBytes
    const [first, next] = [0, limits.vouchChunks]
    const bench = createBench({ witnesses: 2 })
    bench.handle({ type: 'held', digest, size, have: bitsOf(count, [first, next]), complete: false })
    bench.handle({ type: 'entries', digest, entries: span(0, count).map((index) => entryOf(size, index, 'a', proved)) })
    const reads = (reader: number, index: number): void => {
      const start = index * limits.chunkSizeMaxBytes
      bench.read({ reader, size, start, end: start + limits.chunkSizeMaxBytes, whole: false })
    }
    const asked = (): object[] => bench.told('doubt').map(({ to, start }) => ({ to, start }))
    reads(1, first)
    for (const [peer, address] of [
      ['a', '10.0.0.1'],
      ['goes', '10.0.0.66'],
      ['stays', '10.0.0.66'],
    ] as const) {
      connects(bench, peer, address)
      bench.says(peer, {
        type: 'join',
        digest,
        size,
        have: peer === 'a' ? bitsOf(count, [first]) : fullBitfield(count),
      })
    }
    bench.pass(25)
    expect(asked()).toEqual([{ to: 'goes', start: first }])
    vouches(bench, 'goes', span(first, next).map(hashOf), first)
    reads(2, next)
    bench.pass(limits.doubtAgainMs)
    expect(asked()).toEqual([{ to: 'goes', start: next }])
    bench.handle({ type: 'peer-disconnected', peer: 'goes' })
    bench.pass(limits.doubtAgainMs)
    expect(asked()).toEqual([{ to: 'stays', start: next }])
  })

  it('answers once it has proved the blob, for what the blob has', () => {
    const bench = createBench({ chunks })
    const have = Uint8Array.of(0b1111)
    bench.joins('a', [])
    bench.says('a', { type: 'doubt', digest, start: 0 })
    bench.handle({ type: 'held', digest, size: sizeOf(chunks), have, complete: true })
    bench.says('a', { type: 'doubt', digest, start: chunks })
    expect(bench.take('vouch')).toEqual([])
    bench.says('a', { type: 'doubt', digest, start: 0 })
    expect(bench.take('vouch')).toEqual([
      { type: 'vouch', peer: 'a', digest, size: sizeOf(chunks), start: 0, end: chunks },
    ])
  })

  it.each([
    ['about as many small blobs as a node may begin in a second', 150, 4, 150],
    ['no more hashes than it may have told in a second, and whoever asks for more has broken no rule', 40, 1000, 9],
  ])('answers of %s', (_what, doubts, count, answers) => {
    const bench = createBench({ chunks: count })
    bench.joins('a', [])
    bench.handle({ type: 'held', digest, size: sizeOf(count), have: fullBitfield(count), complete: true })
    const asks = (): void => {
      for (let asked = 0; asked < doubts; asked++) bench.says('a', { type: 'doubt', digest, start: 0 })
    }
    asks()
    expect(bench.take('vouch')).toHaveLength(answers)
    bench.pass(1000)
    asks()
    expect(bench.take('vouch')).toHaveLength(answers)
    expect(bench.take('ban')).toEqual([])
  })

  it('are a flood like any message', () => {
    const bench = createBench({ chunks })
    bench.joins('a', [])
    const most = limits.messagesPerSecond / limits.doubtCost
    for (let asked = 0; asked < most * limits.strikesMax; asked++) bench.says('a', { type: 'doubt', digest, start: 0 })
    expect(bench.take('ban')).toMatchObject([{ peer: 'a' }])
  })

  it.each([
    ['too few chunks', [hashOf(0)]],
    ['too many', span(0, chunks + 1).map(hashOf)],
  ])('and vouches for %s breaks the rules', (_what, hashes) => {
    const bench = createReader(2)
    bring(bench, 'a')
    bench.joins('b', span(0, chunks))
    bench.pass(25)
    for (let round = 0; round < limits.strikesMax; round++) vouches(bench, 'b', hashes)
    expect(bench.take('ban')).toMatchObject([{ peer: 'b' }])
  })

  it('and vouches unasked is not heeded, and has broken no rule: it may have been asked for a session that has ended', () => {
    const bench = createReader(2)
    bring(bench, 'a')
    bench.joins('b', span(0, chunks))
    vouches(bench, 'nobody')
    for (let round = 0; round < limits.strikesMax; round++) vouches(bench, 'b')
    expect(mayTake(bench)).toBe(false)
    bench.pass(25)
    expect(bench.told('doubt', 'b')).toMatchObject([{ start: 0 }])
    for (let round = 0; round < limits.strikesMax; round++) vouches(bench, 'b', span(1, chunks).map(hashOf), 1)
    expect({ taken: mayTake(bench), bans: bench.take('ban') }).toEqual({ taken: false, bans: [] })
    vouches(bench, 'b')
    expect(mayTake(bench)).toBe(true)
  })

  it('and vouches late, for a session that has ended and begun anew, is not struck', () => {
    const bench = createReader(1)
    const asked = (peer: string): boolean => bench.told('doubt', peer).length > 0
    bench.joins('b', span(0, chunks))
    expect(asked('b')).toBe(true)
    bench.handle({ type: 'reader-closed', digest, reader: 1 })
    bench.handle({ type: 'evicted', digest })
    bench.read()
    for (const peer of ['c', 'd', 'b']) bench.joins(peer, span(0, chunks))
    expect(['c', 'd', 'b'].map(asked)).toEqual([true, true, false])
    for (let round = 0; round < limits.strikesMax; round++) vouches(bench, 'b')
    expect(bench.take('ban')).toEqual([])
  })

  it('and vouches where the blob has been proved meanwhile is not struck', () => {
    const bench = createReader(2)
    bring(bench, 'a')
    bench.handle({ type: 'held', digest, size: sizeOf(chunks), have: Uint8Array.of(0b1111), complete: true })
    for (let round = 0; round < limits.strikesMax; round++) vouches(bench, 'a')
    expect(bench.take('ban')).toEqual([])
  })
})

describe('where one word is enough, and somebody comes with the whole blob', () => {
  /** Chunk 0 is here on the word of `a`, and these come, each from an address of its own. */
  function meet(...peers: readonly string[]): Bench {
    const bench = createReader(1)
    bring(bench, 'a')
    for (const peer of peers) bench.joins(peer, span(0, chunks))
    bench.take('deliver')
    return bench
  }

  const another = [hashOf(77), ...span(1, chunks).map(hashOf)]

  it('the first two are asked for their word, from two addresses', () => {
    const bench = createReader(1)
    for (const peer of ['b', 'c']) {
      bench.handle({ type: 'peer-connected', peer, address: '10.0.0.1' })
      bench.says(peer, { type: 'join', digest, size: sizeOf(chunks), have: Uint8Array.of(0b1111) })
    }
    bench.joins('half', [0, 1])
    for (const peer of ['d', 'e']) bench.joins(peer, span(0, chunks))
    bench.pass(2 * limits.doubtAgainMs)
    expect(bench.told('doubt')).toEqual(['b', 'd'].map((to) => ({ type: 'doubt', digest, start: 0, to })))
  })

  it('nobody is asked while nobody reads, but then who is there', () => {
    const bench = createBench({ chunks, witnesses: 1 })
    bench.handle({ type: 'held', digest, size: sizeOf(chunks), have: Uint8Array.of(1), complete: false })
    bench.joins('b', span(0, chunks))
    expect(bench.told('doubt')).toEqual([])
    bench.read()
    expect(bench.told('doubt').map(({ to }) => to)).toEqual(['b'])
  })

  it('nobody is asked ahead where one word is not enough, nor once the blob is proved', () => {
    const two = createReader(2)
    two.joins('b', span(0, chunks))
    expect(two.told('doubt')).toEqual([])
    const bench = createBench({ chunks, witnesses: 1 })
    bench.handle({ type: 'held', digest, size: sizeOf(chunks), have: Uint8Array.of(0b1111), complete: true })
    bench.read()
    bench.joins('b', span(0, chunks))
    expect(bench.told('doubt')).toEqual([])
  })

  it('one word is not taken before they have answered', () => {
    const bench = meet('b', 'c')
    expect(mayTake(bench)).toBe(false)
    vouches(bench, 'b')
    expect(bench.take('deliver')).toEqual([])
    vouches(bench, 'c')
    expect(bench.take('deliver')).toEqual([{ type: 'deliver', digest }])
    expect(mayTake(bench)).toBe(true)
  })

  it('who is silent is not waited for', () => {
    const bench = meet('b')
    bench.pass(limits.doubtAgainMs - limits.tickMs)
    expect(bench.take('deliver')).toEqual([])
    bench.pass(limits.tickMs)
    expect(bench.take('deliver')).toEqual([{ type: 'deliver', digest }])
    expect(mayTake(bench)).toBe(true)
  })

  it('a disk may refuse what comes meanwhile: it is for readers all the same', () => {
    const bench = createReader(1)
    bench.joins('b', span(0, chunks))
    bench.sends(bench.told('request', 'b')[0]!)
    for (const { index } of bench.take('hash')) bench.handle({ type: 'hashed', digest, index, hash: hashOf(index) })
    expect(bench.take('keep')).toMatchObject([{ mayPass: true }])
  })

  it('a word against that of one of them waits for another, or for the proof', () => {
    const bench = meet('b', 'c')
    vouches(bench, 'b', another)
    vouches(bench, 'c', another)
    expect(mayTake(bench)).toBe(false)
    bench.joins('d', span(0, chunks))
    bench.pass(limits.doubtAgainMs)
    vouches(bench, 'd')
    expect(mayTake(bench)).toBe(true)
  })

  it('where they disagree, whom the chunk agrees with makes two of one word', () => {
    const bench = meet('b', 'c')
    vouches(bench, 'b', another)
    vouches(bench, 'c')
    expect(mayTake(bench)).toBe(true)
  })

  it('the word of one of them counts no more once it is banned, or this node cautioned of it', () => {
    const bench = meet('b', 'c')
    for (const peer of ['b', 'c']) vouches(bench, peer, another)
    expect(mayTake(bench)).toBe(false)
    for (let strikes = 0; strikes < limits.strikesMax; strikes++)
      bench.handle({ type: 'peer-violated', peer: 'b', address: 'b' })
    expect(mayTake(bench)).toBe(false)
    bench.handle({ type: 'cautioned', by: 'z', address: '10.0.0.9', cautions: [{ peer: 'c' }] })
    expect(mayTake(bench)).toBe(true)
  })

  it('the word of one of whom this node is cautioned is not asked for', () => {
    const bench = createReader(1)
    bench.handle({ type: 'cautioned', by: 'z', address: '10.0.0.9', cautions: [{ peer: 'b' }] })
    bench.joins('b', span(0, chunks))
    expect(bench.told('doubt')).toEqual([])
  })
})

/** A reader that has waited a minute for a second witness. */
function hold(): Bench {
  const bench = createReader(2)
  bring(bench, 'a', { witness: fetched })
  bench.pass(limits.heldBackMs)
  expect(bench.take('fetch-origin').filter(({ isEscape }) => isEscape)).toEqual([])
  bench.pass(100)
  return bench
}

/** The origin answers its escape. */
function answer(bench: Bench, hash: string): void {
  const [fetch] = bench.take('fetch-origin').filter(({ isEscape }) => isEscape)
  expect(fetch).toMatchObject({ origin, start: 0, end: 1, offset: 0 })
  bench.handle({ type: 'origin-frame', digest, fetch: fetch!.fetch, index: 0, bytes: limits.chunkSizeMinBytes })
  bench.handle({ type: 'origin-ended', digest, fetch: fetch!.fetch })
  bench.handle({ type: 'hashed', digest, index: 0, hash })
}

describe('a reader that is held back for a minute', () => {
  it('takes its next chunk from the origin', () => {
    const bench = hold()
    bench.take('deliver')
    answer(bench, hashOf(0))
    expect(mayTake(bench)).toBe(true)
    expect(bench.take('deliver')).toEqual([{ type: 'deliver', digest }])
    expect(bench.take('drop')).toEqual([{ type: 'drop', digest, index: 0 }])
    expect(bench.take('keep')).toEqual([])
    expect(bench.swarm.stats()).toMatchObject({ settlingBytes: 0, inFlightBytes: 0 })
  })

  it('takes it as soon as the origin, which rests by then, may be asked again', () => {
    const bench = createReader(2)
    bring(bench, 'a', { witness: fetched })
    bench.pass(limits.heldBackMs)
    bench.answer({ lease: { id: 1, start: 1, end: 2, ttlMs: 2000 } })
    const [lease] = bench.take('fetch-origin')
    const failure = { kind: 'rate-limited', retryAfterMs: 5 * second } as const
    bench.handle({ type: 'origin-ended', digest, fetch: lease!.fetch, failure })
    bench.pass(failure.retryAfterMs - limits.tickMs)
    expect(bench.take('fetch-origin')).toEqual([])
    bench.pass(2 * limits.tickMs)
    expect(bench.take('fetch-origin')).toMatchObject([{ start: 0, end: 1, isEscape: true }])
  })

  it('takes it again soon where that has failed', () => {
    const bench = hold()
    const escapes = () => bench.take('fetch-origin').filter(({ isEscape }) => isEscape)
    const [escape] = escapes()
    bench.handle({ type: 'origin-ended', digest, fetch: escape!.fetch, failure: { kind: 'protocol' } })
    bench.pass(limits.heldBackAgainMs)
    expect(escapes()).toEqual([])
    bench.pass(2 * limits.tickMs)
    expect(escapes()).toMatchObject([{ start: 0, end: 1, isEscape: true }])
  })

  it('takes no other chunk that is held, though an origin that ignores Range sends it as well', () => {
    const bench = createReader(2)
    bench.joins('a', [0, 1])
    for (const request of bench.told('request', 'a')) bench.sends(request)
    keep(bench)
    bench.pass(limits.heldBackMs + 100)
    const [escape] = bench.take('fetch-origin').filter(({ isEscape }) => isEscape)
    bench.handle({ type: 'origin-unranged', digest, fetch: escape!.fetch })
    for (const index of [0, 1])
      bench.handle({ type: 'origin-frame', digest, fetch: escape!.fetch, index, bytes: limits.chunkSizeMinBytes })
    expect(bench.take('hash').map(({ index }) => index)).toEqual([0])
  })

  it('and is given another one there has been lied to: that takes its place', () => {
    const bench = hold()
    answer(bench, hashOf(77))
    expect(bench.take('discard')).toEqual([{ type: 'discard', digest, indices: [0] }])
    keep(bench)
    expect(mayTake(bench)).toBe(true)
  })

  it('needs the origin no more once the blob is proved', () => {
    const bench = hold()
    const [fetch] = bench.take('fetch-origin').filter(({ isEscape }) => isEscape)
    bench.joins('b', span(0, chunks))
    for (let round = 0; round < chunks; round++) {
      for (const request of bench.told('request')) bench.sends(request)
      bench.settle()
    }
    expect(bench.swarm.progress(digest)).toMatchObject({ complete: true })
    expect(bench.take('stop-fetch')).toEqual([{ type: 'stop-fetch', digest, fetch: fetch!.fetch }])
  })

  it('has what it had when the origin fails', () => {
    const bench = hold()
    const [fetch] = bench.take('fetch-origin').filter(({ isEscape }) => isEscape)
    bench.handle({ type: 'origin-ended', digest, fetch: fetch!.fetch, failure: { kind: 'refused' } })
    expect(bench.swarm.progress(digest)).toMatchObject({ held: 1 })
    expect(mayTake(bench)).toBe(false)
  })
})

describe('a disk that refuses a chunk', () => {
  it('lets nobody wait for its witnesses: the rest comes from the origin, also what was asked of peers', () => {
    const bench = createReader(2)
    bench.joins('a', [0])
    bench.sends(bench.told('request', 'a')[0]!)
    bench.joins('b', [1])
    bench.handle({ type: 'hashed', digest, index: 0, hash: hashOf(0) })
    expect(bench.take('keep')).toMatchObject([{ mayPass: false }])
    bench.handle({ type: 'kept', digest, index: 0, ok: false, isForgotten: true })
    const [asked] = bench.told('request', 'b')
    expect(bench.told('cancel')).toMatchObject([{ to: 'b', id: asked!.id }])
    bench.pass(25)
    expect(bench.take('fetch-origin')).toMatchObject([{ start: 0, end: chunks }])
    expect(bench.told('request')).toEqual([])
    expect(wishOf(bench)).toBeUndefined()
  })
})

describe('a disk that refused a chunk', () => {
  it('sends no later reader to the origin for what peers have: it may take chunks again by then', () => {
    const bench = createReader(2)
    bench.joins('a', [0, 1])
    for (const request of bench.told('request', 'a')) bench.sends(request)
    for (const { index } of bench.take('hash')) bench.handle({ type: 'hashed', digest, index, hash: hashOf(index) })
    bench.handle({ type: 'kept', digest, index: 0, ok: true })
    bench.handle({ type: 'kept', digest, index: 1, ok: false, isForgotten: true })
    bench.handle({ type: 'reader-closed', digest, reader: 1 })
    bench.read({ reader: 2 })
    bench.pass(25)
    expect(bench.take('fetch-origin')).toEqual([])
    expect(bench.told('request')).toMatchObject([{ to: 'a', index: 1 }])
  })
})

describe('when the blob is proved', () => {
  it('nobody is judged by a chunk of which a restart forgot whose word it had', () => {
    const bench = createBench({ chunks, witnesses: 1 })
    bench.handle({ type: 'held', digest, size: sizeOf(chunks), have: Uint8Array.of(0b0111), complete: false })
    bench.read()
    bench.joins('b', span(0, chunks))
    vouches(bench, 'b')
    bench.sends(bench.told('request', 'b')[0]!)
    bench.settle()
    expect(bench.swarm.progress(digest)).toMatchObject({ complete: true })
    expect(bench.take('ban')).toEqual([])
  })

  it('who vouched for another is banned, and who vouched for it is not', () => {
    const bench = createReader(3)
    bring(bench, 'a')
    for (const peer of ['b', 'liar']) bench.joins(peer, span(0, chunks))
    bench.pass(25)
    vouches(bench, 'b')
    vouches(bench, 'liar', [hashOf(0), hashOf(77), hashOf(2), hashOf(3)])
    for (let round = 0; round < chunks; round++) {
      for (const request of bench.told('request')) bench.sends(request)
      bench.settle()
    }
    expect(bench.swarm.progress(digest)).toMatchObject({ complete: true })
    expect(bench.take('ban')).toMatchObject([{ peer: 'liar', address: 'liar' }])
  })
})
