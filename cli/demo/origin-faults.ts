/** What can go wrong at an origin, on demand. */
import type { Digest } from '../../core/oci/digest.ts'

export interface Fault {
  /** Default: any blob. */
  readonly digest?: Digest
  /** The offset in the blob at which it happens; a response that does not reach it is spared. */
  readonly atByte: number
  /** `stall`: sends nothing more; `end`: FIN, too early; `reset`: RST; `corrupt`: that byte is flipped. */
  readonly kind: 'stall' | 'end' | 'reset' | 'corrupt'
  /** How many responses it hits before it is over. Default: every one. */
  readonly times?: number
}

export interface Faults {
  add(fault: Fault): void
  clear(): void
  /** The fault that a response with bytes `[start, end)` of `digest` runs into first; counted as a hit. */
  take(digest: Digest, start: number, end: number): Fault | undefined
}

export function createFaults(): Faults {
  const pending = new Map<Fault, number>()
  return {
    add: (fault) => pending.set(fault, fault.times ?? Number.POSITIVE_INFINITY),
    clear: () => pending.clear(),
    take(digest, start, end) {
      const [hit] = [...pending.keys()]
        .filter((fault) => (fault.digest ?? digest) === digest && start <= fault.atByte && fault.atByte < end)
        .toSorted((a, b) => a.atByte - b.atByte)
      if (hit === undefined) return undefined
      const left = (pending.get(hit) ?? 0) - 1
      if (left > 0) pending.set(hit, left)
      else pending.delete(hit)
      return hit
    },
  }
}
