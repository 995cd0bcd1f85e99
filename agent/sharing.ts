/**
 * Keeps apart what may be shared with other nodes and what a rule says may not: the latter has parts of its own, which know no
 * peers and no directories but their own, and keep nothing. So nothing of it can be announced, asked for or given away.
 */
import type { DecideByRules } from '../core/rules.ts'
import type { Contents } from './contents.ts'
import type { OriginRepository } from './upstream/origin-client.ts'
import { repositoryAt } from './upstream/origin-name.ts'

export interface SharedOrNot {
  readonly shared: Contents
  readonly unshared: Contents
}

/** The parts of `Contents` that the mirror and the origin client use, by what the rules say of each repository. */
export function createSharing(rules: DecideByRules, contents: () => SharedOrNot) {
  function of({ origin, repository }: OriginRepository): Contents {
    const { shared, unshared } = contents()
    const { action } = rules({ origin, repository: repositoryAt(origin, repository) })
    return action === 'unshared' ? unshared : shared
  }

  return {
    findings: {
      noteHas: (sought) => of(sought).findings.noteHas(sought),
      noteHeld: (sought) => of(sought).findings.noteHeld(sought),
    } satisfies Pick<Contents['findings'], 'noteHas' | 'noteHeld'>,
    possession: {
      prove: (want, signal) => of(want).possession.prove(want, signal),
    } satisfies Pick<Contents['possession'], 'prove'>,
    blobs: {
      open: (want, signal) => of(want).blobs.open(want, signal),
      // Nothing is kept of what is not shared, so what is fetched ahead would be fetched in vain.
      prefetch: (want) => (of(want) === contents().shared ? contents().shared.blobs.prefetch(want) : () => {}),
    } satisfies Contents['blobs'],
  }
}
