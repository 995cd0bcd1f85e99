import { text } from 'node:stream/consumers'
import { describe, expect, test } from 'vitest'
import {
  type Account,
  anonymous,
  createAccountCredential,
  type Credential,
} from '../../../agent/upstream/credential.ts'
import type { OriginClient } from '../../../agent/upstream/origin-client.ts'
import { second } from '../../../core/units.ts'
import { byPath, type HostileOrigin, plain, redirectTo, type Respond } from '../../support/hostile-origin.ts'
import { virtualClock } from '../../support/virtual-clock.ts'
import { never, origin, plainWorld, sendTiny, tiny } from './client-world.ts'

const { path: manifestPath, digest } = tiny

const canary = 'canary-5f3a'
const basic = `Basic ${Buffer.from(`robot:${canary}`).toString('base64')}`
const robot: Account = { kind: 'password', username: 'robot', password: canary }

function account(of: Account = robot): Credential {
  const credential = createAccountCredential(of, new Uint8Array(32))
  if (credential === undefined) throw new TypeError('not an account')
  return credential
}

function head(client: OriginClient, server: HostileOrigin, credential: Credential, repository = 'team/app') {
  return client.headManifest({ origin: server.host, repository }, 'v1', credential, never)
}

/** Lets in who shows `wanted`; all others hear the challenges. */
function guarded(wanted: string, ...challenges: string[]): Respond {
  return (request, response) => {
    if (request.headers.authorization === wanted) sendTiny(request, response)
    else plain(401, { 'www-authenticate': challenges })(request, response)
  }
}

const bearer = (realm: string) => `Bearer realm="${realm}",service="test",scope="repository:team/app:pull"`
const exchanges = ({ seen }: HostileOrigin) =>
  seen.map(({ method, url, headers }) => [method, url, headers.authorization])
const tokenPath = '/token?service=test&scope=repository%3Ateam%2Fapp%3Apull'

describe('an account', () => {
  test('is shown to the token service of a Bearer challenge, and the token to the registry', async () => {
    const registry = await origin()
    const token = plain(200, {}, JSON.stringify({ token: 'one', expires_in: 300 }))
    const guard = guarded('Bearer one', 'Basic realm="x"', bearer(`${registry.url}/token`))
    registry.respond(byPath({ [manifestPath]: guard, '/token': token }))
    const clock = virtualClock()
    const { client } = plainWorld([registry], {}, clock)
    expect(await head(client, registry, account())).toMatchObject({ digest })
    expect(exchanges(registry)).toEqual([
      ['HEAD', manifestPath, undefined],
      ['GET', tokenPath, basic],
      ['HEAD', manifestPath, 'Bearer one'],
    ])
    await head(client, registry, account())
    expect(registry.seen).toHaveLength(4)
    clock.advance(270 * second)
    await head(client, registry, account())
    expect(exchanges(registry).slice(4)).toEqual(exchanges(registry).slice(0, 3))
  })

  test('that is an identity token is exchanged by OAuth2, in the body and not in the URL', async () => {
    const registry = await origin()
    const forms: Promise<string>[] = []
    registry.respond(
      byPath({
        [manifestPath]: guarded('Bearer two', bearer(`${registry.url}/token`)),
        '/token': (request, response) => {
          forms.push(text(request))
          plain(200, {}, '{"access_token":"two"}')(request, response)
        },
      }),
    )
    const { client } = plainWorld([registry])
    expect(await head(client, registry, account({ kind: 'identity-token', token: canary }))).toMatchObject({ digest })
    expect(exchanges(registry)[1]).toEqual(['POST', '/token', undefined])
    expect(registry.seen[1]?.headers['content-type']).toBe('application/x-www-form-urlencoded')
    expect(await Promise.all(forms)).toEqual([
      `grant_type=refresh_token&client_id=shoal&refresh_token=${canary}&service=test&scope=repository%3Ateam%2Fapp%3Apull`,
    ])
  })

  test('is shown to the registry where that asks for Basic, and from then on at once', async () => {
    const registry = await origin({ answer: guarded(basic, 'Basic realm="x"') })
    const { client } = plainWorld([registry])
    await head(client, registry, account())
    await head(client, registry, account())
    expect(registry.seen.map(({ headers }) => headers.authorization)).toEqual([undefined, basic, basic])
  })

  test('that is an identity token answers no Basic challenge', async () => {
    const registry = await origin({ answer: guarded(basic, 'Basic realm="x"') })
    const { client } = plainWorld([registry])
    const refused = head(client, registry, account({ kind: 'identity-token', token: canary }))
    await expect(refused).rejects.toMatchObject({ kind: 'unauthorized' })
    expect(registry.seen).toHaveLength(1)
  })

  test('shares its token with nobody else', async () => {
    const registry = await origin()
    registry.respond(
      byPath({
        [manifestPath]: guarded('Bearer ours', bearer(`${registry.url}/token`)),
        '/token': (request, response) =>
          plain(
            200,
            {},
            JSON.stringify({ token: request.headers.authorization === basic ? 'ours' : 'other' }),
          )(request, response),
      }),
    )
    const { client } = plainWorld([registry])
    await head(client, registry, account())
    await expect(head(client, registry, anonymous)).rejects.toMatchObject({ kind: 'unauthorized' })
    const stranger = account({ kind: 'password', username: 'robot', password: 'wrong' })
    await expect(head(client, registry, stranger)).rejects.toMatchObject({ kind: 'unauthorized' })
    expect(await head(client, registry, account())).toMatchObject({ digest })
  })

  test('goes to no token service that the registry may not name, and to no host that it redirects to', async () => {
    const [registry, thief] = [await origin(), await origin()]
    const steals = `${thief.url.replace('127.0.0.1', 'localhost')}/token`
    const { client, logs } = plainWorld([registry])
    registry.respond(guarded(basic, bearer(steals)))
    await expect(head(client, registry, account())).rejects.toMatchObject({ kind: 'unauthorized' })
    expect(thief.seen).toEqual([])
    expect(logs.join()).not.toContain(canary)

    const both = plainWorld([registry, thief])
    registry.respond(redirectTo(`${thief.url}${manifestPath}`))
    thief.respond(guarded(basic, 'Basic realm="x"', bearer(`${thief.url}/token`)))
    await expect(head(both.client, registry, account())).rejects.toMatchObject({ kind: 'denied', challenges: [] })
    expect(exchanges(thief)).toEqual([
      ['HEAD', manifestPath, undefined],
      ['GET', tokenPath, undefined],
    ])
  })

  test('that is refused is in no error', async () => {
    const registry = await origin()
    const refuses = plain(401, {}, JSON.stringify({ errors: [{ code: 'UNAUTHORIZED', message: 'who?' }] }))
    registry.respond(byPath({ [manifestPath]: guarded('none', bearer(`${registry.url}/token`)), '/token': refuses }))
    const { client } = plainWorld([registry])
    const failure: unknown = await head(client, registry, account()).catch((error: unknown) => error)
    expect(failure).toMatchObject({ kind: 'unauthorized', status: 401 })
    expect(JSON.stringify(failure) + String(failure)).not.toMatch(new RegExp(`${canary}|${basic.slice(6)}`))
  })
})
