/** Chunks that neighbours have in vain for this node: on a word that it does not take, or they do not hand them on. */
import { lose } from './neighbours.ts'
import { connectMore } from './peers.ts'
import { tellDirectory } from './session.ts'
import type { Neighbour, Peer, SwarmState, Transfer } from './state.ts'

/** Others may have it, in a form that is of use: they are looked for beside the neighbours. */
export function refuse(state: SwarmState, neighbour: Neighbour, index: number): void {
  const { peer, session } = neighbour
  const { refused } = session
  lose(neighbour, index)
  const isFirst = refused.size === 0
  const refusal = refused.get(index) ?? { sinceMs: state.clock.now(), holders: new Set() }
  refused.set(index, refusal)
  refusal.holders.add(peer.id)
  if (!isFirst) return
  connectMore(state, session)
  tellDirectory(state, session, true)
}

/** Until a chunk has come of it, what it holds of any blob is nowhere. */
export function withholds(state: SwarmState, { id, neighbours }: Peer): void {
  if (state.withholders.has(id)) return
  state.withholders.add(id)
  for (const { session } of neighbours.values()) if (session.readers.size > 0) tellDirectory(state, session, true)
}

/** A chunk has come of it after all. */
export function handsOn({ withholders }: SwarmState, { peer, session }: Transfer): void {
  withholders.delete(peer.id)
  const neighbour = session.neighbours.get(peer.id)
  if (neighbour !== undefined) neighbour.denies = false
}
