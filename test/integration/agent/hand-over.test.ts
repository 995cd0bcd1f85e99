/** SIGTERM to the only agent that has an image, on real processes: the others have it then, and no registry is needed. */
import { once } from 'node:events'
import path from 'node:path'
import { afterAll, describe, expect, onTestFinished, test } from 'vitest'
import { type AgentProcess, readMetrics, startCluster, stopAgent } from '../../../cli/demo/agents.ts'
import { createGuardian } from '../../../cli/demo/guardian.ts'
import { type Image, makeImage, pulledBlobs, totalBytes } from '../../../cli/demo/image.ts'
import { type Origin, startOrigin } from '../../../cli/demo/origin.ts'
import { pullImage } from '../../../cli/demo/pull.ts'
import { KiB, MiB } from '../../../core/units.ts'

const guardian = createGuardian()
afterAll(() => guardian.close())

interface Scene {
  readonly image: Image
  readonly origin: Origin
  readonly agents: readonly [AgentProcess, ...AgentProcess[]]
}

/** One of three agents has pulled an image, which is open to all while the registry is down. */
async function startScene(flags: readonly string[] = []): Promise<Scene> {
  const directory = path.join(await guardian.directory(), 'image')
  const image = await makeImage({ directory, seed: 'hand-over', layerSizesBytes: [6 * MiB, 2 * MiB, 100 * KiB] })
  const origin = await startOrigin({ repositories: { 'demo/app': image } })
  onTestFinished(() => origin.close())
  const allFlags = ['--origin-failover', 'Allow', ...flags]
  const [first, ...others] = await startCluster(guardian, 3, { plainOrigins: [origin.address], flags: allFlags })
  onTestFinished(async () => void (await Promise.all(others.map(stopAgent))))
  const scene = { image, origin, agents: [first!, ...others] } as const
  await pull(scene, first!)
  return scene
}

function pull({ image, origin }: Scene, { mirror }: AgentProcess) {
  return pullImage({
    hosts: [mirror],
    origin: origin.address,
    repository: 'demo/app',
    reference: image.index.digest,
  })
}

async function terminate({ process }: AgentProcess): Promise<unknown> {
  const exited = once(process, 'exit')
  process.kill('SIGTERM')
  return exited
}

describe('the only agent that has an image', () => {
  test('hands it over when it stops: with the registry down another one pulls all of it', async () => {
    const scene = await startScene()
    const [leaver, , last] = scene.agents
    expect(await terminate(leaver)).toEqual([0, null])
    await scene.origin.die()
    const { blobs } = await pull(scene, last!)
    expect(totalBytes(blobs)).toBe(totalBytes(pulledBlobs(scene.image, 'amd64')))
  })

  test('keeps to itself what is more than it may hand over', async () => {
    const { agents, image } = await startScene(['--hand-over-max-bytes', '3MiB'])
    const [leaver, ...others] = agents
    expect(await terminate(leaver)).toEqual([0, null])
    const held = await Promise.all(others.map(async ({ ops }) => (await readMetrics(ops)).get('shoal_store_bytes')))
    const heldBytes = held.reduce<number>((sum, bytes = 0) => sum + bytes, 0)
    const [largest] = pulledBlobs(image, 'amd64').toSorted((one, other) => other.size - one.size)
    expect(heldBytes).toBeGreaterThan(2 * MiB)
    expect(heldBytes).toBeLessThan(largest!.size)
  })
})
