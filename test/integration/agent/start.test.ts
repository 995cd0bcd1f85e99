/** The whole agent in this process: what a start that fails leaves behind, and when an agent calls itself ready. */
import { randomBytes } from 'node:crypto'
import { once } from 'node:events'
import https from 'node:https'
import type { IncomingMessage } from 'node:http'
import { mkdtemp, readdir, rm, writeFile } from 'node:fs/promises'
import net from 'node:net'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { afterAll, afterEach, beforeAll, expect, test } from 'vitest'
import { type AgentConfig, parseConfig } from '../../../agent/config.ts'
import { type RunningAgent, runAgent } from '../../../agent/main.ts'
import { openMirrorKeys } from '../../../agent/mirror-tls/mirror-keys.ts'
import { emptyDirectory } from '../../../cli/configure/data-directory.ts'
import { freePorts } from '../../../cli/demo/free-ports.ts'
import { contentFrom } from '../../support/content.ts'
import { commitContent, makeContentDirectory } from '../../support/disk-store.ts'

const listeners = ['mirror', 'peers', 'bulk', 'cluster', 'ops'] as const
type Ports = Record<(typeof listeners)[number], number>

let directory: string
let secretFile: string
const running: RunningAgent[] = []

beforeAll(async () => {
  directory = await mkdtemp(path.join(tmpdir(), 'shoal-start-'))
  secretFile = path.join(directory, 'secret')
  await writeFile(secretFile, randomBytes(32).toString('hex'), { mode: 0o600 })
})
afterEach(async () => void (await Promise.all(running.splice(0).map((agent) => agent.stop()))))
afterAll(() => rm(directory, { recursive: true, force: true }))

async function newPorts(): Promise<Ports> {
  const [mirror = 0, peers = 0, bulk = 0, cluster = 0, ops = 0] = await freePorts(5)
  return { mirror, peers, bulk, cluster, ops }
}

function configOf(name: string, ports: Ports, seeds: readonly string[] = []): AgentConfig {
  const listen = listeners.map((listener) => [`${listener}Listen`, `127.0.0.1:${ports[listener]}`])
  return parseConfig({
    ...Object.fromEntries(listen),
    dataDir: path.join(directory, name),
    clusterSecretFile: secretFile,
    seeds,
    shutdownTimeoutMs: '1s',
    logLevel: 'fatal',
  })
}

async function start(config: AgentConfig): Promise<RunningAgent> {
  const agent = await runAgent(config)
  running.push(agent)
  return agent
}

test.each(listeners)('a taken %s port is named, and what had started is let go again', async (listener) => {
  const ports = await newPorts()
  const squatter = net.createServer().listen(ports[listener], '127.0.0.1')
  await once(squatter, 'listening')
  const config = configOf(listener, ports)
  await expect(start(config)).rejects.toMatchObject({
    code: 'LISTEN_FAILED',
    detail: `The ${listener} listener did not open at 127.0.0.1:${ports[listener]}: the port is taken`,
  })
  await new Promise((resolve) => squatter.close(resolve))
  // The same ports and the same data directory, whose lock a leak would still hold.
  await start(config)
})

test('is not ready, and says why, until its member list agrees with a seed', async () => {
  const ports = await newPorts()
  const { addresses } = await start(configOf('early', await newPorts(), [`127.0.0.1:${ports.cluster}`]))
  const readyz = () => fetch(`http://127.0.0.1:${addresses.ops.port}/readyz`)
  const before = await readyz()
  expect(before.status).toBe(503)
  expect(await before.json()).toMatchObject({
    ready: false,
    parts: {
      agent: { ready: true },
      cluster: { ready: false, reason: 'the member list agrees with no seed yet' },
    },
  })
  await start(configOf('seed', ports))
  await expect.poll(async () => (await readyz()).status, { timeout: 30_000 }).toBe(200)
})

test('its mirror speaks TLS under the CA in its data directory, to who knows the secret there', async () => {
  const config = configOf('guarded', await newPorts())
  const { addresses } = await start(config)
  const { authority, secret } = await openMirrorKeys(config.dataDir)
  const statusFor = async (host: string, headers: Record<string, string>): Promise<number | undefined> => {
    const request = https.get({ host, port: addresses.mirror.port, path: '/v2/', ca: authority.cert, headers })
    const [response] = (await once(request, 'response')) as [IncomingMessage]
    response.resume()
    return response.statusCode
  }
  for (const host of ['127.0.0.1', 'localhost']) {
    expect(await statusFor(host, { 'shoal-node-secret': secret })).toBe(200)
    expect(await statusFor(host, {})).toBe(403)
  }
})

test.each(['unshared', 'containerd-hashes'])('cleanup finds all that an agent has kept, %s too', async (name) => {
  const contentDirectory = makeContentDirectory(await mkdtemp(path.join(directory, 'containerd-')))
  commitContent(contentDirectory, contentFrom('cleaned', 1).bytes)
  const config = {
    ...configOf(`emptied-of-${name}`, await newPorts()),
    // With such a rule nothing of containerd's is used.
    ...(name === 'unshared' && { rules: [{ pattern: 'a.b/**', action: 'unshared' as const }] }),
    containerdContentDir: contentDirectory,
  }
  const agent = await start(config)
  await expect.poll(() => readdir(config.dataDir)).toContain(name)
  await expect(emptyDirectory(config.dataDir)).rejects.toMatchObject({ code: 'STORE_LOCKED' })
  await agent.stop()
  expect(await readdir(config.dataDir)).not.toEqual([])
  expect(await emptyDirectory(config.dataDir)).toBe(true)
  expect(await readdir(config.dataDir)).toEqual([])
})
