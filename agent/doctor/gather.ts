/** Finds out what core/doctor judges. Every question is bounded in time, and all are asked at once. */
import { readdir, stat } from 'node:fs/promises'
import { hostname } from 'node:os'
import path from 'node:path'
import type {
  ContainerdFacts,
  ContentDirectory,
  Facts,
  HostsDirectory,
  InsideFacts,
  NodeSettings,
  OriginFacts,
} from '../../core/doctor/facts.ts'
import { formatHostPort, hostPort, onThisNode } from '../config-values.ts'
import type { AgentConfig } from '../config.ts'
import { originOptions } from '../origin-options.ts'
import { mirrorUrl } from '../containerd/hosts-file.ts'
import { type Configured, type HostsNote, readHostsNote } from '../containerd/hosts-note.ts'
import { type MirrorKeys, mirrorKeyFiles, readMirrorKeys } from '../mirror-tls/mirror-keys.ts'
import { type AskedAgent, askAgent } from './ask-agent.ts'
import { readContainerdConfig } from './containerd-config.ts'
import { findContainerd, versionOf } from './containerd-process.ts'
import { lookAtDisk } from './disk.ts'
import { type HostsQuestion, lookIntoHosts, lookIntoWritten } from './hosts.ts'
import { isRanged, manifestPathOf, type ProbedImage, servedImage } from './image.ts'
import { descriptorsMax, newContentAgoMs } from './inside.ts'
import { lookAtCluster } from './members.ts'
import { lookAtOrigins } from './origins.ts'
import { check } from './reasons.ts'

/** What doctor is told beside the agent's options. */
export interface NodeQuestion {
  readonly configured: Configured
  /** To be asked for through the mirror, and at its registry. */
  readonly image: ProbedImage | undefined
}

export interface NodeFacts {
  readonly facts: Facts
  readonly agent: AskedAgent
}

/** As `shoal doctor` sees the node: from outside of the agent, with the rights of who runs it. */
export async function gatherNode(config: AgentConfig, { configured, image }: NodeQuestion): Promise<NodeFacts> {
  const { mirroredRegistries: registries } = configured
  const settings = settingsOf(config, configured)
  const agent = await askAgent(settings.ops)
  const keys = config.mirrorProtocol === 'https' ? await keysOf(config.dataDir) : undefined
  const { root, mirror } = settings
  const manifestPath = image && manifestPathOf(image)
  const asked = { root, registries, mirror, manifestPath, agentCa: keys?.agentCa }
  const [containerd, hosts, disk, content, cluster, origins] = await Promise.all([
    containerdFacts(config.containerdConfigFile, agent.containerdVersion),
    lookIntoHosts(asked),
    lookAtDisk(config.dataDir),
    config.containerdContentDir === undefined ? undefined : contentFacts(config.containerdContentDir),
    config.standalone ? undefined : lookAtCluster(config, { others: [], isDialed: () => true }),
    originFacts(config, registries, image),
  ])
  const facts = {
    settings,
    containerd,
    hosts,
    agent: agent.answer,
    image: image && servedImage(image, hosts),
    keys: keys?.answer,
    exposed: await readableByAll(secretFiles(config, hosts)),
    content,
    disk,
    cluster,
    origins,
  }
  return { facts, agent }
}

/** What the parts of the running agent know. */
export interface SelfQuestion {
  readonly inside: Omit<InsideFacts, 'newContentAgoMs' | 'descriptorsMax'>
  /** Cluster listeners of other members that are asked too, and whose other ports are tried. */
  readonly others: readonly string[]
  /** Of the containerd that asked the mirror last. */
  readonly containerdVersion: string | undefined
}

/**
 * As the agent sees its node: what it may not read, or has not been given, it says nothing of; and no registry is asked, since
 * thousands of agents would. Of its seeds only the cluster listeners are, since those are the same ones for all.
 */
export async function gatherSelf(
  config: AgentConfig,
  { inside, others, containerdVersion }: SelfQuestion,
): Promise<Facts> {
  const { containerdContentDir, containerdRegistryConfigPath: root } = config
  const note = await readHostsNote(config.dataDir, root)
  const settings = settingsOf(config, note?.configured ?? { mirroredRegistries: [], resolveTags: true })
  const keys = config.mirrorProtocol === 'https' ? await keysOf(config.dataDir) : undefined
  const asked = { root, registries: [], mirror: settings.mirror, agentCa: keys?.agentCa }
  const ports = others.map((text) => hostPort(1).parse(text))
  const [hosts, disk, content, cluster, newContent, descriptors] = await Promise.all([
    hostsSeen(note, asked),
    lookAtDisk(config.dataDir),
    containerdContentDir === undefined ? undefined : contentFacts(containerdContentDir),
    config.standalone ? undefined : lookAtCluster(config, { others: ports, isDialed: (at) => ports.includes(at) }),
    containerdContentDir === undefined ? undefined : newContentAgoMs(containerdContentDir),
    descriptorsMax(),
  ])
  const containerd = hosts.length === 0 ? undefined : await configSeen(config.containerdConfigFile, containerdVersion)
  const exposed = await readableByAll(secretFiles(config, hosts))
  const seen = { ...inside, newContentAgoMs: newContent, descriptorsMax: descriptors }
  return { settings, containerd, hosts, keys: keys?.answer, exposed, content, disk, cluster, inside: seen }
}

