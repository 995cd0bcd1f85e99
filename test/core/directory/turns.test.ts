import { expect, it } from 'vitest'
import { createTurns } from '../../../core/directory/turns.ts'
import { limits } from '../../../core/limits.ts'
import { virtualClock } from '../../support/virtual-clock.ts'

/** A core whose turns are taken one by one; each answer takes its time. */
function createCore(): { ask(requests: number): void; answeredAfter(othersMs: number): number } {
  const clock = virtualClock(1000)
  let answered = 0
  const next: (() => void)[] = []
  const turns = createTurns({ clock, soon: (act) => void next.push(act) })
  return {
    ask(requests) {
      for (let request = 0; request < requests; request++) turns.wait(() => answered++)
    },
    answeredAfter(othersMs) {
      const before = answered
      clock.advance(othersMs)
      for (const act of next.splice(0)) act()
      clock.advance((answered - before) * limits.announceCostMs)
      return answered - before
    },
  }
}

const longMs = 30
/** A quarter of the core, beside three quarters for others. */
const share = Math.floor(longMs / 3 / limits.announceCostMs)

it('of those who ask at once, one is answered each time that a core has done what else was ready', () => {
  const core = createCore()
  core.ask(3)
  expect([0, 0.1, 0, 0].map((othersMs) => core.answeredAfter(othersMs))).toEqual([1, 1, 1, 0])
})

it('where that takes long, as many are as have their share of the core', () => {
  const core = createCore()
  core.ask(1000)
  expect([longMs, 0, longMs, longMs].map((othersMs) => core.answeredAfter(othersMs))).toEqual([share, 1, share, share])
})

it('what the core did while nobody asked counts for nothing', () => {
  const core = createCore()
  core.ask(1)
  expect(core.answeredAfter(0)).toBe(1)
  core.answeredAfter(longMs)
  core.ask(3)
  expect(core.answeredAfter(0)).toBe(1)
})
