/**
 * Every metric of the agent, described once. Label values come from closed sets: no digest, name, address or anything
 * else that a client or peer chooses ever becomes a label.
 */
import { collectDefaultMetrics, Counter, Gauge, Histogram, Registry } from 'prom-client'
import { findingCodes } from '../core/doctor/findings.ts'
import { type ErrorCode, errorTable } from '../core/errors.ts'
import { limits } from '../core/limits.ts'

interface MetricSpec {
  readonly type: 'counter' | 'gauge' | 'histogram'
  readonly help: string
  /** Each label's values; anything else is counted as `other`. */
  readonly labels: Readonly<Record<string, readonly string[]>>
  /** Upper bounds, in the unit of the name. */
  readonly buckets?: readonly number[]
}

const isErrorCode = (code: string): code is ErrorCode => Object.hasOwn(errorTable, code)
const errorCodes = Object.keys(errorTable).filter(isErrorCode)
const sources = ['origin', 'peer', 'local', 'containerd'] as const
const requestKinds = ['base', 'manifest', 'blob', 'referrers', 'tags', 'other'] as const
const statusClasses = ['2xx', '3xx', '4xx', '5xx', 'aborted'] as const

/** Sorted by name. Add yours here; docs/metrics.md derives from it. */
export const metricTable = {
  shoal_access_total: {
    type: 'counter',
    help: 'Requests at the mirror by how access was decided: open to everybody, granted to the credential, by the policy for outages, or refused.',
    labels: { outcome: ['open', 'granted', 'failover', 'refused'] },
  },
  shoal_bans_total: {
    type: 'counter',
    help: 'Peers that were dropped for breaking the rules, on own evidence.',
    labels: {},
  },
  shoal_bytes_total: {
    type: 'counter',
    help: 'Bytes of content: received from origin or peer; delivered to clients of the mirror and uploaded to peers, by where they were taken from.',
    labels: { direction: ['received', 'delivered', 'uploaded'], source: sources },
  },
  shoal_containerd_blobs: {
    type: 'gauge',
    help: "Blobs of containerd's content directory: hashed here and used, or waiting for that.",
    labels: { state: ['proven', 'waiting'] },
  },
  shoal_directory_calls_total: {
    type: 'counter',
    help: 'Announces sent to directory hosts, and answered as a host.',
    labels: { role: ['client', 'host'], outcome: ['ok', 'failed'] },
  },
  shoal_directory_digests: {
    type: 'gauge',
    help: 'Digests that this agent keeps the directory of, as owner or standby.',
    labels: {},
  },
  shoal_doctor_finding: {
    type: 'gauge',
    help: 'What the agent has found when it last looked after itself (docs/doctor.md): 1 where it is so, else 0.',
    labels: { code: findingCodes },
  },
  shoal_errors_total: {
    type: 'counter',
    help: 'Errors by their code (docs/errors.md).',
    labels: { code: errorCodes },
  },
  shoal_first_byte_seconds: {
    type: 'histogram',
    help: 'From a request at the mirror to the first byte of its answer.',
    labels: { kind: requestKinds },
    buckets: [0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10],
  },
  shoal_leases: {
    type: 'gauge',
    help: 'Leases: held by this agent, and granted by it as a directory host.',
    labels: { role: ['holder', 'host'] },
  },
  shoal_members: {
    type: 'gauge',
    help: 'Agents in the member list, this one included.',
    labels: {},
  },
  shoal_origin_hosts_resting: {
    type: 'gauge',
    help: 'Hosts of registries that do not answer and are left alone for a moment.',
    labels: {},
  },
  shoal_origin_requests_total: {
    type: 'counter',
    help: 'Requests to origins, token services and redirect targets (both `other`), retries included.',
    labels: { kind: requestKinds, status: [...statusClasses, 'failed'] },
  },
  shoal_own_credential_fetches_total: {
    type: 'counter',
    help: "Fetches from origins that went by a credential of the agent's own, since the caller's had run out.",
    labels: {},
  },
  shoal_peers_connected: {
    type: 'gauge',
    help: 'Peers with an open connection.',
    labels: {},
  },
  shoal_rate_limit_bytes_per_second: {
    type: 'gauge',
    help: 'Bytes a second that may move, as set now; 0: no limit.',
    labels: { direction: ['upload', 'download', 'origin'] },
  },
  shoal_requests_total: {
    type: 'counter',
    help: 'Requests at the mirror, by what they ask for and how they ended.',
    labels: { kind: requestKinds, status: statusClasses },
  },
  shoal_sessions: {
    type: 'gauge',
    help: 'Blobs that this node is fetching now.',
    labels: {},
  },
  shoal_stale_tags_total: {
    type: 'counter',
    help: 'Tags told as the registry last said, since it is down and --origin-failover lets that count.',
    labels: {},
  },
  shoal_store_blobs: {
    type: 'gauge',
    help: 'Blobs in the store.',
    labels: { state: ['complete', 'partial'] },
  },
  shoal_store_bytes: {
    type: 'gauge',
    help: 'Bytes that the store takes on disk.',
    labels: {},
  },
  shoal_unbudgeted_fetches_total: {
    type: 'counter',
    help: 'Fetches from the origin outside its budget: readers waited too long for witnesses, or a blob of peers was wrong.',
    labels: {},
  },
  shoal_uploads_total: {
    type: 'counter',
    help: 'Chunk requests of peers, by how they ended.',
    labels: { outcome: ['sent', 'cancelled', 'busy', 'missing', 'failed'] },
  },
} as const satisfies Record<string, MetricSpec>

