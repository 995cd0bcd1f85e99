import { describe, expect, it } from 'vitest'
import { limits } from '../../../core/limits.ts'
import { digestFromHex } from '../../../core/oci/digest.ts'
import type { Witness } from '../../../core/swarm/entry.ts'
import {
  allOf,
  connects,
  contradict,
  createBench,
  digest,
  entryOf,
  fetched,
  hashOf,
  origin,
  proved,
  sizeOf,
  span,
  type Bench,
} from './bench.ts'

const another = digestFromHex('cd'.repeat(32))
const chunks = 2
const size = sizeOf(chunks)

/** A blob that was held before a restart: each chunk by one of the signers, the last one's wrong. It does not match its digest. */
function holdForged(bench: Bench, signers: readonly string[], witness: Witness = proved): void {
  const hash = (index: number): string => hashOf(index === chunks - 1 ? 77 : index)
  const entries = span(0, chunks).map((index) => entryOf(size, index, signers[index]!, witness, hash(index)))
  bench.handle({ type: 'held', digest, size, have: allOf(bench), complete: false })
  bench.handle({ type: 'entries', digest, entries })
  bench.take('prove')
  bench.handle({ type: 'proved', digest, ok: false })
}

/** The first chunk of another blob, kept on the word of `signer` and being read. */
function holdOther(bench: Bench, signer: string, witness: Witness = proved): void {
  bench.handle({ type: 'held', digest: another, size, have: Uint8Array.of(0b01), complete: false })
  bench.handle({ type: 'entries', digest: another, entries: [entryOf(size, 0, signer, witness, hashOf(0), another)] })
  bench.read({ digest: another, reader: 2 })
}

const mayTakeOther = (bench: Bench): boolean => bench.swarm.mayDeliver(another, 0, origin)

/** The origin gives both chunks of the forged blob again, and its reader has it proved. */
function settleForged(bench: Bench): void {
  bench.read()
  for (let tick = 0; tick < 4; tick++) {
    bench.pass(25)
    for (const { end, fetch, start } of bench.take('fetch-origin')) {
      for (let index = start; index < end; index++)
        bench.handle({ type: 'origin-frame', digest, fetch, index, bytes: limits.chunkSizeMinBytes })
      bench.handle({ type: 'origin-ended', digest, fetch })
    }
    bench.settle()
  }
  expect(bench.swarm.progress(digest)).toMatchObject({ complete: true })
}

describe('when a blob is wrong of which somebody says to have proved it', () => {
  it.each([
    ['for all of it, is suspected as well', [hashOf(0), hashOf(77)], false],
    ['for something else, is not', [hashOf(0), hashOf(1)], true],
    ['for a part of it, is not', [hashOf(0)], true],
  ])('who vouched %s', (_what, hashes, mayTake) => {
    const bench = createBench({ chunks, limits: { vouchChunks: hashes.length } })
    bench.read()
    bench.joins('v', span(0, chunks))
    bench.says('v', { type: 'vouch', digest, start: 0, hashes })
    holdForged(bench, ['a', 'b'])
    holdOther(bench, 'v')
    expect(mayTakeOther(bench)).toBe(mayTake)
  })
})

