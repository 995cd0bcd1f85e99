import { expect, test } from 'vitest'
import { createPulse, type Pulse } from '../../../agent/transport/pulse.ts'
import { limits } from '../../../core/limits.ts'

/** Looks on both sides in turn, carrying beats across, and says how many crossed. */
function live(one: Pulse, other: Pulse, looks: number): number {
  let beats = 0
  for (let look = 0; look < looks; look++) {
    for (const [from, to] of [
      [one, other],
      [other, one],
    ] as const) {
      const state = from.look()
      if (state === 'dead') throw new Error(`a living link was ended at look ${look}`)
      if (state === 'wait') continue
      beats++
      to.heard()
    }
  }
  return beats
}

function looksUntilDead(pulse: Pulse): number {
  let looks = 1
  while (pulse.look() !== 'dead') looks++
  return looks
}

test('a link in use ends at the third silent look', () => {
  const pulse = createPulse()
  expect(looksUntilDead(pulse)).toBe(limits.linkSilentLooks)
  const heard = createPulse()
  heard.look()
  heard.look()
  heard.heard()
  expect(looksUntilDead(heard)).toBe(limits.linkSilentLooks)
})

test('two living sides never end their link, and beat less once nobody uses it', () => {
  const [one, other] = [createPulse(), createPulse()]
  expect(live(one, other, limits.linkRestAfterLooks)).toBe(2 * limits.linkRestAfterLooks)
  const restLooks = 100 * limits.linkRestEveryLooks
  expect(live(one, other, restLooks)).toBe(200)
})

test('whoever said something since the last look needs no beat', () => {
  const pulse = createPulse()
  pulse.heard()
  pulse.spoke()
  expect(pulse.look()).toBe('wait')
  expect(pulse.look()).toBe('beat')
})

test('a resting link that is used again is watched closely again, from then on', () => {
  const [one, other] = [createPulse(), createPulse()]
  for (let rest = 0; rest < 3 * limits.linkRestEveryLooks; rest++) {
    live(one, other, limits.linkRestAfterLooks + limits.linkRestEveryLooks + rest)
    one.used()
    other.heard()
    other.used()
    expect(live(one, other, limits.linkRestAfterLooks)).toBe(2 * limits.linkRestAfterLooks)
  }
  one.used()
  expect(looksUntilDead(one)).toBe(limits.linkSilentLooks)
})

test('a resting link ends too', () => {
  const [one, other] = [createPulse(), createPulse()]
  live(one, other, 100)
  expect(looksUntilDead(one)).toBeLessThanOrEqual(limits.linkSilentLooks * limits.linkRestEveryLooks)
})
