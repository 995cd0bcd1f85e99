/**
 * Origins that do not answer agents, as these say. One may lie, or be cut off itself: so it takes two, and then fewer ask that
 * origin at a time, and never nobody. What counts as an outage, each node finds out by itself.
 */
import { limits } from '../limits.ts'
import type { Clock, PeerId } from '../ports.ts'

export interface SickOrigins {
  /** It says that the origin answers it, or does not. */
  note(peer: PeerId, origin: string, fails: boolean): void
  isSick(origin: string): boolean
  /** Forgets what was said long ago. */
  tick(): void
}

export function createSickOrigins(clock: Clock): SickOrigins {
  /** By origin: who says so, and until when that counts. */
  const complaints = new Map<string, Map<PeerId, number>>()

  function complain(peer: PeerId, origin: string): void {
    const known = complaints.get(origin)
    if (known === undefined && complaints.size >= limits.limitedOriginsMax) return
    const from = known ?? new Map<PeerId, number>()
    if (from.has(peer) || from.size < limits.sickOriginWitnesses) from.set(peer, clock.now() + limits.sickOriginMs)
    complaints.set(origin, from)
  }

  return {
    note(peer, origin, fails) {
      if (fails) complain(peer, origin)
      else complaints.get(origin)?.delete(peer)
    },
    isSick(origin) {
      const untilMs = [...(complaints.get(origin)?.values() ?? [])]
      return untilMs.filter((until) => clock.now() < until).length >= limits.sickOriginWitnesses
    },
    tick() {
      for (const [origin, from] of complaints) {
        for (const [peer, untilMs] of from) if (untilMs <= clock.now()) from.delete(peer)
        if (from.size === 0) complaints.delete(origin)
      }
    },
  }
}
