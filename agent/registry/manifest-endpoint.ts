/** `GET|HEAD /v2/<name>/manifests/<tag|digest>` */
import type { Reference } from '../../core/oci/reference.ts'
import type { Credential } from '../upstream/credential.ts'
import type { Exchange } from './exchange.ts'
import type { Manifests } from './manifests.ts'
import type { OriginRepository } from '../upstream/origin-client.ts'
import { sendContent, sendHead } from './send-content.ts'
import type { ResolvedTag } from './tags.ts'

export async function sendManifest(
  exchange: Exchange,
  manifests: Manifests,
  at: OriginRepository,
  reference: Reference,
  credential: Credential,
): Promise<void> {
  if (exchange.request.method === 'HEAD') {
    const head = await manifests.head(at, reference, credential, exchange.signal)
    markStale(exchange, head)
    sendHead(exchange, head)
    return
  }
  const manifest = await manifests.get(at, reference, credential, exchange.signal)
  markStale(exchange, manifest)
  await sendContent(exchange, manifest, (range) => [manifest.body.subarray(range.start, range.end)])
}

/** `Warning` as the distribution-spec has it ("Warnings"), for people; a header of our own for programs. */
function markStale({ response }: Exchange, { staleMs }: ResolvedTag): void {
  if (staleMs === undefined) return
  const since = new Date(Date.now() - staleMs).toUTCString()
  response.setHeader('shoal-stale-since', since)
  response.setHeader('warning', `299 - "The registry is down; it named this image by its tag at ${since}"`)
}
