/**
 * What the manifests that passed through said of their contents, so that sizes and types need not be asked of the origin.
 * Kept per repository: whoever can publish in one repository must not be able to lie about the contents of another.
 */
import { limits } from '../../core/limits.ts'
import type { Digest } from '../../core/oci/digest.ts'
import type { Descriptor, Manifest } from '../../core/oci/manifest.ts'
import { createBoundedMap } from '../../core/bounded-map.ts'
import type { ManifestHead, OriginRepository } from '../upstream/origin-client.ts'

export interface KnownContent {
  readonly size: number
  readonly mediaType: string
  /** Of a layer: all layers of the manifest that named it last, lowest first. */
  readonly layers?: readonly Descriptor[]
}

export interface Descriptors {
  find(at: OriginRepository, digest: Digest): KnownContent | undefined
  /** The origin said this of a manifest. */
  recordHead(at: OriginRepository, head: ManifestHead): void
  /** This manifest was read and is sound. */
  recordManifest(at: OriginRepository, manifest: Manifest): void
}

export function createDescriptors(): Descriptors {
  const known = createBoundedMap<string, KnownContent>(limits.descriptorsMax)

  function recordManifest(at: OriginRepository, manifest: Manifest): void {
    const layers = manifest.descriptors.filter(({ role }) => role === 'layer')
    for (const { digest, size, mediaType, role } of manifest.descriptors) {
      known.set(keyOf(at, digest), role === 'layer' ? { size, mediaType, layers } : { size, mediaType })
    }
  }

  return {
    find: (at, digest) => known.get(keyOf(at, digest)),
    recordHead: (at, { digest, size, mediaType }) => known.set(keyOf(at, digest), { size, mediaType }),
    recordManifest,
  }
}

function keyOf(at: OriginRepository, digest: Digest): string {
  return `${at.origin} ${at.repository} ${digest}`
}
