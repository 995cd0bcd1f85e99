/** What one life of an agent has learnt of liars, the next one knows, by a clock of its own. */
import { describe, expect, it } from 'vitest'
import { limits } from '../../../core/limits.ts'
import { digestFromHex } from '../../../core/oci/digest.ts'
import type { Witness } from '../../../core/swarm/entry.ts'
import type { Lessons } from '../../../core/swarm/lessons.ts'
import { virtualClock } from '../../support/virtual-clock.ts'
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
  type BenchOptions,
} from './bench.ts'

const another = digestFromHex('cd'.repeat(32))
const chunks = 2
const size = sizeOf(chunks)

/** The blob is held on these words, and does not match its digest. */
function holdForged(bench: Bench, signers: readonly string[]): void {
  const entries = span(0, chunks).map((index) => entryOf(size, index, signers[index]!, proved))
  bench.handle({ type: 'held', digest, size, have: allOf(bench), complete: false })
  bench.handle({ type: 'entries', digest, entries })
  bench.handle({ type: 'proved', digest, ok: false })
}

/** A node that has found out who lies. */
function createDeceived(liar: string, { witness = proved, address = liar, witnesses = 1 } = {}): Bench {
  const bench = createBench({ chunks, witnesses })
  connects(bench, liar, address)
  bench.read()
  contradict(bench, liar, witness)
  return bench
}

/** May a reader of another blob have its first chunk, kept on this word? */
function mayTake(bench: Bench, signer: string, witness: Witness = proved): boolean {
  bench.handle({ type: 'held', digest: another, size, have: Uint8Array.of(0b01), complete: false })
  bench.handle({ type: 'entries', digest: another, entries: [entryOf(size, 0, signer, witness, hashOf(0), another)] })
  bench.read({ digest: another, reader: 2 })
  return bench.swarm.mayDeliver(another, 0, origin)
}

/** Its clock begins anew. */
function nextLife(lessons: Lessons, options: BenchOptions = {}): Bench {
  return createBench({ chunks, clock: virtualClock(7), lessons, ...options })
}

describe('after a restart', () => {
  it('nothing is handed out on the word of one that signed for a wrong blob, until that blob is right', () => {
    const before = createBench({ chunks })
    connects(before, 'liar')
    holdForged(before, ['a', 'liar'])
    expect(before.take('learnt')).toEqual([{ type: 'learnt' }])
    const bench = nextLife(before.swarm.lessons())
    expect(mayTake(bench, 'liar')).toBe(false)
    bench.handle({ type: 'held', digest, size, have: allOf(bench), complete: false })
    bench.handle({ type: 'proved', digest, ok: true })
    expect(mayTake(bench, 'liar')).toBe(true)
    expect(bench.take('learnt')).toEqual([{ type: 'learnt' }])
  })

  it('that holds for its address, and for strangers where one of them signed', () => {
    const before = createBench({ chunks })
    connects(before, 'liar', '10.0.0.66')
    holdForged(before, ['liar', 'stranger'])
    const mayTakeOf = (signer: string, address?: string): boolean => {
      const bench = nextLife(before.swarm.lessons())
      if (address !== undefined) connects(bench, signer, address)
      return mayTake(bench, signer)
    }
    expect(mayTakeOf('liar again', '10.0.0.66')).toBe(false)
    expect(mayTakeOf('another stranger')).toBe(false)
    expect(mayTakeOf('a', '10.0.0.1')).toBe(true)
  })

  it.each([1, 2])('no word is taken of one that provably lied, at %i witnesses', (witnesses) => {
    const before = createDeceived('liar', { address: '10.0.0.66', witnesses })
    expect(before.take('learnt')).toEqual([{ type: 'learnt' }])
    const bench = nextLife(before.swarm.lessons(), { witnesses: 1 })
    connects(bench, 'liar again', '10.0.0.66')
    for (const signer of ['liar', 'liar again']) {
      bench.read()
      bench.joins('c', [0])
      bench.sends(bench.told('request', 'c')[0]!, { signer })
      expect(bench.take('hash')).toEqual([])
      bench.handle({ type: 'peer-disconnected', peer: 'c' })
    }
  })

  it('none of one that signed what an origin does not have, for that origin', () => {
    const before = createDeceived('liar', { witness: fetched })
    const bench = nextLife(before.swarm.lessons())
    connects(bench, 'liar')
    expect(mayTake(bench, 'liar', fetched)).toBe(false)
    expect(bench.swarm.mayDeliver(another, 0, 'another.example')).toBe(false)
    const elsewhere = { kind: 'fetched', origin: 'another.example' } as const
    expect(mayTake(nextLife(before.swarm.lessons()), 'liar', elsewhere)).toBe(false)
  })

  it.each([fetched, proved])(
    'at two witnesses such a one is none, though it says to have proved the blob',
    (witness) => {
      const before = createDeceived('liar', { witness, witnesses: 2 })
      const mayTakeWith = (voucher: string): boolean => {
        const bench = nextLife(before.swarm.lessons(), { witnesses: 2 })
        bench.read()
        bench.joins('a', [0])
        bench.sends(bench.told('request')[0]!)
        bench.settle()
        bench.joins(voucher, span(0, chunks))
        bench.pass(limits.doubtAgainMs + 25)
        bench.says(voucher, { type: 'vouch', digest, start: 0, hashes: span(0, chunks).map(hashOf) })
        return bench.swarm.mayDeliver(digest, 0, origin)
      }
      expect(mayTakeWith('b')).toBe(true)
      expect(mayTakeWith('liar')).toBe(false)
    },
  )

  it('others are cautioned as before, and strangers doubted', () => {
    const before = createDeceived('liar', { address: '10.0.0.66' })
    const bench = nextLife(before.swarm.lessons())
    expect(bench.swarm.cautions()).toEqual([{ peer: 'liar', address: '10.0.0.66' }])
    expect(mayTake(bench, 'stranger')).toBe(false)
  })

  it('all holds for as long as it would have, and no longer', () => {
    const before = createDeceived('liar')
    before.clock.advance(limits.banMs - 1000)
    const bench = nextLife(before.swarm.lessons())
    bench.clock.advance(999)
    expect(bench.swarm.cautions()).toHaveLength(1)
    bench.clock.advance(1)
    expect(mayTake(bench, 'liar')).toBe(true)
    expect(bench.swarm.cautions()).toEqual([])
    expect(bench.swarm.lessons()).toMatchObject({ suspects: [], disbelieved: [], cautions: [] })
  })

  it('nothing holds for longer than a ban, however it is dated', () => {
    const { nowMs, ...learnt } = createDeceived('liar').swarm.lessons()
    const bench = nextLife({ nowMs: nowMs - limits.banMs, ...learnt })
    bench.clock.advance(limits.banMs)
    expect(mayTake(bench, 'liar')).toBe(true)
  })
})
