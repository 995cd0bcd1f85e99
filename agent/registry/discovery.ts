/** Tag lists and referrers: the origin's answer, passed through. */
import type { Credential } from '../upstream/credential.ts'
import type { OriginRepository } from '../upstream/origin-client.ts'
import type { Exchange } from './exchange.ts'
import type { Origin } from './ports.ts'
import type { Discovery } from './route.ts'

export async function sendDiscovery(
  exchange: Exchange,
  origin: Origin,
  at: OriginRepository,
  discovery: Discovery,
  credential: Credential,
): Promise<void> {
  const { endpoint, query } = discovery
  const { status, headers, body } = await origin.passThrough(at, endpoint, query, credential, exchange.signal)
  const { link, ...others } = headers
  exchange.send({ status, headers: { ...others, ...(link === undefined ? {} : nextLink(link, discovery)) }, body })
}

/** The link to the next page as this client must ask for it: at its own path here, with its `ns`. */
function nextLink(link: string, { path, ns }: Discovery): { link?: string } {
  const search = /\?([^<>]*)>/.exec(link)?.[1]
  if (search === undefined) return {}
  const query = new URLSearchParams(search)
  if (ns !== undefined) query.set('ns', ns)
  return { link: `<${path}?${query.toString()}>; rel="next"` }
}
