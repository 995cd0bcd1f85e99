/**
 * What agents say to the host of a digest's directory (its owner, its standby, or a tracker): `POST …/directory/announce`.
 * Announces are idempotent: each item carries the whole state, a bitfield of 125 bytes for 1,000 chunks.
 */
import type { Digest } from '../oci/digest.ts'
import type { PeerId } from '../ports.ts'

/** A run of chunks, `end` exclusive. */
export interface ChunkRange {
  readonly start: number
  readonly end: number
}

/** How a peer can be reached: libp2p addresses as multiaddr texts. */
export interface PeerAddress {
  readonly peer: PeerId
  readonly addresses: readonly string[]
}

export interface AnnounceItem {
  readonly digest: Digest
  readonly size: number
  /** Chunks held and verified; `complete` spares the bitfield of a seed. */
  readonly have: { readonly complete: true } | { readonly complete: false; readonly bits: Uint8Array }
  /** Does the announcer want chunks that it lacks? */
  readonly wants: boolean
  /** It has as many neighbours as it aims for, so none need be named: names are most of an answer's bytes. */
  readonly isConnected?: boolean
  /** How many it has. Where no more others announce the digest, none need be named either. */
  readonly neighbours?: number
  /**
   * Whom the announcer has banned, who sent it wrong bytes of the blob, or withholds what it has: what only they hold or fetch is nowhere
   * to it. That is so for it alone, as nobody bans by hearsay.
   */
  readonly bans?: readonly PeerId[]
  /** Chunks the announcer is fetching from the origin now, so that a standby knows the leases of an owner that died. */
  readonly fetching: readonly ChunkRange[]
  /**
   * How long no byte of what it is fetching has come, as the announcer judges it: on a full link bytes wait for each other
   * (core/swarm/link.ts). Undefined: it never began, or too long ago to tell of.
   */
  readonly silentMs?: number
  /** Ask for a lease of up to `chunks` chunks, at or after chunk `position` first, then from the blob's start. */
  readonly lease?: {
    readonly chunks: number
    readonly position: number
    /** Chunks that others hold are wanted too: nothing has come of them for long (their holders are cut off, or lie). */
    readonly insists?: boolean
    /** The announcer leaves the origin alone for a while: it would only fetch across a border. */
    readonly acrossOnly?: boolean
    /** None but the `chunks` from `position` on: a reader of a part has no use for others, and leaves when it has its own. */
    readonly theseOnly?: boolean
    /** Who ranks before the host that is asked grants nothing, though nothing moves: it is asked to grant in its place. */
    readonly instead?: boolean
    /** The credential behind it lives no longer: what has not begun by then won't. */
    readonly lifeMs?: number
  }
  /** Leases given back: fetched, or given up (their missing chunks may be granted anew at once). */
  readonly released?: readonly number[]
  /** The origin ignores Range: whoever fetches it gets the blob from its first byte. */
  readonly unranged?: boolean
  /** The registry host that the announcer would fetch this digest from; rate limits are kept per origin. */
  readonly origin?: string
  /** The origin asked for a pause (429, or 503 with Retry-After): nobody gets a lease for it before this has passed. */
  readonly originRetryAfterMs?: number
  /** The origin does not answer the announcer: no connection, no answer in time, or 5xx. Others then ask less of it (sick-origins.ts). */
  readonly originFails?: boolean
  /** The announcer no longer holds or wants this digest. */
  readonly leaves?: boolean
  /** The announcer is about to leave the cluster, and would know what leaves with it. */
  readonly departs?: boolean
}

export interface AnnounceRequest {
  readonly from: PeerAddress
  readonly items: readonly AnnounceItem[]
  /** All that this host has heard of and that rests with the announcer is as before (rosters.ts); `items` is empty then. */
  readonly asBefore?: RosterSum
  /** The host may have missed what this agent said: what it knows of the announcer, and does not hear again in a moment, is so no more. */
  readonly anew?: boolean
}

/** Tells one list of digests from another. */
export interface RosterSum {
  readonly count: number
  /** 32 bits each. */
  readonly low: number
  readonly high: number
}

export interface Lease {
  readonly id: number
  readonly start: number
  readonly end: number
  /** Fetch them from this peer, across a border, and not from the origin. */
  readonly source?: PeerHint
  /** A holder that shows no new chunk for this long loses the lease. */
  readonly ttlMs: number
}

export interface PeerHint extends PeerAddress {
  readonly complete: boolean
}

