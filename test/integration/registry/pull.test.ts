/** What containerd, Podman and Docker ask for, answered from memory (OCI distribution-spec 1.1; facts/protocols.md §1.2, §3). */
import { afterAll, beforeAll, beforeEach, describe, expect, onTestFinished, test } from 'vitest'
import { mediaTypes } from '../../../core/oci/manifest.ts'
import { limits } from '../../../core/limits.ts'
import { hour, minute } from '../../../core/units.ts'
import { OriginError } from '../../../agent/upstream/origin-error.ts'
import { addImage, addIndex, describe as descriptorOf, type MemoryImage, patternBytes } from '../../support/images.ts'
import { digestOf, type MemoryBlob } from '../../support/memory-blobs.ts'
import { type MirrorUnderTest, startMirror } from '../../support/mirror.ts'

let under: MirrorUnderTest
let image: MemoryImage
let index: MemoryBlob

beforeAll(async () => {
  under = await startMirror()
  image = addImage(under.blobs, [3000, 2000])
  index = addIndex(under.blobs, [image])
  under.tags.set('reg.io/app:v1', {
    digest: index.digest,
    size: index.bytes.length,
    mediaType: mediaTypes.ociIndex,
  })
})
afterAll(() => under.mirror.close(0))
beforeEach(() => {
  under.asked.length = 0
  under.subjects.length = 0
  under.callers.length = 0
  under.answered.length = 0
  under.blobs.log.opened.length = 0
  under.refusal = undefined
  under.lacks = undefined
  under.clock.advance(limits.tagTtlMs)
})

describe('GET /v2/', () => {
  test('is 200 at once, with the API version, and asks nobody', async () => {
    const { status, headers, body } = await under.get('/v2/')
    expect({ status, body: body.toString() }).toEqual({ status: 200, body: '{}' })
    expect(headers).toMatchObject({
      'content-type': 'application/json',
      'content-length': '2',
      'docker-distribution-api-version': 'registry/2.0',
    })
    expect(under.subjects).toEqual([])
  })

  test('HEAD has the same head and no body', async () => {
    const { status, headers, body } = await under.head('/v2/')
    expect({ status, length: headers['content-length'], body: body.toString() }).toEqual({
      status: 200,
      length: '2',
      body: '',
    })
  })
})

test('the pull of a multi-arch image by tag, request by request', async () => {
  const head = await under.head('/v2/app/manifests/v1?ns=reg.io')
  expect(head.status).toBe(200)
  expect(head.headers).toMatchObject({
    'content-type': mediaTypes.ociIndex,
    'content-length': String(index.bytes.length),
    'docker-content-digest': index.digest,
  })
  expect(head.body).toHaveLength(0)

  const indexAnswer = await under.get(`/v2/app/manifests/${index.digest}?ns=reg.io`)
  expect(indexAnswer.headers['content-type']).toBe(mediaTypes.ociIndex)
  expect(digestOf(indexAnswer.body)).toBe(index.digest)

  const manifest = await under.get(`/v2/app/manifests/${image.manifest.digest}?ns=reg.io`)
  expect(manifest.headers).toMatchObject({
    'content-type': mediaTypes.ociManifest,
    'content-length': String(image.manifest.bytes.length),
    'docker-content-digest': image.manifest.digest,
  })
  expect(digestOf(manifest.body)).toBe(image.manifest.digest)

  for (const blob of [image.config, ...image.layers]) {
    const answer = await under.get(`/v2/app/blobs/${blob.digest}?ns=reg.io`)
    expect({ status: answer.status, digest: digestOf(answer.body), ending: answer.ending }).toEqual({
      status: 200,
      digest: blob.digest,
      ending: 'fin',
    })
    expect(answer.headers).toMatchObject({
      'content-type': 'application/octet-stream',
      'content-length': String(blob.bytes.length),
      'accept-ranges': 'bytes',
      'docker-content-digest': blob.digest,
    })
  }
  expect(under.asked).toEqual(['reg.io/app:v1'])
  expect(under.blobs.openCount()).toBe(0)
})

