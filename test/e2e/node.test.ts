/**
 * Two nodes of a cluster, from the first pod of Shoal's chart to the last. What runs on them is read from what Helm renders, and
 * each node's own containerd runs it: image, arguments, mounts, user, capabilities and hooks are the chart's, and nothing else's.
 */
import { readdir, rename, writeFile } from 'node:fs/promises'
import path from 'node:path'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { parseMetrics } from '../../cli/demo/agents.ts'
import { createGuardian } from '../../cli/demo/guardian.ts'
import { type Image, makeImage, pulledBlobs, totalBytes } from '../../cli/demo/image.ts'
import { untilTrue } from '../../cli/demo/until.ts'
import { MiB, minute } from '../../core/units.ts'
import { missingBlobs, type Snapshotter, usableSnapshotter } from '../support/containerd/containerd.ts'
import { type ContainerdBinary, describeContainerd } from '../support/containerd/versions.ts'
import { snapshotOf } from '../support/directory-snapshot.ts'
import { findHelm, type Helm } from '../support/helm/helm.ts'
import { type Cluster, type HookEvent, type Release, startCluster } from '../support/node/cluster.ts'
import type { RunningPod } from '../support/node/kubelet.ts'
import type { Node } from '../support/node/node.ts'
import { makeShoalImages, type ShoalImages } from '../support/shoal-images.ts'

/** A layer of 127 MB is packed twice. */
const imageBuildMs = 5 * minute
const guardian = createGuardian()
const appNames = ['first', 'meanwhile', 'after-upgrade', 'after-uninstall'] as const
type AppName = (typeof appNames)[number]
let images: ShoalImages
let apps: Readonly<Record<AppName, Image>>
let snapshotter: Snapshotter

beforeAll(async () => {
  images = await makeShoalImages(guardian)
  const made = appNames.map(async (name) => {
    const directory = await guardian.directory()
    return [name, await makeImage({ directory, seed: name, layerSizesBytes: [8 * MiB, MiB] })] as const
  })
  apps = Object.fromEntries(await Promise.all(made)) as Record<AppName, Image>
  snapshotter = await usableSnapshotter(guardian)
}, imageBuildMs)
afterAll(() => guardian.close())

const helm = await findHelm('4')
const isMissing = typeof helm === 'string'
describe.skipIf(isMissing && process.env['CI'] !== 'true')(`nodes${isMissing ? `: Helm ${helm}` : ''}`, async () => {
  for (const source of ['installed', 'sid'] as const) await describeContainerd(source, describeVersion, 'buildah', 'ip')
})

