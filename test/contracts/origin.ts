import { buffer } from 'node:stream/consumers'
import { expect, test } from 'vitest'
import { anonymous, createCredential, type Credential } from '../../agent/upstream/credential.ts'
import type { OriginClient, RangeWanted } from '../../agent/upstream/origin-client.ts'
import { digestOf, manifestType, type Repositories, repository, someBytes } from '../support/registry-content.ts'

const layer = someBytes(100_000)
const empty = new Uint8Array(0)
const body = '{"schemaVersion":2}'
const digest = digestOf(Buffer.from(body))
const unknown = digestOf(Buffer.from('unknown'))

/** `Basic u:p`. */
const authorization = 'Basic dTpw'

const notFound = { kind: 'not-found', status: 404 }

/** What the origin under test holds. */
export const contractRepositories: Repositories = {
  'team/open': repository(body, [layer, empty]),
  'team/shut': repository(body, [layer], authorization),
}

export interface OriginUnderTest {
  readonly client: OriginClient
  /** The origin that holds `contractRepositories`. */
  readonly origin: string
}

const key = new Uint8Array(32).fill(7)
const never = new AbortController().signal

function credentialOf(text: string): Credential {
  const credential = createCredential(text, key)
  if (credential === undefined) throw new TypeError('not a credential')
  return credential
}

/** What every origin client holds to. */
export function originContract(get: () => OriginUnderTest): void {
  const open = () => ({ origin: get().origin, repository: 'team/open' })
  const shut = () => ({ origin: get().origin, repository: 'team/shut' })
  const wanted = (part: Partial<RangeWanted>): RangeWanted => ({
    ...open(),
    kind: 'blob',
    digest: digestOf(layer),
    start: 0,
    end: layer.length,
    size: layer.length,
    ...part,
  })
  const fetched = async (part: Partial<RangeWanted>) => {
    const answer = await get().client.fetchRange(wanted(part), anonymous, never)
    return { ...answer, body: await buffer(answer.body) }
  }

  test('a tag and a digest mean the same manifest', async () => {
    const { client } = get()
    const head = { digest, mediaType: manifestType, size: body.length }
    expect(await client.headManifest(open(), 'v1', anonymous, never)).toEqual(head)
    expect(await client.headManifest(open(), digest, anonymous, never)).toEqual(head)
    const manifest = await client.getManifest(open(), 'v1', anonymous, never)
    expect(manifest).toEqual({ digest, mediaType: manifestType, body: Buffer.from(body) })
    expect(await client.getManifest(open(), digest, anonymous, never)).toEqual(manifest)
  })

  test('what is not there is not found', async () => {
    const { client } = get()
    await expect(client.headManifest(open(), 'v2', anonymous, never)).rejects.toMatchObject(notFound)
    await expect(client.getManifest(open(), unknown, anonymous, never)).rejects.toMatchObject(notFound)
    await expect(client.headBlob(open(), unknown, anonymous, never)).rejects.toMatchObject(notFound)
    await expect(
      client.headManifest({ ...open(), repository: 'team/none' }, 'v1', anonymous, never),
    ).rejects.toMatchObject(notFound)
    await expect(client.fetchRange(wanted({ digest: unknown }), anonymous, never)).rejects.toMatchObject(notFound)
  })

  test('the size of a blob', async () => {
    const { client } = get()
    expect(await client.headBlob(open(), digestOf(layer), anonymous, never)).toEqual({ size: layer.length })
    expect(await client.headBlob(open(), digestOf(empty), anonymous, never)).toEqual({ size: 0 })
  })

  test.each([
    [0, 1],
    [0, 100_000],
    [12_345, 67_890],
    [99_999, 100_000],
  ])('bytes %i to %i', async (start, end) => {
    const answer = await fetched({ start, end })
    expect(answer).toEqual({ ranged: true, start, total: layer.length, body: Buffer.from(layer.subarray(start, end)) })
  })

  test('an empty blob, and a manifest by range', async () => {
    expect((await fetched({ digest: digestOf(empty), end: 0, size: 0 })).body).toEqual(Buffer.alloc(0))
    const manifest = await get().client.fetchRange(
      { ...open(), kind: 'manifest', digest, start: 0, end: body.length, size: body.length },
      anonymous,
      never,
    )
    expect((await buffer(manifest.body)).toString()).toBe(body)
  })

  test("another size than the origin has is the origin's fault", async () => {
    await expect(
      get().client.fetchRange(wanted({ start: 0, end: 10, size: 99 }), anonymous, never),
    ).rejects.toMatchObject({ kind: 'protocol' })
  })

  test.each([
    [5, 5],
    [5, 4],
    [-1, 4],
    [0, 100_001],
  ])('bytes %i to %i are a mistake of the caller', async (start, end) => {
    await expect(get().client.fetchRange(wanted({ start, end }), anonymous, never)).rejects.toThrow(RangeError)
  })

  test('a private repository wants its credential and no other', async () => {
    const { client } = get()
    const refused = { kind: 'unauthorized', status: 401, challenges: ['Basic realm="test"'] }
    await expect(client.headManifest(shut(), 'v1', anonymous, never)).rejects.toMatchObject(refused)
    await expect(client.headManifest(shut(), 'v1', credentialOf('Basic eDp5'), never)).rejects.toMatchObject(refused)
    const head = await client.headManifest(shut(), 'v1', credentialOf(authorization), never)
    expect(head.digest).toBe(digest)
    const answer = await client.fetchRange(wanted({ ...shut(), end: 10 }), credentialOf(authorization), never)
    expect(await buffer(answer.body)).toEqual(Buffer.from(layer.subarray(0, 10)))
  })

  test('tags are passed through', async () => {
    const answer = await get().client.passThrough(open(), 'tags/list', 'n=10', anonymous, never)
    expect(answer).toMatchObject({ status: 200, headers: { 'content-type': 'application/json' } })
    expect(JSON.parse(Buffer.from(answer.body).toString())).toEqual({ name: 'team/open', tags: ['v1'] })
  })

  test('only origins that may be asked, by their canonical names', async () => {
    const { client, origin } = get()
    expect(client.site(origin.toUpperCase()).origin).toBe(origin)
    for (const text of ['169.254.169.254', 'user@registry.example', `${origin}/path`, 'a b', '']) {
      expect(() => client.site(text)).toThrow(expect.objectContaining({ kind: 'forbidden-target' }))
    }
    await expect(client.headManifest({ ...open(), origin: '10.1.2.3' }, 'v1', anonymous, never)).rejects.toMatchObject({
      kind: 'forbidden-target',
    })
  })

  test.each(['Team/open', '../etc', 'team//open', ''])('the name %j is a mistake of the caller', async (name) => {
    await expect(get().client.headManifest({ ...open(), repository: name }, 'v1', anonymous, never)).rejects.toThrow(
      RangeError,
    )
  })

  test('an aborted caller hears its own reason', async () => {
    const reason = new Error('enough')
    const aborted = AbortSignal.abort(reason)
    await expect(get().client.headManifest(open(), 'v1', anonymous, aborted)).rejects.toBe(reason)
    await expect(get().client.fetchRange(wanted({}), anonymous, aborted)).rejects.toBe(reason)
    const controller = new AbortController()
    const answer = await get().client.fetchRange(wanted({}), anonymous, controller.signal)
    controller.abort(reason)
    await expect(buffer(answer.body)).rejects.toBe(reason)
  })
}
