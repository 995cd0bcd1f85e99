/** What tags mean: asked of the origin, never of a peer. While it is down its last answer counts as long as policy says. */
import { limits } from '../../core/limits.ts'
import type { Clock } from '../../core/ports.ts'
import { createBoundedMap } from '../../core/bounded-map.ts'
import type { PolicyOf } from '../access/policy.ts'
import { anonymous, type Credential } from '../upstream/credential.ts'
import type { ManifestHead, OriginRepository } from '../upstream/origin-client.ts'
import { isOriginError, isOutage } from '../upstream/origin-error.ts'
import type { Origin } from './ports.ts'

export interface Tags {
  /** As the origin client's `headManifest`, of a tag or digest; what the origin says of a tag is remembered. */
  ask: Origin['headManifest']
  /** The origin's answer, at most `limits.tagTtlMs` old. The origin client asks once for all who ask at the same time. */
  resolve(at: OriginRepository, tag: string, credential: Credential, signal: AbortSignal): Promise<ResolvedTag>
}

export interface ResolvedTag extends ManifestHead {
  /** The origin is down, and said this so long ago. */
  readonly staleMs?: number
}

interface KnownTag {
  readonly head: ManifestHead
  readonly saidAtMs: number
  /** `key` of the credential that the origin said it to. */
  readonly saidTo: string
}

export interface TagsComponents {
  readonly origin: Pick<Origin, 'headManifest' | 'passThrough'>
  readonly clock: Clock
  readonly policyOf: PolicyOf
  /** A tag is told as the origin last said it. `isNews`: for the first time since that answered. */
  readonly onStale: (at: OriginRepository, tag: string, resolved: ResolvedTag, isNews: boolean) => void
}

export function createTags({ origin, clock, policyOf, onStale }: TagsComponents): Tags {
  /** By credential as well: what one may be told is no answer to another. */
  const known = createBoundedMap<string, KnownTag>(limits.tagsMax)
  /** For outages, in which access decides who may be told. */
  const last = createBoundedMap<string, KnownTag>(limits.tagsMax)
  /** Those that were told so. */
  const stale = createBoundedMap<string, true>(limits.tagsMax)

  async function ask(
    at: OriginRepository,
    reference: string,
    credential: Credential,
    signal: AbortSignal,
  ): Promise<ManifestHead> {
    const head = await origin.headManifest(at, reference, credential, signal).catch(async (error: unknown) => {
      if (isOriginError(error, 'not-found')) await noteMissing(at, reference, credential, signal)
      throw error
    })
    if (head.digest !== reference) {
      const said = { head, saidAtMs: clock.now(), saidTo: credential.key }
      known.set(`${keyOf(at, reference)} ${credential.key}`, said)
      last.set(keyOf(at, reference), said)
      stale.delete(keyOf(at, reference))
    }
    return head
  }

  /**
   * Some origins hide from whom they do not let in: that a tag is gone they say to whom they have shown it, or show what else is there.
   * A token is another one at each pull.
   */
  async function noteMissing(
    at: OriginRepository,
    tag: string,
    credential: Credential,
    signal: AbortSignal,
  ): Promise<void> {
    const key = keyOf(at, tag)
    const said = last.get(key)
    if (said === undefined) return
    const isGone = said.saidTo === credential.key || (await isLetIn(at, credential, signal))
    if (isGone && last.get(key) === said) last.delete(key)
  }

  /** Nobody is not: access asks for nobody first, so that what is open to all was told to nobody. */
  async function isLetIn(at: OriginRepository, credential: Credential, signal: AbortSignal): Promise<boolean> {
    if (credential === anonymous) return false
    return origin.passThrough(at, 'tags/list', 'n=1', credential, signal).then(
      () => true,
      () => false,
    )
  }

  async function resolve(
    at: OriginRepository,
    tag: string,
    credential: Credential,
    signal: AbortSignal,
  ): Promise<ResolvedTag> {
    const fresh = known.get(`${keyOf(at, tag)} ${credential.key}`)
    if (fresh !== undefined && ageMs(fresh) < limits.tagTtlMs) return fresh.head
    try {
      return await ask(at, tag, credential, signal)
    } catch (error) {
      const answer = isOutage(error) ? staleAnswer(at, tag) : undefined
      if (answer === undefined) throw error
      onStale(at, tag, answer, stale.get(keyOf(at, tag)) === undefined)
      stale.set(keyOf(at, tag), true)
      return answer
    }
  }

  function staleAnswer(at: OriginRepository, tag: string): ResolvedTag | undefined {
    const said = last.get(keyOf(at, tag))
    const { failover, failoverMs } = policyOf(at.origin)
    if (said === undefined || failover === 'Deny' || ageMs(said) >= failoverMs) return undefined
    return { ...said.head, staleMs: ageMs(said) }
  }

  const ageMs = ({ saidAtMs }: KnownTag): number => clock.now() - saidAtMs

  return { ask, resolve }
}

function keyOf({ origin, repository }: OriginRepository, tag: string): string {
  return `${origin} ${repository} ${tag}`
}
