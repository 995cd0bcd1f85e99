import { X509Certificate } from 'node:crypto'
import { expect, test } from 'vitest'
import { createAuthority, issueServer, parseAuthority } from '../../../agent/mirror-tls/certificates.ts'

const now = new Date('2026-11-26T12:00:00Z')
const week = 7 * 24 * 60 * 60 * 1000
const pem = async () => {
  const { cert, key } = await createAuthority()
  return cert + key
}

test('the CA signs servers for the names that they are called by, and nobody is locked out by its dates, whatever the clock said when it was made', async () => {
  const authority = await parseAuthority(await pem())
  const ca = new X509Certificate(authority.cert)
  expect(ca.ca).toBe(true)
  expect(ca.verify(ca.publicKey)).toBe(true)
  expect(ca.validFrom).toBe('Jan  1 00:00:00 1970 GMT')
  expect(ca.validTo).toBe('Dec 31 23:59:59 9999 GMT')

  const { cert, key } = await issueServer(authority, ['127.0.0.1', '::1', 'localhost', 'shoal.local'], now)
  const leaf = new X509Certificate(cert)
  expect(leaf.ca).toBe(false)
  expect(leaf.checkIssued(ca)).toBe(true)
  expect(leaf.verify(ca.publicKey)).toBe(true)
  expect(key).toContain('BEGIN PRIVATE KEY')
  expect(leaf.subjectAltName).toBe('IP Address:127.0.0.1, IP Address:0:0:0:0:0:0:0:1, DNS:localhost, DNS:shoal.local')
  expect(leaf.keyUsage).toEqual(['1.3.6.1.5.5.7.3.1'])
  expect([leaf.validFromDate.getTime(), leaf.validToDate.getTime()]).toEqual([
    now.getTime() - week,
    now.getTime() + week,
  ])
})

test('every CA has a name, and every certificate a number of its own', async () => {
  const [one, other] = [await parseAuthority(await pem()), await parseAuthority(await pem())]
  expect(new X509Certificate(one.cert).subject).not.toBe(new X509Certificate(other.cert).subject)
  const numbers = await Promise.all([1, 2].map(() => issueServer(one, ['localhost'], now)))
  expect(new Set(numbers.map(({ cert }) => new X509Certificate(cert).serialNumber)).size).toBe(2)
})

test('a CA without its own key is none, nor is a server', async () => {
  const [one, other] = [await createAuthority(), await createAuthority()]
  await expect(parseAuthority(one.cert + other.key)).rejects.toThrow('not that of a CA')
  const server = await issueServer(await parseAuthority(one.cert + one.key), ['localhost'], now)
  await expect(parseAuthority(server.cert + server.key)).rejects.toThrow('not that of a CA')
})
