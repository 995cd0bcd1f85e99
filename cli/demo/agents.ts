/** Starts agents as processes, as a node would: the real command line, told what to do by its flags alone. */
import { type ChildProcess, spawn } from 'node:child_process'
import { randomBytes } from 'node:crypto'
import { once } from 'node:events'
import { readFileSync } from 'node:fs'
import { mkdir, open, readFile, writeFile } from 'node:fs/promises'
import http from 'node:http'
import path from 'node:path'
import { second } from '../../core/units.ts'
import { freePorts } from './free-ports.ts'
import type { Guardian } from './guardian.ts'
import { untilTrue } from './until.ts'

export interface AgentOptions {
  /** Where the agent keeps its data and its log. */
  readonly directory: string
  /** Without one the agent stands alone. */
  readonly secretFile?: string
  /** Cluster addresses of other agents. */
  readonly seeds: readonly string[]
  /** `host:port` of origins that speak plain HTTP. */
  readonly plainOrigins: readonly string[]
  /** Where the peers and cluster listeners are. Default: 127.0.0.1. */
  readonly host?: string
  /** What the mirror speaks. Default: http, so that clients need neither CA nor secret. */
  readonly protocol?: 'http' | 'https'
  /** Words before the command, such as `ip netns exec NAME`. */
  readonly prefix?: readonly string[]
  /** More flags of `shoal agent`. */
  readonly flags?: readonly string[]
  /** The command's file. Default: that of this checkout. */
  readonly main?: string
  /** In place of those that the command's own first line asks for. */
  readonly nodeFlags?: readonly string[]
  /** Variables beside this process's own. */
  readonly env?: Readonly<Record<string, string>>
}

export interface AgentProcess {
  readonly process: ChildProcess & { readonly pid: number }
  /** Base URL of the mirror. */
  readonly mirror: string
  readonly dataDir: string
  /** Base URL of health and metrics. */
  readonly ops: string
  readonly clusterAddress: string
  readonly peersAddress: string
  readonly logFile: string
}

/** Where tests run, the bundle that they have made of it (test/support/command.ts). */
export const commandFile = process.env['TESTED_COMMAND'] ?? path.join(import.meta.dirname, '../main.ts')
const firstLine = readFileSync(commandFile, 'utf8').split('\n', 1)[0] ?? ''
/** What the command's own first line asks for. */
const ownNodeFlags = firstLine.match(/--\S+/g) ?? []
const ownVariables = Object.fromEntries(
  [...firstLine.matchAll(/ (\w+)=(\S+)/g)].map(([, name = '', value]) => [name, value]),
)
const stopTimeoutMs = 10 * second

export async function makeClusterSecret(directory: string): Promise<string> {
  const file = path.join(directory, 'cluster-secret')
  await writeFile(file, randomBytes(32).toString('hex'), { mode: 0o600 })
  return file
}

/** Starts an agent and returns at once; `agentReady` tells when it serves. */
export async function startAgent(guardian: Guardian, options: AgentOptions): Promise<AgentProcess> {
  const { host = '127.0.0.1', prefix = [], protocol = 'http' } = options
  const [mirrorPort = 0, opsPort = 0, peersPort = 0, bulkPort = 0, clusterPort = 0] = await freePorts(5)
  const logFile = path.join(options.directory, 'agent.log')
  const flags = {
    'data-dir': path.join(options.directory, 'data'),
    'mirror-protocol': protocol,
    'mirror-listen': `127.0.0.1:${mirrorPort}`,
    'ops-listen': `127.0.0.1:${opsPort}`,
    'peers-listen': `${host}:${peersPort}`,
    'bulk-listen': `${host}:${bulkPort}`,
    'cluster-listen': `${host}:${clusterPort}`,
    'advertise-address': host,
    ...(options.secretFile === undefined ? { standalone: 'true' } : { 'cluster-secret-file': options.secretFile }),
    seeds: options.seeds.join(','),
    origins: options.plainOrigins.map((origin) => `http://${origin}`).join(','),
  }
  const given = Object.entries(flags).flatMap(([name, value]) => (value === '' ? [] : [`--${name}`, value]))
  const [command = '', ...words] = [
    ...prefix,
    process.execPath,
    ...(options.nodeFlags ?? ownNodeFlags),
    options.main ?? commandFile,
    'agent',
    ...given,
    ...(options.flags ?? []),
  ]
  await using log = await open(logFile, 'a')
  const child = spawn(command, words, {
    stdio: ['ignore', log.fd, log.fd],
    env: { ...process.env, ...ownVariables, ...options.env },
  })
  await once(child, 'spawn')
  guardian.adopt(child)
  return {
    process: Object.assign(child, { pid: Number(child.pid) }),
    mirror: `${protocol}://127.0.0.1:${mirrorPort}`,
    dataDir: flags['data-dir'],
    ops: `http://127.0.0.1:${opsPort}`,
    clusterAddress: `${host}:${clusterPort}`,
    peersAddress: `${host}:${peersPort}`,
    logFile,
  }
}

