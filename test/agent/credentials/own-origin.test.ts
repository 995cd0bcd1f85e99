import { buffer } from 'node:stream/consumers'
import { describe, expect, test } from 'vitest'
import type { OwnCredentials } from '../../../agent/credentials/own-credentials.ts'
import { createKnownChallenges } from '../../../agent/access/challenges.ts'
import { createCredentialLives } from '../../../agent/access/credential-lives.ts'
import { createOwnOrigin } from '../../../agent/credentials/own-origin.ts'
import { anonymous, createCredential, type Credential } from '../../../agent/upstream/credential.ts'
import type { OriginClient } from '../../../agent/upstream/origin-client.ts'
import { OriginError, type OriginErrorKind } from '../../../agent/upstream/origin-error.ts'
import { limits } from '../../../core/limits.ts'
import { virtualClock } from '../../support/virtual-clock.ts'
import { createMemoryOrigin } from '../../support/memory-origin.ts'
import { digestOf, manifestType } from '../../support/registry-content.ts'

const body = Buffer.from('{"schemaVersion":2}')
const digest = digestOf(body)
const at = { origin: 'registry.test', repository: 'team/app' }
const { signal } = new AbortController()

function credential(name: string): Credential {
  return createCredential(`Bearer ${name}`, new Uint8Array(32)) ?? anonymous
}

const alice = credential('alice')

function said(message: string) {
  return { errors: [{ code: 'DENIED', message, detail: undefined }] }
}

/** An origin that takes Alice's credential until `turn`, and an agent that has `ours`. */
function world(ours: readonly string[]) {
  const clock = virtualClock()
  const contents = {
    tags: new Map(),
    manifests: new Map([[digest, { mediaType: manifestType, body }]]),
    blobs: new Map([[digest, body]]),
  }
  /** Takes this credential and no other; without one, it is open. */
  const holding = (name?: string) => {
    const repository = { ...contents, authorization: name === undefined ? undefined : `Bearer ${name}` }
    return { 'registry.test': { 'team/app': repository, 'team/other': repository } }
  }
  const memory = createMemoryOrigin(holding('alice'))
  let toAlice: OriginError | undefined
  const answering: OriginClient = {
    ...memory,
    getManifest: async (...request) => {
      if (toAlice !== undefined && request[2] === alice) throw toAlice
      return memory.getManifest(...request)
    },
  }
  const looked: string[] = []
  const lives = createCredentialLives({ clock, challenges: createKnownChallenges() })
  const own: OwnCredentials = {
    isEmpty: false,
    async *candidates({ repository: name }) {
      looked.push(name)
      for (const one of ours) yield credential(one)
    },
  }
  let ownFetches = 0
  const onOwn = () => void ownFetches++
  const { origin, byteOrigin, lifeOf } = createOwnOrigin({ origin: answering, own, lives, clock, onOwn })
  return {
    clock,
    memory,
    origin,
    byteOrigin,
    lifeOf,
    lives,
    looked,
    turn: (name?: string) => memory.hold(holding(name)),
    /** What the origin says to Alice from now on, whoever is let in. */
    sayToAlice: (error: OriginError) => void (toAlice = error),
    shown: () => memory.calls.map(({ authorization }) => authorization?.slice('Bearer '.length)),
    ownFetches: () => ownFetches,
    fetch: (by: Credential, repository = 'team/app') =>
      byteOrigin.getManifest({ ...at, repository }, digest, by, signal),
  }
}

test("the caller's credential is shown first, and ours only once the origin has no use for it any more", async () => {
  const { fetch, turn, shown, looked, ownFetches } = world(['ours'])
  await fetch(alice)
  expect(looked).toEqual([])
  turn('ours')
  await fetch(alice)
  expect(shown()).toEqual(['alice', 'alice', 'ours'])
  expect(ownFetches()).toBe(1)
})

test.each(['headManifest', 'headBlob'] as const)('%s tells that the origin takes a credential', async (method) => {
  const { origin, fetch, turn, shown } = world(['ours'])
  await origin[method](at, digest, alice, signal)
  turn('ours')
  await fetch(alice)
  expect(shown()).toEqual(['alice', 'alice', 'ours'])
})

test('the first of ours that is taken fetches manifests and ranges', async () => {
  const { byteOrigin, fetch, turn, shown, ownFetches } = world(['first', 'second', 'third'])
  await fetch(alice)
  turn('second')
  expect((await fetch(alice)).digest).toBe(digest)
  expect(shown()).toEqual(['alice', 'alice', 'first', 'second'])
  const wanted = { ...at, kind: 'blob', digest, start: 0, end: body.length, size: body.length } as const
  const { body: pieces } = await byteOrigin.fetchRange(wanted, alice, signal)
  expect(await buffer(pieces)).toEqual(body)
  expect(ownFetches()).toBe(2)
})

