/** What rules make of requests: which reach the origin and access, and what the others hear. */
import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest'
import { mediaTypes } from '../../../core/oci/manifest.ts'
import { addImage, type MemoryImage } from '../../support/images.ts'
import { type MirrorUnderTest, startMirror } from '../../support/mirror.ts'

let under: MirrorUnderTest
let image: MemoryImage

beforeAll(async () => {
  under = await startMirror({}, {}, [
    { pattern: 'reg.io/team/app:dev-*', action: 'pass' },
    { pattern: 'reg.io/team/**', action: 'mirror' },
    { pattern: 'reg.io/other/*', action: 'refuse' },
    { pattern: 'docker.io/library/app', action: 'refuse' },
    { pattern: 'reg.io', action: 'pass' },
  ])
  image = addImage(under.blobs, [300])
  const head = {
    digest: image.manifest.digest,
    size: image.manifest.bytes.length,
    mediaType: mediaTypes.ociManifest,
  }
  for (const name of [
    'reg.io/team/app:v1',
    'reg.io/team/app:dev-1',
    'reg.io/other/app:v1',
    'reg.io/app:v1',
    'docker.io/app:v1',
  ])
    under.tags.set(name, head)
})
afterAll(() => under.mirror.close(0))
beforeEach(() => {
  under.asked.length = 0
  under.subjects.length = 0
})

const passed = { status: 404, code: 'NAME_UNKNOWN', challenge: undefined }
const refused = { status: 403, code: 'DENIED', challenge: undefined }

async function ask(path: string) {
  const { status, headers, body } = await under.get(path)
  const { errors } = JSON.parse(body.toString()) as { errors: { code: string; message: string }[] }
  return { status, code: errors[0]?.code, message: errors[0]?.message, challenge: headers['www-authenticate'] }
}

describe.each<[string, object, string]>([
  ['/v2/team/app/manifests/dev-1?ns=reg.io', passed, 'Rule 1 (reg.io/team/app:dev-*)'],
  ['/v2/other/app/manifests/v1?ns=reg.io', refused, 'Rule 3 (reg.io/other/*)'],
  ['/v2/other/app/tags/list?ns=reg.io', refused, 'Rule 3 (reg.io/other/*)'],
  ['/v2/app/manifests/v1?ns=docker.io', refused, 'Rule 4 (docker.io/library/app)'],
  ['/v2/library/app/manifests/v1?ns=registry-1.docker.io', refused, 'Rule 4 (docker.io/library/app)'],
  ['/v2/docker.io/library/app/manifests/v1', refused, 'Rule 4 (docker.io/library/app)'],
  ['/v2/app/manifests/v1?ns=REG.io:443', passed, 'Rule 5 (reg.io)'],
])('%s', (path, expected, rule) => {
  test('is answered by the rule, and neither access nor the origin hears of it', async () => {
    expect(await ask(path)).toMatchObject({ ...expected, message: expect.stringContaining(rule) })
    expect({ asked: under.asked, subjects: under.subjects }).toEqual({ asked: [], subjects: [] })
  })
})

test('blobs are judged as their repository is, and by no tag', async () => {
  const [layer] = image.layers
  expect(await ask(`/v2/other/app/blobs/${layer?.digest}?ns=reg.io`)).toMatchObject(refused)
  expect((await under.get(`/v2/team/app/blobs/${layer?.digest}?ns=reg.io`)).status).toBe(200)
})

test('what a rule leaves to the mirror, or none matches, is served', async () => {
  expect((await under.get('/v2/team/app/manifests/v1?ns=reg.io')).status).toBe(200)
  expect((await under.get(`/v2/any/app/manifests/${image.manifest.digest}?ns=unlisted.io`)).status).toBe(200)
  expect(under.subjects).toHaveLength(2)
})
