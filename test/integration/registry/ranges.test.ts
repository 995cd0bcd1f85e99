/** Ranges as lazy snapshotters and parallel pulls ask for them: one test for each line of the contract in facts/lazy-pull.md. */
import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest'
import { limits } from '../../../core/limits.ts'
import { addImage, type MemoryImage, patternBytes } from '../../support/images.ts'
import { digestOf, type MemoryBlob } from '../../support/memory-blobs.ts'
import { type MirrorUnderTest, startMirror } from '../../support/mirror.ts'
import type { RawResponse } from '../../support/raw-http.ts'

let under: MirrorUnderTest
let blob: MemoryBlob

beforeAll(async () => {
  under = await startMirror()
  blob = under.blobs.add(patternBytes(2048))
})
afterAll(() => under.mirror.close(0))
beforeEach(() => {
  under.blobs.log.reads.length = 0
  under.blobs.log.prefetched.length = 0
})

function getRange(range: string, of: MemoryBlob = blob): Promise<RawResponse> {
  return under.get(`/v2/app/blobs/${of.digest}`, [`Range: ${range}`])
}

test('HEAD: 200 with Content-Length, digest and Accept-Ranges, whatever Range says', async () => {
  const { status, headers, body } = await under.head(`/v2/app/blobs/${blob.digest}`, ['Range: bytes=0-1'])
  expect({ status, body: body.length }).toEqual({ status: 200, body: 0 })
  expect(headers).toMatchObject({
    'content-length': '2048',
    'docker-content-digest': blob.digest,
    'accept-ranges': 'bytes',
  })
})

describe('one range: 206 with exact Content-Range and Content-Length (the cases of the OCI suite, and of the snapshotters)', () => {
  test.each<[string, number, number]>([
    ['bytes=500-1499', 500, 1500],
    ['bytes=500-', 500, 2048],
    ['bytes=-500', 1548, 2048],
    ['bytes=2000-5000', 2000, 2048],
    ['bytes=0-1', 0, 2],
    ['bytes=0-0', 0, 1],
    ['bytes=-51', 1997, 2048],
    ['bytes=0-', 0, 2048],
    ['bytes=2047-', 2047, 2048],
    ['bytes=5-6,9000-', 5, 7],
  ])('%s', async (range, start, end) => {
    const { status, headers, body, ending } = await getRange(range)
    expect({ status, ending }).toEqual({ status: 206, ending: 'fin' })
    expect(headers).toMatchObject({
      'content-range': `bytes ${start}-${end - 1}/2048`,
      'content-length': String(end - start),
      'content-type': 'application/octet-stream',
      'accept-ranges': 'bytes',
    })
    expect(body.equals(blob.bytes.subarray(start, end))).toBe(true)
    expect(under.blobs.log.reads).toEqual([{ digest: blob.digest, range: { start, end }, whole: false }])
  })
})

test.each(['bytes=500-0', 'bytes=5000-10000', 'bytes=2048-', 'bytes=-0', 'bytes=3000-,4000-'])(
  'outside the content: 416 that tells the size, and reads no byte: %s',
  async (range) => {
    const { status, headers } = await getRange(range)
    expect({ status, range: headers['content-range'] }).toEqual({ status: 416, range: 'bytes */2048' })
    expect(under.blobs.log.reads).toEqual([{ digest: blob.digest, range: { start: 0, end: 0 }, whole: false }])
  },
)

test.each(['bytes=a-b', 'items=0-1', 'bytes=', 'bytes=0-,0-'])('ignored: 200 with everything: %s', async (range) => {
  const { status, headers, body } = await getRange(range)
  expect({ status, range: headers['content-range'] }).toEqual({ status: 200, range: undefined })
  expect(digestOf(body)).toBe(blob.digest)
})

/** What the parts of a multipart body say and hold. */
function partsOf({ headers, body }: RawResponse): { range: string | undefined; bytes: Buffer }[] {
  const boundary = /^multipart\/byteranges; boundary=(\S+)$/.exec(headers['content-type'] ?? '')?.[1] ?? 'none'
  const text = body.toString('latin1')
  const pieces = text.split(`\r\n--${boundary}`)
  expect(pieces[0]).toBe('')
  expect(pieces.at(-1)).toBe('--\r\n')
  return pieces.slice(1, -1).map((piece) => {
    const split = piece.indexOf('\r\n\r\n')
    return {
      range: /content-range: (.*)/i.exec(piece.slice(0, split))?.[1],
      bytes: Buffer.from(piece.slice(split + 4), 'latin1'),
    }
  })
}

test('several ranges: multipart/byteranges, in the order asked, with an exact Content-Length', async () => {
  const response = await getRange('bytes=100-199, 0-0,-10')
  expect({ status: response.status, ending: response.ending }).toEqual({ status: 206, ending: 'fin' })
  expect(response.headers['content-length']).toBe(String(response.body.length))
  const parts = partsOf(response)
  expect(parts.map(({ range }) => range)).toEqual(['bytes 100-199/2048', 'bytes 0-0/2048', 'bytes 2038-2047/2048'])
  const expected = [blob.bytes.subarray(100, 200), blob.bytes.subarray(0, 1), blob.bytes.subarray(2038)]
  expect(parts.every(({ bytes }, index) => bytes.equals(expected[index] ?? Buffer.alloc(0)))).toBe(true)
})

