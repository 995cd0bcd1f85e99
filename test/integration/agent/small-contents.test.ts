/** Manifests, configs and small layers among real agents: the origin sends each once, and is not missed by those who have a grant. */
import { afterAll, expect, onTestFinished, test } from 'vitest'
import { type AgentProcess, startCluster, stopAgent } from '../../../cli/demo/agents.ts'
import { createGuardian } from '../../../cli/demo/guardian.ts'
import { type Image, makeImage, pulledBlobs } from '../../../cli/demo/image.ts'
import { type Origin, startOrigin } from '../../../cli/demo/origin.ts'
import { pullImage, type PullResult } from '../../../cli/demo/pull.ts'
import { KiB, MiB } from '../../../core/units.ts'

const guardian = createGuardian()
afterAll(() => guardian.close())

const repository = 'demo/small'
/** Two that go without a swarm, one that does not. */
const layerSizesBytes = [40 * KiB, 400 * KiB, 3 * MiB]

async function startWorld(seed: string, agents: number) {
  const image = await makeImage({ directory: await guardian.directory(), seed, layerSizesBytes })
  const origin = await startOrigin({ repositories: { [repository]: image } })
  onTestFinished(() => origin.close())
  const cluster = await startCluster(guardian, agents, { plainOrigins: [origin.address] })
  onTestFinished(async () => void (await Promise.all(cluster.map(stopAgent))))
  const pull = (agent: number, reference: string): Promise<PullResult> =>
    pullImage({ hosts: [cluster[agent]!.mirror], origin: origin.address, repository, reference })
  return { image, origin, cluster, pull }
}

/** How often the origin sent each small content of the image, whole or in part. */
function timesSent({ requests }: Origin, image: Image): number[] {
  const small = pulledBlobs(image, 'amd64').filter(({ size }) => size < MiB)
  return small.map(
    ({ digest }) => requests.filter(({ method, url }) => method === 'GET' && url.includes(digest)).length,
  )
}

test('eight agents that pull an image at once have each small content sent about once', async () => {
  const { image, origin, cluster, pull } = await startWorld('small cold', 8)
  const results = await Promise.all(cluster.map((_, agent) => pull(agent, image.tag)))
  const times = timesSent(origin, image)
  expect(Math.min(...times)).toBe(1)
  // Members that disagree for a moment who hosts a digest may have it fetched twice.
  expect(times.reduce((sum, each) => sum + each)).toBeLessThanOrEqual(times.length + 1)
  expect(origin.requests.filter(({ url }) => url.includes(image.tag))).toHaveLength(8)
  // Who has sent a content has it, as all agents hear; should one ask before that, none other does.
  const asked = origin.requests.filter(({ method, url }) => method === 'HEAD' && url.includes('sha256:'))
  expect(asked.length).toBe(new Set(asked.map(({ url }) => url)).size)
  for (const { blobs } of results) expect(blobs.map(({ digest }) => digest).toSorted()).toEqual(digestsOf(image))
})

test('while the origin is down, what one peer holds is pulled by digest, index to last layer', async () => {
  const { image, origin, cluster, pull } = await startWorld('small outage', 3)
  await pull(0, image.tag)
  await provenTo(cluster[1], origin, image)
  await origin.die()
  const { blobs } = await pull(1, image.index.digest)
  expect(blobs.map(({ digest }) => digest).toSorted()).toEqual(digestsOf(image))
})

/** A grant without any content: the origin tells the agent's caller what the tag means. */
async function provenTo(agent: AgentProcess | undefined, origin: Origin, { tag }: Image): Promise<void> {
  const url = `${agent?.mirror}/v2/${repository}/manifests/${tag}?ns=${origin.address}`
  const response = await fetch(url, { method: 'HEAD' })
  expect(response.status).toBe(200)
}

function digestsOf(image: Image): string[] {
  return pulledBlobs(image, 'amd64')
    .map(({ digest }) => digest)
    .toSorted()
}
