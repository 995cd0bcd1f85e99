/** A few repositories, as both the twin and the served registry of the origin tests hold them. */
import { createHash } from 'node:crypto'
import { type Digest, digestFromHex } from '../../core/oci/digest.ts'

export interface Repository {
  readonly manifests: ReadonlyMap<Digest, Manifest>
  readonly tags: ReadonlyMap<string, Digest>
  readonly blobs: ReadonlyMap<Digest, Uint8Array>
  /** The `Authorization` that may read it; undefined: anybody. */
  readonly authorization: string | undefined
}

export interface Manifest {
  readonly mediaType: string
  readonly body: Uint8Array
}

export type Repositories = Readonly<Record<string, Repository>>

export const manifestType = 'application/vnd.oci.image.manifest.v1+json'

export function digestOf(bytes: Uint8Array): Digest {
  return digestFromHex(createHash('sha256').update(bytes).digest('hex'))
}

/** One manifest under tag `v1`, and the blobs. */
export function repository(body: string, blobs: readonly Uint8Array[], authorization?: string): Repository {
  const manifest = { mediaType: manifestType, body: Buffer.from(body) }
  const digest = digestOf(manifest.body)
  return {
    manifests: new Map([[digest, manifest]]),
    tags: new Map([['v1', digest]]),
    blobs: new Map(blobs.map((blob) => [digestOf(blob), blob])),
    authorization,
  }
}

/** `length` bytes that differ at every place a mistake could shift to. */
export function someBytes(length: number): Uint8Array {
  return Uint8Array.from({ length }, (_, index) => (index * 7 + (index >> 8)) & 0xff)
}
