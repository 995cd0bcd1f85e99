import { describe, expect, test } from 'vitest'
import { type AccessOptions, createAccess, type Subject } from '../../../agent/access/access.ts'
import { anonymous, revealAuthorization } from '../../../agent/upstream/credential.ts'
import { OriginError } from '../../../agent/upstream/origin-error.ts'
import type { Digest } from '../../../core/oci/digest.ts'
import { parseReference } from '../../../core/oci/reference.ts'
import { limits } from '../../../core/limits.ts'
import { hour } from '../../../core/units.ts'
import { createMemoryOrigin } from '../../support/memory-origin.ts'
import { digestOf, repository, someBytes } from '../../support/registry-content.ts'
import { virtualClock } from '../../support/virtual-clock.ts'

const origin = 'registry.example.com'
const layer = someBytes(100)
const manifest = digestOf(Buffer.from('{}'))
const secret = 'Basic dTpw'
const other = 'Basic eDp5'
const never = new AbortController().signal
const down = new OriginError('unavailable', 'no connection')

const repositories = {
  'team/open': repository('{}', [layer]),
  'team/shut': repository('{}', [layer], secret),
}

function world(options?: AccessOptions) {
  const clock = virtualClock()
  const registry = createMemoryOrigin({ [origin]: repositories })
  const access = createAccess({ origin: registry, clock, key: new Uint8Array(32).fill(3) }, options)
  /** The `Authorization` that the origin would be shown; undefined: nobody's. */
  const authorize = async (subject: Subject, authorization?: string): Promise<string | undefined> => {
    const credential = await access.authorize({ authorization }, subject, never)
    return credential === anonymous ? undefined : (revealAuthorization(credential) ?? 'nothing')
  }
  return { clock, registry, access, authorize }
}

function manifestOf(name: string, text = 'v1'): Subject {
  const reference = parseReference(text)
  if (reference === undefined) throw new TypeError(text)
  return { origin, repository: name, content: { kind: 'manifest', reference } }
}

function blobOf(name: string, digest: Digest = digestOf(layer)): Subject {
  return { origin, repository: name, content: { kind: 'blob', reference: { kind: 'digest', digest } } }
}

const asked = ({
  calls,
}: {
  calls: readonly { method: string; reference: string; authorization: string | undefined }[]
}) => calls.map(({ method, reference, authorization }) => `${method} ${reference} ${authorization ?? 'nobody'}`)

describe('a repository that anybody may read', () => {
  test('is open for a minute after the origin said so, for all it holds', async () => {
    const { registry, clock, authorize } = world()
    for (const subject of [manifestOf('team/open'), blobOf('team/open'), manifestOf('team/open', manifest)]) {
      expect(await authorize(subject)).toBeUndefined()
    }
    expect(asked(registry)).toEqual(['headManifest v1 nobody'])
    clock.advance(limits.accessOpenMs)
    await authorize(blobOf('team/open'))
    expect(asked(registry)).toEqual(['headManifest v1 nobody', 'headManifest v1 nobody'])
  })

  test('needs no credential, so none is passed on', async () => {
    const { registry, authorize } = world()
    expect(await authorize(manifestOf('team/open'), secret)).toBeUndefined()
    expect(asked(registry)).toEqual(['headManifest v1 nobody'])
  })

  test('is asked about by what is wanted where nothing is known yet', async () => {
    const { registry, authorize } = world()
    await authorize(blobOf('team/open'))
    expect(asked(registry)).toEqual([`headBlob ${digestOf(layer)} nobody`])
    const tags = world()
    await tags.authorize({ origin, repository: 'team/open' })
    expect(asked(tags.registry)).toEqual(['passThrough tags/list?n=1 nobody'])
  })

  test('is asked about by the blob when the tag that proved it is gone', async () => {
    const { registry, clock, authorize } = world()
    await authorize(manifestOf('team/open'))
    registry.hold({ [origin]: { 'team/open': { ...repositories['team/open'], tags: new Map() } } })
    clock.advance(limits.accessOpenMs)
    expect(await authorize(blobOf('team/open'))).toBeUndefined()
    expect(asked(registry).at(-1)).toBe(`headBlob ${digestOf(layer)} nobody`)
  })

  test('many at once ask once', async () => {
    const { registry, authorize } = world()
    await Promise.all(Array.from({ length: 10 }, () => authorize(manifestOf('team/open'))))
    expect(registry.calls).toHaveLength(1)
  })

  test('closes when the origin says so', async () => {
    const { registry, clock, authorize } = world()
    await authorize(manifestOf('team/open'))
    registry.hold({ [origin]: { 'team/open': repository('{}', [layer], secret) } })
    clock.advance(limits.accessOpenMs)
    await expect(authorize(blobOf('team/open'))).rejects.toMatchObject({ kind: 'unauthorized' })
    registry.fail(down)
    clock.advance(limits.accessClosedMs)
    await expect(authorize(blobOf('team/open'))).rejects.toBe(down)
  })
})

