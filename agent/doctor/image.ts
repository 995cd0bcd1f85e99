/** One image as a probe: does the mirror serve it, and does its registry send parts of its layers? */
import type { HostsDirectory, ImageAnswer } from '../../core/doctor/facts.ts'
import { limits } from '../../core/limits.ts'
import { type Descriptor, parseManifest } from '../../core/oci/manifest.ts'
import { systemClock } from '../system/clock.ts'
import { systemRandom } from '../system/random.ts'
import { anonymous } from '../upstream/credential.ts'
import { createOriginClient, type OriginClient, type OriginClientOptions } from '../upstream/origin-client.ts'

export interface ProbedImage {
  readonly origin: string
  readonly repository: string
  /** A tag or a digest. */
  readonly reference: string
}

/** What containerd asks a mirror for first. */
export function manifestPathOf({ origin, repository, reference }: ProbedImage): string {
  return `/v2/${repository}/manifests/${reference}?ns=${encodeURIComponent(origin)}`
}

function imageName({ origin, repository, reference }: ProbedImage): string {
  return `${origin}/${repository}${reference.includes(':') ? '@' : ':'}${reference}`
}

/** Undefined where no mirror was there to ask. A challenge is an answer: containerd then shows its credential. */
export function servedImage(image: ProbedImage, hosts: readonly HostsDirectory[]): ImageAnswer | undefined {
  const [answer] = hosts.flatMap(({ state }) => (state.kind === 'mirror' && state.image ? [state.image] : []))
  if (answer === undefined) return undefined
  const name = imageName(image)
  if (answer.kind !== 'answered') return { image: name, answer: { ok: false, reason: answer.kind } }
  const isServed = answer.status === 200 || answer.status === 401
  return { image: name, answer: isServed ? { ok: true } : { ok: false, reason: `it answers ${answer.status}` } }
}

/** Does the registry send a part of the image's largest layer? Undefined where nothing of it can be had without a credential. */
export async function isRanged(image: ProbedImage, options: OriginClientOptions): Promise<boolean | undefined> {
  const components = { clock: systemClock, random: systemRandom(), logger: { warn: () => {} } }
  const client = createOriginClient(components, options)
  const signal = AbortSignal.timeout(limits.doctorQuestionMs)
  try {
    const layer = await largestLayer(client, image, image.reference, signal)
    if (layer === undefined || layer.size < 2 * limits.doctorRangeBytes) return undefined
    const start = layer.size - limits.doctorRangeBytes
    const part = { ...image, kind: 'blob', digest: layer.digest, start, end: layer.size, size: layer.size } as const
    return (await client.fetchRange(part, anonymous, signal)).ranged
  } catch {
    return undefined
  } finally {
    await client.close()
  }
}

async function largestLayer(
  client: OriginClient,
  image: ProbedImage,
  reference: string,
  signal: AbortSignal,
): Promise<Descriptor | undefined> {
  const { body, mediaType } = await client.getManifest(image, reference, anonymous, signal)
  const { descriptors } = parseManifest(body, mediaType)
  const ofPlatform = descriptors.find(({ role }) => role === 'manifest')
  if (ofPlatform !== undefined) return largestLayer(client, image, ofPlatform.digest, signal)
  return descriptors.filter(({ role, foreign }) => role === 'layer' && !foreign).toSorted((a, b) => b.size - a.size)[0]
}
