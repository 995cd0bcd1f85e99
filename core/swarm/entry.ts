import type { Digest } from '../oci/digest.ts'
import type { PeerId } from '../ports.ts'

/**
 * Who vouches for a chunk (DESIGN, Integrity). `fetched`: the signer took this chunk from that origin over TLS;
 * `proved`: the signer has checked the whole blob against its digest. Whoever merely relays vouches for nothing.
 */
export type Witness = { readonly kind: 'fetched'; readonly origin: string } | { readonly kind: 'proved' }

export function isSameWitness(one: Witness, other: Witness): boolean {
  return originOf(one) === originOf(other)
}

/** Empty where the whole blob was checked. */
function originOf(witness: Witness): string {
  return witness.kind === 'fetched' ? witness.origin : ''
}

/** A chunk's signed hash. It travels with the chunk, unchanged, however often the chunk is relayed. */
export interface Entry {
  readonly index: number
  /** SHA-256 of the chunk in lower-case hex (a symbol in the simulator's bench). */
  readonly hash: string
  readonly witness: Witness
  readonly signer: PeerId
  /** Over `entryPayload(digest, size, entry)`. */
  readonly signature: Uint8Array
}

const encoder = new TextEncoder()

/**
 * The bytes that an entry's signature covers. Every field is fixed in length or ends in a newline that the grammar of
 * that field excludes, so two different entries never have the same payload.
 */
export function entryPayload(
  digest: Digest,
  size: number,
  entry: Pick<Entry, 'index' | 'hash' | 'witness'>,
): Uint8Array {
  const { hash, index, witness } = entry
  return encoder.encode(`shoal entry 1\n${digest}\n${size}\n${index}\n${hash}\n${witness.kind}\n${originOf(witness)}\n`)
}