test('sizes come from descriptors, so that nobody asks the origin for them', async () => {
  await under.get(`/v2/app/manifests/${image.manifest.digest}?ns=reg.io`)
  under.blobs.log.opened.length = 0
  const [layer] = image.layers
  await under.get(`/v2/app/blobs/${layer?.digest}?ns=reg.io`)
  expect(under.blobs.log.opened).toMatchObject([{ size: 3000, kind: 'blob', origin: 'reg.io', repository: 'app' }])
})

test('what one repository says of a digest is not believed of another repository', async () => {
  const victim = under.blobs.add(patternBytes(500, 9))
  const lie = { ...descriptorOf(victim, 'a/b'), size: 7 }
  const config = descriptorOf(image.config, 'a/b')
  const liar = under.blobs.add(JSON.stringify({ schemaVersion: 2, config, layers: [lie] }))
  await under.get(`/v2/liar/manifests/${liar.digest}?ns=reg.io`)
  const head = await under.head(`/v2/app/blobs/${victim.digest}?ns=reg.io`)
  expect(head.headers['content-length']).toBe('500')
})

describe('tags', () => {
  test('a GET by tag gives the manifest that the origin names', async () => {
    const { status, headers, body } = await under.get('/v2/app/manifests/v1?ns=reg.io')
    expect({ status, digest: digestOf(body) }).toEqual({ status: 200, digest: index.digest })
    expect(headers['docker-content-digest']).toBe(index.digest)
  })

  test('the answer of the origin serves all askers for a few seconds, then it is asked again', async () => {
    const heads = [
      await under.head('/v2/app/manifests/v1?ns=reg.io'),
      await under.head('/v2/app/manifests/v1?ns=reg.io'),
    ]
    expect(heads.map(({ status }) => status)).toEqual([200, 200])
    expect(under.asked).toHaveLength(1)
    under.clock.advance(limits.tagTtlMs)
    await under.head('/v2/app/manifests/v1?ns=reg.io')
    expect(under.asked).toHaveLength(2)
  })

  test('one that is told while the origin is down says since when it was not asked, on HEAD and GET', async () => {
    const stale = await startMirror({}, { failover: 'SameRepository' })
    onTestFinished(() => stale.mirror.close(0))
    const content = addImage(stale.blobs, [10]).manifest
    const head = { digest: content.digest, size: content.bytes.length, mediaType: mediaTypes.ociManifest }
    stale.tags.set('reg.io/app:v1', head)
    expect((await stale.head('/v2/app/manifests/v1?ns=reg.io')).headers).not.toHaveProperty('shoal-stale-since')
    stale.tags.set('reg.io/app:v1', new OriginError('unavailable', 'no connection'))
    stale.clock.advance(hour)
    const toldAtMs = Date.now()
    for (const method of ['head', 'get'] as const) {
      const { status, headers } = await stale[method]('/v2/app/manifests/v1?ns=reg.io')
      const since = headers['shoal-stale-since'] ?? ''
      expect({ status, digest: headers['docker-content-digest'] }).toEqual({ status: 200, digest: content.digest })
      expect(Math.abs(toldAtMs - hour - Date.parse(since))).toBeLessThan(minute)
      expect(headers['warning']).toBe(`299 - "The registry is down; it named this image by its tag at ${since}"`)
    }
  })

  test('an unknown tag is the 404 of the origin', async () => {
    const { status, body } = await under.get('/v2/app/manifests/none?ns=reg.io')
    expect(status).toBe(404)
    expect(JSON.parse(body.toString())).toMatchObject({ errors: [{ code: 'MANIFEST_UNKNOWN' }] })
  })
})

