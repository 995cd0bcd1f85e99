/** What the mirror needs from the rest of the agent; twins are in test/support/. */
import type { Digest } from '../../core/oci/digest.ts'
import type { ByteRange } from '../../core/oci/range.ts'
import type { Credential } from '../upstream/credential.ts'
import type { OriginClient, OriginRepository } from '../upstream/origin-client.ts'

export type ContentKind = 'blob' | 'manifest'

/** One content of one repository, as a caller wants it. */
export interface Want extends OriginRepository {
  readonly digest: Digest
  /** Where a descriptor told it. */
  readonly size?: number
  readonly kind: ContentKind
  readonly credential: Credential
}

/** Content by digest, from wherever it is: store, containerd, peers, origin. */
export interface Blobs {
  /** Resolves once the size is known. Rejects with an OriginError or another ShoalError. */
  open(want: Want, signal: AbortSignal): Promise<OpenBlob>
  /** Starts to fetch below every reader; what it returns takes that back. */
  prefetch(want: Want): () => void
}

export interface ReadOptions {
  /** The reader means to take the whole blob, not a part of it. */
  readonly whole: boolean
  readonly signal: AbortSignal
}

/** Close it exactly once. */
export interface OpenBlob {
  readonly size: number
  /** All bytes are on this node and proven, so a read needs nobody else. */
  readonly complete: boolean
  /**
   * The bytes of `range`, in order and verified. The blob's last byte is held back until the whole digest matched.
   * A piece is good until the next one is asked for. Throws when no source is left, and before the first byte where the
   * repository is not known to have the content, or its origin not to hold the bytes (DESIGN, Access).
   */
  read(range: ByteRange, options: ReadOptions): AsyncIterable<Uint8Array>
  close(): Promise<void>
}

/** The part of the origin client that the mirror and its tags use. */
export type Origin = Pick<OriginClient, 'site' | 'headManifest' | 'headBlob' | 'passThrough'>

/** What became of a response. */
export type Outcome =
  /** All of it left. */
  | 'finished'
  /** It ended short, since no source was left or the agent stopped. */
  | 'broken'
  /** The client closed the connection, or took nothing for too long. */
  | 'client-gone'

export interface AnsweredRequest {
  readonly kind: 'ping' | 'manifest' | 'blob' | 'referrers' | 'tags' | 'none'
  readonly status: number
  /** As the client calls itself. */
  readonly userAgent: string | undefined
  /** Body bytes handed to the client's socket. */
  readonly bytes: number
  /** From the request to the first body byte; undefined where there was no body. */
  readonly timeToFirstByteMs: number | undefined
  readonly outcome: Outcome
  /** Why it was refused or broke off. */
  readonly error: unknown
}

/** Who wants to know what the mirror does: metrics and logs. */
export interface Observer {
  answered(request: AnsweredRequest): void
}