export interface AnswerItem {
  readonly digest: Digest
  /**
   * This host is not first for the digest as it sees the members: this one is, and only it grants leases. The standby and
   * those who would follow answer all the same (and say this only to who wished for a lease); any other host answers
   * nothing else.
   */
  readonly ask?: PeerId
  /** Undefined where nobody told the directory yet. */
  readonly size?: number
  readonly peers: readonly PeerHint[]
  /** Holders per chunk, saturated at 255; present when the announcer wants chunks. */
  readonly counts?: Uint8Array
  readonly lease?: Lease
  /** No lease now (others fetch what is missing, or the host is still learning): ask again after this long. */
  readonly leaseAfterMs?: number
  /** With `lease` or `leaseAfterMs`: somebody has or fetches each chunk, so that for this digest nobody needs the origin. */
  readonly isAllTaken?: boolean
  /** Leases of the announcer that stalled, and of which others have or fetch a chunk by now: it goes on with none of them. */
  readonly lost?: readonly number[]
  /** The standby's word: chunks that the announcer is fetching, and another was fetching before it. Whoever granted them to both does not do as a directory should. */
  readonly contested?: readonly ChunkRange[]
  /** To who departs: what nobody has who stays. Undefined: this host does not know yet. */
  readonly departure?: Departure
  /** Write a DHT provider record for this digest: you are one of at most three named seeds. */
  readonly provide?: boolean
}

export interface Departure {
  /** Chunks of the announcer that nobody has who stays; undefined: there are none. */
  readonly sole?: Uint8Array
  /** Somebody who stays, and may take them from the announcer, wants the blob. */
  readonly isWanted: boolean
}

export interface TimedAnswer extends AnswerItem {
  /** When to announce the digest here next, without a reason of one's own. */
  readonly announceAfterMs: number
}

export interface AnnounceAnswer {
  readonly items: readonly TimedAnswer[]
  /** To `asBefore`. */
  readonly roster?: RosterAnswer
}

export interface RosterAnswer {
  /** The host has the same list. Else it has to hear of all of it. */
  readonly isSame: boolean
  readonly announceAfterMs: number
  /** As that of an item. */
  readonly provide?: Digest
}

/** Who has small content, or how long a blob is: `POST …/directory/locate`. Idempotent. */
export interface LocateRequest {
  readonly from: PeerId
  readonly digest: Digest
  /** The registry host that the asker would fetch it from. */
  readonly origin: string
  /** Peers that were named before and gave nothing. */
  readonly except: readonly PeerId[]
}

export interface LocateAnswer {
  /** This host knows nothing of the digest: as it sees the members, this one does. */
  readonly ask?: PeerId
  /** This peer has the content or is getting it. Undefined where nobody is: the asker fetches it from the origin. */
  readonly relay?: PeerId
  /** As its announcers say. */
  readonly size?: number
  /** Nobody has it, and nobody may fetch it yet (the origin limits its rate, or the host is not ready): ask again after this long. */
  readonly againMs?: number
}

/** What is known of where a content is (possession.ts). */
export type Fact =
  | { readonly kind: 'has'; readonly origin: string; readonly repository: string }
  | { readonly kind: 'holds'; readonly origin: string }
  | { readonly kind: 'open' }

export interface AgedFact {
  readonly fact: Fact
  /** Since it was found. */
  readonly ageMs: number
}

/** What a member that departs knows of possession, for who hosts these digests after it: `POST …/directory/inherit`. Idempotent. */
export interface InheritRequest {
  readonly from: PeerId
  readonly facts: readonly KnownFact[]
}

export interface KnownFact extends AgedFact {
  readonly digest: Digest
}

/** Which repository and which origin have a content: `POST …/directory/possession`. Idempotent. */
export interface PossessionRequest {
  readonly from: PeerId
  readonly digest: Digest
  /** `claims`: the asker will find out if nobody knows. */
  readonly asks?: { readonly fact: Fact; readonly claims: boolean }
  /** What the asker has found. */
  readonly tells: readonly AgedFact[]
  /** The asker tried to find this out, and could not, or found that it is not so: `isRefuted`. */
  readonly vain?: { readonly fact: Fact; readonly isRefuted: boolean }
}

export interface PossessionAnswer {
  /** This host knows nothing of the digest: as it sees the members, this one does. */
  readonly ask?: PeerId
  /** What was asked, where that is known, and what else is known of the content at that origin. */
  readonly known: readonly AgedFact[]
  /** Somebody is finding out: ask again after this long. */
  readonly againMs?: number
}
