/** What the parts report, as metrics and log lines. */
import { ShoalError } from '../core/errors.ts'
import type { RateLimits } from '../core/swarm/rate.ts'
import { second } from '../core/units.ts'
import type { AccessObserver } from './access/access.ts'
import type { ContainerdAsks } from './doctor/containerd-asks.ts'
import type { Cluster, ClusterObserver } from './cluster/cluster.ts'
import type { Logger } from './logging.ts'
import type { MetricLabels, Metrics } from './metrics.ts'
import type { AnsweredRequest, Observer } from './registry/ports.ts'
import type { TagsComponents } from './registry/tags.ts'
import type { DiskStore } from './store/store.ts'
import type { BlobsComponents } from './swarm/blobs.ts'
import type { OnOriginRequest } from './upstream/exchange.ts'
import type { OriginClient } from './upstream/origin-client.ts'
import type { Runner, RunnerObserver } from './swarm/runner.ts'

type Source = MetricLabels<'shoal_bytes_total'>['source']

export function observeMirror(metrics: Metrics, logger: Logger, asks: Pick<ContainerdAsks, 'note'>): Observer {
  return {
    answered(request) {
      asks.note(request)
      const kind = request.kind === 'ping' ? 'base' : request.kind === 'none' ? 'other' : request.kind
      metrics.add('shoal_requests_total', 1, { kind, status: statusOf(request) })
      if (request.timeToFirstByteMs !== undefined)
        metrics.observe('shoal_first_byte_seconds', request.timeToFirstByteMs / second, { kind })
      if (request.error instanceof ShoalError) metrics.add('shoal_errors_total', 1, { code: request.error.code })
      if (request.error === undefined) return
      logger[request.outcome === 'broken' ? 'warn' : 'info'](
        { err: request.error, kind, status: request.status, outcome: request.outcome },
        request.outcome === 'broken' ? 'a response broke off; the client goes on at the origin' : 'request refused',
      )
    },
  }
}

function statusOf({ outcome, status }: AnsweredRequest): MetricLabels<'shoal_requests_total'>['status'] {
  return outcome === 'finished' ? statusClass(status) : 'aborted'
}

function statusClass(status: number): '2xx' | '3xx' | '4xx' | '5xx' {
  if (status >= 500) return '5xx'
  if (status >= 400) return '4xx'
  return status >= 300 ? '3xx' : '2xx'
}

export function observeAccess(metrics: Metrics, logger: Logger): AccessObserver {
  return {
    decided: (outcome) => metrics.add('shoal_access_total', 1, { outcome }),
    failedOver: ({ origin, repository }, { failover }) =>
      logger.warn({ origin, repository, failover }, 'the registry is down; what it said before counts'),
    recovered: ({ origin, repository }) => logger.warn({ origin, repository }, 'the registry answers again'),
  }
}

export function observeTags(metrics: Metrics, logger: Logger): TagsComponents['onStale'] {
  return ({ origin, repository }, tag, { digest, staleMs }, isNews) => {
    metrics.add('shoal_stale_tags_total', 1)
    if (!isNews) return
    logger.warn({ origin, repository, tag, digest, staleMs }, 'the registry is down; the tag is told as it last was')
  }
}

/** Redirect targets and token services count as `other`. */
export function observeOrigin(metrics: Metrics): OnOriginRequest {
  return (path, status) =>
    metrics.add('shoal_origin_requests_total', 1, { kind: originKind(path), status: classOf(status) })
}

function originKind(path: string): MetricLabels<'shoal_origin_requests_total'>['kind'] {
  if (path.includes('/manifests/')) return 'manifest'
  if (path.includes('/blobs/')) return 'blob'
  if (path.includes('/referrers/')) return 'referrers'
  return path.endsWith('/tags/list') ? 'tags' : 'other'
}

function classOf(status: number | undefined): MetricLabels<'shoal_origin_requests_total'>['status'] {
  return status === undefined ? 'failed' : statusClass(status)
}

export function observeOwnCredentials(metrics: Metrics): () => void {
  return () => metrics.add('shoal_own_credential_fetches_total', 1)
}

export function observeCluster(metrics: Metrics): ClusterObserver {
  return {
    called: (outcome) => metrics.add('shoal_directory_calls_total', 1, { role: 'client', outcome }),
    hosted: () => metrics.add('shoal_directory_calls_total', 1, { role: 'host', outcome: 'ok' }),
  }
}

export function observeRunner(metrics: Metrics): RunnerObserver {
  return {
    received: (source, bytes) => metrics.add('shoal_bytes_total', bytes, { direction: 'received', source }),
    uploaded(outcome, source, bytes) {
      metrics.add('shoal_uploads_total', 1, { outcome })
      metrics.add('shoal_bytes_total', bytes, { direction: 'uploaded', source: storeSource(source) })
    },
    refused: (answer) => metrics.add('shoal_uploads_total', 1, { outcome: answer }),
    banned: () => metrics.add('shoal_bans_total', 1),
    escaped: () => metrics.add('shoal_unbudgeted_fetches_total', 1),
  }
}

/** Delivered bytes that were not here before count with what was received; they are told apart by `received`. */
export function observeDelivery(metrics: Metrics): BlobsComponents['onDelivered'] {
  return ({ stored }, bytes) =>
    metrics.add('shoal_bytes_total', bytes, { direction: 'delivered', source: storeSource(stored.source) })
}

function storeSource(source: 'shoal' | 'containerd'): Source {
  return source === 'shoal' ? 'local' : 'containerd'
}

interface Scraped {
  readonly origin: Pick<OriginClient, 'hostsResting'>
  readonly runner: Runner
  readonly store: DiskStore
  readonly cluster: Cluster
  readonly rates: RateLimits
}

/** Reads what is only worth knowing when somebody asks. */
export function scrape(metrics: Metrics, { origin, runner, store, cluster, rates }: Scraped): void {
  metrics.onScrape(() => {
    const swarm = runner.swarm.stats()
    const members = cluster.stats()
    metrics.set('shoal_sessions', swarm.readers)
    metrics.set('shoal_peers_connected', swarm.peersConnected)
    metrics.set('shoal_leases', swarm.leases, { role: 'holder' })
    metrics.set('shoal_leases', members.leases, { role: 'host' })
    metrics.set('shoal_members', members.members)
    metrics.set('shoal_directory_digests', members.digests)
    metrics.set('shoal_origin_hosts_resting', origin.hostsResting().length)
    for (const direction of ['upload', 'download', 'origin'] as const)
      metrics.set('shoal_rate_limit_bytes_per_second', rates[direction].bytesPerSecond(), { direction })
    const { containerdBlobs, containerdWaiting, usedBytes } = store.stats()
    metrics.set('shoal_store_bytes', usedBytes)
    metrics.set('shoal_containerd_blobs', containerdBlobs, { state: 'proven' })
    metrics.set('shoal_containerd_blobs', containerdWaiting, { state: 'waiting' })
    const blobs = [...store.list()]
    const complete = blobs.filter((blob) => blob.complete).length
    metrics.set('shoal_store_blobs', complete, { state: 'complete' })
    metrics.set('shoal_store_blobs', blobs.length - complete, { state: 'partial' })
  })
}
