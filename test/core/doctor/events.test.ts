import { expect, test } from 'vitest'
import { createFindingEvents, type EventWrite } from '../../../core/doctor/events.ts'
import { type Finding, finding, findingCodes } from '../../../core/doctor/findings.ts'
import { limits } from '../../../core/limits.ts'
import { virtualClock } from '../../support/virtual-clock.ts'

const stale = finding('HOSTS_STALE', { file: '/a', reason: 'its CA is another one', flags: '' })
const discarded = finding('LAYERS_DISCARDED', { file: '/config.toml' })
const skewed = (skew: string) => finding('CLOCK_SKEWED', { skew, others: 'a.b' })

/** Looks every five minutes, as the agent does; everything that is to be written can be, unless it `fails`. */
function watch(): (found: readonly Finding[], fails?: boolean) => readonly EventWrite[] {
  const clock = virtualClock()
  const events = createFindingEvents(clock)
  return (found, fails = false) => {
    const writes = events.look(found)
    if (!fails) for (const write of writes) events.written(write)
    clock.advance(limits.doctorEveryMs)
    return writes
  }
}

/** What is written when two looks in a row have found these. */
function seenTwice(...findings: readonly Finding[]): readonly EventWrite[] {
  const look = watch()
  expect(look(findings)).toEqual([])
  return look(findings)
}

/** `new HostsStale`, `again CLOCK_SKEWED x7`. */
const brief = (writes: readonly EventWrite[]): string[] =>
  writes.map(({ kind, reason, count }) => `${kind} ${reason}${count > 1 ? ` x${count}` : ''}`)

test('an event says what, why and the fix; what is no fault is normal', () => {
  expect(seenTwice(stale, discarded)).toEqual([
    {
      kind: 'new',
      code: 'HOSTS_STALE',
      type: 'Warning',
      reason: 'HostsStale',
      what: stale.what,
      note: `${stale.what}. ${stale.why}\n${stale.fix}`,
      count: 1,
    },
    expect.objectContaining({ reason: 'LayersDiscarded', type: 'Normal' }),
  ])
})

test('what lasts is counted at each look and written every half hour, what is over once', () => {
  const look = watch()
  const told = Array.from({ length: 14 }, () => brief(look([stale])))
  expect(told.flatMap((writes, index) => writes.map((write) => `${index * 5} min: ${write}`))).toEqual([
    '5 min: new HostsStale',
    '35 min: again HostsStale x7',
    '65 min: again HostsStale x13',
  ])
  expect(look([])).toEqual([
    {
      kind: 'resolved',
      code: 'HOSTS_STALE',
      type: 'Normal',
      reason: 'HostsStaleResolved',
      what: stale.what,
      note: `Doctor no longer finds this: ${stale.what}.`,
      count: 1,
    },
  ])
  expect(look([])).toEqual([])
})

test('what is found by one look and not by the next is no event', () => {
  const look = watch()
  const told = [[stale], [skewed('1 s behind')], [stale], [], [stale], [stale]].map((found) => brief(look(found)))
  expect(told).toEqual([[], [], [], [], [], ['new HostsStale']])
})

test('words that change are another event, no sooner than a count would be written', () => {
  const look = watch()
  const told = Array.from({ length: 8 }, (_, index) => look([skewed(`${index} s behind`)]))
  expect(told.map(brief)).toEqual([[], ['new ClockSkewed'], [], [], [], [], [], ['new ClockSkewed']])
  expect(told[7]).toMatchObject([{ note: expect.stringContaining('7 s behind') }])
})

test('several findings of one code are one event', () => {
  const writes = seenTwice(skewed('90 s behind'), skewed('70 s ahead of'), skewed('80 s ahead of'))
  expect(writes).toMatchObject([{ what: "This node's clock is 90 s behind that of a.b (and 2 more)" }])
})

test('what could not be written is written at the next look', () => {
  const look = watch()
  look([stale])
  expect(brief(look([stale], true))).toEqual(['new HostsStale'])
  expect(brief(look([stale], true))).toEqual(['new HostsStale'])
  expect(brief(look([stale]))).toEqual(['new HostsStale'])
  expect(brief(look([], true))).toEqual(['resolved HostsStaleResolved'])
  // It is there again: what nobody heard of has not happened.
  expect(brief(look([stale]))).toEqual([])
  expect(brief(look([]))).toEqual(['resolved HostsStaleResolved'])
})

test('faults that come and go are written 25 times, and then as many times as five minutes have passed', () => {
  const look = watch()
  const all = findingCodes.map((code): Finding => ({ code, severity: 'warning', what: code, why: 'w', fix: 'f' }))
  const counts = Array.from({ length: 9 }, (_, index) => look(index % 3 === 2 ? [] : all).length)
  expect(counts).toEqual([0, limits.eventsMax, 1, 0, 2, 1, 0, 2, 1])
})

test('reasons are words as Kubernetes has them, and differ', () => {
  const reasons = findingCodes.flatMap((code) => seenTwice({ ...stale, code }).map(({ reason }) => reason))
  expect(reasons.filter((reason) => !/^([A-Z][a-z]+)+$/.test(reason) || reason.length > 128)).toEqual([])
  expect(new Set(reasons).size).toBe(findingCodes.length)
})

test('a note that is too long ends with a whole line, and says where the rest is', () => {
  const longest = { ...stale, what: 'ä', why: 'Why.', fix: `First:\n    ${'x'.repeat(900)}\n    ${'y'.repeat(200)}` }
  const [write] = seenTwice(longest)
  expect(write?.note).toBe(`ä. Why.\nFirst:\n    ${'x'.repeat(900)}\n… the agent's log has the rest`)
})

test.each([
  ['exactly', 1024 - 'ä. Why.\n'.length - 1, true],
  ['not', 1024 - 'ä. Why.\n'.length, false],
])('bytes count, not characters: %s fitting', (_how, length, isWhole) => {
  const [write] = seenTwice({ ...stale, what: 'ä', why: 'Why.', fix: 'x'.repeat(length) })
  expect(write?.note.endsWith('x')).toBe(isWhole)
})

test('prose that is too long is cut between characters', () => {
  const [write] = seenTwice({ ...stale, what: '€'.repeat(1000) })
  const { note = '' } = write ?? {}
  expect(note).toMatch(/^€+\n… the agent's log has the rest$/)
  expect(Buffer.byteLength(note)).toBeGreaterThan(1024 - 3)
  expect(Buffer.byteLength(note)).toBeLessThanOrEqual(1024)
})
