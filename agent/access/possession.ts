/**
 * Possession (DESIGN, Access): a grant lets a caller read a repository, and only what that repository has. A manifest that
 * names a digest proves nothing, since anyone can publish one. Two questions, each answered by what is known here, else by the
 * digest's directory, else by the origin, which one agent asks for all:
 *
 *     does the repository say that it has the content?         ── no ──→ what the origin says to that
 *        │ yes
 *     did these bytes come from that origin, to any of us? ── yes ──→ shown
 *        │ no: from another origin, or nobody knows
 *     has the origin them?  it said so itself, and may lie: it must give random parts of them
 *        │ yes ──→ shown                                       ── no ──→ not here
 */
import { createBoundedMap } from '../../core/bounded-map.ts'
import type { Fact, PossessionAnswer } from '../../core/directory/messages.ts'
import { limits } from '../../core/limits.ts'
import type { Digest } from '../../core/oci/digest.ts'
import type { ByteRange } from '../../core/oci/range.ts'
import type { Clock } from '../../core/ports.ts'
import type { PossessionQuestion } from '../cluster/cluster.ts'
import type { Want } from '../registry/ports.ts'
import type { OriginClient } from '../upstream/origin-client.ts'
import { isOriginError, isOutage, OriginError } from '../upstream/origin-error.ts'
import type { Sleep } from '../upstream/retry.ts'
import { createSingleFlight } from '../upstream/single-flight.ts'
import type { PolicyOf } from './policy.ts'
import { type Findings, hasFact, holdsFact, placeOf } from './findings.ts'
import { drawSamples, givesSamples, type ProvenContent, type SampleComponents, sendsPart } from './samples.ts'

/** All methods reject with the OriginError that the caller should hear, or with the signal's reason. */
export interface Possession {
  /** Resolves where the repository has the content. */
  prove(want: Want, signal: AbortSignal): Promise<void>
  /** Does anybody know that the origin holds these bytes, or shows them to everybody? */
  isKnownToHold(want: Want, signal: AbortSignal): Promise<boolean>
  /** Resolves where the origin holds the bytes of this content, wherever they came from. */
  proveHeld(want: Want, content: ProvenContent, signal: AbortSignal): Promise<void>
  /** Resolves where the origin sends this part of it, which has this SHA-256. */
  provePart(want: Want, part: ByteRange & { size: number; hash: string }, signal: AbortSignal): Promise<void>
}

export interface PossessionComponents {
  readonly clock: Clock
  /** Its answers are noted in `findings`. */
  readonly origin: Pick<OriginClient, 'headManifest' | 'headBlob' | 'fetchRange'>
  readonly findings: Findings
  readonly random: SampleComponents['random']
  readonly sleep: Sleep
  readonly policyOf: PolicyOf
  readonly ask: (question: PossessionQuestion) => Promise<PossessionAnswer | undefined>
}

export function createPossession(components: PossessionComponents): Possession {
  const { ask, clock, findings, origin, policyOf, sleep } = components
  const proofs = createSingleFlight<void>()
  const samplings = createSingleFlight<void>()
  const refusedUntilMs = createBoundedMap<string, number>(limits.possessionRefusalsMax)
  /**
   * The parts that are asked for, of whoever says that it has the content, until one gives something else: then others, and twice
   * as many. So one with many names has no more luck than one, nor has one that answers only when it can.
   */
  const samples = createBoundedMap<Digest, readonly number[]>(limits.possessionRefusalsMax)

  async function learn({ digest }: Want, fact: Fact, claims: boolean): Promise<number | undefined> {
    const answer = await ask({ digest, asks: { fact, claims } })
    findings.learn(digest, answer?.known ?? [])
    return answer?.againMs
  }

  /** Returns once it is known, or this agent is the one to find out. */
  async function askOthers(want: Want, fact: Fact, signal: AbortSignal): Promise<void> {
    const deadlineMs = clock.now() + limits.possessionPatienceMs
    for (;;) {
      const toldMs = await learn(want, fact, true)
      signal.throwIfAborted()
      if (toldMs === undefined) return
      // No directory has itself asked without end.
      const againMs = Math.max(toldMs, limits.possessionAgainMs)
      if (clock.now() + againMs >= deadlineMs) return
      await sleep(againMs, signal)
    }
  }

  async function find(want: Want, signal: AbortSignal): Promise<void> {
    const fact = hasFact(want)
    await askOthers(want, fact, signal)
    if (findings.has(want)) return
    try {
      if (want.kind === 'manifest') await origin.headManifest(want, want.digest, want.credential, signal)
      else await origin.headBlob(want, want.digest, want.credential, signal)
    } catch (error) {
      findings.noteVain(want, fact, isOriginError(error, 'not-found'))
      if (!(isSilent(want, error) && findings.had(want))) throw error
    }
  }

  /** The origin has not answered the question: it is down, or tells nobody, and nobody has to be told here. */
  function isSilent({ origin: name }: Want, error: unknown): boolean {
    return isOutage(error) || (isOriginError(error, 'unauthorized', 'denied') && policyOf(name).access === 'open')
  }

  function draw({ digest }: Want, { size }: ProvenContent, count: number): readonly number[] {
    const starts = drawSamples(components, size, count)
    samples.set(digest, starts)
    return starts
  }

  async function findHeld(want: Want, content: ProvenContent, signal: AbortSignal): Promise<void> {
    const fact = holdsFact(want)
    await askOthers(want, fact, signal)
    if (findings.isHeld(want)) return
    const starts = samples.get(want.digest) ?? draw(want, content, limits.possessionSamples)
    const isGiven = await givesSamples(components, want, content, starts, signal).catch((error: unknown) => {
      findings.noteVain(want, fact, false)
      throw error
    })
    if (isGiven) return findings.noteHeld(want)
    if (samples.get(want.digest) === starts)
      draw(want, content, Math.min(2 * starts.length, limits.possessionSamplesMax))
    refusedUntilMs.set(placeOf(want), clock.now() + limits.possessionRefusedMs)
    findings.noteVain(want, fact, true)
    throw notHere(want)
  }

  return {
    async prove(want, signal) {
      if (findings.has(want)) return
      await proofs(questionOf(want), signal, (shared) => find(want, shared))
    },
    async isKnownToHold(want, signal) {
      await learn(want, holdsFact(want), false)
      signal.throwIfAborted()
      return findings.isHeld(want)
    },
    async proveHeld(want, content, signal) {
      if (findings.isHeld(want)) return
      if (clock.now() < (refusedUntilMs.get(placeOf(want)) ?? 0)) throw notHere(want)
      await samplings(questionOf(want), signal, (shared) => findHeld(want, content, shared))
    },
    async provePart(want, part, signal) {
      if (!(await sendsPart(components, want, part, signal))) throw notHere(want)
    },
  }
}

/** What the origin would be asked, and by whose credential: of a manifest it knows no blob. */
function questionOf(want: Want): string {
  return `${placeOf(want)} ${want.repository} ${want.kind} ${want.credential.key}`
}

function notHere({ digest, origin }: Want): OriginError {
  return new OriginError('not-found', `${origin} does not send ${digest} as it is`, { status: 404 })
}
