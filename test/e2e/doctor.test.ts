/** `shoal doctor` beside real containerd: a node that pulls is healthy, and configurations mean here what they mean to containerd. */
import { execFile } from 'node:child_process'
import { mkdir, utimes, writeFile } from 'node:fs/promises'
import path from 'node:path'
import { promisify } from 'node:util'
import { parse } from 'smol-toml'
import { afterAll, beforeAll, expect, onTestFinished, test } from 'vitest'
import { containerdOptions, readContainerdConfig } from '../../agent/doctor/containerd-config.ts'
import { agentReady, commandFile, startAgent, stopAgent } from '../../cli/demo/agents.ts'
import { pushImage, type ReferenceRegistry, startRegistryProcess } from '../../cli/demo/docker-registry.ts'
import { createGuardian } from '../../cli/demo/guardian.ts'
import { type Image, makeImage } from '../../cli/demo/image.ts'
import { hour, MiB, second } from '../../core/units.ts'
import {
  hostsDirOf,
  missingBlobs,
  type Snapshotter,
  startContainerd,
  usableSnapshotter,
} from '../support/containerd/containerd.ts'
import { type ContainerdBinary, describeContainerds } from '../support/containerd/versions.ts'
import { agentFlags } from '../support/doctor-node.ts'

const run = promisify(execFile)
const guardian = createGuardian()
let image: Image
let registry: ReferenceRegistry
let snapshotter: Snapshotter

beforeAll(async () => {
  image = await makeImage({ directory: await guardian.directory(), seed: 'e2e doctor', layerSizesBytes: [MiB] })
  registry = await startRegistryProcess(guardian)
  await pushImage(image, registry.address, 'demo/app')
  snapshotter = await usableSnapshotter(guardian)
})
afterAll(async () => {
  await registry?.stop()
  await guardian.close()
})

await describeContainerds(describeVersion)

function describeVersion(binary: ContainerdBinary): void {
  test('finds nothing on a node that pulls through its agent, and the configuration changed is seen', async () => {
    const directory = await guardian.directory()
    const hostsDir = hostsDirOf(directory)
    await mkdir(hostsDir)
    const containerd = await startContainerd(guardian, { binary, snapshotter, hostsDir })
    onTestFinished(() => containerd.stop())
    const configFile = path.join(containerd.directory, 'config.toml')
    const flags = [
      `--containerd-registry-config-path=${hostsDir}`,
      `--containerd-config-file=${configFile}`,
      `--containerd-content-dir=${containerd.contentDir}`,
    ]
    const options = { directory, seeds: [], plainOrigins: [registry.address], protocol: 'https' as const, flags }
    const agent = await startAgent(guardian, options)
    onTestFinished(() => stopAgent(agent))
    await agentReady(agent, 1)
    const mirror = new URL(agent.mirror).host
    const configure = ['configure', '--data-dir', agent.dataDir, '--mirror-listen', mirror]
    await run(process.execPath, [commandFile, ...configure, '--containerd-registry-config-path', hostsDir])
    const doctor = async (): Promise<unknown> => {
      const { stdout } = await run(process.execPath, [commandFile, 'doctor', '--json', ...agentFlags(agent)])
      return JSON.parse(stdout)
    }

    await containerd.cri.pull(`${registry.address}/demo/app:${image.tag}`)
    expect(await missingBlobs(containerd, image)).toEqual([])
    expect(await doctor()).toEqual({ healthy: true, findings: [] })
    const report = (await (await fetch(`${agent.ops}/doctor`)).json()) as { containerdVersion: string }
    expect(report.containerdVersion).toBe(binary.version)

    const laterSeconds = (Date.now() + hour) / second
    await utimes(configFile, laterSeconds, laterSeconds)
    expect(await doctor()).toMatchObject({ healthy: true, findings: [{ code: 'CONTAINERD_NOT_RESTARTED' }] })
  })

  const section = binary.major === 1 ? 'plugins."io.containerd.grpc.v1.cri"' : 'plugins."io.containerd.cri.v1.images"'
  const head = `version = ${binary.major === 1 ? 2 : 3}\n`
  const discards = `[${section}${binary.major === 1 ? '.containerd' : ''}]\ndiscard_unpacked_layers = true\n`
  const registryAt = (directory: string): string => `[${section}.registry]\nconfig_path = "${directory}"\n`

  test.each<[string, Record<string, string>]>([
    ['nothing', { 'config.toml': head }],
    ['one file', { 'config.toml': `${head}root = "/data"\n${registryAt('/a')}${discards}` }],
    [
      'a drop-in with another table of the same plugin',
      { 'config.toml': `${head}imports = ["DIRECTORY/d/*.toml"]\n${registryAt('/a')}`, 'd/one.toml': head + discards },
    ],
    [
      'drop-ins in turn',
      {
        'config.toml': `${head}imports = ["DIRECTORY/d/*.toml"]\n${registryAt('/a')}`,
        'd/b.toml': head + registryAt('/b'),
        'd/c.toml': `${head}root = "/c"\n${registryAt('/c')}`,
      },
    ],
  ])('%s is read as containerd reads it', async (_name, files) => {
    const directory = await guardian.directory()
    await mkdir(path.join(directory, 'd'))
    for (const [name, text] of Object.entries(files))
      await writeFile(path.join(directory, name), text.replace('DIRECTORY', directory))
    const file = path.join(directory, 'config.toml')
    const { stdout } = await run(binary.containerd, ['--config', file, 'config', 'dump'])
    const { config } = await readContainerdConfig(file, binary.version)
    const dumped = containerdOptions([parse(stdout)], binary.version)
    expect(config).toEqual({ kind: 'read', file, ...dumped })
  })
}
