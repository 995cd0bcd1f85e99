/**
 * The swarm as a program: events in, commands out. Whoever runs it (agent/swarm, test/sim) turns what happens into
 * events and carries commands out; the swarm itself does nothing and waits for nothing.
 */
import type { AnswerItem } from '../directory/messages.ts'
import type { Caution, GoneRecord } from '../members/messages.ts'
import type { Digest } from '../oci/digest.ts'
import type { PeerId } from '../ports.ts'
import type { Entry } from './entry.ts'
import type { PeerMessage } from './messages.ts'

/** Why a fetch from the origin ended early. */
export type OriginFailure =
  /** Connection failed, 5xx, timeout or stall: worth another try, after `retryAfterMs` where the origin said so. */
  | { readonly kind: 'unavailable'; readonly retryAfterMs?: number }
  /** 429: all agents hold back. */
  | { readonly kind: 'rate-limited'; readonly retryAfterMs: number }
  /** 401/403/404 for this node's credential: another node may fare better. */
  | { readonly kind: 'refused' }
  /** Wrong size, wrong Content-Range, short body. */
  | { readonly kind: 'protocol' }

export type SwarmEvent =
  /** The store holds chunks of this blob (at start, or found in containerd). */
  | {
      readonly type: 'held'
      readonly digest: Digest
      readonly size: number
      readonly have: Uint8Array
      readonly complete: boolean
    }
  | { readonly type: 'evicted'; readonly digest: Digest }
  /** The store found that it does not hold what it was given: `have` is what is left. Chunks on their way to it are not lost. */
  | { readonly type: 'lost'; readonly digest: Digest; readonly have: Uint8Array }
  /** The entries kept with the chunks of a blob that is held and not proved, by index: what a restart has forgotten. */
  | { readonly type: 'entries'; readonly digest: Digest; readonly entries: readonly (Entry | undefined)[] }
  /**
   * Somebody on this node wants bytes `[start, end)`. `whole`: a full-blob read; `prefetch`: below every other reader; without an
   * origin: of what peers have proved, and nowhere else.
   */
  | {
      readonly type: 'reader-opened'
      readonly digest: Digest
      readonly size: number
      readonly origin: string | undefined
      readonly reader: number
      readonly start: number
      readonly end: number
      readonly whole: boolean
      readonly prefetch: boolean
    }
  /** The reader has taken everything before `position`. */
  | { readonly type: 'reader-moved'; readonly digest: Digest; readonly reader: number; readonly position: number }
  | { readonly type: 'reader-closed'; readonly digest: Digest; readonly reader: number }
  /** `address`: the IP address at the other end. */
  | { readonly type: 'peer-connected'; readonly peer: PeerId; readonly address: string }
  | { readonly type: 'peer-disconnected'; readonly peer: PeerId }
  /** It is a member, as the list of members has it: for the first time, again, or as a new process. */
  | { readonly type: 'peer-came'; readonly peer: PeerId }
  /** It is no member any more, as the list of members has it: it said goodbye, or was found dead. */
  | { readonly type: 'peer-gone'; readonly peer: PeerId; readonly how: GoneRecord['state'] }
  /** A member gives no sign of life, and may be dead; or gives one again. */
  | { readonly type: 'peer-silent'; readonly peer: PeerId }
  | { readonly type: 'peer-heard'; readonly peer: PeerId }
  /** The transport could not make sense of what the peer said. */
  | { readonly type: 'peer-violated'; readonly peer: PeerId; readonly address: string }
  | { readonly type: 'dial-failed'; readonly peer: PeerId }
  | { readonly type: 'message'; readonly peer: PeerId; readonly message: PeerMessage }
  /** The head of a chunk arrived on the bulk stream: request `id` is being answered from byte `offset` of the chunk. */
  | {
      readonly type: 'chunk-started'
      readonly peer: PeerId
      readonly id: number
      readonly offset: number
      readonly entry: Entry
    }
  /** `bytes` more of request `id` are in the chunk's buffer, or, after `ignore`, came in vain: they took their time all the same. */
  | { readonly type: 'frame'; readonly peer: PeerId; readonly id: number; readonly bytes: number }
  /** An upload that was commanded has left, or can't (chunk unreadable, stream gone). */
  | { readonly type: 'uploaded'; readonly peer: PeerId; readonly id: number; readonly ok: boolean }
  /** `bytes` more of chunk `index` came from the origin, in order within fetch `fetch`. */
  | {
      readonly type: 'origin-frame'
      readonly digest: Digest
      readonly fetch: number
      readonly index: number
      readonly bytes: number
    }
  /** The fetch is over: all its bytes came, or `failure` says why not. `unranged`: the origin ignored Range. */
  | { readonly type: 'origin-ended'; readonly digest: Digest; readonly fetch: number; readonly failure?: OriginFailure }
  | { readonly type: 'origin-unranged'; readonly digest: Digest; readonly fetch: number }
  /** Answer to `hash`: SHA-256 of the chunk's buffer. */
  | { readonly type: 'hashed'; readonly digest: Digest; readonly index: number; readonly hash: string }
  /**
   * Answer to `keep`: the chunk is on disk, or the disk refused it: then it stays readable from memory until delivered, or,
   * where it might not pass, is forgotten. Wrong, and forgotten: the blob was proved here before, with another chunk there.
   */
  | {
      readonly type: 'kept'
      readonly digest: Digest
      readonly index: number
      readonly ok: boolean
      readonly isForgotten?: boolean
      readonly isWrong?: boolean
    }
  /** Answer to `prove`: the SHA-256 of the whole blob matched its digest, or not; unasked where that of what the disk refused in part did not. */
  | { readonly type: 'proved'; readonly digest: Digest; readonly ok: boolean }
  /** This node is about to leave the cluster, and may ask others to take so many bytes of what only it has. Ends in `departed`. */
  | { readonly type: 'departs'; readonly maxBytes: number }
  /** What became of an `offer`. */
  | { readonly type: 'offered'; readonly digest: Digest; readonly isTaken: boolean }
  /** What the directory said of a digest (core/directory/client turns answers and failures into these). */
  | { readonly type: 'directory'; readonly answer: AnswerItem }
  /** Owner and standby are silent and the random wait is over: the swarm may take one chunk from the origin unleased. */
  | { readonly type: 'directory-silent'; readonly digest: Digest }
  /** A member, which calls from this address, cautions of these (hearsay.ts). */
  | {
      readonly type: 'cautioned'
      readonly by: PeerId
      readonly address: string
      readonly cautions: readonly Caution[]
    }
  | { readonly type: 'tick' }

