/**
 * Plays one registry of rows.ts with all its hosts: API, token service and storage, by their real names, over TLS, at a
 * loopback address of its own. What each host was sent is kept, so that a test can ask who saw which secret.
 */
import { randomInt, randomUUID } from 'node:crypto'
import { once } from 'node:events'
import type http from 'node:http'
import https from 'node:https'
import { text } from 'node:stream/consumers'
import { Agent } from 'undici'
import type { Resolve, ResolvedAddress } from '../../../agent/upstream/egress.ts'
import { createThrottle, type Throttle, unthrottled } from '../../../cli/demo/throttle.ts'
import { type Digest, digestHex, parseDigest } from '../../../core/oci/digest.ts'
import { KiB, second } from '../../../core/units.ts'
import { basic } from '../authorizer.ts'
import { type SeenRequest, serveRegistry } from '../hostile-origin.ts'
import type { Repositories } from '../registry-content.ts'
import { readTokenRequest, type TokenRequest } from '../token-request.ts'
import type { TlsAuthority } from '../tls-authority.ts'
import type { BearerAccess, RegistryRow, Storage, Words } from './row.ts'

export interface EmulatorOptions {
  readonly authority: TlsAuthority
  readonly repositories: Repositories
  /** Of all blobs together; unlimited unless given. */
  readonly blobBytesPerSecond?: number
  /** How long a token lives, where that is not what the row says. */
  readonly tokenSeconds?: number
  /** Tokens tell nothing of themselves. Default: they are JWTs. */
  readonly opaqueTokens?: boolean
}

export interface Emulator {
  readonly row: RegistryRow
  /** Every name it answers to. */
  readonly hosts: readonly string[]
  readonly storageHost: string | undefined
  /** Where all of them are; always port 443. */
  readonly address: string
  readonly seen: readonly SeenRequest[]
  /** Of blobs, to everybody. */
  readonly bytesSent: number
  /** Tokens so far, the caller's and the agent's. */
  readonly tokensIssued: number
  /** Requests that showed a token which had run out a second before: they may take a while to come. */
  readonly spentTokensShown: number
  /** The URLs that are out, and the next `count` ones, have expired when they are used. */
  expireSignedUrls(count: number): void
  /** How many more requests or manifests, as the row counts, until 429. */
  limit(left: number): void
  forget(): void
  stop(): Promise<void>
}

const seconds = (count: number): number => count * second

/** Needs root, for port 443. */
export async function startEmulator(row: RegistryRow, options: EmulatorOptions): Promise<Emulator> {
  const api = apiOf(row)
  const storage = row.storage && { ...row.storage, host: hostOf(row.storage.url) ?? api.host }
  const realm = row.access.scheme === 'bearer' ? new URL(row.access.realm) : undefined
  const hosts = [...new Set([api.host, realm?.host ?? api.host, storage?.host ?? api.host])]
  const seen: SeenRequest[] = []
  const access = createAccess(row, options)
  const signed = createSignedUrls()
  const limit = createPullLimit(row)
  const serveContent = serveRegistry(options.repositories)
  const { blobBytesPerSecond } = options
  const pace = blobBytesPerSecond === undefined ? unthrottled : createThrottle(blobBytesPerSecond)
  let bytesSent = 0
  const throttle: Throttle = {
    async take(bytes) {
      await pace.take(bytes)
      bytesSent += bytes
    },
  }

  async function answer(exchange: Exchange): Promise<void> {
    const { host, pathname } = exchange
    if (realm !== undefined && host === realm.host && pathname === realm.pathname) return access.giveToken(exchange)
    if (access.exchange !== undefined && pathname === access.exchange) return access.giveRefreshToken(exchange)
    const blob = storage?.host === host ? signed.find(exchange.url) : undefined
    if (storage !== undefined && (blob !== undefined || host !== api.host))
      return sendStored(exchange, storage, blob, options.repositories, throttle)
    return answerApi(exchange)
  }

  async function answerApi(exchange: Exchange): Promise<void> {
    const { repository, kind, reference } = apiPath(exchange, api)
    const refusal = access.refusalOf(exchange, repository)
    if (refusal !== undefined) return say(exchange, refusal)
    if (repository === undefined) return say(exchange, { status: 200, body: '{}' })
    const over = limit.take(exchange.request.method ?? '', kind)
    if (over.words !== undefined) return say(exchange, over.words)
    for (const [name, value] of Object.entries(over.headers)) exchange.response.setHeader(name, value)
    if (row.blocked !== undefined && reference === 'blocked') return say(exchange, row.blocked)
    const digest = kind === 'blobs' ? parseDigest(reference) : undefined
    if (digest === undefined || !options.repositories[repository]?.blobs.has(digest))
      return passOn(exchange, repository)
    if (row.blobHead !== undefined && exchange.request.method === 'HEAD') return say(exchange, row.blobHead)
    if (storage === undefined) return sendBlob(exchange, digest, options.repositories, throttle)
    say(exchange, { status: storage.redirectStatus, headers: { location: signed.sign(storage, digest) }, body: '' })
  }

  /** The same request without what stands before the repository. */
  function passOn({ request, response, pathname }: Exchange, repository: string): void {
    request.url = pathname.slice(pathname.indexOf(`/v2/${repository}/`))
    serveContent(request, response)
  }

  const server = https.createServer(options.authority.issue(...hosts.map((host) => `DNS:${host}`)))
  server.on('request', (request, response) => {
    const exchange = exchangeOf(request, response)
    seen.push({ method: request.method ?? '', url: exchange.url, headers: request.headers })
    answer(exchange).catch((error: Error) => response.destroy(error))
  })
  const address = await listen(server)
  return {
    row,
    hosts,
    storageHost: storage?.host,
    address,
    seen,
    get bytesSent() {
      return bytesSent
    },
    get tokensIssued() {
      return access.issued()
    },
    get spentTokensShown() {
      return access.spentShown()
    },
    expireSignedUrls: (count) => signed.expire(count),
    limit: (left) => limit.set(left),
    forget: () => void seen.splice(0),
    async stop() {
      server.closeAllConnections()
      await new Promise((resolve) => server.close(resolve))
    },
  }
}

