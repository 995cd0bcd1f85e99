/** Requests that nobody sends by mistake (facts/security.md). None of them may reach `authorize`, the origin or a content. */
import { connect } from 'node:net'
import { afterAll, beforeAll, describe, expect, onTestFinished, test } from 'vitest'
import { ownAddress } from '../../../agent/config.ts'
import { OriginError } from '../../../agent/upstream/origin-error.ts'
import { limits } from '../../../core/limits.ts'
import { millisecond } from '../../../core/units.ts'
import { digestOf } from '../../support/memory-blobs.ts'
import { type MirrorUnderTest, startMirror } from '../../support/mirror.ts'
import { openAndTake, readToEnd, request, requestText, sendRaw } from '../../support/raw-http.ts'

let under: MirrorUnderTest

beforeAll(async () => {
  under = await startMirror({ hostNames: ['mirror.local'] })
})
afterAll(() => under.mirror.close(0))

function errorCode(body: Buffer): string {
  const { errors } = JSON.parse(body.toString()) as { errors: { code: string; message: string }[] }
  return errors[0]?.code ?? 'none'
}

describe('methods that write are 405 UNSUPPORTED, with any body and type', () => {
  test.each(['POST', 'PUT', 'PATCH', 'DELETE', 'OPTIONS', 'TRACE', 'PROPFIND', 'MKCOL', 'SEARCH', 'QUERY', 'REPORT'])(
    '%s',
    async (method) => {
      const { status, headers, body } = await request(under.port, method, '/v2/app/blobs/uploads/', [
        'Content-Type: x/y',
        'Content-Length: 0',
      ])
      expect({ status, code: errorCode(body), allow: headers['allow'] }).toEqual({
        status: 405,
        code: 'UNSUPPORTED',
        allow: 'GET, HEAD',
      })
    },
  )

  test('a body that is announced is not waited for', async () => {
    const { status } = await request(under.port, 'PUT', '/v2/app/manifests/x', ['Content-Length: 1000000'])
    expect(status).toBe(405)
  })

  test('a method that HTTP does not know', async () => {
    expect((await request(under.port, 'FETCH', '/v2/')).status).toBe(400)
  })
})

describe('paths', () => {
  test.each<[string, number, string]>([
    ['/', 404, 'UNSUPPORTED'],
    ['/v1/_ping', 404, 'UNSUPPORTED'],
    ['/v2/_catalog', 404, 'UNSUPPORTED'],
    ['//v2/app/manifests/x', 404, 'UNSUPPORTED'],
    ['/v2/app/blobs/uploads/', 404, 'UNSUPPORTED'],
    ['/v2//app/manifests/x', 400, 'NAME_INVALID'],
    ['/v2/app/../secret/manifests/x', 400, 'NAME_INVALID'],
    ['/v2/app/%2e%2e/secret/manifests/x', 400, 'NAME_INVALID'],
    ['/v2/app%2fsecret/manifests/x', 400, 'NAME_INVALID'],
    ['/v2/app;x/manifests/x', 400, 'NAME_INVALID'],
    ['/v2/app%00/manifests/x', 400, 'NAME_INVALID'],
    ['/v2/%zz/manifests/x', 400, 'NAME_INVALID'],
    ['/v2/app/manifests/%2e%2e', 400, 'MANIFEST_UNKNOWN'],
    ['/v2/app/manifests/sha256:baddigeststring', 400, 'DIGEST_INVALID'],
    ['/v2/app/blobs/sha256:baddigeststring', 400, 'DIGEST_INVALID'],
    ['/v2/app/referrers/sha256:baddigeststring', 400, 'DIGEST_INVALID'],
    ['/v2/app/manifests/x?ns=127.0.0.1', 403, 'DENIED'],
    ['/v2/app/manifests/x?ns=169.254.169.254', 403, 'DENIED'],
    ['/v2/app/manifests/x?ns=reg.io&ns=other.io', 400, 'NAME_INVALID'],
    ['/v2/app/manifests/x?ns=a@reg.io', 403, 'DENIED'],
    ['/v2/app/manifests/x?ns=reg.io%2f..', 403, 'DENIED'],
    ['/v2/app/manifests/x?ns=reg.io%0d%0aX:y', 403, 'DENIED'],
    ['/v2/127.0.0.1:80/app/manifests/x', 403, 'DENIED'],
    [`/v2/${'a'.repeat(limits.mirrorUrlMaxLength)}/manifests/x`, 404, 'UNSUPPORTED'],
    ['http://127.0.0.1/v2/', 404, 'UNSUPPORTED'],
    ['/v2/%C3%A4/manifests/x', 400, 'NAME_INVALID'],
    ['/v2/ä/manifests/x', 400, 'UNSUPPORTED'],
  ])('%s', async (path, status, code) => {
    const answer = await under.get(path)
    expect({ status: answer.status, code: errorCode(answer.body) }).toEqual({ status, code })
  })
})