type Table = typeof metricTable
export type MetricName = keyof Table
type NamesOf<Type> = { [Name in MetricName]: Table[Name]['type'] extends Type ? Name : never }[MetricName]

export type MetricLabels<Name extends MetricName> = {
  readonly [Label in keyof Table[Name]['labels']]: Table[Name]['labels'][Label] extends readonly (infer Value)[]
    ? Value
    : never
}
/** Labels go last and are left out where a metric has none. */
type LabelArguments<Name extends MetricName> = [keyof Table[Name]['labels']] extends [never]
  ? []
  : [labels: MetricLabels<Name>]

export interface Metrics {
  add<Name extends NamesOf<'counter'>>(name: Name, by: number, ...labels: LabelArguments<Name>): void
  set<Name extends NamesOf<'gauge'>>(name: Name, value: number, ...labels: LabelArguments<Name>): void
  /** `read` is called at each scrape, and sets what it knows. */
  onScrape(read: () => void): void
  /** In the unit of the name. */
  observe<Name extends NamesOf<'histogram'>>(name: Name, value: number, ...labels: LabelArguments<Name>): void
  /** The Prometheus text format. */
  render(): Promise<string>
  readonly contentType: string
}

/** A registry of its own: two agents in one process share nothing. */
export function createMetrics(): Metrics {
  const registry = new Registry()
  collectDefaultMetrics({ register: registry, eventLoopMonitoringPrecision: limits.eventLoopLookMs })
  const instruments = new Map(
    Object.entries<MetricSpec>(metricTable).map(([name, spec]) => [name, instrument(name, spec, registry)]),
  )
  const readers: (() => void)[] = []
  const record = (name: MetricName, value: number, labels: Readonly<Record<string, unknown>> | undefined): void =>
    instruments.get(name)?.(closed(metricTable[name].labels, labels ?? {}), value)
  return {
    add: (name, by, ...[labels]) => record(name, by, labels),
    set: (name, value, ...[labels]) => record(name, value, labels),
    observe: (name, value, ...[labels]) => record(name, value, labels),
    onScrape: (read) => readers.push(read),
    render: () => {
      for (const read of readers) read()
      return registry.metrics()
    },
    contentType: registry.contentType,
  }
}

/** Keeps label values inside their sets, also where a caller got past the types. Called for every frame that comes. */
function closed(sets: MetricSpec['labels'], given: Readonly<Record<string, unknown>>): Record<string, string> {
  const values: Record<string, string> = {}
  for (const label in sets) values[label] = sets[label]?.find((value) => value === given[label]) ?? 'other'
  return values
}

type Recorder = (labels: Record<string, string>, value: number) => void

function instrument(name: string, { type, help, labels, buckets }: MetricSpec, registry: Registry): Recorder {
  const shape = { name, help, labelNames: Object.keys(labels), registers: [registry] }
  switch (type) {
    case 'counter': {
      const counter = new Counter(shape)
      return (values, by) => counter.inc(values, by)
    }
    case 'gauge': {
      const gauge = new Gauge(shape)
      return (values, value) => gauge.set(values, value)
    }
    case 'histogram': {
      const histogram = new Histogram({ ...shape, buckets: [...(buckets ?? [])] })
      return (values, value) => histogram.observe(values, value)
    }
  }
}
