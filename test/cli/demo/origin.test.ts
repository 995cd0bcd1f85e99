import { createHash } from 'node:crypto'
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest'
import { createGuardian } from '../../../cli/demo/guardian.ts'
import { type Image, fiveUnequalLayers, makeImage, pulledBlobs, totalBytes } from '../../../cli/demo/image.ts'
import { type Origin, startOrigin } from '../../../cli/demo/origin.ts'
import { pullImage } from '../../../cli/demo/pull.ts'
import { untilTrue } from '../../../cli/demo/until.ts'
import { KiB, MiB } from '../../../core/units.ts'

const guardian = createGuardian()
let image: Image
let origin: Origin

beforeAll(async () => {
  image = await makeImage({
    directory: await guardian.directory(),
    seed: 'origin',
    layerSizesBytes: fiveUnequalLayers(4 * MiB),
  })
  origin = await startOrigin({ repositories: { 'demo/app': image } })
})
afterEach(() => origin.clearFaults())
afterAll(async () => {
  await origin.close()
  await guardian.close()
})

const layer = () => pulledBlobs(image, 'amd64').toSorted((a, b) => b.size - a.size)[0]
const layerUrl = () => `http://${origin.address}/v2/demo/app/blobs/${layer()?.digest}`
const pull = () =>
  pullImage({
    hosts: [`http://${origin.address}`],
    origin: origin.address,
    repository: 'demo/app',
    reference: 'latest',
  })

test('an image pulls whole, and the bytes sent are its bytes', async () => {
  const before = origin.bytesSent()
  const { blobs } = await pull()
  expect(blobs).toEqual(
    pulledBlobs(image, 'amd64').map(({ digest, mediaType, size }) =>
      expect.objectContaining({ digest, mediaType, size }),
    ),
  )
  expect(origin.bytesSent() - before).toBe(totalBytes(blobs))
})

test.each([
  ['bytes=10-19', () => [10, 19]],
  ['bytes=10-', (last: number) => [10, last]],
  ['bytes=-7', (last: number) => [last - 6, last]],
  ['bytes=0-999999999', (last: number) => [0, last]],
] as const)('Range: %s is answered with just these bytes', async (range, expected) => {
  const whole = await (await fetch(layerUrl())).bytes()
  const [first = 0, last = 0] = expected(whole.length - 1)
  const response = await fetch(layerUrl(), { headers: { range } })
  expect(response.status).toBe(206)
  expect(response.headers.get('content-range')).toBe(`bytes ${first}-${last}/${whole.length}`)
  expect(Buffer.compare(await response.bytes(), whole.subarray(first, last + 1))).toBe(0)
})

test('a range beyond the end is 416 with the size; several ranges are answered with the whole', async () => {
  const beyond = await fetch(layerUrl(), { headers: { range: 'bytes=999999999-' } })
  expect([beyond.status, beyond.headers.get('content-range')]).toEqual([416, `bytes */${layer()?.size}`])
  const several = await fetch(layerUrl(), { headers: { range: 'bytes=0-1,5-6' } })
  expect([several.status, (await several.bytes()).length]).toEqual([200, layer()?.size])
})

test('what it does not have is 404 with an OCI error', async () => {
  const response = await fetch(`http://${origin.address}/v2/demo/app/blobs/sha256:${'0'.repeat(64)}`)
  expect([response.status, await response.json()]).toEqual([
    404,
    { errors: [expect.objectContaining({ code: 'BLOB_UNKNOWN' })] },
  ])
})

describe('faults', () => {
  test('an early end is resumed by the client', async () => {
    origin.inject({ atByte: 100 * KiB, kind: 'end', times: 1 })
    expect(totalBytes((await pull()).blobs)).toBe(totalBytes(pulledBlobs(image, 'amd64')))
  })

  test('a reset fails the pull, as it fails that of containerd', async () => {
    origin.inject({ atByte: 100 * KiB, kind: 'reset', times: 1 })
    await expect(pull()).rejects.toThrow('ECONNRESET')
  })

  test('a corrupt byte is one flipped bit at its offset', async () => {
    const clean = await (await fetch(layerUrl())).bytes()
    origin.inject({ atByte: 100_000, kind: 'corrupt', times: 1 })
    const corrupt = await (await fetch(layerUrl())).bytes()
    const changed = [...corrupt.keys()].filter((index) => corrupt[index] !== clean[index])
    expect(changed).toEqual([100_000])
    expect(createHash('sha256').update(clean).digest('hex')).toBe(layer()?.digest.slice('sha256:'.length))
  })

  test('a stalled response counts what was sent, and ends with the origin, which comes back', async () => {
    origin.inject({ atByte: 100 * KiB, kind: 'stall', times: 1 })
    const response = await fetch(layerUrl())
    const body = response.bytes()
    const request = origin.requests.at(-1)
    await untilTrue('100 KiB sent', async () => request?.bodyBytes === 100 * KiB)
    const { address } = origin
    await origin.die()
    await expect(body).rejects.toThrow('terminated')
    await expect(fetch(layerUrl())).rejects.toThrow('fetch failed')
    await origin.comeBack()
    expect(origin.address).toBe(address)
    expect((await fetch(layerUrl())).status).toBe(200)
  })

  test('an origin that ignores Range sends all', async () => {
    origin.ignoreRange(true)
    const response = await fetch(layerUrl(), { headers: { range: 'bytes=10-19' } })
    origin.ignoreRange(false)
    expect([response.status, (await response.bytes()).length]).toEqual([200, layer()?.size])
  })
})

describe('access', () => {
  const credentials = { username: 'u', password: 'p' }
  const basic = `Basic ${btoa('u:p')}`

  test('a token is needed, and given for the right credentials only', async () => {
    const guarded = await startOrigin({
      repositories: { 'demo/app': image },
      access: { scheme: 'bearer', credentials },
    })
    const url = `http://${guarded.address}/v2/demo/app/manifests/latest`
    const challenge = (await fetch(url)).headers.get('www-authenticate')
    expect(challenge).toBe(
      `Bearer realm="http://${guarded.address}/token",service="demo",scope="repository:demo/app:pull"`,
    )
    const tokenUrl = `http://${guarded.address}/token`
    expect((await fetch(tokenUrl)).status).toBe(401)
    const form = new URLSearchParams({ grant_type: 'password', ...credentials })
    const { token } = (await (await fetch(tokenUrl, { method: 'POST', body: form })).json()) as { token: string }
    expect((await fetch(url, { headers: { authorization: `Bearer ${token}` } })).status).toBe(200)
    expect((await fetch(url, { headers: { authorization: `Bearer ${token}x` } })).status).toBe(401)
    await guarded.close()
  })

  test('Basic passes as it is', async () => {
    const guarded = await startOrigin({ repositories: { 'demo/app': image }, access: { scheme: 'basic', credentials } })
    const url = `http://${guarded.address}/v2/demo/app/manifests/latest`
    expect((await fetch(url)).status).toBe(401)
    expect((await fetch(url, { headers: { authorization: basic } })).status).toBe(200)
    await guarded.close()
  })
})
