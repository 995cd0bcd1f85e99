/** The rules of facts/protocols.md §0 for whoever answers containerd, watched on the wire. */
import { once } from 'node:events'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { OriginError } from '../../../agent/upstream/origin-error.ts'
import { limits } from '../../../core/limits.ts'
import { MiB, millisecond } from '../../../core/units.ts'
import { patternBytes } from '../../support/images.ts'
import { digestOf, type MemoryBlob } from '../../support/memory-blobs.ts'
import { type MirrorUnderTest, startMirror } from '../../support/mirror.ts'
import { openAndTake, readToEnd, request, requestText } from '../../support/raw-http.ts'
import { until } from '../../support/until.ts'

let under: MirrorUnderTest
let blob: MemoryBlob
let path: string

beforeEach(async () => {
  under = await startMirror()
  blob = under.blobs.add(patternBytes(200_000))
  path = `/v2/app/blobs/${blob.digest}?ns=reg.io`
})
afterEach(() => under.mirror.close(0))

describe('rule 1: an error before the first byte is an error that containerd falls back from', () => {
  test.each<[string, (failing: MemoryBlob) => void, number]>([
    ['open: nowhere to be had', (it) => (it.openError = new OriginError('not-found', 'gone', { status: 404 })), 404],
    ['open: the origin is down', (it) => (it.openError = new OriginError('unavailable', 'down')), 503],
    ['open: rate limited', (it) => (it.openError = new OriginError('rate-limited', 'slow', { status: 429 })), 503],
    ['read: the origin answers nonsense', (it) => failAt(it, 0, new OriginError('protocol', 'odd')), 502],
    ['read: the origin is down', (it) => failAt(it, 0, new OriginError('unavailable', 'down')), 503],
    ['read: a fault of our own', (it) => failAt(it, 0, new TypeError('oops')), 500],
  ])('%s', async (_, arrange, status) => {
    arrange(blob)
    const answer = await under.get(path)
    expect({ status: answer.status, ending: answer.ending }).toEqual({ status, ending: 'fin' })
    expect(JSON.parse(answer.body.toString())).toMatchObject({ errors: [{ code: expect.any(String) }] })
    expect(under.blobs.openCount()).toBe(0)
  })
})

function failAt(it: MemoryBlob, offset: number, failure: Error): void {
  it.failAt = offset
  it.failure = failure
}

describe('rule 2: the head leaves with the first bytes, and a body that breaks off ends in FIN', () => {
  test('no head while no byte is in hand', async () => {
    blob.holdAt = 0
    const answer = under.get(path)
    await until(() => under.blobs.readCount() === 1)
    failAt(blob, 0, new OriginError('unavailable', 'down'))
    blob.holdAt = undefined
    under.blobs.wake()
    expect((await answer).status).toBe(503)
  })

  test.each([1, 70_000, 199_999])('broken after %i bytes: all of them arrive, then FIN and no RST', async (offset) => {
    failAt(blob, offset, new OriginError('unavailable', 'down'))
    const { status, headers, body, ending } = await under.get(path)
    expect({ status, length: headers['content-length'], ending }).toEqual({
      status: 200,
      length: '200000',
      ending: 'fin',
    })
    expect(body.equals(blob.bytes.subarray(0, offset))).toBe(true)
    expect(under.answered).toMatchObject([{ kind: 'blob', status: 200, bytes: offset, outcome: 'broken' }])
  })

  test('FIN also on a connection that is kept alive, and with megabytes not yet taken by the client', async () => {
    const large = under.blobs.add(patternBytes(9 * MiB, 5))
    large.pieceBytes = 9 * MiB
    failAt(large, 8 * MiB, new OriginError('unavailable', 'down'))
    const socket = await openAndTake(under.port, requestText(under.port, 'GET', `/v2/app/blobs/${large.digest}`), 1)
    await until(() => under.blobs.readCount() === 1)
    const { ending } = await readToEnd(socket)
    expect({ ending, bytes: socket.bytesRead > 8 * MiB }).toEqual({ ending: 'fin', bytes: true })
  })

  test.each([
    ['ends early', -1, 199_999],
    ['gives too much', 1, 200_000],
  ])('a source that %s: FIN, and never a byte beyond Content-Length', async (_, surplus, bytes) => {
    blob.surplus = surplus
    const { headers, body, ending } = await under.get(path)
    expect({ length: headers['content-length'], bytes: body.length, ending }).toEqual({
      length: '200000',
      bytes,
      ending: 'fin',
    })
    expect(under.answered).toMatchObject([{ outcome: 'broken', error: { code: 'STREAM_BROKEN' } }])
  })

  test('the Range request that follows is 404 for a while, so that containerd takes the rest from the origin', async () => {
    failAt(blob, 70_000, new OriginError('unavailable', 'down'))
    await under.get(path)
    blob.failAt = undefined
    const rest = ['Range: bytes=70000-']
    expect((await under.get(path, rest)).status).toBe(404)
    under.clock.advance(limits.brokenContentMs - 1)
    expect((await under.get(path, rest)).status).toBe(404)
    under.clock.advance(1)
    const { status, body } = await under.get(path, rest)
    expect({ status, equal: body.equals(blob.bytes.subarray(70_000)) }).toEqual({ status: 206, equal: true })
  })

  test('unless the blob is complete by then', async () => {
    failAt(blob, 70_000, new OriginError('unavailable', 'down'))
    await under.get(path)
    blob.failAt = undefined
    blob.complete = true
    expect((await under.get(path, ['Range: bytes=70000-'])).status).toBe(206)
  })

  test('only that content of that repository, and only ranges of it, are sent away', async () => {
    failAt(blob, 70_000, new OriginError('unavailable', 'down'))
    await under.get(path)
    blob.failAt = undefined
    const other = under.blobs.add(patternBytes(100, 2))
    const answers = await Promise.all([
      under.get(path),
      under.get(`/v2/other/blobs/${blob.digest}?ns=reg.io`, ['Range: bytes=70000-']),
      under.get(`/v2/app/blobs/${other.digest}?ns=reg.io`, ['Range: bytes=7-']),
    ])
    expect(answers.map(({ status }) => status)).toEqual([200, 206, 206])
  })

  test('what failed before its first byte, or because the client left, does not count as broken', async () => {
    failAt(blob, 0, new OriginError('unavailable', 'down'))
    await under.get(path)
    failAt(blob, 0, new TypeError('never reached'))
    blob.failAt = undefined
    blob.holdAt = 100_000
    const socket = await openAndTake(under.port, requestText(under.port, 'GET', path), 100_000)
    socket.destroy()
    await until(() => under.blobs.readCount() === 0)
    blob.holdAt = undefined
    expect((await under.get(path, ['Range: bytes=7-'])).status).toBe(206)
  })
})

