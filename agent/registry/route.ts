/**
 * What a request asks for, read from the raw URL and nothing else: no router, proxy or normaliser stands between what is
 * authorised and what is served (facts/security.md, path normalisation).
 */
import { ShoalError } from '../../core/errors.ts'
import { limits } from '../../core/limits.ts'
import { type Digest, parseDigest } from '../../core/oci/digest.ts'
import { isRepositoryName, parseReference, type Reference } from '../../core/oci/reference.ts'
import type { OriginRepository } from '../upstream/origin-client.ts'
import { looksLikeHost } from '../upstream/origin-name.ts'

export type Route =
  | { readonly kind: 'ping' }
  | { readonly kind: 'manifest'; readonly at: OriginRepository; readonly reference: Reference }
  | { readonly kind: 'blob'; readonly at: OriginRepository; readonly digest: Digest }
  | { readonly kind: 'discovery'; readonly at: OriginRepository; readonly discovery: Discovery }

/** A list that only the origin can give. */
export interface Discovery {
  readonly kind: 'referrers' | 'tags'
  /** Below the repository: `tags/list`, `referrers/<digest>`. */
  readonly endpoint: string
  /** The caller's, without `ns`. */
  readonly query: string
  /** What the caller gave as path and `ns`, to build the link to the next page from. */
  readonly path: string
  readonly ns: string | undefined
}

export interface RouteContext {
  /** The canonical name of an origin that may be asked. Throws an OriginError for any other (agent/upstream). */
  readonly parseOrigin: (text: string) => string
  /** Where a request goes that names no origin (Docker's `registry-mirrors`). */
  readonly defaultOrigin: string
}

/** Throws a ShoalError for whatever is not exactly a pull request for a configured origin. */
export function parseRoute(url: string, context: RouteContext): Route {
  if (url.length > limits.mirrorUrlMaxLength) throw new ShoalError('ROUTE_UNKNOWN', 'The URL is too long')
  const mark = url.indexOf('?')
  const path = mark < 0 ? url : url.slice(0, mark)
  if (path === '/v2/' || path === '/v2') return { kind: 'ping' }
  return parseEndpoint(path, new URLSearchParams(mark < 0 ? '' : url.slice(mark + 1)), context)
}

/** `/v2/<name>/<endpoint>/<last>`; a name may itself hold words like `blobs`, so the path is read from its end. */
function parseEndpoint(path: string, query: URLSearchParams, context: RouteContext): Route {
  const components = unescapeColons(path).split('/')
  const [first, version] = components
  const [endpoint, last] = components.slice(-2)
  const name = components.slice(2, -2)
  if (first !== '' || version !== 'v2' || endpoint === undefined || last === undefined) throw unknownRoute()
  if (endpoint === 'manifests') return { kind: 'manifest', at: place(name, query, context), reference: reference(last) }
  if (endpoint === 'blobs') return { kind: 'blob', at: place(name, query, context), digest: digest(last) }
  if (endpoint === 'referrers') {
    const discovery = { kind: 'referrers', endpoint: `referrers/${digest(last)}`, path } as const
    return { kind: 'discovery', at: place(name, query, context), discovery: { ...discovery, ...splitNs(query) } }
  }
  if (endpoint === 'tags' && last === 'list') {
    const discovery = { kind: 'tags', endpoint: 'tags/list', path } as const
    return { kind: 'discovery', at: place(name, query, context), discovery: { ...discovery, ...splitNs(query) } }
  }
  throw unknownRoute()
}

/** The one character of a legal path that clients escape. Any other escape is left to fail the grammars. */
function unescapeColons(path: string): string {
  return path.replaceAll(/%3a/gi, ':')
}

function reference(text: string): Reference {
  const parsed = parseReference(text)
  if (parsed !== undefined) return parsed
  if (text.includes(':')) throw new ShoalError('DIGEST_INVALID', `${quote(text)} is no digest that Shoal serves`)
  throw new ShoalError('REFERENCE_INVALID', `${quote(text)} is no tag`)
}

function digest(text: string): Digest {
  const parsed = parseDigest(text)
  if (parsed === undefined) throw new ShoalError('DIGEST_INVALID', `${quote(text)} is no digest that Shoal serves`)
  return parsed
}

/** Origin and repository: by `?ns=` (containerd), else by the path's first component (Podman, CRI-O), else the default. */
function place(
  name: readonly string[],
  query: URLSearchParams,
  { parseOrigin, defaultOrigin }: RouteContext,
): OriginRepository {
  const stated = statedOrigin(query)
  const [first = '', ...rest] = name
  const prefix = looksLikeHost(first) && rest.length > 0
  if (stated === undefined) {
    return prefix
      ? { origin: parseOrigin(first), repository: repositoryName(rest) }
      : { origin: parseOrigin(defaultOrigin), repository: repositoryName(name) }
  }
  // BuildKit sends both: the prefix of its mirror setting in the path, and `ns`.
  return { origin: parseOrigin(stated), repository: repositoryName(prefix && first === stated ? rest : name) }
}

function statedOrigin(query: URLSearchParams): string | undefined {
  const [stated, ...more] = query.getAll('ns')
  if (more.length > 0 || stated === '') {
    throw new ShoalError('NAMESPACE_INVALID', 'The request names its registry more than once, or as nothing')
  }
  return stated
}

function repositoryName(components: readonly string[]): string {
  const name = components.join('/')
  if (!isRepositoryName(name)) throw new ShoalError('NAME_INVALID', `${quote(name)} is no repository name`)
  return name
}

function splitNs(query: URLSearchParams): Pick<Discovery, 'query' | 'ns'> {
  const others = new URLSearchParams(query)
  others.delete('ns')
  return { query: others.toString(), ns: statedOrigin(query) }
}

function unknownRoute(): ShoalError {
  return new ShoalError('ROUTE_UNKNOWN', 'There is nothing at this path')
}

function quote(text: string): string {
  return JSON.stringify(text.slice(0, 100))
}
