import { describe, expect, it } from 'vitest'
import { limits } from '../../../core/limits.ts'
import { type Bench, createBench, digest, entryOf, fetched, hashOf, origin, sizeOf, wishOf } from './bench.ts'

const other = 'other.example'

/** Two readers; the first one's origin has been asked. */
function createRivals(change: { prefetch?: boolean } = {}): { bench: Bench; fetch: number } {
  const bench = createBench()
  bench.read()
  bench.read({ reader: 2, origin: other, ...change })
  bench.answer({ lease: { id: 7, start: 0, end: 4, ttlMs: 1750 } })
  const [{ fetch, origin: asked } = { fetch: -1, origin: '' }] = bench.take('fetch-origin')
  expect(asked).toBe(origin)
  return { bench, fetch }
}

/** The origin that this node would have next, as its directory hears. */
function wished({ swarm }: Bench): string | undefined {
  return swarm.announceState(digest)?.origin
}

function comes(bench: Bench, fetch: number, bytes: number, index = 0): void {
  bench.handle({ type: 'origin-frame', digest, fetch, index, bytes })
}

/** For so long bytes come every half second: of chunk 0, unless it is another. */
function drips(bench: Bench, fetch: number, ms: number, bytes: number, index = 0): void {
  for (let passed = 0; passed < ms; passed += 500) {
    comes(bench, fetch, bytes, index)
    bench.pass(500)
  }
}

/** Whoever's turn it is has a lease again. */
function fetchAgain(bench: Bench): { fetch: number; start: number } {
  bench.answer({ lease: { id: bench.clock.now(), start: 0, end: 4, ttlMs: 1750 } })
  return bench.take('fetch-origin').at(-1)!
}

