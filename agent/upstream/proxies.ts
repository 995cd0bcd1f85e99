/**
 * Which proxy a URL is asked through. The variables mean what they mean to containerd beside us, whose reading is Go's
 * (golang.org/x/net/http/httpproxy): else one of the two reaches a registry and the other does not.
 */
import ipaddr from 'ipaddr.js'
import { classifyAddress } from './addresses.ts'
import { parseOrigin } from './origin-name.ts'

/** What `HTTP_PROXY`, `HTTPS_PROXY` and `NO_PROXY` say; each scheme uses its own proxy only. */
export interface ProxySettings {
  readonly http?: string | undefined
  readonly https?: string | undefined
  readonly none?: string | undefined
}

/** The URL of the proxy; undefined where there is none for this one. */
export type ProxyFor = (url: URL) => string | undefined

export function createProxyFor({ http, https, none }: ProxySettings): ProxyFor {
  const entries = (none ?? '')
    .toLowerCase()
    .split(/[,\s]+/)
    .filter((entry) => entry !== '')
    .map(compileEntry)

  return (url) => {
    const proxy = url.protocol === 'https:' ? https : http
    if (proxy === undefined || proxy === '') return undefined
    const host = parseOrigin(url.host)?.host ?? ''
    // Loopback would mean the proxy's own.
    if (host === 'localhost' || classifyAddress(host) === 'loopback') return undefined
    if (entries.some((names) => names(host, portOf(url)))) return undefined
    return proxy.includes('://') ? proxy : `http://${proxy}`
  }
}

/** `host`: in lower case, without brackets and a final dot. */
type Names = (host: string, port: string) => boolean

/** `*`, a network, or an address or a domain, both with a port or for all. */
function compileEntry(entry: string): Names {
  if (entry === '*') return () => true
  if (ipaddr.isValidCIDR(entry)) return inNetwork(entry)
  const [, bracketed, plain, port] = /^(?:\[(.+)\]|([^:]+))(?::(\d+))?$/.exec(entry) ?? []
  const name = bracketed ?? plain ?? entry
  const isNamed = ipaddr.isValid(name) ? isAddress(name) : isInDomain(name.replace(/\.$/, ''))
  return (host, hostPort) => (port === undefined || port === hostPort) && isNamed(host)
}

/** Only what is an address by name: nothing is looked up. */
function inNetwork(entry: string): Names {
  const [network, bits] = ipaddr.parseCIDR(entry)
  return (host) => {
    const address = ipaddr.isValid(host) ? ipaddr.parse(host) : undefined
    return address !== undefined && address.kind() === network.kind() && address.match(network, bits)
  }
}

function isAddress(name: string): (host: string) => boolean {
  const address = ipaddr.process(name).toString()
  return (host) => host === address
}

/** `example.com` and what is below it; of `.example.com` and `*.example.com` only what is below. */
function isInDomain(name: string): (host: string) => boolean {
  const suffix = name.replace(/^\*?\.?/, '.')
  return (host) => host.endsWith(suffix) || host === name
}

function portOf({ port, protocol }: URL): string {
  if (port !== '') return port
  return protocol === 'https:' ? '443' : '80'
}
