/**
 * How late announces come of those who want something. Where they all do, the cores of the nodes are busy, or that of this host is,
 * and who is silent lives most likely; but a lease that is granted anew has the origin send the same twice. So leases last longer
 * then, as Lifeguard gives members more time where much is late (Dadgar, Phillips and Currey 2018).
 */
import { limits } from '../limits.ts'

export interface Punctuality {
  /** An announce came `gapMs` after the one before, which was answered with `intervalMs`. */
  heard(gapMs: number, intervalMs: number): void
  /** So long a lease may show nothing. */
  leaseTtlMs(): number
}

export function createPunctuality(): Punctuality {
  let lateMs = 0
  return {
    heard(gapMs, intervalMs) {
      // A call takes time to come, and one that was away for long says nothing of the others.
      const newestMs = Math.min(Math.max(gapMs - intervalMs - limits.announceMs, 0), limits.leaseTtlMs)
      lateMs += (newestMs - lateMs) * limits.latenessWeight
    },
    leaseTtlMs: () => limits.leaseTtlMs + limits.latenessLeeway * lateMs,
  }
}
