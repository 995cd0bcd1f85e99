import { expect, it } from 'vitest'
import { answerMac, isSameMac, macKeysOf, requestMac } from '../../../agent/cluster/mac.ts'
import type { AnswerFields, RequestFields } from '../../../agent/cluster/mac.ts'

const secret = new Uint8Array(32).fill(7)
const [key] = macKeysOf({ current: secret })

const request: RequestFields = {
  method: 'POST',
  path: '/members/exchange',
  from: 'a',
  to: 'b',
  nonce: 'n',
  epoch: 'e',
  bodyHash: 'h',
}

it.each(Object.keys(request))('covers %s of a request', (field) => {
  expect(requestMac(key, { ...request, [field]: 'other' })).not.toBe(requestMac(key, request))
})

const answer: AnswerFields = { status: 200, requestMac: 'm', epoch: 'e', bodyHash: 'h' }

it.each(Object.keys(answer))('covers %s of an answer', (field) => {
  expect(answerMac(key, { ...answer, [field]: field === 'status' ? 401 : 'other' })).not.toBe(answerMac(key, answer))
})

it('never takes a request for an answer', () => {
  expect(answerMac(key, answer)).not.toBe(requestMac(key, request))
})

it('derives keys that say nothing of the secret, nor of each other', () => {
  const [current, previous] = macKeysOf({ current: secret, previous: new Uint8Array(32).fill(8) })
  expect(current.id).toMatch(/^[0-9a-f]{16}$/)
  expect(previous?.id).not.toBe(current.id)
  const hex = current.key.export().toString('hex')
  expect(hex).not.toContain(current.id)
  expect(hex).not.toBe(Buffer.from(secret).toString('hex'))
})

it('compares without tripping over lengths', () => {
  expect(isSameMac('abc', 'abc')).toBe(true)
  expect(isSameMac('abd', 'abc')).toBe(false)
  expect(isSameMac('ab', 'abc')).toBe(false)
  expect(isSameMac('äb', 'abc')).toBe(false)
})
