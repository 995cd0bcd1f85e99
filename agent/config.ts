/**
 * Every option of `shoal agent`, described once. Flags, environment names, the config file's keys, `--help`,
 * docs/options.md and docs/agent.schema.json all derive from `configSchema`; an option `storeMaxBytes` is the flag
 * `--store-max-bytes`, the variable `SHOAL_STORE_MAX_BYTES` and the key `storeMaxBytes` of the file.
 */
import { isIP, isIPv4 } from 'node:net'
import { networkInterfaces } from 'node:os'
import ipaddr from 'ipaddr.js'
import { z } from 'zod'
import { ShoalError } from '../core/errors.ts'
import { limits } from '../core/limits.ts'
import { borders } from '../core/members/places.ts'
import { parsePattern, ruleActions } from '../core/rules.ts'
import { minute } from '../core/units.ts'
import { accessModes, enforcements, failovers, failoverSynonyms, type Failover } from './access/policy.ts'
import { describeIssue } from './config-faults.ts'
import { byteRate, byteSize, dnsServer, duration, formatHostPort, hostPort } from './config-values.ts'
import { classifyAddress } from './upstream/addresses.ts'
import { parseOrigin } from './upstream/origin-name.ts'

export const optionGroups = [
  'Listeners',
  'Cluster',
  'Origins',
  'Store',
  'Limits',
  'Behaviour',
  'Logs',
  'containerd',
] as const

export interface OptionNotes {
  readonly group: (typeof optionGroups)[number]
  readonly description: string
  /** How a flag's text becomes data: as it is, a number, `true`/`false`, or a list (comma-separated, repeated, or JSON). */
  readonly text: 'plain' | 'number' | 'switch' | 'list'
  /** What the value is called in the help, as in `--seeds <host:port>`. */
  readonly value?: string
  /** What holds when nothing is given and the schema has no default of its own. */
  readonly otherwise?: string
  readonly examples: readonly unknown[]
  /** SIGHUP has the running agent take it over. */
  readonly live?: true
  /** The value names a file that holds a secret; the secret itself is never an option. */
  readonly secretFile?: true
}

/** Options by their camel-case names, each with its notes. */
export type OptionSchema = z.ZodObject<Readonly<Record<string, z.ZodType>>>

export const optionNotes = z.registry<OptionNotes>()

/** Describes an option; `--help`, the documentation and where its value may come from follow. */
export function note<Schema extends z.ZodType>(schema: Schema, notes: OptionNotes): Schema {
  optionNotes.add(schema, notes)
  return schema
}

const filePath = z.string().min(1)
const registryHost = 'expected a registry host in lower case, as registry.example.com:5000'
export const hostName = z
  .string()
  .regex(/^[a-z0-9](?:[a-z0-9.-]*[a-z0-9])?(?::\d{1,5})?$/, { error: registryHost, abort: true })
  .refine((text) => parseOrigin(text) !== undefined, registryHost)

const ownName = z
  .string()
  .regex(/^[a-z0-9](?:[a-z0-9.-]*[a-z0-9])?$/, 'expected a name in lower case and without a port, as shoal.local')

const accessMode = z.enum(accessModes)
const enforcement = z.enum(enforcements)
const isSynonym = (text: string): text is keyof typeof failoverSynonyms => Object.hasOwn(failoverSynonyms, text)
const failover = z
  .enum([...failovers, ...Object.keys(failoverSynonyms).filter(isSynonym)])
  .transform((name): Failover => (isSynonym(name) ? failoverSynonyms[name] : name))

/** What the origin client asks: it shows no user, and writes the rest behind the path. Also true of what is no URL, which `z.url` refuses. */
function isBaseUrl(text: string): boolean {
  const url = URL.parse(text)
  if (url === null) return true
  return url.username + url.password + url.search + url.hash === '' && parseOrigin(url.host) !== undefined
}