describe('a repository that is not open', () => {
  const refused = { kind: 'unauthorized', status: 401, challenges: ['Basic realm="test"'] }

  test('answers nobody with the challenge of the origin', async () => {
    const { authorize } = world()
    await expect(authorize(manifestOf('team/shut'))).rejects.toMatchObject(refused)
    await expect(authorize(blobOf('team/shut'))).rejects.toMatchObject(refused)
  })

  test('opens to the credential that the origin takes, for a minute', async () => {
    const { registry, clock, authorize } = world()
    expect(await authorize(manifestOf('team/shut'), secret)).toBe(secret)
    expect(await authorize(blobOf('team/shut'), secret)).toBe(secret)
    expect(asked(registry)).toEqual(['headManifest v1 nobody', `headManifest v1 ${secret}`])
    clock.advance(limits.accessOpenMs)
    expect(await authorize(blobOf('team/shut'), secret)).toBe(secret)
    expect(asked(registry).at(-1)).toBe(`headManifest v1 ${secret}`)
  })

  test('stays shut to every other credential', async () => {
    const { authorize } = world()
    await authorize(manifestOf('team/shut'), secret)
    await expect(authorize(manifestOf('team/shut'), other)).rejects.toMatchObject(refused)
    await expect(authorize(blobOf('team/shut'), other)).rejects.toMatchObject(refused)
    await expect(authorize(blobOf('team/shut'))).rejects.toMatchObject(refused)
    await expect(authorize(blobOf('team/shut'), 'Digest a=b')).rejects.toMatchObject(refused)
  })

  test('a grant is for one repository', async () => {
    const { registry, authorize } = world()
    registry.hold({ [origin]: { ...repositories, 'team/shut-too': repository('{}', [layer], other) } })
    await authorize(manifestOf('team/shut'), secret)
    await expect(authorize(blobOf('team/shut-too'), secret)).rejects.toMatchObject(refused)
  })

  test('a revoked credential is out after a minute', async () => {
    const { registry, clock, authorize } = world()
    await authorize(manifestOf('team/shut'), secret)
    registry.hold({ [origin]: { 'team/shut': repository('{}', [layer], other) } })
    clock.advance(limits.accessOpenMs)
    await expect(authorize(blobOf('team/shut'), secret)).rejects.toMatchObject(refused)
  })

  test('is asked about again soon, should it have been opened', async () => {
    const { registry, clock, authorize } = world()
    await expect(authorize(manifestOf('team/shut'))).rejects.toMatchObject(refused)
    registry.hold({ [origin]: { 'team/shut': repository('{}', [layer]) } })
    await expect(authorize(manifestOf('team/shut'))).rejects.toMatchObject(refused)
    clock.advance(limits.accessClosedMs)
    expect(await authorize(manifestOf('team/shut'))).toBeUndefined()
  })

  test('403 to nobody becomes the challenge that came before it', async () => {
    const { registry, authorize } = world()
    const challenges = ['Bearer realm="https://registry.example.com/token"']
    registry.fail(new OriginError('denied', 'not for all', { status: 403, challenges }))
    await expect(authorize(manifestOf('team/shut'))).rejects.toMatchObject({
      kind: 'unauthorized',
      status: 401,
      challenges,
    })
    registry.fail(new OriginError('denied', 'not for you', { status: 403 }))
    await expect(authorize(manifestOf('team/none'))).rejects.toMatchObject({ kind: 'denied', status: 403 })
  })
})

describe('what is not there', () => {
  test('is not found, and says nothing about the repository', async () => {
    const { authorize } = world()
    await expect(authorize(manifestOf('team/open', 'v2'))).rejects.toMatchObject({ kind: 'not-found', status: 404 })
    expect(await authorize(manifestOf('team/open'))).toBeUndefined()
  })

  test('a hidden repository shows itself to its credential', async () => {
    const { registry, authorize } = world()
    registry.hold({ [origin]: {} })
    await expect(authorize(manifestOf('team/shut'), secret)).rejects.toMatchObject({ kind: 'not-found' })
    registry.hold({ [origin]: repositories })
    expect(await authorize(manifestOf('team/shut'), secret)).toBe(secret)
  })
})

describe('while the origin is down', () => {
  test('what was open stays open for a day', async () => {
    const { registry, clock, authorize } = world()
    await authorize(manifestOf('team/open'))
    registry.fail(down)
    clock.advance(24 * hour - 1)
    expect(await authorize(blobOf('team/open'))).toBeUndefined()
    clock.advance(1)
    await expect(authorize(blobOf('team/open'))).rejects.toBe(down)
  })

  test('what was granted to a credential is not, unless policy says so', async () => {
    for (const [grantOutageMs, outcome] of [
      [0, 'rejected'],
      [hour, 'fulfilled'],
    ] as const) {
      const { registry, clock, authorize } = world({ grantOutageMs })
      await authorize(manifestOf('team/shut'), secret)
      registry.fail(down)
      clock.advance(limits.accessOpenMs)
      const [answer] = await Promise.allSettled([authorize(blobOf('team/shut'), secret)])
      expect(answer?.status).toBe(outcome)
      await expect(authorize(blobOf('team/shut'), other)).rejects.toBe(down)
    }
  })

  test.each(['protocol', 'rate-limited', 'forbidden-target'] as const)('%s is not down', async (kind) => {
    const { registry, clock, authorize } = world()
    await authorize(manifestOf('team/open'))
    const failure = new OriginError(kind, 'as the test wants it')
    registry.fail(failure)
    clock.advance(limits.accessOpenMs)
    await expect(authorize(blobOf('team/open'))).rejects.toBe(failure)
  })

  test('what nobody proved stays shut', async () => {
    const { registry, authorize } = world()
    registry.fail(down)
    await expect(authorize(manifestOf('team/open'))).rejects.toBe(down)
  })
})

test('an aborted caller hears its own reason', async () => {
  const { access } = world()
  const reason = new Error('enough')
  await expect(
    access.authorize({ authorization: undefined }, manifestOf('team/open'), AbortSignal.abort(reason)),
  ).rejects.toBe(reason)
})
