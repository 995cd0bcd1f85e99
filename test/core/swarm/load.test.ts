/** A node that can't keep up gives less to others while somebody reads here, and no less than one chunk at a time. */
import { expect, it } from 'vitest'
import { limits } from '../../../core/limits.ts'
import type { SwarmLimits } from '../../../core/swarm/state.ts'
import type { Digest } from '../../../core/oci/digest.ts'
import { digestFromHex } from '../../../core/oci/digest.ts'
import { allOf, createBench, digest, sizeOf, span, type Bench } from './bench.ts'

const other: Digest = digestFromHex('cd'.repeat(32))

/** A node that holds one blob and reads another. */
function createReader(): Bench {
  const bench = createBench()
  bench.handle({ type: 'held', digest, size: sizeOf(100), have: allOf(bench), complete: true })
  bench.read({ digest: other })
  return bench
}

/** Ticks that come this far apart. */
function tickEvery(bench: Bench, ms: number, times: number): void {
  for (const _ of span(0, times)) {
    bench.clock.advance(ms)
    bench.handle({ type: 'tick' })
  }
}

function askAll(bench: Bench): Pick<ReturnType<Bench['swarm']['stats']>, 'uploadsActive' | 'uploadsWaiting'> {
  for (const number of span(0, limits.uploadsActiveMax + limits.uploadsWaitingMax))
    bench.says(`p${number}`, { type: 'request', id: number, digest, index: number, offset: 0 })
  const { uploadsActive, uploadsWaiting } = bench.swarm.stats()
  return { uploadsActive, uploadsWaiting }
}

const late = limits.tickMs + 3 * limits.lateTickMs
const all = { uploadsActive: limits.uploadsActiveMax, uploadsWaiting: limits.uploadsWaitingMax }

it('serves as many as ever while its ticks come in time', () => {
  const bench = createReader()
  tickEvery(bench, limits.tickMs, 40)
  expect(askAll(bench)).toEqual(all)
})

it('serves one and lets one wait while its ticks are late; the others hear who else has the chunk', () => {
  const bench = createReader()
  bench.joins('holder', [7])
  tickEvery(bench, late, 8)
  expect(askAll(bench)).toEqual({ uploadsActive: 1, uploadsWaiting: 1 })
  expect(bench.told('busy').map(({ id, try: others }) => [id, others])).toEqual(
    span(2, limits.uploadsActiveMax + limits.uploadsWaitingMax).map((id) => [id, id === 7 ? ['holder'] : []]),
  )
})

it('is not alarmed by one pause', () => {
  const bench = createReader()
  tickEvery(bench, limits.tickMs, 8)
  tickEvery(bench, limits.tickMs + 7 * limits.lateTickMs, 1)
  expect(askAll(bench)).toEqual(all)
})

it('serves as many as ever when nobody reads here, however late its ticks are', () => {
  const bench = createReader()
  bench.handle({ type: 'reader-closed', digest: other, reader: 1 })
  tickEvery(bench, late, 8)
  expect(askAll(bench)).toEqual(all)
})

it('is not late for ticks that are seldom, as they are at rest', () => {
  const bench = createReader()
  bench.handle({ type: 'reader-closed', digest: other, reader: 1 })
  tickEvery(bench, limits.restTickMs, 40)
  bench.read({ digest: other })
  expect(askAll(bench)).toEqual(all)
})

it('is at rest while nobody reads, or is sent anything', () => {
  const bench = createReader()
  expect(bench.swarm.isAtRest()).toBe(false)
  bench.handle({ type: 'reader-closed', digest: other, reader: 1 })
  expect(bench.swarm.isAtRest()).toBe(true)
  bench.says('p1', { type: 'request', id: 1, digest, index: 0, offset: 0 })
  expect(bench.swarm.isAtRest()).toBe(false)
  bench.handle({ type: 'uploaded', peer: 'p1', id: 1, ok: true })
  expect(bench.swarm.isAtRest()).toBe(true)
})

it('is not at rest while it leaves', () => {
  const bench = createBench()
  bench.handle({ type: 'departs', maxBytes: Infinity })
  expect(bench.swarm.isAtRest()).toBe(false)
})

it('a prefetch is no reader of its own', () => {
  const bench = createReader()
  bench.handle({ type: 'reader-closed', digest: other, reader: 1 })
  bench.read({ digest: other, prefetch: true })
  tickEvery(bench, late, 8)
  expect(askAll(bench)).toEqual(all)
})

it('takes the others on again once it has caught up', () => {
  const bench = createReader()
  tickEvery(bench, late, 8)
  askAll(bench)
  tickEvery(bench, limits.tickMs, 20)
  bench.handle({ type: 'uploaded', peer: 'p0', id: 0, ok: true })
  expect(askAll(bench)).toEqual(all)
})

/**
 * How long a pull of 100 chunks takes on one core where a chunk taken costs 10 ms and a chunk given 120 ms, while eight
 * peers ask for one after the other. Work is done in turn, and a tick waits for its turn as a timer does.
 */
function pullOnBusyCore(change: Partial<SwarmLimits>): number {
  const bench = createBench({ limits: change })
  bench.handle({ type: 'held', digest: other, size: sizeOf(100), have: allOf(bench), complete: true })
  bench.read()
  bench.joins('seed', span(0, 100))
  const startMs = bench.clock.now()
  const idle = new Set(span(0, 8).map((number) => `leech ${number}`))
  let requests = 0
  let tickAtMs = startMs
  const tick = (): void => {
    tickAtMs = bench.clock.now() + limits.tickMs
    bench.handle({ type: 'tick' })
    for (const peer of idle) {
      idle.delete(peer)
      bench.says(peer, { type: 'request', id: requests++, digest: other, index: requests % 100, offset: 0 })
    }
    for (const { to } of bench.told('busy')) idle.add(to)
  }
  const work: { readonly costMs: number; readonly act: () => void }[] = []
  while (bench.clock.now() < 60_000 && bench.swarm.progress(digest)?.complete !== true) {
    if (bench.clock.now() >= tickAtMs) {
      work.push({ costMs: 0, act: tick })
      tickAtMs = Infinity
    }
    const { costMs, act } = work.shift() ?? { costMs: 1, act: () => {} }
    bench.clock.advance(costMs)
    act()
    bench.settle()
    for (const request of bench.told('request')) work.push({ costMs: 10, act: () => bench.sends(request) })
    for (const { peer, id } of bench.take('upload')) {
      const given = (): void => {
        idle.add(peer)
        bench.handle({ type: 'uploaded', peer, id, ok: true })
      }
      work.push({ costMs: 120, act: given })
    }
  }
  return bench.clock.now() - startMs
}

it('pulls faster on a busy core than it would if it went on giving as much', () => {
  const shedding = pullOnBusyCore({})
  const giving = pullOnBusyCore({ lateTickMs: Infinity })
  expect(shedding / giving).toBeLessThan(0.75)
})
