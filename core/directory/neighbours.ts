/** Which announcers a leech hears of: those that its pair with them ranks highest, so that both sides choose alike. */
import { limits } from '../limits.ts'
import type { PeerHint } from './messages.ts'
import { createNeighbourhood } from './neighbourhood.ts'
import { insertRanked, scoreOf } from './rendezvous.ts'
import type { Scored } from './rendezvous.ts'
import type { Announcer, Table } from './table.ts'

/** Below this share of the chunks a leech has next to nothing to trade, and hears of holders first. */
const poorShare = 1 / 16

/**
 * At most `count` neighbours, behind `limits.usefulHolders` that hold more where the announcer has little, or all where what it
 * lacks is of no use as those `connected` have it.
 */
export function neighboursOf(table: Table, announcer: Announcer, count: number, connected: number): PeerHint[] {
  const poor = announcer.held < table.chunks * poorShare
  const isOfUse = (other: Announcer): boolean =>
    poor ? other.held > announcer.held : other.complete && connected >= limits.neighboursAim
  const neighbours = createNeighbourhood<Announcer>(announcer.place, count)
  const holders: Scored<Announcer>[] = []
  for (const other of table.announcers.values()) {
    if (other === announcer || (!other.wants && other.held === 0) || announcer.bans.includes(other.peer)) continue
    const score = scoreOf(announcer.mark, other.mark)
    neighbours.add(other, score, other.peer, other.place)
    if (isOfUse(other)) insertRanked(holders, limits.usefulHolders, other, score, other.peer)
  }
  return [...new Set([...holders.map(({ item }) => item), ...neighbours.best()])].map(hintOf)
}

export function hintOf({ peer, addresses, complete }: Announcer): PeerHint {
  return { peer, addresses, complete }
}