test('a credential that has run out is not shown with each range, but again after a while', async () => {
  const { clock, fetch, turn, shown } = world(['ours'])
  await fetch(alice)
  turn('ours')
  await fetch(alice)
  await fetch(alice)
  expect(shown()).toEqual(['alice', 'alice', 'ours', 'ours'])
  clock.advance(limits.originRefusedMs)
  await fetch(alice)
  expect(shown().slice(4)).toEqual(['alice', 'ours'])
})

describe('nobody is let further than the origin let them', () => {
  test('not who shows nothing, even where the repository was open', async () => {
    const { origin, fetch, turn, looked } = world(['ours'])
    turn()
    await origin.headBlob(at, digest, anonymous, signal)
    turn('ours')
    await expect(fetch(anonymous)).rejects.toMatchObject({ kind: 'unauthorized', challenges: ['Basic realm="test"'] })
    expect(looked).toEqual([])
  })

  test('not by a credential that the origin never took, nor took for another repository only', async () => {
    const { fetch, turn, looked } = world(['ours'])
    await expect(fetch(credential('mallory'))).rejects.toMatchObject({ kind: 'unauthorized' })
    await fetch(alice)
    turn('ours')
    await expect(fetch(alice, 'team/other')).rejects.toMatchObject({ kind: 'unauthorized' })
    expect(looked).toEqual([])
  })

  test('not long after', async () => {
    const { clock, fetch, turn, looked } = world(['ours'])
    await fetch(alice)
    turn('ours')
    clock.advance(limits.credentialTakeoverMs)
    await expect(fetch(alice)).rejects.toMatchObject({ kind: 'unauthorized' })
    expect(looked).toEqual([])
  })

  test.each<[string, OriginError, boolean]>([
    ['401', new OriginError('unauthorized', 'no', { status: 401 }), true],
    [
      '400, as Amazon ECR Public says it',
      new OriginError('protocol', 'no', { status: 400, body: said('Your Authorization Token is invalid.') }),
      true,
    ],
    ['400', new OriginError('protocol', 'no', { status: 400 }), false],
    ['400 for another reason', new OriginError('protocol', 'no', { status: 400, body: said('bad digest') }), false],
    [
      '403, as Amazon ECR says it',
      new OriginError('denied', 'no', {
        status: 403,
        body: said('Your authorization token has expired. Reauthenticate and try again.'),
      }),
      true,
    ],
    ['403', new OriginError('denied', 'no', { status: 403 }), false],
    ['403 for another reason', new OriginError('denied', 'no', { status: 403, body: said('not yours') }), false],
    ['412, as Harbor says it', new OriginError('denied', 'no', { status: 412, body: said('a vulnerability') }), false],
  ])('a credential has run out that is answered with %s', async (_, error, isSpent) => {
    const { fetch, turn, sayToAlice, ownFetches } = world(['ours'])
    await fetch(alice)
    turn('ours')
    sayToAlice(error)
    const fetched = await fetch(alice).then(
      () => true,
      () => false,
    )
    expect([fetched, ownFetches()]).toEqual(isSpent ? [true, 1] : [false, 0])
  })

  test.each<OriginErrorKind>(['denied', 'not-found', 'rate-limited', 'unavailable', 'protocol', 'forbidden-target'])(
    'not past %s',
    async (kind) => {
      const { memory, fetch, looked } = world(['ours'])
      await fetch(alice)
      memory.fail(new OriginError(kind, 'the origin said no'))
      await expect(fetch(alice)).rejects.toMatchObject({ kind })
      expect(looked).toEqual([])
    },
  )
})

test('without one of ours that is taken, the caller hears what the origin said to it', async () => {
  const { fetch, turn, shown } = world(['ours'])
  await fetch(alice)
  turn('another')
  await expect(fetch(alice)).rejects.toMatchObject({ kind: 'unauthorized', challenges: ['Basic realm="test"'] })
  expect(shown()).toEqual(['alice', 'alice', 'ours'])
})

test('a token that ends ends no fetching by ours, once the origin has taken it', async () => {
  const { clock, lifeOf, fetch, lives } = world(['ours'])
  lives.noteShown(alice, { leftMs: 60_000 })
  expect(lifeOf(at, alice).endsAtMs).toBe(60_000 - limits.tokenMarginMs)
  await fetch(alice)
  expect(lifeOf(at, alice).endsAtMs).toBe(Infinity)
  clock.advance(limits.credentialTakeoverMs)
  expect(lifeOf(at, alice).endsAtMs).toBeLessThan(clock.now())
})
