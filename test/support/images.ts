/** Small images as registries hold them. */
import type { Digest } from '../../core/oci/digest.ts'
import { mediaTypes } from '../../core/oci/manifest.ts'
import type { MemoryBlob, MemoryBlobs } from './memory-blobs.ts'

const layerType = 'application/vnd.oci.image.layer.v1.tar+gzip'

/** Bytes that differ at each offset of a small content, and from content to content. */
export function patternBytes(size: number, seed = 1): Uint8Array {
  const bytes = new Uint8Array(size)
  for (let at = 0; at < size; at++) bytes[at] = (at * 31 + (at >> 8) * 7 + seed * 101) & 0xff
  return bytes
}

export interface MemoryImage {
  readonly config: MemoryBlob
  readonly layers: readonly MemoryBlob[]
  readonly manifest: MemoryBlob
}

/** An image whose layers have `sizes` bytes. */
export function addImage(blobs: MemoryBlobs, sizes: readonly number[], urls?: readonly string[]): MemoryImage {
  const config = blobs.add('{"architecture":"amd64"}')
  const layers = sizes.map((size, index) => blobs.add(patternBytes(size, index + 1)))
  const manifest = blobs.add(
    JSON.stringify({
      schemaVersion: 2,
      mediaType: mediaTypes.ociManifest,
      config: describe(config, 'application/vnd.oci.image.config.v1+json'),
      layers: layers.map((layer) => ({ ...describe(layer, layerType), ...(urls === undefined ? {} : { urls }) })),
    }),
  )
  return { config, layers, manifest }
}

/** An index of images. */
export function addIndex(blobs: MemoryBlobs, images: readonly MemoryImage[]): MemoryBlob {
  const manifests = images.map(({ manifest }) => describe(manifest, mediaTypes.ociManifest))
  return blobs.add(JSON.stringify({ schemaVersion: 2, mediaType: mediaTypes.ociIndex, manifests }))
}

export function describe(blob: MemoryBlob, mediaType: string): { mediaType: string; digest: Digest; size: number } {
  return { mediaType, digest: blob.digest, size: blob.bytes.length }
}
