/** What kind of network an IP address belongs to, whatever its notation. */
import ipaddr from 'ipaddr.js'

/** `never`: link-local, metadata services, multicast and everything else that no registry has. */
export type AddressClass = 'public' | 'private' | 'loopback' | 'never'

/**
 * Metadata services outside the link-local ranges: AWS (fd00:ec2::254), Google (fd20:ce::254), Scaleway (fd00:42::42),
 * Alibaba (100.100.100.200), Oracle (192.0.0.192), Azure's wire server (168.63.129.16).
 */
const metadataAddresses = new Set(
  ['fd00:ec2::254', 'fd20:ce::254', 'fd00:42::42', '100.100.100.200', '192.0.0.192', '168.63.129.16'].map((address) =>
    ipaddr.parse(address).toNormalizedString(),
  ),
)

const globalUnicast = ipaddr.IPv6.parseCIDR('2000::/3')

export function classifyAddress(text: string): AddressClass {
  if (!ipaddr.isValid(text)) return 'never'
  const address = ipaddr.process(text)
  if (metadataAddresses.has(address.toNormalizedString())) return 'never'
  return address instanceof ipaddr.IPv4 ? classifyIpv4(address) : classifyIpv6(address)
}

function classifyIpv4(address: ipaddr.IPv4): AddressClass {
  const range = address.range()
  if (range === 'loopback') return 'loopback'
  if (range === 'private' || range === 'carrierGradeNat') return 'private'
  return range === 'unicast' || range === 'as112' || range === 'amt' ? 'public' : 'never'
}

function classifyIpv6(address: ipaddr.IPv6): AddressClass {
  const range = address.range()
  if (range === 'loopback') return 'loopback'
  if (range === 'uniqueLocal') return 'private'
  if (range === 'rfc6052') return classifyTranslated(address)
  return range === 'unicast' && address.match(globalUnicast) ? 'public' : 'never'
}

/** 64:ff9b::/96 (NAT64, in clusters that speak only IPv6): the IPv4 address in the last 32 bits counts. */
function classifyTranslated(address: ipaddr.IPv6): AddressClass {
  const embedded = classifyAddress(new ipaddr.IPv4(address.toByteArray().slice(12)).toString())
  return embedded === 'loopback' ? 'never' : embedded
}
