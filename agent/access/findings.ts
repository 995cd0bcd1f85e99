/**
 * What this agent knows of possession (core/directory/possession.ts): what origins told or sent it, and what directories say.
 * Whatever it finds first, it tells the content's directory.
 */
import { createBoundedMap } from '../../core/bounded-map.ts'
import type { AgedFact, Fact, KnownFact } from '../../core/directory/messages.ts'
import { createFacts } from '../../core/directory/possession.ts'
import { limits } from '../../core/limits.ts'
import type { Digest } from '../../core/oci/digest.ts'
import type { Clock } from '../../core/ports.ts'
import type { PossessionNews } from '../cluster/cluster.ts'
import { anonymous, type Credential } from '../upstream/credential.ts'
import type { OriginRepository } from '../upstream/origin-client.ts'

/** A content as somebody wants it of a repository. */
export interface Sought extends OriginRepository {
  readonly digest: Digest
  readonly credential: Credential
}

export interface Findings {
  /** Has the repository the content, as it said lately? */
  has(sought: Sought): boolean
  /** The same, some hours ago. */
  had(sought: Sought): boolean
  /** Has the origin the very bytes, or may anybody read them somewhere? Then it is no matter where they came from. */
  isHeld(sought: Omit<Sought, 'credential'>): boolean
  /** The repository said so, or sent some of it, when asked with this credential. */
  noteHas(sought: Sought): void
  /** It could not be found out, or is not so: `isRefuted`. */
  noteVain(sought: Pick<Sought, 'digest'>, fact: Fact, isRefuted: boolean): void
  /** The origin sent all of it, or what was as unforeseeable. */
  noteHeld(sought: Omit<Sought, 'credential'>): void
  /** All that is known here. */
  all(): Iterable<KnownFact>
  /** What others found. */
  learn(digest: Digest, known: readonly AgedFact[]): void
}

export interface FindingsComponents {
  readonly clock: Clock
  readonly tell: (news: PossessionNews) => void
}

/** Nobody's secret: the origin has it, and shows it without asking who wants it. */
const open: Fact = { kind: 'open' }

export function hasFact({ origin, repository }: OriginRepository): Fact {
  return { kind: 'has', origin, repository }
}

export function holdsFact({ origin }: OriginRepository): Fact {
  return { kind: 'holds', origin }
}

export function createFindings({ clock, tell }: FindingsComponents): Findings {
  const facts = createFacts(clock, limits.possessionFactsMax)
  /** By content and origin: a repository there shows it to nobody in particular. */
  const shown = createBoundedMap<string, true>(limits.possessionFactsMax)

  /** Who is told hears of all of them at once. */
  function found(digest: Digest, ...those: readonly Fact[]): void {
    const news = those.filter((fact) => (facts.ageMs(digest, fact) ?? Infinity) >= limits.possessionFreshMs / 2)
    for (const fact of those) facts.note(digest, fact, 0)
    if (news.length > 0) tell({ digest, tells: news.map((fact) => ({ fact, ageMs: 0 })) })
  }

  return {
    has: (sought) => facts.isFresh(sought.digest, hasFact(sought)),
    had: (sought) => facts.ageMs(sought.digest, hasFact(sought)) !== undefined,
    isHeld: (sought) => facts.isFresh(sought.digest, holdsFact(sought)) || facts.isFresh(sought.digest, open),
    noteHas(sought) {
      const isShown = sought.credential === anonymous
      if (isShown) shown.set(placeOf(sought), true)
      const isOpen = isShown && facts.isFresh(sought.digest, holdsFact(sought))
      found(sought.digest, hasFact(sought), ...(isOpen ? [open] : []))
    },
    noteVain({ digest }, fact, isRefuted) {
      if (isRefuted) facts.forget(digest, fact)
      tell({ digest, tells: [], vain: { fact, isRefuted } })
    },
    noteHeld(sought) {
      const isOpen = shown.get(placeOf(sought)) === true
      found(sought.digest, holdsFact(sought), ...(isOpen ? [open] : []))
    },
    all: () => facts.all(),
    learn(digest, known) {
      for (const { fact, ageMs } of known) facts.note(digest, fact, ageMs)
    },
  }
}

/** A content at an origin, as a key. */
export function placeOf({ digest, origin }: Pick<Sought, 'digest' | 'origin'>): string {
  return `${digest} ${origin}`
}
