/** A mirror on a free port, with contents and an origin in memory. */
import { createMirror, type Mirror, type MirrorOptions } from '../../agent/registry/mirror.ts'
import type { AnsweredRequest, Origin, Want } from '../../agent/registry/ports.ts'
import { createTags } from '../../agent/registry/tags.ts'
import type { Access } from '../../agent/access/access.ts'
import type { OriginPolicy } from '../../agent/access/policy.ts'
import type { Subject } from '../../agent/access/subject.ts'
import { anonymous } from '../../agent/upstream/credential.ts'
import type { ManifestHead, PassedThrough } from '../../agent/upstream/origin-client.ts'
import { OriginError } from '../../agent/upstream/origin-error.ts'
import { parseOrigin } from '../../agent/upstream/origin-name.ts'
import type { Digest } from '../../core/oci/digest.ts'
import { compileRules, type Rule } from '../../core/rules.ts'
import { createMemoryBlobs, type MemoryBlobs } from './memory-blobs.ts'
import { type RawResponse, request } from './raw-http.ts'
import { policyWith } from './policy.ts'
import { type VirtualClock, virtualClock } from './virtual-clock.ts'

export interface MirrorUnderTest {
  readonly mirror: Mirror
  readonly port: number
  readonly blobs: MemoryBlobs
  readonly clock: VirtualClock
  /** What the origin says of `<origin>/<repository>:<tag>`; an error is thrown. */
  readonly tags: Map<string, ManifestHead | Error>
  /** What the origin says of `<origin>/<repository>/<path>?<query>`. */
  readonly lists: Map<string, PassedThrough | Error>
  /** Every question to the origin, in order. */
  readonly asked: string[]
  readonly subjects: Subject[]
  readonly callers: (string | undefined)[]
  /** What `authorize` throws from now on. */
  refusal: Error | undefined
  /** A content that no repository has, whoever else does. */
  lacks: Digest | undefined
  readonly answered: AnsweredRequest[]
  get(path: string, headers?: readonly string[]): Promise<RawResponse>
  head(path: string, headers?: readonly string[]): Promise<RawResponse>
}

export async function startMirror(
  options: MirrorOptions = {},
  policy: Partial<OriginPolicy> = {},
  rules: readonly Rule[] = [],
): Promise<MirrorUnderTest> {
  const blobs = createMemoryBlobs()
  const clock = virtualClock()
  const answered: AnsweredRequest[] = []
  const seen = { subjects: [] as Subject[], callers: [] as (string | undefined)[] }
  const { origin, tags, lists, asked } = scriptedOrigin(blobs)
  const access: Access = {
    async authorize(caller, subject) {
      seen.callers.push(caller.authorization)
      seen.subjects.push(subject)
      if (under.refusal !== undefined) throw under.refusal
      return anonymous
    },
  }
  const possession = {
    async prove({ digest }: Want) {
      if (under.lacks === digest) throw new OriginError('not-found', 'the repository has it not', { status: 404 })
    },
  }
  const observer = { answered: (sample: AnsweredRequest) => void answered.push(sample) }
  const mirror = createMirror(
    {
      blobs,
      origin,
      tags: createTags({ origin, clock, policyOf: policyWith(policy), onStale: () => {} }),
      access,
      possession,
      rules: compileRules(rules),
      observer,
      clock,
    },
    { port: 0, ...options },
  )
  const { port } = await mirror.listen()
  const under: MirrorUnderTest = {
    mirror,
    port,
    blobs,
    clock,
    tags,
    lists,
    asked,
    answered,
    ...seen,
    refusal: undefined,
    lacks: undefined,
    get: (path, headers) => request(port, 'GET', path, headers),
    head: (path, headers) => request(port, 'HEAD', path, headers),
  }
  return under
}

function scriptedOrigin(blobs: MemoryBlobs) {
  const tags = new Map<string, ManifestHead | Error>()
  const lists = new Map<string, PassedThrough | Error>()
  const asked: string[] = []

  function answer<T extends object>(script: ReadonlyMap<string, T | Error>, key: string): T {
    asked.push(key)
    const found = script.get(key) ?? new OriginError('not-found', 'the origin has nothing here', { status: 404 })
    if (found instanceof Error) throw found
    return found
  }

  const origin: Origin = {
    site(text) {
      const name = parseOrigin(text)
      if (name === undefined || name.isAddress) throw new OriginError('forbidden-target', 'the host may not be asked')
      return { origin: name.text }
    },
    headManifest: async (at, reference) => answer(tags, `${at.origin}/${at.repository}:${reference}`),
    headBlob: async (_at, digest) => {
      const blob = blobs.find(digest)
      if (blob === undefined) throw new OriginError('not-found', 'the origin has nothing here', { status: 404 })
      return { size: blob.bytes.length }
    },
    passThrough: async (at, path, query) => answer(lists, `${at.origin}/${at.repository}/${path}?${query}`),
  }
  return { origin, tags, lists, asked }
}
