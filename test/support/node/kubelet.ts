/** Runs pods on a node as kubelet does, by the CRI: volumes, images, init containers, containers, probes and the grace period. */
import { randomUUID } from 'node:crypto'
import { chmod, chown, mkdir, readdir, readFile, stat, writeFile } from 'node:fs/promises'
import path from 'node:path'
import { z } from 'zod'
import { untilTrue } from '../../../cli/demo/until.ts'
import type { PodAccess } from '../kubernetes/api.ts'
import type { Node } from './node.ts'
import {
  containerConfig,
  type ContainerSpec,
  type PodPlace,
  type PodTemplate,
  readinessUrl,
  sandboxConfig,
  tokenMount,
  type VolumeSpec,
  volumeDirectory,
} from './pod.ts'

/** ConfigMaps and Secrets, as text and base64, by `Kind/name`. */
export type Objects = Readonly<Record<string, { readonly data?: Readonly<Record<string, string>> }>>

export interface RunningPod {
  /** Asks once. */
  isReady(): Promise<boolean>
  /** What the runtime says the first container really runs as. */
  inspect(): Promise<ContainerFacts>
  /** What the first container ends with, and what it has said. */
  end(): Promise<{ readonly code: number; readonly log: string }>
  /** SIGTERM, the grace period, SIGKILL; then the pod is removed, its volumes stay. */
  stop(): Promise<void>
}

/** Of the OCI runtime specification that containerd made. */
const containerFacts = z.object({
  runtimeSpec: z.object({
    process: z.object({
      user: z.object({ uid: z.number(), gid: z.number() }),
      noNewPrivileges: z.boolean().default(false),
      capabilities: z.object({ effective: z.array(z.string()).nullish() }).nullish(),
    }),
    root: z.object({ readonly: z.boolean().default(false) }),
    linux: z.object({ seccomp: z.object({ defaultAction: z.string() }).nullish() }),
  }),
})
export type ContainerFacts = z.infer<typeof containerFacts>['runtimeSpec']

/** Resolves when the pod's containers run. Rejects with the log of a container that has failed. */
export async function runPod(
  node: Node,
  template: PodTemplate,
  objects: Objects,
  named: Pick<PodPlace, 'name' | 'namespace' | 'topology'>,
  access: PodAccess,
): Promise<RunningPod> {
  const { name: nodeName, address: nodeIp } = node.host
  const place: PodPlace = { ...named, uid: randomUUID(), nodeName, nodeIp, service: access.env }
  const { spec } = template
  const { runtime } = node.containerd.cri
  const volumes = new Map<string, string>()
  for (const volume of spec.volumes) volumes.set(volume.name, await mountVolume(node, volume, template, place, objects))
  if (spec.automountServiceAccountToken) volumes.set(tokenMount.name, await mountToken(node, template, place, access))
  const sandbox = sandboxConfig(template, place)
  const { pod_sandbox_id: id } = await runtime('RunPodSandbox', { config: sandbox })

  async function start(given: ContainerSpec): Promise<string> {
    if (given.imagePullPolicy !== 'Never') await node.containerd.cri.pull(given.image)
    const config = containerConfig(given, template, place, volumes)
    const made = await runtime('CreateContainer', { pod_sandbox_id: id, config, sandbox_config: sandbox })
    await runtime('StartContainer', { container_id: made['container_id'] })
    return String(made['container_id'])
  }

  async function remove(): Promise<void> {
    await runtime('StopPodSandbox', { pod_sandbox_id: id })
    await runtime('RemovePodSandbox', { pod_sandbox_id: id })
  }

  for (const given of spec.initContainers) await succeeded(node, await start(given), logFile(node, given, place))
  const started = new Map<ContainerSpec, string>()
  for (const given of spec.containers) started.set(given, await start(given))
  const [[first, container]] = [...started] as [[ContainerSpec, string]]
  return {
    async isReady() {
      await running(node, container, logFile(node, first, place))
      return (await node.get(readinessUrl(first, place.nodeIp))).status === 200
    },
    async inspect() {
      const { info } = await statusOf(node, container)
      return containerFacts.parse(JSON.parse(info['info'] ?? '{}')).runtimeSpec
    },
    async end() {
      const log = logFile(node, first, place)
      return { code: await ended(node, container), log: await readFile(log, 'utf8') }
    },
    async stop() {
      const stopped = { timeout: spec.terminationGracePeriodSeconds }
      for (const one of started.values()) await runtime('StopContainer', { container_id: one, ...stopped })
      await remove()
    },
  }
}