describe('digests', () => {
  test('HEAD by digest, of a manifest that no descriptor told of: its type stands in its body', async () => {
    const other = addImage(under.blobs, [77])
    const head = await under.head(`/v2/fresh/manifests/${other.manifest.digest}?ns=reg.io`)
    expect(head.status).toBe(200)
    expect(head.headers).toMatchObject({
      'content-type': mediaTypes.ociManifest,
      'content-length': String(other.manifest.bytes.length),
      'docker-content-digest': other.manifest.digest,
    })
    expect(under.asked).toEqual([])
  })

  test("the Content-Type is the origin's, also where the body names none", async () => {
    const config = descriptorOf(image.config, 'a/b')
    const plain = under.blobs.add(JSON.stringify({ schemaVersion: 2, config, layers: [] }))
    under.tags.set('reg.io/plain:v1', {
      digest: plain.digest,
      size: plain.bytes.length,
      mediaType: mediaTypes.dockerManifest,
    })
    expect((await under.get('/v2/plain/manifests/v1?ns=reg.io')).headers['content-type']).toBe(
      mediaTypes.dockerManifest,
    )
    expect((await under.get(`/v2/plain/manifests/${plain.digest}?ns=reg.io`)).headers['content-type']).toBe(
      mediaTypes.dockerManifest,
    )
  })

  test('an unknown digest is 404', async () => {
    const unknown = digestOf('unknown')
    const answers = [
      await under.get(`/v2/app/manifests/${unknown}?ns=reg.io`),
      await under.get(`/v2/app/blobs/${unknown}?ns=reg.io`),
      await under.head(`/v2/app/blobs/${unknown}?ns=reg.io`),
    ]
    expect(answers.map(({ status }) => status)).toEqual([404, 404, 404])
  })

  test('HEAD of a blob whose descriptor is known opens nothing', async () => {
    await under.get(`/v2/app/manifests/${image.manifest.digest}?ns=reg.io`)
    under.blobs.log.opened.length = 0
    const [layer] = image.layers
    const { status, headers, body } = await under.head(`/v2/app/blobs/${layer?.digest}?ns=reg.io`)
    expect({ status, body: body.length }).toEqual({ status: 200, body: 0 })
    expect(headers).toMatchObject({
      'content-length': '3000',
      'docker-content-digest': layer?.digest,
      'accept-ranges': 'bytes',
    })
    expect(under.blobs.log.opened).toEqual([])
  })
})

test('HEAD of what a manifest names, and the repository has not, is 404', async () => {
  await under.get(`/v2/app/manifests/${index.digest}?ns=reg.io`)
  await under.get(`/v2/app/manifests/${image.manifest.digest}?ns=reg.io`)
  for (const [kind, { digest }] of [
    ['manifests', image.manifest],
    ['blobs', image.config],
  ] as const) {
    under.lacks = digest
    expect((await under.head(`/v2/app/${kind}/${digest}?ns=reg.io`)).status).toBe(404)
  }
})

describe('manifests that are not what they should be', () => {
  test.each<[string, (other: MemoryBlob) => unknown]>([
    ['no JSON', () => 'hello'],
    ['image and index at once', () => ({ schemaVersion: 2, layers: [], manifests: [] })],
    ['a descriptor with a path for a digest', () => ({ schemaVersion: 2, layers: [{ digest: '../x', size: 1 }] })],
  ])('%s: 502 MANIFEST_INVALID, and containerd asks the origin', async (_, make) => {
    const document = make(index)
    const bad = under.blobs.add(typeof document === 'string' ? document : JSON.stringify(document))
    const { status, body } = await under.get(`/v2/app/manifests/${bad.digest}?ns=reg.io`)
    expect(status).toBe(502)
    expect(JSON.parse(body.toString())).toMatchObject({ errors: [{ code: 'MANIFEST_INVALID' }] })
  })

  test('one that the origin serves as another type than it is', async () => {
    const { digest, bytes } = image.manifest
    under.tags.set('reg.io/clash:v1', { digest, size: bytes.length, mediaType: mediaTypes.ociIndex })
    expect((await under.get('/v2/clash/manifests/v1?ns=reg.io')).status).toBe(502)
  })

  test('one that is too large is not read', async () => {
    const large = under.blobs.add(new Uint8Array(limits.manifestSizeMaxBytes + 1))
    under.blobs.log.reads.length = 0
    expect((await under.get(`/v2/app/manifests/${large.digest}?ns=reg.io`)).status).toBe(502)
    expect(under.blobs.log.reads).toEqual([])
    expect(under.blobs.openCount()).toBe(0)
  })

  test('foreign urls are never fetched ahead', async () => {
    const foreign = addImage(under.blobs, [10, 20, 30], ['http://169.254.169.254/'])
    await under.get(`/v2/app/manifests/${foreign.manifest.digest}?ns=reg.io`)
    under.blobs.log.prefetched.length = 0
    await under.get(`/v2/app/blobs/${foreign.layers[0]?.digest}?ns=reg.io`)
    expect(under.blobs.log.prefetched).toEqual([])
  })
})

