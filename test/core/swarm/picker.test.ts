import { assert, boolean, nat, property, uniqueArray } from 'fast-check'
import { describe, expect, it } from 'vitest'
import { pickChunk } from '../../../core/swarm/picker.ts'
import { createSession, openReader } from '../../../core/swarm/session.ts'
import { phases, type Session, type SwarmState } from '../../../core/swarm/state.ts'
import { virtualClock, type VirtualClock } from '../../support/virtual-clock.ts'
import { limits } from '../../../core/limits.ts'
import { createStateOn, digest, origin, sizeOf, span } from './bench.ts'

interface Desk {
  readonly clock: VirtualClock
  readonly state: SwarmState
  readonly session: Session
  pick(obtainable: Iterable<number>, priority?: 'demand' | 'prefetch'): number | undefined
}

function createDesk(chunks: number, seed = 'picker'): Desk {
  const clock = virtualClock()
  const state = createStateOn(clock, {}, seed)
  const session = createSession(digest, sizeOf(chunks), 0)
  return {
    clock,
    state,
    session,
    pick: (obtainable, priority = 'demand') =>
      pickChunk(session, memberOf(new Set(obtainable)), priority, {
        nowMs: clock.now(),
        random: state.random,
        limits: state.limits,
      }),
  }
}

function memberOf(indices: ReadonlySet<number>): (index: number) => boolean {
  return (index) => indices.has(index)
}

function read(
  { session, state }: Desk,
  change: { start?: number; end?: number; whole?: boolean; prefetch?: boolean },
): void {
  const whole = { start: 0, end: session.size, whole: true, prefetch: false }
  const reader = session.readers.size + 1
  openReader(state, session, { type: 'reader-opened', digest, size: session.size, origin, reader, ...whole, ...change })
}

describe('pickChunk for a whole reader', () => {
  it('takes the rarest chunk of the window', () => {
    const desk = createDesk(100)
    read(desk, {})
    desk.session.availability.fill(5)
    desk.session.availability[17] = 2
    desk.session.availability[50] = 1
    expect(desk.pick(span(0, 100))).toBe(17)
  })

  it('takes the word of the directory where its neighbours know of fewer copies', () => {
    const desk = createDesk(100)
    read(desk, {})
    desk.session.availability.fill(1)
    desk.session.counts = new Uint8Array(100).fill(9)
    desk.session.counts[20] = 3
    expect(desk.pick(span(0, 100))).toBe(20)
  })

  it('goes beyond the window only when nothing in it can be had', () => {
    const desk = createDesk(100)
    read(desk, {})
    desk.session.availability.fill(3)
    desk.session.availability[60] = 1
    expect(desk.pick([31, ...span(32, 100)])).toBe(31)
    desk.session.phase[31] = phases.asked
    expect(desk.pick([31, ...span(32, 100)])).toBe(60)
  })

  it('breaks ties by chance', () => {
    const picks = span(0, 50).map((seed) => {
      const desk = createDesk(100, `ties ${seed}`)
      read(desk, {})
      return desk.pick(span(0, 100))
    })
    expect(new Set(picks).size).toBeGreaterThan(15)
  })

  it('takes the next chunk in order once it is late', () => {
    const desk = createDesk(100)
    read(desk, {})
    desk.session.availability.fill(5)
    desk.session.availability[17] = 1
    desk.clock.advance(501)
    expect(desk.pick(span(0, 100))).toBe(0)
    expect(desk.pick(span(5, 100))).toBe(17)
  })

  it('moves the window to the first chunk that is not here', () => {
    const desk = createDesk(100)
    desk.session.phase.fill(phases.held, 0, 40)
    read(desk, {})
    desk.session.availability.fill(1)
    const picked = desk.pick(span(0, 100)) ?? 0
    expect(picked).toBeGreaterThanOrEqual(40)
    expect(picked).toBeLessThan(72)
  })
})

describe('pickChunk for a ranged reader', () => {
  it('takes chunks in order, and none beyond what it may read ahead', () => {
    const desk = createDesk(100)
    read(desk, { start: sizeOf(10), whole: false })
    const ahead = limits.rangedAheadBytes / limits.chunkSizeMinBytes
    const picks = span(0, ahead + 4).map(() => {
      const index = desk.pick(span(0, 100))
      if (index !== undefined) desk.session.phase[index] = phases.asked
      return index
    })
    expect(picks.filter((index) => index !== undefined)).toEqual(span(10, 10 + ahead))
  })

  it('ends where its range ends', () => {
    const desk = createDesk(100)
    read(desk, { start: sizeOf(10), end: sizeOf(11) + 1, whole: false })
    desk.session.phase[10] = phases.asked
    desk.session.phase[11] = phases.asked
    expect(desk.pick(span(0, 100))).toBeUndefined()
  })
})

describe('pickChunk', () => {
  it('serves a prefetch only when asked for one', () => {
    const desk = createDesk(100)
    read(desk, { prefetch: true })
    expect(desk.pick(span(0, 100))).toBeUndefined()
    expect(desk.pick(span(0, 100), 'prefetch')).toBeDefined()
  })

  it('never picks what is not missing, or can not be had', () => {
    const indices = uniqueArray(nat(99))
    assert(
      property(indices, indices, nat(99), boolean(), (obtainable, taken, start, whole) => {
        const desk = createDesk(100)
        for (const index of taken) desk.session.phase[index] = phases.asked
        read(desk, { start: sizeOf(start), whole })
        const index = desk.pick(obtainable)
        const left = obtainable.filter((one) => !taken.includes(one))
        const isAllowed = index === undefined ? !whole || left.length === 0 : left.includes(index)
        expect(isAllowed).toBe(true)
      }),
    )
  })
})
