/** Something that changes, and those who wait for it to change. */
export interface Change {
  /** Wakes everybody who waits now. */
  notify(): void
  /** Resolves at the next `notify`; rejects with the signal's reason when it aborts first. */
  next(signal: AbortSignal): Promise<void>
}

export function createChange(): Change {
  const waiting = new Set<() => void>()

  function notify(): void {
    const woken = [...waiting]
    waiting.clear()
    for (const wake of woken) wake()
  }

  function next(signal: AbortSignal): Promise<void> {
    return new Promise((resolve, reject) => {
      if (signal.aborted) return reject(signal.reason)
      const wake = () => {
        signal.removeEventListener('abort', abort)
        resolve()
      }
      const abort = () => {
        waiting.delete(wake)
        reject(signal.reason)
      }
      waiting.add(wake)
      signal.addEventListener('abort', abort, { once: true })
    })
  }

  return { notify, next }
}
