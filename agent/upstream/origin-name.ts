/** Which registry a text means. One registry has one canonical name, so that nothing is compared by prefix or spelling. */
import ipaddr from 'ipaddr.js'

/** A canonical origin, as `docker.io`, `registry.example.com:5000`, `10.0.0.7:5000` or `[fd00::7]:5000`; never with `:443`. */
export interface OriginName {
  readonly text: string
  /** Without port and brackets. */
  readonly host: string
  readonly isAddress: boolean
}

const hostLengthMax = 253
const originGrammar = /^(?:\[(?<ipv6>[0-9a-f:.]{2,45})\]|(?<host>[a-z0-9.-]{1,254}))(?::(?<port>[1-9][0-9]{0,4}))?$/i
const labelGrammar = /^[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?$/
/** Hosts that end in a number are IPv4 addresses, in whatever notation (WHATWG URL, "ends in a number"). */
const numericLabel = /^(?:[0-9]+|0x[0-9a-f]*)$/

/** Names that mean Docker Hub. */
const dockerHubNames = new Set(['docker.io', 'index.docker.io', 'registry-1.docker.io'])

/** `host[:port]` and nothing else: no userinfo, path, percent sign, zone or Unicode (punycode is plain ASCII). */
export function parseOrigin(text: string): OriginName | undefined {
  const { ipv6, host, port } = originGrammar.exec(text)?.groups ?? {}
  if (port !== undefined && Number(port) > 65_535) return undefined
  const parsed = ipv6 === undefined ? parseHost(host ?? '') : parseIpv6(ipv6)
  if (parsed === undefined) return undefined
  const shown = parsed.host.includes(':') ? `[${parsed.host}]` : parsed.host
  const name = port === undefined || port === '443' ? shown : `${shown}:${port}`
  return { ...parsed, text: dockerHubNames.has(name) ? 'docker.io' : name }
}

type Host = Pick<OriginName, 'host' | 'isAddress'>

function parseHost(text: string): Host | undefined {
  const host = text.toLowerCase().replace(/\.$/, '')
  const labels = host.split('.')
  if (numericLabel.test(labels.at(-1) ?? '')) return parseIpv4(host)
  if (host.length > hostLengthMax || !labels.every((label) => labelGrammar.test(label))) return undefined
  return { host, isAddress: false }
}

/** Dotted, decimal, octal and hexadecimal notations all become dotted decimal. */
function parseIpv4(text: string): Host | undefined {
  if (!ipaddr.IPv4.isValid(text)) return undefined
  return { host: ipaddr.IPv4.parse(text).toString(), isAddress: true }
}

/** An IPv4 address in IPv6 clothes is that IPv4 address. */
function parseIpv6(text: string): Host | undefined {
  if (!ipaddr.IPv6.isValid(text)) return undefined
  return { host: ipaddr.process(text).toString(), isAddress: true }
}

/** As Docker and Podman tell a registry from a path component. */
export function looksLikeHost(component: string): boolean {
  return component.includes('.') || component.includes(':') || component === 'localhost'
}

/** Docker Hub keeps its official images below `library/`. */
export function repositoryAt(origin: string, repository: string): string {
  return origin === 'docker.io' && !repository.includes('/') ? `library/${repository}` : repository
}

/** Where an origin's API is reached unless the operator says otherwise. */
export function defaultBaseUrl(origin: string, plainHttp: boolean): URL {
  if (plainHttp) return new URL(`http://${origin}`)
  return new URL(`https://${origin === 'docker.io' ? 'registry-1.docker.io' : origin}`)
}
