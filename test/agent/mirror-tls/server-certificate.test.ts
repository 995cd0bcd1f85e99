import { X509Certificate } from 'node:crypto'
import { afterEach, beforeEach, expect, onTestFinished, test, vi } from 'vitest'
import { type CertifiedKey, createAuthority, parseAuthority } from '../../../agent/mirror-tls/certificates.ts'
import { createServerCertificate, serverNames } from '../../../agent/mirror-tls/server-certificate.ts'
import { limits } from '../../../core/limits.ts'
import { hour, second } from '../../../core/units.ts'

const quiet = { error: () => {} }
const day = 24 * hour
const start = new Date('2026-11-26T12:00:00Z').getTime()

beforeEach(() => void vi.useFakeTimers({ toFake: ['setInterval', 'clearInterval'] }))
afterEach(() => void vi.useRealTimers())

test.each([
  ['half of its time is over', 3.5 * day + second],
  ['the clock is set far ahead', 400 * day],
  ['the clock is set far back', -30 * day],
])('another is issued when %s, and none before', async (_name, shiftMs) => {
  const ca = await createAuthority()
  let nowMs = start
  const components = { authority: await parseAuthority(ca.cert + ca.key), now: () => nowMs, logger: quiet }
  const certificate = await createServerCertificate(components, ['localhost'])
  onTestFinished(() => certificate.stop())
  const renewed: CertifiedKey[] = []
  certificate.renew((next) => renewed.push(next))

  nowMs = start + 3.5 * day
  vi.advanceTimersByTime(limits.mirrorCertificateCheckMs)
  nowMs = start + shiftMs
  vi.advanceTimersByTime(2 * limits.mirrorCertificateCheckMs)
  await vi.waitUntil(() => renewed.length > 0)
  expect(renewed).toHaveLength(1)
  const next = new X509Certificate(renewed[0]?.cert ?? '')
  expect(next.validToDate.getTime()).toBe(nowMs + limits.mirrorCertificateMs)
  expect(renewed[0]?.key).not.toBe(certificate.first.key)
})

test('one that could not be issued is logged, and tried again at the next look', async () => {
  const ca = await createAuthority()
  let nowMs = start
  let isBroken = true
  const sound = await parseAuthority(ca.cert + ca.key)
  const authority = {
    ...sound,
    // As an engine that fails, or a key that is gone.
    get subject() {
      if (isBroken && nowMs !== start) throw new Error('no key')
      return sound.subject
    },
  }
  const errors: string[] = []
  const logger = { error: (_fields: object, message: string) => void errors.push(message) }
  const certificate = await createServerCertificate({ authority, now: () => nowMs, logger }, ['localhost'])
  onTestFinished(() => certificate.stop())
  const renewed: CertifiedKey[] = []
  certificate.renew((next) => renewed.push(next))

  nowMs = start + 4 * day
  vi.advanceTimersByTime(limits.mirrorCertificateCheckMs)
  await vi.waitUntil(() => certificate.failure() !== undefined)
  expect(certificate.failure()).toBe('no key')
  expect(errors).toEqual(["the mirror's certificate was not renewed; it is tried again"])
  isBroken = false
  vi.advanceTimersByTime(limits.mirrorCertificateCheckMs)
  await vi.waitUntil(() => renewed.length > 0)
  expect(certificate.failure()).toBeUndefined()
})

test.each([
  ['127.0.0.1', [], []],
  ['0.0.0.0', ['shoal.local'], ['shoal.local']],
  ['::', [], []],
  ['10.0.0.7', ['shoal.local', 'localhost'], ['10.0.0.7', 'shoal.local']],
])('a mirror at %s with the names %j is also called %j', (host, names, more) => {
  expect(serverNames(host, names)).toEqual(['127.0.0.1', '::1', 'localhost', ...more])
})
