/** A real origin client, hostile servers for it, and what it said to them. */
import { afterEach } from 'vitest'
import { createCredential, type Credential } from '../../../agent/upstream/credential.ts'
import {
  createOriginClient,
  type OriginClient,
  type OriginClientOptions,
} from '../../../agent/upstream/origin-client.ts'
import type { Clock } from '../../../core/ports.ts'
import {
  type HostileOrigin,
  type HostileOriginOptions,
  plain,
  startHostileOrigin,
} from '../../support/hostile-origin.ts'
import { digestOf, manifestType } from '../../support/registry-content.ts'
import { seededRandom } from '../../support/seeded-random.ts'
import { virtualClock } from '../../support/virtual-clock.ts'

const cleanups: (() => Promise<void>)[] = []

afterEach(async () => {
  for (const cleanup of cleanups.splice(0).toReversed()) await cleanup()
})

export async function origin(options: HostileOriginOptions = {}): Promise<HostileOrigin> {
  const server = await startHostileOrigin(options)
  cleanups.push(() => server.stop())
  return server
}

export interface ClientWorld {
  readonly client: OriginClient
  readonly logs: readonly string[]
  /** Waits between tries, which pass at once. */
  readonly waits: readonly number[]
}

/** Every name resolves to this machine. Time stands still unless `clock` moves. */
export function world(options: OriginClientOptions, clock: Clock = virtualClock()): ClientWorld {
  const logs: string[] = []
  const waits: number[] = []
  const client = createOriginClient(
    {
      clock,
      random: seededRandom('upstream'),
      logger: { warn: (...parts: unknown[]) => void logs.push(JSON.stringify(parts)) },
      resolve: () => Promise.resolve([{ address: '127.0.0.1', family: 4 }]),
      sleep: (ms) => {
        waits.push(ms)
        return Promise.resolve()
      },
    },
    options,
  )
  cleanups.push(() => client.close())
  return { client, logs, waits }
}

/** A client that may speak plain HTTP to these servers. */
export function plainWorld(
  servers: readonly HostileOrigin[],
  options: OriginClientOptions = {},
  clock?: Clock,
): ClientWorld {
  return world({ ...options, origins: servers.map(({ host }) => ({ host, plainHttp: true })) }, clock)
}

export const never = new AbortController().signal

export function shown(authorization: string): Credential {
  const credential = createCredential(authorization, new Uint8Array(32))
  if (credential === undefined) throw new TypeError(`not a credential: ${authorization}`)
  return credential
}

/** Resolves once no connection to the server is open. */
export async function allClosed(server: HostileOrigin): Promise<void> {
  await Promise.all([...server.connections].map((socket) => new Promise((resolve) => socket.once('close', resolve))))
}

/** An image so small that its manifest says nothing, at `team/app:v1`. */
export const tiny = { path: '/v2/team/app/manifests/v1', digest: digestOf(Buffer.from('{"schemaVersion":2}')) }

export const sendTiny = plain(200, {
  'content-type': manifestType,
  'docker-content-digest': tiny.digest,
  'content-length': '{"schemaVersion":2}'.length,
})
