/**
 * Real containerd, through an agent, from every emulated registry, as pods pull: by CRI with a pull secret, and by `ctr --user`.
 * Names, ports and TLS are those of the registries; containerd itself asks only their token services.
 */
import { readFile } from 'node:fs/promises'
import { afterAll, beforeAll, describe, expect, onTestFinished, test } from 'vitest'
import { type AgentProcess, agentReady, startAgent, startCluster } from '../../cli/demo/agents.ts'
import { createGuardian } from '../../cli/demo/guardian.ts'
import { type Image, makeImage, pulledBlobs, totalBytes } from '../../cli/demo/image.ts'
import { pullImage } from '../../cli/demo/pull.ts'
import { KiB, MiB } from '../../core/units.ts'
import {
  type Containerd,
  missingBlobs,
  startContainerd,
  usableSnapshotter,
  writeHosts,
} from '../support/containerd/containerd.ts'
import { type ContainerdBinary, describeContainerds, findContainerd } from '../support/containerd/versions.ts'
import { createAuthorizer } from '../support/authorizer.ts'
import { lacks } from '../support/needs.ts'
import {
  dispatcherTo,
  type Emulator,
  type EmulatorOptions,
  fullName,
  startEmulator,
} from '../support/registries/emulator.ts'
import { amongRegistries, originFlags } from '../support/registries/machine.ts'
import type { RegistryRow } from '../support/registries/row.ts'
import { registryRows } from '../support/registries/rows.ts'
import { repositoryOf } from '../support/registry-content.ts'
import { createTlsAuthority, type TlsAuthority } from '../support/tls-authority.ts'

const guardian = createGuardian()
const cannot = lacks('root', 'containerd', 'ctr', 'openssl')
let authority: TlsAuthority

beforeAll(async () => {
  if (!cannot) authority = createTlsAuthority(await guardian.directory())
})
afterAll(() => guardian.close())

async function newImage(seed: string, layerSizesBytes: readonly number[]): Promise<Image> {
  return makeImage({ directory: await guardian.directory(), seed: `e2e ${seed}`, layerSizesBytes })
}

interface Played {
  readonly emulator: Emulator
  readonly image: Image
}

/** With an image of its own below each repository: what containerd has from one it would not ask another for. */
async function play(row: RegistryRow, image: Image, open: Image, options?: Partial<EmulatorOptions>): Promise<Played> {
  const { repositories } = row
  const contents = {
    [repositories.private]: await repositoryOf(image),
    ...(repositories.open === undefined ? {} : { [fullName(row, repositories.open)]: await repositoryOf(open) }),
  }
  return { image, emulator: await startEmulator(row, { authority, repositories: contents, ...options }) }
}

interface Machine {
  readonly agent: AgentProcess
  readonly containerd: Containerd
}

async function startMachine(
  emulators: readonly Emulator[],
  binary: ContainerdBinary,
  more: readonly string[] = [],
  rangeBytes = 0,
): Promise<Machine> {
  const prefix = await amongRegistries(guardian, emulators, authority.caFile)
  const flags = [...originFlags(emulators, authority.caFile), ...more]
  const directory = await guardian.directory()
  const agent = await startAgent(guardian, { directory, seeds: [], plainOrigins: [], prefix, flags })
  await agentReady(agent, 1)
  const hostsDir = await writeHosts(await guardian.directory(), agent.mirror)
  const snapshotter = await usableSnapshotter(guardian)
  return { agent, containerd: await startContainerd(guardian, { binary, snapshotter, hostsDir, prefix, rangeBytes }) }
}

/** Paths that containerd itself asked of a registry. */
function askedDirectly({ seen, row }: Emulator): string[] {
  const realm = row.access.scheme === 'bearer' ? row.access.realm : ''
  return seen
    .filter(({ headers, url }) => headers['user-agent'] !== 'shoal' && (realm === '' || !url.startsWith(realm)))
    .map(({ url }) => new URL(url).pathname)
}

const installed = cannot ? 'lacks parts' : await findContainerd('installed')

describe.skipIf(typeof installed === 'string')('containerd pulls through the agent from', () => {
  const played = new Map<string, Played & { readonly open: Image }>()
  let machine: Machine

  beforeAll(async () => {
    for (const row of registryRows) {
      const [image, open] = await Promise.all(
        ['private', 'open'].map((name) => newImage(`${row.name} ${name}`, [90 * KiB, 40 * KiB])),
      )
      played.set(row.name, { ...(await play(row, image!, open!)), open: open! })
    }
    machine = await startMachine(
      [...played.values()].map(({ emulator }) => emulator),
      installed as ContainerdBinary,
    )
  })
  afterAll(async () => {
    await machine?.containerd.stop()
    machine?.agent.process.kill('SIGKILL')
    await Promise.all([...played.values()].map(({ emulator }) => emulator.stop()))
  })

  test.each(registryRows.map((row) => [row.name, row] as const))('%s', async (name, row) => {
    const { emulator, image, open } = played.get(name)!
    const { cri, ...containerd } = machine.containerd
    const reference = `${row.origin}/${row.repositories.private}:latest`
    await expect(cri.pull(reference, { ...row.credentials, password: 'wrong' })).rejects.toThrow(/failed to/)
    emulator.forget()
    await cri.pull(reference, row.credentials)
    expect(await missingBlobs(machine.containerd, image)).toEqual([])
    expect(askedDirectly(emulator)).toEqual([])
    const { username, password } = row.credentials
    await containerd.pullWithCtr(reference, ['--user', `${username}:${password}`, '--platform', 'linux/arm64'])
    if (row.repositories.open !== undefined) await cri.pull(`${row.origin}/${row.repositories.open}:latest`)
    expect(row.repositories.open === undefined ? [] : await missingBlobs(machine.containerd, open)).toEqual([])
    expect(askedDirectly(emulator)).toEqual([])
  })
})

