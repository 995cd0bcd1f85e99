/**
 * Which images a text speaks of: `host[:port][/path]`, where each `*` of the host stands for any part of one label.
 *
 * | pattern                  | is                                     | is not                                       |
 * | `reg.io`                 | `reg.io/app`                           | `reg.io.evil.com/app`, `reg.io:5000/app`     |
 * | `*.dkr.ecr.*.amazonaws.com` | `1.dkr.ecr.eu-west-1.amazonaws.com/app` | `dkr.ecr.eu-west-1.amazonaws.com/app`     |
 * | `reg.io/team`            | `reg.io/team/app`                      | `reg.io/other/app`                           |
 *
 * After `URLsMatch` in kubernetes/kubernetes, pkg/credentialprovider/keyring.go. Here as everywhere in Shoal names of one
 * registry are one: port 443 is no port, letters have no case, Docker Hub is `docker.io`.
 */
import type { OriginRepository } from '../upstream/origin-client.ts'
import { parseOrigin, repositoryAt } from '../upstream/origin-name.ts'

export interface ImagePattern {
  /** Canonical. */
  readonly text: string
  readonly labels: readonly RegExp[]
  /** Empty where it names none. */
  readonly port: string
  /** Empty, or begins with a slash and ends without. */
  readonly path: string
}

const patternGrammar =
  /^(?<host>\[[0-9a-f:.]{2,45}\]|[a-z0-9.*_-]{1,253})(?::(?<port>[1-9][0-9]{0,4}))?(?<path>\/[^?#\\\s]*)?$/i

/** Undefined where the text is none. */
export function parseImagePattern(text: string): ImagePattern | undefined {
  const { host = '', port, path = '' } = patternGrammar.exec(text)?.groups ?? {}
  const origin = canonicalHost(host.toLowerCase(), port)
  if (origin === undefined) return undefined
  const { labels, port: shown } = splitHost(origin)
  const kept = path.replace(/\/+$/, '')
  return { text: `${origin}${kept}`, labels: labels.map(compileLabel), port: shown, path: kept }
}

/** The same for a key of a docker config file, which may be a URL; the API's version at its end says nothing. */
export function parseRegistryKey(text: string): ImagePattern | undefined {
  const { rest = '' } = /^(?:https?:\/\/)?(?<rest>.*)$/is.exec(text)?.groups ?? {}
  const slash = rest.indexOf('/')
  if (slash < 0) return parseImagePattern(rest)
  return parseImagePattern(rest.slice(0, slash) + rest.slice(slash).replace(/^\/v[12](?=\/|$)/, ''))
}

function canonicalHost(host: string, port: string | undefined): string | undefined {
  const name = port === undefined || port === '443' ? host : `${host}:${port}`
  return host.includes('*') ? name : parseOrigin(name)?.text
}

/** As `net.SplitHostPort`; an IPv6 address is one label. */
function splitHost(origin: string): { readonly labels: readonly string[]; readonly port: string } {
  const { host = '', port = '' } = /^(?<host>\[.*\]|[^:]*)(?::(?<port>\d+))?$/.exec(origin)?.groups ?? {}
  return { labels: host.split('.'), port }
}

function compileLabel(label: string): RegExp {
  const parts = label.split('*').map((part) => RegExp.escape(part))
  return new RegExp(`^${parts.join('.*')}$`)
}

/** An image without tag and digest, as kubelet names it to credential providers. */
export function imageText({ origin, repository }: OriginRepository): string {
  return `${origin}/${repositoryAt(origin, repository)}`
}

/** As Kubernetes matches `matchImages`: the path is a prefix, whatever follows, so `reg.io/team` is `reg.io/team-x` too. */
export function matchesImage(pattern: ImagePattern, at: OriginRepository): boolean {
  return matchesHost(pattern, at.origin) && pathOf(at).startsWith(pattern.path)
}

/** As `matchesImage`, but by whole components of the path: a secret for `reg.io/team` is none for `reg.io/team-x`. */
export function isForImage(pattern: ImagePattern, at: OriginRepository): boolean {
  return matchesHost(pattern, at.origin) && `${pathOf(at)}/`.startsWith(`${pattern.path}/`)
}

function matchesHost(pattern: ImagePattern, origin: string): boolean {
  const { labels, port } = splitHost(origin)
  return (
    port === pattern.port &&
    labels.length === pattern.labels.length &&
    pattern.labels.every((label, index) => label.test(labels[index] ?? ''))
  )
}

function pathOf({ origin, repository }: OriginRepository): string {
  return `/${repositoryAt(origin, repository)}`
}
