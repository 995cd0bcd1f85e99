/**
 * Grants (DESIGN, Access): may this caller read this repository? Only the origin knows. Its answers, to this node's own
 * requests, are remembered for a short time and on this node only.
 *
 *   open?  ── yes ─────────────────────────────→ anonymous credential
 *     │ no: the origin refuses us as nobody, or limits our rate
 *   shown a credential? ── no ─────────────────→ a challenge, for the caller to answer
 *     │ yes
 *   does the origin take it? ── yes ───────────→ that credential     ── no ──→ the origin's answer
 *
 * While the origin is down, and only then, an older yes counts as far as the origin's policy says (policy.ts).
 */
import { createBoundedMap } from '../../core/bounded-map.ts'
import { ShoalError } from '../../core/errors.ts'
import { limits } from '../../core/limits.ts'
import type { Clock } from '../../core/ports.ts'
import { anonymous, type Credential } from '../upstream/credential.ts'
import { isOfContent, isOriginError, isOutage, OriginError } from '../upstream/origin-error.ts'
import { createSingleFlight } from '../upstream/single-flight.ts'
import type { KnownChallenges } from './challenges.ts'
import type { CredentialLives } from './credential-lives.ts'
import { createGrants } from './grants.ts'
import { enforcementReach, failoverReach, type OriginPolicy, type PolicyOf, type Reach } from './policy.ts'
import { createProve, type ProvingOrigin } from './proof.ts'
import { type ShownCredential, showCredential } from './shown-credential.ts'
import { type Caller, contentText, type Subject } from './subject.ts'

export interface Access {
  /**
   * Resolves to what the origin may be shown for this caller. Rejects with the error that the caller should hear: an
   * OriginError (`unauthorized` with challenges, `denied`, `not-found`, or what kept the origin from answering), or
   * `NOT_MIRRORED` where the caller should go to the origin itself.
   */
  authorize(caller: Caller, subject: Subject, signal: AbortSignal): Promise<Credential>
}

/** Who wants to know how access is decided: metrics and logs. */
export interface AccessObserver {
  /** `failover`: the origin is down, and policy says yes. */
  decided(outcome: 'open' | 'granted' | 'failover' | 'refused'): void
  /** From now on an older yes counts for this repository, since its origin is down. */
  failedOver(subject: Subject, policy: OriginPolicy): void
  /** The origin answers questions about this repository again. */
  recovered(subject: Subject): void
}

export interface AccessComponents {
  readonly origin: ProvingOrigin
  readonly clock: Clock
  readonly challenges: KnownChallenges
  readonly lives: Pick<CredentialLives, 'noteShown'>
  /** At least 32 random bytes, of this process only. */
  readonly key: Uint8Array
  readonly policyOf: PolicyOf
  readonly observer: AccessObserver
}

/** The origin's last no to nobody. */
interface Refusal {
  readonly refusedAtMs: number
  readonly error: OriginError
}

