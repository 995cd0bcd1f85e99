/** `GET|HEAD /v2/<name>/manifests/<tag|digest>` */
import type { Reference } from '../../core/oci/reference.ts'
import type { Credential } from '../upstream/credential.ts'
import type { Exchange } from './exchange.ts'
import type { Manifests } from './manifests.ts'
import type { OriginRepository } from '../upstream/origin-client.ts'
import { sendContent, sendHead } from './send-content.ts'

export async function sendManifest(
  exchange: Exchange,
  manifests: Manifests,
  at: OriginRepository,
  reference: Reference,
  credential: Credential,
): Promise<void> {
  if (exchange.request.method === 'HEAD') {
    sendHead(exchange, await manifests.head(at, reference, credential, exchange.signal))
    return
  }
  const manifest = await manifests.get(at, reference, credential, exchange.signal)
  await sendContent(exchange, manifest, (range) => [manifest.body.subarray(range.start, range.end)])
}
