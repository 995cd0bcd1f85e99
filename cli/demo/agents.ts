/** Starts agents as processes, as a node would: the real command line, told what to do by its flags alone. */
import { type ChildProcess, spawn } from 'node:child_process'
import { randomBytes, randomInt } from 'node:crypto'
import { once } from 'node:events'
import { open, readFile, writeFile } from 'node:fs/promises'
import http from 'node:http'
import net from 'node:net'
import path from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { second } from '../../core/units.ts'
import type { Guardian } from './guardian.ts'

export interface AgentOptions {
  /** Where the agent keeps its data and its log. */
  readonly directory: string
  readonly secretFile: string
  /** Cluster addresses of other agents. */
  readonly seeds: readonly string[]
  /** `host:port` of origins that speak plain HTTP. */
  readonly plainOrigins: readonly string[]
  /** Where the peers and cluster listeners are. Default: 127.0.0.1. */
  readonly host?: string
  /** Words before the command, such as `ip netns exec NAME`. */
  readonly prefix?: readonly string[]
  /** More flags of `shoal agent`. */
  readonly flags?: readonly string[]
}

export interface AgentProcess {
  readonly process: ChildProcess & { readonly pid: number }
  /** Base URL of the mirror. */
  readonly mirror: string
  /** Base URL of health and metrics. */
  readonly ops: string
  readonly clusterAddress: string
  readonly logFile: string
}

const commandFile = path.join(import.meta.dirname, '../main.ts')
const readyTimeoutMs = 30 * second
const stopTimeoutMs = 10 * second

export async function makeClusterSecret(directory: string): Promise<string> {
  const file = path.join(directory, 'cluster-secret')
  await writeFile(file, randomBytes(32).toString('hex'), { mode: 0o600 })
  return file
}

/** Starts an agent and returns at once; `agentReady` tells when it serves. */
export async function startAgent(guardian: Guardian, options: AgentOptions): Promise<AgentProcess> {
  const { host = '127.0.0.1', prefix = [] } = options
  const [mirrorPort = 0, opsPort = 0, peersPort = 0, clusterPort = 0] = await freePorts(4)
  const logFile = path.join(options.directory, 'agent.log')
  const flags = {
    'data-dir': path.join(options.directory, 'data'),
    'mirror-listen': `127.0.0.1:${mirrorPort}`,
    'ops-listen': `127.0.0.1:${opsPort}`,
    'peers-listen': `${host}:${peersPort}`,
    'cluster-listen': `${host}:${clusterPort}`,
    'advertise-address': host,
    'cluster-secret-file': options.secretFile,
    seeds: options.seeds.join(','),
    origins: options.plainOrigins.map((origin) => `http://${origin}`).join(','),
  }
  const given = Object.entries(flags).flatMap(([name, value]) => (value === '' ? [] : [`--${name}`, value]))
  const [command = '', ...words] = [
    ...prefix,
    process.execPath,
    commandFile,
    'agent',
    ...given,
    ...(options.flags ?? []),
  ]
  await using log = await open(logFile, 'a')
  const child = spawn(command, words, { stdio: ['ignore', log.fd, log.fd] })
  await once(child, 'spawn')
  guardian.adopt(child)
  return {
    process: Object.assign(child, { pid: Number(child.pid) }),
    mirror: `http://127.0.0.1:${mirrorPort}`,
    ops: `http://127.0.0.1:${opsPort}`,
    clusterAddress: `${host}:${clusterPort}`,
    logFile,
  }
}

/** Resolves when the agent says it is ready; rejects with the end of its log when it ends or takes too long. */
export async function agentReady(agent: AgentProcess): Promise<void> {
  const deadlineMs = performance.now() + readyTimeoutMs
  while (!(await answersOk(`${agent.ops}/readyz`))) {
    const ended = agent.process.exitCode !== null || agent.process.signalCode !== null
    if (ended || performance.now() > deadlineMs) {
      const tail = (await readFile(agent.logFile, 'utf8')).trimEnd().split('\n').slice(-10).join('\n')
      throw new Error(`an agent ${ended ? 'ended before it was ready' : 'did not get ready'}:\n${tail}`)
    }
    await sleep(50)
  }
}

/** SIGTERM, and SIGKILL to whoever has not gone then. */
export async function stopAgent({ process: child }: AgentProcess): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return
  const ended = once(child, 'exit')
  child.kill('SIGTERM')
  const timer = setTimeout(() => child.kill('SIGKILL'), stopTimeoutMs)
  await ended
  clearTimeout(timer)
}

/** The sum of all series of each metric, by name and by `name{label="value"}` as the agent shows them. */
export async function readMetrics(ops: string): Promise<Map<string, number>> {
  const response = await fetch(`${ops}/metrics`)
  const samples = (await response.text()).matchAll(/^(?<series>[^#\s]+(?:\{.*\})?) (?<value>\S+)$/gm)
  return new Map([...samples].map(({ groups }) => [groups?.['series'] ?? '', Number(groups?.['value'])]))
}

async function answersOk(url: string): Promise<boolean> {
  return new Promise((resolve) => {
    http
      .get(url, (response) => {
        response.resume()
        resolve(response.statusCode === 200)
      })
      .on('error', () => resolve(false))
  })
}

/** Ports below the range from which the kernel takes those of outgoing connections, so that they stay free until bound. */
export async function freePorts(count: number): Promise<number[]> {
  const ports = new Set<number>()
  while (ports.size < count) {
    const port = randomInt(10_000, 30_000)
    if (await isFree(port)) ports.add(port)
  }
  return [...ports]
}

function isFree(port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const server = net.createServer()
    server.once('error', () => resolve(false))
    server.listen(port, '127.0.0.1', () => server.close(() => resolve(true)))
  })
}
