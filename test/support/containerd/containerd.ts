/** A real containerd on directories and sockets of its own, beside whatever the machine runs. Needs root. */
import { execFile, spawn } from 'node:child_process'
import { createHash } from 'node:crypto'
import { createReadStream } from 'node:fs'
import { mkdir, open, readFile, readdir, stat, writeFile } from 'node:fs/promises'
import path from 'node:path'
import { pipeline } from 'node:stream/promises'
import { setTimeout as sleep } from 'node:timers/promises'
import { promisify } from 'node:util'
import { codeOf } from '../../../agent/kept-file.ts'
import { stopProcess } from '../../../cli/demo/docker-registry.ts'
import type { Guardian } from '../../../cli/demo/guardian.ts'
import { type Descriptor, type Image, pulledBlobs } from '../../../cli/demo/image.ts'
import { type Digest, digestFromHex } from '../../../core/oci/digest.ts'
import { second } from '../../../core/units.ts'
import { type Cri, connectCri } from './cri.ts'
import type { ContainerdBinary } from './versions.ts'

const run = promisify(execFile)

export interface ContainerdOptions {
  readonly binary: ContainerdBinary
  readonly snapshotter: Snapshotter
  /** Where the mirror is, for CRI; `ctr` gets the same directory. */
  readonly hostsDir: string
  /** Words before each command, such as `ip netns exec NAME`. */
  readonly prefix?: readonly string[]
  /**
   * Where its files are: of this machine, a directory that is `/` to containerd once `prefix` has made it so. It then has the paths
   * that it has on nodes. Default: a new directory of its own.
   */
  readonly nodeRoot?: string
  /** The image of which each pod's sandbox is made. Default: the one that containerd names, which can not be had here. */
  readonly sandboxImage?: string
  /** 2.1 and later: read layers as parallel open-ended ranges of this many bytes. */
  readonly rangeBytes?: number
  /** CRI's: a layer's blob goes once it is unpacked. */
  readonly discardUnpackedLayers?: boolean
  /** Writes another configuration than the one that the options above make. */
  readonly writeConfig?: (place: ContainerdPlace) => Promise<void>
}

export interface ContainerdPlace {
  /** Has `root` and `state`, and goes at the end. */
  readonly directory: string
  readonly socket: string
  readonly configFile: string
}

export type Snapshotter = 'overlayfs' | 'native'

export interface Containerd {
  readonly directory: string
  readonly cri: Cri
  /** The content directory that an agent may read. */
  readonly contentDir: string
  /** Any command of `ctr`, of the words after its address; rejects with its output. */
  ctr(...words: readonly string[]): Promise<string>
  /** `ctr images pull`; rejects with its output. */
  pullWithCtr(reference: string, flags?: readonly string[]): Promise<void>
  /** Every blob in the content store with its size; rejects when one is not what its name says. */
  blobs(): Promise<Map<Digest, number>>
  stop(): Promise<void>
}

const readyTimeoutMs = 30 * second

