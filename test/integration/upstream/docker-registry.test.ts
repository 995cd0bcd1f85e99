import { buffer } from 'node:stream/consumers'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { type ReferenceRegistry, startRegistryProcess } from '../../../cli/demo/docker-registry.ts'
import { createGuardian, type Guardian } from '../../../cli/demo/guardian.ts'
import { anonymous } from '../../../agent/upstream/credential.ts'
import type { OriginClient } from '../../../agent/upstream/origin-client.ts'

import { lacks } from '../../support/needs.ts'
import { digestOf, manifestType, someBytes } from '../../support/registry-content.ts'
import { never, world } from './client-world.ts'

const layer = someBytes(300_000)
const config = Buffer.from('{"architecture":"amd64","os":"linux"}')
const manifest = Buffer.from(
  JSON.stringify({
    schemaVersion: 2,
    mediaType: manifestType,
    config: { mediaType: 'application/vnd.oci.image.config.v1+json', digest: digestOf(config), size: config.length },
    layers: [{ mediaType: 'application/vnd.oci.image.layer.v1.tar', digest: digestOf(layer), size: layer.length }],
  }),
)

async function pushBlob(base: string, bytes: Uint8Array): Promise<void> {
  const { headers } = await fetch(`${base}/blobs/uploads/`, { method: 'POST' })
  const url = new URL(headers.get('location') ?? '', base)
  url.searchParams.set('digest', digestOf(bytes))
  await put(url, { body: Buffer.from(bytes) })
}

async function put(url: string | URL, content: RequestInit): Promise<void> {
  const { status } = await fetch(url, { ...content, method: 'PUT' })
  if (status !== 201) throw new Error(`docker-registry answered ${status}`)
}

describe.skipIf(lacks('docker-registry'))('docker-registry as the origin', () => {
  let guardian: Guardian
  let registry: ReferenceRegistry

  beforeAll(async () => {
    guardian = createGuardian()
    registry = await startRegistryProcess(guardian)
    const base = `http://${registry.address}/v2/team/app`
    await pushBlob(base, layer)
    await pushBlob(base, config)
    const headers = { 'content-type': manifestType }
    await put(`${base}/manifests/v1`, { headers, body: manifest })
  })
  afterAll(async () => {
    await registry.stop()
    await guardian.close()
  })

  function start(): { client: OriginClient; at: { origin: string; repository: string } } {
    const { client } = world({ origins: [{ host: registry.address, plainHttp: true }] })
    return { client, at: { origin: registry.address, repository: 'team/app' } }
  }

  test('tags, manifests, sizes and lists', async () => {
    const { client, at } = start()
    const head = { digest: digestOf(manifest), mediaType: manifestType, size: manifest.length }
    expect(await client.headManifest(at, 'v1', anonymous, never)).toEqual(head)
    expect((await client.getManifest(at, head.digest, anonymous, never)).body).toEqual(manifest)
    expect(await client.headBlob(at, digestOf(layer), anonymous, never)).toEqual({ size: layer.length })
    const tags = await client.passThrough(at, 'tags/list', 'n=1', anonymous, never)
    expect(JSON.parse(Buffer.from(tags.body).toString())).toEqual({ name: 'team/app', tags: ['v1'] })
    await expect(client.headManifest(at, 'v2', anonymous, never)).rejects.toMatchObject({ kind: 'not-found' })
  })

  test('ranges', async () => {
    const { client, at } = start()
    const wanted = { ...at, kind: 'blob', digest: digestOf(layer), size: layer.length } as const
    const answer = await client.fetchRange({ ...wanted, start: 100_000, end: 200_001 }, anonymous, never)
    expect(answer).toMatchObject({ ranged: true, start: 100_000 })
    expect((await buffer(answer.body)).equals(layer.subarray(100_000, 200_001))).toBe(true)
    const whole = await client.fetchRange({ ...wanted, start: 0, end: layer.length }, anonymous, never)
    expect((await buffer(whole.body)).equals(layer)).toBe(true)
  })
})
