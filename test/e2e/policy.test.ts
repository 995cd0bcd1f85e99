/** Real containerd, and what operators decide: passwords that the mirror asks for and recognises in an outage, and rules. */
import { afterAll, beforeAll, expect, onTestFinished, test } from 'vitest'
import { agentReady, startAgent, stopAgent } from '../../cli/demo/agents.ts'
import { pushImage, startRegistryProcess } from '../../cli/demo/docker-registry.ts'
import { createGuardian } from '../../cli/demo/guardian.ts'
import { type Image, makeImage } from '../../cli/demo/image.ts'
import { startOrigin } from '../../cli/demo/origin.ts'
import { MiB } from '../../core/units.ts'
import {
  type Containerd,
  missingBlobs,
  type Snapshotter,
  startContainerd,
  usableSnapshotter,
  writeHosts,
} from '../support/containerd/containerd.ts'
import { type ContainerdBinary, describeContainerds } from '../support/containerd/versions.ts'
import { type RecordedExchange, startRecorder } from '../support/recorder.ts'
import { startTokenService } from '../support/token-service.ts'

const guardian = createGuardian()
let image: Image
let snapshotter: Snapshotter

beforeAll(async () => {
  image = await makeImage({
    directory: await guardian.directory(),
    seed: 'e2e policy',
    layerSizesBytes: [MiB, 2 * MiB],
  })
  snapshotter = await usableSnapshotter(guardian)
})
afterAll(() => guardian.close())

await describeContainerds(describeVersion, 'docker-registry', 'skopeo', 'openssl')

function describeVersion(binary: ContainerdBinary): void {
  /** An agent with these flags, and the containerds of some nodes that have it as their mirror. */
  async function startMirror(plainOrigins: readonly string[], flags: readonly string[]) {
    const agent = await startAgent(guardian, {
      directory: await guardian.directory(),
      seeds: [],
      plainOrigins,
      flags,
    })
    await agentReady(agent, 1)
    onTestFinished(() => stopAgent(agent))
    const recorder = await startRecorder(agent.mirror)
    onTestFinished(() => recorder.close())
    const hostsDir = await writeHosts(await guardian.directory(), recorder.url)
    const startNode = async (): Promise<Containerd> => {
      const containerd = await startContainerd(guardian, { binary, snapshotter, hostsDir })
      onTestFinished(() => containerd.stop())
      return containerd
    }
    return { agent, exchanges: recorder.exchanges, startNode }
  }

  test('exchange: the pull secret of a pod is proven, and recognised with registry and token service down', async () => {
    const reader = { username: 'team-a', password: 'a-secret' }
    const service = await startTokenService({
      directory: await guardian.directory(),
      users: {
        ci: { password: 'push-secret', pulls: 'push' },
        [reader.username]: { password: reader.password, pulls: ['team-a/app'] },
      },
      lifetimeSeconds: 1,
    })
    const registry = await startRegistryProcess(guardian, service.registryAuth)
    await pushImage(image, registry.address, 'team-a/app', 'ci:push-secret')
    const policy = { access: 'exchange', enforcement: 'Every', failover: 'granted', failoverMs: '1h' }
    const origin = JSON.stringify({ host: registry.address, plainHttp: true, ...policy })
    const { exchanges, startNode } = await startMirror([new URL(service.realm).host], ['--origins', origin])
    const reference = `${registry.address}/team-a/app:${image.tag}`

    const issuedBefore = service.issued.length
    const first = await startNode()
    await first.cri.pull(reference, reader)
    expect(await missingBlobs(first, image)).toEqual([])
    // The agent alone spoke to the token service: containerd, which would have sent its secret in a form, was never told of it.
    const grants = service.issued.slice(issuedBefore).map(({ grant }) => grant)
    expect(new Set(grants)).toEqual(new Set(['anonymous', 'basic']))

    await service.stop()
    await registry.stop()
    const mark = exchanges.length
    const second = await startNode()
    await expect(second.cri.pull(reference, { ...reader, password: 'guess' })).rejects.toThrow(registry.address)
    await expect(second.cri.pull(reference)).rejects.toThrow(registry.address)
    expect(exchanges.slice(mark).map(({ status }) => status)).not.toContain(200)
    await second.cri.pull(reference, reader)
    expect(await missingBlobs(second, image)).toEqual([])
  })

  test('rules: what is passed or refused is pulled from the registry itself, which a 403 does not keep containerd from', async () => {
    const repositories = { 'demo/passed': image, 'demo/refused': image }
    const origin = await startOrigin({ repositories })
    onTestFinished(() => origin.close())
    const rules = `${origin.address}/demo/passed=pass,${origin.address}/demo/refused=refuse`
    const { exchanges, startNode } = await startMirror([origin.address], ['--rules', rules])
    const statusesOf = (repository: string): Set<number> =>
      new Set(exchanges.filter((exchange) => isOf(exchange, repository)).map(({ status }) => status))
    for (const repository of Object.keys(repositories)) {
      const node = await startNode()
      await node.cri.pull(`${origin.address}/${repository}:${image.tag}`)
      expect(await missingBlobs(node, image)).toEqual([])
    }
    expect(statusesOf('demo/passed')).toEqual(new Set([404]))
    expect(statusesOf('demo/refused')).toEqual(new Set([403]))
  })
}

function isOf({ url }: RecordedExchange, repository: string): boolean {
  return url.startsWith(`/v2/${repository}/`)
}
