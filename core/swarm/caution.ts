/**
 * What a lie teaches others, short of a ban (bans.ts), which takes evidence of one's own. Who was lied to says so to every member:
 *
 *     found out here ─▶ told to all (core/members/cautioner.ts) ─▶ noted there (hearsay.ts) ─▶ that word is not enough alone
 *
 * A chunk for which nobody else vouches then waits, at one witness as at two, for another's word or for the proof (witnesses.ts). So a
 * false caution makes bytes late, and costs nothing else. What this node has found out itself counts here as well.
 */
import type { Caution } from '../members/messages.ts'
import type { PeerId } from '../ports.ts'
import { addressOf, isBanned } from './hosts.ts'
import type { SwarmEvent } from './events.ts'
import type { Dated } from './lessons.ts'
import type { SwarmState } from './state.ts'

export interface DatedCaution extends Dated {
  readonly caution: Caution
}

/** Of which origins' content a peer ID or an address is cautioned; undefined among them: of any. */
type Origins = ReadonlySet<string | undefined>

export interface Wariness {
  readonly names: ReadonlyMap<string, Origins>
  readonly gatheredMs: number
}

/** Nothing is gathered. */
export const unwary: Wariness = { names: new Map(), gatheredMs: Number.NEGATIVE_INFINITY }

/** What `signer` signed is wrong, as this node has found: provably, or as what `origin` has. Others should know. */
export function cautionOthers(state: SwarmState, signer: PeerId, origin?: string): void {
  const address = whereaboutsOf(state, signer)
  const name = address ?? signer
  const before = currentCautions(state).find(({ caution }) => (caution.address ?? caution.peer) === name)
  const caution = before === undefined ? cautionAgainst(signer, address, origin) : widened(before.caution, origin)
  const renewed = { caution, untilMs: state.clock.now() + state.limits.banMs }
  state.cautions.set(name, renewed)
  state.wariness = unwary
  if (caution !== before?.caution || isNewTerm(state, before, renewed)) state.emit({ type: 'caution' })
}

/** Renewed, it is told again once in half a ban: others heed it for half a ban at least after the last lie, and no liar has all called all the time. */
function isNewTerm({ limits }: SwarmState, before: Dated, renewed: Dated): boolean {
  const termOf = ({ untilMs }: Dated): number => Math.floor(untilMs / (limits.banMs / 2))
  return termOf(before) !== termOf(renewed)
}

function cautionAgainst(peer: PeerId, address: string | undefined, origin: string | undefined): Caution {
  return { peer, ...(address === undefined ? {} : { address }), ...(origin === undefined ? {} : { origin }) }
}

/** Two origins, or proof: it is not an origin that is to blame. */
function widened(caution: Caution, origin: string | undefined): Caution {
  if (caution.origin === undefined || caution.origin === origin) return caution
  return cautionAgainst(caution.peer, caution.address, undefined)
}

/** Of whom this node cautions others now. */
export function ownCautions(state: SwarmState): Caution[] {
  return currentCautions(state).map(({ caution }) => caution)
}

function currentCautions({ cautions, clock }: SwarmState): DatedCaution[] {
  const own = [...cautions].map(([, dated]) => dated)
  return own.filter(({ untilMs }) => untilMs > clock.now())
}

/** Others caution this node. */
export function heedCautions(
  state: SwarmState,
  { address, by, cautions }: Extract<SwarmEvent, { type: 'cautioned' }>,
): void {
  state.hearsay.note(by, address, cautions)
  state.wariness = unwary
}

/** Is this signer's word about what `origin` has too little without another's? */
export function isCautionedOf(state: SwarmState, origin: string | undefined, signer: PeerId): boolean {
  if (state.witnesses > 1) return false
  const names = waryOf(state)
  if (names.size === 0) return false
  const address = whereaboutsOf(state, signer)
  // Who is nowhere may be any of them, under another ID.
  if (address === undefined) return true
  return isAbout(names.get(signer), origin) || isAbout(names.get(address), origin)
}

function isAbout(origins: Origins | undefined, origin: string | undefined): boolean {
  return origins !== undefined && (origins.has(undefined) || origins.has(origin))
}

/** Gathered once a tick, since it is asked of every chunk and neighbour. */
function waryOf(state: SwarmState): Wariness['names'] {
  const nowMs = state.clock.now()
  const { hearsay, wariness } = state
  if (nowMs - wariness.gatheredMs < state.limits.tickMs) return wariness.names
  const names = namesIn([...ownCautions(state), ...hearsay.said((by) => isBanned(state, by))])
  state.wariness = { names, gatheredMs: nowMs }
  return names
}

function namesIn(cautions: readonly Caution[]): Wariness['names'] {
  const names = new Map<string, Set<string | undefined>>()
  for (const { address, origin, peer } of cautions)
    for (const name of [peer, address])
      if (name !== undefined) names.set(name, (names.get(name) ?? new Set()).add(origin))
  return names
}

/** Where it is connected from, or else where it says itself that it listens: enough to doubt a word, not to count one by. */
function whereaboutsOf(state: SwarmState, id: PeerId): string | undefined {
  return addressOf(state, id) ?? state.addressOfMember(id)
}