/** The names of these registries, at the addresses where they are played. */
export function resolveTo(emulators: readonly Emulator[]): Resolve {
  const addresses = new Map(emulators.flatMap(({ hosts, address }) => hosts.map((host) => [host, address])))
  return async (host) => {
    const address = addresses.get(host)
    if (address === undefined) throw new Error(`nobody plays ${host}`)
    return [{ address, family: 4 }]
  }
}

/** For a caller of its own, who asks token services and registries by their names. */
export function dispatcherTo(emulators: readonly Emulator[], ca: string): Agent {
  const resolve = resolveTo(emulators)
  return new Agent({
    connect: {
      ca,
      lookup: (host, _, callback) => void handTo(callback, resolve(host)),
    },
  })
}

type LookupDone = (error: Error | null, addresses: ResolvedAddress[]) => void

async function handTo(done: LookupDone, resolving: Promise<readonly ResolvedAddress[]>): Promise<void> {
  try {
    done(null, [...(await resolving)])
  } catch (error) {
    done(error as Error, [])
  }
}

interface Exchange {
  readonly request: http.IncomingMessage
  readonly response: http.ServerResponse
  readonly host: string
  readonly pathname: string
  /** With scheme and host. */
  readonly url: string
}

function exchangeOf(request: http.IncomingMessage, response: http.ServerResponse): Exchange {
  const host = request.headers.host ?? ''
  const url = `https://${host}${request.url}`
  return { request, response, host, url, pathname: new URL(url).pathname }
}

/** Loopback has sixteen million addresses; one that is taken is not tried again. */
async function listen(server: https.Server): Promise<string> {
  const address = `127.${randomInt(64, 192)}.${randomInt(256)}.${randomInt(1, 255)}`
  server.listen(443, address)
  await once(server, 'listening')
  return address
}

function apiOf(row: RegistryRow): URL {
  return new URL(row.api ?? `https://${row.origin}`)
}

function hostOf(url: string): string | undefined {
  return URL.canParse(url) ? new URL(url).host : undefined
}

function say({ response }: Exchange, { status, headers, body }: Words): void {
  response.writeHead(status, headers ?? {}).end(body)
}

interface ApiPath {
  /** Undefined at `/v2/`. */
  readonly repository: string | undefined
  readonly kind: string
  readonly reference: string
}

function apiPath({ pathname }: Exchange, api: URL): ApiPath {
  const path = pathname.slice(api.pathname.replace(/\/$/, '').length)
  const [, repository, kind = '', reference = ''] = /^\/v2\/(.+)\/(manifests|blobs|tags)\/([^/]+)$/.exec(path) ?? []
  return { repository, kind, reference }
}

// Who may read

interface Access {
  refusalOf(exchange: Exchange, repository: string | undefined): Words | undefined
  giveToken(exchange: Exchange): Promise<void>
  giveRefreshToken(exchange: Exchange): Promise<void>
  /** Path of the exchange, where there is one. */
  readonly exchange: string | undefined
  issued(): number
  spentShown(): number
}

