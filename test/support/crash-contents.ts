/** What a process of the crash test writes, as its parent knows it too. */
import { MiB } from '../../core/units.ts'
import { type Content, contentFrom } from './content.ts'
import { seededRandom } from './seeded-random.ts'

export interface CrashContent extends Content {
  /** The order in which chunks are written. */
  readonly order: readonly number[]
  /** The blob is thrown away once it is whole, and written again. */
  readonly isDiscarded: boolean
}

export function crashContents(seed: string): CrashContent[] {
  const random = seededRandom(seed)
  return [3.5, 3, 3.2].map((sizeMiB, blob) => {
    const content = contentFrom(`${seed} ${blob}`, sizeMiB * MiB)
    const order = Array.from({ length: content.chunks }, (_, index) => index)
    for (let at = order.length - 1; at > 0; at--) swap(order, at, random.below(at + 1))
    return { ...content, order, isDiscarded: blob === 1 }
  })
}

function swap(list: number[], one: number, other: number): void {
  const kept = list[one] ?? 0
  list[one] = list[other] ?? 0
  list[other] = kept
}
