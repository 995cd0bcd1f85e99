/** Everything that Shoal asks of an origin registry, over undici's core: no cookies, caches, decompression or hidden redirects. */
import { createHash } from 'node:crypto'
import type { Logger } from 'pino'
import { limits } from '../../core/limits.ts'
import { type Digest, digestFromHex, digestOfNothing, parseDigest } from '../../core/oci/digest.ts'
import { isRepositoryName, parseReference } from '../../core/oci/reference.ts'
import type { Clock, Random } from '../../core/ports.ts'
import { bodyError, discard, readAtMost, readExactly } from './bodies.ts'
import { type BreakerChange, createBreakers, type RestingHost } from './breaker.ts'
import type { Credential } from './credential.ts'
import { createDispatchers } from './dispatchers.ts'
import { createEgress, type EgressOptions, type Resolve, resolveBySystem } from './egress.ts'
import {
  type Answer,
  answerError,
  type Ask,
  createExchange,
  createSend,
  type Message,
  type OnOriginRequest,
} from './exchange.ts'
import {
  contentLength,
  contentRange,
  type Headers,
  isEncoded,
  mediaType,
  singleHeader,
  unsatisfiedSize,
} from './headers.ts'
import { isOriginError, OriginError, type OriginErrorKind } from './origin-error.ts'
import { repositoryAt } from './origin-name.ts'
import { createPauses } from './pauses.ts'
import type { ProxySettings } from './proxies.ts'
import { type Sleep, sleepBySystem, withRetries } from './retry.ts'
import { createSingleFlight } from './single-flight.ts'
import { createTokens } from './tokens.ts'

export interface OriginRepository {
  /** As an image name or `?ns=` has it. */
  readonly origin: string
  readonly repository: string
}

export interface ManifestHead {
  readonly digest: Digest
  readonly mediaType: string
  readonly size: number
}

export interface Manifest {
  readonly digest: Digest
  readonly mediaType: string
  /** Shared by all who asked at once: do not write to it. */
  readonly body: Uint8Array
}

export interface RangeWanted extends OriginRepository {
  readonly kind: 'blob' | 'manifest'
  readonly digest: Digest
  readonly start: number
  /** Exclusive. */
  readonly end: number
  /** Of the whole content, as its descriptor says. */
  readonly size: number
}

export interface RangeAnswer {
  /** False where the origin ignores Range and sends everything. */
  readonly ranged: boolean
  /** Where in the content the body starts: as wanted, or 0. */
  readonly start: number
  readonly total: number
  /**
   * Exactly the bytes of the range (all bytes where unranged), in order, unverified. Throws an OriginError when the
   * origin sends fewer or more. Stopping early, as aborting, closes the connection.
   */
  readonly body: AsyncIterable<Uint8Array>
}

export interface PassedThrough {
  readonly status: number
  readonly headers: Readonly<Record<string, string>>
  readonly body: Uint8Array
}

/**
 * All methods reject with an OriginError, or with the signal's reason once that aborts. A repository or reference that
 * breaks the grammar is a mistake of the caller: RangeError. Twin: test/support/memory-origin.ts.
 */
export interface OriginClient {
  /** The origin that a text means, by its canonical name. Throws an OriginError (`forbidden-target`) where it may not be asked. */
  site(text: string): { readonly origin: string }
  /** What a tag or digest means now. HEAD, and GET only where the answer to that says too little. */
  headManifest(
    at: OriginRepository,
    reference: string,
    credential: Credential,
    signal: AbortSignal,
  ): Promise<ManifestHead>
  /** At most `limits.manifestSizeMaxBytes`; its bytes match `digest`, and the reference where that is a digest. */
  getManifest(at: OriginRepository, reference: string, credential: Credential, signal: AbortSignal): Promise<Manifest>
  headBlob(
    at: OriginRepository,
    digest: Digest,
    credential: Credential,
    signal: AbortSignal,
  ): Promise<{ readonly size: number }>
  /** Resolves once the headers are here. Whoever reads the body watches it for stalls and aborts. */
  fetchRange(wanted: RangeWanted, credential: Credential, signal: AbortSignal): Promise<RangeAnswer>
  /** `tags/list` or `referrers/<digest>`, with the query as the caller gave it, but for a mirror's `ns`. */
  passThrough(
    at: OriginRepository,
    path: string,
    query: string,
    credential: Credential,
    signal: AbortSignal,
  ): Promise<PassedThrough>
  /** Hosts that are left alone for a moment, in all or some things, since they do not answer. */
  hostsResting(): readonly RestingHost[]
  close(): Promise<void>
}

