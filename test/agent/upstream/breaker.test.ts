import { Readable } from 'node:stream'
import { describe, expect, test } from 'vitest'
import { type BreakerChange, createBreakers } from '../../../agent/upstream/breaker.ts'
import { anonymous, type Credential } from '../../../agent/upstream/credential.ts'
import type { Site, Target } from '../../../agent/upstream/egress.ts'
import { OriginError } from '../../../agent/upstream/origin-error.ts'
import { limits } from '../../../core/limits.ts'
import { virtualClock } from '../../support/virtual-clock.ts'

const site: Site = { origin: 'a.b', baseUrl: new URL('https://a.b'), caFiles: [], trusted: false }
const registry: Target = { url: new URL('https://a.b/v2/'), reach: 'public' }
const storage: Target = { url: new URL('https://storage.a.b/x'), reach: 'public' }
const refused = new OriginError('unavailable', 'no connection', {
  cause: Object.assign(new Error('no'), { code: 'ECONNREFUSED' }),
})
/** After a connection. */
const silent = new OriginError('unavailable', 'no answer', {
  cause: Object.assign(new Error('no'), { code: 'UND_ERR_HEADERS_TIMEOUT' }),
})
const { breakerFailures, breakerRestMs, breakerRestMaxMs } = limits

/** `answer` is a status, or what is thrown. */
function world() {
  const clock = virtualClock()
  const changes: BreakerChange[] = []
  const breakers = createBreakers(clock, (change) => changes.push(change))
  const sent: string[] = []
  let answer: number | Error | Promise<never> = 200
  const send = breakers.guard(async (_site, target) => {
    sent.push(target.url.host)
    if (typeof answer !== 'number') throw await answer
    return {
      status: answer,
      headers: {},
      body: Readable.from([]),
      errorText: '',
      host: '',
      redirected: false,
      elsewhere: false,
      challenges: [],
    }
  })
  const ask = (target = registry, of = site, credential: Credential = anonymous, repository = 'team/app') =>
    send(of, target, { method: 'HEAD', repository, credential }, undefined, new AbortController().signal).then(
      ({ status }) => status,
      (error: unknown) => (error instanceof OriginError && error.isUnasked ? 'left alone' : error),
    )
  const askTimes = async (times: number, ...which: Parameters<typeof ask>) => {
    for (let index = 0; index < times; index++) await ask(...which)
  }
  return {
    clock,
    breakers,
    changes,
    sent,
    ask,
    askTimes,
    answers: (next: typeof answer) => {
      answer = next
    },
  }
}

test.each([
  ['no connection', refused],
  ['silence', silent],
  ['500', 500],
  ['503', 503],
] as const)('%s, five times in a row: the host is left alone, and callers hear so at once', async (_name, answer) => {
  const { ask, askTimes, answers, sent, changes, breakers } = world()
  answers(answer)
  await askTimes(breakerFailures)
  expect(sent).toHaveLength(breakerFailures)
  expect(await ask()).toBe('left alone')
  expect(sent).toHaveLength(breakerFailures)
  expect(changes).toMatchObject([{ origin: 'a.b', host: 'a.b', restMs: breakerRestMs }])
  expect(breakers.resting()).toHaveLength(1)
})

test.each([
  ['429', 429],
  ['401', 401],
  ['403', 403],
  ['404', 404],
  ['501', 501],
  ['408', 408],
  ['a certificate that is wrong', new OriginError('protocol', 'no TLS')],
] as const)('%s is an answer, however often', async (_name, answer) => {
  const { ask, askTimes, answers, breakers } = world()
  answers(answer)
  await askTimes(2 * breakerFailures)
  expect(await ask()).toBe(answer)
  expect(breakers.resting()).toHaveLength(0)
})

test('an answer in between begins the count anew', async () => {
  const { ask, askTimes, answers } = world()
  for (const answer of [503, 200, 503]) {
    answers(answer)
    await askTimes(breakerFailures - 1)
  }
  expect(await ask()).toBe(503)
  expect(await ask()).toBe('left alone')
})

async function openWorld() {
  const opened = world()
  opened.answers(refused)
  await opened.askTimes(breakerFailures)
  return opened
}

