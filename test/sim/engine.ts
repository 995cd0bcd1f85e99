/** Virtual time: what happens, in order of time and then of planning. One seed, one order. */
import type { Clock } from '../../core/ports.ts'

interface Planned {
  readonly atMs: number
  readonly sequence: number
  readonly act: () => void
}

export interface Engine {
  readonly clock: Clock
  /** Runs `act` when `delayMs` has passed. */
  after(delayMs: number, act: () => void): void
  /** Runs until `isDone`, or until nothing is planned or `untilMs` is reached; true when done. */
  run(untilMs: number, isDone: () => boolean): boolean
  /** Things that have happened. */
  steps(): number
}

export function createEngine(): Engine {
  const heap: Planned[] = []
  let nowMs = 0
  let sequence = 0
  let steps = 0

  const after = (delayMs: number, act: () => void): void => {
    push(heap, { atMs: nowMs + Math.max(delayMs, 0), sequence: sequence++, act })
  }

  const run = (untilMs: number, isDone: () => boolean): boolean => {
    while (!isDone()) {
      const next = heap[0]
      if (next === undefined || next.atMs > untilMs) {
        nowMs = Math.max(nowMs, untilMs)
        return false
      }
      pop(heap)
      nowMs = next.atMs
      steps++
      next.act()
    }
    return true
  }

  return { clock: { now: () => nowMs }, after, run, steps: () => steps }
}

function isBefore(a: Planned, b: Planned): boolean {
  return a.atMs < b.atMs || (a.atMs === b.atMs && a.sequence < b.sequence)
}

function push(heap: Planned[], planned: Planned): void {
  let at = heap.length
  heap.push(planned)
  while (at > 0) {
    const parent = (at - 1) >> 1
    if (!isBefore(planned, heap[parent]!)) break
    heap[at] = heap[parent]!
    at = parent
  }
  heap[at] = planned
}

function pop(heap: Planned[]): void {
  const last = heap.pop()!
  if (heap.length === 0) return
  let at = 0
  for (;;) {
    let child = 2 * at + 1
    if (child >= heap.length) break
    if (child + 1 < heap.length && isBefore(heap[child + 1]!, heap[child]!)) child++
    if (!isBefore(heap[child]!, last)) break
    heap[at] = heap[child]!
    at = child
  }
  heap[at] = last
}
