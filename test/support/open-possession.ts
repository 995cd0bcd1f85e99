/** For tests of other things: every repository has everything, and every origin holds it. */
import type { Findings } from '../../agent/access/findings.ts'
import type { Possession } from '../../agent/access/possession.ts'

export const allHeld: Pick<Findings, 'has' | 'isHeld'> = { has: () => true, isHeld: () => true }

const sure = () => Promise.resolve()

export const allPossessed: Possession = {
  prove: sure,
  isKnownToHold: () => Promise.resolve(true),
  proveHeld: sure,
  provePart: sure,
}
