/** Many askers, one answer: who asks while the same question is under way waits for that answer. */

export type SingleFlight<Value> = (
  key: string,
  signal: AbortSignal,
  /** Starts the work; its signal aborts once nobody waits any more. */
  start: (signal: AbortSignal) => Promise<Value>,
) => Promise<Value>

interface Flight<Value> {
  readonly answer: Promise<Value>
  readonly controller: AbortController
  waiters: number
}

export function createSingleFlight<Value>(): SingleFlight<Value> {
  const flights = new Map<string, Flight<Value>>()

  function depart(key: string, start: (signal: AbortSignal) => Promise<Value>): Flight<Value> {
    const controller = new AbortController()
    const flight = { answer: start(controller.signal), controller, waiters: 0 }
    flights.set(key, flight)
    flight.answer.then(
      () => land(key, flight),
      () => land(key, flight),
    )
    return flight
  }

  function land(key: string, flight: Flight<Value>): void {
    if (flights.get(key) === flight) flights.delete(key)
  }

  return async (key, signal, start) => {
    signal.throwIfAborted()
    const flight = flights.get(key) ?? depart(key, start)
    flight.waiters++
    try {
      return await abortable(flight.answer, signal)
    } finally {
      flight.waiters--
      if (flight.waiters === 0) {
        land(key, flight)
        flight.controller.abort()
      }
    }
  }
}

/** Rejects with the signal's reason as soon as it aborts. */
function abortable<Value>(answer: Promise<Value>, signal: AbortSignal): Promise<Value> {
  const aborted = Promise.withResolvers<never>()
  const abort = (): void => aborted.reject(signal.reason)
  signal.addEventListener('abort', abort, { once: true })
  return Promise.race([answer, aborted.promise]).finally(() => signal.removeEventListener('abort', abort))
}
