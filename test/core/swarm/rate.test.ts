import * as fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { limits } from '../../../core/limits.ts'
import { createRateLimit } from '../../../core/swarm/rate.ts'
import { KiB, MiB, second } from '../../../core/units.ts'
import { virtualClock } from '../../support/virtual-clock.ts'

const burstBytes = (rate: number): number => (rate * limits.rateBurstMs) / second

/** Moves pieces of up to `piece` bytes for `forMs`, each as soon as there is no debt; the bytes moved. */
function moveFor(
  clock: ReturnType<typeof virtualClock>,
  rate: ReturnType<typeof createRateLimit>,
  forMs: number,
  piece: number,
) {
  const endMs = clock.now() + forMs
  let moved = 0
  while (clock.now() + rate.waitMs() <= endMs) {
    clock.advance(rate.waitMs())
    rate.count(piece)
    moved += piece
  }
  clock.set(endMs)
  return moved
}

it('lets a steady mover have the rate, and no more than a burst and a piece above it', () => {
  const rates = fc.integer({ min: limits.rateMinBytes, max: 50 * MiB })
  fc.assert(
    fc.property(
      rates,
      fc.integer({ min: 16 * KiB, max: 64 * KiB }),
      fc.integer({ min: 200, max: 2000 }),
      (rate, piece, ms) => {
        const clock = virtualClock()
        const moved = moveFor(clock, createRateLimit(clock, rate), ms, piece)
        const due = (rate * ms) / second
        expect(moved).toBeGreaterThanOrEqual(due)
        expect(moved).toBeLessThanOrEqual(due + burstBytes(rate) + piece)
      },
    ),
  )
})

it('keeps to the rate however often and long movers pause', () => {
  const steps = fc.array(fc.record({ pauseMs: fc.nat(500), pieces: fc.nat(40) }), { minLength: 1, maxLength: 50 })
  fc.assert(
    fc.property(steps, (story) => {
      const rate = 4 * MiB
      const clock = virtualClock()
      const limit = createRateLimit(clock, rate)
      let moved = 0
      for (const { pauseMs, pieces } of story) {
        clock.advance(pauseMs)
        for (let piece = 0; piece < pieces && limit.waitMs() === 0; piece++) {
          limit.count(64 * KiB)
          moved += 64 * KiB
        }
        expect(moved).toBeLessThanOrEqual((rate * clock.now()) / second + burstBytes(rate) + 64 * KiB)
      }
    }),
  )
})

describe('without a limit', () => {
  it('nobody waits, and what moved is no debt once there is one', () => {
    const clock = virtualClock()
    const limit = createRateLimit(clock)
    limit.count(1000 * MiB)
    expect([limit.allowance(), limit.waitMs(), limit.bytesPerSecond()]).toEqual([Infinity, 0, 0])
    limit.set(MiB)
    expect([limit.allowance(), limit.waitMs(), limit.bytesPerSecond()]).toEqual([burstBytes(MiB), 0, MiB])
  })
})

describe('changed while bytes move', () => {
  it('has a debt paid at the new rate, up or down, or forgotten with the limit', () => {
    const clock = virtualClock()
    const limit = createRateLimit(clock, MiB)
    limit.count(burstBytes(MiB) + MiB)
    expect(limit.waitMs()).toBeCloseTo(second)
    limit.set(4 * MiB)
    expect(limit.waitMs()).toBeCloseTo(second / 4)
    limit.set(MiB / 2)
    expect(limit.waitMs()).toBeCloseTo(2 * second)
    limit.set(0)
    expect(limit.waitMs()).toBe(0)
  })

  it('keeps no larger burst than the new rate allows', () => {
    const clock = virtualClock()
    const limit = createRateLimit(clock, 100 * MiB)
    limit.set(MiB)
    expect(limit.allowance()).toBe(burstBytes(MiB))
  })
})
