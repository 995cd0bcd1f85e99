/** The list of members where it is given and not learned: one for all nodes, since 10,000 lists of 10,000 are too much. */
import { createOwners, type Owners } from '../../core/directory/owners.ts'
import { insertRanked, markOf, scoreOf, type Scored } from '../../core/directory/rendezvous.ts'
import { limits } from '../../core/limits.ts'
import type { PeerId } from '../../core/ports.ts'
import type { Engine } from './engine.ts'

export interface GivenOwners extends Owners {
  /** The members that rank highest as neighbours of `peer`, best first. */
  nearest(peer: PeerId, count: number): PeerId[]
}

export function nameOf(number: number): PeerId {
  return `n${number}`
}

/** All nodes are listed from the beginning. A host that succeeds one that was removed listens first, whichever it is. */
export function createGivenOwners({ clock }: Engine, nodes: number): GivenOwners {
  const owners = createOwners({ self: '', clock })
  const marks = new Map(Array.from({ length: nodes }, (_, number) => [nameOf(number), markOf(nameOf(number))]))
  for (const peer of marks.keys()) owners.add(peer)
  let removedMs = Number.NEGATIVE_INFINITY
  return {
    ...owners,
    nearest(peer, count) {
      const own = marks.get(peer) ?? markOf(peer)
      const best: Scored<PeerId>[] = []
      for (const [name, mark] of marks) if (name !== peer) insertRanked(best, count, name, scoreOf(own, mark), name)
      return best.map(({ item }) => item)
    },
    remove(peer) {
      marks.delete(peer)
      removedMs = clock.now()
      owners.remove(peer)
    },
    learningMs: () => Math.max(0, removedMs + limits.directoryLearnMs - clock.now()),
    catchingUpMs: () => 0,
  }
}