describe('the client leaves or sleeps', () => {
  test('a client that closes mid-body ends the read and closes the content', async () => {
    blob.holdAt = 100_000
    const socket = await openAndTake(under.port, requestText(under.port, 'GET', path), 1000)
    expect([under.blobs.readCount(), under.blobs.openCount()]).toEqual([1, 1])
    socket.destroy()
    await until(() => under.blobs.readCount() === 0 && under.blobs.openCount() === 0)
    await until(() => under.answered.length === 1)
    expect(under.answered).toMatchObject([{ outcome: 'client-gone' }])
  })

  test('so does one that closes before the first byte', async () => {
    blob.holdAt = 0
    const answer = openAndTake(under.port, requestText(under.port, 'GET', path), 0)
    await until(() => under.blobs.readCount() === 1)
    const socket = await answer
    socket.destroy()
    await until(() => under.answered.length === 1)
    expect([under.blobs.readCount(), under.blobs.openCount()]).toEqual([0, 0])
  })

  test('a parallel pull that drops its connection amid a write does not spoil its other ranges', async () => {
    const large = under.blobs.add(patternBytes(20 * MiB, 4))
    large.pieceBytes = 20 * MiB
    const largePath = `/v2/app/blobs/${large.digest}`
    const text = requestText(under.port, 'GET', largePath, ['Range: bytes=0-'])
    const socket = await openAndTake(under.port, text, 1)
    socket.resetAndDestroy()
    await until(() => under.answered.length === 1)
    expect(under.answered).toMatchObject([{ outcome: 'client-gone' }])
    expect((await under.get(largePath, ['Range: bytes=20971519-'])).status).toBe(206)
  })

  test('a client that takes nothing is dropped; one that waits for us is not', async () => {
    const strict = await startMirror({ clientStallMs: 50 * millisecond })
    const large = strict.blobs.add(patternBytes(30 * MiB, 5))
    const held = strict.blobs.add(patternBytes(1000, 6))
    held.holdAt = 500
    const waiting = request(strict.port, 'GET', `/v2/app/blobs/${held.digest}`)
    const sleeper = await openAndTake(strict.port, requestText(strict.port, 'GET', `/v2/app/blobs/${large.digest}`), 1)
    await until(() => strict.answered.length === 1)
    expect(strict.answered).toMatchObject([{ outcome: 'client-gone', status: 200 }])
    held.holdAt = undefined
    strict.blobs.wake()
    expect(digestOf((await waiting).body)).toBe(held.digest)
    sleeper.destroy()
    await strict.mirror.close(0)
  })
})

describe('close', () => {
  test('lets a running response finish, and takes no new connection', async () => {
    blob.holdAt = 100_000
    const running = under.get(path)
    await until(() => under.blobs.readCount() === 1)
    const closed = under.mirror.close(limits.mirrorLingerMs)
    expect((await under.get('/v2/')).ending).toBe('ECONNREFUSED')
    blob.holdAt = undefined
    under.blobs.wake()
    expect(digestOf((await running).body)).toBe(blob.digest)
    await closed
  })

  test('ends with FIN what does not finish in time', async () => {
    blob.holdAt = 100_000
    const running = under.get(path)
    await until(() => under.blobs.readCount() === 1)
    await under.mirror.close(1 * millisecond)
    const { status, body, ending } = await running
    expect({ status, ending, equal: body.equals(blob.bytes.subarray(0, 100_000)) }).toEqual({
      status: 200,
      ending: 'fin',
      equal: true,
    })
    expect(under.blobs.openCount()).toBe(0)
  })

  test('answers 503 to what has no byte yet', async () => {
    blob.holdAt = 0
    const running = under.get(path)
    await until(() => under.blobs.readCount() === 1)
    await under.mirror.close(1 * millisecond)
    expect((await running).status).toBe(503)
  })

  test('does not wait for idle connections', async () => {
    const idle = await openAndTake(under.port, requestText(under.port, 'GET', '/v2/'), 1)
    const ended = once(idle, 'close')
    idle.resume()
    await under.mirror.close(limits.mirrorLingerMs)
    expect(await ended).toEqual([false])
  })
})