describe('after its rest', () => {
  test('one request tries, and its answer lets all others in', async () => {
    const { clock, ask, answers, sent, changes, breakers } = await openWorld()
    clock.advance(breakerRestMs - 1)
    expect(await ask()).toBe('left alone')
    clock.advance(1)
    const hung = Promise.withResolvers<never>()
    answers(hung.promise)
    const trying = ask()
    expect(await ask()).toBe('left alone')
    expect(sent).toHaveLength(breakerFailures + 1)
    hung.reject(refused)
    expect(await trying).toBe(refused)
    expect(await ask()).toBe('left alone')
    clock.advance(2 * breakerRestMs)
    answers(200)
    expect(await ask()).toBe(200)
    expect(await ask()).toBe(200)
    expect(changes.map(({ restMs }) => restMs)).toEqual([breakerRestMs, 2 * breakerRestMs, undefined])
    expect(breakers.resting()).toHaveLength(0)
  })

  test('each try in vain doubles the rest, up to half a minute', async () => {
    const { clock, ask, changes } = await openWorld()
    for (let tries = 0; tries < 8; tries++) {
      clock.advance(changes.at(-1)?.restMs ?? 0)
      expect(await ask()).toBe(refused)
    }
    expect(changes.map(({ restMs }) => (restMs ?? 0) / 1000)).toEqual([1, 2, 4, 8, 16, 30, 30, 30, 30])
    expect(changes.at(-1)?.restMs).toBe(breakerRestMaxMs)
  })

  test('one that nobody asks any more, as by a token that has ended, is not told as resting for ever', async () => {
    const { clock, ask, askTimes, answers, breakers, changes } = world()
    answers(silent)
    await askTimes(breakerFailures, registry, site, { key: 'a token' })
    clock.advance(breakerRestMs + breakerRestMaxMs - 1)
    expect(breakers.resting()).toEqual([{ origin: 'a.b', host: 'a.b' }])
    clock.advance(1)
    expect(breakers.resting()).toEqual([])
    expect(await ask(registry, site, { key: 'a token' })).toBe(silent)
    expect(changes.map(({ restMs }) => restMs)).toEqual([breakerRestMs, 2 * breakerRestMs])
    expect(breakers.resting()).toEqual([{ origin: 'a.b', host: 'a.b' }])
  })

  test('one that is given up has found out nothing: the next one tries', async () => {
    const { clock, ask, answers } = await openWorld()
    clock.advance(breakerRestMs)
    const gone = new Error('the client has gone')
    answers(gone)
    expect(await ask()).toBe(gone)
    answers(200)
    expect(await ask()).toBe(200)
  })
})

test('a storage that is down does not count against its registry, nor one origin against another', async () => {
  const { ask, askTimes, answers } = world()
  answers(refused)
  await askTimes(breakerFailures, storage)
  answers(200)
  expect(await ask(storage)).toBe('left alone')
  expect(await ask(registry)).toBe(200)
  expect(await ask(storage, { ...site, origin: 'c.d' })).toBe(200)
})

test('a host to which there is no connection is left alone whatever it is asked for, by whomever', async () => {
  const { ask, askTimes, answers, changes } = world()
  answers(refused)
  await askTimes(breakerFailures)
  expect(await ask(registry, site, { key: 'caller' }, 'team/other')).toBe('left alone')
  expect(changes).toMatchObject([{ repository: undefined, restMs: breakerRestMs }])
})

test.each([
  ['500', 500],
  ['silence', silent],
] as const)('%s closes one repository to one credential, and no other to anybody', async (_name, answer) => {
  const { clock, ask, askTimes, answers, sent, changes, breakers } = world()
  const caller = { key: 'caller' }
  answers(answer)
  await askTimes(breakerFailures)
  expect(await ask()).toBe('left alone')
  const asked = sent.length
  expect(await ask(registry, site, caller)).toBe(answer)
  expect(await ask(registry, site, anonymous, 'team/other')).toBe(answer)
  expect(sent).toHaveLength(asked + 2)
  expect(breakers.resting()).toHaveLength(1)
  await askTimes(breakerFailures, registry, site, caller)
  expect(await ask(registry, site, caller)).toBe('left alone')
  clock.advance(breakerRestMs)
  answers(200)
  expect(await ask(registry, site, caller)).toBe(200)
  expect(changes.map(({ repository, restMs }) => `${repository} ${restMs}`)).toEqual([
    `team/app ${breakerRestMs}`,
    `team/app ${breakerRestMs}`,
    'team/app undefined',
  ])
  expect(breakers.resting()).toHaveLength(1)
})
