/** Virtual time: what happens, in order of time and then of planning. One seed, one order. */
import type { Clock } from '../../core/ports.ts'

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
  const plan = createPlan()
  let nowMs = 0
  let steps = 0

  const run = (untilMs: number, isDone: () => boolean): boolean => {
    while (!isDone()) {
      if (plan.nextMs() > untilMs) {
        nowMs = Math.max(nowMs, untilMs)
        return false
      }
      nowMs = plan.nextMs()
      steps++
      plan.pop()()
    }
    return true
  }

  return {
    clock: { now: () => nowMs },
    after: (delayMs, act) => plan.push(nowMs + Math.max(delayMs, 0), act),
    run,
    steps: () => steps,
  }
}

type Act = () => void

interface Plan {
  push(atMs: number, act: Act): void
  /** When the next is due; Infinity: nothing is planned. */
  nextMs(): number
  /** The next, taken off. */
  pop(): Act
}

/**
 * A heap in which the children of place `i` are at `4i + 1` to `4i + 4`. Times and turns lie in typed arrays, and a place
 * is written once on each level: a run of 10,000 nodes plans some hundred million things.
 */
function createPlan(): Plan {
  let times = new Float64Array(1024)
  let turns = new Float64Array(1024)
  const acts: Act[] = []
  let turn = 0

  const grow = (): void => {
    const wider = new Float64Array(2 * times.length)
    wider.set(times)
    times = wider
    const more = new Float64Array(2 * turns.length)
    more.set(turns)
    turns = more
  }
  const put = (place: number, atMs: number, itsTurn: number, act: Act): void => {
    times[place] = atMs
    turns[place] = itsTurn
    acts[place] = act
  }
  const move = (from: number, to: number): void => put(to, times[from]!, turns[from]!, acts[from]!)
  const isBefore = (place: number, atMs: number, itsTurn: number): boolean =>
    times[place]! < atMs || (times[place] === atMs && turns[place]! < itsTurn)
  const firstChild = (place: number): number => {
    const last = Math.min(4 * place + 4, acts.length - 1)
    let first = 4 * place + 1
    for (let child = first + 1; child <= last; child++) if (isBefore(child, times[first]!, turns[first]!)) first = child
    return first
  }

  return {
    push(atMs, act) {
      let place = acts.length
      if (place === times.length) grow()
      const itsTurn = turn++
      acts.push(act)
      while (place > 0) {
        const parent = (place - 1) >> 2
        if (isBefore(parent, atMs, itsTurn)) break
        move(parent, place)
        place = parent
      }
      put(place, atMs, itsTurn, act)
    },
    nextMs: () => (acts.length === 0 ? Infinity : times[0]!),
    pop() {
      const next = acts[0]!
      const last = acts.length - 1
      const atMs = times[last]!
      const itsTurn = turns[last]!
      const act = acts.pop()!
      if (last === 0) return next
      let place = 0
      while (4 * place + 1 < last) {
        const child = firstChild(place)
        if (!isBefore(child, atMs, itsTurn)) break
        move(child, place)
        place = child
      }
      put(place, atMs, itsTurn, act)
      return next
    },
  }
}