describe('access', () => {
  test('is asked before anything is opened, about exactly what was parsed, with the header as it came', async () => {
    await under.get(`/v2/app/blobs/${image.config.digest}?ns=reg.io`, ['Authorization: Bearer abc'])
    await under.get('/v2/reg.io/app/manifests/v1')
    await under.get('/v2/app/tags/list?ns=reg.io')
    expect(under.callers).toEqual(['Bearer abc', undefined, undefined])
    expect(under.subjects).toEqual([
      {
        origin: 'reg.io',
        repository: 'app',
        content: { kind: 'blob', reference: { kind: 'digest', digest: image.config.digest } },
      },
      { origin: 'reg.io', repository: 'app', content: { kind: 'manifest', reference: { kind: 'tag', tag: 'v1' } } },
      { origin: 'reg.io', repository: 'app' },
    ])
  })

  test("the origin's 401 reaches the client with its challenges, and nothing was opened", async () => {
    const challenge = 'Bearer realm="https://auth.reg.io/token",service="reg.io",scope="repository:app:pull"'
    under.refusal = new OriginError('unauthorized', 'reg.io wants a token', {
      status: 401,
      challenges: [challenge],
      body: { errors: [{ code: 'UNAUTHORIZED', message: 'authentication required', detail: undefined }] },
    })
    for (const path of [`blobs/${image.config.digest}`, 'manifests/v1', `manifests/${index.digest}`, 'tags/list']) {
      const { status, headers, body } = await under.get(`/v2/app/${path}?ns=reg.io`)
      expect({ status, challenge: headers['www-authenticate'] }).toEqual({ status: 401, challenge })
      expect(JSON.parse(body.toString())).toEqual({
        errors: [{ code: 'UNAUTHORIZED', message: 'authentication required' }],
      })
    }
    expect(under.blobs.log.opened).toEqual([])
    expect(under.asked).toEqual([])
  })

  test.each<[string, OriginError, number]>([
    ['403', new OriginError('denied', 'no', { status: 403 }), 403],
    ['412 (Harbor)', new OriginError('denied', 'no', { status: 412 }), 412],
    ['503', new OriginError('unavailable', 'no', { status: 503 }), 503],
    ['a success that can not be used', new OriginError('protocol', 'no', { status: 200 }), 502],
    ['a redirect', new OriginError('protocol', 'no', { status: 304 }), 502],
    ['no connection', new OriginError('unavailable', 'no'), 503],
    ['a host that may not be asked', new OriginError('forbidden-target', 'no'), 403],
    ['408', new OriginError('unavailable', 'no', { status: 408 }), 503],
  ])('the client hears of %s', async (_, refusal, status) => {
    under.refusal = refusal
    expect((await under.get('/v2/app/manifests/v1?ns=reg.io')).status).toBe(status)
  })

  test("a 429 of the origin is a 503 with the origin's Retry-After", async () => {
    under.refusal = new OriginError('rate-limited', 'slow down', { status: 429, retryAfterMs: 1500 })
    const { status, headers } = await under.get('/v2/app/manifests/v1?ns=reg.io')
    expect({ status, wait: headers['retry-after'] }).toEqual({ status: 503, wait: '2' })
  })

  test('a fault of our own is a 500 that tells nothing of itself', async () => {
    under.refusal = new TypeError('secret internals')
    const { status, body } = await under.get('/v2/app/manifests/v1?ns=reg.io')
    expect(status).toBe(500)
    expect(body.toString()).not.toContain('secret')
  })
})

