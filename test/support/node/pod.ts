/**
 * What kubelet makes of a pod for its runtime (kubernetes pkg/kubelet/kuberuntime and pkg/securitycontext): sandbox and container
 * configurations of the CRI. A field that it would not translate here is refused, so that a pod is never run as less than it says.
 */
import path from 'node:path'
import { z } from 'zod'

const keyToPath = z.strictObject({ key: z.string(), path: z.string() })
const probe = z.looseObject({
  httpGet: z.strictObject({ path: z.string(), port: z.union([z.string(), z.number()]), host: z.string().optional() }),
})

const seccompProfile = z.strictObject({ type: z.enum(['RuntimeDefault', 'Unconfined']) })

const containerSecurity = z.strictObject({
  allowPrivilegeEscalation: z.boolean().optional(),
  capabilities: z
    .strictObject({ add: z.array(z.string()).optional(), drop: z.array(z.string()).optional() })
    .optional(),
  privileged: z.literal(false).optional(),
  readOnlyRootFilesystem: z.boolean().default(false),
  runAsGroup: z.number().optional(),
  runAsNonRoot: z.boolean().optional(),
  runAsUser: z.number().optional(),
  seccompProfile: seccompProfile.optional(),
})

const container = z.strictObject({
  name: z.string(),
  image: z.string(),
  imagePullPolicy: z.enum(['Always', 'IfNotPresent', 'Never']).default('IfNotPresent'),
  command: z.array(z.string()).default([]),
  args: z.array(z.string()).default([]),
  env: z
    .array(
      z.strictObject({
        name: z.string(),
        value: z.string().optional(),
        valueFrom: z.strictObject({ fieldRef: z.looseObject({ fieldPath: z.string() }) }).optional(),
      }),
    )
    .default([]),
  volumeMounts: z
    .array(z.strictObject({ name: z.string(), mountPath: z.string(), readOnly: z.boolean().default(false) }))
    .default([]),
  securityContext: containerSecurity.prefault({}),
  resources: z
    .strictObject({
      requests: z.strictObject({ cpu: z.string().optional(), memory: z.string().optional() }).optional(),
      limits: z.strictObject({ memory: z.string().optional() }).optional(),
    })
    .prefault({}),
  // Ports of a pod in the host's network take effect with nobody but the scheduler.
  ports: z.array(z.looseObject({ name: z.string(), containerPort: z.number() })).default([]),
  livenessProbe: probe.optional(),
  readinessProbe: probe.optional(),
  startupProbe: probe.optional(),
})

const volume = z.union([
  z.strictObject({
    name: z.string(),
    hostPath: z.strictObject({ path: z.string(), type: z.enum(['', 'Directory', 'DirectoryOrCreate']).default('') }),
  }),
  z.strictObject({ name: z.string(), configMap: z.strictObject({ name: z.string() }) }),
  z.strictObject({
    name: z.string(),
    secret: z.strictObject({
      secretName: z.string(),
      defaultMode: z.number().default(0o644),
      items: z.array(keyToPath).optional(),
    }),
  }),
])

const podSpec = z.strictObject({
  hostNetwork: z.literal(true),
  // The node's resolver is what a container of the host's network has here, either way.
  dnsPolicy: z.enum(['Default', 'ClusterFirstWithHostNet']).default('Default'),
  initContainers: z.array(container).default([]),
  containers: z.array(container),
  volumes: z.array(volume).default([]),
  securityContext: z
    .strictObject({ fsGroup: z.number().optional(), seccompProfile: seccompProfile.optional() })
    .prefault({}),
  terminationGracePeriodSeconds: z.number().default(30),
  restartPolicy: z.enum(['Always', 'OnFailure', 'Never']).optional(),
  // What follows is for the scheduler and the API server.
  serviceAccountName: z.string().optional(),
  automountServiceAccountToken: z.boolean(),
  enableServiceLinks: z.literal(false),
  priorityClassName: z.string().optional(),
  nodeSelector: z.record(z.string(), z.string()).optional(),
  tolerations: z.array(z.unknown()).optional(),
  affinity: z.unknown().optional(),
})

export const podTemplate = z.strictObject({
  metadata: z.strictObject({
    labels: z.record(z.string(), z.string()),
    annotations: z.record(z.string(), z.string()).default({}),
  }),
  spec: podSpec,
})
export type PodTemplate = z.infer<typeof podTemplate>
export type ContainerSpec = z.infer<typeof container>
export type VolumeSpec = z.infer<typeof volume>

/** What the API server and kubelet know of the pod and its node. */
export interface PodPlace {
  readonly name: string
  readonly namespace: string
  readonly uid: string
  readonly nodeName: string
  readonly nodeIp: string
  /** Those of the node that Kubernetes 1.35 and newer copy to its pods (KEP-4742). */
  readonly topology: Readonly<Record<string, string>>
  /** Variables by which the API is found. */
  readonly service: Readonly<Record<string, string>>
}

/** What the API server adds to a pod that has a token. */
export const tokenMount = {
  name: 'kube-api-access',
  mountPath: '/var/run/secrets/kubernetes.io/serviceaccount',
  readOnly: true,
} as const

const hostNamespaces = { network: 'NODE', pid: 'CONTAINER', ipc: 'POD' } as const

export function sandboxConfig({ metadata, spec }: PodTemplate, { name, namespace, uid }: PodPlace): object {
  return {
    metadata: { name, namespace, uid },
    log_directory: `/var/log/pods/${namespace}_${name}_${uid}`,
    labels: metadata.labels,
    annotations: metadata.annotations,
    linux: {
      security_context: {
        namespace_options: { ...hostNamespaces, pid: 'POD' },
        supplemental_groups: groupsOf(spec),
        seccomp: { profile_type: 'RuntimeDefault' },
      },
    },
  }
}

