/** Manifests by tag or digest: buffered whole, checked, and read before anybody gets them. */
import { createHash } from 'node:crypto'
import { ShoalError } from '../../core/errors.ts'
import { limits } from '../../core/limits.ts'
import { type Digest, digestFromHex } from '../../core/oci/digest.ts'
import { parseManifest } from '../../core/oci/manifest.ts'
import type { Reference } from '../../core/oci/reference.ts'
import type { Possession } from '../access/possession.ts'
import type { Descriptors } from './descriptors.ts'
import type { Credential } from '../upstream/credential.ts'
import type { OriginRepository } from '../upstream/origin-client.ts'
import type { Blobs, OpenBlob } from './ports.ts'
import type { ResolvedTag, Tags } from './tags.ts'

export interface HeldManifest extends ResolvedTag {
  readonly body: Uint8Array
}

export interface Manifests {
  /** What a HEAD answers. A digest that no descriptor told of yet is read whole, since its type stands in its body. */
  head(at: OriginRepository, reference: Reference, credential: Credential, signal: AbortSignal): Promise<ResolvedTag>
  get(at: OriginRepository, reference: Reference, credential: Credential, signal: AbortSignal): Promise<HeldManifest>
}

interface ManifestsComponents {
  readonly blobs: Blobs
  readonly tags: Tags
  readonly descriptors: Descriptors
  readonly possession: Pick<Possession, 'prove'>
}

export function createManifests({ blobs, tags, descriptors, possession }: ManifestsComponents): Manifests {
  async function resolve(
    at: OriginRepository,
    reference: Reference,
    credential: Credential,
    signal: AbortSignal,
  ): Promise<Pick<ResolvedTag, 'digest' | 'staleMs'>> {
    if (reference.kind === 'digest') return { digest: reference.digest }
    const resolved = await tags.resolve(at, reference.tag, credential, signal)
    descriptors.recordHead(at, resolved)
    return resolved
  }

  async function load(
    at: OriginRepository,
    digest: Digest,
    credential: Credential,
    signal: AbortSignal,
  ): Promise<HeldManifest> {
    const known = descriptors.find(at, digest)
    const size = known === undefined ? {} : { size: known.size }
    const want = { ...at, digest, ...size, kind: 'manifest', credential } as const
    const content = await blobs.open(want, signal)
    if (content.size > limits.manifestSizeMaxBytes) {
      await content.close()
      // How long a content is that the repository has not is said to nobody.
      await possession.prove(want, signal)
      throw new ShoalError('MANIFEST_INVALID', `The manifest has ${content.size} bytes`)
    }
    const body = await readWhole(content, signal)
    refuseOther(digest, body)
    const manifest = parseManifest(body, known?.mediaType)
    const held = { digest, size: body.length, mediaType: manifest.mediaType, body }
    descriptors.recordHead(at, held)
    descriptors.recordManifest(at, manifest)
    return held
  }

  async function get(
    at: OriginRepository,
    reference: Reference,
    credential: Credential,
    signal: AbortSignal,
  ): Promise<HeldManifest> {
    const resolved = await resolve(at, reference, credential, signal)
    return { ...resolved, ...(await load(at, resolved.digest, credential, signal)) }
  }

  async function head(
    at: OriginRepository,
    reference: Reference,
    credential: Credential,
    signal: AbortSignal,
  ): Promise<ResolvedTag> {
    const resolved = await resolve(at, reference, credential, signal)
    const { digest } = resolved
    const known = descriptors.find(at, digest)
    if (known === undefined) return { ...resolved, ...(await load(at, digest, credential, signal)) }
    await possession.prove({ ...at, digest, kind: 'manifest', credential }, signal)
    return { ...resolved, ...known }
  }

  return { head, get }
}

/** Closes what it read. */
async function readWhole(content: OpenBlob, signal: AbortSignal): Promise<Uint8Array> {
  try {
    const pieces: Uint8Array[] = []
    for await (const piece of content.read({ start: 0, end: content.size }, { whole: true, signal }))
      pieces.push(Buffer.from(piece))
    return Buffer.concat(pieces)
  } finally {
    await content.close()
  }
}

/** `Blobs` checked it already; a manifest is small enough to be sure. */
function refuseOther(digest: Digest, body: Uint8Array): void {
  const actual = digestFromHex(createHash('sha256').update(body).digest('hex'))
  if (actual !== digest) throw new ShoalError('MANIFEST_INVALID', `The bytes of ${digest} are those of ${actual}`)
}
