/** What two agents say to each other about chunks. The codecs are in core/wire; the simulator passes the objects. */
import type { Digest } from '../oci/digest.ts'
import type { PeerId } from '../ports.ts'
import type { Entry } from './entry.ts'

/**
 * Messages of the control stream. Each side speaks of its own state (`join`, `have`, `leave`) or of a request.
 * A request's `id` is chosen by the requester and unique on that connection.
 */
export type PeerMessage =
  /** I hold or want this blob. `have` is the full bitfield; answered by the other side's `join` or `leave`. */
  | { readonly type: 'join'; readonly digest: Digest; readonly size: number; readonly have: Uint8Array }
  /** I have gained these chunks since my `join`. */
  | { readonly type: 'have'; readonly digest: Digest; readonly indices: readonly number[] }
  /** I neither hold nor want this blob (any more). */
  | { readonly type: 'leave'; readonly digest: Digest }
  /** Send chunk `index` from byte `offset` of it on. */
  | {
      readonly type: 'request'
      readonly id: number
      readonly digest: Digest
      readonly index: number
      readonly offset: number
    }
  /** I no longer want what request `id` asked for. */
  | { readonly type: 'cancel'; readonly id: number }
  /** Your request waits behind `ahead` others; sent at once when it can't start at once. */
  | { readonly type: 'queued'; readonly id: number; readonly ahead: number }
  /** Not now: my queue is full. `try` names peers that have the chunk, as far as I know. */
  | { readonly type: 'busy'; readonly id: number; readonly try: readonly PeerId[] }
  /** Ask me for chunk `index` instead, which nobody else has; what request `id` asked for has left here, and is dropped. */
  | { readonly type: 'suggest'; readonly id: number; readonly index: number }
  /** I do not have that chunk (any more), or can't read it. */
  | { readonly type: 'missing'; readonly id: number }
  /** Do you vouch for this blob? For those who have proved it; `start` is a multiple of `limits.vouchChunks`. */
  | { readonly type: 'doubt'; readonly digest: Digest; readonly start: number }
  /**
   * I have checked the whole blob, and these are the SHA-256 of its chunks from `start` on: `limits.vouchChunks`, or all that
   * are left. My word alone, on my own connection, so it needs no signature and is never passed on.
   */
  | { readonly type: 'vouch'; readonly digest: Digest; readonly start: number; readonly hashes: readonly string[] }

/** Messages of the bulk stream: a chunk's head, then its bytes in frames of at most `limits.frameSizeBytes`. */
export type BulkMessage =
  | { readonly type: 'chunk'; readonly id: number; readonly offset: number; readonly entry: Entry }
  | { readonly type: 'frame'; readonly id: number; readonly bytes: Uint8Array }