describe('DNS rebinding: a Host that is not ours is 421', () => {
  test.each(['Host: evil.example', 'Host: evil.example:5050', 'Host: localhost.evil.example', 'Host: user@localhost'])(
    '%s',
    async (host) => {
      expect((await under.get('/v2/', [host])).status).toBe(421)
    },
  )

  test.each(['Host: localhost', 'Host: 127.0.0.1:5050', 'Host: [::1]:5050', 'Host: mirror.local:80'])(
    'ours: %s',
    async (host) => {
      expect((await under.get('/v2/', [host])).status).toBe(200)
    },
  )

  test('HTTP/1.1 without Host', async () => {
    expect((await sendRaw(under.port, 'GET /v2/ HTTP/1.1\r\nConnection: close\r\n\r\n')).status).toBe(400)
  })
})

describe('what is not HTTP as it should be', () => {
  test.each<[string, string]>([
    ['garbage', 'hello\r\n\r\n'],
    ['two lengths', 'GET /v2/ HTTP/1.1\r\nHost: localhost\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n'],
    [
      'length and chunks (smuggling)',
      'GET /v2/ HTTP/1.1\r\nHost: localhost\r\nContent-Length: 4\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n',
    ],
    ['a folded header', 'GET /v2/ HTTP/1.1\r\nHost: localhost\r\nX-A: b\r\n\tc\r\n: d\r\n\r\n'],
    ['a NUL in a header', 'GET /v2/ HTTP/1.1\r\nHost: localhost\r\nX-A: b\0c\r\n\r\n'],
  ])('%s: 400 in the OCI form, and the connection ends', async (_, text) => {
    const { status, body } = await sendRaw(under.port, text)
    expect({ status, code: errorCode(body) }).toEqual({ status: 400, code: 'UNSUPPORTED' })
  })

  test('a head larger than the limit is 431', async () => {
    const { status, body } = await under.get('/v2/', [`X-A: ${'a'.repeat(limits.mirrorHeadersMaxBytes)}`])
    expect({ status, code: errorCode(body) }).toEqual({ status: 431, code: 'UNSUPPORTED' })
  })

  test('a head with all that the limits allow for passes', async () => {
    expect((await under.get('/v2/', [`Authorization: Basic ${'a'.repeat(24_000)}`])).status).toBe(200)
  })
})

test('a slow request is closed without an answer, never with a 408', async () => {
  const strict = await startMirror({ requestMs: 20 * millisecond })
  const socket = connect(strict.port, '127.0.0.1')
  socket.write('GET /v2/ HTTP/1.1\r\nHost: loc')
  const { status, body } = await readToEnd(socket)
  expect({ status, bytes: body.length }).toEqual({ status: 0, bytes: 0 })
  await strict.mirror.close(0)
})

describe('one connection, many requests', () => {
  test('requests follow one another, also after an error', async () => {
    const texts = [requestText(under.port, 'GET', '/v2/'), requestText(under.port, 'GET', '/nowhere')]
    const { body } = await sendRaw(
      under.port,
      `${texts.join('')}${requestText(under.port, 'GET', '/v2/', ['Connection: close'])}`,
    )
    expect(body.toString().match(/HTTP\/1\.1 \d+/g)).toEqual(['HTTP/1.1 404', 'HTTP/1.1 200'])
  })

  test('garbage behind a request never ends up amid the body that is on its way', async () => {
    const own = await startMirror()
    const blob = own.blobs.add('0123456789')
    blob.holdAt = 5
    const socket = await openAndTake(own.port, requestText(own.port, 'GET', `/v2/app/blobs/${blob.digest}`), 1)
    socket.write('garbage\r\n\r\n')
    const { body } = await readToEnd(socket)
    expect(body.toString()).not.toContain('HTTP/1.1 400')
    expect(blob.digest).toBe(digestOf('0123456789'))
    await own.mirror.close(0)
  })
})

test('nothing of all this was authorised, asked of the origin, or opened', () => {
  expect({ subjects: under.subjects, asked: under.asked, opened: under.blobs.log.opened }).toEqual({
    subjects: [],
    asked: [],
    opened: [],
  })
})

const outward = ownAddress('0.0.0.0')

test.skipIf(outward === '127.0.0.1')(
  'a password is not asked for where it would leave the machine in clear',
  async () => {
    const everywhere = await startMirror({ host: '0.0.0.0' })
    onTestFinished(() => everywhere.mirror.close(0))
    const challenges = ['Basic realm="registry"']
    everywhere.refusal = new OriginError('unauthorized', 'who?', { status: 401, challenges })
    const ask = async (host: string) => {
      const response = await fetch(`http://${host}:${everywhere.port}/v2/app/manifests/v1?ns=reg.io`)
      return [response.status, response.headers.get('www-authenticate')]
    }
    expect(await ask('127.0.0.1')).toEqual([401, challenges[0]])
    expect(await ask(outward)).toEqual([404, null])
  },
)
