/** Finds out what core/doctor judges. Every question is bounded in time, and all are asked at once. */
import { readdir, stat } from 'node:fs/promises'
import { hostname } from 'node:os'
import path from 'node:path'
import type { ContainerdFacts, ContentDirectory, Facts, HostsDirectory, NodeSettings } from '../../core/doctor/facts.ts'
import { formatHostPort, onThisNode } from '../config-values.ts'
import type { AgentConfig } from '../config.ts'
import { mirrorUrl } from '../containerd/hosts-file.ts'
import { type MirrorKeys, mirrorKeyFiles, readMirrorKeys } from '../mirror-tls/mirror-keys.ts'
import { type AskedAgent, askAgent } from './ask-agent.ts'
import { readContainerdConfig } from './containerd-config.ts'
import { findContainerd, versionOf } from './containerd-process.ts'
import { lookAtDisk } from './disk.ts'
import { lookIntoHosts } from './hosts.ts'
import { check } from './reasons.ts'

/** What doctor is told beside the agent's options. */
export interface NodeQuestion {
  /** Registries that `shoal configure` was told; none: all. */
  readonly registries: readonly string[]
}

export interface NodeFacts {
  readonly facts: Facts
  readonly agent: AskedAgent
}

/** As `shoal doctor` sees the node: from outside of the agent, with the rights of who runs it. */
export async function gatherNode(config: AgentConfig, { registries }: NodeQuestion): Promise<NodeFacts> {
  const settings = settingsOf(config, registries)
  const agent = await askAgent(settings.ops)
  const keys = config.mirrorProtocol === 'https' ? await keysOf(config.dataDir) : undefined
  const [containerd, hosts, disk, content] = await Promise.all([
    containerdFacts(config.containerdConfigFile, agent.containerdVersion),
    lookIntoHosts({ root: settings.root, registries, mirror: settings.mirror, path: '/v2/', agentCa: keys?.agentCa }),
    lookAtDisk(config.dataDir),
    config.containerdContentDir === undefined ? undefined : contentFacts(config.containerdContentDir),
  ])
  const exposed = await readableByAll(secretFiles(config, hosts))
  const facts = { settings, containerd, hosts, agent: agent.answer, keys: keys?.answer, disk, content, exposed }
  return { facts, agent }
}

function settingsOf(config: AgentConfig, registries: readonly string[]): NodeSettings {
  return {
    root: config.containerdRegistryConfigPath,
    mirror: mirrorUrl(config),
    mirrorPort: config.mirrorListen.port,
    ops: `http://${formatHostPort(onThisNode(config.opsListen))}`,
    flags: configureFlags(config, registries),
    node: hostname(),
    dataDirectory: config.dataDir,
    secretFile: config.clusterSecretFile,
    ceilingPercent: config.storeHighWatermarkPercent,
  }
}

function configureFlags(config: AgentConfig, registries: readonly string[]): string {
  const flags = {
    'containerd-registry-config-path': config.containerdRegistryConfigPath,
    'data-dir': config.dataDir,
    'mirror-listen': formatHostPort(config.mirrorListen),
    ...(config.mirrorProtocol === 'https' ? {} : { 'mirror-protocol': config.mirrorProtocol }),
    ...(registries.length === 0 ? {} : { 'mirrored-registries': registries.join(',') }),
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