export interface OriginClientComponents {
  readonly clock: Clock
  readonly random: Random
  readonly logger: Pick<Logger, 'warn'>
  /** DNS; the system's unless given. */
  readonly resolve?: Resolve
  /** For metrics. */
  readonly onRequest?: OnOriginRequest
  /** Waiting between tries; real waiting unless given. */
  readonly sleep?: Sleep
}

export interface OriginClientOptions extends EgressOptions {
  readonly extraCaFiles?: readonly string[]
  readonly proxy?: ProxySettings
  /** How long an origin may take to send response headers; `limits.originHeadersMs` unless given. */
  readonly headersTimeoutMs?: number
  /** How long a manifest, a tag list or a token may take to arrive; `limits.originSmallBodyMs` unless given. */
  readonly smallBodyTimeoutMs?: number
  /** How long a blob's body may be silent before the connection is closed; `limits.originBodyIdleMs` unless given. */
  readonly bodyIdleTimeoutMs?: number
}

/** Throws a RangeError or `CONFIG_INVALID` when an origin or a CA file of the options is none. */
export function createOriginClient(
  components: OriginClientComponents,
  options: OriginClientOptions = {},
): OriginClient {
  const egress = createEgress(options)
  const dispatchers = createDispatchers(components.resolve ?? resolveBySystem, {
    extraCaFiles: options.extraCaFiles,
    originCaFiles: (options.origins ?? []).flatMap(({ caFiles }) => caFiles ?? []),
    proxy: options.proxy,
    headersTimeoutMs: options.headersTimeoutMs ?? limits.originHeadersMs,
    bodyIdleTimeoutMs: options.bodyIdleTimeoutMs ?? limits.originBodyIdleMs,
  })
  const breakers = createBreakers(components.clock, logBreaker(components.logger))
  const send = breakers.guard(createSend(dispatchers, components.onRequest ?? (() => {})))
  const pauses = createPauses(components.clock)
  const tokens = createTokens({ ...components, egress, send, pauses })
  const exchange = createExchange({ egress, send, tokens, pauses })
  const retrying = { ...components, sleep: components.sleep ?? sleepBySystem }
  const smallBodyTimeoutMs = options.smallBodyTimeoutMs ?? limits.originSmallBodyMs
  const heads = createSingleFlight<ManifestHead>()
  const manifests = createSingleFlight<Manifest>()

  function asking(
    at: OriginRepository,
    path: string,
    message: Omit<Message, 'repository'>,
    credential: Credential,
  ): Ask {
    if (!isRepositoryName(at.repository)) throw new RangeError(`not a repository name: ${at.repository}`)
    const site = egress.site(at.origin)
    const repository = repositoryAt(site.origin, at.repository)
    return { ...message, site, repository, credential, url: apiUrl(site.baseUrl, `${repository}/${path}`) }
  }

  /** Asks until there is an answer with one of `statuses`. */
  function ask(
    request: Ask,
    statuses: readonly number[],
    signal: AbortSignal,
    passing: readonly OriginErrorKind[] = ['unavailable', 'rate-limited'],
  ): Promise<Answer> {
    return withRetries(retrying, signal, passing, async () => {
      const answer = await exchange(request, signal)
      if (!statuses.includes(answer.status)) throw rejected(answer, answerError(answer))
      if (isEncoded(answer.headers)) throw rejected(answer, wrong(answer, 'encoded the content'))
      return answer
    })
  }

  async function readSmall(answer: Answer, maxBytes: number, signal: AbortSignal): Promise<Uint8Array> {
    const bytes = await readAtMost(answer.body, maxBytes, smallBodyTimeoutMs).catch((cause: unknown) => {
      signal.throwIfAborted()
      throw bodyError(cause, answer.host)
    })
    if (bytes === undefined) throw wrong(answer, `sent more than ${maxBytes} bytes`)
    return bytes
  }

  async function resolveManifest(at: OriginRepository, reference: string, credential: Credential, signal: AbortSignal) {
    const request = asking(at, `manifests/${reference}`, { method: 'HEAD', accept: manifestTypes }, credential)
    const head = await ask(request, [200], signal).then(parseManifestHead, unless(manifestHeadsRefused))
    if (head === undefined) {
      const { digest, mediaType: type, body } = await loadManifest(at, reference, credential, signal)
      return { digest, mediaType: type, size: body.length }
    }
    const digest = parseDigest(reference)
    if (digest !== undefined && digest !== head.digest) throw misnamed(reference)
    return head
  }

  async function loadManifest(at: OriginRepository, reference: string, credential: Credential, signal: AbortSignal) {
    const request = asking(at, `manifests/${reference}`, { method: 'GET', accept: manifestTypes }, credential)
    const answer = await ask(request, [200], signal)
    const body = await readSmall(answer, limits.manifestSizeMaxBytes, signal)
    return checkedManifest(answer, body, parseDigest(reference))
  }

  async function askBlobSize(at: OriginRepository, digest: Digest, credential: Credential, signal: AbortSignal) {
    const head = asking(at, `blobs/${digest}`, { method: 'HEAD' }, credential)
    const size = await ask(head, [200], signal).then(({ headers }) => contentLength(headers), unless(blobHeadsRefused))
    return size === undefined || (size === 0 && digest !== digestOfNothing) ? firstByteSize(head, signal) : size
  }

  /** For registries and storages that do not answer HEAD: one byte's answer tells the size as well. */
  async function firstByteSize(head: Ask, signal: AbortSignal): Promise<number> {
    const answer = await ask({ ...head, method: 'GET', range: 'bytes=0-0' }, [200, 206, 416], signal)
    discard(answer.body)
    const size = sizeOf(answer)
    if (size === undefined) throw wrong(answer, 'does not tell the size')
    return size
  }

  async function fetchRange(wanted: RangeWanted, credential: Credential, signal: AbortSignal): Promise<RangeAnswer> {
    checkRange(wanted)
    const message = { method: 'GET', accept: wanted.kind === 'manifest' ? manifestTypes : '*/*' } as const
    // The range of an empty content can't be expressed; all of it can.
    const range = wanted.size === 0 ? {} : { range: `bytes=${wanted.start}-${wanted.end - 1}` }
    const isContent = wanted.kind === 'blob'
    const request = asking(wanted, `${wanted.kind}s/${wanted.digest}`, { ...message, ...range, isContent }, credential)
    // A 429 concerns all agents: the swarm hears of it at once.
    const answer = await ask(request, [200, 206], signal, ['unavailable'])
    const ranged = answer.status === 206
    const mismatch = ranged ? rangeMismatch(answer.headers, wanted) : lengthMismatch(answer.headers, wanted.size)
    if (mismatch !== undefined) throw rejected(answer, wrong(answer, mismatch))
    const [start, length] = ranged ? [wanted.start, wanted.end - wanted.start] : [0, wanted.size]
    return { ranged, start, total: wanted.size, body: readExactly(answer.body, length, answer.host, signal) }
  }

  async function passThrough(
    at: OriginRepository,
    path: string,
    query: string,
    credential: Credential,
    signal: AbortSignal,
  ): Promise<PassedThrough> {
    checkList(path)
    const request = asking(at, path, { method: 'GET', accept: passThroughTypes }, credential)
    request.url.search = withoutNs(query)
    const answer = await ask(request, [200], signal)
    const body = await readSmall(answer, limits.originListMaxBytes, signal)
    return { status: answer.status, headers: passedHeaders(answer.headers, at.repository, path), body }
  }

  return {
    site: (text) => egress.site(text),
    headManifest(at, reference, credential, signal) {
      checkReference(reference)
      return heads(flightKey(at, reference, credential), signal, (shared) =>
        resolveManifest(at, reference, credential, shared),
      )
    },
    getManifest(at, reference, credential, signal) {
      checkReference(reference)
      return manifests(flightKey(at, reference, credential), signal, (shared) =>
        loadManifest(at, reference, credential, shared),
      )
    },
    async headBlob(at, digest, credential, signal) {
      return { size: await askBlobSize(at, digest, credential, signal) }
    },
    fetchRange,
    passThrough,
    hostsResting: () => breakers.resting(),
    close: () => dispatchers.close(),
  }
}