describe('who signed for a blob that proved wrong', () => {
  it.each([fetched, proved])('is not taken at its word, in any session', (witness) => {
    const bench = createBench({ chunks })
    for (const peer of ['a', 'liar', 'c']) connects(bench, peer)
    holdOther(bench, 'a')
    expect(mayTakeOther(bench)).toBe(true)
    holdForged(bench, ['a', 'liar'], witness)
    expect(mayTakeOther(bench)).toBe(false)
  })

  it('is not taken at its word where the disk refused a part of it either', () => {
    const bench = createBench({ chunks })
    connects(bench, 'liar')
    holdOther(bench, 'liar')
    bench.handle({ type: 'held', digest, size, have: Uint8Array.of(0b01), complete: false })
    bench.handle({ type: 'entries', digest, entries: [entryOf(size, 0, 'liar', proved)] })
    expect(mayTakeOther(bench)).toBe(true)
    bench.handle({ type: 'proved', digest, ok: false })
    expect(mayTakeOther(bench)).toBe(false)
  })

  it.each([fetched, proved])('is found out by the proof also where a disk refused what it had signed', (witness) => {
    const bench = createBench({ chunks })
    connects(bench, 'liar')
    bench.handle({ type: 'held', digest, size, have: Uint8Array.of(0b01), complete: false })
    bench.read()
    bench.joins('relay', [1])
    bench.sends(bench.told('request', 'relay')[0]!, { signer: 'liar', witness, hash: hashOf(77) })
    bench.handle({ type: 'hashed', digest, index: 1, hash: hashOf(77) })
    bench.handle({ type: 'kept', digest, index: 1, ok: false })
    bench.handle({ type: 'proved', digest, ok: false })
    bench.handle({ type: 'reader-closed', digest, reader: 1 })
    bench.read()
    bench.joins('seed', span(0, chunks))
    bench.handle({ type: 'peer-disconnected', peer: 'relay' })
    bench.sends(bench.told('request', 'seed')[0]!)
    holdOther(bench, 'liar', witness)
    bench.take('hash')
    bench.take('keep')
    bench.handle({ type: 'hashed', digest, index: 1, hash: hashOf(1) })
    bench.settle()
    expect(bench.swarm.progress(digest)).toMatchObject({ complete: true })
    expect(bench.swarm.cautions()).toMatchObject([{ peer: 'liar' }])
    expect(mayTakeOther(bench)).toBe(false)
  })

  it('has what a disk refused come again with what is thrown away: the proof begins anew, and memory keeps nothing for it', () => {
    const bench = createBench({ chunks })
    connects(bench, 'liar')
    holdOther(bench, 'liar')
    bench.joins('seed', span(0, chunks), another)
    const asked = (): number[] =>
      bench.told('request', 'seed').flatMap((one) => (one.digest === another ? [one.index] : []))
    bench.sends(bench.told('request', 'seed')[0]!)
    bench.handle({ type: 'hashed', digest: another, index: 1, hash: hashOf(1) })
    bench.handle({ type: 'kept', digest: another, index: 1, ok: false })
    bench.pass(25)
    expect(asked()).toEqual([])
    bench.read()
    contradict(bench, 'liar')
    bench.pass(25)
    expect(bench.take('discard')).toMatchObject([{ digest: another, indices: [0] }])
    expect(new Set(asked())).toEqual(new Set([0, 1]))
  })

  it('does not bring into doubt who did not', () => {
    const bench = createBench({ chunks })
    for (const peer of ['a', 'liar', 'c']) connects(bench, peer)
    holdOther(bench, 'c')
    holdForged(bench, ['a', 'liar'])
    expect(mayTakeOther(bench)).toBe(true)
  })

  it('brings into doubt all at its address', () => {
    const bench = createBench({ chunks })
    for (const peer of ['liar', 'liar again']) connects(bench, peer, '10.0.0.66')
    holdOther(bench, 'liar again')
    holdForged(bench, ['liar', 'liar'])
    expect(mayTakeOther(bench)).toBe(false)
  })

  it('and was never connected here brings into doubt all who were not: they may be one', () => {
    const bench = createBench({ chunks })
    holdOther(bench, 'stranger')
    holdForged(bench, ['liar', 'liar'])
    expect(mayTakeOther(bench)).toBe(false)
    connects(bench, 'stranger')
    expect(mayTakeOther(bench)).toBe(true)
  })

  it('and of whose another chunk is kept no more: others who have it are looked for before the origin is asked', () => {
    const bench = createBench({ chunks })
    connects(bench, 'liar')
    holdForged(bench, ['liar', 'liar'], fetched)
    bench.read()
    bench.pass(25)
    const [{ fetch, start: index } = { fetch: 0, start: 0 }] = bench.take('fetch-origin')
    bench.handle({ type: 'origin-frame', digest, fetch, index, bytes: limits.chunkSizeMinBytes })
    bench.handle({ type: 'hashed', digest, index, hash: hashOf(55) })
    bench.settle()
    expect(bench.swarm.progress(digest)).toMatchObject({ held: 1 })
    bench.answer({ counts: Uint8Array.of(1, 1) })
    bench.pass(limits.starvedAloneMs - 100)
    expect(bench.swarm.announceState(digest)?.lease).toBeUndefined()
    bench.pass(200)
    expect(bench.swarm.announceState(digest)?.lease).toMatchObject({ position: 1 - index, insists: true })
  })

  it('is clear when the blob is proved, unless it lied', () => {
    const bench = createBench({ chunks })
    for (const peer of ['a', 'liar']) connects(bench, peer)
    holdOther(bench, 'a')
    holdForged(bench, ['a', 'liar'])
    settleForged(bench)
    expect(mayTakeOther(bench)).toBe(true)
    expect(bench.take('ban').map(({ peer }) => peer)).toEqual(['liar'])
  })

  it('is clear after the time of a ban', () => {
    const bench = createBench({ chunks })
    connects(bench, 'a')
    holdOther(bench, 'a')
    holdForged(bench, ['a', 'a'])
    bench.clock.advance(limits.banMs)
    expect(mayTakeOther(bench)).toBe(true)
  })
})

/** Another blob is read, of which the liar offers both chunks on its own word. */
function refuseOther(bench: Bench, counts: Uint8Array): void {
  connects(bench, 'liar')
  holdForged(bench, ['c', 'liar'], fetched)
  settleForged(bench)
  bench.read({ digest: another, reader: 2 })
  bench.handle({ type: 'directory', answer: { digest: another, size, peers: [], counts } })
  bench.says('liar', { type: 'join', digest: another, size, have: Uint8Array.of(0b11) })
  expect(bench.swarm.announceState(another)?.lease).toBeUndefined()
  bench.take('announce')
  for (const request of bench.told('request'))
    bench.sends({ ...request, digest: another }, { witness: fetched, signer: 'liar' })
}