describe('lists', () => {
  const body = Buffer.from('{"tags":["v1"]}')

  test('tags and referrers are passed through', async () => {
    const type = { 'content-type': 'application/json' }
    under.lists.set('reg.io/app/tags/list?n=1', { status: 200, headers: type, body })
    const tags = await under.get('/v2/app/tags/list?n=1&ns=reg.io')
    expect({ status: tags.status, body: tags.body.toString(), type: tags.headers['content-type'] }).toEqual({
      status: 200,
      body: body.toString(),
      type: 'application/json',
    })
    const referrers = { 'content-type': mediaTypes.ociIndex, 'oci-filters-applied': 'artifactType' }
    under.lists.set(`reg.io/app/referrers/${index.digest}?artifactType=a%2Fb`, {
      status: 200,
      headers: referrers,
      body,
    })
    const answer = await under.get(`/v2/app/referrers/${index.digest}?artifactType=a/b&ns=reg.io`)
    expect(answer.headers).toMatchObject(referrers)
  })

  test.each([
    ['with its ns', '/v2/app/tags/list?ns=reg.io', '</v2/app/tags/list?n=2&last=b&ns=reg.io>; rel="next"'],
    ['under its prefix', '/v2/reg.io/app/tags/list', '</v2/reg.io/app/tags/list?n=2&last=b>; rel="next"'],
  ])('the link to the next page is one that the client can ask us for: %s', async (_, path, link) => {
    const headers = { link: '</v2/app/tags/list?n=2&last=b>; rel="next"' }
    under.lists.set('reg.io/app/tags/list?', { status: 200, headers, body })
    expect((await under.get(path)).headers['link']).toBe(link)
  })

  test('an origin without the referrers API: its 404 makes clients look for the tag', async () => {
    expect((await under.get(`/v2/app/referrers/${index.digest}?ns=reg.io`)).status).toBe(404)
  })
})

describe('what is never sent', () => {
  test('compression, whatever the client accepts', async () => {
    const { headers, body } = await under.get(`/v2/app/blobs/${image.layers[0]?.digest}?ns=reg.io`, [
      'Accept-Encoding: zstd;q=1.0, gzip;q=0.8, deflate;q=0.5',
    ])
    expect(headers['content-encoding']).toBeUndefined()
    expect(digestOf(body)).toBe(image.layers[0]?.digest)
  })

  test('a 304, which would fail the pull', async () => {
    const { status } = await under.get(`/v2/app/blobs/${image.config.digest}?ns=reg.io`, [
      `If-None-Match: "${image.config.digest}"`,
    ])
    expect(status).toBe(200)
  })
})

test('what became of each request is told, with bytes and time to the first', async () => {
  await under.get(`/v2/app/blobs/${image.layers[0]?.digest}?ns=reg.io`)
  await under.head(`/v2/app/blobs/${image.layers[0]?.digest}?ns=reg.io`)
  await under.get('/nowhere')
  expect(under.answered).toMatchObject([
    { kind: 'blob', status: 200, bytes: 3000, timeToFirstByteMs: 0, outcome: 'finished', error: undefined },
    { kind: 'blob', status: 200, bytes: 0, timeToFirstByteMs: undefined, outcome: 'finished' },
    { kind: 'none', status: 404, outcome: 'finished', error: { code: 'ROUTE_UNKNOWN' } },
  ])
})
