/**
 * What makes a recorded message worthless, without clocks that agree: each receiver hands out a random token, new at each
 * start and each minute, and takes only messages that carry its newest or the one before, each nonce once.
 */
import { randomBytes } from 'node:crypto'
import { limits } from '../../core/limits.ts'
import type { Clock } from '../../core/ports.ts'

export interface Epochs {
  /** The token to hand out now. */
  current(): string
  /** `stale`: the caller needs the current token. `replayed`: this nonce was seen. Notes the nonce when `fresh`. */
  admit(epoch: string, nonce: string): 'fresh' | 'stale' | 'replayed'
}

interface Epoch {
  readonly token: string
  readonly startMs: number
  readonly nonces: Set<string>
}

export function createEpochs(clock: Clock): Epochs {
  let newest = createEpoch(clock)
  let previous: Epoch | undefined

  function renew(): void {
    const ageMs = clock.now() - newest.startMs
    if (ageMs < limits.epochMs && newest.nonces.size < limits.noncesPerEpoch) return
    previous = ageMs < 2 * limits.epochMs ? newest : undefined
    newest = createEpoch(clock)
  }

  return {
    current() {
      renew()
      return newest.token
    },
    admit(token, nonce) {
      renew()
      const epoch = [newest, previous].find((known) => known?.token === token)
      // Full: its nonces can't be told apart any more.
      if (epoch === undefined || epoch.nonces.size >= limits.noncesPerEpoch) return 'stale'
      if (epoch.nonces.has(nonce)) return 'replayed'
      epoch.nonces.add(nonce)
      return 'fresh'
    },
  }
}

function createEpoch(clock: Clock): Epoch {
  return { token: randomToken(), startMs: clock.now(), nonces: new Set() }
}

/** 128 random bits, as text of 22 characters. */
export function randomToken(): string {
  return randomBytes(16).toString('base64url')
}
