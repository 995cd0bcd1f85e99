/**
 * A content digest, exactly `sha256:` and 64 lower-case hex digits (OCI image-spec, descriptor.md "Digests").
 * Only `parseDigest` and `digestFromHex` make one, so a `Digest` is always safe in a path or a URL.
 */
export type Digest = `sha256:${string}` & { readonly brand: 'digest' }

const digestGrammar = /^sha256:[a-f0-9]{64}$/

function isDigest(text: string): text is Digest {
  return digestGrammar.test(text)
}

/** The digest that `text` spells, or undefined: the caller knows which error to give. */
export function parseDigest(text: string): Digest | undefined {
  return isDigest(text) ? text : undefined
}

/** Throws a RangeError when `hex` is not a SHA-256 in lower-case hex: that is a bug of ours, not bad input. */
export function digestFromHex(hex: string): Digest {
  const digest = parseDigest(`sha256:${hex}`)
  if (digest === undefined) throw new RangeError(`not a SHA-256 in hex: ${hex.slice(0, 80)}`)
  return digest
}

/** The 64 hex digits of a digest. */
export function digestHex(digest: Digest): string {
  return digest.slice('sha256:'.length)
}

/** Of no bytes. Whatever is said to have none under another digest is not so long. */
export const digestOfNothing = digestFromHex('e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855')
