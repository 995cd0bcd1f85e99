/** At one witness a chunk of whom this node is cautioned waits as at two; nobody is banned, and nothing is fetched twice. */
import { describe, expect, it } from 'vitest'
import type { Caution } from '../../../core/members/messages.ts'
import { limits } from '../../../core/limits.ts'
import { type Digest, digestFromHex } from '../../../core/oci/digest.ts'
import {
  bitsOf,
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

const chunks = 4
const liar: Caution = { peer: 'liar' }
const [another, third] = [digestFromHex('cd'.repeat(32)), digestFromHex('ef'.repeat(32))] as const

/** Peer `from` brings chunk 0, alone of all it holds. */
function bring(bench: Bench, from: string, signer = from, witness = proved): void {
  bench.joins(from, [0])
  bench.sends(bench.told('request', from)[0]!, { signer, witness })
  bench.settle()
}

const mayTake = (bench: Bench): boolean => bench.swarm.mayDeliver(digest, 0, origin)

/** A reader that another member cautions of these. */
function createReader(cautions: readonly Caution[], options: Parameters<typeof createBench>[0] = {}): Bench {
  const bench = createBench({ chunks, ...options })
  bench.read()
  bench.handle({ type: 'cautioned', by: 'friend', address: '10.0.0.1', cautions })
  return bench
}

describe('a chunk of one of whom this node is cautioned', () => {
  it('is not handed out either to who begins to read after that, before a host has answered', () => {
    const bench = createBench({ chunks })
    bench.handle({ type: 'cautioned', by: 'friend', address: '10.0.0.1', cautions: [liar] })
    bench.read()
    bring(bench, 'liar')
    expect(mayTake(bench)).toBe(false)
  })

  it('is not handed out where the liar is known by its ID alone, nor where it lied about the same origin', () => {
    for (const caution of [liar, { ...liar, origin }]) {
      const bench = createReader([caution])
      bring(bench, 'a', 'liar')
      bench.handle({ type: 'peer-connected', peer: 'liar', address: '10.0.0.9' })
      expect(mayTake(bench)).toBe(false)
    }
  })

  it('is not handed out on that word alone, and its bringer not banned', () => {
    const bench = createReader([liar])
    bring(bench, 'liar')
    expect(mayTake(bench)).toBe(false)
    expect(bench.swarm.progress(digest)).toMatchObject({ held: 1, neighbours: 1 })
    expect(bench.take('ban')).toEqual([])
  })

  it('is handed out when another who has proved the blob says the same, who is asked', () => {
    const bench = createReader([liar])
    bring(bench, 'liar')
    bench.joins('b', span(0, chunks))
    bench.says('liar', { type: 'have', digest, indices: span(1, chunks) })
    bench.pass(limits.doubtAgainMs + 25)
    expect(bench.told('doubt')).toEqual([{ type: 'doubt', digest, start: 0, to: 'b' }])
    bench.says('b', { type: 'vouch', digest, start: 0, hashes: span(0, chunks).map(hashOf) })
    expect(mayTake(bench)).toBe(true)
  })

  it('is handed out when the blob is proved', () => {
    const bench = createReader([liar])
    bench.joins('liar', span(0, chunks))
    for (let round = 0; round < chunks; round++) {
      for (const request of bench.told('request')) bench.sends(request)
      bench.settle()
    }
    expect(mayTake(bench)).toBe(true)
    expect(bench.take('fetch-origin')).toEqual([])
  })

  it('is taken from the origin when a reader has waited a minute for it, and not before', () => {
    const bench = createReader([liar])
    bring(bench, 'liar', 'liar', fetched)
    const escapes = () => bench.take('fetch-origin').filter(({ isEscape }) => isEscape)
    bench.pass(limits.heldBackMs)
    expect(escapes()).toEqual([])
    bench.pass(100)
    expect(escapes()).toMatchObject([{ start: 0, end: 1 }])
  })

  it('is handed out when that has been said for as long as a ban lasts', () => {
    const bench = createReader([liar])
    bring(bench, 'liar')
    bench.clock.advance(limits.banMs)
    expect(mayTake(bench)).toBe(true)
  })
})

/** Who holds nothing yet, beside two that say to have all. */
function createBetween(): Bench {
  const bench = createBench()
  bench.handle({ type: 'held', digest, size: sizeOf(100), have: bitsOf(100, []), complete: false })
  for (const peer of ['a', 'b']) bench.joins(peer, span(0, 100))
  return bench
}

describe('of two that hold what is missing, asked last is', () => {
  it('of whom this node is cautioned', () => {
    const bench = createBetween()
    bench.handle({ type: 'cautioned', by: 'friend', address: '10.0.0.1', cautions: [{ peer: 'a' }] })
    bench.read()
    expect(bench.told('request').map(({ to }) => to)).toEqual(['b', 'b', 'a', 'a'])
  })

  it('who has brought a chunk that such a one signed', () => {
    const bench = createBetween()
    bench.handle({ type: 'cautioned', by: 'friend', address: '10.0.0.1', cautions: [liar] })
    bench.read()
    for (const request of bench.told('request')) bench.sends(request, request.to === 'a' ? { signer: 'stranger' } : {})
    bench.settle()
    expect(bench.told('request').map(({ to }) => to)).toEqual(['b', 'b', 'a', 'a'])
  })
})

describe('whose word is as good as before', () => {
  it('anybody of whom nobody cautions', () => {
    const bench = createReader([liar])
    bring(bench, 'a')
    expect(mayTake(bench)).toBe(true)
  })

  it('who is said to have lied about another origin', () => {
    const bench = createReader([{ ...liar, origin: 'other.example' }])
    bring(bench, 'liar')
    expect(mayTake(bench)).toBe(true)
  })

  it('anybody of whom one cautions that this node has banned', () => {
    const bench = createReader([])
    bench.handle({ type: 'cautioned', by: 'liar', address: '10.0.0.66', cautions: [{ peer: 'a' }] })
    contradict(bench, 'liar')
    bring(bench, 'd', 'a')
    bench.handle({ type: 'peer-connected', peer: 'a', address: '10.0.0.7' })
    expect(mayTake(bench)).toBe(true)
  })

  it('this node itself', () => {
    const bench = createReader([{ peer: 'self' }])
    bench.answer({ lease: { id: 1, start: 0, end: 1, ttlMs: 2000 } })
    const [fetch] = bench.take('fetch-origin')
    bench.handle({ type: 'origin-frame', digest, fetch: fetch!.fetch, index: 0, bytes: limits.chunkSizeMinBytes })
    bench.settle()
    expect(mayTake(bench)).toBe(true)
  })

  it('a member that listens elsewhere and was never connected here', () => {
    const bench = createReader([{ peer: 'liar', address: '10.0.0.66' }], { addressOfMember: () => '10.0.0.7' })
    bring(bench, 'a', 'member')
    expect(mayTake(bench)).toBe(true)
  })
})

describe('who may be the liar under another ID', () => {
  const caution = { peer: 'liar', address: '10.0.0.66' }

  it('is who comes from its address', () => {
    const bench = createReader([caution])
    bring(bench, 'a', 'liar again')
    bench.handle({ type: 'peer-connected', peer: 'liar again', address: '10.0.0.66' })
    expect(mayTake(bench)).toBe(false)
  })

  it('is a member that listens there', () => {
    const bench = createReader([caution], { addressOfMember: () => '10.0.0.66' })
    bring(bench, 'a', 'liar again')
    expect(mayTake(bench)).toBe(false)
  })

  it('is who is no member and was never connected here', () => {
    const bench = createReader([caution])
    bring(bench, 'a', 'stranger')
    expect(mayTake(bench)).toBe(false)
    bench.handle({ type: 'peer-connected', peer: 'stranger', address: '10.0.0.9' })
    expect(mayTake(bench)).toBe(true)
  })
})

it('at two witnesses cautions change nothing: two words are enough', () => {
  const bench = createReader([liar], { witnesses: 2 })
  bring(bench, 'liar', 'liar', fetched)
  bench.joins('b', span(0, chunks))
  bench.pass(25)
  bench.says('b', { type: 'vouch', digest, start: 0, hashes: span(0, chunks).map(hashOf) })
  expect(mayTake(bench)).toBe(true)
})

describe('a node cautions others', () => {
  it('of who provably lied, with its address, as long as it is banned here', () => {
    const bench = createReader([])
    bench.handle({ type: 'peer-connected', peer: 'liar', address: '10.0.0.66' })
    contradict(bench, 'liar')
    expect(bench.take('caution')).toEqual([{ type: 'caution' }])
    expect(bench.swarm.cautions()).toEqual([{ peer: 'liar', address: '10.0.0.66' }])
    bench.clock.advance(limits.banMs)
    expect(bench.swarm.cautions()).toEqual([])
  })

  it('for as long after the last lie, and tells them again in time', () => {
    const bench = createReader([])
    const says = (from: string, of: Digest, hash: string): void => {
      bench.joins(from, [0], of)
      const request = bench.told('request').find((one) => one.digest === of)
      bench.sends(request!, { bytes: 1000, signer: 'liar', hash })
      bench.handle({ type: 'peer-disconnected', peer: from })
    }
    const blobs = [digest, another, third] as const
    for (const [number, of] of blobs.entries()) {
      bench.read({ digest: of, reader: number })
      says('a', of, hashOf(0))
    }
    /** How often others are to be told when it turns out to have lied about that one too. */
    const found = (of: Digest): number => {
      says('b', of, hashOf(77))
      return bench.take('caution').length
    }
    expect(found(digest)).toBe(1)
    bench.clock.advance(limits.banMs / 2)
    expect(found(another)).toBe(1)
    expect(found(third)).toBe(0)
    bench.clock.advance(limits.banMs - 1)
    expect(bench.swarm.cautions()).toEqual([{ peer: 'liar' }])
    bench.clock.advance(1)
    expect(bench.swarm.cautions()).toEqual([])
  })

  it('of who signed what an origin does not have, for that origin', () => {
    const bench = createReader([])
    contradict(bench, 'liar', fetched)
    expect(bench.swarm.cautions()).toEqual([{ peer: 'liar', origin }])
  })

  it('for all origins of who signed what two do not have, or provably lied besides, and says so anew then only', () => {
    const elsewhere = 'other.example'
    for (const witness of [proved, { kind: 'fetched', origin: elsewhere }] as const) {
      const bench = createReader([])
      contradict(bench, 'liar', fetched)
      bench.read({ digest: third, reader: 2 })
      contradict(bench, 'liar', fetched, third)
      expect(bench.take('caution')).toHaveLength(1)
      bench.read({ digest: another, reader: 3, origin: elsewhere })
      contradict(bench, 'liar', witness, another)
      expect(bench.swarm.cautions()).toEqual([{ peer: 'liar' }])
      expect(bench.take('caution')).toHaveLength(1)
    }
  })

  it('and heeds that itself from the same moment on', () => {
    const bench = createReader([])
    bring(bench, 'c', 'liar', fetched)
    expect(mayTake(bench)).toBe(true)
    bench.read({ digest: another, reader: 2 })
    contradict(bench, 'stranger', fetched, another)
    expect(mayTake(bench)).toBe(false)
  })

  it('not of whom it only suspects, nor of what others say', () => {
    const bench = createReader([liar])
    bench.joins('a', [])
    const entries = span(0, chunks).map((index) => entryOf(sizeOf(chunks), index, 'a', proved))
    bench.handle({ type: 'held', digest, size: sizeOf(chunks), have: Uint8Array.of(0b1111), complete: false })
    bench.handle({ type: 'entries', digest, entries })
    bench.take('prove')
    bench.handle({ type: 'proved', digest, ok: false })
    expect(bench.swarm.cautions()).toEqual([])
    expect(bench.take('caution')).toEqual([])
  })

  it('and takes no word of a stranger alone itself, when one has lied to it', () => {
    const bench = createReader([])
    contradict(bench, 'stranger')
    bring(bench, 'c', 'another stranger')
    expect(mayTake(bench)).toBe(false)
  })
})
