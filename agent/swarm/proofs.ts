/** The SHA-256 of each blob, taken while its chunks arrive, so that the proof is there with the last one. */
import { ShoalError } from '../../core/errors.ts'
import { bitfieldOf, setBit } from '../../core/swarm/bitfield.ts'
import { chunkCountOf, chunkSizeOf } from '../../core/swarm/chunks.ts'
import type { BufferPool } from './buffer-pool.ts'
import { hashOf, pruneUnkept, readHeld, type BlobSession } from './sessions.ts'
import { createProver, type Provable, type Prover } from './whole-hash.ts'

export interface Proofs {
  /** A chunk was gained: hash on, as far as chunks are held without a gap. */
  advance(session: BlobSession): void
  /** Resolves when the whole blob is hashed: is it what its digest says? */
  result(session: BlobSession): Promise<boolean>
  /** Chunks were thrown away, or lost: nothing is proved, and what is here is hashed anew. */
  restart(session: BlobSession): void
}

export interface ProofComponents {
  readonly pool: BufferPool
  /** Hears how each proof ended, once. */
  readonly onEnd: (session: BlobSession, ok: boolean) => void
  /** Another chunk came in the place of one that was half hashed: the proof can't end, and what it has let go must come again. */
  readonly onMixed: (session: BlobSession) => void
}

export function createProofs({ pool, onEnd, onMixed }: ProofComponents): Proofs {
  const provers = new WeakMap<BlobSession, Prover>()

  function proverOf(session: BlobSession): Prover {
    const known = provers.get(session)
    if (known !== undefined) return known
    const isCurrent = (): boolean => provers.get(session) === prover
    const prover: Prover = createProver(
      provable(session, isCurrent, () => onMixed(session)),
      pool,
    )
    provers.set(session, prover)
    void settle(session, prover)
    return prover
  }

  async function settle(session: BlobSession, prover: Prover): Promise<void> {
    try {
      const ok = await prover.proved()
      if (provers.get(session) === prover) onEnd(session, ok)
    } catch {
      // Stopped: another prover has taken its place.
    }
  }

  function restart(session: BlobSession): void {
    session.proved = false
    session.provedBytes = 0
    session.genuine.length = 0
    // What comes in the place of a chunk that was signed for may be another.
    session.proofs.clear()
    provers.get(session)?.stop()
    provers.delete(session)
  }

  return {
    advance: (session) => {
      if (!session.proved) proverOf(session).advance()
    },
    result: (session) => (session.proved ? Promise.resolve(true) : proverOf(session).proved()),
    restart,
  }
}

/** The blob as its readers see it: what the disk refused counts as well. */
function provable(session: BlobSession, isCurrent: () => boolean, onMixed: () => void): Provable {
  return {
    digest: session.digest,
    size: session.size,
    get have() {
      return session.unkept.size === 0 ? session.stored.have : withUnkept(session)
    },
    read: async (offset, length, into) => {
      const index = Math.floor(offset / chunkSizeOf(session.size))
      const hash = hashOf(session, index) ?? ''
      const bytes = await readHeld(session, offset, length, into)
      // A read that was under way when the proof began anew is no part of the new one.
      if (bytes === undefined || !isCurrent())
        throw new ShoalError('CHUNK_CORRUPT', `${session.digest} is not held at ${offset}`)
      if ((session.genuine[index] ?? hash) !== hash) {
        onMixed()
        throw new ShoalError('CHUNK_CORRUPT', `chunk ${index} of ${session.digest} was replaced while it was hashed`)
      }
      session.genuine[index] = hash
      session.provedBytes = offset + length
      pruneUnkept(session)
      return bytes
    },
  }
}

function withUnkept(session: BlobSession): Uint8Array {
  const have = bitfieldOf(chunkCountOf(session.size))
  have.set(session.stored.have)
  for (const index of session.unkept.indices()) setBit(have, index)
  return have
}
