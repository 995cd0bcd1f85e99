/** Content by digest, and all that brings it: the swarm, its directories, and what is known of who possesses it. */
import { randomInt } from 'node:crypto'
import type { Clock, LessonStore, Notary, Random } from '../core/ports.ts'
import type { RateLimits } from '../core/swarm/rate.ts'
import type { CredentialLives } from './access/credential-lives.ts'
import { createFindings, type Findings } from './access/findings.ts'
import type { PolicyOf } from './access/policy.ts'
import { createPossession, type Possession } from './access/possession.ts'
import type { Cluster, ClusterSwarm, ContentServer } from './cluster/cluster.ts'
import type { ByteOrigin } from './credentials/own-origin.ts'
import type { Logger } from './logging.ts'
import { observeDelivery, observeRunner } from './measure.ts'
import type { Metrics } from './metrics.ts'
import type { Blobs, Want } from './registry/ports.ts'
import type { DiskStore } from './store/store.ts'
import { createBlobs } from './swarm/blobs.ts'
import { createRunner, type Runner, type RunnerOptions } from './swarm/runner.ts'
import { createSeedFinder } from './swarm/seed-finder.ts'
import { createSmallContents } from './swarm/small-contents.ts'
import { createTakeOvers } from './swarm/take-overs.ts'
import type { PeerTransport } from './transport/peer-transport.ts'
import type { OriginClient } from './upstream/origin-client.ts'
import { within } from './system/within.ts'
import { sleepBySystem } from './upstream/retry.ts'

export interface ContentsComponents {
  readonly clock: Clock
  readonly random: Random
  readonly notary: Notary
  readonly store: DiskStore
  readonly lessons: LessonStore
  readonly transport: PeerTransport
  /** Its answers are noted in `findings`. */
  readonly origin: OriginClient
  readonly byteOrigin: ByteOrigin
  /** Of the credentials that callers show, for `byteOrigin`. */
  readonly lives: Pick<CredentialLives, 'ending' | 'lifeOf'>
  readonly policyOf: PolicyOf
  readonly rates: RateLimits
  readonly metrics: Metrics
  readonly logger: Logger
  readonly createCluster: (runner: ClusterSwarm, contents: ContentServer) => Cluster
}

export interface Contents {
  readonly blobs: Blobs
  readonly findings: Findings
  readonly possession: Possession
  readonly runner: Runner
  readonly cluster: Cluster
  /** What has started is stopped by `stops`, also where the start fails halfway. */
  start(stops: AsyncDisposableStack): Promise<void>
  /** Gives to others what only this agent has, as it is about to leave them. */
  handOver(bounds: HandOverBounds): Promise<void>
}

export interface HandOverBounds {
  /** Of what is given to who has not asked for it. */
  readonly maxBytes: number
  readonly withinMs: number
}

export function createContents(components: ContentsComponents, options: RunnerOptions = {}): Contents {
  const { clock, origin, byteOrigin, metrics, policyOf, store, transport } = components
  const logger = components.logger.child({ part: 'swarm' })
  const findings = createFindings({ clock, tell: (news) => cluster.tellPossession(news) })
  const possession = createPossession({
    clock,
    origin,
    findings,
    random: { below: (limit) => randomInt(limit) },
    sleep: sleepBySystem,
    policyOf,
    ask: (question) => cluster.askPossession(question),
  })
  const fetching = {
    ...components,
    origin: byteOrigin,
    sleep: sleepBySystem,
    logger,
    observer: observeRunner(metrics),
    onFetched: (want: Want) => findings.noteHeld(want),
  }
  const runner = createRunner(
    {
      ...fetching,
      announce: (digest, now) => cluster.announce(digest, now),
      caution: () => cluster.caution(),
      offer: (digest, size) => cluster.offer(digest, size),
    },
    options,
  )
  const small = createSmallContents({
    ...fetching,
    runner,
    askPeers: ({ digest, origin: at }, signal) => cluster.askContent(digest, at, signal),
  })
  const takeOvers = createTakeOvers({ runner, store, logger })
  const seedFinder = createSeedFinder({ transport, post: (event) => runner.post(event), logger })
  const cluster = components.createCluster(
    { swarm: runner.swarm, post: seedFinder.heard },
    { serve: (digest) => small.serve(digest), take: (digest, size) => takeOvers.take(digest, size) },
  )
  const blobs = createBlobs({
    runner,
    store,
    small,
    logger,
    sizeAmongPeers: ({ digest, origin: at }) => cluster.sizeOf(digest, at),
    origin,
    clock,
    possession,
    findings,
    onDelivered: observeDelivery(metrics),
  })

  async function start(stops: AsyncDisposableStack): Promise<void> {
    transport.on((event) => {
      if (event.type === 'message' || event.type === 'chunk-started' || event.type === 'frame')
        cluster.heard(event.peer)
    })
    runner.start()
    stops.defer(() => runner.stop())
    stops.defer(() => small.stop())
    stops.defer(() => takeOvers.stop())
    await store.start()
    await transport.start()
    stops.defer(() => seedFinder.stop())
    stops.defer(() => cluster.stop())
    await cluster.start()
  }

  async function handOver({ maxBytes, withinMs }: HandOverBounds): Promise<void> {
    if (cluster.others().length === 0) return
    const startedMs = clock.now()
    const isDone = await within(Promise.all([cluster.bequeath(findings.all()), runner.handOver(maxBytes)]), withinMs)
    logger.info({ tookMs: Math.round(clock.now() - startedMs), isDone }, 'handed over what only this agent had')
  }

  return { blobs, findings, possession, runner, cluster, start, handOver }
}