const originObject = z.strictObject({
  host: hostName.meta({ description: 'The registry host as image names have it, with its port where it has one.' }),
  baseUrl: z
    .url({ protocol: /^https?$/ })
    .refine(
      isBaseUrl,
      'expected a URL with a host and perhaps a path, as https://registry.example.com/v2-proxy, and nothing else',
    )
    .optional()
    .meta({ description: 'Where the registry is reached; `https://<host>` unless given (`http:` with plainHttp).' }),
  plainHttp: z.boolean().default(false).meta({ description: 'Speak HTTP without TLS to this origin.' }),
  caFiles: z
    .array(filePath)
    .default([])
    .meta({ description: 'PEM files of CAs that only this origin is checked against, besides the usual ones.' }),
  private: z.boolean().default(true).meta({
    description:
      'May the origin have private or loopback addresses, and what it redirects to private ones? Metadata addresses never.',
  }),
  access: accessMode.optional().meta({ description: 'As originAccess, which holds unless given.' }),
  enforcement: enforcement.optional().meta({ description: 'As originEnforcement, which holds unless given.' }),
  failover: failover.optional().meta({ description: 'As originFailover, which holds unless given.' }),
  failoverMs: duration.optional().meta({ description: 'As originFailoverMs, which holds unless given.' }),
})

const ruleObject = z
  .strictObject({
    pattern: z
      .string()
      .refine((text) => parsePattern(text) !== undefined, 'expected <registry>[/<repository>[:<tag>]] with * and **')
      .meta({
        description: 'Which images: `<registry>[/<repository>[:<tag>]]`, with `*` and `**`; see docs/access.md.',
      })
      .transform(byCanonicalName),
    action: z.enum(ruleActions).meta({ description: 'What becomes of them.' }),
  })
  .refine(
    ({ pattern, action }) => action !== 'unshared' || parsePattern(pattern)?.tag === undefined,
    'unshared takes no tag: what is shared between nodes is content, which is asked for by digest',
  )

/** Images are known by the one name of their registry (origin-name.ts): a rule by another one would match none. */
function byCanonicalName(pattern: string): string {
  const { host = '' } = parsePattern(pattern) ?? {}
  const name = parseOrigin(host)?.text ?? host.replace(/:443$/, '')
  return name + pattern.slice(host.length)
}

/** `registry.corp/team/**=unshared`, the short form of a rule. */
const ruleText = z
  .string()
  .regex(/^[^=]+=[a-z]+$/, 'expected <pattern>=<action>, or an object with `pattern` and `action`')
  .transform((text): unknown => {
    const [pattern, action] = text.split('=')
    return { pattern, action }
  })
  .pipe(ruleObject)

