/** A tenant's own registry, made to open another's: it says that it has whatever it is asked for. */
import type { Digest } from '../../core/oci/digest.ts'
import { mediaTypes } from '../../core/oci/manifest.ts'
import { type Respond, sendBytes } from './hostile-origin.ts'

/** Of these contents it sends the inverse of each byte, so that one that comes out right came from elsewhere; else it is `honest`. */
export function lyingAbout(contents: ReadonlyMap<Digest, Uint8Array>, honest: Respond): Respond {
  return (request, response) => {
    const [digest] = /sha256:[0-9a-f]{64}/.exec(request.url ?? '') ?? []
    const bytes = contents.get(digest as Digest)
    if (bytes === undefined) return honest(request, response)
    response.setHeader('docker-content-digest', digest ?? '').setHeader('content-type', mediaTypes.ociManifest)
    if (request.method === 'HEAD') response.writeHead(200, { 'content-length': bytes.length }).end()
    else sendBytes(inverseOf(bytes), request, response)
  }
}

export function inverseOf(bytes: Uint8Array): Buffer {
  return Buffer.from(bytes.map((byte) => ~byte))
}
