/**
 * What this member knows of whether another lives. Any word from it is a sign of life. Time in which none comes though it was
 * called is weak evidence, which takes a second member's to count; a machine that refuses for it is strong evidence.
 *
 *   called      silence: others are asked to look      with a witness: passed over        with a witness: dead
 *     │──────────────────────▶│────────────────────────────────▶│─────────────────────────────▶│
 *                    memberSilentMs                                                      memberDeadMs
 */
import { limits } from '../limits.ts'
import type { PeerId } from '../ports.ts'

export interface Contact {
  /** The last sign of life. */
  heardMs: number
  /** When it was first called since; undefined: all calls were answered. */
  calledMs: number | undefined
  /** When to look next what has become of that. */
  lookMs: number
  /** It has been silent for so long that others were asked to look. */
  suspected: boolean
  /** It has been reported silent. */
  silent: boolean
  /** How often its machine has refused a call since the last sign of life. */
  refusals: number
  /** Somebody has found it dead. */
  toldDead: boolean
  /** Who hears nothing of it either, and when they said so. */
  readonly witnesses: Map<PeerId, number>
  /** Who asked this member to look, and does not know yet what it found. */
  readonly askers: Set<PeerId>
  /** Who was told that this member hears nothing of it, and when: that may not have arrived. */
  readonly told: Map<PeerId, number>
  /** When it last proved wrong who took it for dead or silent. */
  wrongedMs: number
}

export function createContact(): Contact {
  return {
    heardMs: Number.NEGATIVE_INFINITY,
    calledMs: undefined,
    lookMs: Number.POSITIVE_INFINITY,
    suspected: false,
    silent: false,
    refusals: 0,
    toldDead: false,
    witnesses: new Map(),
    askers: new Set(),
    told: new Map(),
    wrongedMs: Number.NEGATIVE_INFINITY,
  }
}

/** It lives, as it shows itself or as another has seen: whatever was held against it is void. */
export function acquit(contact: Contact, nowMs: number): void {
  if (contact.suspected || contact.witnesses.size > 0) contact.wrongedMs = nowMs
  contact.calledMs = undefined
  contact.lookMs = Number.POSITIVE_INFINITY
  contact.suspected = false
  contact.silent = false
  contact.refusals = 0
  contact.toldDead = false
  // With every frame that comes; to clear what is empty costs as much as all else here.
  if (contact.witnesses.size > 0) contact.witnesses.clear()
  if (contact.told.size > 0) contact.told.clear()
}

export interface Circumstances {
  readonly nowMs: number
  /** Until then this member itself was held up or cut off, and what it did not hear counts for nothing. */
  readonly deafUntilMs: number
  /** Times as long as usual (health.ts). */
  readonly patience: number
  /** Live members other than the two. */
  readonly others: number
}

export function silenceMs({ calledMs }: Contact, { nowMs, deafUntilMs }: Circumstances): number {
  return calledMs === undefined ? 0 : nowMs - Math.max(calledMs, deafUntilMs)
}

/** How many others must have found the same; more after a false alarm. */
export function witnessesNeeded(contact: Contact, { nowMs, others, patience }: Circumstances): number {
  return Math.min(others, 1 + (wasWronged(contact, nowMs) ? 1 : 0) + (patience > 1 ? 1 : 0))
}

/** Others took it for gone lately, and were wrong. */
export function wasWronged({ wrongedMs }: Contact, nowMs: number): boolean {
  return nowMs - wrongedMs < limits.falseAlarmMs
}

export type Verdict = 'well' | 'silent' | 'dead'

export function verdictOn(contact: Contact, circumstances: Circumstances): Verdict {
  const { refusals, silent, suspected, toldDead, witnesses } = contact
  if (refusals > 0) return refusals > 1 || toldDead || witnesses.size > 0 ? 'dead' : 'silent'
  const isLong = silenceMs(contact, circumstances) >= limits.memberDeadMs * circumstances.patience
  const isConfirmed = witnesses.size >= witnessesNeeded(contact, circumstances)
  if (isConfirmed && (isLong || (suspected && toldDead))) return 'dead'
  return silent || isLong || (suspected && witnesses.size > 0) ? 'silent' : 'well'
}

/** What was said too long ago counts no more. */
export function forgetWitnesses({ witnesses }: Contact, nowMs: number): void {
  for (const [peer, saidMs] of witnesses) if (nowMs - saidMs > limits.accusationMs) witnesses.delete(peer)
}

/** Who was told that long ago and yet nothing has come of it, is told again. */
export function isTold({ told }: Contact, peer: PeerId, nowMs: number): boolean {
  const toldMs = told.get(peer)
  return toldMs !== undefined && nowMs - toldMs < limits.memberDeadMs
}