function logBreaker(logger: OriginClientComponents['logger']): (change: BreakerChange) => void {
  return ({ origin, host, repository, restMs }) => {
    const [about, who] =
      repository === undefined
        ? [{ origin, host }, 'a host of a registry']
        : [{ origin, host, repository }, 'a host of a registry, asked about this repository,']
    if (restMs === undefined) logger.warn(about, `${who} answers again`)
    else logger.warn({ ...about, restMs }, `${who} does not answer; it is left alone`)
  }
}

/** All that Shoal can hand on; without a list, some registries convert manifests and so change their digests. */
const manifestTypes = [
  'application/vnd.oci.image.index.v1+json',
  'application/vnd.oci.image.manifest.v1+json',
  'application/vnd.docker.distribution.manifest.list.v2+json',
  'application/vnd.docker.distribution.manifest.v2+json',
  '*/*;q=0.1',
].join(', ')

const passThroughTypes = 'application/vnd.oci.image.index.v1+json, application/json'

/** As containerd does: `/v2` is put behind the base's path unless that holds it already. */
export function apiUrl(base: URL, path: string): URL {
  const prefix = base.pathname.replace(/\/$/, '')
  const url = new URL(base)
  url.pathname = `${/^\/v2(?:\/|$)/.test(prefix) ? prefix : `${prefix}/v2`}/${path}`
  return url
}

