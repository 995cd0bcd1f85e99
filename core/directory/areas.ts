/**
 * A border parts the members into areas, each a swarm of its own: a digest has a table in each, which names neighbours and
 * grants leases there. One host keeps them all, so it can send who may fetch a chunk to the origin if no area has it, and
 * across the border if one does: the origin sends each chunk about once, and each chunk crosses into each area about once.
 */
import type { Digest } from '../oci/digest.ts'
import { bytesOf, holds, isFetched, isHeld, type Announcer, type Table } from './table.ts'

export interface Tables {
  readonly size: number
  /** What all of them take, as large as each was when last touched or measured. */
  readonly bytes: number
  get(digest: Digest, area: string): Table | undefined
  /** Those of the digest in all areas. */
  of(digest: Digest): Iterable<Table>
  /** Keeps it, as the one that was used last. */
  touch(table: Table): void
  /** One that is kept takes more or less than it did. */
  measure(table: Table): void
  delete(table: Table): void
  /** The longest unused first. */
  values(): Iterable<Table>
  /** Undefined: there is none. */
  largest(): Table | undefined
}

export function createTables(): Tables {
  /** With what each takes. */
  const byUse = new Map<Table, number>()
  const byDigest = new Map<Digest, Map<string, Table>>()
  let bytes = 0

  function drop(table: Table): void {
    bytes -= byUse.get(table) ?? 0
    byUse.delete(table)
  }

  function measure(table: Table): void {
    const size = bytesOf(table)
    bytes += size - (byUse.get(table) ?? 0)
    byUse.set(table, size)
  }

  return {
    get size() {
      return byUse.size
    },
    get bytes() {
      return bytes
    },
    get: (digest, area) => byDigest.get(digest)?.get(area),
    of: (digest) => byDigest.get(digest)?.values() ?? [],
    touch(table) {
      const areas = byDigest.get(table.digest) ?? new Map<string, Table>()
      byDigest.set(table.digest, areas.set(table.area, table))
      drop(table)
      measure(table)
    },
    measure,
    delete(table) {
      drop(table)
      const areas = byDigest.get(table.digest)
      areas?.delete(table.area)
      if (areas?.size === 0) byDigest.delete(table.digest)
    },
    values: () => byUse.keys(),
    largest() {
      let largest: Table | undefined
      let most = -1
      for (const [table, size] of byUse) {
        if (size > most) largest = table
        most = Math.max(most, size)
      }
      return largest
    },
  }
}

/** What the areas on the other side of the border have, as far as it is of use to who asks. */
export interface Elsewhere {
  isHeld(index: number): boolean
  /** Is somebody fetching the chunk there? */
  isFetched(index: number): boolean
  /** Who has it there, and was named least often. */
  sourceOf(index: number): Announcer | undefined
}

/** Undefined where no other area knows the digest. */
export function elsewhereOf(tables: Tables, { area, digest, size }: Table, asker: Announcer): Elsewhere | undefined {
  const others = [...tables.of(digest)].filter((other) => other.area !== area && other.size === size)
  if (others.length === 0) return undefined
  return {
    isHeld: (index) => others.some((table) => isHeld(table, asker, index)),
    isFetched: (index) => others.some((table) => isFetched(table, asker, index)),
    sourceOf: (index) =>
      leastLent(
        others.filter((table) => isHeld(table, asker, index)),
        asker,
        index,
      ),
  }
}

function leastLent(tables: readonly Table[], { bans }: Announcer, index: number): Announcer | undefined {
  let least: Announcer | undefined
  for (const { announcers } of tables)
    for (const announcer of announcers.values())
      if (holds(announcer, index) && !bans.includes(announcer.peer) && announcer.lent < (least?.lent ?? Infinity))
        least = announcer
  return least
}
