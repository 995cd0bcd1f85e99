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
  /** When all that there is will be done. */
  freeAtMs: number
  /** Runs `act` when all work before it and `costMs` of its own are done. */
  work(costMs: number, act: () => void): void
  /** The same for what waits for its turn (core/directory/turns.ts). */
  workInTurn(costMs: number, act: () => void): void
  /** The process died, and its work with it. */
  reset(): void
}

export function createCpu(engine: Engine): Cpu {
  const work = (costMs: number, act: () => void): void => {
    const nowMs = engine.clock.now()
    engine.after(take(cpu, nowMs, costMs) - nowMs, act)
  }
  const newTurns = (): Turns => createTurns({ clock: engine.clock, soon: (act) => work(0, act) })
  let turns = newTurns()
  const cpu: Cpu = {
    freeAtMs: 0,
    work,
    workInTurn(costMs, act) {
      const ofThisLife = turns
      turns.wait(() => {
        if (turns === ofThisLife) work(costMs, act)
      })
    },
    reset() {
      cpu.freeAtMs = 0
      turns = newTurns()
    },
  }
  return cpu
}

/** Puts `costMs` of work behind all that there is, and says when it will be done. */
export function take(cpu: Cpu, nowMs: number, costMs: number): number {
  cpu.freeAtMs = Math.max(cpu.freeAtMs, nowMs) + costMs
  return cpu.freeAtMs
}
