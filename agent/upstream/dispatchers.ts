/**
 * Connections to origins. One pool of connections per way of connecting (how far DNS may point, which CAs, through a
 * proxy or not), so that a connection opened under wider rules never carries a request under narrower ones.
 */
import { X509Certificate } from 'node:crypto'
import { readFileSync } from 'node:fs'
import { getCACertificates } from 'node:tls'
import { Agent, type Dispatcher, ProxyAgent } from 'undici'
import { ShoalError } from '../../core/errors.ts'
import { limits } from '../../core/limits.ts'
import { guardedLookup, type Reach, type Resolve, type Site, type Target } from './egress.ts'
import { createProxyFor, type ProxySettings } from './proxies.ts'

export interface DispatcherOptions {
  /** PEM files, trusted for every origin besides the CAs that Node.js knows. */
  readonly extraCaFiles?: readonly string[] | undefined
  /** The PEM files that single origins name. */
  readonly originCaFiles: readonly string[]
  readonly proxy?: ProxySettings | undefined
  readonly headersTimeoutMs: number
  readonly bodyIdleTimeoutMs: number
}

export interface Dispatchers {
  /**
   * Connections to `target` for a request on behalf of `site`, checked against the CAs of `site`. `isContent`: what may take long has
   * connections of its own, so that no question waits behind as many slow blobs.
   */
  for(target: Target, site: Site, isContent: boolean): Dispatcher
  /** Ends all connections, those in use too. */
  close(): Promise<void>
}

/** Throws `CONFIG_INVALID` when a CA file can't be read or holds no certificate. */
export function createDispatchers(resolve: Resolve, options: DispatcherOptions): Dispatchers {
  const pools = new Map<string, Dispatcher>()
  const proxyFor = createProxyFor(options.proxy ?? {})
  const extraCaFiles = options.extraCaFiles ?? []
  const certificates = new Map([...extraCaFiles, ...options.originCaFiles].map((file) => [file, readCertificate(file)]))

  /** Besides the CAs that Node.js trusts, those of NODE_EXTRA_CA_CERTS among them. */
  function trust(caFiles: readonly string[]): string[] {
    return [
      ...getCACertificates('default'),
      ...[...extraCaFiles, ...caFiles].map((file) => certificates.get(file) ?? ''),
    ]
  }

  function open(reach: Reach, caFiles: readonly string[], proxyUrl: string | undefined): Dispatcher {
    const tls = { ca: trust(caFiles), rejectUnauthorized: true }
    const pool = { ...poolOptions(options), connect: { ...tls, lookup: guardedLookup(resolve, reach) } }
    if (proxyUrl === undefined) return new Agent(pool)
    return new ProxyAgent({ ...pool, uri: proxyUrl, requestTls: tls, proxyTls: tls })
  }

  return {
    for({ url, reach }, { caFiles }, isContent) {
      const proxyUrl = proxyFor(url)
      const key = JSON.stringify([reach, proxyUrl, caFiles, isContent])
      const pool = pools.get(key) ?? open(reach, caFiles, proxyUrl)
      pools.set(key, pool)
      return pool
    },
    async close() {
      await Promise.all([...pools.values()].map((pool) => pool.destroy()))
    },
  }
}

function readCertificate(file: string): string {
  try {
    const pem = readFileSync(file)
    requireCertificate(pem)
    return pem.toString()
  } catch (cause) {
    throw new ShoalError('CONFIG_INVALID', `the CA file ${file} holds no certificate that can be read`, { cause })
  }
}

/** Throws now, at start, rather than at the first handshake. */
function requireCertificate(pem: Uint8Array): X509Certificate {
  return new X509Certificate(pem)
}

function poolOptions(options: DispatcherOptions): Agent.Options {
  return {
    connections: limits.originConnectionsMax,
    maxOrigins: limits.originHostsMax,
    pipelining: 1,
    // An aborted request ends its HTTP/1.1 connection at once; over HTTP/2 what is on its way still counts.
    allowH2: false,
    maxHeaderSize: limits.originHeadersMaxBytes,
    connectTimeout: limits.originConnectMs,
    headersTimeout: options.headersTimeoutMs,
    bodyTimeout: options.bodyIdleTimeoutMs,
  }
}
