/** Messages of every kind, as fast-check draws them; shared by the tests of the codecs. */
import * as fc from 'fast-check'
import { ShoalError } from '../../../core/errors.ts'
import { limits } from '../../../core/limits.ts'
import { digestFromHex } from '../../../core/oci/digest.ts'
import { chunkCountOf } from '../../../core/swarm/chunks.ts'
import type { Entry, Witness } from '../../../core/swarm/entry.ts'
import type { BulkMessage, PeerMessage } from '../../../core/swarm/messages.ts'
import { peerIdOf } from '../../../core/wire/peer-id.ts'

export const bytesOf = (length: number) => fc.uint8Array({ minLength: length, maxLength: length })

const hash = bytesOf(32).map((bytes) => Buffer.from(bytes).toString('hex'))
const digest = hash.map((hex) => digestFromHex(hex))
const peer = bytesOf(32).map((bytes) => peerIdOf(bytes))
const id = fc.maxSafeNat()
const index = fc.nat({ max: limits.chunksPerBlobMax - 1 })
const offset = fc.nat({ max: limits.chunkSizeMaxBytes - 1 })

const witness: fc.Arbitrary<Witness> = fc.oneof(
  fc.constant<Witness>({ kind: 'proved' }),
  fc.stringMatching(/^[a-z0-9.:-]{1,260}$/).map((origin): Witness => ({ kind: 'fetched', origin })),
)

export const entry: fc.Arbitrary<Entry> = fc.record({ index, hash, witness, signer: peer, signature: bytesOf(64) })

/** A size and a bitfield that fits it; bits beyond the last chunk are clear. */
const sizeAndBits = fc
  .oneof(fc.nat({ max: 64 * 1024 * 1024 }), fc.constant(limits.blobSizeMaxBytes), fc.constant(0))
  .chain((size) => {
    const count = chunkCountOf(size)
    return bytesOf((count + 7) >> 3).map((have) => {
      if (count % 8 !== 0) have[have.length - 1] = (have.at(-1) ?? 0) & ((1 << (count % 8)) - 1)
      return { size, have }
    })
  })

export const peerMessage: fc.Arbitrary<PeerMessage> = fc.oneof(
  fc.tuple(digest, sizeAndBits).map(([of, { size, have }]): PeerMessage => ({ type: 'join', digest: of, size, have })),
  fc.record({ type: fc.constant('have' as const), digest, indices: fc.array(index, { maxLength: 300 }) }),
  fc.record({ type: fc.constant('leave' as const), digest }),
  fc.record({ type: fc.constant('request' as const), id, digest, index, offset }),
  fc.record({ type: fc.constant('cancel' as const), id }),
  fc.record({ type: fc.constant('queued' as const), id, ahead: fc.maxSafeNat() }),
  fc.record({ type: fc.constant('busy' as const), id, try: fc.array(peer, { maxLength: limits.busyHintsMax }) }),
  fc.record({ type: fc.constant('missing' as const), id }),
  fc.record({ type: fc.constant('suggest' as const), id, index }),
  fc.record({ type: fc.constant('doubt' as const), digest, start: index }),
  fc.record({ type: fc.constant('vouch' as const), digest, start: index, hashes: fc.array(hash, { maxLength: 40 }) }),
)

export const bulkMessage: fc.Arbitrary<BulkMessage> = fc.oneof(
  fc.record({ type: fc.constant('chunk' as const), id, offset, entry }),
  fc.record({ type: fc.constant('frame' as const), id, bytes: fc.uint8Array({ minLength: 1, maxLength: 2000 }) }),
)

/** Cuts `bytes` at the given fractions. */
export function cut(bytes: Uint8Array, fractions: readonly number[]): Uint8Array[] {
  const points = fractions.map((fraction) => Math.floor(fraction * bytes.length)).toSorted((a, b) => a - b)
  return [0, ...points].map((start, part) => bytes.subarray(start, points[part] ?? bytes.length))
}

export const fractions = fc.array(fc.double({ min: 0, max: 1, noNaN: true }), { maxLength: 12 })

/** The code of the ShoalError that `action` throws; undefined when it returns; anything else thrown as it is. */
export function faultOf(action: () => unknown): string | undefined {
  try {
    action()
    return undefined
  } catch (error) {
    if (error instanceof ShoalError) return error.code
    throw error
  }
}
