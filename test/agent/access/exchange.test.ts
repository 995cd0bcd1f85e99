/** Mode `exchange`: what a caller shows, and what it hears. The exchange itself: test/integration/upstream/accounts.test.ts. */
import { expect, test } from 'vitest'
import { createAccess } from '../../../agent/access/access.ts'
import { createKnownChallenges } from '../../../agent/access/challenges.ts'
import { createCredentialLives } from '../../../agent/access/credential-lives.ts'
import type { OriginPolicy } from '../../../agent/access/policy.ts'
import type { Subject } from '../../../agent/access/subject.ts'
import { type Credential, revealAccount, revealAuthorization } from '../../../agent/upstream/credential.ts'
import { OriginError } from '../../../agent/upstream/origin-error.ts'
import { hour } from '../../../core/units.ts'
import { policyWith } from '../../support/policy.ts'
import { digestOf } from '../../support/registry-content.ts'
import { virtualClock } from '../../support/virtual-clock.ts'

const origin = 'registry.example.com'
const subject: Subject = {
  origin,
  repository: 'team/app',
  content: { kind: 'manifest', reference: { kind: 'tag', tag: 'v1' } },
}
const never = new AbortController().signal
const challenges = ['Bearer realm="https://registry.example.com/token"']
const unauthorized = new OriginError('unauthorized', 'who?', { status: 401, challenges })
const down = new OriginError('unavailable', 'no connection')
const basic = (text: string) => `Basic ${Buffer.from(text).toString('base64')}`

/** The origin says yes to nobody, and to others until it `fails`. */
function world(failover: OriginPolicy['failover'] = 'Deny') {
  const clock = virtualClock()
  const digest = digestOf(Buffer.from('{}'))
  const registry = { shown: [] as Credential[], fails: undefined as OriginError | undefined }
  const known = createKnownChallenges()
  const lives = createCredentialLives({ clock, challenges: known })
  const access = createAccess({
    origin: {
      async headManifest(_at, _reference, credential) {
        registry.shown.push(credential)
        if (registry.fails !== undefined) throw registry.fails
        if (credential.key === 'anonymous') throw unauthorized
        return { digest, mediaType: 'a/b', size: 2 }
      },
      headBlob: () => Promise.reject(down),
      passThrough: () => Promise.reject(down),
    },
    clock,
    challenges: known,
    lives,
    key: new Uint8Array(32).fill(3),
    policyOf: policyWith({ access: 'exchange', failover, failoverMs: hour }),
    observer: { decided: () => {}, failedOver: () => {}, recovered: () => {} },
  })
  const authorize = (authorization?: string) => access.authorize({ authorization }, subject, never)
  return { clock, registry, authorize }
}

test('asks for a password where the origin asks for a token', async () => {
  const { authorize } = world()
  const asked = { kind: 'unauthorized', status: 401, challenges: ['Basic realm="registry.example.com"'] }
  await expect(authorize()).rejects.toMatchObject(asked)
})

test.each([
  ['robot:canary', { kind: 'password', username: 'robot', password: 'canary' }],
  ['robot:with:colons', { kind: 'password', username: 'robot', password: 'with:colons' }],
  ['<token>:canary', { kind: 'identity-token', token: 'canary' }],
])('%s is an account of the origin, for its token service and no header of ours', async (text, account) => {
  const { authorize, registry } = world()
  const credential = await authorize(basic(text))
  expect(registry.shown.map(revealAccount)).toEqual([undefined, account])
  expect(revealAccount(credential)).toEqual(account)
  expect(revealAuthorization(credential)).toBeUndefined()
})

test('a token that the caller has already is passed on as it is', async () => {
  const { authorize } = world()
  expect(revealAuthorization(await authorize('Bearer token'))).toBe('Bearer token')
})

test('a password that is refused is not asked for again', async () => {
  const { authorize, registry } = world()
  registry.fails = unauthorized
  await expect(authorize(basic('robot:wrong'))).rejects.toMatchObject({ status: 401, challenges: [] })
})

test('a password is recognised while the origin is down, and another one is not', async () => {
  const { authorize, registry, clock } = world('SameRepository')
  await authorize(basic('robot:canary'))
  registry.fails = down
  clock.advance(hour - 1)
  await expect(authorize()).rejects.toMatchObject({ challenges: ['Basic realm="registry.example.com"'] })
  expect(revealAccount(await authorize(basic('robot:canary')))).toMatchObject({ username: 'robot' })
  await expect(authorize(basic('robot:guess'))).rejects.toBe(down)
  clock.advance(1)
  await expect(authorize(basic('robot:canary'))).rejects.toBe(down)
})
