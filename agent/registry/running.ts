/** The exchanges under way, so that a mirror can stop without cutting them off. */
import { within } from '../system/within.ts'
import type { Exchange } from './exchange.ts'

export interface Running {
  add(exchange: Exchange): void
  /** Resolves once all are over, or after `withinMs`. */
  settled(withinMs: number): Promise<void>
  /** Ends all that are under way. */
  stop(reason: unknown): void
}

export function createRunning(): Running {
  const exchanges = new Set<Exchange>()
  const waiting = new Set<() => void>()

  function add(exchange: Exchange): void {
    exchanges.add(exchange)
    exchange.response.once('close', () => {
      exchanges.delete(exchange)
      if (exchanges.size === 0) for (const wake of waiting) wake()
    })
  }

  async function settled(withinMs: number): Promise<void> {
    if (exchanges.size === 0) return
    const { promise, resolve } = Promise.withResolvers<void>()
    waiting.add(resolve)
    await within(promise, withinMs)
    waiting.delete(resolve)
  }

  function stop(reason: unknown): void {
    for (const exchange of exchanges) exchange.stop(reason)
  }

  return { add, settled, stop }
}
