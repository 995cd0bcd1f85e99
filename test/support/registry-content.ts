/** A few repositories, as both the twin and the served registry of the origin tests hold them. */
import { createHash } from 'node:crypto'
import { readFile } from 'node:fs/promises'
import { blobPath, type Image } from '../../cli/demo/image.ts'
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

/** A real image, read into memory; for anybody. */
export async function repositoryOf(image: Image): Promise<Repository> {
  const read = ({ digest }: { readonly digest: Digest }) => readFile(blobPath(image.directory, digest))
  const manifests = [image.index, ...image.platforms.map(({ manifest }) => manifest)]
  const blobs = image.platforms.flatMap(({ config, layers }) => [config, ...layers])
  return {
    manifests: new Map(
      await Promise.all(manifests.map(async (each) => [each.digest, { ...each, body: await read(each) }] as const)),
    ),
    tags: new Map([[image.tag, image.index.digest]]),
    blobs: new Map(await Promise.all(blobs.map(async (each) => [each.digest, await read(each)] as const))),
    authorization: undefined,
  }
}

/** `length` bytes that differ at every place a mistake could shift to. */
export function someBytes(length: number): Uint8Array {
  return Uint8Array.from({ length }, (_, index) => (index * 7 + (index >> 8)) & 0xff)
}