export interface ClusterOptions extends Pick<AgentOptions, 'plainOrigins' | 'flags' | 'prefix'> {
  /** `members`: all are ready and know each other (default). `listening`: all mirrors answer, and no more than that. */
  readonly waitFor?: 'members' | 'listening'
}

/** Several agents on loopback, of which each but the first knows the first one's address and no other. */
export async function startCluster(
  guardian: Guardian,
  count: number,
  { waitFor = 'members', ...options }: ClusterOptions,
): Promise<AgentProcess[]> {
  const root = await guardian.directory()
  const secretFile = await makeClusterSecret(root)
  const start = async (name: string, seeds: readonly string[]) => {
    const directory = path.join(root, name)
    await mkdir(directory)
    return startAgent(guardian, { ...options, directory, secretFile, seeds })
  }
  const first = await start('node-1', [])
  const names = Array.from({ length: count - 1 }, (_, index) => `node-${index + 2}`)
  const agents = [first, ...(await Promise.all(names.map((name) => start(name, [first.clusterAddress]))))]
  await Promise.all(agents.map((agent) => (waitFor === 'members' ? agentReady(agent, count) : agentListens(agent))))
  return agents
}

async function agentListens(agent: AgentProcess): Promise<void> {
  await orLogTail(
    agent,
    untilTrue(`the mirror at ${agent.mirror}`, () => serves(agent, `${agent.mirror}/v2/`)),
  )
}

/** Resolves when the agent is ready and knows `members` agents; rejects with the end of its log when it ends before. */
export async function agentReady(agent: AgentProcess, members: number): Promise<void> {
  await orLogTail(
    agent,
    untilTrue(`the agent at ${agent.ops}`, () => serves(agent, `${agent.ops}/readyz`)),
  )
  await orLogTail(agent, untilReady(agent.ops, members))
}

/** As `agentReady`, where only the address of health and metrics is known. */
export async function untilReady(ops: string, members: number): Promise<void> {
  await untilTrue(`readiness at ${ops}`, () => answersOk(`${ops}/readyz`))
  await untilTrue(
    `the number of members at ${ops}`,
    async () => (await readMetrics(ops)).get('shoal_members') === members,
  )
}

/** Adds the end of the agent's log to whatever `waiting` rejects with. */
export async function orLogTail<Value>({ logFile }: AgentProcess, waiting: Promise<Value>): Promise<Value> {
  try {
    return await waiting
  } catch (cause) {
    const tail = (await readFile(logFile, 'utf8')).trimEnd().split('\n').slice(-10).join('\n')
    throw new Error(`${cause instanceof Error ? cause.message : String(cause)}; its log ends:\n${tail}`, { cause })
  }
}

/** SIGTERM, and SIGKILL to whoever has not gone then. */
export async function stopAgent({ process: child }: AgentProcess): Promise<void> {
  if (hasEnded(child)) return
  const ended = once(child, 'exit')
  child.kill('SIGTERM')
  const timer = setTimeout(() => child.kill('SIGKILL'), stopTimeoutMs)
  await ended
  clearTimeout(timer)
}

/** Each sample by its series, written as the agent shows it: `name{label="value"}`. */
export async function readMetrics(ops: string): Promise<Map<string, number>> {
  const response = await fetch(`${ops}/metrics`)
  return new Map(parseMetrics(await response.text()))
}

/** The samples of a page in the Prometheus text format. */
export function parseMetrics(text: string): [string, number][] {
  const samples = text.matchAll(/^(?<series>[^#\s{]+(?:\{.*\})?) (?<value>\S+)$/gm)
  return [...samples].map(({ groups }) => [groups?.['series'] ?? '', Number(groups?.['value'])])
}

function hasEnded(child: ChildProcess): boolean {
  return child.exitCode !== null || child.signalCode !== null
}

async function serves({ process: child }: AgentProcess, url: string): Promise<boolean> {
  if (hasEnded(child)) throw new Error('the agent ended')
  return answersOk(url)
}

async function answersOk(url: string): Promise<boolean> {
  return new Promise((resolve) => {
    const request = http.get(url, (response) => {
      response.resume()
      resolve(response.statusCode === 200)
    })
    request.on('error', () => resolve(false))
  })
}