/** One story: each test goes on where the one before it ended. */
function describeVersion(binary: ContainerdBinary): void {
  let cluster: Cluster
  let before: unknown
  const agents = new Map<Node, RunningPod>()

  beforeAll(async () => {
    cluster = await startCluster(guardian, { binary, snapshotter, helm: helm as Helm, images, apps, nodeCount: 2 })
    before = await filesOfAll()
  })
  afterAll(async () => {
    for (const agent of agents.values()) await agent.stop()
    for (const { containerd } of cluster?.nodes ?? []) await containerd.stop()
  })

  function filesOfAll(): Promise<unknown> {
    return Promise.all(cluster.nodes.map(({ root }) => snapshotOf(path.join(root, 'etc'))))
  }

  async function startAgent(node: Node, release: Release): Promise<void> {
    const agent = await release.run(node, release.agent)
    agents.set(node, agent)
    await untilTrue('readiness of the agent', () => agent.isReady())
  }

  async function stopAgent(node: Node): Promise<void> {
    await agents.get(node)?.stop()
    agents.delete(node)
  }

  /** By kubelet's way; resolves once all of the image is there. */
  async function pull(node: Node, app: AppName): Promise<void> {
    await node.containerd.cri.pull(`${cluster.registry}/${app}:latest`)
    expect(await missingBlobs(node.containerd, apps[app])).toEqual([])
  }

  /** How much of it the registry sends when all nodes pull it at once. */
  async function copiesSent(app: AppName): Promise<number> {
    const sent = await cluster.sentDuring(() => Promise.all(cluster.nodes.map((node) => pull(node, app))))
    return sent / bytesOf(apps[app])
  }

  test('agents run without rights, as the chart wants them, and find each other', async () => {
    const release = await cluster.release(1)
    for (const node of cluster.nodes) await startAgent(node, release)
    for (const [node, agent] of agents) {
      await untilTrue('two members', async () => (await metricsOf(node)).get('shoal_members') === 2)
      expect(await agent.inspect()).toEqual(withoutRights)
    }
  })

  test('helm test finds nothing wrong with them, and neither do they', async () => {
    const release = await cluster.release(1)
    for (const node of cluster.nodes) {
      expect(await runDoctor(node, release)).toEqual({ code: 0, errors: [] })
      expect(await findingsOf(node)).toEqual(ofThisCluster)
    }
  })

  test('an agent whose node was changed sees it: it is not ready, so a start-up taint stays, and helm test fails', async () => {
    const release = await cluster.release(1)
    const [node] = cluster.nodes as [Node]
    const containerd = path.join(node.root, 'etc/containerd')
    const hosts = path.join(containerd, 'certs.d/_default/hosts.toml')
    const changes = [
      { text: undefined, file: hosts, agentFinds: 'HOSTS_MISSING', doctorFinds: 'HOSTS_MISSING' },
      // As k3s does at its start. The agent may not read it, and sees that it is another one.
      { text: '[host."http://127.0.0.1:1"]\n', file: hosts, agentFinds: 'HOSTS_STALE', doctorFinds: 'HOSTS_MISSING' },
      {
        text: '',
        file: path.join(containerd, 'config.toml'),
        agentFinds: 'CONFIG_PATH_UNSET',
        doctorFinds: 'CONFIG_PATH_UNSET',
      },
    ]
    for (const { text, file, agentFinds, doctorFinds } of changes) {
      await rename(file, `${file}.aside`)
      if (text !== undefined) await writeFile(file, text, { mode: file === hosts ? 0o600 : 0o644 })
      expect(await findingsOf(node)).toContain(agentFinds)
      expect(await agents.get(node)?.isReady()).toBe(false)
      expect((await runDoctor(node, release)).errors).toContain(doctorFinds)
      await rename(`${file}.aside`, file)
      expect(await findingsOf(node)).toEqual(ofThisCluster)
      expect(await agents.get(node)?.isReady()).toBe(true)
    }
  })

  test('what an agent has found it has written as Events of its pod, which Kubernetes takes', async () => {
    const reasons = ['HostsMissing', 'HostsStale', 'ConfigPathUnset'].flatMap((each) => [each, `${each}Resolved`])
    const written = async (): Promise<string[]> => (await cluster.events()).events.map(({ reason }) => reason)
    await expect.poll(written).toEqual(expect.arrayContaining(['SeedsNameUnknown', ...reasons]))
    expect((await cluster.events()).refused).toEqual([])
  })

  test('what all nodes pull leaves the registry once', async () => {
    expect(await copiesSent('first')).toBeLessThan(1.02)
  })

  test('before an upgrade the new image is pulled through the old one: it leaves the registry once', async () => {
    const release = await cluster.release(2)
    const sent = await cluster.sentDuring(() => runHooks(release, 'pre-upgrade'))
    expect(sent / bytesOf(images.versions[1])).toBeLessThan(1.02)
  })

  test('an upgrade: while a node has no agent it pulls from the registry, and through the new one then', async () => {
    const release = await cluster.release(2)
    for (const node of cluster.nodes) {
      await stopAgent(node)
      expect(await node.get('https://127.0.0.1:5050/v2/')).toMatchObject({ status: 0 })
      const sent = await cluster.sentDuring(() => pull(node, 'meanwhile'))
      expect(sent).toBeGreaterThanOrEqual(bytesOf(apps.meanwhile))
      expect(await cluster.sentDuring(() => startAgent(node, release))).toBeLessThan(MiB)
    }
    expect(await copiesSent('after-upgrade')).toBeLessThan(1.02)
  })

  test('uninstalled, it leaves each node as it was', async () => {
    const release = await cluster.release(2)
    for (const node of cluster.nodes) await stopAgent(node)
    await runHooks(release, 'post-delete')
    expect(await filesOfAll()).toEqual(before)
    for (const { root } of cluster.nodes) {
      // kubelet makes what a hostPath names, and never takes it away.
      expect(await readdir(path.join(root, 'var/lib/shoal'))).toEqual([])
    }
    expect(await copiesSent('after-uninstall')).toBeGreaterThanOrEqual(cluster.nodes.length)
  })

  /** What a hook's DaemonSets do on all nodes at once; they are gone then. */
  async function runHooks(release: Release, event: HookEvent): Promise<void> {
    const templates = release.hooks(event)
    expect(templates).not.toEqual([])
    for (const template of templates) {
      const pods = await Promise.all(cluster.nodes.map((node) => release.run(node, template)))
      for (const pod of pods) await pod.stop()
    }
  }
}

/** It has no DNS servers. */
const ofThisCluster = ['SEEDS_NAME_UNKNOWN']

/** What the runtime was told to make of the container. */
const withoutRights = {
  process: { user: { uid: 65532, gid: 65532 }, noNewPrivileges: true, capabilities: {} },
  root: { readonly: true },
  linux: { seccomp: { defaultAction: 'SCMP_ACT_ERRNO' } },
}

function bytesOf(image: Image): number {
  return totalBytes(pulledBlobs(image, 'amd64'))
}

/** As `helm test` does: what it ends with, and the errors in what it says. */
async function runDoctor(node: Node, release: Release): Promise<{ code: number; errors: string[] }> {
  const pod = await release.run(node, release.doctor)
  const { code, log } = await pod.end()
  await pod.stop()
  return { code, errors: [...log.matchAll(/error {2}([A-Z_]+)/g)].map(([, found = '']) => found) }
}

/** What the agent finds when it looks anew. */
async function findingsOf(node: Node): Promise<string[]> {
  const { text } = await node.get('http://127.0.0.1:5053/doctor')
  const { findings } = JSON.parse(text) as { findings: { code: string }[] }
  return findings.map(({ code }) => code)
}

async function metricsOf(node: Node): Promise<Map<string, number>> {
  return new Map(parseMetrics((await node.get('http://127.0.0.1:5053/metrics')).text))
}
