/** Credentials that end: who has none left asks for no lease, hands back what it has, and leaves fetching to others. */
import { describe, expect, it } from 'vitest'
import { limits } from '../../../core/limits.ts'
import type { Digest } from '../../../core/oci/digest.ts'
import { endlessLife, noLife } from '../../../core/swarm/state.ts'
import { second } from '../../../core/units.ts'
import { virtualClock } from '../../support/virtual-clock.ts'
import { allOf, type Bench, createBench, digest, lease, origin, sizeOf, span, wishOf } from './bench.ts'

/** So much longer its reader takes the credential for good. */
const believedMs = 1750

/** A reader whose credential lives so long. */
function createReader(lifeMs: number): { bench: Bench; renew: (lifeMs: number) => void } {
  const clock = virtualClock(1000)
  let endsAtMs = clock.now() + lifeMs
  const credentialLife = (of: Digest, at: string) => {
    const ends = of === digest && at === origin ? endsAtMs : 0
    return { endsAtMs: ends, renewableAtMs: ends + believedMs }
  }
  const bench = createBench({ clock, credentialLife })
  bench.read()
  return { bench, renew: (ms) => void (endsAtMs = clock.now() + ms) }
}

describe('a credential that ends', () => {
  it('is told with the wish for a lease, and an hour at most', () => {
    const { bench, renew } = createReader(3 * second)
    bench.pass(1000)
    expect(wishOf(bench)).toMatchObject({ lifeMs: 2 * second })
    renew(1e9)
    expect(wishOf(bench)).toMatchObject({ lifeMs: limits.tokenLifeMaxMs })
    renew(Infinity)
    expect(wishOf(bench)).not.toHaveProperty('lifeMs')
  })

  it('brings no lease any more once it has ended, and no request', () => {
    const { bench } = createReader(1 * second)
    bench.joins('peer', [])
    bench.pass(1000)
    expect(wishOf(bench)).toBeUndefined()
    bench.handle({ type: 'directory-silent', digest })
    bench.answer({ lease })
    expect(bench.take('fetch-origin')).toEqual([])
    expect(bench.swarm.announceState(digest)).toMatchObject({ released: [7], fetching: [] })
  })

  it('hands back at once what has not begun, and takes what is under way to its end', () => {
    const { bench } = createReader(1 * second)
    bench.joins('peer', [])
    bench.answer({ lease })
    bench.answer({ lease: { ...lease, id: 8, start: 4, end: 8 } })
    const [fetch] = bench.take('fetch-origin')
    bench.handle({ type: 'origin-frame', digest, fetch: fetch!.fetch, index: 0, bytes: 16_384 })
    bench.take('announce')
    bench.pass(1000)
    expect(bench.swarm.announceState(digest)).toMatchObject({ released: [8], fetching: [{ start: 0, end: 4 }] })
    expect(bench.take('announce')).toContainEqual({ type: 'announce', digest, now: true })
    expect(bench.take('stop-fetch')).toEqual([])
  })

  it('is not shown for a second try', () => {
    const { bench } = createReader(1 * second)
    bench.joins('peer', [])
    bench.answer({ lease })
    const [fetch] = bench.take('fetch-origin')
    bench.pass(1000)
    bench.handle({ type: 'origin-ended', digest, fetch: fetch!.fetch, failure: { kind: 'unavailable' } })
    bench.pass(500)
    expect(bench.take('fetch-origin')).toEqual([])
    expect(bench.swarm.announceState(digest)).toMatchObject({ released: [7], fetching: [] })
  })

  it('ends the readers where nobody else is, once they can tell as well, so that they bring a new one', () => {
    const { bench } = createReader(1 * second)
    bench.answer({ counts: new Uint8Array(100) })
    bench.pass(1000 + believedMs - limits.tickMs)
    expect(bench.take('fail')).toEqual([])
    bench.pass(limits.tickMs)
    expect(bench.take('fail')).toEqual([{ type: 'fail', digest, origin, reader: 1, failure: { kind: 'refused' } }])
  })

  it('was there never where a reader has none: no other would bring one, and all end', () => {
    const bench = createBench({ credentialLife: () => noLife })
    bench.read()
    bench.answer({ counts: new Uint8Array(100) })
    bench.pass(limits.tickMs)
    expect(bench.take('fail')).toEqual([{ type: 'fail', digest, origin, failure: { kind: 'refused' } }])
    expect(bench.swarm.stats()).toMatchObject({ readers: 0 })
  })

  it('ends one reader at a time, the oldest first, and gives it time to come back', () => {
    const { bench, renew } = createReader(0)
    bench.answer({ counts: new Uint8Array(100) })
    bench.read({ reader: 2, start: 1024, whole: false })
    const ended = () => bench.take('fail').map(({ reader }) => reader)
    bench.pass(believedMs)
    expect(ended()).toEqual([1])
    bench.pass(limits.tokenRenewalMs - limits.tickMs)
    expect(ended()).toEqual([])
    bench.read({ reader: 3 })
    bench.pass(limits.tickMs)
    expect(ended()).toEqual([2])
    renew(1000)
    bench.pass(limits.tickMs)
    expect(wishOf(bench)).toBeDefined()
  })

  it('ends a prefetch only where nobody else reads', () => {
    const { bench } = createReader(0)
    bench.answer({ counts: new Uint8Array(100) })
    bench.read({ reader: 0, prefetch: true })
    bench.handle({ type: 'reader-closed', digest, reader: 1 })
    bench.read({ reader: 2 })
    const ended = () => bench.take('fail').map(({ reader }) => reader)
    bench.pass(believedMs)
    expect(ended()).toEqual([2])
    bench.handle({ type: 'reader-closed', digest, reader: 2 })
    bench.pass(limits.tokenRenewalMs)
    expect(ended()).toEqual([0])
  })

  it('ends a reader that brought one for that origin, not who has read for longer from another', () => {
    const bench = createBench({
      credentialLife: (_of, at) => (at === origin ? { endsAtMs: 0, renewableAtMs: 0 } : endlessLife),
    })
    bench.read({ origin: 'other.example' })
    bench.read({ reader: 2 })
    bench.answer({ counts: new Uint8Array(100) })
    bench.pass(limits.originTurnMs)
    expect(bench.take('fail')).toEqual([{ type: 'fail', digest, origin, reader: 2, failure: { kind: 'refused' } }])
  })

  it('ends no reader before the directory has said whether there are others', () => {
    const { bench } = createReader(0)
    bench.pass(limits.hopelessAfterMs - limits.tickMs)
    expect(bench.take('fail')).toEqual([])
    bench.pass(limits.tickMs)
    expect(bench.take('fail')).toHaveLength(1)
  })

  it('ends no reader whose bytes others bring', () => {
    const { bench } = createReader(1 * second)
    bench.joins('peer', span(0, 100))
    bench.pass(1000 + 2 * limits.hopelessAfterMs)
    expect(bench.take('fail')).toEqual([])
  })

  it('ends a reader from whom others withhold what they have, so that the origin can be asked for it', () => {
    const { bench } = createReader(1 * second)
    bench.answer({ counts: new Uint8Array(100).fill(1) })
    bench.joins('peer', span(0, 100))
    bench.pass(limits.starvedMs - limits.tickMs)
    expect(bench.take('fail')).toEqual([])
    bench.pass(limits.tickMs)
    expect(bench.take('fail')).toEqual([{ type: 'fail', digest, origin, reader: 1, failure: { kind: 'refused' } }])
  })

  it('ends a reader for whom the origin could send what nobody has, though others have something that it lacks', () => {
    const { bench } = createReader(1 * second)
    bench.answer({ counts: new Uint8Array(100).fill(1, 0, 50) })
    bench.pass(1000 + believedMs - limits.tickMs)
    expect(bench.take('fail')).toEqual([])
    bench.pass(limits.tickMs)
    expect(bench.take('fail')).toEqual([{ type: 'fail', digest, origin, reader: 1, failure: { kind: 'refused' } }])
  })

  it('ends no reader of a blob that is here', () => {
    const { bench } = createReader(1 * second)
    bench.handle({ type: 'held', digest, size: sizeOf(100), have: allOf(bench), complete: true })
    bench.pass(2 * limits.starvedMs)
    expect(bench.take('fail')).toEqual([])
  })

  it('ends no wait: who comes back with another has waited as long as who was sent for it', () => {
    const { bench, renew } = createReader(1 * second)
    bench.answer({ counts: new Uint8Array(100).fill(1) })
    bench.joins('peer', span(0, 100))
    bench.pass(limits.starvedMs)
    expect(bench.take('fail')).toHaveLength(1)
    bench.handle({ type: 'reader-closed', digest, reader: 1 })
    renew(1 * second)
    bench.read({ reader: 2, prefetch: true })
    bench.read({ reader: 3 })
    expect(wishOf(bench)).toMatchObject({ position: 0, insists: true })
    expect(bench.swarm.stats().readers).toBe(2)
  })

  it('ends what a reader wanted that does not come back with another in time', () => {
    const { bench } = createReader(1 * second)
    bench.answer({ lease, counts: new Uint8Array(100) })
    const [fetch] = bench.take('fetch-origin')
    bench.pass(1000)
    bench.handle({ type: 'origin-ended', digest, fetch: fetch!.fetch, failure: { kind: 'refused' } })
    bench.pass(believedMs)
    expect(bench.take('fail')).toHaveLength(1)
    bench.handle({ type: 'reader-closed', digest, reader: 1 })
    bench.pass(limits.tokenRenewalMs - limits.tickMs)
    expect(bench.swarm.stats().readers).toBe(1)
    bench.pass(limits.tickMs)
    expect(bench.swarm.stats().readers).toBe(0)
    expect(bench.take('fail')).toEqual([])
  })

  it('that the origin has refused ends no reader while others are said to have its bytes, though they withhold them', () => {
    const { bench } = createReader(Infinity)
    bench.answer({ lease, counts: new Uint8Array(100).fill(1) })
    const [fetch] = bench.take('fetch-origin')
    bench.handle({ type: 'origin-ended', digest, fetch: fetch!.fetch, failure: { kind: 'refused' } })
    bench.joins('peer', span(0, 100))
    bench.pass(2 * limits.starvedMs)
    expect(bench.take('fail')).toEqual([])
  })

  it('is forgotten when a new one comes', () => {
    const { bench, renew } = createReader(1 * second)
    bench.joins('peer', [])
    bench.pass(1000)
    renew(1 * second)
    bench.pass(limits.tickMs)
    expect(wishOf(bench)).toMatchObject({ position: 0 })
    expect(bench.take('fail')).toEqual([])
  })
})
