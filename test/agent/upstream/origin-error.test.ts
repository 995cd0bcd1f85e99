import { expect, test } from 'vitest'
import { kindOfStatus, OriginError, parseErrorBody, toOriginFailure } from '../../../agent/upstream/origin-error.ts'
import { limits } from '../../../core/limits.ts'

test.each([
  [401, 'unauthorized'],
  [403, 'denied'],
  [412, 'denied'],
  [451, 'denied'],
  [404, 'not-found'],
  [410, 'not-found'],
  [429, 'rate-limited'],
  [408, 'unavailable'],
  [500, 'unavailable'],
  [503, 'unavailable'],
  [501, 'protocol'],
  [204, 'protocol'],
  [300, 'protocol'],
  [304, 'protocol'],
  [400, 'protocol'],
  [405, 'protocol'],
])('%i is %s', (status, kind) => {
  expect(kindOfStatus(status)).toBe(kind)
})

test('what the swarm makes of it', () => {
  for (const kind of ['unauthorized', 'denied', 'not-found', 'forbidden-target'] as const) {
    expect(toOriginFailure(new OriginError(kind, 'no'))).toEqual({ kind: 'refused' })
  }
  expect(toOriginFailure(new OriginError('protocol', 'no'))).toEqual({ kind: 'protocol' })
  expect(toOriginFailure(new OriginError('unavailable', 'no'))).toEqual({ kind: 'unavailable' })
  const wait = { retryAfterMs: 7 }
  expect(toOriginFailure(new OriginError('unavailable', 'no', wait))).toEqual({ kind: 'unavailable', ...wait })
  expect(toOriginFailure(new OriginError('rate-limited', 'no', wait))).toEqual({ kind: 'rate-limited', ...wait })
  const unnamed = { kind: 'rate-limited', retryAfterMs: limits.originRateLimitedMs }
  expect(toOriginFailure(new OriginError('rate-limited', 'no'))).toEqual(unnamed)
})

test('error bodies, also with codes that the specification does not know', () => {
  const body = { errors: [{ code: 'PROJECTPOLICYVIOLATION', message: 'too many holes', detail: { cve: 3 } }] }
  expect(parseErrorBody(JSON.stringify(body))).toEqual(body)
  for (const text of ['', 'null', '{}', '<html>', '{"errors":{}}', '{"errors":[{"message":"no code"}]}']) {
    expect(parseErrorBody(text)).toBeUndefined()
  }
})