describe('readers of two origins', () => {
  it('take turns: one that sends little holds nobody else up for long', () => {
    const { bench, fetch } = createRivals()
    drips(bench, fetch, limits.originTurnMs, 10_000)
    expect(bench.take('stop-fetch')).toMatchObject([{ fetch }])
    expect(wished(bench)).toBe(other)
    // Neither got anything.
    bench.pass(limits.originTurnMs)
    expect(wished(bench)).toBe(origin)
  })

  it('get longer turns where those are too short for a chunk, and each has one', () => {
    const { bench, fetch } = createRivals()
    const frames = 16
    drips(bench, fetch, limits.originTurnMs, limits.chunkSizeMinBytes / frames)
    for (const turn of [other, origin, other, origin]) {
      expect(wished(bench)).toBe(turn)
      const next = fetchAgain(bench)
      drips(bench, next.fetch, 500 * frames, limits.chunkSizeMinBytes / frames, next.start)
      expect(bench.take('hash')).toMatchObject([{ index: next.start }])
      bench.pass(2 * limits.originTurnMs - 500 * frames)
    }
  })

  it('are held up no longer than that by one that sends next to nothing', () => {
    const { bench, fetch } = createRivals()
    drips(bench, fetch, limits.originTurnMs, 1)
    for (const turns of [2, 4, 8, 8, 8]) {
      const turn = wished(bench)
      const next = fetchAgain(bench)
      drips(bench, next.fetch, turns * limits.originTurnMs - 500, 1)
      expect(wished(bench)).toBe(turn)
      drips(bench, next.fetch, 500, 1)
      expect(wished(bench)).not.toBe(turn)
    }
  })

  it('do not, as long as what was sent or found is good for both', () => {
    const { bench } = createRivals()
    bench.handle({ type: 'held', digest, size: sizeOf(bench.chunks), have: new Uint8Array(13), complete: true })
    bench.pass(2 * limits.originTurnMs)
    expect(bench.take('stop-fetch')).toHaveLength(1)
    expect(wished(bench)).toBe(origin)
  })

  it('keep what came from the one while the other has its turn, as what that one sent', () => {
    const { bench, fetch } = createRivals()
    comes(bench, fetch, limits.chunkSizeMinBytes)
    bench.pass(limits.originTurnMs)
    expect(wished(bench)).toBe(other)
    bench.handle({ type: 'hashed', digest, index: 0, hash: hashOf(0) })
    expect(bench.take('keep')).toMatchObject([{ entry: entryOf(sizeOf(bench.chunks), 0, 'self', fetched, hashOf(0)) }])
  })

  it('count their turns from when they last got anything', () => {
    const { bench } = createRivals()
    bench.handle({
      type: 'held',
      digest,
      size: sizeOf(100),
      have: Uint8Array.of(1, ...new Uint8Array(12)),
      complete: false,
    })
    bench.handle({ type: 'entries', digest, entries: [entryOf(sizeOf(100), 0, 'self', { kind: 'proved' }, hashOf(0))] })
    bench.pass(limits.originTurnMs - limits.tickMs)
    bench.handle({ type: 'reader-moved', digest, reader: 2, position: limits.chunkSizeMinBytes })
    bench.pass(limits.tickMs)
    bench.handle({ type: 'reader-moved', digest, reader: 2, position: limits.chunkSizeMinBytes })
    bench.pass(limits.originTurnMs - 2 * limits.tickMs)
    expect(wished(bench)).toBe(origin)
    bench.pass(limits.tickMs)
    expect(wished(bench)).toBe(other)
  })

  it('from whom peers withhold what they have insist on it as soon as those of one', () => {
    const { bench, fetch } = createRivals()
    bench.handle({ type: 'origin-ended', digest, fetch, failure: { kind: 'rate-limited', retryAfterMs: 1000 } })
    bench.joins('peer', [])
    bench.answer({ counts: new Uint8Array(100).fill(1) })
    bench.pass(limits.starvedMs - limits.tickMs)
    expect(bench.swarm.announceState(digest)).toMatchObject({ origin: other })
    expect(wishOf(bench)).toBeUndefined()
    bench.pass(limits.tickMs)
    expect(wishOf(bench)).toMatchObject({ insists: true })
  })

  it('have peers asked again for what those have of the one whose turn it is, and its origin for none of that', () => {
    const bench = createBench({ chunks: 1 })
    bench.read()
    bench.read({ reader: 2, origin: other })
    bench.joins('peer', [0])
    bench.answer({ counts: Uint8Array.of(1) })
    const [early] = bench.told('request')
    bench.sends(early!, { bytes: 0, witness: { kind: 'fetched', origin: other } })
    expect(bench.told('cancel')).toMatchObject([{ id: early!.id }])
    expect(wishOf(bench)).toMatchObject({ insists: true })
    bench.handle({ type: 'reader-closed', digest, reader: 1 })
    expect(wished(bench)).toBe(other)
    expect(wishOf(bench)).toBeUndefined()
    const [late] = bench.told('request')
    bench.sends(late!, { witness: { kind: 'fetched', origin: other } })
    bench.settle()
    expect(bench.swarm.progress(digest)).toMatchObject({ complete: true })
  })

  it('have the same one asked as long as it has a reader', () => {
    const { bench } = createRivals()
    bench.read({ reader: 3 })
    bench.handle({ type: 'reader-closed', digest, reader: 1 })
    expect(bench.take('stop-fetch')).toEqual([])
    expect(wished(bench)).toBe(origin)
  })

  it('end what their origin sends with the last of them', () => {
    const { bench, fetch } = createRivals()
    bench.handle({ type: 'reader-closed', digest, reader: 1 })
    expect(bench.take('stop-fetch')).toEqual([{ type: 'stop-fetch', digest, fetch }])
    expect(wished(bench)).toBe(other)
  })

  it('do not for a prefetch', () => {
    const { bench } = createRivals({ prefetch: true })
    bench.pass(2 * limits.originTurnMs)
    expect(wished(bench)).toBe(origin)
  })

  it('end by themselves when theirs refuses; the other is asked, and its failure is its own', () => {
    const { bench, fetch } = createRivals()
    bench.handle({ type: 'origin-ended', digest, fetch, failure: { kind: 'refused' } })
    bench.pass(25)
    expect(bench.take('fail')).toEqual([{ type: 'fail', digest, origin, failure: { kind: 'refused' } }])
    expect(bench.swarm.announceState(digest)).toMatchObject({ origin: other, lease: { position: 0 } })
    bench.answer({ lease: { id: 8, start: 0, end: 4, ttlMs: 1750 } })
    const [next] = bench.take('fetch-origin')
    expect(next).toMatchObject({ origin: other })
    bench.handle({ type: 'origin-ended', digest, fetch: next?.fetch ?? -1, failure: { kind: 'refused' } })
    bench.pass(25)
    expect(bench.take('fail')).toEqual([{ type: 'fail', digest, origin: other, failure: { kind: 'refused' } }])
    expect(bench.swarm.stats()).toMatchObject({ readers: 0, sessions: 0 })
  })

  it('hear nothing of how an origin failed whose readers have gone', () => {
    const { bench, fetch } = createRivals()
    bench.handle({ type: 'origin-ended', digest, fetch, failure: { kind: 'rate-limited', retryAfterMs: 60_000 } })
    expect(bench.swarm.announceState(digest)).not.toHaveProperty('lease')
    bench.handle({ type: 'reader-closed', digest, reader: 1 })
    expect(bench.swarm.announceState(digest)).toMatchObject({ origin: other, lease: { position: 0 } })
  })
})
