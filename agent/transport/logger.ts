/** libp2p's log: its complaints go to ours, at the level where nobody looks unless they search; the rest is not made. */
import { format } from 'node:util'
import type { ComponentLogger, Logger } from '@libp2p/interface'
import type { TransportLogger } from './peer-transport.ts'

/** libp2p's own format letters: errors, addresses, peers, CIDs, keys, bases and times. */
const ownLetters = /%[eapckbt]/g

function ignore(): void {}

export function libp2pLogger(log: TransportLogger): ComponentLogger {
  function create(component: string): Logger {
    return Object.assign(ignore.bind(undefined), {
      enabled: false,
      trace: ignore,
      error: (formatter: unknown, ...args: unknown[]) =>
        log.debug({ component }, format(String(formatter).replaceAll(ownLetters, '%s'), ...args.map(brief))),
      newScope: (name: string) => create(`${component}:${name}`),
    })
  }
  return { forComponent: create }
}

function brief(value: unknown): unknown {
  return value instanceof Error ? value.message : String(value)
}