describe('who signed what the origin gives otherwise', () => {
  it.each([fetched, proved])('has all dropped that was kept on its word, so that no other blob is wrong', (witness) => {
    const bench = createBench({ chunks })
    for (const peer of ['a', 'liar']) connects(bench, peer)
    holdOther(bench, 'liar')
    holdForged(bench, ['a', 'liar'], witness)
    settleForged(bench)
    expect(bench.take('discard')).toEqual([
      { type: 'discard', digest, indices: [1] },
      { type: 'discard', digest: another, indices: [0] },
    ])
  })

  it('has it dropped once it is read where nobody does as it is found out: its reader would wait for a proof that fails', () => {
    const bench = createBench({ chunks })
    connects(bench, 'liar')
    holdOther(bench, 'liar')
    bench.handle({ type: 'reader-closed', digest: another, reader: 2 })
    bench.read()
    contradict(bench, 'liar')
    expect(bench.take('discard')).toEqual([])
    bench.read({ digest: another, reader: 3 })
    expect(bench.take('discard')).toEqual([{ type: 'discard', digest: another, indices: [0] }])
    bench.joins('seed', span(0, chunks), another)
    expect(bench.told('request', 'seed').map(({ index }) => index)).toEqual(expect.arrayContaining([0]))
  })

  it('has dropped what was kept on its word for that origin, and nothing else, though another origin has its turn', () => {
    const bench = createBench({ chunks })
    for (const peer of ['a', 'liar']) connects(bench, peer)
    const entries = ['a', 'liar'].map((signer, index) => entryOf(size, index, signer, fetched, hashOf(index), another))
    bench.read({ digest: another, reader: 2, origin: 'other.example' })
    bench.handle({ type: 'held', digest: another, size, have: allOf(bench), complete: false })
    bench.handle({ type: 'entries', digest: another, entries })
    bench.read({ digest: another, reader: 3 })
    bench.read()
    contradict(bench, 'liar', fetched)
    expect(bench.swarm.announceState(another)).toMatchObject({ origin: 'other.example' })
    expect(bench.take('discard')).toEqual([{ type: 'discard', digest: another, indices: [1] }])
    expect(mayTakeOther(bench)).toBe(true)
  })

  const insistent = { position: 0, chunks: 2, insists: true }

  it('holds nobody up: what it alone has is asked of the directory at once, whoever else is said to have it', () => {
    const bench = createBench({ chunks })
    refuseOther(bench, Uint8Array.of(1, 1))
    expect(bench.swarm.announceState(another)?.lease).toEqual(insistent)
  })

  it('sends nobody to the origin for what others have as well: they are looked for, and asked', () => {
    const bench = createBench({ chunks, limits: { neighboursAim: 1 } })
    refuseOther(bench, Uint8Array.of(2, 2))
    expect(bench.take('announce')).toContainEqual({ type: 'announce', digest: another, now: true })
    expect(bench.swarm.announceState(another)).toMatchObject({ neighbours: 1 })
    expect(bench.swarm.announceState(another)).not.toHaveProperty('isConnected')
    expect(bench.swarm.announceState(another)).not.toHaveProperty('lease')
    const peers = [{ peer: 'seed', addresses: [], complete: true }]
    bench.handle({ type: 'directory', answer: { digest: another, size, peers } })
    expect(bench.take('dial')).toEqual([{ type: 'dial', peer: 'seed', addresses: [] }])
    connects(bench, 'seed')
    bench.says('seed', { type: 'join', digest: another, size, have: Uint8Array.of(0b11) })
    expect(bench.told('request', 'seed')).toHaveLength(2)
  })

  it('sends a reader to the origin all the same when others are not found, or have it in vain as well', () => {
    const bench = createBench({ chunks })
    refuseOther(bench, Uint8Array.of(2, 2))
    bench.pass(limits.starvedAloneMs - 25)
    expect(bench.swarm.announceState(another)?.lease).toBeUndefined()
    bench.pass(25)
    expect(bench.swarm.announceState(another)?.lease).toEqual(insistent)
    const other = createBench({ chunks })
    refuseOther(other, Uint8Array.of(2, 2))
    connects(other, 'wary')
    other.says('wary', { type: 'join', digest: another, size, have: Uint8Array.of(0b11) })
    for (const { id } of other.told('request', 'wary')) other.says('wary', { type: 'missing', id })
    expect(other.swarm.announceState(another)?.lease).toEqual(insistent)
  })

  it('is not asked in vain: a new ID at its address is not believed either', () => {
    const bench = createBench({ chunks })
    connects(bench, 'liar', '10.0.0.66')
    holdForged(bench, ['c', 'liar'], fetched)
    settleForged(bench)
    connects(bench, 'liar again', '10.0.0.66')
    bench.read({ digest: another, reader: 2 })
    bench.says('liar again', { type: 'join', digest: another, size, have: Uint8Array.of(0b11) })
    for (const request of bench.told('request'))
      bench.sends({ ...request, digest: another }, { witness: fetched, signer: 'liar again' })
    expect(bench.told('cancel', 'liar again')).toHaveLength(2)
    expect(bench.take('ban')).toEqual([])
  })
})
