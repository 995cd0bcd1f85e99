/**
 * The values of charts/shoal, described once: values.schema.json derives from this, with the agent's options as agent/config.ts has
 * them. What each value is for stands above it in values.yaml.
 */
import { z } from 'zod'
import { configSchema } from '../../agent/config.ts'
import { dnsServer, duration } from '../../agent/config-values.ts'
import { configureSchema } from '../configure/configure-options.ts'

/** What Kubernetes itself checks. */
const anything = z.record(z.string(), z.unknown())
const list = z.array(anything)
const texts = z.record(z.string(), z.string())
const name = z.string().regex(/^([a-z0-9]([a-z0-9.-]*[a-z0-9])?)?$/, 'expected a name as Kubernetes has them')

/** Options of the agent and of configure, which share one file; whose the data directory is follows from the container's user. */
const config = configSchema.extend(configureSchema.omit({ dataDirOwner: true }).shape)

const agent = z.strictObject({
  config,
  configure: z.boolean(),
  nodeSelector: texts,
  tolerations: list,
  affinity: anything,
  priorityClassName: name,
  updateStrategy: anything,
  revisionHistoryLimit: z.int().min(0),
  terminationGracePeriodSeconds: z.int().min(1),
  resources: anything,
  podSecurityContext: anything,
  securityContext: anything,
  daemonsetAnnotations: texts,
  podAnnotations: texts,
  podLabels: texts,
  livenessProbe: anything,
  readinessProbe: anything,
  startupProbe: anything,
  extraArgs: z.array(z.string()),
  extraEnv: list,
  extraVolumes: list,
  extraVolumeMounts: list,
  extraInitContainers: list,
})

/** Above a pool Helm itself takes away what is null. */
const configOfPool = z.strictObject(
  Object.fromEntries(Object.entries(config.shape).map(([option, schema]) => [option, schema.nullable()])),
)
const pool = agent.partial().extend({ nodeSelector: texts, config: configOfPool.optional() })
/** The end of its objects' names. */
const poolName = z.string().regex(/^[a-z0-9]([a-z0-9-]{0,14}[a-z0-9])?$/, 'expected a short name in lower case')

export const chartValues = z.strictObject({
  global: anything,
  image: z.strictObject({
    repository: z.string().min(1),
    tag: z.string(),
    digest: z.string().regex(/^(sha256:[0-9a-f]{64})?$/),
    pullPolicy: z.enum(['Always', 'IfNotPresent', 'Never']),
  }),
  imagePullSecrets: z.array(z.strictObject({ name })),
  nameOverride: name,
  fullnameOverride: name,
  namespaceOverride: name,
  clusterDomain: name,
  commonLabels: texts,
  clusterSecret: z.strictObject({ existingSecret: name, key: z.string().min(1), previousKey: z.string() }),
  clusterDns: z.strictObject({ servers: z.array(dnsServer) }),
  serviceAccount: z.strictObject({ create: z.boolean(), name, annotations: texts }),
  rbac: z.strictObject({ create: z.boolean() }),
  resourceQuota: z.strictObject({ enabled: z.boolean() }),
  topology: z.strictObject({ readNode: z.union([z.boolean(), z.literal('auto')]) }),
  events: z.strictObject({ enabled: z.boolean() }),
  agent,
  pools: z.record(poolName, pool),
  service: z.strictObject({
    annotations: texts,
    ipFamilyPolicy: z.enum(['SingleStack', 'PreferDualStack', 'RequireDualStack']),
    ipFamilies: z.array(z.enum(['IPv4', 'IPv6'])),
  }),
  serviceMonitor: z.strictObject({
    enabled: z.boolean(),
    interval: z.string(),
    scrapeTimeout: z.string(),
    labels: texts,
    relabelings: list,
    metricRelabelings: list,
  }),
  cleanup: z.strictObject({ enabled: z.boolean(), timeout: duration }),
  prepull: z.strictObject({ enabled: z.boolean(), timeout: duration }),
  startupTaint: z.strictObject({ enabled: z.boolean(), key: z.string().min(1) }),
  hooks: z.strictObject({ tolerations: list }),
  extraManifests: z.array(z.union([z.string(), anything])),
})
