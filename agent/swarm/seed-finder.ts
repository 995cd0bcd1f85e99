/** The slow, sure way to seeds: provider records in the DHT, written by those whom directories name and read when directories are silent. */
import { limits } from '../../core/limits.ts'
import type { Digest } from '../../core/oci/digest.ts'
import type { ClusterEvent } from '../cluster/cluster.ts'
import type { Logger } from '../logging.ts'
import type { PeerTransport } from '../transport/peer-transport.ts'

export interface SeedFinder {
  /** Passes on what the swarm is to hear, and acts on what the directories said. */
  readonly heard: (event: ClusterEvent) => void
  stop(): void
}

export interface SeedFinderComponents {
  readonly transport: Pick<PeerTransport, 'self' | 'provide' | 'findSeeds'>
  readonly post: (event: ClusterEvent) => void
  readonly logger: Logger
}

export interface SeedFinderOptions {
  /** How long a record waits to be written. Default `limits.provideAfterMs`. */
  readonly provideAfterMs?: number
}

export function createSeedFinder(
  { transport, post, logger }: SeedFinderComponents,
  { provideAfterMs = limits.provideAfterMs }: SeedFinderOptions = {},
): SeedFinder {
  const looking = new Set<Digest>()
  const providing = new Set<NodeJS.Timeout>()
  const stopped = new AbortController()

  function heard(event: ClusterEvent): void {
    post(event)
    if (event.type === 'directory') {
      if (event.answer.provide === true) provideLater(event.answer.digest)
    } else if (event.type === 'directory-silent' && !looking.has(event.digest)) {
      void look(event.digest)
    }
  }

  /** A rollout needs its CPU for itself: the record is for the day when the directories are gone. */
  function provideLater(digest: Digest): void {
    const timer = setTimeout(() => {
      providing.delete(timer)
      transport.provide(digest)
    }, provideAfterMs)
    providing.add(timer.unref())
  }

  async function look(digest: Digest): Promise<void> {
    looking.add(digest)
    try {
      for await (const { peer, addresses } of transport.findSeeds(digest, stopped.signal)) {
        if (peer === transport.self) continue
        logger.debug({ peer, digest }, 'the DHT names a seed')
        post({ type: 'directory', answer: { digest, peers: [{ peer, addresses, complete: true }] } })
      }
    } catch (error) {
      if (!stopped.signal.aborted) logger.debug({ err: error, digest }, 'the DHT was asked in vain')
    } finally {
      looking.delete(digest)
    }
  }

  function stop(): void {
    stopped.abort()
    for (const timer of providing) clearTimeout(timer)
  }

  return { heard, stop }
}
