import { randomBytes } from 'node:crypto'
import type { Random } from '../../core/ports.ts'
import { createRandom } from '../../core/random.ts'

/** Chance that no other process shares: seeded by the operating system, then as fast as arithmetic. Never for secrets. */
export function systemRandom(): Random {
  return createRandom(randomBytes(32).toString('hex'))
}
