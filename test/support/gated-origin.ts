/** An origin whose answers stop at a byte until the test lets them go on. */
import type { OriginClient } from '../../agent/upstream/origin-client.ts'
import type { OriginError } from '../../agent/upstream/origin-error.ts'

export interface GatedOrigin {
  readonly client: OriginClient
  /** Does an answer wait? */
  isReached(): boolean
  open(): void
  /** Ends the answers that wait; later ones are not held up. */
  fail(error: OriginError): void
}

/** Of every answer what lies before byte `at` of the blob comes at once. */
export function createGatedOrigin(origin: OriginClient, at: number): GatedOrigin {
  const gate = Promise.withResolvers<void>()
  // Nobody may be waiting.
  gate.promise.catch(() => {})
  let isOpen = false
  let isReached = false

  async function* gated(body: AsyncIterable<Uint8Array>, start: number, signal: AbortSignal) {
    let position = start
    for await (const piece of body) {
      if (position >= at && !isOpen) {
        isReached = true
        await Promise.race([gate.promise, aborted(signal)])
      }
      yield piece
      position += piece.length
    }
  }

  return {
    client: {
      ...origin,
      async fetchRange(wanted, credential, signal) {
        const answer = await origin.fetchRange(wanted, credential, signal)
        return { ...answer, body: gated(answer.body, wanted.start, signal) }
      },
    },
    isReached: () => isReached,
    open() {
      isOpen = true
      gate.resolve()
    },
    fail(error) {
      isOpen = true
      gate.reject(error)
    },
  }
}

function aborted(signal: AbortSignal): Promise<never> {
  return new Promise((_resolve, reject) => {
    signal.addEventListener('abort', () => reject(signal.reason as Error))
  })
}
