/** The list of members where it is given and not learned: one for all nodes, since 10,000 lists of 10,000 are too much. */
import { createOwners, type Owners } from '../../core/directory/owners.ts'
import { limits } from '../../core/limits.ts'
import type { PeerId } from '../../core/ports.ts'
import type { Engine } from './engine.ts'

export type GivenOwners = Owners

export function nameOf(number: number): PeerId {
  return `n${number}`
}

/** All nodes are listed from the beginning. A host that succeeds one that was removed listens first, whichever it is. */
export function createGivenOwners({ clock }: Engine, nodes: number): GivenOwners {
  const owners = createOwners({ self: '', clock })
  for (let number = 0; number < nodes; number++) owners.add(nameOf(number))
  let removedMs = Number.NEGATIVE_INFINITY
  return {
    ...owners,
    remove(peer) {
      removedMs = clock.now()
      owners.remove(peer)
    },
    learningMs: () => Math.max(0, removedMs + limits.directoryLearnMs - clock.now()),
  }
}
