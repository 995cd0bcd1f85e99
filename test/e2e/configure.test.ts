/**
 * `shoal configure` with real containerd: pulls under TLS and the node's secret, nothing for whoever takes the mirror's port
 * meanwhile, and a directory that is as it was once `shoal cleanup` has run.
 */
import { execFile } from 'node:child_process'
import { once } from 'node:events'
import { mkdir, writeFile } from 'node:fs/promises'
import http, { type IncomingMessage, type ServerResponse } from 'node:http'
import https from 'node:https'
import path from 'node:path'
import { promisify } from 'node:util'
import { afterAll, beforeAll, expect, onTestFinished, test } from 'vitest'
import { createAuthority, issueServer, parseAuthority } from '../../agent/mirror-tls/certificates.ts'
import { agentReady, commandFile, startAgent, stopAgent } from '../../cli/demo/agents.ts'
import { pushImage, type ReferenceRegistry, startRegistryProcess } from '../../cli/demo/docker-registry.ts'
import { createGuardian } from '../../cli/demo/guardian.ts'
import { type Image, makeImage } from '../../cli/demo/image.ts'
import { boundAddress, startOrigin } from '../../cli/demo/origin.ts'
import { untilTrue } from '../../cli/demo/until.ts'
import { MiB } from '../../core/units.ts'
import {
  hostsDirOf,
  missingBlobs,
  type Snapshotter,
  startContainerd,
  usableSnapshotter,
} from '../support/containerd/containerd.ts'
import { type ContainerdBinary, describeContainerds } from '../support/containerd/versions.ts'
import { deliveredBytes } from '../support/delivered-bytes.ts'
import { snapshotOf } from '../support/directory-snapshot.ts'
import { htpasswdAuth } from '../support/htpasswd.ts'

const run = promisify(execFile)
const guardian = createGuardian()
const pullSecret = { username: 'node', password: 'pull-secret' }
let image: Image
let registry: ReferenceRegistry
let snapshotter: Snapshotter

beforeAll(async () => {
  const directory = await guardian.directory()
  image = await makeImage({ directory, seed: 'e2e configure', layerSizesBytes: [MiB, 16 * MiB] })
  registry = await startRegistryProcess(guardian, await htpasswdAuth(directory, { node: pullSecret.password }))
  await pushImage(image, registry.address, 'demo/app', `node:${pullSecret.password}`)
  snapshotter = await usableSnapshotter(guardian)
})
afterAll(async () => {
  await registry?.stop()
  await guardian.close()
})

await describeContainerds(describeVersion)

function describeVersion(binary: ContainerdBinary): void {
  /** An agent as it runs unless told otherwise, and a containerd that was configured for it. */
  async function startNode(origin: string) {
    const directory = await guardian.directory()
    const hostsDir = hostsDirOf(directory)
    await mkdir(path.join(hostsDir, '_default'), { recursive: true })
    await writeFile(path.join(hostsDir, '_default/hosts.toml'), '# mine\n[host."http://127.0.0.1:9"]\n')
    const before = await snapshotOf(hostsDir)
    const agent = await startAgent(guardian, { directory, seeds: [], plainOrigins: [origin], protocol: 'https' })
    onTestFinished(() => stopAgent(agent))
    await agentReady(agent, 1)
    await shoal('configure', hostsDir, '--data-dir', agent.dataDir, '--mirror-listen', new URL(agent.mirror).host)
    const containerd = await startContainerd(guardian, { binary, snapshotter, hostsDir })
    onTestFinished(() => containerd.stop())
    return { agent, containerd, hostsDir, before }
  }

  test('pulls a private image through the mirror; cleanup leaves no trace', async () => {
    const { agent, containerd, hostsDir, before } = await startNode(registry.address)
    await containerd.cri.pull(`${registry.address}/demo/app:${image.tag}`, pullSecret)
    expect(await missingBlobs(containerd, image)).toEqual([])
    expect(await deliveredBytes(agent)).toBeGreaterThanOrEqual(layerBytes())
    await shoal('cleanup', hostsDir)
    expect(await snapshotOf(hostsDir)).toEqual(before)
  })

  test.each(['http', 'https'] as const)(
    'a squatter that speaks %s gets no secret, and the pull goes to the origin',
    async (protocol) => {
      const { agent, containerd } = await startNode(registry.address)
      await stopAgent(agent)
      const squatter = await startSquatter(protocol, Number(new URL(agent.mirror).port))
      onTestFinished(() => squatter.close())
      await containerd.cri.pull(`${registry.address}/demo/app:${image.tag}`, pullSecret)
      expect(await missingBlobs(containerd, image)).toEqual([])
      expect(squatter.connections()).toBeGreaterThan(0)
      expect(squatter.heard).toEqual([])
    },
  )

  test('an agent killed in the middle of a layer under TLS: the pull goes on at the origin', async () => {
    const slow = await startOrigin({ repositories: { 'demo/app': image }, rateBytesPerSecond: 8 * MiB })
    onTestFinished(() => slow.close())
    const { agent, containerd } = await startNode(slow.address)
    const pulled = containerd.cri.pull(`${slow.address}/demo/app:${image.tag}`)
    await untilTrue('a third of the image at the agent', async () => slow.bytesSent() > 6 * MiB)
    agent.process.kill('SIGKILL')
    await pulled
    expect(await missingBlobs(containerd, image)).toEqual([])
  })
}

/** The command as an operator gives it. */
async function shoal(command: string, hostsDir: string, ...flags: string[]): Promise<void> {
  await run(process.execPath, [commandFile, command, '--containerd-registry-config-path', hostsDir, ...flags])
}

/** Has taken the mirror's port, under a CA of its own, and asks whoever comes for a password. */
async function startSquatter(protocol: 'http' | 'https', port: number) {
  const heard: string[] = []
  let connections = 0
  const ask = (request: IncomingMessage, response: ServerResponse): void => {
    heard.push(`${request.method} ${request.url} ${JSON.stringify(request.headers)}`)
    response.writeHead(401, { 'www-authenticate': 'Basic realm="squatter"' }).end()
  }
  const server = protocol === 'http' ? http.createServer(ask) : https.createServer(await otherCertificate(), ask)
  server.on('connection', () => (connections += 1))
  server.listen(port, '127.0.0.1')
  await once(server, 'listening')
  expect(boundAddress(server).port).toBe(port)
  return {
    heard,
    connections: () => connections,
    close() {
      server.close()
      server.closeAllConnections()
    },
  }
}

async function otherCertificate() {
  const { cert, key } = await createAuthority()
  return issueServer(await parseAuthority(cert + key), ['127.0.0.1'], new Date())
}

function layerBytes(): number {
  const amd64 = image.platforms.find(({ architecture }) => architecture === 'amd64')
  return amd64?.layers.reduce((sum, { size }) => sum + size, 0) ?? 0
}
