import { describe, expect, test } from 'vitest'
import { createAccess } from '../../../agent/access/access.ts'
import { createKnownChallenges } from '../../../agent/access/challenges.ts'
import { createCredentialLives } from '../../../agent/access/credential-lives.ts'
import { createSparingOrigin } from '../../../agent/access/sparing-origin.ts'
import type { OriginPolicy } from '../../../agent/access/policy.ts'
import type { Subject } from '../../../agent/access/subject.ts'
import { anonymous, revealAuthorization } from '../../../agent/upstream/credential.ts'
import { OriginError } from '../../../agent/upstream/origin-error.ts'
import type { Digest } from '../../../core/oci/digest.ts'
import { parseReference } from '../../../core/oci/reference.ts'
import { limits } from '../../../core/limits.ts'
import { hour } from '../../../core/units.ts'
import { createMemoryOrigin } from '../../support/memory-origin.ts'
import { policyWith } from '../../support/policy.ts'
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

function world(policy: Partial<OriginPolicy> = {}) {
  const clock = virtualClock()
  const registry = createMemoryOrigin({ [origin]: repositories })
  const outcomes: string[] = []
  const challenges = createKnownChallenges()
  const lives = createCredentialLives({ clock, challenges })
  const access = createAccess({
    origin: createSparingOrigin(registry, lives),
    clock,
    challenges,
    lives,
    key: new Uint8Array(32).fill(3),
    policyOf: policyWith(policy),
    observer: {
      decided: (outcome) => outcomes.push(outcome),
      failedOver: ({ repository: name }, { failover }) => outcomes.push(`${name} by ${failover}`),
      recovered: ({ repository: name }) => outcomes.push(`${name} recovered`),
    },
  })
  /** The `Authorization` that the origin would be shown; undefined: nobody's. */
  const authorize = async (subject: Subject, authorization?: string): Promise<string | undefined> => {
    const credential = await access.authorize({ authorization }, subject, never)
    return credential === anonymous ? undefined : (revealAuthorization(credential) ?? 'nothing')
  }
  return { clock, registry, access, authorize, outcomes }
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

  test('says nothing of what it holds by its lists: some registries let those be read who may read no image', async () => {
    const { registry, authorize } = world()
    const lists = { origin, repository: 'team/open' }
    await authorize(lists)
    await authorize(lists, secret)
    registry.hold({ [origin]: { 'team/open': repositories['team/shut'] } })
    await expect(authorize(blobOf('team/open'))).rejects.toMatchObject({ kind: 'unauthorized' })
    await expect(authorize(manifestOf('team/open', manifest), other)).rejects.toMatchObject({ kind: 'unauthorized' })
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

describe('an image that a policy of the registry withholds', () => {
  test.each([412, 451])('by %i, leaves the others of its repository open', async (status) => {
    const { registry, authorize } = world()
    registry.fail(new OriginError('denied', 'by policy', { status }))
    await expect(authorize(manifestOf('team/open'))).rejects.toMatchObject({ kind: 'denied', status })
    registry.fail(undefined)
    expect(await authorize(blobOf('team/open'))).toBeUndefined()
  })

  test.each([412, 451])('by %i, leaves them open while the registry is down, too', async (status) => {
    const { registry, clock, authorize } = world()
    await authorize(manifestOf('team/open'))
    clock.advance(limits.accessOpenMs)
    registry.fail(new OriginError('denied', 'by policy', { status }), 'all', 'v2')
    await expect(authorize(manifestOf('team/open', 'v2'))).rejects.toMatchObject({ kind: 'denied', status })
    clock.advance(limits.accessOpenMs)
    registry.fail(down)
    expect(await authorize(manifestOf('team/open'))).toBeUndefined()
  })
})

describe('a content that the storage of the registry refuses', () => {
  test.each([401, 403])('by %i, leaves the others of its repository open', async (status) => {
    const { registry, authorize } = world()
    registry.fail(new OriginError('denied', 'by the storage', { status, elsewhere: true }))
    await expect(authorize(blobOf('team/open'))).rejects.toMatchObject({ kind: 'denied', status })
    registry.fail(undefined)
    expect(await authorize(manifestOf('team/open'))).toBeUndefined()
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
  test.each(['Deny', 'SameImage', 'SameRepository', 'SameRegistry'] as const)(
    'what was open stays open for a day: %s',
    async (failover) => {
      const { registry, clock, authorize, outcomes } = world({ failover })
      await authorize(manifestOf('team/open'))
      registry.fail(down)
      clock.advance(24 * hour - 1)
      expect(await authorize(blobOf('team/open'))).toBeUndefined()
      expect(outcomes).toEqual(['open', 'failover', `team/open by ${failover}`])
      clock.advance(1)
      await expect(authorize(blobOf('team/open'))).rejects.toMatchObject({ kind: 'unavailable' })
    },
  )

  test('what was open stays so though somebody asked for a tag that is not there, but not what is hidden since', async () => {
    const { registry, clock, authorize } = world()
    await authorize(manifestOf('team/open'))
    clock.advance(limits.accessOpenMs)
    await expect(authorize(manifestOf('team/open', 'v2'))).rejects.toMatchObject({ kind: 'not-found' })
    clock.advance(limits.accessOpenMs)
    registry.fail(down)
    expect(await authorize(manifestOf('team/open'))).toBeUndefined()
    registry.fail(undefined)
    registry.hold({ [origin]: {} })
    await expect(authorize(manifestOf('team/open', 'v2'))).rejects.toMatchObject({ kind: 'not-found' })
    registry.fail(down)
    await expect(authorize(manifestOf('team/open'))).rejects.toMatchObject({ kind: 'unavailable' })
  })

  test('all of an image counts on though somebody asked for a tag that is not there, but not the tag', async () => {
    const { registry, clock, authorize } = world({ failover: 'SameImage' })
    const image = [manifestOf('team/shut'), manifestOf('team/shut', manifest), blobOf('team/shut')]
    registry.hold({
      [origin]: {
        'team/shut': {
          ...repositories['team/shut'],
          tags: new Map([
            ['v1', manifest],
            ['v2', manifest],
          ]),
        },
      },
    })
    for (const subject of [...image, manifestOf('team/shut', 'v2'), ...image]) await authorize(subject, secret)
    clock.advance(limits.accessOpenMs)
    await authorize(manifestOf('team/shut'), secret)
    registry.hold({ [origin]: repositories })
    clock.advance(limits.accessOpenMs)
    await expect(authorize(manifestOf('team/shut', 'v2'), secret)).rejects.toMatchObject({ kind: 'not-found' })
    clock.advance(limits.accessOpenMs)
    registry.fail(down)
    for (const subject of image) expect(await authorize(subject, secret)).toBe(secret)
    await expect(authorize(manifestOf('team/shut', 'v2'), secret)).rejects.toMatchObject({ kind: 'unavailable' })
  })

  test('that an older yes counts is told once for each repository, and that it answers again as well', async () => {
    const { registry, clock, authorize, outcomes } = world()
    await authorize(manifestOf('team/open'))
    clock.advance(limits.accessOpenMs)
    for (const failure of [down, undefined, down]) {
      registry.fail(failure)
      for (const subject of [manifestOf('team/open'), blobOf('team/open')]) await authorize(subject)
      clock.advance(limits.accessOpenMs)
    }
    const told = outcomes.filter((outcome) => outcome.startsWith('team/open'))
    expect(told).toEqual(['team/open by Deny', 'team/open recovered', 'team/open by Deny'])
  })

  const tenants = {
    'team/shut': {
      ...repository('{}', [layer], secret),
      tags: new Map([
        ['v1', manifest],
        ['v2', manifest],
      ]),
    },
    'team/more': repository('{}', [layer], secret),
  }

  test.each([
    { failover: 'Deny', same: false, image: false, repo: false, stranger: false },
    { failover: 'SameImage', same: true, image: false, repo: false, stranger: false },
    { failover: 'SameRepository', same: true, image: true, repo: false, stranger: false },
    { failover: 'SameRegistry', same: true, image: true, repo: true, stranger: false },
    { failover: 'Allow', same: true, image: true, repo: true, stranger: true },
  ] as const)('a credential that was granted: %j', async ({ failover, same, image, repo, stranger }) => {
    const { registry, clock, authorize } = world({ failover, failoverMs: hour })
    registry.hold({ [origin]: tenants })
    await authorize(manifestOf('team/shut'), secret)
    registry.fail(down)
    clock.advance(hour - 1)
    const may = async (...question: Parameters<typeof authorize>) =>
      (await Promise.allSettled([authorize(...question)]))[0]?.status === 'fulfilled'
    expect({
      same: await may(manifestOf('team/shut'), secret),
      image: await may(manifestOf('team/shut', 'v2'), secret),
      repo: await may(manifestOf('team/more'), secret),
      stranger: (await may(manifestOf('team/shut'), other)) && (await may(manifestOf('team/shut'))),
    }).toEqual({ same, image, repo, stranger })
    clock.advance(1)
    expect(await may(manifestOf('team/shut'), secret)).toBe(failover === 'Allow')
  })

  test.each(['NewImage', 'NewRepository', 'NewRegistry'] as const)(
    'SameImage: what was read by what the origin said of something else was read, too: %s',
    async (enforcement) => {
      const { registry, clock, authorize } = world({ enforcement, failover: 'SameImage', failoverMs: hour })
      const [read, unread] = [someBytes(10), someBytes(20)]
      registry.hold({
        [origin]: {
          'team/shut': repository('{}', [layer], secret),
          'team/more': repository('{}', [read, unread], secret),
        },
      })
      await authorize(manifestOf('team/shut'), secret)
      await authorize(blobOf('team/shut'), secret)
      await authorize(blobOf('team/more', digestOf(read)), secret)
      registry.fail(down)
      clock.advance(hour - 1)
      expect(await authorize(blobOf('team/shut'), secret)).toBe(secret)
      expect(await authorize(blobOf('team/more', digestOf(read)), secret)).toBe(secret)
      await expect(authorize(blobOf('team/more', digestOf(unread)), secret)).rejects.toBe(down)
    },
  )

  test('an image that was pulled by tag may be pulled by its digest', async () => {
    const { registry, authorize } = world({ failover: 'SameImage' })
    await authorize(manifestOf('team/shut'), secret)
    registry.fail(down)
    expect(await authorize(manifestOf('team/shut', manifest), secret)).toBe(secret)
  })

  test.each(['SameImage', 'SameRepository', 'SameRegistry'] as const)(
    'a no ends all that was said before: %s',
    async (failover) => {
      const { registry, clock, authorize } = world({ failover })
      registry.hold({ [origin]: tenants })
      await authorize(manifestOf('team/shut'), secret)
      await authorize(manifestOf('team/shut', 'v2'), secret)
      clock.advance(limits.accessOpenMs)
      registry.hold({ [origin]: { 'team/shut': repository('{}', [layer], other) } })
      await expect(authorize(manifestOf('team/shut'), secret)).rejects.toMatchObject({ kind: 'unauthorized' })
      registry.fail(down)
      for (const tag of ['v1', 'v2'])
        await expect(authorize(manifestOf('team/shut', tag), secret)).rejects.toMatchObject({ kind: 'unavailable' })
    },
  )

  test('a request in vain has nobody ask again at once, however fresh the last answer to that', async () => {
    const { registry, authorize } = world({ enforcement: 'Every', failover: 'Allow' })
    await expect(authorize(manifestOf('team/shut'), other)).rejects.toMatchObject({ status: 401 })
    registry.fail(down)
    expect(await authorize(manifestOf('team/shut'), other)).toBeUndefined()
  })

  test('a credential that the origin chokes on does not close what it shows to everybody since', async () => {
    const { registry, authorize, outcomes } = world()
    await expect(authorize(manifestOf('team/shut'))).rejects.toMatchObject({ status: 401 })
    registry.hold({ [origin]: { 'team/shut': repository('{}', [layer]) } })
    registry.fail(new OriginError('unavailable', 'choked', { status: 500 }), 'somebody')
    expect(await authorize(manifestOf('team/shut'), other)).toBeUndefined()
    expect(outcomes).toEqual(['refused', 'open'])
  })

  test('Allow: an origin that answers nobody is not down, whatever it makes of a credential', async () => {
    const { registry, clock, authorize } = world({ failover: 'Allow' })
    await authorize(manifestOf('team/shut'), secret)
    clock.advance(limits.accessOpenMs)
    registry.fail(new OriginError('unavailable', 'choked', { status: 500 }), 'somebody')
    await expect(authorize(manifestOf('team/shut'), other)).rejects.toMatchObject({ status: 500 })
    await expect(authorize(manifestOf('team/shut'))).rejects.toMatchObject({ status: 401 })
    expect(await authorize(manifestOf('team/shut'), secret)).toBe(secret)
  })

  test('whoever shows nothing hears the challenge that the origin gave last, where a credential may help', async () => {
    for (const [failover, expected] of [
      ['SameRepository', { kind: 'unauthorized', status: 401, challenges: ['Basic realm="test"'] }],
      ['Deny', { kind: 'unavailable' }],
    ] as const) {
      const { registry, clock, authorize } = world({ failover })
      await expect(authorize(manifestOf('team/shut'))).rejects.toMatchObject({ status: 401 })
      registry.fail(down)
      clock.advance(limits.accessClosedMs)
      await expect(authorize(manifestOf('team/shut'))).rejects.toMatchObject(expected)
    }
  })

  test.each([
    ['protocol', undefined],
    ['rate-limited', 429],
    ['forbidden-target', undefined],
    ['unavailable', 408],
  ] as const)('%s %s is not down', async (kind, status) => {
    const { registry, clock, authorize } = world({ failover: 'SameRepository' })
    await authorize(manifestOf('team/open'))
    await authorize(manifestOf('team/shut'), secret)
    const failure = new OriginError(kind, 'as the test wants it', { status })
    registry.fail(failure)
    clock.advance(limits.accessOpenMs)
    await expect(authorize(blobOf('team/open'), secret)).rejects.toBe(failure)
    await expect(authorize(blobOf('team/shut'), secret)).rejects.toBe(failure)
  })

  test('what nobody proved stays shut', async () => {
    const { registry, authorize } = world({ failover: 'SameRegistry' })
    registry.fail(down)
    await expect(authorize(manifestOf('team/open'))).rejects.toBe(down)
    await expect(authorize(manifestOf('team/open'), secret)).rejects.toBe(down)
  })
})

const bearerFor = (name: string) => `Bearer realm="https://registry.example.com/token",scope="repository:${name}:pull"`

describe('when the origin limits the rate of nobody', () => {
  const limited = new OriginError('rate-limited', 'too many', { status: 429 })

  test('the caller is asked for its account, as the origin asked last', async () => {
    const { registry, authorize } = world()
    registry.fail(new OriginError('unauthorized', 'who?', { status: 401, challenges: [bearerFor('team/shut')] }))
    await expect(authorize(manifestOf('team/shut'))).rejects.toMatchObject({ status: 401 })
    registry.fail(limited)
    await expect(authorize(manifestOf('team/other'))).rejects.toMatchObject({
      kind: 'unauthorized',
      status: 401,
      challenges: [bearerFor('team/other')],
    })
  })

  test('and that account pays', async () => {
    const { registry, authorize } = world()
    registry.fail(limited, 'nobody')
    expect(await authorize(manifestOf('team/shut'), secret)).toBe(secret)
    expect(asked(registry)).toEqual(['headManifest v1 nobody', `headManifest v1 ${secret}`])
  })
})

describe('how far a yes reaches', () => {
  test.each([
    ['Every', 4],
    ['NewImage', 3],
    ['NewRepository', 2],
    ['NewRegistry', 1],
  ] as const)('%s: of four questions to two repositories the origin hears %i', async (enforcement, questions) => {
    const { registry, authorize } = world({ enforcement })
    registry.hold({
      [origin]: { 'team/shut': repositories['team/shut'], 'team/more': repository('{}', [layer], secret) },
    })
    const subjects = [manifestOf('team/shut'), manifestOf('team/shut'), blobOf('team/shut'), blobOf('team/more')]
    for (const subject of subjects) expect(await authorize(subject, secret)).toBe(secret)
    expect(asked(registry).filter((call) => call.endsWith(secret))).toHaveLength(questions)
  })

  test('NewImage asks for the content itself, not for another of its repository', async () => {
    const { registry, authorize } = world({ enforcement: 'NewImage' })
    await authorize(manifestOf('team/shut'), secret)
    await authorize(blobOf('team/shut'), secret)
    expect(asked(registry).at(-1)).toBe(`headBlob ${digestOf(layer)} ${secret}`)
  })

  test('what is shown to nobody opens no other repository, and no credential that is good for one', async () => {
    const { registry, authorize } = world({ enforcement: 'NewRegistry' })
    await authorize(manifestOf('team/open'))
    await expect(authorize(manifestOf('team/shut'))).rejects.toMatchObject({ kind: 'unauthorized' })
    expect(registry.calls).toHaveLength(2)
  })
})

/** A JSON Web Token. */
const token = (exp: unknown) =>
  `Bearer ${['{"alg":"none"}', JSON.stringify({ exp })].map((part) => Buffer.from(part).toString('base64url')).join('.')}.c2ln`

describe('a token that says when it ends', () => {
  test('grants until then', async () => {
    const bearer = token(Math.floor(Date.now() / 1000) + 20)
    const { registry, clock, authorize } = world({ failover: 'SameRepository' })
    registry.hold({ [origin]: { 'team/shut': repository('{}', [layer], bearer) } })
    await authorize(manifestOf('team/shut'), bearer)
    clock.advance(10_000)
    expect(await authorize(blobOf('team/shut'), bearer)).toBe(bearer)
    clock.advance(10_000)
    const askedBefore = registry.calls.length
    await expect(authorize(blobOf('team/shut'), bearer)).rejects.toMatchObject({ kind: 'unauthorized' })
    expect(asked(registry).slice(askedBefore)).toEqual([`headBlob ${digestOf(layer)} nobody`])
    registry.fail(down)
    await expect(authorize(blobOf('team/shut'), bearer)).rejects.toMatchObject({ kind: 'unauthorized' })
  })

  test.each([token('soon'), token(undefined), 'Bearer a.b.c', 'Bearer opaque'])(
    'else for a minute: %s',
    async (bearer) => {
      const { registry, clock, authorize } = world()
      registry.hold({ [origin]: { 'team/shut': repository('{}', [layer], bearer) } })
      await authorize(manifestOf('team/shut'), bearer)
      clock.advance(limits.accessOpenMs - 1)
      registry.fail(down)
      expect(await authorize(blobOf('team/shut'), bearer)).toBe(bearer)
    },
  )
})

describe('anonymous-only', () => {
  test('serves what is open, and sends everybody else to the origin without asking for a secret', async () => {
    const { registry, authorize } = world({ access: 'anonymous-only' })
    expect(await authorize(manifestOf('team/open'), secret)).toBeUndefined()
    const elsewhere = { code: 'NOT_MIRRORED', spec: { status: 404 } }
    await expect(authorize(manifestOf('team/shut'))).rejects.toMatchObject(elsewhere)
    await expect(authorize(manifestOf('team/shut'), secret)).rejects.toMatchObject(elsewhere)
    registry.fail(new OriginError('rate-limited', 'too many', { status: 429 }))
    await expect(authorize(manifestOf('team/new'), secret)).rejects.toMatchObject(elsewhere)
    expect(registry.calls.map(({ authorization }) => authorization)).toEqual([undefined, undefined, undefined])
  })
})

test('open: nobody is asked, and no credential is passed on', async () => {
  const { registry, authorize, outcomes } = world({ access: 'open' })
  expect(await authorize(manifestOf('team/shut'), secret)).toBeUndefined()
  expect(registry.calls).toEqual([])
  expect(outcomes).toEqual(['open'])
})

test('an aborted caller hears its own reason', async () => {
  const { access } = world()
  const reason = new Error('enough')
  await expect(
    access.authorize({ authorization: undefined }, manifestOf('team/open'), AbortSignal.abort(reason)),
  ).rejects.toBe(reason)
})
