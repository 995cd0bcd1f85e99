/** One core a node: work is done in turn, each piece in the time that it was measured to take (facts/transport.md). */
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
  /** The process died, and its work with it. */
  reset(): void
}

export function createCpu(engine: Engine): Cpu {
  let freeAtMs = 0
  return {
    work(costMs, act) {
      const nowMs = engine.clock.now()
      freeAtMs = Math.max(freeAtMs, nowMs) + costMs
      engine.after(freeAtMs - nowMs, act)
    },
    reset: () => void (freeAtMs = 0),
  }
}