function specs(count: number): string {
  return `bytes=${Array.from({ length: count }, (_, index) => `${index}-${index}`).join(',')}`
}

test('as many parts as the limit are served, and ten thousand are refused by their size or answered whole', async () => {
  expect(partsOf(await getRange(specs(limits.rangePartsMax)))).toHaveLength(limits.rangePartsMax)
  expect((await getRange(specs(limits.rangePartsMax + 1))).status).toBe(200)
  expect((await getRange(specs(10_000))).status).toBe(431)
})

test('the header of a part leaves with the first bytes of the part', async () => {
  const slow = under.blobs.add(patternBytes(1000, 7))
  slow.failAt = 500
  const { status, body } = await getRange('bytes=0-9,500-509', slow)
  expect(status).toBe(206)
  expect(body.toString('latin1').match(/Content-Range/g)).toHaveLength(1)
})

describe('If-Range', () => {
  test('with our ETag the range counts', async () => {
    const { headers } = await under.head(`/v2/app/blobs/${blob.digest}`)
    const range = await under.get(`/v2/app/blobs/${blob.digest}`, ['Range: bytes=0-1', `If-Range: ${headers['etag']}`])
    expect(range.status).toBe(206)
  })

  test('with another validator it does not', async () => {
    const range = await under.get(`/v2/app/blobs/${blob.digest}`, ['Range: bytes=0-1', 'If-Range: "other"'])
    expect({ status: range.status, bytes: range.body.length }).toEqual({ status: 200, bytes: 2048 })
  })
})

describe('contents of a special size', () => {
  test('an empty blob: 200, with and without Range', async () => {
    const empty = under.blobs.add('')
    const answers = [await under.get(`/v2/app/blobs/${empty.digest}`), await getRange('bytes=0-', empty)]
    expect(answers.map(({ status, headers, ending }) => [status, headers['content-length'], ending])).toEqual([
      [200, '0', 'fin'],
      [200, '0', 'fin'],
    ])
  })

  test('one byte', async () => {
    const single = under.blobs.add('x')
    const { status, headers, body } = await getRange('bytes=0-', single)
    expect([status, headers['content-range'], body.toString()]).toEqual([206, 'bytes 0-0/1', 'x'])
  })
})

describe('manifests', () => {
  let image: MemoryImage

  beforeAll(() => {
    image = addImage(under.blobs, [10])
  })

  test('bytes=0- is 206 (containerd 2.1 with parallel layer ranges asks so)', async () => {
    const { digest, bytes } = image.manifest
    const { status, headers, body } = await under.get(`/v2/app/manifests/${digest}`, ['Range: bytes=0-'])
    expect({ status, range: headers['content-range'], digest: digestOf(body) }).toEqual({
      status: 206,
      range: `bytes 0-${bytes.length - 1}/${bytes.length}`,
      digest,
    })
  })

  test('a part, and 416', async () => {
    const path = `/v2/app/manifests/${image.manifest.digest}`
    const part = await under.get(path, ['Range: bytes=1-4'])
    expect([part.status, part.body.toString()]).toEqual([206, '"sch'])
    expect((await under.get(path, ['Range: bytes=100000-'])).status).toBe(416)
  })
})

test('open ranges at many offsets at a time, each cut by the client, are 206 every one (containerd 2.1 parallel)', async () => {
  const large = under.blobs.add(patternBytes(300_000, 3))
  const offsets = [0, 50_000, 100_000, 150_000, 200_000, 250_000]
  const answers = await Promise.all(offsets.map((offset) => getRange(`bytes=${offset}-`, large)))
  expect(answers.map(({ status }) => status)).toEqual(offsets.map(() => 206))
  expect(answers.every(({ body }, index) => body.equals(large.bytes.subarray(offsets[index])))).toBe(true)
})

describe('what is fetched ahead', () => {
  test('nothing from a manifest, nothing from a range, the next two layers from a whole layer', async () => {
    const { manifest, layers } = addImage(under.blobs, [11, 12, 13, 14])
    await under.get(`/v2/lazy/manifests/${manifest.digest}`)
    await under.get(`/v2/lazy/blobs/${layers[0]?.digest}`, ['Range: bytes=0-1'])
    await under.get(`/v2/lazy/blobs/${layers[0]?.digest}`, ['Range: bytes=0-'])
    expect(under.blobs.log.prefetched).toEqual([])
    await under.get(`/v2/lazy/blobs/${layers[0]?.digest}`)
    expect(under.blobs.log.prefetched.map(({ digest }) => digest)).toEqual([layers[1]?.digest, layers[2]?.digest])
  })
})
