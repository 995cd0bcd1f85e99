/** What happens in a world, event by event: two runs are the same if their traces are. */
import { createHash } from 'node:crypto'

/** Called with each line, its end included. */
export type OnTrace = (line: string) => void

export interface TraceHash {
  readonly onTrace: OnTrace
  /** Of all lines so far. */
  hex(): string
}

export function createTraceHash(): TraceHash {
  const hash = createHash('sha256')
  return {
    onTrace: (line) => void hash.update(line),
    hex: () => hash.copy().digest('hex').slice(0, 16),
  }
}
