import { createDirectoryClient } from '../../core/directory/client.ts'
import { createDirectory } from '../../core/directory/directory.ts'
import { limits } from '../../core/limits.ts'
import type { Clock, PeerId, Random } from '../../core/ports.ts'
import type { Cluster, ClusterSwarm } from './cluster.ts'

export interface LoneClusterComponents {
  readonly clock: Clock
  readonly random: Random
  readonly self: PeerId
  readonly runner: ClusterSwarm
}

/** A cluster of one: the agent hosts every directory itself and asks nobody. */
export function createLoneCluster({ clock, random, self, runner }: LoneClusterComponents): Cluster {
  const hosts = [self]
  const directory = createDirectory({
    self,
    clock,
    random,
    ownersOf: () => hosts,
    learningMs: () => 0,
    catchingUpMs: () => 0,
    arrivingMs: () => 0,
    ready: () => true,
    suspect: () => {},
  })
  const client = createDirectoryClient({
    clock,
    random,
    from: () => ({ peer: self, addresses: [] }),
    state: (digest) => runner.swarm.announceState(digest),
    hosts: () => hosts,
    nearest: () => [],
    membersCount: () => 1,
    heardMs: () => Number.NEGATIVE_INFINITY,
    suspect: () => {},
    emit: (output) => {
      if (output.type === 'call') client.answered(output.id, directory.announce(output.request))
      else runner.post(output)
    },
  })
  let timer: NodeJS.Timeout | undefined

  return {
    async start() {
      timer = setInterval(() => {
        directory.tick()
        client.tick()
      }, limits.tickMs)
    },
    async stop() {
      clearInterval(timer)
    },
    announce(digest, now) {
      client.announce(digest, now)
      if (now) queueMicrotask(() => client.tick())
    },
    caution: () => {},
    askContent: async () => ({ kind: 'fetch' }),
    sizeOf: async () => undefined,
    askPossession: async () => undefined,
    tellPossession: () => {},
    offer: async () => false,
    bequeath: async () => {},
    heard: () => {},
    placeOf: () => undefined,
    addressOf: () => undefined,
    others: () => [],
    notReady: () => undefined,
    stats: () => ({ members: 1, ...directory.stats() }),
  }
}
