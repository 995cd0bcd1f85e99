/** The header by which this node's container engine shows that it may ask the mirror; `shoal configure` writes it to hosts.toml. */
import { timingSafeEqual } from 'node:crypto'
import type { IncomingHttpHeaders } from 'node:http'

export const nodeSecretHeader = 'shoal-node-secret'

/** Takes as long for a wrong secret as for the right one. */
export function showsNodeSecret(headers: IncomingHttpHeaders, secret: string): boolean {
  const shown = Buffer.from(String(headers[nodeSecretHeader] ?? ''))
  const expected = Buffer.from(secret)
  return shown.length === expected.length && timingSafeEqual(shown, expected)
}