export async function startContainerd(guardian: Guardian, options: ContainerdOptions): Promise<Containerd> {
  const directory = options.nodeRoot ?? (await guardian.directory())
  const paths = options.nodeRoot === undefined ? pathsIn(directory) : nodePaths
  const onHost = (file: string) => (options.nodeRoot === undefined ? file : path.join(directory, file))
  const configFile = onHost(paths.config)
  await mkdir(onHost(paths.cni), { recursive: true })
  await mkdir(path.dirname(configFile), { recursive: true })
  if (options.writeConfig === undefined) await writeFile(configFile, containerdConfig(paths, options))
  else await options.writeConfig({ directory, socket: paths.socket, configFile })
  const logFile = path.join(directory, 'containerd.log')
  await using log = await open(logFile, 'a')
  const { binary, prefix = [] } = options
  const [command, ...words] = [...prefix, binary.containerd, '--config', paths.config]
  const child = spawn(command, words, { stdio: ['ignore', log.fd, log.fd] })
  guardian.adopt(child)
  guardian.atEnd('umount', '--all-targets', '--recursive', '--quiet', directory)
  const cri = connectCri(onHost(paths.socket))
  await criReady(cri, logFile)
  const contentDir = path.join(onHost(paths.root), 'io.containerd.content.v1.content')
  async function ctr(...order: readonly string[]): Promise<string> {
    const [program = '', ...given] = [...prefix, binary.ctr, '--address', paths.socket, ...order]
    return (await run(program, given)).stdout
  }
  return {
    directory,
    cri,
    contentDir,
    ctr,
    async pullWithCtr(reference, flags = []) {
      const { hostsDir, snapshotter } = options
      await ctr('images', 'pull', '--hosts-dir', hostsDir, '--snapshotter', snapshotter, ...flags, reference)
    },
    blobs: () => verifiedBlobs(path.join(contentDir, 'blobs/sha256')),
    async stop() {
      cri.close()
      // `unshare` passes no signal on; all in its process namespace ends with it.
      await stopProcess(child, options.nodeRoot === undefined ? 'SIGTERM' : 'SIGKILL')
    },
  }
}

/** As containerd sees them. */
type ContainerdPaths = Readonly<Record<'config' | 'root' | 'state' | 'socket' | 'cni' | 'opt', string>>

/** Where nodes have them, and Shoal's chart looks for them. */
const nodePaths: ContainerdPaths = {
  config: '/etc/containerd/config.toml',
  root: '/var/lib/containerd',
  state: '/run/containerd',
  socket: '/run/containerd/containerd.sock',
  cni: '/etc/cni/net.d',
  opt: '/opt/containerd',
}

function pathsIn(directory: string): ContainerdPaths {
  return {
    config: `${directory}/config.toml`,
    root: `${directory}/root`,
    state: `${directory}/state`,
    socket: `${directory}/containerd.sock`,
    cni: `${directory}/cni`,
    opt: `${directory}/opt`,
  }
}

export function hostsDirOf(directory: string): string {
  return path.join(directory, 'certs.d')
}

/** hosts.toml for every registry, as facts and README tell users to write it: the mirror first, the origin after it. */
export async function writeHosts(directory: string, mirror: string): Promise<string> {
  const hostsDir = hostsDirOf(directory)
  await mkdir(path.join(hostsDir, '_default'), { recursive: true })
  const lines = [`[host."${mirror}"]`, '  capabilities = ["pull", "resolve"]', '  dial_timeout = "200ms"', '']
  await writeFile(path.join(hostsDir, '_default/hosts.toml'), lines.join('\n'))
  return hostsDir
}

/** Overlayfs, unless the kernel refuses to mount it here (as where `/tmp` is itself an overlay). */
export async function usableSnapshotter(guardian: Guardian): Promise<Snapshotter> {
  const directory = await guardian.directory()
  const [lower, upper, work, target] = ['lower', 'upper', 'work', 'target'].map((name) => path.join(directory, name))
  await Promise.all([lower, upper, work, target].map((each) => mkdir(String(each))))
  const options = `lowerdir=${lower},upperdir=${upper},workdir=${work}`
  try {
    await run('mount', ['-t', 'overlay', '-o', options, 'overlay', String(target)])
    await run('umount', [String(target)])
    return 'overlayfs'
  } catch {
    return 'native'
  }
}

/** What of the platform is not in containerd's store with the right size; `blobs` has checked each digest. */
export async function missingBlobs(
  containerd: Pick<Containerd, 'blobs'>,
  image: Image,
  architecture = 'amd64',
): Promise<Descriptor[]> {
  const held = await containerd.blobs()
  return pulledBlobs(image, architecture).filter(({ digest, size }) => held.get(digest) !== size)
}