function createAccess(row: RegistryRow, { tokenSeconds, opaqueTokens = false }: EmulatorOptions): Access {
  const { access, credentials } = row
  const identities = access.scheme === 'bearer' ? access.exchange : undefined
  const open = row.repositories.open && fullName(row, row.repositories.open)
  const tokens = new Map<string, { readonly trusted: boolean; readonly expiresAtMs: number }>()
  const refreshTokens = new Set([credentials.password])
  let spentShown = 0

  function isOpen(repository: string | undefined): boolean {
    return repository !== undefined && repository === open
  }

  function refusalOf({ request, response }: Exchange, repository: string | undefined): Words | undefined {
    const words = judge(request.headers.authorization, repository)
    if (words?.challenge === true) response.setHeader('www-authenticate', challengeOf(row, repository, words.error))
    return words
  }

  function judge(authorization: string | undefined, repository: string | undefined): Words | undefined {
    if (access.scheme === 'basic') {
      const mayRead = authorization === basic(credentials) || (isOpen(repository) && authorization === undefined)
      return mayRead ? undefined : access.refusal
    }
    if (authorization === undefined) {
      const mayRead = access.openToNobody === 'content' && isOpen(repository)
      return mayRead ? undefined : { ...access.refusal, status: 401, challenge: true }
    }
    const token = tokens.get(authorization.replace(/^Bearer /, ''))
    const overMs = Date.now() - (token?.expiresAtMs ?? Infinity)
    const isSpent = overMs > 0
    if (overMs > second) spentShown++
    if (token === undefined || isSpent) return access.invalid
    return token.trusted || isOpen(repository) || repository === undefined ? undefined : access.refusal
  }

  async function giveToken(exchange: Exchange): Promise<void> {
    if (access.scheme === 'basic') return
    const asked = await readTokenRequest(exchange.request)
    if (exchange.request.method === 'POST' && access.form !== 'token')
      return say(exchange, { status: access.form, body: '' })
    const wantsOpen = asked.scopes.every((scope) => scope === access.scope || scope === `repository:${open}:pull`)
    if (asked.grant === 'anonymous') {
      if (access.nobody === 'token' || wantsOpen) return sendToken(exchange, access, false)
      return say(exchange, { status: access.nobody, headers: {}, body: '{"errors":[{"code":"DENIED"}]}' })
    }
    if (!knows(asked))
      return say(exchange, { status: access.wrongSecret, body: '{"details":"incorrect username or password"}' })
    return sendToken(exchange, access, true)
  }

  function knows({ grant, username, secret }: TokenRequest): boolean {
    if (grant === 'refresh_token') return refreshTokens.has(secret)
    return username === credentials.username && (secret === credentials.password || refreshTokens.has(secret))
  }

  function sendToken(exchange: Exchange, { fields, lifetimeSeconds }: BearerAccess, trusted: boolean): void {
    const lifetime = tokenSeconds ?? lifetimeSeconds
    const token = opaqueTokens ? randomUUID() : jwtLike(lifetime)
    tokens.set(token, { trusted, expiresAtMs: Date.now() + seconds(lifetime) })
    const given = Object.fromEntries(fields.map((field) => [field, token]))
    say(exchange, {
      status: 200,
      headers: { 'content-type': 'application/json' },
      body: JSON.stringify({ ...given, expires_in: lifetime }),
    })
  }

  /** An identity's token in, a refresh token out; it is good as the password of the user that ACR names by zeros. */
  async function giveRefreshToken(exchange: Exchange): Promise<void> {
    const form = new URLSearchParams(await text(exchange.request))
    if (form.get('grant_type') !== 'access_token' || form.get('access_token') !== identities?.identityToken)
      return say(exchange, { status: 401, body: '{"errors":[{"code":"UNAUTHORIZED"}]}' })
    const token = randomUUID()
    refreshTokens.add(token)
    say(exchange, { status: 200, body: JSON.stringify({ refresh_token: token }) })
  }

  return {
    refusalOf,
    giveToken,
    giveRefreshToken,
    exchange: identities && new URL(identities.url).pathname,
    issued: () => tokens.size,
    spentShown: () => spentShown,
  }
}

/** Docker Hub keeps its official images below `library/`. */
export function fullName(row: RegistryRow, repository: string): string {
  return row.origin === 'docker.io' && !repository.includes('/') ? `library/${repository}` : repository
}

