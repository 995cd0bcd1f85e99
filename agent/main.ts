/** The agent's parts, how they are put together, and in which order they start and stop. */
import { randomBytes } from 'node:crypto'
import path from 'node:path'
import { isDeepStrictEqual } from 'node:util'
import { createFindingEvents } from '../core/doctor/events.ts'
import { limits } from '../core/limits.ts'
import { createPlaces } from '../core/members/places.ts'
import { compileRules } from '../core/rules.ts'
import { createRateLimits, type RateLimits } from '../core/swarm/rate.ts'
import { createAccess } from './access/access.ts'
import { createKnownChallenges } from './access/challenges.ts'
import { createCredentialLives } from './access/credential-lives.ts'
import { createNotingOrigin } from './access/noting-origin.ts'
import { createSparingOrigin } from './access/sparing-origin.ts'
import { createPolicies, standardPolicy } from './access/policy.ts'
import type { Cluster, ClusterSwarm } from './cluster/cluster.ts'
import { createLoneCluster } from './cluster/lone-cluster.ts'
import { createMemberCluster, type MemberClusterOptions } from './cluster/member-cluster.ts'
import { readClusterSecrets } from './cluster-secret.ts'
import type { HostPort } from './config-values.ts'
import { type AgentConfig, isLive, optionNames } from './config.ts'
import { openOwnCredentials, type OwnCredentialsOptions } from './credentials/own-credentials.ts'
import { createOwnOrigin } from './credentials/own-origin.ts'
import { createProgramRunner } from './credentials/program.ts'
import { type Contents, createContents } from './contents.ts'
import { createIdentity, loadIdentity } from './identity/identity.ts'
import { createNotary } from './identity/notary.ts'
import { createContainerdAsks } from './doctor/containerd-asks.ts'
import { createRangeNotes } from './doctor/ranges.ts'
import { createSelfDoctor } from './doctor/self-doctor.ts'
import { lookFromWithin } from './doctor/self-look.ts'
import { clusterApi, type ClusterApiOptions } from './kubernetes/cluster-api.ts'
import { createTeller, type TellFindings } from './kubernetes/events.ts'
import { forgetful, openLessonFile } from './lesson-file.ts'
import { createLogger, type Logger } from './logging.ts'
import {
  observeAccess,
  observeCluster,
  observeMirror,
  observeOrigin,
  observeOwnCredentials,
  observeTags,
  scrape,
} from './measure.ts'
import { createMetrics } from './metrics.ts'
import { openMirrorKeys } from './mirror-tls/mirror-keys.ts'
import { createServerCertificate, serverNames } from './mirror-tls/server-certificate.ts'
import { type Readiness, startOpsServer } from './ops/server.ts'
import { originOptions } from './origin-options.ts'
import { createMirror } from './registry/mirror.ts'
import { createTags } from './registry/tags.ts'
import { createSharing } from './sharing.ts'
import { openStore, type StoreOptions } from './store/store.ts'
import { systemClock } from './system/clock.ts'
import { systemRandom } from './system/random.ts'
import { createPeerTransport } from './transport/libp2p-transport.ts'
import { createLoneTransport } from './transport/lone-transport.ts'
import type { Resolve } from './upstream/egress.ts'
import { createOriginClient } from './upstream/origin-client.ts'

export interface RunningAgent {
  /** Where each listener is; the ports are the real ones where 0 was asked for. */
  readonly addresses: { readonly mirror: HostPort; readonly ops: HostPort }
  /** Takes over the options that may change while it runs (`isLive`); logs which others differ and need a restart. */
  adjust(config: AgentConfig): void
  /** Ends running responses, says goodbye to the others, then drops them; takes about the shutdown timeout at most. */
  stop(): Promise<void>
}

/** What the system gives unless a test gives something else. */
export interface AgentSurroundings {
  /** DNS, of origins and whatever they redirect to. */
  readonly resolve?: Resolve
  /** What kubelet gives a pod to reach the Kubernetes API. */
  readonly kubernetes?: ClusterApiOptions
}