const status = z.object({
  status: z.object({ state: z.string(), exit_code: z.number() }),
  info: z.record(z.string(), z.string()),
})

async function statusOf({ containerd }: Node, container: string): Promise<z.infer<typeof status>> {
  return status.parse(await containerd.cri.runtime('ContainerStatus', { container_id: container, verbose: true }))
}

/** Resolves when the container has ended well. */
async function succeeded(node: Node, container: string, log: string): Promise<void> {
  const code = await ended(node, container)
  if (code !== 0) throw new Error(`an init container ended with ${code}: ${await readFile(log, 'utf8')}`)
}

async function ended(node: Node, container: string): Promise<number> {
  const hasEnded = async () => (await statusOf(node, container)).status.state === 'CONTAINER_EXITED'
  await untilTrue('the end of a container', hasEnded)
  return (await statusOf(node, container)).status.exit_code
}

async function running(node: Node, container: string, log: string): Promise<void> {
  const { state, exit_code: code } = (await statusOf(node, container)).status
  if (state !== 'CONTAINER_RUNNING') throw new Error(`a container ended with ${code}: ${await readFile(log, 'utf8')}`)
}

function logFile({ root }: Node, { name }: ContainerSpec, { namespace, name: pod, uid }: PodPlace): string {
  return path.join(root, `var/log/pods/${namespace}_${pod}_${uid}`, `${name}.log`)
}

/** Makes what the volume is on the node; resolves to its path there. */
async function mountVolume(
  { root }: Node,
  volume: VolumeSpec,
  { spec }: PodTemplate,
  { uid }: PodPlace,
  objects: Objects,
): Promise<string> {
  if ('hostPath' in volume) {
    const { path: onNode, type } = volume.hostPath
    // As kubelet: 0755, and root's.
    if (type === 'DirectoryOrCreate') await mkdir(path.join(root, onNode), { recursive: true, mode: 0o755 })
    if (type !== '' && !(await stat(path.join(root, onNode))).isDirectory())
      throw new Error(`${onNode} is no directory`)
    return onNode
  }
  const [kind, name] = 'secret' in volume ? ['Secret', volume.secret.secretName] : ['ConfigMap', volume.configMap.name]
  const { data } = objects[`${kind}/${name}`] ?? {}
  if (data === undefined) throw new Error(`no ${kind} ${name}, which the pod mounts`)
  const directory = volumeDirectory(uid, kind.toLowerCase(), volume.name)
  const items = 'secret' in volume ? volume.secret.items : undefined
  const mode = 'secret' in volume ? volume.secret.defaultMode : 0o644
  await mkdir(path.join(root, directory), { recursive: true })
  for (const { key, path: file } of items ?? Object.keys(data).map((each) => ({ key: each, path: each }))) {
    const value = data[key]
    if (value === undefined) throw new Error(`${kind} ${name} has no key ${key}`)
    const content = Buffer.from(value, kind === 'Secret' ? 'base64' : 'utf8')
    await writeInVolume(path.join(root, directory, file), content, mode, spec)
  }
  return directory
}

/** What of the pod's service account the API server gave out for it. */
async function mountToken(
  { root }: Node,
  { spec }: PodTemplate,
  { uid }: PodPlace,
  { accountDirectory }: PodAccess,
): Promise<string> {
  const directory = volumeDirectory(uid, 'projected', tokenMount.name)
  await mkdir(path.join(root, directory), { recursive: true })
  for (const file of await readdir(accountDirectory)) {
    const content = await readFile(path.join(accountDirectory, file))
    await writeInVolume(path.join(root, directory, file), content, file === 'token' ? 0o640 : 0o644, spec)
  }
  return directory
}

async function writeInVolume(
  file: string,
  content: Buffer,
  mode: number,
  { securityContext: { fsGroup } }: PodTemplate['spec'],
): Promise<void> {
  await writeFile(file, content)
  await chmod(file, mode)
  if (fsGroup !== undefined) await chown(file, 0, fsGroup)
}
