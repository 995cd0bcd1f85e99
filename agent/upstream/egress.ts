/**
 * Which hosts this node may ask. Whoever reaches the mirror names origins, origins name redirect targets and token
 * services, and DNS names addresses: each of them is checked here, by whole hosts and never by prefix.
 *
 * | host                                       | by name or pattern | by name in `origins` | not listed |
 * | public address                             | yes                | yes                  | yes, unless `unlistedOrigins` refuses |
 * | private address (also of redirect targets) | yes                | yes                  | no |
 * | loopback address                           | no                 | yes                  | no |
 * | IP literal as the name                     | no                 | yes                  | no |
 * | plain HTTP                                 | no                 | with `plainHttp`     | no |
 * | link-local, metadata services              | no                 | no                   | no |
 *
 * What is listed is so for redirects of registries that are listed too; others go no further than to public addresses by TLS.
 */
import { lookup as systemLookup } from 'node:dns/promises'
import type { LookupFunction } from 'node:net'
import { parse as parseDomain } from 'tldts'
import { type AddressClass, classifyAddress } from './addresses.ts'
import { OriginError } from './origin-error.ts'
import { defaultBaseUrl, type OriginName, parseOrigin } from './origin-name.ts'

/** An origin that the operator named; agent/config.ts describes the fields. */
export interface OriginRule {
  /** `host[:port]`. */
  readonly host: string
  readonly baseUrl?: string | undefined
  readonly plainHttp?: boolean | undefined
  readonly caFiles?: readonly string[] | undefined
  /** May it have private or loopback addresses? Default true. */
  readonly private?: boolean | undefined
}

export interface EgressOptions {
  readonly origins?: readonly OriginRule[]
  /**
   * `host[:port]` with `*` for any part of one label, as Kubernetes matches image names: `*.corp.example.com` is
   * `a.corp.example.com` and neither `corp.example.com` nor `a.b.corp.example.com`. Never matches an IP literal.
   */
  readonly originPatterns?: readonly string[]
  readonly unlistedOrigins?: 'public' | 'refused'
}

/** The widest class of addresses that a connection may go to. */
export type Reach = Exclude<AddressClass, 'never'>

/** An origin that may be asked. */
export interface Site {
  /** Canonical. */
  readonly origin: string
  /** Where its API is: scheme, host, port and perhaps a path prefix. */
  readonly baseUrl: URL
  readonly caFiles: readonly string[]
  /** Listed by name or pattern: what it redirects to may have private addresses. */
  readonly trusted: boolean
}

/** A URL that may be asked, and how far its name may reach. */
export interface Target {
  readonly url: URL
  readonly reach: Reach
}

/** Every method throws an OriginError of kind `forbidden-target` where the answer is no. */
export interface Egress {
  site(origin: string): Site
  /** For a request to the site itself and for whatever it redirects to. */
  target(site: Site, url: URL): Target
  /** For the token service that `challenger`, asked on behalf of `site`, names. */
  realm(site: Site, challenger: URL, realm: string): Target
}

export function createEgress(options: EgressOptions): Egress {
  const rules = new Map((options.origins ?? []).map((rule) => [requireOrigin(rule.host).text, rule]))
  const listed = new Map([...rules].map(([origin, rule]) => [siteKey(baseUrlOf(origin, rule)), rule]))
  const patterns = (options.originPatterns ?? []).map(compilePattern)
  const matchesPattern = (name: OriginName): boolean =>
    !name.isAddress && patterns.some((pattern) => pattern(name.text))

  function site(origin: string): Site {
    const name = parseOrigin(origin)
    if (name === undefined) throw forbidden('a text that names no registry host')
    const rule = rules.get(name.text)
    const matched = matchesPattern(name)
    if (rule === undefined && !matched && (name.isAddress || options.unlistedOrigins === 'refused')) {
      throw forbidden(name.text)
    }
    return {
      origin: name.text,
      baseUrl: baseUrlOf(name.text, rule),
      caFiles: rule?.caFiles ?? [],
      trusted: matched || (rule !== undefined && rule.private !== false),
    }
  }

  /** A registry that nobody listed may not send this node to what the operator did list, by redirects to any path there. */
  function target(from: Site, url: URL): Target {
    const isListed = from.trusted || listed.has(siteKey(from.baseUrl))
    return isListed ? listedTarget(from, url) : securedTarget(url, 'public')
  }

  function listedTarget(from: Site, url: URL): Target {
    const name = nameOf(url)
    const rule = listed.get(siteKey(url))
    if (rule !== undefined) return reached(url, name, rule.private === false ? 'public' : 'loopback')
    return securedTarget(url, from.trusted || matchesPattern(name) ? 'private' : 'public')
  }

  function realm(from: Site, challenger: URL, text: string): Target {
    const url = URL.canParse(text) ? new URL(text) : undefined
    if (url === undefined) throw forbidden('a token service without a URL')
    const checked = listedTarget(from, url)
    if (listed.has(siteKey(url))) return checked
    const origin = parseOrigin(from.origin)?.host ?? ''
    if (!sharesDomain(url.hostname, challenger.hostname) && !sharesDomain(url.hostname, origin)) {
      throw forbidden(`${url.hostname} as the token service of ${from.origin}`)
    }
    return checked
  }

  return { site, target, realm }
}

