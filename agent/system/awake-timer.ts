/** Waits for time in which this process ran. */
import { limits } from '../../core/limits.ts'

/**
 * Calls `act` when `ms` have passed, in slices each of which counts as it was meant however late its end is noticed, and once what
 * came meanwhile has been read. While a process waits for a core, answers to it lie unread, and who sent them is not late (Lifeguard,
 * arXiv:1707.00788). Returns what cancels it.
 */
export function whenAwakeFor(ms: number, act: () => void): () => void {
  let leftMs = ms
  let last: NodeJS.Immediate | undefined
  let timer = nextSlice()

  function nextSlice(): NodeJS.Timeout {
    const sliceMs = Math.min(leftMs, limits.awakeSliceMs)
    return setTimeout(() => endSlice(sliceMs), sliceMs)
  }

  function endSlice(sliceMs: number): void {
    leftMs -= sliceMs
    // Timers run before sockets are read, immediates after that.
    if (leftMs <= 0) last = setImmediate(act)
    else timer = nextSlice()
  }

  return () => {
    clearTimeout(timer)
    clearImmediate(last)
  }
}
