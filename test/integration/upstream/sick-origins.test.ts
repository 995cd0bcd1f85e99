/** Origins that do not answer, or want a pause, are not asked on and on: what counts is what reaches them. */
import { expect, test } from 'vitest'
import { anonymous, type Credential } from '../../../agent/upstream/credential.ts'
import type { OriginClient } from '../../../agent/upstream/origin-client.ts'
import { limits } from '../../../core/limits.ts'
import { second } from '../../../core/units.ts'
import { type HostileOrigin, plain } from '../../support/hostile-origin.ts'
import { virtualClock } from '../../support/virtual-clock.ts'
import { never, origin, plainWorld, shown } from './client-world.ts'

const ask = (client: OriginClient, server: HostileOrigin, credential: Credential = anonymous) =>
  client.headManifest({ origin: server.host, repository: 'team/app' }, 'v1', credential, never)

const { breakerFailures, breakerRestMs } = limits

test('one that answers 503 hears a few requests, then one after each rest, and all again once it is well', async () => {
  const clock = virtualClock()
  const server = await origin({ answer: plain(503) })
  const { client } = plainWorld([server], {}, clock)
  for (let requests = 0; requests < 10; requests++)
    await expect(ask(client, server)).rejects.toMatchObject({ kind: 'unavailable' })
  expect(server.seen).toHaveLength(breakerFailures)
  expect(client.hostsResting()).toHaveLength(1)
  clock.advance(breakerRestMs)
  await expect(ask(client, server)).rejects.toMatchObject({ kind: 'unavailable' })
  expect(server.seen).toHaveLength(breakerFailures + 1)
  server.respond(plain(404))
  clock.advance(2 * breakerRestMs)
  for (let requests = 0; requests < 3; requests++)
    await expect(ask(client, server)).rejects.toMatchObject({ kind: 'not-found' })
  expect(client.hostsResting()).toHaveLength(0)
})

test('one that is gone is not dialled', async () => {
  const clock = virtualClock()
  const server = await origin()
  const { client } = plainWorld([server], {}, clock)
  await server.stop()
  for (let requests = 0; requests < 3; requests++)
    await expect(ask(client, server)).rejects.toMatchObject({ kind: 'unavailable' })
  await expect(ask(client, server)).rejects.toMatchObject({ isUnasked: true, status: undefined })
})

test('a limit of rate holds for whom it was said to, until then', async () => {
  const clock = virtualClock()
  const server = await origin({ answer: plain(429, { 'retry-after': '60' }) })
  const { client } = plainWorld([server], {}, clock)
  for (let requests = 0; requests < 3; requests++)
    await expect(ask(client, server)).rejects.toMatchObject({ kind: 'rate-limited', retryAfterMs: 60 * second })
  expect(server.seen).toHaveLength(1)
  await expect(ask(client, server, shown('Basic dTpw'))).rejects.toMatchObject({ kind: 'rate-limited' })
  expect(server.seen.map(({ headers }) => headers.authorization)).toEqual([undefined, 'Basic dTpw'])
  clock.advance(60 * second)
  server.respond(plain(404))
  await expect(ask(client, server)).rejects.toMatchObject({ kind: 'not-found' })
})

test('a repository that fails for nobody in particular is not down for who has a credential, nor are others for anybody', async () => {
  const server = await origin({
    answer: (request, response) => {
      const isSick = request.headers.authorization === undefined && request.url?.includes('/team/app/') === true
      plain(isSick ? 500 : 401)(request, response)
    },
  })
  const { client } = plainWorld([server], {}, virtualClock())
  for (let requests = 0; requests < 2 * breakerFailures; requests++)
    await expect(ask(client, server)).rejects.toMatchObject({ kind: 'unavailable' })
  await expect(ask(client, server)).rejects.toMatchObject({ isUnasked: true })
  // Else a policy for outages would open what its credential may no longer read.
  await expect(ask(client, server, shown('Basic dTpw'))).rejects.toMatchObject({ kind: 'unauthorized' })
  const other = { origin: server.host, repository: 'team/other' }
  await expect(client.headManifest(other, 'v1', anonymous, never)).rejects.toMatchObject({ kind: 'unauthorized' })
})
