import type { AddressInfo } from 'node:net'

/** The port of a TCP listener that is open, from what its server's `address()` says. */
export function portOf(address: AddressInfo | string | null): number {
  if (address === null || typeof address === 'string') throw new TypeError('a TCP listener has a port')
  return address.port
}
