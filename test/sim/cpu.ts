/** One core a node: work is done in turn, each piece in the time that it was measured to take (facts/transport.md). */
import { createTurns, type Turns } from '../../core/directory/turns.ts'
import type { Engine } from './engine.ts'

/** Milliseconds of CPU. */
export const costs = {
  /** A noise handshake and the first stream, at each end. */
  handshakeMs: 9,
  /** A packet of control messages, for who receives it. */
  controlMs: 0.2,
  /** A request to a directory, or an exchange of members, for who answers it. */
  requestMs: 0.3,
} as const

export interface Cpu {
  /** Runs `act` when all work before it and `costMs` of its own are done. */
  work(costMs: number, act: () => void): void
  /** The same for what waits for its turn (core/directory/turns.ts). */
  workInTurn(costMs: number, act: () => void): void
  /** Puts `costMs` of work behind all that there is, and says how long until it is done. */
  take(costMs: number): number
  /** The process died, and its work with it. */
  reset(): void
}

export function createCpu(engine: Engine): Cpu {
  let freeAtMs = 0
  const take = (costMs: number): number => {
    const nowMs = engine.clock.now()
    freeAtMs = Math.max(freeAtMs, nowMs) + costMs
    return freeAtMs - nowMs
  }
  const work = (costMs: number, act: () => void): void => engine.after(take(costMs), act)
  const newTurns = (): Turns => createTurns({ clock: engine.clock, soon: (act) => work(0, act) })
  let turns = newTurns()
  return {
    work,
    workInTurn(costMs, act) {
      const ofThisLife = turns
      turns.wait(() => {
        if (turns === ofThisLife) work(costMs, act)
      })
    },
    take,
    reset() {
      freeAtMs = 0
      turns = newTurns()
    },
  }
}