/** `registry.example.com` or `http://127.0.0.1:5000`, the short forms of an origin. */
const originText = z
  .string()
  .regex(
    /^(https?:\/\/)?[a-z0-9][a-z0-9.:-]*$/,
    'expected a registry host, its URL without a path, or an object with `host`',
  )
  .transform((text): unknown => ({ host: text.replace(/^https?:\/\//, ''), plainHttp: text.startsWith('http://') }))
  .pipe(originObject)

/** An Event's `reportingInstance`, which the pod's name becomes, has 128 characters at most. */
const podText = z
  .string()
  .regex(/^[a-z0-9-]{1,63}\/[a-z0-9.-]{1,128}\/[a-z0-9-]+$/, 'expected <namespace>/<name>/<uid> of a pod')
  .transform((text) => {
    const [namespace = '', name = '', uid = ''] = text.split('/')
    return { namespace, name, uid }
  })

export const configSchema = z.strictObject({
  containerdRegistryConfigPath: note(
    z
      .string()
      .regex(
        /^\/[^:]*$/,
        'expected one absolute path; containerd 2.1 and newer ignore mirrors where config_path is a list',
      )
      .default('/etc/containerd/certs.d'),
    {
      group: 'containerd',
      description: "The directory that `config_path` in containerd's config.toml names; it must be a single one.",
      text: 'plain',
      value: 'directory',
      examples: ['/etc/containerd/certs.d'],
    },
  ),
  containerdConfigFile: note(filePath.default('/etc/containerd/config.toml'), {
    group: 'containerd',
    description:
      "containerd's own configuration, which is read, with the files it imports, and never written: `shoal doctor` says what in it keeps pulls away from the mirror.",
    text: 'plain',
    value: 'file',
    examples: ['/var/lib/rancher/k3s/agent/etc/containerd/config.toml'],
  }),
  dataDir: note(filePath.default('/var/lib/shoal'), {
    group: 'Store',
    description: 'Where chunks, the node identity and everything else that outlives a restart rest.',
    text: 'plain',
    value: 'directory',
    examples: ['/mnt/nvme/shoal'],
  }),
  mirrorListen: note(hostPort(0).prefault('127.0.0.1:5050'), {
    group: 'Listeners',
    description: 'The pull endpoint for containerd. Keep it on loopback: whoever reaches it pulls through this node.',
    text: 'plain',
    value: 'host:port',
    examples: ['127.0.0.1:30020'],
  }),
  mirrorProtocol: note(z.enum(['https', 'http']).default('https'), {
    group: 'Listeners',
    description:
      "What the mirror speaks. https: under a CA of this node's own, and to those only who show this node's secret; `shoal configure` tells containerd of both. http: to whoever reaches it, and whoever takes its port while no agent runs is sent what containerd sends.",
    text: 'plain',
    examples: ['http'],
  }),
  mirrorHostNames: note(z.array(ownName).default([]), {
    group: 'Listeners',
    description:
      'Names that the Host header of a request to the mirror may have, beside localhost and any IP address; on any port.',
    text: 'list',
    value: 'name',
    examples: [['shoal.local']],
  }),
  peersListen: note(hostPort(0).prefault('0.0.0.0:5051'), {
    group: 'Listeners',
    description: 'Where other agents meet this one (libp2p over TCP, encrypted, cluster members only).',
    text: 'plain',
    value: 'host:port',
    examples: ['10.0.0.7:5051'],
  }),
  bulkListen: note(hostPort(0).prefault('0.0.0.0:5054'), {
    group: 'Listeners',
    description:
      'Where other agents say what they hold and want, and fetch chunks (TLS over TCP, under a key that they were told over the peers listener). They find it at the address of the peers listener.',
    text: 'plain',
    value: 'host:port',
    examples: ['10.0.0.7:5054'],
  }),
  clusterListen: note(hostPort(0).prefault('0.0.0.0:5052'), {
    group: 'Listeners',
    description:
      'Where other agents ask for the directory, the members and small content (HTTP, every message under a MAC).',
    text: 'plain',
    value: 'host:port',
    examples: ['10.0.0.7:5052'],
  }),
  opsListen: note(hostPort(0).prefault('127.0.0.1:5053'), {
    group: 'Listeners',
    description: 'Health, readiness and metrics: /healthz, /readyz, /metrics.',
    text: 'plain',
    value: 'host:port',
    examples: ['0.0.0.0:5053'],
  }),
  advertiseAddress: note(z.union([z.ipv4(), z.ipv6()], 'expected an IP address').optional(), {
    group: 'Cluster',
    description: 'The IP address under which other agents reach this node.',
    text: 'plain',
    value: 'address',
    otherwise: 'the address of peers-listen, or the first that others can dial where that is 0.0.0.0 or ::',
    examples: ['10.0.0.7'],
  }),
  seeds: note(z.array(hostPort(1)).prefault([]), {
    group: 'Cluster',
    description:
      'Cluster listeners of other agents, from which this one learns the members: the same ones, in the same order, on all agents. The first three are asked; one that answers is enough.',
    text: 'list',
    value: 'host:port',
    examples: [['10.0.0.7:5052', '10.0.0.8:5052']],
  }),
  seedsDns: note(hostPort(1).optional(), {
    group: 'Cluster',
    description:
      'A DNS name whose addresses are agents (a headless Service), and the port of their cluster listeners. They count after the seeds, in sorted order.',
    text: 'plain',
    value: 'name:port',
    otherwise: 'no look-up',
    examples: ['shoal.shoal-system.svc.cluster.local:5052'],
  }),
  seedsDnsServers: note(z.array(dnsServer).default([]), {
    group: 'Cluster',
    description:
      'DNS servers that are asked for that name, and for nothing else: registries resolve as this node resolves them. Without the search list, so the name must be complete.',
    text: 'list',
    value: 'address',
    otherwise: "the node's resolver is asked",
    examples: [['10.96.0.10', '[fd00::a]:53']],
  }),
  clusterSecretFile: note(filePath.optional(), {
    group: 'Cluster',
    description:
      'A file with the 32 random bytes that all agents of a cluster share: raw, hex or base64. Make one with `openssl rand -hex 32`.',
    text: 'plain',
    value: 'file',
    otherwise: 'none; the agent then starts only with standalone',
    examples: ['/etc/shoal/cluster-secret'],
    secretFile: true,
  }),
  previousClusterSecretFile: note(filePath.optional(), {
    group: 'Cluster',
    description:
      'The secret that is being replaced: agents that still use it stay members until it is taken away here.',
    text: 'plain',
    value: 'file',
    otherwise: 'only the cluster secret counts',
    examples: ['/etc/shoal/previous-cluster-secret'],
    secretFile: true,
  }),
  standalone: note(z.boolean().default(false), {
    group: 'Cluster',
    description: 'Run without a cluster: a mirror with its own store, no peers.',
    text: 'switch',
    examples: [true],
  }),
  nodeName: note(z.string().min(1).max(253).optional(), {
    group: 'Cluster',
    description:
      "The Kubernetes Node that the agent runs on: zone and region, where they are not given, are read from its labels, by the pod's service account. Where that fails the agent starts without.",
    text: 'plain',
    value: 'name',
    otherwise: 'no Node is read',
    examples: ['ip-10-0-0-7.eu-west-1.compute.internal'],
  }),
  eventsPod: note(podText.optional(), {
    group: 'Cluster',
    description:
      'The pod that the agent runs in, as namespace/name/uid: what doctor finds is written as Kubernetes Events of that pod, by its service account, which must be allowed to create and patch Events there. Where that fails it is logged, and nothing else.',
    text: 'plain',
    value: 'namespace/name/uid',
    otherwise: 'no Events are written',
    examples: ['shoal-system/shoal-agent-x2x4k/0b6c2d4e-8f1a-4c3b-9d5e-7a6f1b2c3d4e'],
  }),
  zone: note(z.string().min(1).max(253).optional(), {
    group: 'Cluster',
    description: 'The zone of this node. Agents prefer peers of their own zone, then of their region.',
    text: 'plain',
    value: 'name',
    otherwise: 'none',
    examples: ['eu-west-1a'],
  }),
  region: note(z.string().min(1).max(253).default('default'), {
    group: 'Cluster',
    description:
      'The region of this node. All members of a cluster share one copy from the origin, whatever their regions.',
    text: 'plain',
    value: 'name',
    examples: ['eu-west-1'],
  }),
  border: note(z.enum(borders).default('none'), {
    group: 'Cluster',
    description:
      'Where traffic is billed: chunks cross between zones, or regions, about once each. Give all agents of a cluster the same.',
    text: 'plain',
    value: 'none|zone|region',
    examples: ['region'],
  }),
  origins: note(z.array(z.union([originText, originObject])).prefault([]), {
    group: 'Origins',
    description:
      'Registries with something special: plain HTTP, a base URL, CAs, an IP address for a name, private or loopback addresses, an access policy. Each a host, a URL, or an object (as JSON in a flag).',
    text: 'list',
    value: 'origin',
    examples: [
      ['registry.example.com', 'http://127.0.0.1:5000'],
      [{ host: 'registry.corp:5000', caFiles: ['/etc/shoal/corp-ca.pem'], failover: 'SameRepository' }],
    ],
  }),
  originPatterns: note(z.array(z.string().min(1).max(253)).default([]), {
    group: 'Origins',
    description:
      'Patterns of registry hosts that may have private addresses. `*` stands for any part of one label; no pattern matches an IP address.',
    text: 'list',
    value: 'pattern',
    examples: [['*.dkr.ecr.*.amazonaws.com', '*.corp.example.com']],
  }),
  unlistedOrigins: note(z.enum(['public', 'refused']).default('public'), {
    group: 'Origins',
    description:
      'Registries that are neither listed nor match a pattern: reached where their addresses are public, or refused.',
    text: 'plain',
    examples: ['refused'],
  }),
  originAccess: note(accessMode.default('origin'), {
    group: 'Origins',
    description:
      'Who says who may read. origin: the registry, which sees the credential of each caller. exchange: the same, but the agent takes the password and gets the token itself. anonymous-only: nothing is handled but what the registry shows to nobody. open: whoever reaches the mirror may read. See docs/access.md.',
    text: 'plain',
    examples: ['exchange'],
  }),
  originEnforcement: note(enforcement.default('NewRepository'), {
    group: 'Origins',
    description:
      'How far one yes of a registry reaches for a minute: nowhere (every request is asked about), or to the same registry, repository or image.',
    text: 'plain',
    examples: ['NewImage'],
  }),
  originFailover: note(failover.prefault('Deny'), {
    group: 'Origins',
    description:
      'What a credential still opens while the registry is down: nothing, what it was shown before (the same image, repository or registry), or everything to everybody. deny, granted and open are other names for Deny, SameRepository and Allow.',
    text: 'plain',
    examples: ['SameRepository'],
  }),
  originFailoverMs: note(duration.prefault('24h'), {
    group: 'Origins',
    description:
      'How long that holds after the last yes, and how long what a registry shows to everybody stays readable while it is down. 0: not at all.',
    text: 'plain',
    value: 'time',
    examples: ['4h'],
  }),
  rules: note(
    z
      .array(z.union([ruleText, ruleObject]))
      .max(limits.rulesMax)
      .prefault([]),
    {
      group: 'Origins',
      description:
        'What becomes of which images; the first rule that matches decides. mirror: as without a rule. unshared: through the mirror, but never shared with other nodes. pass: left to the client, which goes to the registry itself. refuse: refused here. See docs/access.md.',
      text: 'list',
      value: 'pattern=action',
      examples: [
        ['registry.corp:5000/secret/**=unshared', 'docker.io/**:latest=pass'],
        [{ pattern: '*.example.com', action: 'refuse' }],
      ],
    },
  ),
  defaultOrigin: note(hostName.default('docker.io'), {
    group: 'Origins',
    description: "The origin of requests that name none, as those of Docker's `registry-mirrors`.",
    text: 'plain',
    value: 'host',
    examples: ['registry.example.com'],
  }),
  credentialProviderConfig: note(filePath.optional(), {
    group: 'Origins',
    description:
      "The CredentialProviderConfig of this node's kubelet: what the agent fetches ahead for nobody who waits it fetches by these providers. They open nothing to callers (docs/credentials.md).",
    text: 'plain',
    value: 'file',
    otherwise: 'no credential providers are used',
    examples: ['/etc/eks/image-credential-provider/config.json'],
  }),
  credentialProviderBinDir: note(filePath.optional(), {
    group: 'Origins',
    description: 'Where the programs are that the credential provider config names.',
    text: 'plain',
    value: 'directory',
    otherwise: 'the directory of that config',
    examples: ['/home/kubernetes/bin'],
  }),
  registryConfigs: note(z.array(filePath).default([]), {
    group: 'Origins',
    description:
      "Docker config files, and directories where Secrets of type kubernetes.io/dockerconfigjson are mounted, with credentials of the agent's own; used as those of the providers, and after them.",
    text: 'list',
    value: 'file',
    examples: [['/etc/shoal/registry-secret', '/root/.docker/config.json']],
    secretFile: true,
  }),
  extraCaFiles: note(z.array(filePath).default([]), {
    group: 'Origins',
    description: 'PEM files of CAs that every origin may be signed by, besides those that Node.js trusts.',
    text: 'list',
    value: 'file',
    examples: [['/etc/ssl/certs/corp-ca.pem']],
  }),
  storeMaxBytes: note(byteSize.prefault('64GiB'), {
    group: 'Store',
    description:
      'The most that the store takes on disk. A larger blob passes through unkept, and at 0 all of them do; what passes through is not given to peers.',
    text: 'plain',
    value: 'size',
    examples: ['200GiB'],
  }),
  storeHighWatermarkPercent: note(z.int().min(1).max(100).default(80), {
    group: 'Store',
    description:
      'Blobs are evicted when the filesystem is fuller than this, whoever filled it; where that does not help, new ones pass through unkept. Stay below the 85 % at which kubelet collects images.',
    text: 'number',
    value: 'percent',
    examples: [82],
  }),
  storeLowWatermarkPercent: note(z.int().min(0).max(99).default(75), {
    group: 'Store',
    description: 'Eviction goes on until the filesystem is no fuller than this.',
    text: 'number',
    value: 'percent',
    examples: [70],
  }),
  containerdContentDir: note(filePath.optional(), {
    group: 'Store',
    description:
      "containerd's content directory, read and never written: what it holds is served without a second copy.",
    text: 'plain',
    value: 'directory',
    otherwise: "containerd's copies are not used",
    examples: ['/var/lib/containerd/io.containerd.content.v1.content'],
  }),
  prefetchLayers: note(z.int().min(0).max(16).default(2), {
    group: 'Behaviour',
    description: 'How many layers after the highest one requested are fetched ahead, below any reader. 0 fetches none.',
    text: 'number',
    value: 'layers',
    examples: [0],
  }),
  witnesses: note(z.int().min(1).max(3).default(1), {
    group: 'Behaviour',
    description:
      "How many agents, at different addresses, must agree on a chunk's hash before containerd gets it ahead of the whole blob's proof. With 2 or 3 no single liar makes a pull fail; a blob that nobody had before is then handed over once it is whole.",
    text: 'number',
    value: 'agents',
    examples: [2],
  }),
  uploadLimit: note(byteRate.prefault(0), {
    group: 'Limits',
    description: 'The most that is given to peers, a second, over all of them. Peers then take more from each other.',
    text: 'plain',
    value: 'size',
    examples: ['50MiB'],
    live: true,
  }),
  downloadLimit: note(byteRate.prefault(0), {
    group: 'Limits',
    description:
      'The most that is taken from peers and origins together, a second. What is read goes before what is fetched ahead.',
    text: 'plain',
    value: 'size',
    examples: ['100MiB'],
    live: true,
  }),
  originLimit: note(byteRate.prefault(0), {
    group: 'Limits',
    description:
      'The most that this node takes from origins, a second. What it holds a lease for reaches all others no faster.',
    text: 'plain',
    value: 'size',
    examples: ['20MiB'],
    live: true,
  }),
  shutdownTimeoutMs: note(duration.refine((ms) => ms <= 10 * minute, 'expected at most 10m').prefault('25s'), {
    group: 'Behaviour',
    description:
      'How long the agent may take to stop after SIGTERM; stay below the grace period of the pod. Running responses and uploads may end meanwhile: responses get all but the last five seconds, at least half of it. In the first half of that, what only this node has goes to others.',
    text: 'plain',
    value: 'time',
    examples: ['40s'],
  }),
  handOverMaxBytes: note(byteSize.prefault('1GiB'), {
    group: 'Behaviour',
    description:
      'How much of the blobs that only this node has is given to others when it stops, the smallest first; they take what they have free room for. What others read at that moment goes to them in any case. An agent that is restarted comes back with all it had, and does not know at SIGTERM that it will: so a part of what is given then is given for nothing, once, as two have it from then on.',
    text: 'plain',
    value: 'size',
    examples: ['0', '10GiB'],
  }),
  logLevel: note(z.enum(['fatal', 'error', 'warn', 'info', 'debug', 'trace']).default('info'), {
    group: 'Logs',
    description:
      'The least severe level that is logged. `debug` and `trace` also show the stack where the start fails.',
    text: 'plain',
    examples: ['debug'],
  }),
  logFormat: note(z.enum(['json', 'pretty']).default('json'), {
    group: 'Logs',
    description: 'One JSON object a line, or lines for people.',
    text: 'plain',
    examples: ['pretty'],
  }),
})

export const optionNames = configSchema.keyof().options
export type OptionName = (typeof optionNames)[number]

export function isLive(name: OptionName): boolean {
  return optionNotes.get(configSchema.shape[name])?.live === true
}

/** What the agent reads: every default filled in, every text parsed. */
export type AgentConfig = Readonly<Omit<z.output<typeof configSchema>, 'advertiseAddress'>> & {
  readonly advertiseAddress: string
}

/**
 * Checks one set of options and fills in what was left out. Throws `CONFIG_INVALID`, naming every fault at once;
 * `where` says for each option where its value came from.
 */
export function parseConfig(input: unknown, where?: WhereFrom): AgentConfig {
  const options = parseOptions(configSchema, input, where, knownKeys)
  const faults = contradictions(options)
  if (faults.length > 0) throw new ShoalError('CONFIG_INVALID', faults.join('; '))
  return Object.freeze({
    ...options,
    advertiseAddress: options.advertiseAddress ?? ownAddress(options.peersListen.host),
  })
}

type WhereFrom = (option: string) => string | undefined

/** The same for options that no other contradicts. */
export function parseOptions<Schema extends OptionSchema>(
  schema: Schema,
  input: unknown,
  where: WhereFrom = () => undefined,
  known: (path: readonly PropertyKey[]) => readonly string[] = () => Object.keys(schema.shape),
): z.output<Schema> {
  const parsed = schema.safeParse(input)
  if (parsed.success) return parsed.data
  const faults = parsed.error.issues.flatMap((issue) => describeIssue(issue, known, where))
  throw new ShoalError('CONFIG_INVALID', faults.join('; '))
}

function knownKeys(path: readonly PropertyKey[]): string[] {
  if (path.length === 0) return Object.keys(configSchema.shape)
  return Object.keys(path[0] === 'rules' ? ruleObject.shape : originObject.shape)
}

type ParsedOptions = z.output<typeof configSchema>

function contradictions(options: ParsedOptions): string[] {
  const faults: string[] = []
  const joins = options.seeds.length > 0 || options.seedsDns !== undefined
  if (options.standalone && (joins || options.clusterSecretFile !== undefined))
    faults.push('standalone excludes seeds, seedsDns and clusterSecretFile')
  if (!options.standalone) faults.push(...unreachable(options))
  if (!options.standalone && options.clusterSecretFile === undefined)
    faults.push('clusterSecretFile is missing: name the secret that the agents of the cluster share, or set standalone')
  if (options.previousClusterSecretFile !== undefined && options.clusterSecretFile === undefined)
    faults.push('previousClusterSecretFile needs clusterSecretFile')
  if (options.mirrorProtocol === 'http' && exchangesSomewhere(options) && !isLoopback(options.mirrorListen.host))
    faults.push(
      `access exchange has callers send passwords to the mirror, in clear with mirrorProtocol http: put mirrorListen ${formatHostPort(options.mirrorListen)} on loopback, or leave it https`,
    )
  if (options.seedsDnsServers.length > 0 && options.seedsDns === undefined)
    faults.push('seedsDnsServers needs seedsDns')
  if (options.credentialProviderBinDir !== undefined && options.credentialProviderConfig === undefined)
    faults.push('credentialProviderBinDir needs credentialProviderConfig')
  if (options.border === 'zone' && options.zone === undefined) faults.push('border zone needs zone')
  if (options.storeLowWatermarkPercent >= options.storeHighWatermarkPercent)
    faults.push('storeLowWatermarkPercent must be below storeHighWatermarkPercent')
  return faults
}

/** libp2p listens at addresses and not at names, and others dial no address but one that a node may have. */
function unreachable({ peersListen, advertiseAddress }: ParsedOptions): string[] {
  if (isIP(peersListen.host) === 0)
    return [`peersListen ${formatHostPort(peersListen)} needs an IP address, as 0.0.0.0:${peersListen.port}`]
  const address = advertiseAddress ?? ownAddress(peersListen.host)
  return mayBeDialled(address)
    ? []
    : [`advertiseAddress ${address} is no address under which others reach this node: give one that is`]
}

function exchangesSomewhere({ originAccess, origins }: ParsedOptions): boolean {
  return originAccess === 'exchange' || origins.some(({ access }) => access === 'exchange')
}

function isLoopback(host: string): boolean {
  return host === 'localhost' || classifyAddress(host) === 'loopback'
}

/** The address that others should use for a listener on `host`. */
export function ownAddress(host: string, interfaces = networkInterfaces()): string {
  if (host !== '0.0.0.0' && host !== '::') return host
  const outward = Object.values(interfaces).flatMap((addresses) =>
    // Link-local ones, as of a DNS cache of the node or of who found no DHCP, are none to others.
    (addresses ?? []).filter(({ internal, address }) => !internal && mayBeDialled(address)),
  )
  const best = outward.find(({ address }) => isIPv4(address)) ?? outward[0]
  return best?.address ?? '127.0.0.1'
}

/** By other nodes. */
function mayBeDialled(address: string): boolean {
  return !['unspecified', 'broadcast', 'multicast', 'linkLocal'].includes(ipaddr.process(address).range())
}
