/**
 * Of whom other members caution this one. One that lies could caution of everybody: so what counts is the address that it calls
 * from, and of each address the first few cautions, each for `limits.banMs` after it was last said.
 */
import { createBoundedMap } from '../bounded-map.ts'
import { limits } from '../limits.ts'
import type { Caution } from '../members/messages.ts'
import type { Clock, PeerId } from '../ports.ts'

export interface Hearsay {
  /** `by`, which calls from `address`, cautions of these. */
  note(by: PeerId, address: string, cautions: readonly Caution[]): void
  /** All that is said now, but at addresses where `isOut` knows somebody. */
  said(isOut: (by: PeerId) => boolean): Caution[]
}

/** What one address said of another member. */
interface Place {
  caution: Caution
  by: PeerId
  untilMs: number
}

export function createHearsay(clock: Clock): Hearsay {
  const addresses = createBoundedMap<string, Place[]>(limits.cautionersMax)
  const isCurrent = ({ untilMs }: Place): boolean => untilMs > clock.now()

  return {
    note(by, address, cautions) {
      const places = (addresses.get(address) ?? []).filter(isCurrent)
      const untilMs = clock.now() + limits.banMs
      for (const caution of cautions) {
        const place = places.find((one) => isOfSame(one.caution, caution))
        if (place !== undefined) Object.assign(place, { by, caution, untilMs })
        else if (places.length < limits.cautionsPerAddress) places.push({ by, caution, untilMs })
      }
      addresses.set(address, places)
    },
    said(isOut) {
      const heard = [...addresses].map(([, places]) => places.filter(isCurrent))
      return heard.filter((places) => !places.some(({ by }) => isOut(by))).flatMap(cautionsOf)
    },
  }
}

function cautionsOf(places: readonly Place[]): Caution[] {
  return places.map(({ caution }) => caution)
}

function isOfSame(one: Caution, other: Caution): boolean {
  return one.peer === other.peer && one.address === other.address
}
