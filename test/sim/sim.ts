/** A world in the making: what a run has at hand. */
import type { PeerId, Random } from '../../core/ports.ts'
import type { Engine } from './engine.ts'
import type { Blob } from './matter.ts'
import type { SimNode, World } from './node.ts'
import type { SimOptions } from './options.ts'
import type { Pull } from './puller.ts'

export interface Sim {
  readonly options: SimOptions
  readonly random: Random
  readonly world: World
  readonly engine: Engine
  readonly layers: readonly Blob[]
  readonly nodes: readonly SimNode[]
  readonly pulls: readonly Pull[]
  readonly violations: string[]
  /** What the origin may send beyond one copy, for faults so far (budget.ts). */
  readonly allowances: Allowance[]
  /** When each node was last down, or out of touch with most others (checkers.ts). */
  readonly blindMs: Map<PeerId, number>
}

/** Bytes, and the fault that may have made the origin send them. */
export interface Allowance {
  readonly reason: string
  readonly bytes: number
}

/** Pulls that should finish and have not. */
export function openPulls(sim: Sim): Pull[] {
  return sim.pulls.filter(isOpen)
}

/** Asked after every step, and so without a list of them. */
export function allDone(sim: Sim): boolean {
  return !sim.pulls.some(isOpen)
}

function isOpen({ doneAtMs, isOff, node }: Pull): boolean {
  return doneAtMs === undefined && !isOff && node.behaviour !== 'freezes' && node.behaviour !== 'lies'
}

export function imageBytes(sim: Sim): number {
  return sim.layers.reduce((sum, blob) => sum + blob.size, 0)
}
