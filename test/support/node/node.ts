/**
 * A Kubernetes node as far as images and pods go: a network namespace, a filesystem of its own where a node's files change, real
 * containerd in it, and no init. What runs on it ends with it.
 */
import { execFile } from 'node:child_process'
import { mkdir, writeFile } from 'node:fs/promises'
import path from 'node:path'
import { promisify } from 'node:util'
import type { Host } from '../../../bench/cold/testbed.ts'
import type { Guardian } from '../../../cli/demo/guardian.ts'
import { type Containerd, type Snapshotter, startContainerd } from '../containerd/containerd.ts'
import type { ContainerdBinary } from '../containerd/versions.ts'

const run = promisify(execFile)

export interface NodeOptions {
  readonly host: Host
  readonly binary: ContainerdBinary
  readonly snapshotter: Snapshotter
  /** What pods' sandboxes are made of. */
  readonly sandboxImage: string
  /** What the operator has put below /etc, by path. */
  readonly etc: Readonly<Record<string, string>>
}

export interface Node {
  readonly host: Host
  /** Where `/` of the node is on this machine; of it, `/etc`, `/var`, `/run` and `/opt` are the node's own. */
  readonly root: string
  readonly containerd: Containerd
  /** What a client on the node gets: the status, 0 where nobody listens, and the text. */
  get(url: string): Promise<{ readonly status: number; readonly text: string }>
}

/** All of these are the node's own: nothing on it can change the machine's. */
const ownDirectories = ['etc', 'var', 'run', 'opt'] as const

export async function startNode(guardian: Guardian, options: NodeOptions): Promise<Node> {
  const root = await guardian.directory()
  for (const name of [...ownDirectories, 'var/lib', 'var/log']) await mkdir(path.join(root, name), { recursive: true })
  const files = { ...systemFiles, ...options.etc }
  for (const [name, content] of Object.entries(files)) await writeNew(path.join(root, 'etc', name), content)
  const inNetwork = ['nsenter', `--net=/run/netns/${options.host.name}`]
  const containerd = await startContainerd(guardian, {
    ...options,
    nodeRoot: root,
    hostsDir: '/etc/containerd/certs.d',
    prefix: [...inNetwork, ...onOwnFiles(root, path.dirname(options.binary.containerd))],
  })
  return {
    host: options.host,
    root,
    containerd,
    async get(url) {
      const { stdout } = await run('nsenter', [inNetwork[1] ?? '', process.execPath, '--eval', getScript, url])
      return JSON.parse(stdout) as { status: number; text: string }
    },
  }
}

/** containerd finds its shims in PATH first, and those of another release elsewhere. All processes end with the first one. */
function onOwnFiles(root: string, programs: string): string[] {
  const mounts = ownDirectories.map((name) => `mount --bind '${root}/${name}' /${name}`)
  const script = [...mounts, 'exec "$@"'].join('\n')
  const alone = ['unshare', '--mount', '--fork', '--pid', '--mount-proc', '--kill-child=SIGKILL']
  return [...alone, 'env', `PATH=${programs}:${process.env['PATH']}`, 'sh', '-ec', script, 'sh']
}

const systemFiles = {
  hostname: 'node\n',
  hosts: '127.0.0.1 localhost\n',
  'nsswitch.conf': 'hosts: files dns\n',
  'resolv.conf': 'nameserver 127.0.0.1\n',
  passwd: 'root:x:0:0::/root:/sbin/nologin\n',
  group: 'root:x:0:\n',
}

const getScript = `
fetch(process.argv[1])
  .then(async (response) => ({ status: response.status, text: await response.text() }), () => ({ status: 0, text: '' }))
  .then((answer) => process.stdout.write(JSON.stringify(answer)))`

async function writeNew(file: string, content: string): Promise<void> {
  await mkdir(path.dirname(file), { recursive: true })
  await writeFile(file, content)
}
