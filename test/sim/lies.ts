/** What members tell that hold the secret and lie (liars.ts). */

/** Of what they hold: it harms those who take it, and does not decide for all as a directory's host does. */
export const liesOfHolders = [
  /** Wrong bytes under an entry of its own that matches them. */
  'forges fetched',
  'forges proved',
  /** The same, of the last chunk alone. */
  'forges one chunk',
  /** Right chunks, and a wrong word for them when asked. */
  'vouches for another blob',
  /** Claims every chunk and answers no request. */
  'claims all',
  /** Begins each chunk, then sends a byte now and then. */
  'trickles',
] as const

/** The same, drawn by itself. */
export const liesOfClaims = [
  /** Claims all that it has, and denies each chunk that it is asked for. */
  'denies',
  /** Begins none of what it is asked for, like a node whose disk hangs: others wait behind that, and then it is busy. */
  'begins nothing',
  /** Is too busy for each chunk that it is asked for, again and again. */
  'is ever busy',
  /** Lets each chunk that it is asked for wait, for ever behind as many. */
  'keeps waiting',
] as const

/** In the names of others, or about them. */
export const liesOfNames = [
  /** As `forges proved`, for each blob under the name of a member that there is not. */
  'forges in other names',
  /** Cautions of everybody, who have signed nothing wrong. */
  'slanders',
] as const

/** As a directory's host: leases for whoever asks, for nobody, or no peer but itself, which has all. */
export const liesOfHosts = ['grants everybody', 'grants nobody', 'names only itself'] as const

export const lies = [
  /** Wrong bytes under the right entry. */
  'sends rubbish',
  ...liesOfHolders,
  ...liesOfClaims,
  ...liesOfNames,
  /** Thousands of requests a second. */
  'floods',
  /** Asks for chunks, and reads nothing of what is sent. */
  'takes nothing',
  ...liesOfHosts,
] as const

export type Lie = (typeof lies)[number]

export type LieOfHost = (typeof liesOfHosts)[number]
