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

/** `new HostsStale`, `again CLOCK_SKEWED x7`. */
const brief = (writes: readonly EventWrite[]): string[] =>
  writes.map(({ kind, reason, count }) => `${kind} ${reason}${count > 1 ? ` x${count}` : ''}`)

test('an event says what, why and the fix; what is no fault is normal', () => {
  const look = watch()
  expect(look([stale, discarded])).toEqual([
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
    '0 min: new HostsStale',
    '30 min: again HostsStale x7',
    '60 min: again HostsStale x13',
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
  expect(brief(look([stale]))).toEqual(['new HostsStale'])
})

test('words that change are another event, no sooner than a count would be written', () => {
  const look = watch()
  const told = Array.from({ length: 8 }, (_, index) => look([skewed(`${index} s behind`)]))
  expect(told.map(brief)).toEqual([['new ClockSkewed'], [], [], [], [], [], ['new ClockSkewed'], []])
  expect(told[6]).toMatchObject([{ note: expect.stringContaining('6 s behind') }])
})

test('several findings of one code are one event', () => {
  const look = watch()
  const writes = look([skewed('90 s behind'), skewed('70 s ahead of'), skewed('80 s ahead of')])
  expect(writes).toMatchObject([{ what: "This node's clock is 90 s behind that of a.b (and 2 more)" }])
})

test('what could not be written is written at the next look', () => {
  const look = watch()
  expect(brief(look([stale], true))).toEqual(['new HostsStale'])
  expect(brief(look([stale], true))).toEqual(['new HostsStale'])
  expect(brief(look([stale]))).toEqual(['new HostsStale'])
  expect(brief(look([], true))).toEqual(['resolved HostsStaleResolved'])
  // It is there again: what nobody heard of has not happened.
  expect(brief(look([stale]))).toEqual([])
  expect(brief(look([]))).toEqual(['resolved HostsStaleResolved'])
})

test('faults that come and go are written 25 times, and then once in five minutes', () => {
  const look = watch()
  const all = findingCodes.map((code): Finding => ({ code, severity: 'warning', what: code, why: 'w', fix: 'f' }))
  const counts = Array.from({ length: 8 }, (_, index) => look(index % 2 === 0 ? all : []).length)
  expect(counts).toEqual([limits.eventsMax, 1, 1, 1, 1, 1, 1, 1])
})

test('reasons are words as Kubernetes has them, and differ', () => {
  const reasons = findingCodes.flatMap((code) => watch()([{ ...stale, code }]).map(({ reason }) => reason))
  expect(reasons.filter((reason) => !/^([A-Z][a-z]+)+$/.test(reason) || reason.length > 128)).toEqual([])
  expect(new Set(reasons).size).toBe(findingCodes.length)
})

test('a note that is too long ends with a whole line, and says where the rest is', () => {
  const longest = { ...stale, what: 'ä', why: 'Why.', fix: `First:\n    ${'x'.repeat(900)}\n    ${'y'.repeat(200)}` }
  const [write] = watch()([longest])
  expect(write?.note).toBe(`ä. Why.\nFirst:\n    ${'x'.repeat(900)}\n… the agent's log has the rest`)
})

test.each([
  ['exactly', 1024 - 'ä. Why.\n'.length - 1, true],
  ['not', 1024 - 'ä. Why.\n'.length, false],
])('bytes count, not characters: %s fitting', (_how, length, isWhole) => {
  const [write] = watch()([{ ...stale, what: 'ä', why: 'Why.', fix: 'x'.repeat(length) }])
  expect(write?.note.endsWith('x')).toBe(isWhole)
})

test('prose that is too long is cut between characters', () => {
  const [write] = watch()([{ ...stale, what: '€'.repeat(1000) }])
  const { note = '' } = write ?? {}
  expect(note).toMatch(/^€+\n… the agent's log has the rest$/)
  expect(Buffer.byteLength(note)).toBeGreaterThan(1024 - 3)
  expect(Buffer.byteLength(note)).toBeLessThanOrEqual(1024)
})
