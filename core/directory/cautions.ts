/**
 * Of whom members caution others, over all digests of a host. One that lies could caution of everybody: so what counts is the
 * address that it calls from, and of each address few cautions within `limits.banMs`. Those withdrawn meanwhile are named no more, and
 * keep their places.
 */
import { createBoundedMap } from '../bounded-map.ts'
import { limits } from '../limits.ts'
import type { Clock, PeerId } from '../ports.ts'
import type { Caution } from './messages.ts'

export interface Cautions {
  /** All that `by`, which calls from `address`, cautions of now. */
  note(by: PeerId, address: string, cautions: readonly Caution[]): void
  /** The member is gone, and what it said with it. */
  withdraw(by: PeerId): void
  /** What to tell who has banned these: nothing of what comes from their addresses. */
  namedTo(bans: readonly PeerId[]): Caution[]
}

/** What one address said of another member. */
interface Place {
  caution: Caution
  by: PeerId
  readonly untilMs: number
  isWithdrawn: boolean
}

export function createCautions(clock: Clock): Cautions {
  const addresses = createBoundedMap<string, Place[]>(limits.cautionersMax)

  function placesOf(address: string): Place[] {
    const known = addresses.get(address) ?? []
    return known.filter(({ untilMs }) => untilMs > clock.now())
  }

  function note(by: PeerId, address: string, cautions: readonly Caution[]): void {
    const places = placesOf(address)
    if (places.length === 0 && cautions.length === 0) return addresses.delete(address)
    withdrawFrom(places, by)
    for (const caution of cautions) {
      const place = places.find((one) => isOfSame(one.caution, caution))
      if (place !== undefined) Object.assign(place, { by, caution, isWithdrawn: false })
      else if (places.length < limits.cautionsPerAddress)
        places.push({ by, caution, isWithdrawn: false, untilMs: clock.now() + limits.banMs })
    }
    addresses.set(address, places)
  }

  /** The first of each address, then the second: many of one leave room for those of others. */
  function namedTo(bans: readonly PeerId[]): Caution[] {
    const heard = [...addresses]
      .map(([address]) => placesOf(address))
      .filter((places) => !places.some(({ by }) => bans.includes(by)))
      .map((places) => places.filter(({ isWithdrawn }) => !isWithdrawn))
    const named: Caution[] = []
    for (let rank = 0; rank < limits.cautionsPerAddress; rank++)
      for (const { [rank]: place } of heard)
        if (place !== undefined && named.length < limits.cautionsNamedMax) addOnce(named, place.caution)
    return named
  }

  return {
    note,
    withdraw(by) {
      for (const [, places] of addresses) withdrawFrom(places, by)
    },
    namedTo,
  }
}

function withdrawFrom(places: readonly Place[], by: PeerId): void {
  for (const place of places) if (place.by === by) place.isWithdrawn = true
}

function isOfSame(one: Caution, other: Caution): boolean {
  return one.peer === other.peer && one.address === other.address
}

function addOnce(named: Caution[], caution: Caution): void {
  if (!named.some((one) => isOfSame(one, caution) && one.origin === caution.origin)) named.push(caution)
}