async function criReady(cri: Cri, logFile: string): Promise<void> {
  const deadlineMs = performance.now() + readyTimeoutMs
  while (
    !(await cri.list().then(
      () => true,
      () => false,
    ))
  ) {
    if (performance.now() > deadlineMs) {
      const tail = (await readFile(logFile, 'utf8')).split('\n').slice(-20).join('\n')
      throw new Error(`containerd's CRI did not answer:\n${tail}`)
    }
    await sleep(50)
  }
}

/** Where a machine does not let root lower an OOM score, pods run with containerd's own. */
function containerdConfig(paths: ContainerdPaths, options: ContainerdOptions): string {
  const common = `
root = "${paths.root}"
state = "${paths.state}"
[grpc]
  address = "${paths.socket}"
[ttrpc]
  address = "${paths.socket}.ttrpc"
[plugins."io.containerd.internal.v1.opt"]
  path = "${paths.opt}"
[plugins."io.containerd.nri.v1.nri"]
  disable = true
`
  const plugins = options.binary.major === 1 ? pluginsOf1(paths, options) : pluginsOf2(paths, options)
  return `version = ${options.binary.major === 1 ? 2 : 3}\n${common}${plugins}`
}

function pluginsOf1({ cni }: ContainerdPaths, options: ContainerdOptions): string {
  const { snapshotter, hostsDir, sandboxImage, discardUnpackedLayers = false } = options
  return `
[plugins."io.containerd.grpc.v1.cri"]
  restrict_oom_score_adj = true
${sandboxImage === undefined ? '' : `  sandbox_image = "${sandboxImage}"`}
[plugins."io.containerd.grpc.v1.cri".containerd]
  snapshotter = "${snapshotter}"
  discard_unpacked_layers = ${discardUnpackedLayers}
[plugins."io.containerd.grpc.v1.cri".registry]
  config_path = "${hostsDir}"
[plugins."io.containerd.grpc.v1.cri".cni]
  conf_dir = "${cni}"
`
}

function pluginsOf2({ cni }: ContainerdPaths, options: ContainerdOptions): string {
  const { snapshotter, hostsDir, sandboxImage, rangeBytes = 0, discardUnpackedLayers = false } = options
  return `
[plugins."io.containerd.cri.v1.images"]
  snapshotter = "${snapshotter}"
  discard_unpacked_layers = ${discardUnpackedLayers}
[plugins."io.containerd.cri.v1.images".pinned_images]
${sandboxImage === undefined ? '' : `  sandbox = "${sandboxImage}"`}
[plugins."io.containerd.cri.v1.images".registry]
  config_path = "${hostsDir}"
[plugins."io.containerd.cri.v1.runtime"]
  restrict_oom_score_adj = true
[plugins."io.containerd.cri.v1.runtime".cni]
  conf_dir = "${cni}"
[plugins."io.containerd.transfer.v1.local"]
  concurrent_layer_fetch_buffer = ${rangeBytes}
  max_concurrent_downloads = ${rangeBytes > 0 ? 4 : 3}
  [[plugins."io.containerd.transfer.v1.local".unpack_config]]
    platform = "linux/amd64"
    snapshotter = "${snapshotter}"
`
}

async function verifiedBlobs(directory: string): Promise<Map<Digest, number>> {
  const blobs = new Map<Digest, number>()
  for (const name of await readdir(directory)) {
    const size = await verifiedSize(path.join(directory, name), name)
    if (size !== undefined) blobs.set(digestFromHex(name), size)
  }
  return blobs
}

/** Undefined: containerd has just collected it, as it does with what a pull that failed has left. */
async function verifiedSize(file: string, name: string): Promise<number | undefined> {
  const hash = createHash('sha256')
  try {
    await pipeline(createReadStream(file), hash)
    if (hash.digest('hex') !== name) throw new Error(`containerd holds a wrong ${name}`)
    return (await stat(file)).size
  } catch (error) {
    if (codeOf(error) === 'ENOENT') return undefined
    throw error
  }
}
