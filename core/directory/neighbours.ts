/** Which announcers a leech hears of: those that its pair with them ranks highest, so that both sides choose alike. */
import { limits } from '../limits.ts'
import { nearness } from '../members/places.ts'
import type { PeerHint } from './messages.ts'
import { insertRanked, scoreOf } from './rendezvous.ts'
import type { Scored } from './rendezvous.ts'
import type { Announcer, Table } from './table.ts'

/** Below this share of the chunks a leech has next to nothing to trade, and hears of holders first. */
const poorShare = 1 / 16

/** At most `limits.neighboursNamed` neighbours, behind `limits.usefulHolders` holders where the announcer has little. */
export function neighboursOf(table: Table, announcer: Announcer): PeerHint[] {
  const poor = announcer.held < table.chunks * poorShare
  const near: Scored<Announcer>[] = []
  const anywhere: Scored<Announcer>[] = []
  const holders: Scored<Announcer>[] = []
  for (const other of table.announcers.values()) {
    if (other === announcer || (!other.wants && other.held === 0) || announcer.bans.includes(other.peer)) continue
    const scored = { item: other, score: scoreOf(announcer.mark, other.mark), name: other.peer }
    insertRanked(anywhere, limits.neighboursNamed, scored)
    insertRanked(
      near,
      limits.neighboursNamed * limits.nearShare,
      nearer(scored, nearness(announcer.place, other.place)),
    )
    if (poor && other.held > announcer.held) insertRanked(holders, limits.usefulHolders, scored)
  }
  const neighbours = unique([...near, ...anywhere]).slice(0, limits.neighboursNamed)
  return [...new Set([...unique(holders), ...neighbours])].map(hintOf)
}

/** Nearness comes before the pair's score, which has 32 bits. */
function nearer(scored: Scored<Announcer>, byNearness: number): Scored<Announcer> {
  return byNearness === 0 ? scored : { ...scored, score: scored.score + byNearness * 2 ** 32 }
}

function unique(scored: readonly Scored<Announcer>[]): Announcer[] {
  return [...new Set(scored.map(({ item }) => item))]
}

export function hintOf({ peer, addresses, complete }: Announcer): PeerHint {
  return { peer, addresses, complete }
}
