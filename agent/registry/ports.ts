/** What the mirror needs from the rest of the agent. Twins in test/support/memory-blobs.ts and memory-origin.ts. */
import type { Digest } from '../../core/oci/digest.ts'
import type { ByteRange } from '../../core/oci/range.ts'
import type { Reference } from '../../core/oci/reference.ts'

export type ContentKind = 'blob' | 'manifest'

/** The HTTP headers of an answer; names in lower case. */
export type HeaderValues = Readonly<Record<string, string | readonly string[] | undefined>>

/** What the caller showed us; it goes to nobody but `Access`. */
export interface Caller {
  readonly authorization: string | undefined
}

/** The outcome of `Access`: what the agent may show the origin for this caller. */
export interface Credential {
  /** Equal for callers that see the same content; an HMAC or a constant, never the secret itself. */
  readonly key: string
}

/** What a request is about, once it is parsed. */
export interface Subject {
  /** Canonical, as `Origins.parse` gave it. */
  readonly origin: string
  readonly repository: string
  /** The content asked for; undefined for the tag list. */
  readonly content?: { readonly kind: ContentKind; readonly reference: Reference }
}

/** Which registries the mirror may speak to. */
export interface Origins {
  /** The canonical name of the origin that `text` (`?ns=`, or the path's first component) means. Throws a ShoalError when it is none of the configured ones. */
  parse(text: string): string
}

/** Grant and possession (DESIGN, Access). */
export interface Access {
  /** Resolves when the caller may read this; rejects with the origin's answer (`AnswerError`) or a ShoalError. */
  authorize(caller: Caller, subject: Subject, signal: AbortSignal): Promise<Credential>
}

/** One content of one repository, as a caller wants it. */
export interface Want {
  readonly origin: string
  readonly repository: string
  readonly digest: Digest
  /** Where a descriptor told it. */
  readonly size?: number
  readonly kind: ContentKind
  readonly credential: Credential
}

/** Content by digest, from wherever it is: store, containerd, peers, origin. */
export interface Blobs {
  /** Resolves once the size is known. Rejects with an `AnswerError` or a ShoalError. */
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
  /**
   * The bytes of `range`, in order and verified. The blob's last byte is held back until the whole digest matched.
   * Throws when no source is left.
   */
  read(range: ByteRange, options: ReadOptions): AsyncIterable<Uint8Array>
  close(): Promise<void>
}

export interface ManifestHead {
  readonly digest: Digest
  readonly size: number
  readonly mediaType: string
}

export interface OriginResponse {
  readonly status: number
  readonly headers: HeaderValues
  readonly body: Uint8Array
}

/** The part of the origin client that the mirror uses itself. All reject with an `AnswerError` or a ShoalError. */
export interface Origin {
  /** What a tag means now. */
  headManifest(at: OriginRepository, tag: string, credential: Credential, signal: AbortSignal): Promise<ManifestHead>
  /** `referrers/<digest>` or `tags/list`, with `query` as the caller gave it (without `ns`); whatever the origin answers. */
  passThrough(
    at: OriginRepository,
    path: string,
    query: string,
    credential: Credential,
    signal: AbortSignal,
  ): Promise<OriginResponse>
}

export interface OriginRepository {
  readonly origin: string
  readonly repository: string
}