/**
 * Starts an agent. Rejects with a ShoalError when the options, the secrets, the data directory or a listener are wrong,
 * once everything that had started by then has stopped again.
 */
export async function runAgent(
  config: AgentConfig,
  { kubernetes = { env: process.env }, ...resolving }: AgentSurroundings = {},
): Promise<RunningAgent> {
  await using stops = new AsyncDisposableStack()
  const logger = createLogger({ level: config.logLevel, format: config.logFormat })
  const metrics = createMetrics()
  const clock = systemClock
  const random = systemRandom()
  const secrets = await readClusterSecrets(config, logger)

  const parts = new Map([['agent', notReady('the agent is starting')]])
  const localPages = new Map<string, () => Promise<object>>()
  const ops = await startOpsServer({ metrics, parts, localPages }, config.opsListen)
  stops.defer(() => ops.close())
  const store = await openStore({ clock, logger: logger.child({ part: 'store' }) }, storeOptions(config))
  stops.defer(() => store.stop())
  const identity = secrets === undefined ? createIdentity() : await loadIdentity(config.dataDir)
  const notary = createNotary(identity)
  const transport =
    secrets === undefined
      ? createLoneTransport(identity.peer)
      : await createPeerTransport(
          { identity, secrets, clock, log: logger.child({ part: 'peers' }) },
          {
            listen: config.peersListen,
            bulkListen: config.bulkListen,
            advertiseAddress: config.advertiseAddress,
          },
        )
  stops.defer(() => transport.stop())
  const lessons =
    secrets === undefined
      ? forgetful
      : await openLessonFile({ logger: logger.child({ part: 'swarm' }), now: Date.now }, { directory: config.dataDir })
  const originLogger = logger.child({ part: 'origin' })
  const originClient = createOriginClient(
    { ...resolving, clock, random, logger: originLogger, onRequest: observeOrigin(metrics) },
    originOptions(config),
  )
  stops.defer(() => originClient.close())
  const ranges = createRangeNotes(originClient)
  const policyOf = createPolicies(config.origins, standardPolicy(config))
  const own = await openOwnCredentials(
    { clock, run: createProgramRunner(), logger: originLogger, env: process.env, key: randomBytes(32) },
    ownCredentialsOptions(config),
  )
  const rules = compileRules(config.rules)
  const sharing = createSharing(rules, () => ({ shared, unshared }))
  const challenges = createKnownChallenges()
  const callersLives = createCredentialLives({ clock, challenges })
  // The second is for the swarm only: what access, possession, tags and the mirror ask is asked by the caller's credential alone.
  const { origin, byteOrigin, lifeOf } = createOwnOrigin({
    origin: createNotingOrigin(createSparingOrigin(ranges.origin, callersLives), sharing.findings),
    own,
    lives: callersLives,
    clock,
    onOwn: observeOwnCredentials(metrics),
  })
  const accessLogger = logger.child({ part: 'access' })
  const tags = createTags({ origin, clock, policyOf, onStale: observeTags(metrics, accessLogger) })
  // So what access asks of a tag need not be asked again to resolve it.
  const access = createAccess({
    origin: { ...origin, headManifest: tags.ask },
    clock,
    challenges,
    lives: callersLives,
    key: randomBytes(32),
    policyOf,
    observer: observeAccess(metrics, accessLogger),
  })
  const rates = createRateLimits(clock)
  setRates(rates, config)
  const places = createPlaces(config.border, (peer) => shared.cluster.placeOf(peer))
  const lives = { ...callersLives, lifeOf }
  const common = { clock, random, notary, origin, byteOrigin, lives, policyOf, rates, metrics }
  const standingAlone = (runner: ClusterSwarm) => createLoneCluster({ clock, random, self: identity.peer, runner })
  const shared = createContents(
    {
      ...common,
      store,
      lessons,
      transport,
      logger,
      createCluster: (runner, contents) =>
        secrets === undefined
          ? standingAlone(runner)
          : createMemberCluster(
              {
                clock,
                random,
                secrets,
                transport,
                places,
                runner,
                contents,
                observer: observeCluster(metrics),
                logger: logger.child({ part: 'cluster' }),
              },
              clusterOptions(config),
            ),
    },
    { witnesses: config.witnesses, places, addressOfMember: (peer) => shared.cluster.addressOf(peer) },
  )
  const unshared = hasUnshared(config) ? await openUnshared() : shared

  async function openUnshared(): Promise<Contents> {
    const unsharedLogger = logger.child({ unshared: true })
    const nothingKept = await openStore({ clock, logger: unsharedLogger }, unsharedStoreOptions(config))
    stops.defer(() => nothingKept.stop())
    const alone = {
      store: nothingKept,
      lessons: forgetful,
      transport: createLoneTransport(identity.peer),
      createCluster: standingAlone,
    }
    return createContents({ ...common, ...alone, logger: unsharedLogger })
  }

  const mirrorLogger = logger.child({ part: 'mirror' })
  const guard = config.mirrorProtocol === 'https' ? await openGuard(config, mirrorLogger) : undefined
  const asks = createContainerdAsks(clock)
  const mirror = createMirror(
    {
      blobs: sharing.blobs,
      origin,
      tags,
      access,
      possession: sharing.possession,
      rules,
      clock,
      observer: observeMirror(metrics, mirrorLogger, asks),
    },
    {
      ...config.mirrorListen,
      defaultOrigin: config.defaultOrigin,
      hostNames: config.mirrorHostNames,
      prefetchLayers: config.prefetchLayers,
      guard: guard && { certificate: guard.certificate.first, secret: guard.secret },
    },
  )
  guard?.certificate.renew((certificate) => mirror.useCertificate(certificate))
  stops.defer(() => guard?.certificate.stop())
  const { cluster, runner } = shared
  scrape(metrics, { origin, runner, store, cluster, rates })

  await shared.start(stops)
  if (unshared !== shared) await unshared.start(stops)
  let responsesEndMs = Number.NEGATIVE_INFINITY
  stops.defer(() => mirror.close(Math.max(0, responsesEndMs - clock.now())))
  const mirrorAddress = await mirror.listen()
  parts.set('agent', () => ({ ready: true })).set('cluster', () => clusterReadiness(cluster))
  const startedMs = clock.now()
  const doctorLogger = logger.child({ part: 'doctor' })
  const doctor = createSelfDoctor({
    logger: doctorLogger,
    metrics,
    look: () => lookFromWithin(config, { clock, random, cluster, asks, originClient, ranges, guard, startedMs }),
    tell: tellerOf(config, kubernetes, doctorLogger),
  })
  localPages.set('doctor', async () => ({ findings: await doctor.examine(), containerdVersion: asks.version() }))
  parts.set('doctor', () => doctor.readiness())
  doctor.start()
  stops.defer(() => doctor.stop())
  const addresses = { mirror: { host: mirrorAddress.address, port: mirrorAddress.port }, ops: ops.address }
  logger.info({ peer: identity.peer, ...addresses, standalone: config.standalone }, 'agent runs')

  const running = stops.move()
  async function stop(): Promise<void> {
    logger.info('agent stops')
    parts.set('agent', notReady('the agent is stopping'))
    responsesEndMs = clock.now() + responsesMs(config)
    // Meanwhile the mirror serves on: without it containerd would ask the registries.
    await shared.handOver({ maxBytes: config.handOverMaxBytes, withinMs: responsesMs(config) / 2 })
    await running.disposeAsync()
    logger.info('agent has stopped')
  }
  function adjust(changed: AgentConfig): void {
    setRates(rates, changed)
    const differing = optionNames.filter((name) => !isDeepStrictEqual(config[name], changed[name]))
    const needRestart = differing.filter((name) => !isLive(name))
    const { uploadLimit, downloadLimit, originLimit } = changed
    logger.info({ uploadLimit, downloadLimit, originLimit, needRestart }, 'options read again')
  }
  return { addresses, adjust, stop }
}

