import { describe, expect, test } from 'vitest'
import { createKnownChallenges } from '../../../agent/access/challenges.ts'
import { createCredentialLives } from '../../../agent/access/credential-lives.ts'
import { createSparingOrigin } from '../../../agent/access/sparing-origin.ts'
import {
  anonymous,
  createAccountCredential,
  createCredential,
  type Credential,
} from '../../../agent/upstream/credential.ts'
import { OriginError } from '../../../agent/upstream/origin-error.ts'
import { limits } from '../../../core/limits.ts'
import { second } from '../../../core/units.ts'
import { createMemoryOrigin } from '../../support/memory-origin.ts'
import { digestOf, repository, someBytes } from '../../support/registry-content.ts'
import { virtualClock } from '../../support/virtual-clock.ts'

const at = { origin: 'registry.test', repository: 'team/app' }
const challenge = 'Bearer realm="https://registry.test/token"'
const refusal = new OriginError('unauthorized', 'no', { status: 401, challenges: [challenge] })
const key = new Uint8Array(32)
const token = createCredential('Bearer one', key)!
const password = createCredential('Basic dTpw', key)!
const never = new AbortController().signal

const saying = (text: string) => ({ kind: 'unauthorized', status: 401, challenges: [text] })

function world() {
  const clock = virtualClock()
  const challenges = createKnownChallenges()
  challenges.note(at, [challenge])
  return { clock, lives: createCredentialLives({ clock, challenges }) }
}

describe('a token', () => {
  test('that says when it ends has ended a moment before; its caller hears the challenge that brings another, and that it is invalid if it comes with it only then', () => {
    const { clock, lives } = world()
    lives.noteShown(token, { leftMs: 300 * second })
    const endsAtMs = 300 * second - limits.tokenMarginMs
    expect(lives.lifeOf(at, token).endsAtMs).toBe(endsAtMs)
    clock.advance(endsAtMs - 1)
    expect(lives.refusal(at, token)).toBeUndefined()
    clock.advance(1)
    expect(lives.refusal(at, token)).toMatchObject(saying(challenge.replace('Bearer ', '$&error="invalid_token",')))
    expect(lives.ending(at, token)).toMatchObject(saying(challenge))
  })

  test.each([
    ['a moment longer', undefined, 10 * second + limits.tokenBelievedMs - limits.tokenMarginMs],
    ['until as long after it came as after its issue', 14 * second, 14 * second],
    ['a few seconds longer at most', 300 * second, 10 * second + limits.tokenBelievedMaxMs - limits.tokenMarginMs],
  ])('is taken for good by its caller %s', (_, wholeMs, untilMs) => {
    const { lives } = world()
    lives.noteShown(token, { leftMs: 10 * second, wholeMs })
    expect(lives.lifeOf(at, token).renewableAtMs).toBe(untilMs)
  })

  test('does not live longer because it is shown again', () => {
    const { clock, lives } = world()
    lives.noteShown(token, { leftMs: 10 * second })
    clock.advance(5 * second)
    lives.noteShown(token, { leftMs: 10 * second })
    expect(lives.lifeOf(at, token).endsAtMs).toBe(10 * second - limits.tokenMarginMs)
  })

  test('that is new and has ended by the time of day of this node is for the origin to judge: the time may be wrong', () => {
    const { lives } = world()
    lives.noteShown(token, { leftMs: 0 })
    lives.noteShown(token, { leftMs: -5 })
    expect(lives.lifeOf(at, token).endsAtMs).toBe(Infinity)
    expect(lives.refusal(at, token)).toBeUndefined()
  })

  test('that the origin never took was never any good: its caller hears what the origin said, for that repository and half a minute', () => {
    const { clock, lives } = world()
    lives.noteShown(token, undefined)
    expect(lives.lifeOf(at, token).endsAtMs).toBe(Infinity)
    lives.noteError(at, token, refusal)
    expect(lives.lifeOf(at, token).endsAtMs).toBe(-Infinity)
    expect(lives.lifeOf(at, token).renewableAtMs).toBe(-Infinity)
    expect(lives.refusal(at, token)).toBe(refusal)
    expect(lives.refusal({ ...at, repository: 'team/other' }, token)).toBeUndefined()
    clock.advance(limits.originRefusedMs)
    expect(lives.refusal(at, token)).toBeUndefined()
  })

  test('that says nothing ends with a 401 once it was taken; who showed it before is not told that it is invalid: containerd would give up', () => {
    const { clock, lives } = world()
    const [invalid, because] = ['error="invalid_token"', 'error_description="it \\"expired\\", sorry"']
    const told = [
      `${challenge},${invalid},${because},scope="s"`,
      `Bearer ${invalid}, ${because}, realm="r"`,
      `${challenge},scope="s", ${invalid}`,
      'Bearer realm="r",service="no error=\\"x\\" here"',
    ]
    const error = new OriginError('unauthorized', 'no', { status: 401, challenges: told })
    clock.advance(5 * second)
    lives.noteTaken(at, token)
    lives.noteError(at, token, error)
    expect(lives.lifeOf(at, token).endsAtMs).toBe(5 * second)
    expect(lives.lifeOf(at, token).renewableAtMs).toBe(5 * second + limits.tokenBelievedMs)
    expect(lives.ending(at, token)).toMatchObject({
      status: 401,
      challenges: [`${challenge},scope="s"`, 'Bearer realm="r"', `${challenge},scope="s"`, told[3]],
    })
  })

  test.each([
    ['a 403', token, new OriginError('denied', 'no', { status: 403 })],
    ['an outage', token, new OriginError('unavailable', 'no connection')],
    ['a 401 to a password', password, refusal],
    [
      'a 401 to a name and password',
      createAccountCredential({ kind: 'password', username: 'u', password: 'p' }, key)!,
      refusal,
    ],
    ['a 401 to nobody', anonymous, refusal],
  ])('ends by no other answer: %s', (_, credential, error) => {
    const { lives } = world()
    lives.noteError(at, credential, error)
    expect(lives.refusal(at, credential)).toBeUndefined()
  })
})

test('a client that spares its origin asks nothing by a token that has ended, in any way', async () => {
  const layer = someBytes(100)
  const memory = createMemoryOrigin({ [at.origin]: { [at.repository]: repository('{}', [layer], 'Bearer two') } })
  const { lives } = world()
  const origin = createSparingOrigin(memory, lives)
  const digest = digestOf(layer)
  const range = { ...at, kind: 'blob', digest, start: 0, end: 100, size: 100 } as const
  const questions = (shown: Credential) => [
    () => origin.headManifest(at, 'v1', shown, never),
    () => origin.getManifest(at, 'v1', shown, never),
    () => origin.headBlob(at, digest, shown, never),
    () => origin.fetchRange(range, shown, never),
    () => origin.passThrough(at, 'tags/list', '', shown, never),
  ]
  for (const ask of questions(token)) await expect(ask()).rejects.toMatchObject({ kind: 'unauthorized' })
  expect(memory.calls).toHaveLength(1)
  for (const ask of questions(createCredential('Bearer two', key)!)) await ask()
  expect(memory.calls).toHaveLength(6)
})
