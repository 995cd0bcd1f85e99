import { limits } from '../../../core/limits.ts'
import { KiB } from '../../../core/units.ts'
import { describe, expect, it } from 'vitest'
import type { Entry, Witness } from '../../../core/swarm/entry.ts'
import {
  bitsOf,
  allOf,
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
  type CommandOf,
  type Sending,
} from './bench.ts'

/** A reader of chunk 4 only, so that each request is for it. */
function createReader(): Bench {
  const bench = createBench()
  bench.read({ whole: false, start: sizeOf(4), end: sizeOf(5) })
  return bench
}

/** `a` begins that chunk with so many bytes and falls silent, and `b` is asked for it too. */
function hedged(how: Sending) {
  const bench = createReader()
  bench.joins('a', [4])
  const [first] = bench.told('request')
  bench.sends(first!, how)
  bench.joins('b', [4])
  bench.pass(limits.hedgeAfterMs)
  const [second] = bench.told('request')
  return { bench, first: first!, second: second! }
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

  it.each([
    ['from another byte than was asked for', { offset: 128 }],
    ['under the entry of another', { entry: entryOf(sizeOf(100), 5, 'a', proved) }],
    ['with a wrong signature', { entry: { ...entryOf(sizeOf(100), 4, 'witness', proved), signer: 'other' } }],
  ])('%s is refused; twice is a ban', (_, change) => {
    const bench = createReader()
    for (const round of [1, 2]) {
      bench.joins('a', [4])
      const [request] = bench.told('request')
      const entry = entryOf(sizeOf(100), 4, 'a', proved)
      bench.handle({ type: 'chunk-started', peer: 'a', id: request!.id, offset: 0, entry, ...change })
      expect(bench.told('cancel', 'a')).toMatchObject([{ id: request!.id }])
      expect(bench.take('ban')).toHaveLength(round - 1)
    }
  })

  it('on a word that is not taken has its directory asked for others, once', () => {
    const bench = createBench()
    bench.read()
    bench.joins('a', [4, 5])
    bench.take('announce')
    const evil = { kind: 'fetched', origin: 'evil.example' } as const
    const told = bench.told('request').map((request) => {
      bench.sends(request, { witness: evil })
      return bench.take('announce').filter(({ now }) => now).length
    })
    expect(told).toEqual([1, 0])
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

  it('that does not match has its directory know at once: whoever sent it may be the only one with what it says to have', () => {
    const bench = createBench()
    bench.read()
    bench.joins('a', [4])
    const [request] = bench.told('request')
    bench.sends(request!)
    bench.take('announce')
    lies(bench, 4)
    expect(bench.take('announce')).toContainEqual({ type: 'announce', digest, now: true })
    expect(bench.swarm.announceState(digest)?.bans).toEqual(['a'])
  })

  it('that does not match is not asked again of the only one who sent it, be that one here or gone', () => {
    for (const isGone of [false, true]) {
      const bench = createReader()
      bench.joins('a', [4])
      bench.sends(bench.told('request')[0]!)
      if (isGone) bench.handle({ type: 'peer-disconnected', peer: 'a' })
      lies(bench, 4)
      expect(bench.told('request')).toEqual([])
      bench.joins('b', [4])
      expect(bench.told('request')).toMatchObject([{ to: 'b', index: 4, offset: 0 }])
    }
  })

  it('that did not match is asked of one at a time, until it is here', () => {
    const bench = createReader()
    bench.joins('a', [4])
    bench.sends(bench.told('request')[0]!)
    lies(bench, 4)
    for (const peer of ['b', 'c']) bench.joins(peer, [4])
    const [whole] = bench.told('request')
    bench.pass(limits.hedgeAfterMs)
    expect(bench.told('request')).toEqual([])
    bench.sends(whole!)
    bench.settle()
    bench.handle({ type: 'lost', digest, have: new Uint8Array(13) })
    expect(bench.told('request')).toHaveLength(1)
    bench.pass(limits.hedgeAfterMs)
    expect(bench.told('request')).toHaveLength(1)
  })

  it('that did not match is of no use in part: whoever is asked next sends all of it', () => {
    const bench = createReader()
    bench.joins('a', [4])
    bench.sends(bench.told('request')[0]!)
    lies(bench, 4)
    bench.joins('b', [4])
    bench.sends(bench.told('request')[0]!, { bytes: 100_000 })
    bench.take('drop')
    bench.handle({ type: 'peer-disconnected', peer: 'b' })
    bench.joins('c', [4])
    expect(bench.told('request')).toMatchObject([{ to: 'c', index: 4, offset: 0 }])
    expect(bench.take('drop')).toEqual([{ type: 'drop', digest, index: 4 }])
  })

  it('that came from two and does not match is held against neither', () => {
    const bench = createBench()
    bench.read()
    for (const index of [4, 5]) {
      bench.joins('a', [index])
      bench.sends(bench.told('request')[0]!, { bytes: 100_000, signer: 'witness' })
      bench.handle({ type: 'peer-disconnected', peer: 'a' })
      bench.joins('b', [index])
      bench.sends(bench.told('request')[0]!, { signer: 'witness' })
      lies(bench, index)
      bench.handle({ type: 'peer-disconnected', peer: 'b' })
      bench.told('request')
    }
    expect(bench.take('drop')).toHaveLength(2)
    expect(bench.take('ban')).toEqual([])
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

  it('whose bytes come before its head is a strike', () => {
    const bench = createReader()
    for (const round of [1, 2]) {
      bench.joins('a', [4])
      const [request] = bench.told('request')
      bench.handle({ type: 'frame', peer: 'a', id: request!.id, bytes: 1000 })
      expect(bench.told('cancel', 'a')).toMatchObject([{ id: request!.id }])
      expect(bench.take('ban')).toHaveLength(round - 1)
    }
  })

  it('of which two signers say different things is taken whole from one, if any of it is here', () => {
    const bench = createReader()
    bench.joins('a', [4])
    bench.sends(bench.told('request')[0]!, { bytes: 1000, signer: 'witness' })
    bench.handle({ type: 'peer-disconnected', peer: 'a' })
    bench.joins('b', [4])
    const [request] = bench.told('request')
    expect(request).toMatchObject({ offset: 1000 })
    bench.sends(request!, { bytes: 1000, signer: 'other', hash: hashOf(77) })
    expect(bench.take('drop')).toEqual([{ type: 'drop', digest, index: 4 }])
    bench.joins('c', [4])
    expect(bench.told('request')).toMatchObject([{ to: 'b', index: 4, offset: 0 }])
    bench.pass(limits.hedgeAfterMs)
    expect(bench.told('request')).toEqual([])
  })

  it('of which two signers say different things comes from the second, if the first has sent none of it', () => {
    const { bench, second } = hedged({ bytes: 0, signer: 'witness', hash: hashOf(77) })
    bench.sends(second, { signer: 'other' })
    expect(bench.told('cancel', 'b')).toEqual([])
    bench.settle()
    expect(bench.swarm.progress(digest)?.held).toBe(1)
  })

  it('of which two signers say different things is judged by the word of whoever sent it, though the other began later', () => {
    const { bench, first, second } = hedged({ bytes: 0, signer: 'witness' })
    bench.sends(second, { bytes: 0, signer: 'other', hash: hashOf(77) })
    for (let left = limits.chunkSizeMinBytes; left > 0; left -= 64 * KiB)
      bench.handle({ type: 'frame', peer: 'a', id: first.id, bytes: 64 * KiB })
    bench.settle()
    expect(bench.take('drop')).toEqual([])
    expect(bench.swarm.progress(digest)?.held).toBe(1)
  })

  it('that comes again from whom it was first asked of is not taken from a second as well, which is no faster', () => {
    const bench = createBench()
    bench.read()
    bench.joins('b', [3])
    const [earlier] = bench.told('request')
    bench.sends(earlier!, { bytes: 64 * KiB })
    bench.pass(200)
    bench.handle({ type: 'frame', peer: 'b', id: earlier!.id, bytes: 64 * KiB })
    bench.settle()
    bench.joins('a', [4])
    const [first] = bench.told('request')
    bench.sends(first!, { bytes: 60 * KiB, signer: 'a' })
    bench.says('b', { type: 'have', digest, indices: [4] })
    bench.pass(limits.hedgeAfterMs)
    const [second] = bench.told('request')
    bench.handle({ type: 'frame', peer: 'a', id: first!.id, bytes: 4 * KiB })
    bench.sends(second!, { bytes: 0, signer: 'a' })
    expect(bench.told('cancel')).toMatchObject([{ to: 'b', id: second!.id }])
  })

  it('that was given up while it was hashed or kept, and is asked for anew, is not taken for here', () => {
    const bench = createReader()
    bench.joins('a', [4])
    const give = (): void => bench.sends(bench.told('request')[0]!)
    give()
    expect(bench.take('hash')).toHaveLength(1)
    bench.handle({ type: 'evicted', digest })
    bench.handle({ type: 'hashed', digest, index: 4, hash: hashOf(4) })
    expect(bench.take('keep')).toEqual([])
    give()
    bench.handle({ type: 'hashed', digest, index: 4, hash: hashOf(4) })
    expect(bench.take('keep')).toHaveLength(1)
    bench.handle({ type: 'evicted', digest })
    bench.handle({ type: 'kept', digest, index: 4, ok: true })
    expect(bench.swarm.progress(digest)).toMatchObject({ held: 0 })
    expect(bench.swarm.stats()).toMatchObject({ settlingBytes: 0, requests: 1 })
  })

  it('that a second peer begins is still awaited from the silent one, until it is here', () => {
    const { bench, first, second } = hedged({ bytes: 64 * KiB })
    bench.sends(second, { bytes: 32 * KiB, signer: 'a' })
    expect(bench.told('cancel')).toEqual([])
    bench.handle({ type: 'frame', peer: 'b', id: second.id, bytes: 32 * KiB })
    expect(bench.told('cancel')).toMatchObject([{ to: 'a', id: first.id }])
    expect(bench.take('hash')).toMatchObject([{ index: 4 }])
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
    expect(bench.take('drop')).toEqual([{ type: 'drop', digest, index: 4 }])
  })

  it('of what another brought is banned once the blob is proved, and shows that it lied', () => {
    const { bench, second } = hedged({ bytes: 0, signer: 'liar', hash: hashOf(77) })
    bench.sends(second, { signer: 'honest' })
    bench.settle()
    expect(bench.take('ban')).toEqual([])
    bench.handle({ type: 'held', digest, size, have: allOf(bench), complete: false })
    bench.settle()
    expect(bench.take('ban')).toMatchObject([{ peer: 'liar' }])
  })

  it('of what did not match its bytes is banned once the blob is proved, and shows that it lied', () => {
    const bench = createReader()
    bench.joins('a', [4])
    bench.sends(bench.told('request')[0]!, { signer: 'liar', hash: hashOf(77) })
    lies(bench, 4)
    bench.joins('b', [4])
    bench.sends(bench.told('request')[0]!, { signer: 'honest' })
    bench.settle()
    expect(bench.take('ban')).toEqual([])
    bench.handle({ type: 'held', digest, size, have: allOf(bench), complete: false })
    bench.settle()
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

/** `relay` has brought chunk 5 as `liar` signed it; then `liar` says two things of chunk 4. */
function createFound(witness: Witness): Bench {
  const bench = createBench()
  bench.read()
  bench.joins('relay', [5])
  bench.sends(bench.told('request')[0]!, { signer: 'liar', hash: hashOf(77) })
  for (const hash of [hashOf(4), hashOf(78)]) {
    bench.joins('other', [4])
    bench.sends(bench.told('request')[0]!, { bytes: 1000, signer: 'liar', witness, hash })
    bench.handle({ type: 'peer-disconnected', peer: 'other' })
  }
  bench.take('drop')
  bench.told('request')
  bench.handle({ type: 'hashed', digest, index: 5, hash: hashOf(77) })
  return bench
}

describe('a chunk on the word of one who is found wrong while it is hashed', () => {
  it('is not kept, and asked for anew', () => {
    const bench = createFound(proved)
    expect(bench.take('keep')).toEqual([])
    expect(bench.take('drop')).toEqual([{ type: 'drop', digest, index: 5 }])
    expect(bench.told('request')).toMatchObject([{ to: 'relay', index: 5, offset: 0 }])
    expect(bench.swarm.stats()).toMatchObject({ settlingBytes: 0 })
  })

  it('is remembered as what that one said, until the proof shows that it lied', () => {
    const bench = createFound(fetched)
    expect(bench.take('ban')).toEqual([])
    bench.sends(bench.told('request')[0]!, { signer: 'honest' })
    bench.settle()
    bench.handle({ type: 'held', digest, size, have: allOf(bench), complete: false })
    bench.settle()
    expect(bench.take('ban')).toMatchObject([{ peer: 'liar' }])
  })
})

const forged = (index: number): string => hashOf(900 + index)

/** Two chunks by two signers, the second one wrong; both match their entries, and yet the blob does not match its digest. */
function createForged(liar: string, witness = proved): Bench {
  const bench = createBench({ chunks: 2 })
  bench.read()
  bench.joins('a', [0, 1])
  for (const request of bench.told('request'))
    bench.sends(request, request.index === 0 ? { signer: 'honest' } : { signer: liar, witness, hash: forged(1) })
  keep(bench, (index) => (index === 0 ? hashOf(0) : forged(1)))
  prove(bench, false)
  return bench
}

function keep(bench: Bench, hash: (index: number) => string): void {
  for (const { index } of bench.take('hash')) bench.handle({ type: 'hashed', digest, index, hash: hash(index) })
  for (const { index } of bench.take('keep')) bench.handle({ type: 'kept', digest, index, ok: true })
}

function prove(bench: Bench, ok: boolean): void {
  expect(bench.take('prove')).toHaveLength(1)
  bench.handle({ type: 'proved', digest, ok })
}

/** Ticks, in each of which the origin gives what it is asked for, until the swarm asks for nothing more. */
function audit(bench: Bench, hash: (index: number) => string = hashOf): number[] {
  const audited: number[] = []
  for (let tick = 0; tick < 10; tick++) {
    bench.pass(25)
    for (const { end, fetch, isEscape, start } of bench.take('fetch-origin')) {
      expect(isEscape).toBe(true)
      for (let index = start; index < end; index++) {
        audited.push(index)
        bench.handle({ type: 'origin-frame', digest, fetch, index, bytes: limits.chunkSizeMinBytes })
        keep(bench, hash)
        if (bench.take('stop-fetch').length > 0) break
      }
      bench.handle({ type: 'origin-ended', digest, fetch })
    }
  }
  return audited
}

const size = sizeOf(100)

/** A node that holds a hundred chunks under these entries, and the blob is wrong. */
function createHeld(entry: (index: number) => Entry): Bench {
  const bench = createBench()
  bench.handle({ type: 'held', digest, size, have: allOf(bench), complete: false })
  bench.handle({ type: 'entries', digest, entries: span(0, 100).map(entry) })
  prove(bench, false)
  return bench
}

const isWrong = (index: number): boolean => index >= 50

/** A seed that has proved the blob says what its chunks are. */
function askSeed(bench: Bench): void {
  bench.joins('seed', span(0, 100))
  bench.read()
  bench.pass(25)
  expect(bench.told('doubt')).toEqual([{ type: 'doubt', digest, start: 0, to: 'seed' }])
  bench.says('seed', { type: 'vouch', digest, start: 0, hashes: span(0, 100).map(hashOf) })
}

describe('a blob that does not match its digest', () => {
  it('is taken from the origin again, until the chunk that is another there takes the place of the wrong one', () => {
    const bench = createForged('forger')
    expect(audit(bench)).toContain(1)
    expect(bench.take('discard')).toEqual([{ type: 'discard', digest, indices: [1] }])
    prove(bench, true)
    expect(bench.swarm.progress(digest)).toMatchObject({ held: 2, complete: true })
    expect(bench.swarm.stats()).toMatchObject({ settlingBytes: 0, inFlightBytes: 0, leases: 0 })
  })

  it('shows, once it is right, who lied: whoever vouched for it as proved is banned, and nobody else', () => {
    const bench = createForged('forger')
    audit(bench)
    expect(bench.take('ban')).toEqual([])
    prove(bench, true)
    expect(bench.take('ban').map(({ peer }) => peer)).toEqual(['forger'])
  })

  it('is searched once the origin, which was left alone since it had failed, may be asked again', () => {
    const bench = createForged('forger')
    bench.pass(25)
    const [{ fetch }] = bench.take('fetch-origin') as [CommandOf<'fetch-origin'>]
    bench.handle({ type: 'origin-ended', digest, fetch, failure: { kind: 'rate-limited', retryAfterMs: 3000 } })
    bench.pass(3000 - limits.tickMs)
    expect(bench.take('fetch-origin')).toEqual([])
    expect(audit(bench)).toContain(1)
  })

  it('is searched where something else has come in place of what was looked at and lost', () => {
    const bench = createForged('forger')
    expect(audit(bench)).toContain(1)
    bench.handle({ type: 'lost', digest, have: bitsOf(2, [0]) })
    bench.joins('b', [1])
    bench.sends(bench.told('request')[0]!, { signer: 'another', hash: forged(1) })
    keep(bench, () => forged(1))
    bench.take('prove')
    bench.handle({ type: 'proved', digest, ok: false })
    expect(audit(bench)).toContain(1)
    expect(bench.take('fail')).toEqual([])
    prove(bench, true)
    expect(bench.swarm.progress(digest)).toMatchObject({ held: 2, complete: true })
  })

  it('comes from the origin to its end where the store loses meanwhile what is looked at', () => {
    const bench = createForged('forger')
    bench.pass(25)
    const [{ fetch, start }] = bench.take('fetch-origin') as [CommandOf<'fetch-origin'>]
    bench.handle({ type: 'lost', digest, have: bitsOf(2, [1 - start]) })
    bench.pass(25)
    expect(bench.told('request')).toEqual([])
    bench.handle({ type: 'origin-frame', digest, fetch, index: start, bytes: limits.chunkSizeMinBytes })
    keep(bench, hashOf)
    expect(bench.swarm.progress(digest)).toMatchObject({ held: 2 })
  })

  it('is no proof against who fetched it: the origin may have lied', () => {
    const bench = createForged('witness', fetched)
    audit(bench)
    prove(bench, true)
    expect(bench.take('ban')).toEqual([])
  })

  it('is searched first where those who say to have proved it have another chunk', () => {
    const bench = createHeld((index) =>
      entryOf(size, index, 'forger', proved, index === 60 ? forged(60) : hashOf(index)),
    )
    askSeed(bench)
    const audited = audit(bench)
    expect(audited).toHaveLength(2)
    expect(audited[1]).toBe(60)
  })

  it('is searched no further when one is found: what was kept on that word comes from others', () => {
    const bench = createHeld((index) => {
      const hash = isWrong(index) ? forged(index) : hashOf(index)
      return entryOf(size, index, isWrong(index) ? 'forger' : 'honest', proved, hash)
    })
    askSeed(bench)
    expect(audit(bench).filter(isWrong)).toHaveLength(1)
    expect(bench.swarm.progress(digest)).toMatchObject({ held: 51 })
  })

  it('is searched no further in the midst of a chunk, of which nothing is gone on from later', () => {
    const liars = new Map([
      [50, 'forger'],
      [51, 'another'],
    ])
    const bench = createHeld((index) => {
      const liar = liars.get(index)
      return entryOf(size, index, liar ?? 'honest', proved, liar === undefined ? hashOf(index) : forged(index))
    })
    askSeed(bench)
    // One chunk was taken at random before the seed's word came; then two at a time are.
    const [random] = bench.take('fetch-origin')
    const { fetch, start } = random!
    bench.handle({ type: 'origin-frame', digest, fetch, index: start, bytes: limits.chunkSizeMinBytes })
    bench.handle({ type: 'origin-ended', digest, fetch })
    keep(bench, hashOf)
    bench.pass(25)
    const [both] = bench.take('fetch-origin')
    expect(both).toMatchObject({ start: 50, end: 52 })
    bench.handle({ type: 'origin-frame', digest, fetch: both!.fetch, index: 50, bytes: limits.chunkSizeMinBytes })
    bench.handle({ type: 'origin-frame', digest, fetch: both!.fetch, index: 51, bytes: 1000 })
    bench.take('drop')
    keep(bench, hashOf)
    expect(bench.take('stop-fetch')).toHaveLength(1)
    expect(bench.take('drop')).toEqual([{ type: 'drop', digest, index: 51 }])
  })

  it('is searched first among what those have signed of whom this node is cautioned', () => {
    const bench = createHeld((index) =>
      index === 60
        ? entryOf(size, 60, 'forger', proved, forged(60))
        : entryOf(size, index, 'honest', proved, hashOf(index)),
    )
    bench.joins('honest', [])
    bench.handle({ type: 'cautioned', by: 'friend', address: '10.0.0.1', cautions: [{ peer: 'forger' }] })
    bench.read()
    expect(audit(bench)).toEqual([60])
  })

  it('is looked at as it passes by, all that is of others, where the origin ignores Range', () => {
    const liars = [60, 70]
    const signerOf = (index: number): string => (index < 10 ? 'self' : liars.includes(index) ? 'forger' : 'honest')
    const bench = createHeld((index) =>
      entryOf(size, index, signerOf(index), proved, index === 60 ? forged(60) : hashOf(index)),
    )
    bench.read()
    bench.pass(25)
    const [{ fetch, start }] = bench.take('fetch-origin') as [CommandOf<'fetch-origin'>]
    expect(start).not.toBe(60)
    bench.handle({ type: 'origin-unranged', digest, fetch })
    bench.joins('late', span(0, 100))
    bench.pass(25)
    expect(bench.swarm.announceState(digest)?.fetching).toEqual([{ start: 10, end: 100 }])
    bench.handle({ type: 'peer-disconnected', peer: 'late' })
    const looked: number[] = []
    for (let index = 0; bench.take('stop-fetch').length === 0; index++) {
      bench.handle({ type: 'origin-frame', digest, fetch, index, bytes: limits.chunkSizeMinBytes })
      for (const { index: of } of bench.take('hash')) {
        looked.push(of)
        bench.handle({ type: 'hashed', digest, index: of, hash: hashOf(of) })
      }
    }
    expect(looked).toEqual(span(10, 61))
    expect(bench.take('discard')).toContainEqual({ type: 'discard', digest, indices: [60] })
    keep(bench, hashOf)
    // What comes in place of the forger's other chunk passes by those that nothing says are wrong.
    bench.answer({ lease: { id: 7, start: 0, end: 100, ttlMs: 1750 } })
    const [whole] = bench.take('fetch-origin') as [CommandOf<'fetch-origin'>]
    bench.handle({ type: 'origin-unranged', digest, fetch: whole.fetch })
    expect(bench.swarm.announceState(digest)?.fetching).toEqual([{ start: 70, end: 71 }])
  })

  it('is denied by others who look for what is wrong too, which is held against none of them', () => {
    const bench = createForged('forger')
    bench.handle({ type: 'lost', digest, have: bitsOf(2, [0]) })
    bench.joins('b', [1])
    for (const { id, to } of bench.told('request')) bench.says(to, { type: 'missing', id })
    for (const { id, to } of bench.told('request')) bench.says(to, { type: 'missing', id })
    const { bans, lease: wish, wants } = bench.swarm.announceState(digest)!
    expect({ bans, insists: wish?.insists, wants }).toEqual({ bans: undefined, insists: undefined, wants: true })
  })

  it('is passed on no more, but for what is known to be right', () => {
    const bench = createForged('forger')
    bench.says('b', { type: 'request', id: 1, digest, index: 0, offset: 0 })
    expect(bench.take('upload')).toEqual([])
    expect(bench.told('missing', 'b')).toHaveLength(1)
    audit(bench)
    prove(bench, true)
    expect(bench.told('join', 'a').at(-1)?.have).toEqual(Uint8Array.of(0b11))
    bench.says('b', { type: 'request', id: 2, digest, index: 0, offset: 0 })
    expect(bench.take('upload')).toHaveLength(1)
  })

  it('is taken from the origin once, chunk by chunk, where that has the rest of it wrong', () => {
    const bench = createForged('forger')
    const audited = audit(bench)
    prove(bench, false)
    audited.push(...audit(bench))
    expect(audited.toSorted((a, b) => a - b)).toEqual([0, 1])
    expect(bench.take('fail')).toMatchObject([{ failure: { kind: 'corrupt' } }])
  })

  it('at one origin shows who lied for it once another has it right', () => {
    const bench = createForged('forger')
    bench.read({ reader: 2, origin: 'other.example' })
    audit(bench, (index) => (index === 0 ? hashOf(0) : forged(1)))
    expect(bench.take('fail')).toMatchObject([{ origin, failure: { kind: 'corrupt' } }])
    for (const request of bench.told('request')) bench.sends(request, { signer: 'honest' })
    keep(bench, hashOf)
    prove(bench, true)
    expect(bench.take('ban')).toMatchObject([{ peer: 'forger' }])
  })

  it('is not right because the store says that all is there, but when it has proved it', () => {
    const bench = createForged('forger')
    for (const [id, complete] of [false, true].entries()) {
      bench.handle({ type: 'held', digest, size: sizeOf(2), have: allOf(bench), complete })
      bench.says('b', { type: 'request', id, digest, index: 0, offset: 0 })
      expect(bench.take('upload')).toHaveLength(id)
    }
  })

  it('although all of it is as the origin has it ends its readers', () => {
    const bench = createForged('witness', fetched)
    audit(bench, (index) => (index === 0 ? hashOf(0) : forged(1)))
    expect(bench.take('fail')).toEqual([{ type: 'fail', digest, origin, failure: { kind: 'corrupt' } }])
    expect(bench.take('discard')).toEqual([{ type: 'discard', digest }])
    expect(bench.swarm.stats()).toMatchObject({ sessions: 0, settlingBytes: 0, inFlightBytes: 0 })
  })
})

/** Of four chunks the disk has kept two on others' word, and refused two of this node's own; the blob was wrong, and is read again. */
function createForgedInPart(): Bench {
  const bench = createBench({ chunks: 4 })
  const of = sizeOf(4)
  bench.handle({ type: 'held', digest, size: of, have: bitsOf(4, [0, 1]), complete: false })
  const entries = [entryOf(of, 0, 'forger', fetched, forged(0)), entryOf(of, 1, 'honest', fetched)]
  bench.handle({ type: 'entries', digest, entries })
  bench.read()
  bench.answer({ lease: { id: 7, start: 2, end: 4, ttlMs: 1750 } })
  comeUnkept(bench)
  isWrongAgain(bench, 1)
  return bench
}

function isWrongAgain(bench: Bench, reader: number): void {
  bench.handle({ type: 'proved', digest, ok: false })
  bench.handle({ type: 'reader-closed', digest, reader })
  bench.read({ reader: reader + 1 })
}

/** All that is asked of the origin comes, of which the disk keeps the first two chunks, and refuses the others. Gives what was looked at, and what was missing. */
function comeUnkept(bench: Bench): { looked: number[]; missing: number[] } {
  const came = { looked: [] as number[], missing: [] as number[] }
  bench.pass(25)
  for (const { end, fetch, isEscape, start } of bench.take('fetch-origin')) {
    for (const index of span(start, end)) {
      bench.handle({ type: 'origin-frame', digest, fetch, index, bytes: limits.chunkSizeMinBytes })
      bench.handle({ type: 'hashed', digest, index, hash: hashOf(index) })
      for (const kept of bench.take('keep'))
        bench.handle({ type: 'kept', digest, index: kept.index, ok: kept.index < 2 })
      came[isEscape ? 'looked' : 'missing'].push(index)
    }
    bench.handle({ type: 'origin-ended', digest, fetch })
  }
  return came
}

describe('a blob that is wrong, and of which a part has passed through', () => {
  it('has what was kept on the word of others looked at, until one is found, before the rest comes again', () => {
    const bench = createForgedInPart()
    bench.joins('honest', [])
    bench.handle({ type: 'cautioned', by: 'friend', address: '10.0.0.1', cautions: [{ peer: 'forger' }] })
    expect(comeUnkept(bench)).toEqual({ looked: [0], missing: [] })
    expect(bench.swarm.cautions()).toMatchObject([{ peer: 'forger' }])
    bench.joins('peer', span(0, 4))
    const rest = [comeUnkept(bench), comeUnkept(bench)].map(({ looked, missing }) => [looked, missing])
    expect(rest.flat(2)).toEqual([2, 3])
    expect(bench.told('request')).toEqual([])
    isWrongAgain(bench, 2)
    expect(comeUnkept(bench)).toEqual({ looked: [1], missing: [] })
  })

  it('has nothing of it looked at that is gone, or that this node has fetched', () => {
    const bench = createForgedInPart()
    bench.handle({ type: 'lost', digest, have: bitsOf(4, [1]) })
    const came = span(0, 8).map(() => comeUnkept(bench))
    expect(came[0]).toEqual({ looked: [1], missing: [] })
    expect(came.flatMap(({ looked }) => looked)).toEqual([1])
    expect(came.flatMap(({ missing }) => missing)).toEqual([0, 2, 3])
  })

  it('may come of others where what has passed was theirs, as long as a disk takes it', () => {
    const bench = createBench({ chunks: 2 })
    bench.handle({ type: 'held', digest, size: sizeOf(2), have: bitsOf(2, [0]), complete: false })
    bench.handle({ type: 'entries', digest, entries: [entryOf(sizeOf(2), 0, 'forger', fetched, forged(0))] })
    bench.read()
    bench.joins('peer', [1])
    bench.sends(bench.told('request')[0]!)
    bench.handle({ type: 'hashed', digest, index: 1, hash: hashOf(1) })
    bench.handle({ type: 'kept', digest, index: 1, ok: false })
    isWrongAgain(bench, 1)
    expect(bench.told('request')).toMatchObject([{ to: 'peer', index: 1 }])
    bench.pass(25)
    expect(bench.take('fetch-origin')).toEqual([])
  })
})

/** The first chunk comes from the origin, and the runner says what became of it. */
function bring(bench: Bench, kept: { ok: boolean; isForgotten?: boolean; isWrong?: boolean }, hash = hashOf(0)): void {
  const [{ fetch }] = bench.take('fetch-origin') as [CommandOf<'fetch-origin'>]
  bench.handle({ type: 'origin-frame', digest, fetch, index: 0, bytes: limits.chunkSizeMinBytes })
  bench.handle({ type: 'origin-ended', digest, fetch })
  bench.handle({ type: 'hashed', digest, index: 0, hash })
  bench.handle({ type: 'kept', digest, index: 0, ...kept })
}

describe('a blob of which all is here', () => {
  it('is proved once, though the store says meanwhile what it holds, and not at all where the store has proved it', () => {
    const bench = createBench()
    for (const complete of [false, false, true])
      bench.handle({ type: 'held', digest, size, have: allOf(bench), complete })
    expect(bench.take('prove')).toHaveLength(1)
  })

  it('has its directory know at once that it is proved, and no neighbour, who has heard of each chunk', () => {
    const bench = createForged('honest')
    bench.handle({ type: 'evicted', digest })
    for (const request of bench.told('request')) bench.sends(request, { signer: 'another' })
    keep(bench, hashOf)
    bench.take('announce')
    bench.told('join')
    prove(bench, true)
    expect(bench.take('announce')).toContainEqual({ type: 'announce', digest, now: true })
    expect(bench.told('join')).toEqual([])
  })

  it('but was evicted since is nothing that a late proof could tell of', () => {
    const bench = createBench({ chunks: 1 })
    bench.handle({ type: 'held', digest, size: sizeOf(1), have: allOf(bench), complete: false })
    bench.handle({ type: 'evicted', digest })
    prove(bench, true)
    expect(bench.swarm.stats()).toMatchObject({ sessions: 0 })
  })

  it.each<[string, (bench: Bench) => void]>([
    ['evicted', (bench) => bench.handle({ type: 'evicted', digest })],
    ['lost', (bench) => bench.handle({ type: 'lost', digest, have: Uint8Array.of(0b01) })],
  ])('and is %s while it is proved is proved anew once it is here again', (_what, loses) => {
    const bench = createBench({ chunks: 2 })
    bench.read()
    bench.joins('a', [0, 1])
    const comes = (): void => {
      for (const request of bench.told('request')) bench.sends(request)
      keep(bench, hashOf)
    }
    comes()
    expect(bench.take('prove')).toHaveLength(1)
    loses(bench)
    comes()
    prove(bench, true)
    expect(bench.swarm.progress(digest)).toMatchObject({ held: 2, complete: true })
  })

  it('is asked of peers again once it is lost, though the disk took nothing before', () => {
    const bench = createBench({ chunks: 1 })
    bench.read()
    bench.answer({ lease: { id: 7, start: 0, end: 1, ttlMs: 1750 } })
    bring(bench, { ok: false, isForgotten: true })
    bench.pass(25)
    bring(bench, { ok: true })
    prove(bench, true)
    bench.handle({ type: 'evicted', digest })
    bench.joins('a', [0])
    expect(bench.told('request')).toMatchObject([{ to: 'a', index: 0 }])
  })
})

describe('a chunk that the disk refuses', () => {
  it('was part of what is wrong, if its readers find that, and of nothing that would be proved', () => {
    const bench = createBench({ chunks: 1 })
    bench.read()
    bench.joins('a', [0])
    bench.sends(bench.told('request')[0]!)
    bench.handle({ type: 'hashed', digest, index: 0, hash: hashOf(0) })
    bench.handle({ type: 'kept', digest, index: 0, ok: false })
    bench.handle({ type: 'proved', digest, ok: true })
    expect(bench.take('learnt')).toEqual([])
    bench.handle({ type: 'proved', digest, ok: false })
    expect(bench.take('learnt')).toHaveLength(1)
    expect(bench.swarm.progress(digest)).toMatchObject({ held: 0, complete: false })
  })

  it.each([
    [fetched, []],
    [proved, ['liar']],
  ])('and another has than the blob has there, which was proved before, is found out by that', (witness, banned) => {
    const bench = createBench({ chunks: 2 })
    bench.handle({ type: 'peer-connected', peer: 'liar', address: '10.0.0.9' })
    bench.read()
    bench.joins('relay', [0])
    bench.sends(bench.told('request', 'relay')[0]!, { signer: 'liar', witness, hash: hashOf(77) })
    bench.handle({ type: 'hashed', digest, index: 0, hash: hashOf(77) })
    bench.take('announce')
    bench.handle({ type: 'kept', digest, index: 0, ok: false, isWrong: true })
    expect(bench.take('ban').map(({ peer }) => peer)).toEqual(banned)
    expect(bench.swarm.cautions().map(({ peer }) => peer)).toEqual(['liar'])
    expect(bench.told('request')).toEqual([])
    expect(wishOf(bench)).toMatchObject({ position: 0 })
    bench.joins('seed', [0])
    expect(bench.told('request')).toMatchObject([{ to: 'seed', index: 0 }])
  })

  it('and the origin has other than before ends the readers that trust it', () => {
    const bench = createBench({ chunks: 1 })
    bench.read()
    bench.answer({ lease: { id: 7, start: 0, end: 1, ttlMs: 1750 } })
    bring(bench, { ok: false, isWrong: true }, hashOf(77))
    expect(bench.take('fail')).toMatchObject([{ digest, origin, failure: { kind: 'protocol' } }])
    expect(bench.swarm.stats().readers).toBe(0)
  })

  it('is not what a lease is wished for, though nobody else has it and the blob is read whole', () => {
    const bench = createBench({ chunks: 4 })
    bench.read()
    bench.joins('a', [2])
    bench.sends(bench.told('request')[0]!)
    bench.handle({ type: 'hashed', digest, index: 2, hash: hashOf(2) })
    bench.handle({ type: 'kept', digest, index: 2, ok: false })
    expect(wishOf(bench)).toEqual({ chunks: 2, position: 0, theseOnly: true })
  })

  it('comes again when another is lost: the proof begins anew', () => {
    const bench = createBench({ chunks: 2 })
    bench.read()
    bench.joins('a', [0, 1])
    for (const request of bench.told('request')) bench.sends(request)
    for (const { index } of bench.take('hash')) bench.handle({ type: 'hashed', digest, index, hash: hashOf(index) })
    for (const index of [0, 1]) bench.handle({ type: 'kept', digest, index, ok: index === 1 })
    bench.handle({ type: 'lost', digest, have: bitsOf(2, []) })
    expect(new Set(bench.told('request').map(({ index }) => index))).toEqual(new Set([0, 1]))
  })

  it('is proved again where the proof found another in its place, though none is lost', () => {
    const bench = createBench({ chunks: 2 })
    bench.read()
    bench.joins('a', [0, 1])
    for (const request of bench.told('request')) bench.sends(request)
    for (const { index } of bench.take('hash')) bench.handle({ type: 'hashed', digest, index, hash: hashOf(index) })
    for (const index of [0, 1]) bench.handle({ type: 'kept', digest, index, ok: true })
    expect(bench.take('prove')).toHaveLength(1)
    bench.handle({ type: 'lost', digest, have: bitsOf(2, [0, 1]) })
    expect(bench.take('prove')).toEqual([{ type: 'prove', digest, size: sizeOf(2) }])
  })

  it('comes again when what passed is let go, though the disk has lost nothing', () => {
    const bench = createBench({ chunks: 2 })
    bench.read()
    bench.joins('a', [0, 1])
    for (const request of bench.told('request')) bench.sends(request)
    for (const { index } of bench.take('hash')) bench.handle({ type: 'hashed', digest, index, hash: hashOf(index) })
    for (const index of [0, 1]) bench.handle({ type: 'kept', digest, index, ok: index === 1 })
    bench.handle({ type: 'lost', digest, have: bitsOf(2, [1]) })
    expect(bench.told('request').map(({ index }) => index)).toEqual([0])
  })

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
