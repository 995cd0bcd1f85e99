/** What tags mean: asked of the origin, never of a peer. */
import { limits } from '../../core/limits.ts'
import type { Clock } from '../../core/ports.ts'
import { createBoundedMap } from '../../core/bounded-map.ts'
import type { Credential } from '../upstream/credential.ts'
import type { ManifestHead, OriginRepository } from '../upstream/origin-client.ts'
import type { Origin } from './ports.ts'

export interface Tags {
  /** The origin's answer, at most `limits.tagTtlMs` old. The origin client asks once for all who ask at the same time. */
  resolve(at: OriginRepository, tag: string, credential: Credential, signal: AbortSignal): Promise<ManifestHead>
}

interface KnownTag {
  readonly head: ManifestHead
  readonly freshUntilMs: number
}

export function createTags({ origin, clock }: { origin: Pick<Origin, 'headManifest'>; clock: Clock }): Tags {
  const known = createBoundedMap<string, KnownTag>(limits.tagsMax)

  async function resolve(
    at: OriginRepository,
    tag: string,
    credential: Credential,
    signal: AbortSignal,
  ): Promise<ManifestHead> {
    const key = `${at.origin} ${at.repository} ${tag} ${credential.key}`
    const last = known.get(key)
    if (last !== undefined && clock.now() < last.freshUntilMs) return last.head
    const head = await origin.headManifest(at, tag, credential, signal)
    known.set(key, { head, freshUntilMs: clock.now() + limits.tagTtlMs })
    return head
  }

  return { resolve }
}