function flightKey(at: OriginRepository, reference: string, credential: Credential): string {
  return `${at.origin} ${at.repository} ${reference} ${credential.key}`
}

function checkReference(reference: string): void {
  if (parseReference(reference) === undefined) throw new RangeError(`not a reference: ${reference}`)
}

function checkRange({ start, end, size }: RangeWanted): void {
  const ordered = 0 <= start && start < end && end <= size
  if (!ordered && !(size === 0 && start === 0 && end === 0))
    throw new RangeError(`not a range: ${start} to ${end} of ${size}`)
}

function wrong({ host }: Answer, what: string): OriginError {
  return new OriginError('protocol', `${host} ${what}`)
}

/** `error`, once the body that it makes useless is let go. */
function rejected(answer: Answer, error: OriginError): OriginError {
  discard(answer.body)
  return error
}

function misnamed(reference: string): OriginError {
  return new OriginError('protocol', `the origin sent another manifest than ${reference}`)
}

/** Undefined where a registry says too little on HEAD; a GET tells. Proxies that drop the length of a HEAD make it 0. */
function parseManifestHead(answer: Answer): ManifestHead | undefined {
  const digest = parseDigest(singleHeader(answer.headers, 'docker-content-digest') ?? '')
  const size = contentLength(answer.headers)
  const type = mediaType(answer.headers)
  if (digest === undefined || size === undefined || size === 0 || type === undefined) return undefined
  if (size > limits.manifestSizeMaxBytes) throw wrong(answer, `has a manifest of ${size} bytes`)
  return { digest, size, mediaType: type }
}

