import type { Random } from '../../core/ports.ts'
import { createRandom } from '../../core/random.ts'

/** Repeatable chance for tests and the simulator: one seed makes the whole world. */
export function seededRandom(seed: number | string): Random {
  return createRandom(`seed ${seed}`)
}
