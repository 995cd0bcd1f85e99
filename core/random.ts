/**
 * The chance that core is given: xoshiro128** (Blackman and Vigna, "Scrambled linear pseudorandom number generators"),
 * seeded by the SHA-256 of a text. Fast and repeatable; never for secrets.
 */
import { createHash } from 'node:crypto'
import type { Random } from './ports.ts'

/** The same seed gives the same draws; each fork depends on the seed and its name only, not on draws made before. */
export function createRandom(seed: string): Random {
  const next = xoshiro128(seed)
  return {
    below: (limit) => below(next, limit),
    fork: (name) => createRandom(`${seed}/${name}`),
  }
}

function xoshiro128(seed: string): () => number {
  const hash = createHash('sha256').update(seed).digest()
  let a = hash.readUInt32LE(0)
  let b = hash.readUInt32LE(4)
  let c = hash.readUInt32LE(8)
  let d = hash.readUInt32LE(12)
  return () => {
    const result = Math.imul(rotateLeft(Math.imul(b, 5), 7), 9) >>> 0
    const shifted = b << 9
    c ^= a
    d ^= b
    b ^= c
    a ^= d
    c ^= shifted
    d = rotateLeft(d, 11)
    return result
  }
}

function rotateLeft(word: number, bits: number): number {
  return (word << bits) | (word >>> (32 - bits))
}

/** 53 bits scaled down: the bias for any limit below 2^32 is under 2^-21. */
function below(next: () => number, limit: number): number {
  if (!Number.isSafeInteger(limit) || limit < 1) throw new RangeError(`a limit must be a positive integer: ${limit}`)
  const fraction = ((next() >>> 5) * 2 ** 26 + (next() >>> 6)) / 2 ** 53
  return Math.floor(fraction * limit)
}