export function createAccess(components: AccessComponents): Access {
  const { origin, clock, challenges, lives, key, policyOf, observer } = components
  const grants = createGrants(clock)
  const refusals = createBoundedMap<string, Refusal>(limits.accessRecordsMax)
  const proofs = createSingleFlight<void>()
  /** Repositories that are read by an older yes now. */
  const failingOver = createBoundedMap<string, true>(limits.accessRecordsMax)
  const prove = createProve({ origin, grants })

  function isGranted({ credential }: ShownCredential, subject: Subject): boolean {
    const { enforcement, failover } = policyOf(subject.origin)
    const reach = enforcementReach[enforcement]
    if (reach === undefined || !grants.holds(credential, subject, reach, limits.accessOpenMs)) return false
    if (failover === 'SameImage') grants.extend(credential, subject, reach)
    return true
  }

  /** What counts while the origin is down. */
  function failsOver({ credential }: ShownCredential, subject: Subject): boolean {
    const { failover, failoverMs } = policyOf(subject.origin)
    // Only where the origin does not answer nobody either: else a credential that it chokes on would open everything.
    if (failover === 'Allow' && credential === anonymous) return true
    // What was shown to nobody was no secret, so there is no credential to doubt.
    const reach: Reach | undefined = credential === anonymous ? 'repository' : failoverReach[failover]
    return reach !== undefined && grants.holds(credential, subject, reach, failoverMs)
  }

  /** Asks the origin, unless its last yes is young enough. Rejects with its no. */
  async function confirm(
    shown: ShownCredential,
    subject: Subject,
    signal: AbortSignal,
  ): Promise<'origin' | 'failover'> {
    if (isGranted(shown, subject)) return 'origin'
    const { credential, term } = shown
    const thisContent = policyOf(subject.origin).enforcement === 'NewImage' && credential !== anonymous
    const question = `${repositoryOf(subject)} ${credential.key} ${contentText(subject)}`
    try {
      await proofs(question, signal, (shared) =>
        prove(subject, credential, { thisContent, lifeMs: term?.leftMs }, shared),
      )
      noteRecovery(subject)
      return 'origin'
    } catch (error) {
      if (isOriginError(error) && !error.isUnasked && error.status !== undefined && error.status < 500)
        noteRecovery(subject)
      // What it said to nobody before is no answer any more: whether it is down for nobody as well is to be found out.
      if (isOutage(error)) refusals.delete(repositoryOf(subject))
      if (isOutage(error) && failsOver(shown, subject)) return 'failover'
      noteRefusal(credential, subject, error)
      throw error
    }
  }

  function noteFailover(subject: Subject): void {
    if (failingOver.get(repositoryOf(subject)) === true) return
    failingOver.set(repositoryOf(subject), true)
    observer.failedOver(subject, policyOf(subject.origin))
  }

  function noteRecovery(subject: Subject): void {
    if (failingOver.get(repositoryOf(subject)) === undefined) return
    failingOver.delete(repositoryOf(subject))
    observer.recovered(subject)
  }

  function noteRefusal(credential: Credential, subject: Subject, error: unknown): void {
    if (!isOriginError(error)) return
    challenges.note(subject, error.challenges)
    if (isOfRepository(error)) grants.forget(credential, subject)
  }

  /** As `confirm`, for nobody: an error where it rejects, and a recent no is not asked for again. */
  async function confirmForNobody(subject: Subject, signal: AbortSignal): Promise<'open' | 'failover' | OriginError> {
    const id = repositoryOf(subject)
    const refusal = refusals.get(id)
    if (refusal !== undefined && clock.now() - refusal.refusedAtMs < limits.accessClosedMs) return refusal.error
    try {
      return (await confirm({ credential: anonymous }, subject, signal)) === 'origin' ? 'open' : 'failover'
    } catch (error) {
      if (!isOriginError(error)) throw error
      // Anything else (a missing tag, an outage) says nothing about the repository.
      if (isOfRepository(error)) refusals.set(id, { refusedAtMs: clock.now(), error })
      return error
    }
  }

  /** What the caller hears who showed no credential that counts. */
  function answerToNobody(refusal: OriginError, subject: Subject): Error {
    const { access, failover } = policyOf(subject.origin)
    const wouldHelp = isOutage(refusal)
      ? failover !== 'Deny'
      : isOriginError(refusal, 'unauthorized', 'denied', 'rate-limited')
    if (!wouldHelp) return refusal
    if (access === 'anonymous-only')
      return new ShoalError('NOT_MIRRORED', `${subject.origin} is for anonymous pulls only here`, { cause: refusal })
    const relayed = access === 'exchange' ? [`Basic realm="${subject.origin}"`] : challengesFor(refusal, subject)
    return relayed.length === 0 ? refusal : challenge(refusal, relayed)
  }

  /** An origin that says 403 has nothing to ask for, unless it did so on the way. */
  function challengesFor(refusal: OriginError, subject: Subject): readonly string[] {
    return refusal.challenges.length > 0 || refusal.kind === 'denied' ? refusal.challenges : challenges.for(subject)
  }

  async function decide(caller: Caller, subject: Subject, signal: AbortSignal): Promise<[Credential, Outcome]> {
    const { access } = policyOf(subject.origin)
    if (access === 'open') return [anonymous, 'open']
    const shown = showCredential(caller, access, key)
    if (shown !== undefined) lives.noteShown(shown.credential, shown.term)
    // A credential with a living grant is not made to wait for what nobody may do.
    if (shown !== undefined && isGranted(shown, subject)) return [shown.credential, 'granted']
    const byNobody = await confirmForNobody(subject, signal)
    if (!isOriginError(byNobody)) return [anonymous, byNobody]
    if (shown === undefined) throw answerToNobody(byNobody, subject)
    try {
      const confirmed = await confirm(shown, subject, signal)
      return [shown.credential, confirmed === 'origin' ? 'granted' : 'failover']
    } catch (error) {
      // The no to nobody was of before the outage. containerd would take a 503 now and a yes next for content of another kind.
      const anew = isOutage(error) && !isOutage(byNobody) ? await confirmForNobody(subject, signal) : byNobody
      if (!isOriginError(anew)) return [anonymous, anew]
      throw access === 'exchange' ? unchallenged(error) : error
    }
  }

  async function authorize(caller: Caller, subject: Subject, signal: AbortSignal): Promise<Credential> {
    try {
      const [credential, outcome] = await decide(caller, subject, signal)
      observer.decided(outcome)
      if (outcome === 'failover') noteFailover(subject)
      return credential
    } catch (error) {
      if (error instanceof ShoalError) observer.decided('refused')
      throw error
    }
  }

  return { authorize }
}

function isOfRepository(error: OriginError): boolean {
  return isOriginError(error, 'unauthorized', 'denied') && !isOfContent(error)
}

function repositoryOf({ origin, repository }: Subject): string {
  return `${origin} ${repository}`
}

type Outcome = Parameters<AccessObserver['decided']>[0]

/**
 * The caller is asked for a credential: where the origin says 403 to an anonymous token, as some do, where it limits the rate
 * of nobody, so that the caller's account pays, and where it is down, if what it said of a credential still counts.
 */
function challenge(refusal: OriginError, challenges: readonly string[]): OriginError {
  const { detail, body } = refusal
  return new OriginError('unauthorized', detail, { status: 401, challenges, body, cause: refusal })
}

/**
 * The origin's challenge is for a client that talks to its token service; one whose password was refused here is not asked
 * for it again: containerd would send it five times more.
 */
function unchallenged(error: unknown): unknown {
  if (!isOriginError(error, 'unauthorized')) return error
  const { detail, status, body } = error
  return new OriginError('unauthorized', detail, { status, body, cause: error })
}