/** Layers take three times as long as tokens live. */
const tokenSeconds = Number(process.env['TOKEN_SECONDS'] ?? 3)
const expiring = registryRows.find(({ name }) => name === 'Docker Distribution (token)')!

test.skipIf(cannot)(
  'four nodes that pull such a layer at once, each with tokens of its own, take it about once',
  async () => {
    const image = await newImage('expiry of four', [3 * tokenSeconds * MiB, 100 * KiB])
    const { emulator } = await play(expiring, image, image, { tokenSeconds, blobBytesPerSecond: MiB })
    onTestFinished(() => emulator.stop())
    const prefix = await amongRegistries(guardian, [emulator], authority.caFile)
    const agents = await startCluster(guardian, 4, {
      plainOrigins: [],
      prefix,
      flags: originFlags([emulator], authority.caFile),
    })
    const dispatcher = dispatcherTo([emulator], await readFile(authority.caFile, 'utf8'))
    onTestFinished(() => dispatcher.close())
    const pulls = agents.map(({ mirror }) =>
      pullImage({
        hosts: [mirror],
        origin: expiring.origin,
        repository: expiring.repositories.private,
        reference: image.tag,
        authorize: createAuthorizer(expiring.credentials, dispatcher),
      }),
    )
    await Promise.all(pulls)
    for (const agent of agents) agent.process.kill('SIGKILL')
    expect(emulator.bytesSent / totalBytes(pulledBlobs(image, 'amd64'))).toBeLessThanOrEqual(1.1)
    // They say when they end.
    expect(emulator.spentTokensShown).toBe(0)
  },
)

await describeContainerds(describeExpiry, 'ctr', 'openssl')

function describeExpiry(binary: ContainerdBinary): void {
  test.each([
    ['containerd', []],
    ['the agent', ['--origin-access', 'exchange']],
  ])('a layer that takes three times as long as a token lives, where %s gets the tokens', async (who, flags) => {
    const row = expiring
    const image = await newImage(`expiry ${binary.version}`, [3 * tokenSeconds * MiB, 100 * KiB])
    const { emulator } = await play(row, image, image, { tokenSeconds, blobBytesPerSecond: MiB })
    onTestFinished(() => emulator.stop())
    const { agent, containerd } = await startMachine([emulator], binary, flags)
    onTestFinished(() => containerd.stop())
    onTestFinished(() => void agent.process.kill('SIGKILL'))
    await containerd.cri.pull(`${row.origin}/${row.repositories.private}:latest`, row.credentials)
    expect(await missingBlobs(containerd, image)).toEqual([])
    expect(emulator.tokensIssued).toBeGreaterThan(2)
    expect(emulator.spentTokensShown).toBe(0)
    // containerd 1.6 shows a token for as long as it runs: it takes the rest from the registry, for which it has none yet.
    const direct = who === 'containerd' && binary.version.startsWith('1.6.') ? 1 : 0
    expect(new Set(askedDirectly(emulator).filter((asked) => asked.startsWith('/v2/'))).size).toBe(direct)
  })

  test.skipIf(binary.major === 1).each([
    ['tells when it ends', false],
    ['tells nothing', true],
  ])(
    'a layer read as parallel ranges, which wait for longer than a token lives that %s',
    async (what, opaqueTokens) => {
      const row = expiring
      const image = await newImage(`ranges, and a token that ${what}`, [3 * tokenSeconds * MiB, 100 * KiB])
      const { emulator } = await play(row, image, image, { tokenSeconds, opaqueTokens, blobBytesPerSecond: MiB })
      onTestFinished(() => emulator.stop())
      const { agent, containerd } = await startMachine([emulator], binary, [], (tokenSeconds / 2) * MiB)
      onTestFinished(() => containerd.stop())
      onTestFinished(() => void agent.process.kill('SIGKILL'))
      await containerd.cri.pull(`${row.origin}/${row.repositories.private}:latest`, row.credentials)
      expect(await missingBlobs(containerd, image)).toEqual([])
      expect(emulator.tokensIssued).toBeGreaterThan(3)
      // That of one must be tried to be known.
      expect(emulator.spentTokensShown).toBeLessThanOrEqual(opaqueTokens ? emulator.tokensIssued : 0)
      expect(askedDirectly(emulator).filter((asked) => asked.startsWith('/v2/'))).toEqual([])
    },
  )
}
