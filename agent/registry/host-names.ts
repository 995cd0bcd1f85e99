/**
 * Which Host headers the mirror answers. A web page whose own name was pointed at 127.0.0.1 (DNS rebinding) sends that
 * name, so any name but ours is refused; an IP address cannot be rebound.
 */
import { isIP } from 'node:net'

const loopbackName = 'localhost'

/** `names` are those that an operator listed, beside addresses and `localhost`. Of two Host headers none counts (RFC 9112, 3.2). */
export function isOwnHost(headers: readonly string[] | undefined, names: readonly string[]): boolean {
  const host = headers?.length === 1 ? hostOf(headers[0] ?? '') : undefined
  if (host === undefined) return false
  return host === loopbackName || isIP(host) !== 0 || names.some((name) => name.toLowerCase() === host)
}

/** The host of `host[:port]` or `[v6][:port]`, in lower case and without brackets; undefined where it is malformed. */
function hostOf(header: string): string | undefined {
  const match = /^(?:\[([0-9a-f:.]+)\]|([a-z0-9._-]+))(?::\d{1,5})?$/i.exec(header)
  return (match?.[1] ?? match?.[2])?.toLowerCase()
}