function challengeOf({ access }: RegistryRow, repository: string | undefined, error: Words['error']): string {
  if (access.scheme === 'basic') return access.challenge
  const { realm, service, scope = `repository:${repository}:pull`, also, pingLacks } = access
  const parts = [`realm="${realm}"`]
  if (repository !== undefined || pingLacks !== 'service') parts.push(`service="${service}"`)
  if (repository !== undefined) parts.push(`scope="${scope}"`)
  if (error !== undefined) parts.push(`error="${error}"`)
  const bearer = `Bearer ${parts.join(',')}`
  return also === undefined ? bearer : `${bearer}, ${also}`
}

function jwtPart(value: unknown): string {
  return Buffer.from(JSON.stringify(value)).toString('base64url')
}

/** As most registries' tokens are, for clients that look inside: a signature that nobody checks, and the expiry. */
function jwtLike(lifetimeSeconds: number): string {
  const iat = Math.floor(Date.now() / second)
  const claims = { iat, exp: iat + lifetimeSeconds, jti: randomUUID() }
  return `${jwtPart({ alg: 'RS256', typ: 'JWT' })}.${jwtPart(claims)}.${jwtPart('signature')}`
}

// What comes from where

interface SignedUrls {
  sign(storage: Storage, digest: Digest): string
  /** What the URL names; undefined when it was never signed. */
  find(url: string): { readonly digest: Digest; readonly expired: boolean } | undefined
  expire(count: number): void
}

function createSignedUrls(): SignedUrls {
  const signed = new Map<string, { digest: Digest; expired: boolean }>()
  let stillborn = 0
  return {
    sign({ url }, digest) {
      const signature = randomUUID()
      signed.set(signature, { digest, expired: stillborn > 0 })
      stillborn = Math.max(0, stillborn - 1)
      return url.replace('{hex}', digestHex(digest)).replace('{signature}', signature)
    },
    find(url) {
      const [signature = ''] = /[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}$/.exec(url) ?? []
      return signed.get(signature)
    },
    expire(count) {
      for (const url of signed.values()) url.expired = true
      stillborn = count
    },
  }
}

async function sendStored(
  exchange: Exchange,
  storage: Storage,
  blob: ReturnType<SignedUrls['find']>,
  repositories: Repositories,
  throttle: Throttle,
): Promise<void> {
  const { method, headers } = exchange.request
  if (headers.authorization !== undefined && storage.authorization !== undefined)
    return say(exchange, storage.authorization)
  if (blob === undefined || blob.expired) return say(exchange, storage.expired)
  if (method === 'HEAD' && storage.head !== undefined) return say(exchange, storage.head)
  return sendBlob(exchange, blob.digest, repositories, throttle)
}

const pieceBytes = 16 * KiB

/** Whole, or a range of one part, piece by piece. */
async function sendBlob(
  { request, response }: Exchange,
  digest: Digest,
  repositories: Repositories,
  throttle: Throttle,
): Promise<void> {
  const bytes =
    Object.values(repositories)
      .find(({ blobs }) => blobs.has(digest))
      ?.blobs.get(digest) ?? new Uint8Array()
  const [, first = '0', last = ''] = /^bytes=(\d+)-(\d*)$/.exec(request.headers.range ?? '') ?? []
  const start = Number(first)
  const end = last === '' ? bytes.length : Math.min(bytes.length, Number(last) + 1)
  const partial = request.headers.range !== undefined && {
    'content-range': `bytes ${start}-${end - 1}/${bytes.length}`,
  }
  response.writeHead(partial ? 206 : 200, {
    ...partial,
    'content-length': end - start,
    'content-type': 'application/octet-stream',
  })
  if (request.method === 'HEAD') return void response.end()
  for (let at = start; at < end && !response.destroyed; at += pieceBytes) {
    const piece = bytes.subarray(at, Math.min(at + pieceBytes, end))
    await throttle.take(piece.length)
    response.write(piece)
  }
  response.end()
}

// How much

function createPullLimit({ limit }: RegistryRow) {
  let left = Infinity
  return {
    set: (count: number) => void (left = count),
    take(
      method: string,
      kind: string,
    ): { readonly words: Words | undefined; readonly headers: Record<string, string> } {
      const counts = limit.counts === 'requests' || (method === 'GET' && kind === 'manifests')
      if (counts && left <= 0) return { words: limit.over, headers: {} }
      if (counts) left--
      const fill = (value: string) => value.replace('{limit}', '100').replace('{left}', String(Math.min(left, 100)))
      const headers = kind === 'manifests' ? Object.entries(limit.headers ?? {}) : []
      return { words: undefined, headers: Object.fromEntries(headers.map(([name, value]) => [name, fill(value)])) }
    },
  }
}