async function openGuard({ dataDir, mirrorListen, mirrorHostNames }: AgentConfig, log: Logger) {
  const { authority, secret } = await openMirrorKeys(dataDir)
  const names = serverNames(mirrorListen.host, mirrorHostNames)
  return { secret, certificate: await createServerCertificate({ authority, now: Date.now, logger: log }, names) }
}

/** Undefined where the agent knows of no pod that Events could be of. */
function tellerOf({ eventsPod }: AgentConfig, kubernetes: ClusterApiOptions, log: Logger): TellFindings | undefined {
  if (eventsPod === undefined) return undefined
  const events = createFindingEvents(systemClock)
  return createTeller({ api: clusterApi(kubernetes), events, logger: log, now: Date.now }, eventsPod)
}

function setRates(rates: RateLimits, { uploadLimit, downloadLimit, originLimit }: AgentConfig): void {
  rates.upload.set(uploadLimit)
  rates.download.set(downloadLimit)
  rates.origin.set(originLimit)
}

function hasUnshared({ rules }: AgentConfig): boolean {
  return rules.some(({ action }) => action === 'unshared')
}

/** What is not shared is not kept either: a store that another rule opens one day must not hold it. */
function unsharedStoreOptions(config: AgentConfig): StoreOptions {
  return { ...storeOptions(config), directory: path.join(config.dataDir, 'unshared'), maxBytes: 0 }
}

