/**
 * The containerd configurations of docs/platforms.md, as they ship and with what their operators must set: real containerd starts with
 * each, `shoal configure` runs as the chart would have it, and the pull comes through the mirror or, as the page says, does not.
 */
import path from 'node:path'
import { afterAll, beforeAll, describe, expect, onTestFinished, test } from 'vitest'
import { type AgentProcess, agentReady, startAgent, stopAgent } from '../../cli/demo/agents.ts'
import { configureSchema } from '../../cli/configure/configure-options.ts'
import { configure } from '../../cli/configure/configure.ts'
import { createGuardian } from '../../cli/demo/guardian.ts'
import { type Image, makeImage } from '../../cli/demo/image.ts'
import { type Origin, startOrigin } from '../../cli/demo/origin.ts'
import { type Platform, platforms, type ShippedContainerd } from '../../cli/platforms.ts'
import { KiB } from '../../core/units.ts'
import { startContainerd, usableSnapshotter } from '../support/containerd/containerd.ts'
import { type ContainerdBinary, findContainerd } from '../support/containerd/versions.ts'
import { deliveredBytes } from '../support/delivered-bytes.ts'
import { type Change, writeConfiguration } from '../support/platforms/configuration.ts'

const guardian = createGuardian()
/** The mirror as docs/platforms.md has it. */
const documentedMirror = '127.0.0.1:5050'
let image: Image
let origin: Origin
const agents = new Map<'http' | 'https', AgentProcess>()

beforeAll(async () => {
  image = await makeImage({
    directory: await guardian.directory(),
    seed: 'e2e platforms',
    layerSizesBytes: [64 * KiB, 256 * KiB],
  })
  origin = await startOrigin({ repositories: { 'demo/app': image } })
  for (const protocol of ['http', 'https'] as const) {
    const directory = await guardian.directory()
    agents.set(protocol, await startAgent(guardian, { directory, seeds: [], plainOrigins: [origin.address], protocol }))
  }
  await Promise.all([...agents.values()].map((agent) => agentReady(agent, 1)))
})
afterAll(async () => {
  await Promise.all([...agents.values()].map(stopAgent))
  await origin?.close()
  await guardian.close()
})

const sources = { '1.6': 'installed', '1.7': 'trixie', '2': 'sid' } as const
const binaries = new Map<ShippedContainerd['series'], ContainerdBinary | string>()
for (const [series, source] of Object.entries(sources))
  binaries.set(series as keyof typeof sources, await findContainerd(source))

/** All of them have that snapshotter; a filesystem that is an overlay itself can't be one's. */
const canUnpack = (await usableSnapshotter(guardian)) === 'overlayfs' || process.env['CI'] === 'true'

describe.skipIf(!canUnpack)('on a filesystem that overlayfs can be mounted on', () => {
  describe.each(platforms.filter(({ containerds }) => containerds.length > 0))('$name', (platform) => {
    for (const shipped of platform.containerds) suite(platform, shipped)
  })
})

function suite(platform: Platform, shipped: ShippedContainerd): void {
  const { series, isMirrored } = shipped
  const binary = binaries.get(series)
  const isMissing = typeof binary === 'string' || binary === undefined
  const name = isMissing ? `containerd ${series}: ${binary}` : `containerd ${binary.version}`

  test.skipIf(isMissing)(`${name}, as it ships: pulls from ${isMirrored ? 'the mirror' : 'the registry'}`, async () => {
    expect(await pullsThroughMirror(platform, shipped, false)).toBe(isMirrored)
  })

  if (platform.toSet === undefined) return
  test.skipIf(isMissing)(`${name}, set up as the page says: pulls from the mirror`, async () => {
    expect(await pullsThroughMirror(platform, shipped, true)).toBe(true)
  })
}

function changeOf({ toSet }: Platform, series: ShippedContainerd['series'], mirror: string): Change {
  if (toSet === undefined) return undefined
  const { effect } = toSet
  return 'fixture' in effect ? effect : { toml: effect.toml[series].replaceAll(documentedMirror, mirror) }
}

/** Starts that containerd, has `shoal configure` run, and pulls. */
async function pullsThroughMirror(platform: Platform, shipped: ShippedContainerd, isSetUp: boolean): Promise<boolean> {
  const { registryConfigPath } = platform
  const agent = agents.get(registryConfigPath === undefined ? 'http' : 'https') as AgentProcess
  const binary = binaries.get(shipped.series) as ContainerdBinary
  const mirror = new URL(agent.mirror).host
  const change = isSetUp ? changeOf(platform, shipped.series, mirror) : undefined
  const containerd = await startContainerd(guardian, {
    binary,
    snapshotter: 'overlayfs',
    hostsDir: '',
    writeConfig: (place) => writeConfiguration(platform, shipped, change, binary, place),
  })
  onTestFinished(() => containerd.stop())
  if (registryConfigPath !== undefined)
    await configureFor(path.join(containerd.directory, registryConfigPath), agent, mirror)
  const before = await deliveredBytes(agent)
  await containerd.cri.pull(`${origin.address}/demo/app:${image.tag}`)
  return (await deliveredBytes(agent)) > before
}

/** As an operator's command does, in this process: twenty times the start of that takes longer than all else here. */
async function configureFor(containerdRegistryConfigPath: string, { dataDir }: AgentProcess, mirrorListen: string) {
  await configure(configureSchema.parse({ containerdRegistryConfigPath, dataDir, mirrorListen }))
}
