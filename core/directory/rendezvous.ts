/**
 * Rendezvous hashing (Thaler and Ravishankar, "Using name-based mappings to increase hit rates"): whoever scores
 * highest with a key has it. All agents compute the same scores, so they agree without talking.
 */
import { hash } from 'node:crypto'

/**
 * 64 well-mixed bits of a name, as two words; computed once per name, since SHA-256 is the slow part. The words are signed: V8
 * keeps such in the object itself, and all members' are read for each list of neighbours.
 */
export interface Mark {
  readonly low: number
  readonly high: number
}

export function markOf(name: string): Mark {
  const bytes = hash('sha256', name, 'buffer')
  return { low: bytes.readInt32LE(0), high: bytes.readInt32LE(4) }
}

/**
 * The score of two marks, 32 bits, the same whichever comes first: so two agents rank each other alike as neighbours, and
 * blind to the digest (DESIGN, Swarm). Two rounds of MurmurHash3's finalizer.
 */
export function scoreOf(a: Mark, b: Mark): number {
  return scoreOfWords(a.low, a.high, b.low, b.high)
}

export function scoreOfWords(aLow: number, aHigh: number, bLow: number, bHigh: number): number {
  return mix(mix(aLow ^ bLow) ^ aHigh ^ bHigh) >>> 0
}

function mix(word: number): number {
  let mixed = word
  mixed = Math.imul(mixed ^ (mixed >>> 16), 0x85ebca6b)
  mixed = Math.imul(mixed ^ (mixed >>> 13), 0xc2b2ae35)
  return mixed ^ (mixed >>> 16)
}

export interface Scored<T> {
  readonly item: T
  readonly score: number
  /** Breaks ties, so that the order is the same everywhere. */
  readonly name: string
}

/** Does `a` come before `b`? The higher score does; of equals, the smaller name. */
export function outranks(a: Scored<unknown>, b: Scored<unknown>): boolean {
  return a.score === b.score ? a.name < b.name : a.score > b.score
}

/**
 * Keeps `best` the first `count` in rank order. Once it has filled up an insertion is rare, and all members are gone through for each
 * list: for whoever does not get in nothing is made.
 */
export function insertRanked<T>(best: Scored<T>[], count: number, item: T, score: number, name: string): void {
  if (best.length >= count) {
    const last = best[best.length - 1]
    if (last === undefined || last.score > score || (last.score === score && last.name < name)) return
    best.pop()
  }
  const candidate = { item, score, name }
  let at = best.length
  while (at > 0 && outranks(candidate, best[at - 1]!)) at--
  best.splice(at, 0, candidate)
}
