/** Which multiaddrs we dial and which we tell others. */
import { multiaddr, type Multiaddr } from '@multiformats/multiaddr'
import ipaddr from 'ipaddr.js'
import { limits } from '../../core/limits.ts'
import type { PeerId } from '../../core/ports.ts'

const hostKinds: readonly string[] = ['ip4', 'ip6', 'dns', 'dns4', 'dns6']
/** Nodes have none of these; link-local is where clouds keep their metadata services. */
const refusedRanges: readonly string[] = ['unspecified', 'broadcast', 'multicast', 'linkLocal', 'reserved']

/** A host and a TCP port, with or without a peer ID; not a path, a relay, or an address that nodes do not have. */
export function isDialable(address: Multiaddr): boolean {
  const [host, port, peer, ...rest] = address.getComponents()
  if (host === undefined || !hostKinds.includes(host.name) || port?.name !== 'tcp' || rest.length > 0) return false
  if (peer !== undefined && peer.name !== 'p2p') return false
  return !host.name.startsWith('ip') || isNodeAddress(host.value ?? '')
}

/** The host of an address: an IP address in its one form (an IPv4 address is never written as an IPv6 one), or a name. */
export function hostOf(address: Multiaddr): string {
  return plainHost(address.getComponents()[0]?.value ?? '')
}

/** The TCP port of an address. */
export function tcpPortOf(address: Multiaddr): number {
  return Number(address.getComponents().find(({ name }) => name === 'tcp')?.value)
}

/** As in `hostOf`. */
export function plainHost(host: string): string {
  return ipaddr.isValid(host) ? ipaddr.process(host).toString() : host
}

function isNodeAddress(ip: string): boolean {
  return ipaddr.isValid(ip) && !refusedRanges.includes(ipaddr.process(ip).range())
}

/** The addresses of `texts` that lead to `peer` and to nobody else. */
export function targetsOf(peer: PeerId, texts: readonly string[]): Multiaddr[] {
  return texts.slice(0, limits.peerAddressesMax).flatMap((text) => {
    const address = parse(text)
    if (address === undefined || !isDialable(address)) return []
    const named = address.getComponents().at(2)?.value
    if (named === undefined) return [address.encapsulate(`/p2p/${peer}`)]
    return named === peer ? [address] : []
  })
}

function parse(text: string): Multiaddr | undefined {
  try {
    return multiaddr(text)
  } catch {
    return undefined
  }
}

/** `host` as the multiaddr of a TCP listener; `host` is an IP address. */
export function tcpAddress(host: string, port: number): string {
  return `/ip${ipaddr.parse(host).kind() === 'ipv6' ? 6 : 4}/${host}/tcp/${port}`
}

/** What a listener is told to others as: its port at the one address that the configuration gives. */
export function advertised(listening: readonly Multiaddr[], advertiseAddress: string): Multiaddr[] {
  const ports = new Set(listening.map(tcpPortOf))
  return [...ports].map((port) => multiaddr(tcpAddress(advertiseAddress, port)))
}
