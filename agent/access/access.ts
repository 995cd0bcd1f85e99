/**
 * Grants (DESIGN, Access): may this caller read this repository? Only the origin knows. Its answers, to this node's own
 * requests, are remembered for a short time and on this node only.
 *
 *   open?  ── yes ─────────────────────────────→ anonymous credential
 *     │ no: the origin refuses us as nobody, or limits our rate
 *   shown a credential? ── no ─────────────────→ the origin's challenge, for the caller to answer
 *     │ yes
 *   does the origin take it? ── yes ───────────→ that credential     ── no ──→ the origin's answer
 *
 * While the origin is down, and only then, an older yes counts, as long as policy says.
 */
import type { Digest } from '../../core/oci/digest.ts'
import { type Reference, referenceText } from '../../core/oci/reference.ts'
import { limits } from '../../core/limits.ts'
import type { Clock } from '../../core/ports.ts'
import { createBoundedMap } from '../../core/bounded-map.ts'
import { anonymous, createCredential, type Credential } from '../upstream/credential.ts'
import type { OriginClient } from '../upstream/origin-client.ts'
import { isOriginError, OriginError } from '../upstream/origin-error.ts'
import { createSingleFlight } from '../upstream/single-flight.ts'

export interface Caller {
  /** The `Authorization` header of the request. */
  readonly authorization: string | undefined
}

/** What the caller wants to read. */
export interface Subject {
  /** Canonical. */
  readonly origin: string
  readonly repository: string
  /** Undefined for the list of tags. */
  readonly content?: { readonly kind: 'blob' | 'manifest'; readonly reference: Reference }
}

export interface Access {
  /**
   * Resolves to what the origin may be shown for this caller. Rejects with the OriginError that the caller should hear:
   * `unauthorized` with the origin's challenges, `denied`, `not-found`, or what kept the origin from answering.
   */
  authorize(caller: Caller, subject: Subject, signal: AbortSignal): Promise<Credential>
}

export interface AccessComponents {
  readonly origin: Pick<OriginClient, 'headManifest' | 'headBlob' | 'passThrough'>
  readonly clock: Clock
  /** At least 32 random bytes, of this process only. */
  readonly key: Uint8Array
}

export interface AccessOptions {
  /** How long after its last yes a repository stays open while its origin is down. Default `limits.accessOutageMs`; 0: not at all. */
  readonly openOutageMs?: number
  /** The same for what was granted to a credential. Default 0. */
  readonly grantOutageMs?: number
}

/** The origin's last yes to one credential (or to nobody) for one repository. */
interface Grant {
  readonly provenAtMs: number
  /** What it was proven with, for the next time; undefined where that was a blob or the tag list. */
  readonly manifest: string | undefined
}

/** The origin's last no to nobody. */
interface Refusal {
  readonly refusedAtMs: number
  readonly error: OriginError
}

export function createAccess({ origin, clock, key }: AccessComponents, options: AccessOptions = {}): Access {
  const { openOutageMs = limits.accessOutageMs, grantOutageMs = 0 } = options
  const grants = createBoundedMap<string, Grant>(limits.accessRecordsMax)
  const refusals = createBoundedMap<string, Refusal>(limits.accessRecordsMax)
  const proofs = createSingleFlight<void>()

  function granted(id: string, withinMs: number): boolean {
    const grant = grants.get(id)
    return grant !== undefined && clock.now() - grant.provenAtMs < withinMs
  }

  /** Asks the origin, unless its last yes is young enough. Rejects with its no. */
  async function prove(subject: Subject, credential: Credential, outageMs: number, signal: AbortSignal): Promise<void> {
    const id = idOf(subject, credential)
    if (granted(id, limits.accessOpenMs)) return
    try {
      await proofs(`${id} ${subjectText(subject)}`, signal, (shared) => ask(subject, credential, id, shared))
    } catch (error) {
      if (isOriginError(error, 'unavailable') && granted(id, outageMs)) return
      // A no ends the yes before it, so that a later outage can't bring that back; some origins hide what is private.
      if (isOriginError(error, 'unauthorized', 'denied', 'not-found')) grants.delete(id)
      throw error
    }
  }

  async function ask(subject: Subject, credential: Credential, id: string, signal: AbortSignal): Promise<void> {
    const manifest = manifestOf(subject)
    const remembered = grants.get(id)?.manifest
    if (manifest !== undefined) await origin.headManifest(subject, manifest, credential, signal)
    else if (remembered === undefined || !(await stillThere(subject, remembered, credential, signal))) {
      await askForContent(subject, credential, signal)
    }
    grants.set(id, { provenAtMs: clock.now(), manifest: manifest ?? remembered })
  }

  /** Storages behind signed URLs are slow at HEAD or refuse it, so what proved the repository before proves it again. */
  async function stillThere(
    subject: Subject,
    manifest: string,
    credential: Credential,
    signal: AbortSignal,
  ): Promise<boolean> {
    try {
      await origin.headManifest(subject, manifest, credential, signal)
      return true
    } catch (error) {
      if (isOriginError(error, 'not-found')) return false
      throw error
    }
  }

  async function askForContent(subject: Subject, credential: Credential, signal: AbortSignal): Promise<void> {
    if (subject.content === undefined) await origin.passThrough(subject, 'tags/list', 'n=1', credential, signal)
    else await origin.headBlob(subject, blobOf(subject.content.reference), credential, signal)
  }

  /** Undefined where anybody may read this, else why not. */
  async function refusalToNobody(subject: Subject, signal: AbortSignal): Promise<OriginError | undefined> {
    const id = idOf(subject, anonymous)
    const refusal = refusals.get(id)
    if (refusal !== undefined && clock.now() - refusal.refusedAtMs < limits.accessClosedMs) return refusal.error
    try {
      await prove(subject, anonymous, openOutageMs, signal)
      return undefined
    } catch (error) {
      if (!isOriginError(error)) throw error
      // Anything else (a missing tag, an outage) says nothing about the repository.
      if (isOriginError(error, 'unauthorized', 'denied')) refusals.set(id, { refusedAtMs: clock.now(), error })
      return error
    }
  }

  async function authorize(caller: Caller, subject: Subject, signal: AbortSignal): Promise<Credential> {
    const shown = caller.authorization === undefined ? undefined : createCredential(caller.authorization, key)
    // A credential with a living grant is not made to wait for what nobody may do.
    if (shown !== undefined && granted(idOf(subject, shown), limits.accessOpenMs)) return shown
    const refusal = await refusalToNobody(subject, signal)
    if (refusal === undefined) return anonymous
    if (shown === undefined) throw challenge(refusal)
    await prove(subject, shown, grantOutageMs, signal)
    return shown
  }

  return { authorize }
}

function idOf({ origin, repository }: Subject, credential: Credential): string {
  return `${origin} ${repository} ${credential.key}`
}

function subjectText({ content }: Subject): string {
  return content === undefined ? 'tags' : `${content.kind} ${referenceText(content.reference)}`
}

function manifestOf({ content }: Subject): string | undefined {
  return content?.kind === 'manifest' ? referenceText(content.reference) : undefined
}

function blobOf(reference: Reference): Digest {
  if (reference.kind === 'tag') throw new RangeError('a blob has a digest, no tag')
  return reference.digest
}

/** Some registries say 403 to an anonymous token where a secret would help: the caller is asked for one, as the origin first asked us. */
function challenge(refusal: OriginError): OriginError {
  if (refusal.kind !== 'denied' || refusal.challenges.length === 0) return refusal
  const { detail, challenges, body } = refusal
  return new OriginError('unauthorized', detail, { status: 401, challenges, body, cause: refusal })
}