export type SwarmCommand =
  | { readonly type: 'dial'; readonly peer: PeerId; readonly addresses: readonly string[] }
  /** Nobody needs the connection any more: close it. */
  | { readonly type: 'release'; readonly peer: PeerId }
  | { readonly type: 'send'; readonly peer: PeerId; readonly message: PeerMessage }
  /** Answer request `id` of `peer` with chunk `index` from `offset` on and the entry kept with it (a proved blob's is signed when first needed); ends in `uploaded`. */
  | {
      readonly type: 'upload'
      readonly peer: PeerId
      readonly id: number
      readonly digest: Digest
      readonly size: number
      readonly index: number
      readonly offset: number
    }
  /** The upload is not wanted any more; no `uploaded` need follow. */
  | { readonly type: 'stop-upload'; readonly peer: PeerId; readonly id: number }
  /** Frames of this request go to the buffer of chunk `index` at `offset` (kept bytes before it stay). */
  | {
      readonly type: 'expect'
      readonly peer: PeerId
      readonly id: number
      readonly digest: Digest
      readonly size: number
      readonly index: number
      readonly offset: number
    }
  /** Ignore further frames of this request. Of what it brought of chunk `index`, the bytes before `received` may be gone on from. */
  | {
      readonly type: 'ignore'
      readonly peer: PeerId
      readonly id: number
      readonly digest: Digest
      readonly index: number
      readonly received: number
    }
  /**
   * Ranged GET of chunks `[start, end)`, the first from `offset` on, from `origin` and no other: the swarm vouches for its
   * chunks as that origin's. `isEscape`: of what is held, outside the origin's budget. Ends in
   * `origin-ended`.
   */
  | {
      readonly type: 'fetch-origin'
      readonly digest: Digest
      readonly size: number
      readonly origin: string
      readonly fetch: number
      readonly start: number
      readonly end: number
      readonly offset: number
      readonly isEscape: boolean
    }
  | { readonly type: 'stop-fetch'; readonly digest: Digest; readonly fetch: number }
  | { readonly type: 'hash'; readonly digest: Digest; readonly size: number; readonly index: number }
  /**
   * The chunk matches its entry: keep it on disk. Readers have it once `Swarm.mayDeliver` says so. `mayPass`: where the disk
   * refuses it, readers may have it from memory; else it is to be forgotten.
   */
  | {
      readonly type: 'keep'
      readonly digest: Digest
      readonly size: number
      readonly index: number
      readonly entry: Entry
      readonly mayPass: boolean
    }
  /** Readers of this blob that were held back may have more of it. */
  | { readonly type: 'deliver'; readonly digest: Digest }
  /** Tell `peer` the hashes of chunks `[start, end)` of a blob that is proved: this node's own word for them. */
  | {
      readonly type: 'vouch'
      readonly peer: PeerId
      readonly digest: Digest
      readonly size: number
      readonly start: number
      readonly end: number
    }
  /** Drop the buffer of a chunk (its hash was wrong, or nobody wants it). */
  | { readonly type: 'drop'; readonly digest: Digest; readonly index: number }
  /** All chunks are on disk: check the whole blob. Not asked where the disk refused one: then the reader's own check decides. */
  | { readonly type: 'prove'; readonly digest: Digest; readonly size: number }
  /** Chunks are, or may be, wrong although each matches its entry: drop these, or all. */
  | { readonly type: 'discard'; readonly digest: Digest; readonly indices?: readonly number[] }
  /** The directory should hear of this digest: soon, or `now` (joined, completed, left, or a lease is wanted). */
  | { readonly type: 'announce'; readonly digest: Digest; readonly now: boolean }
  /** Ask one who stays to take this blob, which nobody else has; ends in `offered`. */
  | { readonly type: 'offer'; readonly digest: Digest; readonly size: number }
  /** What could be handed over has been: this node may leave. */
  | { readonly type: 'departed' }
  /** Own evidence that a peer broke the rules: drop it and do not take it back for a while, nor, where given, anybody from this address. */
  | { readonly type: 'ban'; readonly peer: PeerId; readonly address?: string; readonly reason: string }
  /** Of whom this node cautions others has changed (`Swarm.cautions`): all members should hear of it. */
  | { readonly type: 'caution' }
  /** What lies have taught this node has changed (`Swarm.lessons`): its next life should know it. */
  | { readonly type: 'learnt' }
  /** This digest can't be had now: its readers end. */
  | {
      readonly type: 'fail'
      readonly digest: Digest
      /** Whose readers end: all of them, or this one only. */
      readonly origin: string
      readonly reader?: number
      readonly failure: OriginFailure | { readonly kind: 'corrupt' }
    }
