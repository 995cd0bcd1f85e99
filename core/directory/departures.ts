/** What leaves with a member that departs: what it holds and nobody does who stays. */
import { bitfieldOf, fullBitfield, isEmpty } from '../swarm/bitfield.ts'
import type { Departure } from './messages.ts'
import type { Announcer, Table } from './table.ts'

/** `own` is the table of the leaver's area, `all` those of all areas: what is across a border is not lost. */
export function departureOf(all: Iterable<Table>, own: Table, leaver: Announcer): Departure {
  const isWanted = isWantedByStayers(own)
  const sole = leaver.complete ? fullBitfield(own.chunks) : leaver.bits.slice()
  for (const { announcers, size } of all) {
    if (size !== own.size) continue
    for (const other of announcers.values()) if (!other.departs) remove(sole, other, own.chunks)
  }
  return isEmpty(sole) ? { isWanted } : { sole, isWanted }
}

/** Somebody who stays wants the blob. */
export function isWantedByStayers({ announcers }: Table): boolean {
  for (const { departs, wants } of announcers.values()) if (wants && !departs) return true
  return false
}

function remove(sole: Uint8Array, { bits, complete }: Announcer, chunks: number): void {
  if (complete) sole.set(bitfieldOf(chunks))
  for (const [at, held] of bits.entries()) sole[at]! &= ~held
}
