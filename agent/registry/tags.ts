/** What tags mean: asked of the origin, never of a peer. */
import { limits } from '../../core/limits.ts'
import type { Clock } from '../../core/ports.ts'
import { createBoundedMap } from '../../core/bounded-map.ts'
import type { Credential } from '../upstream/credential.ts'
import type { ManifestHead, OriginRepository } from '../upstream/origin-client.ts'
import type { Origin } from './ports.ts'

export interface Tags {
  /** As the origin client's `headManifest`, of a tag or digest; what the origin says of a tag is remembered. */
  ask: Origin['headManifest']
  /** The origin's answer, at most `limits.tagTtlMs` old. The origin client asks once for all who ask at the same time. */
  resolve(at: OriginRepository, tag: string, credential: Credential, signal: AbortSignal): Promise<ManifestHead>
}

interface KnownTag {
  readonly head: ManifestHead
  readonly freshUntilMs: number
}

export function createTags({ origin, clock }: { origin: Pick<Origin, 'headManifest'>; clock: Clock }): Tags {
  const known = createBoundedMap<string, KnownTag>(limits.tagsMax)

  async function ask(
    at: OriginRepository,
    reference: string,
    credential: Credential,
    signal: AbortSignal,
  ): Promise<ManifestHead> {
    const head = await origin.headManifest(at, reference, credential, signal)
    const isTag = head.digest !== reference
    if (isTag) known.set(keyOf(at, reference, credential), { head, freshUntilMs: clock.now() + limits.tagTtlMs })
    return head
  }

  async function resolve(
    at: OriginRepository,
    tag: string,
    credential: Credential,
    signal: AbortSignal,
  ): Promise<ManifestHead> {
    const last = known.get(keyOf(at, tag, credential))
    if (last !== undefined && clock.now() < last.freshUntilMs) return last.head
    return ask(at, tag, credential, signal)
  }

  return { ask, resolve }
}

function keyOf({ origin, repository }: OriginRepository, tag: string, credential: Credential): string {
  return `${origin} ${repository} ${tag} ${credential.key}`
}