/** `volumes` says where on the node each volume of the pod is. */
export function containerConfig(
  given: ContainerSpec,
  template: PodTemplate,
  place: PodPlace,
  volumes: ReadonlyMap<string, string>,
): object {
  const env = environment(given, template, place)
  return {
    metadata: { name: given.name },
    image: { image: given.image },
    command: given.command.map((word) => expand(word, env)),
    args: given.args.map((word) => expand(word, env)),
    envs: [...env].map(([key, value]) => ({ key, value })),
    mounts: [...given.volumeMounts, ...tokenMounts(template)].map(({ name, mountPath, readOnly }) => ({
      container_path: mountPath,
      host_path: found(volumes.get(name), `volume ${name}`),
      readonly: readOnly,
    })),
    log_path: `${given.name}.log`,
    linux: { resources: resources(given), security_context: securityContext(given, template) },
  }
}

function securityContext({ name, securityContext: own }: ContainerSpec, { spec }: PodTemplate): object {
  if (own.runAsNonRoot === true && own.runAsUser === 0)
    throw new Error(`${name} has runAsNonRoot and would run as root`)
  const { type } = own.seccompProfile ?? spec.securityContext.seccompProfile ?? { type: 'Unconfined' }
  return {
    capabilities: { add_capabilities: own.capabilities?.add ?? [], drop_capabilities: own.capabilities?.drop ?? [] },
    privileged: false,
    namespace_options: hostNamespaces,
    ...(own.runAsUser === undefined ? {} : { run_as_user: { value: own.runAsUser } }),
    ...(own.runAsGroup === undefined ? {} : { run_as_group: { value: own.runAsGroup } }),
    readonly_rootfs: own.readOnlyRootFilesystem,
    supplemental_groups: groupsOf(spec),
    no_new_privs: own.allowPrivilegeEscalation === false,
    seccomp: { profile_type: type },
    masked_paths: [
      '/proc/acpi',
      '/proc/kcore',
      '/proc/keys',
      '/proc/latency_stats',
      '/proc/timer_list',
      '/sys/firmware',
    ],
    readonly_paths: ['/proc/bus', '/proc/fs', '/proc/irq', '/proc/sys', '/proc/sysrq-trigger'],
  }
}

function groupsOf({ securityContext: { fsGroup } }: PodTemplate['spec']): number[] {
  return fsGroup === undefined ? [] : [fsGroup]
}

function resources({ resources: { limits } }: ContainerSpec): object {
  return limits?.memory === undefined ? {} : { memory_limit_in_bytes: bytesOf(limits.memory) }
}

function bytesOf(quantity: string): number {
  const [, amount, unit = ''] = /^(\d+)(|Ki|Mi|Gi)$/.exec(quantity) ?? []
  if (amount === undefined) throw new Error(`${quantity} is no quantity that this kubelet reads`)
  return Number(amount) * 1024 ** ['', 'Ki', 'Mi', 'Gi'].indexOf(unit)
}

function tokenMounts({ spec }: PodTemplate): (typeof tokenMount)[] {
  return spec.automountServiceAccountToken ? [tokenMount] : []
}

function environment({ env }: ContainerSpec, template: PodTemplate, place: PodPlace): Map<string, string> {
  const made = new Map(Object.entries(place.service))
  for (const { name, value, valueFrom } of env) {
    made.set(
      name,
      valueFrom === undefined ? expand(value ?? '', made) : field(valueFrom.fieldRef.fieldPath, template, place),
    )
  }
  return made
}

/** `$(NAME)` is a variable that came before; of one that did not, the text stays. */
function expand(text: string, variables: ReadonlyMap<string, string>): string {
  return text.replaceAll(/\$\((?<name>[\w.-]+)\)/g, (all, name: string) => variables.get(name) ?? all)
}

function field(fieldPath: string, { metadata }: PodTemplate, place: PodPlace): string {
  const label = /^metadata\.labels\['(?<name>[^']+)'\]$/.exec(fieldPath)?.groups?.['name']
  if (label !== undefined) return metadata.labels[label] ?? place.topology[label] ?? ''
  const fields: Readonly<Record<string, string>> = {
    'metadata.name': place.name,
    'metadata.namespace': place.namespace,
    'metadata.uid': place.uid,
    'spec.nodeName': place.nodeName,
    'status.hostIP': place.nodeIp,
    // Of a pod in the host's network.
    'status.podIP': place.nodeIp,
  }
  return found(fields[fieldPath], `field ${fieldPath}`)
}

/** Where it is asked whether the container is ready. */
export function readinessUrl({ ports, readinessProbe }: ContainerSpec, nodeIp: string): string {
  const { path: target, port, host = nodeIp } = found(readinessProbe, 'readinessProbe').httpGet
  const number = typeof port === 'number' ? port : ports.find(({ name }) => name === port)?.containerPort
  return new URL(target, `http://${host}:${found(number, `port ${port}`)}`).href
}

/** Below kubelet's own directory. */
export function volumeDirectory(uid: string, kind: string, name: string): string {
  return path.posix.join('/var/lib/kubelet/pods', uid, 'volumes', `kubernetes.io~${kind}`, name)
}

function found<Value>(value: Value | undefined, what: string): Value {
  if (value === undefined) throw new Error(`this kubelet knows no ${what}`)
  return value
}
