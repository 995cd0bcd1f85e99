/** The mirror with a guard: TLS under its node's CA, and an answer only for who shows the node's secret. */
import { X509Certificate } from 'node:crypto'
import { once } from 'node:events'
import { connect, type ConnectionOptions, type TLSSocket } from 'node:tls'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import {
  type Authority,
  type CertifiedKey,
  createAuthority,
  issueServer,
  parseAuthority,
} from '../../../agent/mirror-tls/certificates.ts'
import { OriginError } from '../../../agent/upstream/origin-error.ts'
import { patternBytes } from '../../support/images.ts'
import { type MirrorUnderTest, startMirror } from '../../support/mirror.ts'
import { type RawResponse, readToEnd, requestText, sendRaw } from '../../support/raw-http.ts'

const secret = 'a'.repeat(64)
const known = `Shoal-Node-Secret: ${secret}`
let authority: Authority
let first: CertifiedKey
let under: MirrorUnderTest

beforeAll(async () => {
  const { cert, key } = await createAuthority()
  authority = await parseAuthority(cert + key)
  first = await issueServer(authority, ['127.0.0.1'], new Date())
  under = await startMirror({ guard: { certificate: first, secret } })
})
afterAll(() => under.mirror.close(0))

async function open(options: ConnectionOptions = {}): Promise<TLSSocket> {
  const socket = connect({ host: '127.0.0.1', port: under.port, ca: authority.cert, ...options })
  await once(socket, 'secureConnect')
  return socket
}

async function get(path: string, ...headers: string[]): Promise<RawResponse> {
  const socket = await open()
  socket.write(requestText(under.port, 'GET', path, [...headers, 'Connection: close']))
  return readToEnd(socket)
}

describe('who does not show the secret is refused, and told what to do', () => {
  const wrong = ['', known.slice(0, -1), `${known}a`, known.replace(/a$/, 'b'), `${known}\r\n${known}`]
  test.each(wrong)('%j', async (header) => {
    for (const path of ['/v2/', '/v2/app/manifests/x?ns=reg.io', '/elsewhere']) {
      const { status, body } = await get(path, ...(header === '' ? [] : [header]))
      expect({ path, status }).toEqual({ path, status: 403 })
      const answer = JSON.parse(body.toString()) as unknown
      expect(answer).toMatchObject({
        errors: [{ code: 'DENIED', message: expect.stringContaining('shoal configure') }],
      })
    }
    expect(under.asked).toEqual([])
  })
})

test('who shows it is answered', async () => {
  const blob = under.blobs.add(patternBytes(200_000))
  expect((await get('/v2/', known)).status).toBe(200)
  const { status, body } = await get(`/v2/app/blobs/${blob.digest}?ns=reg.io`, known)
  expect({ status, whole: body.equals(blob.bytes) }).toEqual({ status: 200, whole: true })
})

test('a body that breaks off ends in FIN, and all that was sent arrives', async () => {
  const blob = under.blobs.add(patternBytes(150_000))
  blob.failAt = 70_000
  blob.failure = new OriginError('unavailable', 'down')
  const { headers, body, ending } = await get(`/v2/app/blobs/${blob.digest}?ns=reg.io`, known)
  expect([headers['content-length'], body.length, ending]).toEqual(['150000', 70_000, 'fin'])
})

test('plain HTTP gets no word, and does the mirror no harm', async () => {
  const { status, body } = await sendRaw(under.port, requestText(under.port, 'GET', '/v2/', [known]))
  expect({ status, length: body.length }).toEqual({ status: 0, length: 0 })
  expect((await get('/v2/', known)).status).toBe(200)
})

test('HTTP/1.1 is all that it offers, and TLS 1.2 the oldest', async () => {
  const socket = await open({ ALPNProtocols: ['h2', 'http/1.1'], maxVersion: 'TLSv1.2' })
  expect([socket.alpnProtocol, socket.getProtocol()]).toEqual(['http/1.1', 'TLSv1.2'])
  socket.destroy()
  const old = open({ minVersion: 'TLSv1.1', maxVersion: 'TLSv1.1', ciphers: 'DEFAULT@SECLEVEL=0' })
  await expect(old).rejects.toThrow('alert protocol version')
})

test('a renewed certificate is shown to whoever connects from then on; others are not disturbed', async () => {
  const before = await open()
  const next = await issueServer(authority, ['127.0.0.1'], new Date())
  under.mirror.useCertificate(next)
  const after = await open()
  const shown = [before, after].map((socket) => new X509Certificate(socket.getPeerCertificate().raw).serialNumber)
  expect(shown).toEqual([first, next].map(({ cert }) => new X509Certificate(cert).serialNumber))
  before.write(requestText(under.port, 'GET', '/v2/', [known, 'Connection: close']))
  expect((await readToEnd(before)).status).toBe(200)
  after.destroy()
})
