/** docker-registry 2.8 as a process: the reference that tests pull from and benches compare with. */
import { type ChildProcess, execFile, spawn } from 'node:child_process'
import { once } from 'node:events'
import { writeFile } from 'node:fs/promises'
import path from 'node:path'
import { promisify } from 'node:util'
import { freePorts } from './free-ports.ts'
import type { Guardian } from './guardian.ts'
import type { Image } from './image.ts'
import { untilTrue } from './until.ts'

const run = promisify(execFile)
export const registryBinary = '/usr/bin/docker-registry'

export interface ReferenceRegistry {
  /** `host:port`. */
  readonly address: string
  stop(): Promise<void>
}

export interface RegistryProcess extends ReferenceRegistry {
  /** Once more, after `stop`: at the same address, with the same content. */
  start(): Promise<void>
}

/** `auth` as in the registry's configuration; open to all without it. */
export async function startRegistryProcess(guardian: Guardian, auth?: object): Promise<RegistryProcess> {
  const directory = await guardian.directory()
  const [port] = await freePorts(1)
  const address = `127.0.0.1:${port}`
  const configFile = path.join(directory, 'config.yml')
  await writeFile(configFile, registryConfig(path.join(directory, 'data'), address, auth))
  async function start(): Promise<ChildProcess> {
    const child = spawn(registryBinary, ['serve', configFile], { stdio: 'ignore' })
    guardian.adopt(child)
    await once(child, 'spawn')
    await registryAnswers(address)
    return child
  }
  let running = await start()
  return {
    address,
    stop: () => stopProcess(running),
    async start() {
      running = await start()
    },
  }
}

/** Pushes every platform of an image, digests unchanged; `credentials` as `user:password`. */
export async function pushImage(
  image: Image,
  registry: string,
  repository: string,
  credentials?: string,
): Promise<void> {
  const source = `oci:${image.directory}:${image.tag}`
  const target = `docker://${registry}/${repository}:${image.tag}`
  const shown = credentials === undefined ? [] : ['--dest-creds', credentials]
  const flags = ['--insecure-policy', '--all', '--quiet', '--dest-tls-verify=false', ...shown]
  await run('skopeo', ['copy', ...flags, source, target])
}

/** JSON is YAML. The access log is off: it costs the reference a tenth of its speed. */
export function registryConfig(rootDirectory: string, address: string, auth?: object): string {
  return JSON.stringify({
    version: 0.1,
    log: { level: 'error', accesslog: { disabled: true } },
    storage: { filesystem: { rootdirectory: rootDirectory } },
    http: { addr: address },
    ...(auth === undefined ? {} : { auth }),
  })
}

export async function registryAnswers(address: string): Promise<void> {
  await untilTrue(`the registry at ${address}`, () =>
    fetch(`http://${address}/v2/`).then(
      ({ ok, status }) => ok || status === 401,
      () => false,
    ),
  )
}

export async function stopProcess(child: ChildProcess, signal: NodeJS.Signals = 'SIGTERM'): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return
  const ended = once(child, 'exit')
  child.kill(signal)
  await ended
}
