import { expect, test } from 'vitest'
import { anonymous } from '../../../agent/upstream/credential.ts'
import type { Site } from '../../../agent/upstream/egress.ts'
import { OriginError } from '../../../agent/upstream/origin-error.ts'
import { createPauses } from '../../../agent/upstream/pauses.ts'
import { limits } from '../../../core/limits.ts'
import { minute } from '../../../core/units.ts'
import { virtualClock } from '../../support/virtual-clock.ts'

const site: Site = { origin: 'a.b', baseUrl: new URL('https://a.b'), caFiles: [], trusted: false }
const account = { key: 'account' }

test('who was told to wait does not ask before, and hears what was said; others ask', () => {
  const clock = virtualClock()
  const pauses = createPauses(clock)
  const challenges = ['Bearer realm="https://a.b/token"']
  const limited = new OriginError('rate-limited', 'too many', { status: 429, retryAfterMs: minute, challenges })
  pauses.note(site, anonymous, limited)
  clock.advance(minute - 1)
  const heard = { kind: 'rate-limited', status: 429, retryAfterMs: 1, challenges: [], isUnasked: true }
  expect(() => pauses.check(site, anonymous, [])).toThrow(expect.objectContaining(heard))
  expect(() => pauses.check(site, account, [])).not.toThrow()
  expect(() => pauses.check({ ...site, origin: 'c.d' }, anonymous, [])).not.toThrow()
  clock.advance(1)
  expect(() => pauses.check(site, anonymous, [])).not.toThrow()
})

test('a short time is left to who waits for it', () => {
  const pauses = createPauses(virtualClock())
  const short = { status: 429, retryAfterMs: limits.originRetryMs }
  pauses.note(site, anonymous, new OriginError('rate-limited', 'too many', short))
  expect(() => pauses.check(site, anonymous, [])).not.toThrow()
})
