/** Who asks the mirror, and what for. */
import { type Reference, referenceText } from '../../core/oci/reference.ts'

export interface Caller {
  /** The `Authorization` header of the request. */
  readonly authorization: string | undefined
}

/** What the caller wants to read. */
export interface Subject {
  /** Canonical. */
  readonly origin: string
  readonly repository: string
  /** Undefined for lists: of tags, of referrers. */
  readonly content?: { readonly kind: 'blob' | 'manifest'; readonly reference: Reference }
}

/** The content of a subject, as a key. */
export function contentText({ content }: Subject): string {
  return content === undefined ? 'lists' : `${content.kind} ${referenceText(content.reference)}`
}

/** What stands for the manifest in a request about it; undefined where the subject is none. */
export function manifestText({ content }: Subject): string | undefined {
  return content?.kind === 'manifest' ? referenceText(content.reference) : undefined
}
