/**
 * Tells every member of whom this agent cautions others (core/swarm/caution.ts), one after the other:
 *
 *     found out ─▶ queue ─▶ called ─▶ told
 *                    ▲         └────▶ no answer: after a while ─▶ again, as long as it is a member
 *                    └─── a member came
 *
 * A caution counts by the address that it comes from (core/swarm/hearsay.ts), so nobody passes one on: what was passed on would
 * count for whoever did, and one liar would speak for all.
 */
import { limits } from '../limits.ts'
import type { Clock, PeerId, Random } from '../ports.ts'

export interface CautionerComponents {
  readonly clock: Clock
  readonly random: Random
  readonly self: PeerId
  /** Is there anybody to caution of? */
  hasCautions(): boolean
  /** The live members, this agent among them. */
  members(): readonly PeerId[]
  /** Tell it now; then `told`. */
  tell(member: PeerId): void
}

export interface Cautioner {
  /** All members are to hear what has changed. */
  caution(): void
  /** The member is there, perhaps as a new process that has heard nothing yet. */
  memberCame(member: PeerId): void
  /** The call to the member has ended. */
  told(member: PeerId, isAnswered: boolean): void
  /** Call it at `nextMs()`, or every few milliseconds. */
  tick(): void
  /** When there will be something to do, on the clock; Infinity: nothing. */
  nextMs(): number
}

export function createCautioner(components: CautionerComponents): Cautioner {
  const { clock, random, self } = components
  const queue = new Set<PeerId>()
  /** Those to be queued when nobody else is. */
  const later = new Set<PeerId>()
  let nextMs = Number.POSITIVE_INFINITY

  function tellLater(member: PeerId, withinMs: number): void {
    later.add(member)
    nextMs = Math.min(nextMs, clock.now() + withinMs)
  }

  function tick(): void {
    if (clock.now() < nextMs) return
    if (queue.size === 0) refill()
    if (!components.hasCautions()) queue.clear()
    const [member] = queue
    if (member !== undefined) queue.delete(member)
    nextMs = clock.now() + (queue.size > 0 ? limits.cautionGapMs : limits.cautionAgainMs)
    if (queue.size + later.size === 0) nextMs = Number.POSITIVE_INFINITY
    if (member !== undefined) components.tell(member)
  }

  /** With those of them who are members still. */
  function refill(): void {
    const live = new Set(components.members())
    for (const member of later) if (live.has(member)) queue.add(member)
    later.clear()
  }

  return {
    caution() {
      // From one drawn at random on: many may find the same liar out at the same time.
      const members = components.members().filter((member) => member !== self)
      const first = random.below(Math.max(1, members.length))
      for (const member of [...members.slice(first), ...members.slice(0, first)]) queue.add(member)
      if (queue.size > 0) nextMs = Math.min(nextMs, clock.now())
    },
    memberCame(member) {
      if (components.hasCautions()) tellLater(member, random.below(cautionedWithinMs(components.members().length)))
    },
    told(member, isAnswered) {
      if (!isAnswered) tellLater(member, limits.cautionAgainMs)
    },
    tick,
    nextMs: () => nextMs,
  }
}

/** So long it takes until so many members have been called. */
export function cautionedWithinMs(membersCount: number): number {
  return Math.ceil(membersCount * limits.cautionGapMs)
}