function securedTarget(url: URL, reach: Reach): Target {
  const name = nameOf(url)
  if (url.protocol !== 'https:') throw forbidden(`${name.text} without TLS`)
  if (name.isAddress) throw forbidden(name.text)
  return reached(url, name, reach)
}

/** An IP literal is never looked up, so its address is judged here. */
function reached(url: URL, name: OriginName, reach: Reach): Target {
  if (name.isAddress && !mayReach(name.host, reach)) throw forbidden(name.text)
  return { url, reach }
}

function baseUrlOf(origin: string, rule: OriginRule | undefined): URL {
  if (rule?.baseUrl !== undefined) return new URL(rule.baseUrl)
  return defaultBaseUrl(origin, rule?.plainHttp === true)
}

/** Scheme, host and port, in one spelling. */
function siteKey(url: URL): string {
  const name = nameOf(url)
  const host = name.host.includes(':') ? `[${name.host}]` : name.host
  return new URL(`${url.protocol}//${host}${url.port === '' ? '' : `:${url.port}`}`).origin
}

/** The host that a URL names; userinfo and other schemes are refused with it. */
function nameOf(url: URL): OriginName {
  const isHttp = url.protocol === 'https:' || url.protocol === 'http:'
  if (!isHttp || url.username !== '' || url.password !== '')
    throw forbidden('a URL that is more than a host and a path')
  return parseOrigin(url.host) ?? refuse('a URL whose host is none')
}

function requireOrigin(text: string): OriginName {
  const name = parseOrigin(text)
  if (name === undefined) throw new RangeError(`not a registry host: ${text}`)
  return name
}

/** Same host, or same registrable domain below a suffix that the public suffix list knows. */
function sharesDomain(one: string, other: string): boolean {
  const [first, second] = [parseOrigin(one)?.host, parseOrigin(other)?.host]
  if (first === undefined || second === undefined) return false
  if (first === second) return true
  const domain = registrableDomain(first)
  return domain !== undefined && domain === registrableDomain(second)
}

function registrableDomain(host: string): string | undefined {
  const { domain, isIcann, isPrivate } = parseDomain(host, { allowPrivateDomains: true })
  return domain !== null && (isIcann === true || isPrivate === true) ? domain : undefined
}

function compilePattern(text: string): (origin: string) => boolean {
  const labels = text.toLowerCase().replace(/:443$/, '').split('.').map(compileLabel)
  return (origin) => {
    const parts = origin.split('.')
    return parts.length === labels.length && labels.every((label, index) => label.test(parts[index] ?? ''))
  }
}

/** The last label may carry a port, which `*` never matches. */
function compileLabel(label: string): RegExp {
  return new RegExp(
    `^${label
      .split('*')
      .map((text) => RegExp.escape(text))
      .join('[a-z0-9-]*')}$`,
  )
}

export interface ResolvedAddress {
  readonly address: string
  readonly family: number
}

/** All addresses of a host name. */
export type Resolve = (host: string) => Promise<readonly ResolvedAddress[]>

export const resolveBySystem: Resolve = (host) => systemLookup(host, { all: true })

/**
 * A `lookup` for sockets that hands on only addresses within `reach`. The socket dials what it gets from here, so a
 * name can't point elsewhere between check and use.
 */
export function guardedLookup(resolve: Resolve, reach: Reach): LookupFunction {
  return (hostname, options, callback) => {
    void hand(resolveWithin(resolve, hostname, reach), options.all === true, callback)
  }
}

type LookupCallback = Parameters<LookupFunction>[2]

async function hand(resolution: Promise<Addresses>, all: boolean, callback: LookupCallback): Promise<void> {
  const addresses = await resolution.catch((error: Error) => error)
  if (addresses instanceof Error) callback(addresses, '')
  else if (all) callback(null, addresses)
  else callback(null, addresses[0].address, addresses[0].family)
}

type Addresses = [ResolvedAddress, ...ResolvedAddress[]]

async function resolveWithin(resolve: Resolve, host: string, reach: Reach): Promise<Addresses> {
  const [first, ...rest] = (await resolve(host)).filter(({ address }) => mayReach(address, reach))
  if (first === undefined) throw forbidden(`${host}, by the addresses it has`)
  return [first, ...rest]
}

const reachable: Record<Reach, readonly AddressClass[]> = {
  public: ['public'],
  private: ['public', 'private'],
  loopback: ['public', 'private', 'loopback'],
}

function mayReach(address: string, reach: Reach): boolean {
  return reachable[reach].includes(classifyAddress(address))
}

function forbidden(what: string): OriginError {
  return new OriginError('forbidden-target', `asking ${what} is not allowed`)
}

function refuse(what: string): never {
  throw forbidden(what)
}
