/**
 * What repositories and origins are known to have (DESIGN, Access: possession). Facts are soft and carry their age, so that
 * whoever learns one second hand counts it no longer than who found it:
 *
 *     has    this repository of this origin said so itself, to a credential that may read there, or sent it
 *     holds  this origin has the bytes themselves: it sent all of them, or random parts of them that were right
 *     open   some origin that holds it shows it to anybody
 *
 * A host keeps those of its digests, and lets one agent at a time find out what nobody knows yet, so that a thousand of them
 * cost the origin about one question.
 */
import { createBoundedMap } from '../bounded-map.ts'
import { limits } from '../limits.ts'
import { type Digest, digestFromHex } from '../oci/digest.ts'
import type { Clock, PeerId } from '../ports.ts'
import type { AgedFact, Fact, KnownFact, PossessionAnswer, PossessionRequest } from './messages.ts'

export interface Facts {
  /** How long ago it was found; undefined: not known, or too long ago to count at all. */
  ageMs(digest: Digest, fact: Fact): number | undefined
  /** Young enough to need no other proof. */
  isFresh(digest: Digest, fact: Fact): boolean
  /** It was found `ageMs` ago. What is known to be younger stays. */
  note(digest: Digest, fact: Fact, ageMs: number): void
  forget(digest: Digest, fact: Fact): void
  all(): Iterable<KnownFact>
}

export function createFacts(clock: Clock, max: number): Facts {
  const foundMs = createBoundedMap<string, number>(max)

  function ageMs(digest: Digest, fact: Fact): number | undefined {
    const age = clock.now() - (foundMs.get(keyOf(digest, fact)) ?? Number.NEGATIVE_INFINITY)
    return age < limits.possessionKeptMs ? age : undefined
  }

  return {
    ageMs,
    isFresh: (digest, fact) => (ageMs(digest, fact) ?? Infinity) < freshMs(fact),
    note(digest, fact, age) {
      const key = keyOf(digest, fact)
      foundMs.set(key, Math.max(clock.now() - age, foundMs.get(key) ?? Number.NEGATIVE_INFINITY))
    },
    forget: (digest, fact) => foundMs.delete(keyOf(digest, fact)),
    *all() {
      for (const [key, atMs] of foundMs) {
        const known = { ...parseKey(key), ageMs: clock.now() - atMs }
        if (known.ageMs < limits.possessionKeptMs) yield known
      }
    },
  }
}

/** A repository may lose content; what an origin has sent, it has had. */
function freshMs({ kind }: Fact): number {
  return kind === 'has' ? limits.possessionFreshMs : limits.possessionKeptMs
}

/** Neither origins nor repositories have spaces in their names. */
function keyOf(digest: Digest, fact: Fact): string {
  switch (fact.kind) {
    case 'has':
      return `${digest} ${fact.origin} ${fact.repository}`
    case 'holds':
      return `${digest} ${fact.origin}`
    case 'open':
      return digest
  }
}

/** The reverse of `keyOf`. */
function parseKey(key: string): Pick<KnownFact, 'digest' | 'fact'> {
  const [digest = '', origin, repository] = key.split(' ')
  return { digest: digestFromHex(digest.slice('sha256:'.length)), fact: factOf(origin, repository) }
}

function factOf(origin: string | undefined, repository: string | undefined): Fact {
  if (origin === undefined) return { kind: 'open' }
  return repository === undefined ? { kind: 'holds', origin } : { kind: 'has', origin, repository }
}

export interface Possessions {
  answer(request: PossessionRequest): PossessionAnswer
  /** Notes what another host knew. */
  inherit(known: Iterable<KnownFact>): void
  facts(): Iterable<KnownFact>
}

/** Who finds something out, and until when the others wait; nobody: they do so themselves, as it was tried in vain. */
interface Claim {
  readonly by: PeerId | undefined
  readonly untilMs: number
}

export function createPossessions(clock: Clock): Possessions {
  const facts = createFacts(clock, limits.possessionFactsMax)
  const claims = createBoundedMap<string, Claim>(limits.possessionClaimsMax)

  function heed({ digest, from, tells, vain }: PossessionRequest): void {
    for (const { fact, ageMs } of tells) {
      facts.note(digest, fact, ageMs)
      claims.delete(keyOf(digest, fact))
    }
    if (vain === undefined) return
    if (vain.isRefuted) facts.forget(digest, vain.fact)
    const key = keyOf(digest, vain.fact)
    if (claims.get(key)?.by !== from) return
    claims.set(key, { by: undefined, untilMs: clock.now() + limits.possessionClaimMs })
  }

  /** How long `from` should wait for somebody else; 0: it finds out itself. */
  function claim(key: string, from: PeerId): number {
    const { by, untilMs } = claims.get(key) ?? { by: from, untilMs: 0 }
    const isOver = untilMs <= clock.now()
    if (!isOver && by !== from) return by === undefined ? 0 : limits.possessionAgainMs
    if (isOver) claims.set(key, { by: from, untilMs: clock.now() + limits.possessionClaimMs })
    return 0
  }

  return {
    inherit(known) {
      for (const { ageMs, digest, fact } of known) facts.note(digest, fact, ageMs)
    },
    facts: () => facts.all(),
    answer(request) {
      heed(request)
      const { asks, digest, from } = request
      if (asks === undefined) return { known: [] }
      const known = relatedTo(asks.fact).flatMap((fact): AgedFact[] => {
        const ageMs = facts.ageMs(digest, fact)
        return ageMs === undefined ? [] : [{ fact, ageMs }]
      })
      if (!asks.claims || facts.isFresh(digest, asks.fact)) return { known }
      const againMs = claim(keyOf(digest, asks.fact), from)
      return againMs === 0 ? { known } : { known, againMs }
    },
  }
}

/** Whoever asks for one of them will want to know the others. */
function relatedTo(fact: Fact): readonly Fact[] {
  const open = { kind: 'open' } as const
  if (fact.kind === 'open') return [open]
  const holds = { kind: 'holds', origin: fact.origin } as const
  return fact.kind === 'holds' ? [holds, open] : [fact, holds, open]
}
