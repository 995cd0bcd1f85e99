/** The kinds of value that an option may have, as text from a flag or as data from a file. */
import { isIP } from 'node:net'
import { z } from 'zod'
import { limits } from '../core/limits.ts'
import { GiB, hour, KiB, MiB, millisecond, minute, second } from '../core/units.ts'

export interface HostPort {
  readonly host: string
  readonly port: number
}

const hostPortPattern = /^(?:\[([0-9A-Fa-f:.]+)\]|([A-Za-z0-9](?:[A-Za-z0-9.-]*[A-Za-z0-9])?)):(\d{1,5})$/

/** Of what `hostPort` takes, or `formatHostPort` wrote. */
export function toHostPort(text: string): HostPort {
  const [, ipv6, name, port] = hostPortPattern.exec(text) ?? []
  return { host: ipv6 ?? name ?? '', port: Number(port) }
}

/** `host:port`; IPv6 addresses in brackets. */
export function hostPort(portMin: 0 | 1): z.ZodType<HostPort, string> {
  return z
    .string()
    .regex(hostPortPattern, 'expected host:port, as 10.0.0.7:5052, registry.local:443 or [::1]:5052')
    .transform(toHostPort)
    .refine(({ port }) => port >= portMin && port <= 65_535, `expected a port from ${portMin} to 65535`)
}

export function formatHostPort({ host, port }: HostPort): string {
  return host.includes(':') ? `[${host}]:${port}` : `${host}:${port}`
}

/** As `setServers` of node:dns takes it. */
export const dnsServer = z.string().refine((text) => {
  const { host, port } = toHostPort(text)
  return isIP(text) !== 0 || (isIP(host) !== 0 && port > 0 && port <= 65_535)
}, 'expected an IP address, with a port where that is not 53, as 10.96.0.10 or [fd00::a]:53')

/** Where a client on this node reaches what listens at `at`. */
export function onThisNode(at: HostPort): HostPort {
  const onLoopback: Readonly<Record<string, string>> = { '0.0.0.0': '127.0.0.1', '::': '::1' }
  return { ...at, host: onLoopback[at.host] ?? at.host }
}

/** A whole number, or that number and a unit of `units`, as data or as text; gives the number in base units. */
function quantity(units: Readonly<Record<string, number>>, example: string): z.ZodType<number, number | string> {
  const pattern = new RegExp(`^(\\d+(?:\\.\\d+)?) ?(${Object.keys(units).join('|')})?$`)
  const hint = `expected a number with a unit, as ${example} (units: ${Object.keys(units).join(', ')})`
  const fromText = (text: string): number => {
    const [, amount, unit] = pattern.exec(text) ?? []
    return Math.round(Number(amount) * (unit === undefined ? 1 : (units[unit] ?? 1)))
  }
  return z.union([z.int().nonnegative(), z.string().regex(pattern, hint).transform(fromText)], hint)
}

/** A size: bytes, or text as `50GiB`. */
export const byteSize = quantity({ KiB, MiB, GiB, TiB: 1024 * GiB }, '50GiB')

/** A time: milliseconds, or text as `30s`. */
export const duration = quantity({ ms: millisecond, s: second, m: minute, h: hour }, '30s')

/** Bytes a second, as a size; 0: no limit. */
export const byteRate = byteSize.refine(
  (bytes) => bytes === 0 || bytes >= limits.rateMinBytes,
  'expected 0 for no limit, or at least 256KiB a second',
)
