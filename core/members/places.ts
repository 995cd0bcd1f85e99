/** Where members are: how near to each other, and on which side of a border. */
import type { PeerId } from '../ports.ts'
import type { MemberRecord } from './messages.ts'

export const borders = ['none', 'zone', 'region'] as const
/** What chunks cross under a lease only: nothing, the borders between zones, or those between regions. */
export type Border = (typeof borders)[number]

export type Place = Pick<MemberRecord, 'zone' | 'region'>

export interface Places {
  placeOf(peer: PeerId): Place | undefined
  /** On which side of the border a peer is; all are in '' where there is none. Undefined: it is no member that is known here. */
  areaOf(peer: PeerId): string | undefined
}

/** Everybody is equally near. */
export const nowhere: Places = { placeOf: () => undefined, areaOf: () => '' }

export function createPlaces(border: Border, placeOf: Places['placeOf']): Places {
  if (border === 'none') return { placeOf, areaOf: () => '' }
  return {
    placeOf,
    areaOf(peer) {
      const place = placeOf(peer)
      if (place === undefined) return undefined
      // Zones of two regions may have the same name.
      return JSON.stringify(border === 'zone' ? [place.region, place.zone] : [place.region])
    },
  }
}

/** 2: in one zone; 1: in one region; 0: farther, or unknown. */
export function nearness(one: Place | undefined, other: Place | undefined): number {
  if (one === undefined || other === undefined || one.region !== other.region) return 0
  return one.zone !== undefined && one.zone === other.zone ? 2 : 1
}