/** Nothing in containerd's directory says which repository a content came from, so none of it is known to be shareable. */
function storeOptions(config: AgentConfig): StoreOptions {
  const isShareable = config.containerdContentDir !== undefined && !hasUnshared(config)
  return {
    directory: config.dataDir,
    maxBytes: config.storeMaxBytes,
    highWatermark: config.storeHighWatermarkPercent / 100,
    lowWatermark: config.storeLowWatermarkPercent / 100,
    ...(isShareable ? { containerdContentDirectory: config.containerdContentDir } : {}),
  }
}

function clusterOptions(config: AgentConfig): MemberClusterOptions {
  const { advertiseAddress, clusterListen, region, seeds, seedsDns, seedsDnsServers, zone } = config
  return {
    listen: clusterListen,
    advertiseAddress,
    seeds,
    seedsDnsServers,
    region,
    ...(seedsDns === undefined ? {} : { seedsDns }),
    ...(zone === undefined ? {} : { zone }),
  }
}

function ownCredentialsOptions(config: AgentConfig): OwnCredentialsOptions {
  const { credentialProviderConfig: configFile, credentialProviderBinDir, registryConfigs } = config
  if (configFile === undefined) return { registryConfigs }
  return { registryConfigs, providers: { configFile, binDir: credentialProviderBinDir ?? path.dirname(configFile) } }
}

/** What running responses get of the shutdown timeout: all but the time that the goodbyes after them may take, and at least half. */
function responsesMs({ shutdownTimeoutMs }: AgentConfig): number {
  const { departureMs, linkGoodbyeMs, mirrorStopLingerMs, uploadsEndMs } = limits
  const goodbyesMs = mirrorStopLingerMs + departureMs + uploadsEndMs + linkGoodbyeMs
  return Math.max(shutdownTimeoutMs / 2, shutdownTimeoutMs - goodbyesMs)
}

function notReady(reason: string): () => Readiness {
  return () => ({ ready: false, reason })
}

function clusterReadiness(cluster: Cluster): Readiness {
  const reason = cluster.notReady()
  return reason === undefined ? { ready: true } : { ready: false, reason }
}
