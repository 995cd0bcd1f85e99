/**
 * containerd's hosts.toml with this node's mirror in it (facts/protocols.md §1.1). What the file had before stays in force behind
 * the mirror: other mirrors in their order, the server, its CAs, client certificates and headers.
 */
import { parse, stringify, type TomlTable, type TomlValue } from 'smol-toml'
import { formatHostPort, onThisNode } from '../config-values.ts'
import type { AgentConfig } from '../config.ts'
import { nodeSecretHeader } from '../mirror-tls/node-secret.ts'
import { classifyAddress } from '../upstream/addresses.ts'
import { limits } from '../../core/limits.ts'

export interface MirrorHost {
  readonly url: string
  /** Are tags resolved through the mirror too, or by containerd at the registry? */
  readonly resolvesTags: boolean
  /** What the mirror's guard wants; undefined where it speaks plain HTTP. */
  readonly secret?: string | undefined
}

export const hostsFileName = 'hosts.toml'
/** For registries without a directory of their own. */
export const defaultDirectory = '_default'
/** Beside hosts.toml, so that containerd finds it wherever the data directory is mounted. */
export const caFileName = 'shoal-ca.pem'

const notice =
  '# Written by `shoal configure`, which overwrites changes; `shoal cleanup` puts back what was here before.\n'
const madeNotice = /^# Directories that were made for it: (\d+)$/m

/** Is it a file that `hostsFile` wrote? */
export function isHostsFileOfShoal(text: string): boolean {
  return text.startsWith(notice)
}

/** How many directories, the one of this file first, were made for it and go with it. */
export function directoriesMadeFor(text: string): number {
  return Number(madeNotice.exec(text)?.[1] ?? 0)
}

/** The file in place of `before`. Throws where that is no TOML, or no hosts file. */
export function hostsFile(mirror: MirrorHost, before: TomlTable, directoriesMade: number): string {
  const { host = {}, server, ...others } = before
  if (!isTable(host)) throw new TypeError('`host` is no table')
  const chained = Object.entries(host).filter(([url]) => !isSameEndpoint(url, mirror.url))
  // containerd 1.x ignores a file without a [host] table; there always is one here.
  const text = stringify({
    ...(typeof server === 'string' && !isSameEndpoint(server, mirror.url) ? { server } : {}),
    ...others,
    host: { [mirror.url]: hostEntry(mirror), ...Object.fromEntries(chained) },
  })
  return `${notice}# Directories that were made for it: ${directoriesMade}\n\n${text}`
}

/** The directories in which containerd looks for `registry`, in its order; after them comes `_default`. */
export function directoryNames(registry: string): string[] {
  return [registry.replace(/:([^:]*)$/, '_$1_'), registry]
}

/** Throws where it is no TOML. */
export function parseHostsFile(text: string): TomlTable {
  return parse(text)
}

/**
 * What containerd makes of a directory that has certificates in Docker's form and no hosts.toml; with one it ignores them.
 * `names` are those of the files in it.
 */
export function fromDockerCertificates(names: readonly string[]): TomlTable {
  const ca = names.filter((name) => name.endsWith('.crt')).toSorted()
  const certificates = names.filter((name) => name.endsWith('.cert')).toSorted()
  const client = certificates.map((name) => [name, name.replace(/cert$/, 'key')])
  return { ...(ca.length > 0 && { ca }), ...(client.length > 0 && { client }) }
}

/** Where a client on this node reaches the mirror. */
export function mirrorUrl({
  mirrorListen,
  mirrorProtocol,
}: Pick<AgentConfig, 'mirrorListen' | 'mirrorProtocol'>): string {
  return `${mirrorProtocol}://${formatHostPort(onThisNode(mirrorListen))}`
}

function hostEntry({ resolvesTags, secret }: MirrorHost): TomlTable {
  return {
    capabilities: resolvesTags ? ['pull', 'resolve'] : ['pull'],
    dial_timeout: `${limits.mirrorDialMs}ms`,
    ...(secret !== undefined && { ca: caFileName, header: { [nodeSecretHeader]: secret } }),
  }
}

/**
 * An entry of before for the mirror's own port, under whatever scheme or name of loopback: kept in the chain, a plain one
 * would send credentials to whoever takes that port.
 */
export function isSameEndpoint(one: string, other: string): boolean {
  const [a, b] = [endpointOf(one), endpointOf(other)]
  return a !== undefined && a === b
}

function endpointOf(text: string): string | undefined {
  const { host, hostname, port } = URL.parse(text.includes('://') ? text : `https://${text}`) ?? {}
  if (hostname === undefined) return undefined
  const isLoopback = hostname === 'localhost' || classifyAddress(hostname.replaceAll(/[[\]]/g, '')) === 'loopback'
  return isLoopback ? `loopback:${port}` : host
}

export function isTable(value: unknown): value is TomlTable {
  return typeof value === 'object' && value !== null && !Array.isArray(value) && !(value instanceof Date)
}

/** A text, or the texts of a list. */
export function textsOf(value: TomlValue | undefined): string[] {
  return (Array.isArray(value) ? value : [value]).filter((each) => typeof each === 'string')
}
