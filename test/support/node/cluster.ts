/** A registry, nodes, and Shoal's chart as Helm renders it for them, in place of an API server. */
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import path from 'node:path'
import { type Remote, startRemote } from '../../../bench/cold/remote.ts'
import { type Host, makeTestbed } from '../../../bench/cold/testbed.ts'
import type { Guardian } from '../../../cli/demo/guardian.ts'
import type { Image } from '../../../cli/demo/image.ts'
import type { Helm, KubernetesObject } from '../helm/helm.ts'
import type { PodAccess } from '../kubernetes/api.ts'
import type { EventCollection } from '../kubernetes/event-collection.ts'
import type { ShoalImages } from '../shoal-images.ts'
import { type Objects, type RunningPod, runPod } from './kubelet.ts'
import { type Node, type NodeOptions, startNode } from './node.ts'
import { type PodTemplate, podTemplate } from './pod.ts'

export interface ClusterOptions extends Pick<NodeOptions, 'binary' | 'snapshotter'> {
  readonly nodeCount: number
  readonly helm: Helm
  readonly images: ShoalImages
  /** By repository. */
  readonly apps: Readonly<Record<string, Image>>
}

/** What Helm makes of the chart and a version of the image. */
export interface Release {
  readonly agent: PodTemplate
  /** What `helm test` runs on one node. */
  readonly doctor: PodTemplate
  /** Of the DaemonSets that are there for this event only, in their order. */
  hooks(event: HookEvent): readonly PodTemplate[]
  /** Runs a pod of it on a node. */
  run(node: Node, template: PodTemplate): Promise<RunningPod>
}

export type HookEvent = 'pre-upgrade' | 'post-delete'

export interface Cluster {
  /** What stands before the repository in a reference. It speaks plain HTTP, as a file of the operator's on each node says. */
  readonly registry: string
  readonly nodes: readonly Node[]
  release(version: 1 | 2): Promise<Release>
  /** Those that the API has. */
  events(): Promise<EventCollection>
  /** How much the registry sends meanwhile. */
  sentDuring(act: () => Promise<unknown>): Promise<number>
}

/** A link is no bound here. */
const linkMbit = 1000

/** Kubernetes copies them from the node to its pods. */
const namespace = 'shoal-system'
const topology = { 'topology.kubernetes.io/zone': 'zone-1', 'topology.kubernetes.io/region': 'region-1' }

export async function startCluster(guardian: Guardian, options: ClusterOptions): Promise<Cluster> {
  const { helm, images, apps, nodeCount, ...of } = options
  const [originHost, ...hosts] = (await makeTestbed(guardian, nodeCount + 1, linkMbit)) as [Host, Host, ...Host[]]
  const origin = startRemote(guardian, originHost)
  const [first, second] = images.versions
  const repositories = { pause: images.pause, 'v1/shoal': first, 'v2/shoal': second, ...apps }
  const { address } = await origin.ask({ type: 'serve', host: originHost.address, repositories }, 'serving')
  const api = await startApi(guardian, originHost)
  const etc = { [`containerd/certs.d/${address}/hosts.toml`]: `# the operator's\n[host."http://${address}"]\n` }
  const sandboxImage = `${address}/pause:latest`
  const nodes = await Promise.all(hosts.map((host) => startNode(guardian, { ...of, host, sandboxImage, etc })))
  let kept: Record<string, KubernetesObject> = {}
  return {
    registry: address,
    nodes,
    async release(version) {
      const values = [
        `image.repository=${address}/v${version}/shoal`,
        'image.tag=latest',
        `agent.config.origins={http://${address}}`,
        `agent.config.seeds={${hosts[0].address}:5052}`,
      ].flatMap((value) => ['--set', value])
      // The chart keeps the Secret that it finds in the cluster; here Helm finds none.
      const objects = { ...(await helm.template('--kube-version', '1.37', ...values)), ...kept }
      kept = Object.fromEntries(Object.entries(objects).filter(([name]) => name.startsWith('Secret/')))
      return releaseOf(objects, api.pod)
    },
    events: api.events,
    async sentDuring(act) {
      const before = await bytesSent(origin)
      await act()
      return (await bytesSent(origin)) - before
    },
  }
}

async function bytesSent(origin: Remote): Promise<number> {
  return (await origin.ask({ type: 'bytes-sent' }, 'bytes-sent')).bytes
}

async function startApi(guardian: Guardian, { address, prefix }: Host) {
  const script = path.resolve(import.meta.dirname, '../kubernetes/api-child.ts')
  const [command, ...words] = [...prefix, process.execPath, script, address, namespace, await guardian.directory()]
  const child = spawn(command, words, { stdio: ['ignore', 'inherit', 'inherit', 'ipc'] })
  guardian.adopt(child)
  const answer = async <Answer>(): Promise<Answer> => ((await once(child, 'message')) as [Answer])[0]
  const pod = await answer<PodAccess>()
  async function events(): Promise<EventCollection> {
    const answered = answer<EventCollection>()
    child.send({})
    return answered
  }
  return { pod, events }
}

function releaseOf(objects: Readonly<Record<string, KubernetesObject>>, access: PodAccess): Release {
  const daemonSets = Object.values(objects).filter(({ kind }) => kind === 'DaemonSet')
  const templatesFor = (event: string | undefined) =>
    daemonSets
      .filter(({ metadata }) => metadata.annotations?.['helm.sh/hook'] === event)
      .map((daemonSet) => podTemplate.parse((daemonSet as DaemonSet).spec.template))
  const [agent] = templatesFor(undefined)
  if (agent === undefined) throw new Error('the chart has no DaemonSet of agents')
  const [doctor] = Object.values(objects).filter(({ metadata }) => metadata.name === 'shoal-doctor')
  let count = 0
  return {
    agent,
    doctor: podTemplate.parse({ metadata: labelsOf(doctor), spec: (doctor as Pod | undefined)?.spec }),
    hooks: templatesFor,
    run: (node, template) =>
      runPod(node, template, objects as Objects, { name: `pod-${count++}`, namespace, topology }, access),
  }
}

/** What of a pod's own metadata a template has. */
function labelsOf(pod: KubernetesObject | undefined): object {
  return { labels: pod?.metadata.labels }
}

type Pod = KubernetesObject & { readonly spec: unknown }
type DaemonSet = KubernetesObject & { readonly spec: { readonly template: unknown } }
