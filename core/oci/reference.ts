/** Names, tags and references (OCI distribution-spec 1.1, "Pulling manifests"). */
import { limits } from '../limits.ts'
import { type Digest, parseDigest } from './digest.ts'

/** What stands behind the `:` or `@` of an image name. */
export type Reference =
  | { readonly kind: 'tag'; readonly tag: string }
  | { readonly kind: 'digest'; readonly digest: Digest }

const nameGrammar = /^[a-z0-9]+(?:(?:\.|_|__|-+)[a-z0-9]+)*(?:\/[a-z0-9]+(?:(?:\.|_|__|-+)[a-z0-9]+)*)*$/
const tagGrammar = /^[a-zA-Z0-9_][a-zA-Z0-9._-]{0,127}$/

export function isRepositoryName(text: string): boolean {
  return text.length <= limits.repositoryNameMaxLength && nameGrammar.test(text)
}

function isTag(text: string): boolean {
  return tagGrammar.test(text)
}

/** The tag or digest that `text` spells, or undefined. A tag never holds a colon and a digest always does. */
export function parseReference(text: string): Reference | undefined {
  if (isTag(text)) return { kind: 'tag', tag: text }
  const digest = parseDigest(text)
  return digest === undefined ? undefined : { kind: 'digest', digest }
}

/** The reference as it stands in a URL. */
export function referenceText(reference: Reference): string {
  return reference.kind === 'tag' ? reference.tag : reference.digest
}