/** Registries that know no HEAD (405, 501), and those that refuse for a reason: only a GET brings it, as Harbor's policy. */
const manifestHeadsRefused = [403, 405, 412, 451, 501]

/**
 * Storages behind signed URLs refuse HEAD (403), or find the signature too old (400, 403), and Amazon ECR Public refuses it
 * whatever the token (401; aws/containers-roadmap#2671).
 */
const blobHeadsRefused = [400, 401, 403, 405, 501]

/** Undefined where a HEAD that failed with one of `statuses` says nothing of the content; a GET tells. */
function unless(statuses: readonly number[]): (error: unknown) => undefined {
  return (error) => {
    if (!isOriginError(error) || !statuses.includes(error.status ?? 0)) throw error
  }
}

function checkedManifest(answer: Answer, body: Uint8Array, reference: Digest | undefined): Manifest {
  const digest = digestFromHex(createHash('sha256').update(body).digest('hex'))
  const claimed = parseDigest(singleHeader(answer.headers, 'docker-content-digest') ?? digest)
  if (reference !== undefined && reference !== digest) throw misnamed(reference)
  if (claimed !== undefined && claimed !== digest) throw misnamed(claimed)
  const type = mediaType(answer.headers)
  if (type === undefined) throw wrong(answer, 'sent a manifest without Content-Type')
  return { digest, body, mediaType: type }
}

function sizeOf({ status, headers }: Answer): number | undefined {
  if (status === 206) return contentRange(headers)?.total
  return status === 416 ? unsatisfiedSize(headers) : contentLength(headers)
}

/** What is wrong with a 206, if anything. */
function rangeMismatch(headers: Headers, { start, end, size }: RangeWanted): string | undefined {
  const range = contentRange(headers)
  if (range === undefined || range.start !== start || range.end !== end)
    return 'sent another range than it was asked for'
  if (range.total !== size) return `says that the content has ${range.total} bytes, its descriptor says ${size}`
  return lengthMismatch(headers, end - start)
}

function lengthMismatch(headers: Headers, expected: number): string | undefined {
  const length = contentLength(headers)
  return length === undefined || length === expected ? undefined : `announces ${length} bytes instead of ${expected}`
}

/** OCI distribution-spec 1.1, "Listing Tags" and "Listing Referrers". */
function checkList(path: string): void {
  if (path !== 'tags/list' && parseDigest(path.replace(/^referrers\//, '')) === undefined) {
    throw new RangeError(`not a path to pass through: ${path}`)
  }
}

/** Registries page by names of their own (Quay's `next_page`). `ns` is a mirror's: whoever gives it has a client ask another origin. */
function withoutNs(query: string): string {
  const parameters = new URLSearchParams(query)
  parameters.delete('ns')
  return parameters.toString()
}

function passedHeaders(headers: Headers, repository: string, path: string): Record<string, string> {
  const passed: Record<string, string | undefined> = {
    'content-type': mediaType(headers),
    'oci-filters-applied': singleHeader(headers, 'oci-filters-applied'),
    link: nextPage(singleHeader(headers, 'link'), repository, path),
  }
  return Object.fromEntries(Object.entries(passed).filter((entry): entry is [string, string] => entry[1] !== undefined))
}

/** The next page's link, pointing at the same path as the request came in on: of the origin's URL only the query counts. */
function nextPage(link: string | undefined, repository: string, path: string): string | undefined {
  const [, text] = /^<([^<>]{1,4096})>\s*;\s*rel="?next"?$/i.exec(link ?? '') ?? []
  if (text === undefined || !URL.canParse(text, 'http://origin')) return undefined
  return `</v2/${repository}/${path}?${withoutNs(new URL(text, 'http://origin').search)}>; rel="next"`
}
