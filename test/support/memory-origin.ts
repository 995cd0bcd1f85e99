/** The twin of agent/upstream/origin-client.ts: an origin client whose origins are in memory. */
import { type Digest, parseDigest } from '../../core/oci/digest.ts'
import { isRepositoryName, parseReference } from '../../core/oci/reference.ts'
import { type Credential, revealAuthorization } from '../../agent/upstream/credential.ts'
import type { OriginClient, OriginRepository, RangeWanted } from '../../agent/upstream/origin-client.ts'
import { kindOfStatus, OriginError, type OriginErrorDetails } from '../../agent/upstream/origin-error.ts'
import { parseOrigin, repositoryAt } from '../../agent/upstream/origin-name.ts'
import type { Manifest, Repositories, Repository } from './registry-content.ts'

export interface MemoryOriginCall {
  readonly method: 'headManifest' | 'getManifest' | 'headBlob' | 'fetchRange' | 'passThrough'
  readonly repository: string
  readonly reference: string
  readonly authorization: string | undefined
}

type Whose = 'all' | 'nobody' | 'somebody'

export interface MemoryOrigin extends OriginClient {
  /** What was asked, oldest first. */
  readonly calls: readonly MemoryOriginCall[]
  /** Every request, or every one of nobody, or of somebody, or for one reference, fails like this from now on; undefined: none does. */
  fail(error: OriginError | undefined, whose?: Whose, reference?: string): void
  /** What the origins hold from now on. */
  hold(origins: Readonly<Record<string, Repositories>>): void
}

/** `origins` by canonical name; others may not be asked. */
export function createMemoryOrigin(origins: Readonly<Record<string, Repositories>>): MemoryOrigin {
  let held = origins
  let failure: OriginError | undefined
  let fails: Whose = 'all'
  let failing: string | undefined
  const calls: MemoryOriginCall[] = []

  function site(text: string): { readonly origin: string } {
    const origin = parseOrigin(text)?.text
    if (origin === undefined || !(origin in held)) throw new OriginError('forbidden-target', 'not listed')
    return { origin }
  }

  /** The repository, once it is clear that `credential` may read it. */
  async function enter(
    method: MemoryOriginCall['method'],
    at: OriginRepository,
    reference: string,
    credential: Credential,
    signal: AbortSignal,
  ): Promise<Repository> {
    signal.throwIfAborted()
    if (!isRepositoryName(at.repository)) throw new RangeError(`not a repository name: ${at.repository}`)
    const { origin } = site(at.origin)
    const authorization = revealAuthorization(credential)
    calls.push({ method, repository: at.repository, reference, authorization })
    const isMeant = fails === 'all' || (fails === 'nobody') === (authorization === undefined)
    if (failure !== undefined && isMeant && (failing ?? reference) === reference) throw failure
    const found = held[origin]?.[repositoryAt(origin, at.repository)]
    if (found === undefined) throw answered(404)
    if (found.authorization !== undefined && found.authorization !== authorization) {
      throw answered(401, { challenges: ['Basic realm="test"'] })
    }
    return found
  }

  return {
    calls,
    fail(error, whose = 'all', reference) {
      failure = error
      fails = whose
      failing = reference
    },
    hold(next) {
      held = next
    },
    site,
    async headManifest(at, reference, credential, signal) {
      const { digest, mediaType, body } = manifestIn(
        await enter('headManifest', at, reference, credential, signal),
        reference,
      )
      return { digest, mediaType, size: body.length }
    },
    async getManifest(at, reference, credential, signal) {
      return manifestIn(await enter('getManifest', at, reference, credential, signal), reference)
    },
    async headBlob(at, digest, credential, signal) {
      return { size: contentIn(await enter('headBlob', at, digest, credential, signal), 'blob', digest).length }
    },
    async fetchRange(wanted, credential, signal) {
      checkRange(wanted)
      const { kind, digest, start, end, size } = wanted
      const content = contentIn(await enter('fetchRange', wanted, digest, credential, signal), kind, digest)
      if (content.length !== size) throw new OriginError('protocol', `has ${content.length} bytes instead of ${size}`)
      return { ranged: size > 0, start, total: size, body: inParts(content.subarray(start, end), signal) }
    },
    async passThrough(at, path, query, credential, signal) {
      const { tags } = await enter('passThrough', at, `${path}?${query}`, credential, signal)
      if (path !== 'tags/list') throw answered(404)
      const body = Buffer.from(JSON.stringify({ name: at.repository, tags: [...tags.keys()] }))
      return { status: 200, headers: { 'content-type': 'application/json' }, body }
    },
    hostsResting: () => [],
    close: () => Promise.resolve(),
  }
}

function answered(status: number, details: OriginErrorDetails = {}): OriginError {
  return new OriginError(kindOfStatus(status), `the origin in memory answered ${status}`, { status, ...details })
}

function manifestIn(repository: Repository, reference: string): Manifest & { readonly digest: Digest } {
  if (parseReference(reference) === undefined) throw new RangeError(`not a reference: ${reference}`)
  const digest = parseDigest(reference) ?? repository.tags.get(reference)
  const manifest = digest && repository.manifests.get(digest)
  if (digest === undefined || manifest === undefined) throw answered(404)
  return { digest, ...manifest }
}

function contentIn(repository: Repository, kind: RangeWanted['kind'], digest: Digest): Uint8Array {
  const content = kind === 'blob' ? repository.blobs.get(digest) : repository.manifests.get(digest)?.body
  if (content === undefined) throw answered(404)
  return content
}

function checkRange({ start, end, size }: RangeWanted): void {
  const ordered = 0 <= start && start < end && end <= size
  if (!ordered && !(size === 0 && start === 0 && end === 0)) throw new RangeError(`not a range: ${start} to ${end}`)
}

async function* inParts(bytes: Uint8Array, signal: AbortSignal): AsyncGenerator<Uint8Array, void, void> {
  for (let at = 0; at < bytes.length; at += 1000) {
    signal.throwIfAborted()
    yield bytes.subarray(at, at + 1000)
    await Promise.resolve()
  }
}