/** Where configure has run, by its own note or by what is there; elsewhere this node's containerd may not be meant. */
async function hostsSeen(note: HostsNote | undefined, asked: HostsQuestion): Promise<HostsDirectory[]> {
  // A container may have been given the data directory, and nothing of containerd's.
  const isThere = (await check(() => stat(asked.root))).ok
  if (note !== undefined) return isThere ? lookIntoWritten(note, asked) : []
  const hosts = await lookIntoHosts(asked)
  return hosts.filter(({ state }) => state.kind === 'mirror')
}

async function configSeen(file: string, version: string | undefined): Promise<ContainerdFacts | undefined> {
  const { config, changedMs } = await readContainerdConfig(file, version)
  return config.kind === 'read' && changedMs > 0 ? { version, config } : undefined
}

/** Those that anybody named; else the one that is meant where nobody does. */
async function originFacts(
  config: AgentConfig,
  registries: readonly string[],
  image: ProbedImage | undefined,
): Promise<readonly OriginFacts[]> {
  const options = originOptions(config)
  const named = [
    ...config.origins.map(({ host }) => host),
    ...registries,
    ...(image === undefined ? [] : [image.origin]),
  ]
  const origins = [...new Set(named.length === 0 ? [config.defaultOrigin] : named)]
  const [ranged, facts] = await Promise.all([image && isRanged(image, options), lookAtOrigins(origins, options)])
  return facts.map((each) => (each.origin === image?.origin ? { ...each, ranged } : each))
}

function settingsOf(config: AgentConfig, configured: Configured): NodeSettings {
  return {
    root: config.containerdRegistryConfigPath,
    mirror: mirrorUrl(config),
    mirrorPort: config.mirrorListen.port,
    ops: `http://${formatHostPort(onThisNode(config.opsListen))}`,
    flags: configureFlags(config, configured),
    node: hostname(),
    dataDirectory: config.dataDir,
    secretFile: config.clusterSecretFile,
    ceilingPercent: config.storeHighWatermarkPercent,
  }
}

function configureFlags(config: AgentConfig, configured: Configured): string {
  const { mirroredRegistries: registries, resolveTags, dataDirOwner } = configured
  const flags = {
    'containerd-registry-config-path': config.containerdRegistryConfigPath,
    'data-dir': config.dataDir,
    'mirror-listen': formatHostPort(config.mirrorListen),
    ...(config.mirrorProtocol === 'https' ? {} : { 'mirror-protocol': config.mirrorProtocol }),
    ...(registries.length === 0 ? {} : { 'mirrored-registries': registries.join(',') }),
    ...(resolveTags ? {} : { 'resolve-tags': false }),
    ...(dataDirOwner === undefined ? {} : { 'data-dir-owner': dataDirOwner }),
  }
  return Object.entries(flags)
    .map(([name, value]) => `--${name} ${value}`)
    .join(' ')
}

async function keysOf(dataDirectory: string): Promise<{ answer: Facts['keys']; agentCa: string | undefined }> {
  let keys: MirrorKeys | undefined
  const answer = await check(async () => {
    keys = await readMirrorKeys(dataDirectory)
  })
  return { answer, agentCa: keys?.authority.cert }
}

/** The release: of the process that runs by this file, else of who asked the mirror last, else of the program in PATH. */
async function containerdFacts(file: string, asked: string | undefined): Promise<ContainerdFacts> {
  const process = await findContainerd(file)
  const running = process === undefined ? undefined : await versionOf(process.program)
  const version = running ?? asked ?? (await versionOf('containerd'))
  const { config, changedMs } = await readContainerdConfig(file, version)
  return { version, config, process: process && { startedMs: process.startedMs, changedMs } }
}

async function contentFacts(directory: string): Promise<ContentDirectory> {
  return { directory, answer: await check(() => readdir(path.join(directory, 'blobs', 'sha256'))) }
}

function secretFiles(config: AgentConfig, hosts: readonly HostsDirectory[]): string[] {
  return [
    ...[config.clusterSecretFile, config.previousClusterSecretFile].filter((file) => file !== undefined),
    ...mirrorKeyFiles(config.dataDir),
    ...hosts.flatMap(({ file, state }) => (state.kind === 'mirror' ? [file] : [])),
  ]
}

async function readableByAll(files: readonly string[]): Promise<string[]> {
  const modes = await Promise.all(files.map(modeOf))
  return files.filter((_file, index) => ((modes[index] ?? 0) & 0o004) !== 0)
}

async function modeOf(file: string): Promise<number> {
  return stat(file).then(
    ({ mode }) => mode,
    () => 0,
  )
}
