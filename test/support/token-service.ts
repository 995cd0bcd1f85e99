/**
 * A token service as docker distribution specifies it ("Token Authentication Specification", "Docker Registry v2
 * authentication using OAuth2"): it signs JWTs that a docker-registry which trusts its certificate accepts.
 */
import { randomUUID } from 'node:crypto'
import type http from 'node:http'
import { importPKCS8, SignJWT } from 'jose'
import { type HostileOrigin, plain, startHostileOrigin } from './hostile-origin.ts'
import { createTlsAuthority } from './tls-authority.ts'
import { readTokenRequest, type TokenRequest } from './token-request.ts'

export interface User {
  readonly password: string
  /** Repositories that this user may pull from; `push` allows both, everywhere. */
  readonly pulls: readonly string[] | 'push'
}

export interface TokenServiceOptions {
  /** A directory of the caller's, for keys and certificates. */
  readonly directory: string
  readonly users: Readonly<Record<string, User>>
  /** What anybody may pull. */
  readonly open?: readonly string[]
  /** Default: 300. docker-registry 2.8 takes a token for 60 s more than this (`Leeway` in registry/auth/token/token.go). */
  readonly lifetimeSeconds?: number
}

/** One answered request. */
export interface IssuedToken {
  readonly grant: TokenRequest['grant']
  /** Undefined for nobody, and for a secret that is none. */
  readonly account: string | undefined
  readonly scopes: readonly string[]
  readonly status: 200 | 401
}

export interface TokenService {
  readonly realm: string
  readonly issued: readonly IssuedToken[]
  /** The `auth` section of docker-registry's configuration. */
  readonly registryAuth: object
  /** From now on; tokens that are out stay valid until they expire. */
  setUser(name: string, user: User): void
  /** The same: the user's secrets open nothing any more. */
  revoke(name: string): void
  stop(): Promise<void>
}

const serviceName = 'registry.test'
const issuer = 'token.test'

/** Needs openssl. */
export async function startTokenService(options: TokenServiceOptions): Promise<TokenService> {
  const authority = createTlsAuthority(options.directory)
  const sign = await createSigner(authority.issue(`DNS:${issuer}`))
  const users = new Map(Object.entries(options.users))
  const refreshTokens = new Map<string, string>()
  const issued: IssuedToken[] = []
  const lifetimeSeconds = options.lifetimeSeconds ?? 300

  async function answer(request: http.IncomingMessage, response: http.ServerResponse): Promise<void> {
    const asked = await readTokenRequest(request)
    const user = identify(asked)
    issued.push({
      grant: asked.grant,
      account: user?.name,
      scopes: asked.scopes,
      status: user === undefined ? 401 : 200,
    })
    if (user === undefined) return plain(401, {}, '{"errors":[{"code":"UNAUTHORIZED"}]}')(request, response)
    const access = asked.scopes.flatMap((scope) => grantedAccess(scope, user.name))
    const token = await sign({ sub: user.name, access }, lifetimeSeconds)
    const offline = asked.wantsRefreshToken && user.name !== '' ? { refresh_token: remember(user.name) } : {}
    const body = { token, access_token: token, expires_in: lifetimeSeconds, ...offline }
    plain(200, { 'content-type': 'application/json' }, JSON.stringify(body))(request, response)
  }

  /** `''` is nobody. */
  function identify({ grant, username, secret }: TokenRequest): { readonly name: string } | undefined {
    if (grant === 'anonymous') return { name: '' }
    const name = grant === 'refresh_token' ? refreshTokens.get(secret) : username
    if (name === undefined || !users.has(name)) return undefined
    return grant === 'refresh_token' || users.get(name)?.password === secret ? { name } : undefined
  }

  /** What is asked for and not allowed is left out of the token, as the specification wants it. */
  function grantedAccess(scope: string, name: string): object[] {
    const [, repository = '', wanted = ''] = /^repository:(.+):([a-z,*]+)$/.exec(scope) ?? []
    const pulls = users.get(name)?.pulls
    const mayPull =
      pulls === 'push' || pulls?.includes(repository) === true || options.open?.includes(repository) === true
    const actions = wanted.split(',').filter((action) => (action === 'pull' ? mayPull : pulls === 'push'))
    return actions.length === 0 ? [] : [{ type: 'repository', name: repository, actions }]
  }

  function remember(name: string): string {
    const token = randomUUID()
    refreshTokens.set(token, name)
    return token
  }

  const server: HostileOrigin = await startHostileOrigin({
    answer: (request, response) => void answer(request, response).catch((error: Error) => response.destroy(error)),
  })
  const realm = `${server.url}/token`
  return {
    realm,
    issued,
    registryAuth: { token: { realm, service: serviceName, issuer, rootcertbundle: authority.caFile } },
    setUser: (name, user) => void users.set(name, user),
    revoke: (name) => void users.delete(name),
    stop: () => server.stop(),
  }
}

type Sign = (
  claims: { readonly sub: string; readonly access: readonly object[] },
  lifetimeSeconds: number,
) => Promise<string>

/** The certificate goes along (`x5c`): the registry trusts whatever its authority has signed. */
async function createSigner({ key, cert }: { readonly key: string; readonly cert: string }): Promise<Sign> {
  const signingKey = await importPKCS8(key, 'ES256')
  const x5c = [cert.replaceAll(/-----[A-Z ]+-----|\s/g, '')]
  return ({ sub, access }, lifetimeSeconds) =>
    new SignJWT({ access })
      .setProtectedHeader({ typ: 'JWT', alg: 'ES256', x5c })
      .setIssuer(issuer)
      .setAudience(serviceName)
      .setSubject(sub)
      .setJti(randomUUID())
      .setIssuedAt()
      .setNotBefore('0s')
      .setExpirationTime(`${lifetimeSeconds}s`)
      .sign(signingKey)
}
