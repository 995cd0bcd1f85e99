/** docker-registry, the reference registry: in a container where a Docker engine runs, else as a plain process. */
import { type ChildProcess, execFile, spawn } from 'node:child_process'
import { once } from 'node:events'
import { copyFile, mkdir, open, readFile, writeFile } from 'node:fs/promises'
import path from 'node:path'
import { promisify } from 'node:util'
import {
  type ReferenceRegistry,
  registryAnswers,
  registryBinary,
  registryConfig,
  startRegistryProcess,
  stopProcess,
} from '../../cli/demo/docker-registry.ts'
import { freePorts } from '../../cli/demo/free-ports.ts'
import type { Guardian } from '../../cli/demo/guardian.ts'
import { untilTrue } from '../../cli/demo/until.ts'

const run = promisify(execFile)

export interface DockerRegistry extends ReferenceRegistry {
  /** Whether it runs in a container; the reason why not, otherwise. */
  readonly container: true | string
}

export async function startDockerRegistry(guardian: Guardian): Promise<DockerRegistry> {
  try {
    return await startInContainer(guardian)
  } catch (error) {
    const registry = await startRegistryProcess(guardian)
    return { ...registry, container: error instanceof Error ? error.message : String(error) }
  }
}

/** Debian's binary with the C library it is linked to, on nothing else: there is no registry to pull a base image from. */
async function startInContainer(guardian: Guardian): Promise<DockerRegistry> {
  const context = await guardian.directory()
  const { socket, stop } = await startDocker(guardian)
  const { GenericContainer, Wait } = await withDockerAt(socket)
  const files = [registryBinary, '/lib64/ld-linux-x86-64.so.2', '/lib/x86_64-linux-gnu/libc.so.6']
  for (const file of files) {
    await mkdir(path.join(context, path.dirname(file)), { recursive: true })
    await copyFile(file, path.join(context, file))
  }
  const [port] = await freePorts(1)
  const address = `127.0.0.1:${port}`
  await writeFile(path.join(context, 'config.yml'), registryConfig('/data', address))
  const build = [...files, '/config.yml'].map((file) => `COPY .${file} ${file}`)
  const command = `CMD ["${registryBinary}", "serve", "/config.yml"]`
  await writeFile(path.join(context, 'Dockerfile'), ['FROM scratch', ...build, command].join('\n'))
  const image = await GenericContainer.fromDockerfile(context).build('shoal-test/docker-registry', {
    deleteOnExit: false,
  })
  const container = await image.withNetworkMode('host').withWaitStrategy(Wait.forListeningPorts()).start()
  await registryAnswers(address)
  return {
    address,
    container: true,
    async stop() {
      await container.stop()
      await stop()
    },
  }
}

/** testcontainers reads these once, when it first looks for an engine. */
async function withDockerAt(socket: string) {
  process.env['DOCKER_HOST'] = `unix://${socket}`
  process.env['TESTCONTAINERS_RYUK_DISABLED'] = 'true'
  // Else it asks the engine for its bridge, which ours does not have.
  process.env['TESTCONTAINERS_HOST_OVERRIDE'] = '127.0.0.1'
  return import('testcontainers')
}

/**
 * An engine of our own: private directories, no bridge, no change to the machine's firewall. In its own process and mount
 * namespace, so that nothing of it outlives `unshare`.
 */
async function startDocker(guardian: Guardian): Promise<{ socket: string; stop: () => Promise<void> }> {
  if (process.getuid?.() !== 0) throw new Error('dockerd needs root')
  const directory = await guardian.directory()
  const socket = path.join(directory, 'docker.sock')
  const paths = [
    '--data-root',
    `${directory}/data`,
    '--exec-root',
    `${directory}/exec`,
    '--pidfile',
    `${directory}/pid`,
  ]
  const isolated = ['--bridge=none', '--iptables=false', '--ip6tables=false', '--ip-forward=false', '--ip-masq=false']
  const logFile = path.join(directory, 'dockerd.log')
  await using log = await open(logFile, 'a')
  const unshare = ['--fork', '--pid', '--mount-proc', '--kill-child=SIGKILL']
  const child = spawn('unshare', [...unshare, 'dockerd', '--host', `unix://${socket}`, ...paths, ...isolated], {
    stdio: ['ignore', log.fd, log.fd],
  })
  guardian.adopt(child)
  await once(child, 'spawn')
  await dockerAnswers(socket, child, logFile)
  // `unshare` itself ignores SIGTERM; the kernel kills all in its namespace with it.
  return { socket, stop: () => stopProcess(child, 'SIGKILL') }
}

async function dockerAnswers(socket: string, child: ChildProcess, logFile: string): Promise<void> {
  await untilTrue('dockerd', async () => {
    if (child.exitCode !== null) throw new Error(`dockerd ended: ${(await readFile(logFile, 'utf8')).slice(-500)}`)
    return run('docker', ['--host', `unix://${socket}`, 'version']).then(
      () => true,
      () => false,
    )
  })
}
