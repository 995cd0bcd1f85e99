import { describe, expect, test } from 'vitest'
import type { OriginPolicy } from '../../../agent/access/policy.ts'
import { createTags } from '../../../agent/registry/tags.ts'
import { anonymous, createCredential } from '../../../agent/upstream/credential.ts'
import { OriginError } from '../../../agent/upstream/origin-error.ts'
import { limits } from '../../../core/limits.ts'
import { hour } from '../../../core/units.ts'
import { digestOf, repository } from '../../support/registry-content.ts'
import { createMemoryOrigin } from '../../support/memory-origin.ts'
import { policyWith } from '../../support/policy.ts'
import { virtualClock } from '../../support/virtual-clock.ts'

const at = { origin: 'registry.example.com', repository: 'team/app' }
const never = new AbortController().signal

function world(policy: Partial<OriginPolicy> = {}) {
  const clock = virtualClock()
  const origin = createMemoryOrigin({ [at.origin]: { [at.repository]: repository('{}', []) } })
  const told: string[] = []
  const tags = createTags({
    origin,
    clock,
    policyOf: policyWith(policy),
    onStale: ({ repository: name }, tag, { staleMs }, isNews) =>
      told.push(`${name}:${tag} ${staleMs}${isNews ? '' : ' again'}`),
  })
  return { clock, origin, tags, told }
}

test('what the origin was asked of a tag resolves it, for three seconds', async () => {
  const { clock, origin, tags } = world()
  const asked = await tags.ask(at, 'v1', anonymous, never)
  expect(await tags.resolve(at, 'v1', anonymous, never)).toEqual(asked)
  expect(origin.calls).toHaveLength(1)
  clock.advance(limits.tagTtlMs)
  await tags.resolve(at, 'v1', anonymous, never)
  expect(origin.calls).toHaveLength(2)
})

test('it resolves nothing for another credential, and asking asks each time', async () => {
  const { origin, tags } = world()
  await tags.ask(at, 'v1', anonymous, never)
  await tags.ask(at, digestOf(Buffer.from('{}')), anonymous, never)
  await tags.resolve(at, 'v1', createCredential('Basic dTpw', new Uint8Array(32))!, never)
  await tags.ask(at, 'v1', anonymous, never)
  expect(origin.calls.map(({ reference }) => reference)).toEqual(['v1', digestOf(Buffer.from('{}')), 'v1', 'v1'])
})

describe('while the origin is down', () => {
  const down = new OriginError('unavailable', 'no connection')
  const account = createCredential('Basic dTpw', new Uint8Array(32))!

  test.each(['SameImage', 'SameRepository', 'SameRegistry', 'Allow'] as const)(
    '%s: a tag means what it meant last, for the time that policy gives, whoever asked then',
    async (failover) => {
      const { clock, origin, tags, told } = world({ failover, failoverMs: hour })
      const asked = await tags.ask(at, 'v1', account, never)
      origin.fail(down)
      clock.advance(hour - 1)
      expect(await tags.resolve(at, 'v1', anonymous, never)).toEqual({ ...asked, staleMs: hour - 1 })
      expect(told).toEqual([`team/app:v1 ${hour - 1}`])
      clock.advance(1)
      await expect(tags.resolve(at, 'v1', anonymous, never)).rejects.toBe(down)
    },
  )

  test('that a tag is told as it was is news once, until the origin answers', async () => {
    const { clock, origin, tags, told } = world({ failover: 'Allow' })
    for (const failure of [undefined, down, down, undefined, down]) {
      origin.fail(failure)
      await tags.resolve(at, 'v1', anonymous, never)
      clock.advance(limits.tagTtlMs)
    }
    const age = limits.tagTtlMs
    expect(told).toEqual([`team/app:v1 ${age}`, `team/app:v1 ${2 * age} again`, `team/app:v1 ${age}`])
  })

  test('Deny: a tag means nothing', async () => {
    const { clock, origin, tags } = world({ failover: 'Deny' })
    await tags.ask(at, 'v1', anonymous, never)
    origin.fail(down)
    clock.advance(limits.tagTtlMs)
    await expect(tags.resolve(at, 'v1', anonymous, never)).rejects.toBe(down)
  })

  test('a tag that was gone before is gone', async () => {
    const { origin, tags } = world({ failover: 'Allow' })
    await tags.ask(at, 'v1', account, never)
    origin.hold({ [at.origin]: { [at.repository]: { ...repository('{}', []), tags: new Map() } } })
    await expect(tags.ask(at, 'v1', account, never)).rejects.toMatchObject({ kind: 'not-found' })
    origin.fail(down)
    await expect(tags.resolve(at, 'v1', anonymous, never)).rejects.toBe(down)
  })

  test('a tag is gone that was gone to another token, which the origin lets in', async () => {
    const { origin, tags } = world({ failover: 'Allow' })
    const [before, after] = ['before', 'after'].map((token) => createCredential(`Bearer ${token}`, new Uint8Array(32))!)
    await tags.ask(at, 'v1', before!, never)
    origin.hold({ [at.origin]: { [at.repository]: { ...repository('{}', []), tags: new Map() } } })
    await expect(tags.ask(at, 'v1', after!, never)).rejects.toMatchObject({ kind: 'not-found' })
    origin.fail(down)
    await expect(tags.resolve(at, 'v1', anonymous, never)).rejects.toBe(down)
  })

  const stranger = createCredential('Bearer stranger', new Uint8Array(32))!

  test.each([anonymous, stranger])(
    'a tag that the origin hides from one means to others what it meant',
    async (one) => {
      const { origin, tags } = world({ failover: 'Allow' })
      const asked = await tags.ask(at, 'v1', account, never)
      origin.fail(new OriginError('not-found', 'hidden', { status: 404 }))
      await expect(tags.ask(at, 'v1', one, never)).rejects.toMatchObject({ kind: 'not-found' })
      origin.fail(down)
      expect(await tags.resolve(at, 'v1', anonymous, never)).toEqual({ ...asked, staleMs: 0 })
    },
  )

  test.each([
    ['rate-limited', 429],
    ['unauthorized', 401],
    ['denied', 403],
    ['protocol', undefined],
    ['unavailable', 408],
  ] as const)('%s %s is not down', async (kind, status) => {
    const { clock, origin, tags } = world({ failover: 'Allow' })
    await tags.ask(at, 'v1', anonymous, never)
    const failure = new OriginError(kind, 'as the test wants it', { status })
    origin.fail(failure)
    clock.advance(limits.tagTtlMs)
    await expect(tags.resolve(at, 'v1', anonymous, never)).rejects.toBe(failure)
  })
})
