/** Fields that several messages have: digests, peers and entries, each in its raw form. */
import { limits } from '../limits.ts'
import { digestFromHex, digestHex, type Digest } from '../oci/digest.ts'
import type { PeerId } from '../ports.ts'
import type { Entry, Witness } from '../swarm/entry.ts'
import { malformed, varint, type Reader } from './bytes.ts'
import { peerIdOf, publicKeyOf, publicKeySizeBytes } from './peer-id.ts'

export const hashSizeBytes = 32
const signatureSizeBytes = 64
const provedWitness = 0
const fetchedWitness = 1
/** An origin is a host with an optional port: printable, no spaces; `entryPayload` relies on it having no newline. */
const originGrammar = /^[\x21-\x7e]+$/

export function hashBytes(hex: string): Uint8Array {
  const bytes = Buffer.from(hex, 'hex')
  if (bytes.length !== hashSizeBytes || hex.length !== 2 * hashSizeBytes) throw new RangeError('not a SHA-256 in hex')
  return bytes
}

export function readHash(reader: Reader): string {
  return Buffer.from(reader.take(hashSizeBytes)).toString('hex')
}

export function digestBytes(digest: Digest): Uint8Array {
  return hashBytes(digestHex(digest))
}

export function readDigest(reader: Reader): Digest {
  return digestFromHex(readHash(reader))
}

export function peerBytes(peer: PeerId): Uint8Array {
  const key = publicKeyOf(peer)
  if (key === undefined) throw new RangeError(`not an Ed25519 peer ID: ${peer.slice(0, 80)}`)
  return key
}

export function readPeer(reader: Reader): PeerId {
  return peerIdOf(reader.take(publicKeySizeBytes))
}

function witnessParts(witness: Witness): Uint8Array[] {
  if (witness.kind === 'proved') return [Uint8Array.of(provedWitness)]
  const origin = Buffer.from(witness.origin)
  if (origin.length > limits.originMaxLength || !originGrammar.test(witness.origin)) {
    throw new RangeError('an origin of a wrong form')
  }
  return [Uint8Array.of(fetchedWitness), varint(origin.length), origin]
}

function readWitness(reader: Reader): Witness {
  const kind = reader.byte()
  if (kind === provedWitness) return { kind: 'proved' }
  if (kind !== fetchedWitness) throw malformed('an unknown kind of witness')
  const origin = Buffer.from(reader.take(reader.varint(limits.originMaxLength))).toString('latin1')
  if (!originGrammar.test(origin)) throw malformed('an origin of a wrong form')
  return { kind: 'fetched', origin }
}

export function entryParts(entry: Entry): Uint8Array[] {
  if (entry.signature.length !== signatureSizeBytes) throw new RangeError('a signature of a wrong length')
  return [
    varint(entry.index),
    hashBytes(entry.hash),
    ...witnessParts(entry.witness),
    peerBytes(entry.signer),
    entry.signature,
  ]
}

export function readEntry(reader: Reader): Entry {
  return {
    index: reader.varint(limits.chunksPerBlobMax - 1),
    hash: readHash(reader),
    witness: readWitness(reader),
    signer: readPeer(reader),
    signature: reader.copy(signatureSizeBytes),
  }
}
