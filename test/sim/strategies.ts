/** What decides how a swarm spreads: the shipped limits, and others to compare them with. */
import type { SwarmLimits } from '../../core/swarm/state.ts'

export const strategies = {
  shipped: undefined,
  /** The rarest chunk of the whole blob, wherever the reader is. */
  'rarest of all': { windowChunks: 65_536 },
  /** Next to the reader's order, as a stream would be read. */
  'in order': { windowChunks: 2 },
  'ten uploads at a time': { uploadsActiveMax: 10 },
  'one upload at a time': { uploadsActiveMax: 1 },
  /** For chunks that outlast a TCP window; seen where the grain is fine. */
  'two large uploads at a time': { uploadsActiveLargeMax: 2 },
  'one handshake at a time': { dialsMax: 1 },
  'forty neighbours': { neighboursAim: 40, neighboursNamed: 50 },
  'twenty neighbours': { neighboursAim: 20, neighboursNamed: 25 },
  'eight neighbours': { neighboursAim: 8 },
} satisfies Record<string, Partial<SwarmLimits> | undefined>

export type Strategy = keyof typeof strategies
