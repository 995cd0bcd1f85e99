/** Real agents, and a rule that keeps a repository to each of them: what the origin sends, what is kept, and what others are told. */
import path from 'node:path'
import { afterAll, expect, onTestFinished, test } from 'vitest'
import {
  agentReady,
  type AgentProcess,
  makeClusterSecret,
  readMetrics,
  startAgent,
  stopAgent,
} from '../../../cli/demo/agents.ts'
import { createGuardian } from '../../../cli/demo/guardian.ts'
import { type Image, makeImage, pulledBlobs } from '../../../cli/demo/image.ts'
import { type Origin, startOrigin } from '../../../cli/demo/origin.ts'
import { pullImage } from '../../../cli/demo/pull.ts'
import { KiB, MiB } from '../../../core/units.ts'

const guardian = createGuardian()
afterAll(() => guardian.close())

/** One image in two repositories; the first agent, and where `both` the second as well, keeps `team/secret` to itself. */
async function startWorld(seed: string, both: boolean) {
  const image = await makeImage({
    directory: await guardian.directory(),
    seed,
    layerSizesBytes: [300 * KiB, 3 * MiB],
  })
  const origin = await startOrigin({ repositories: { 'team/secret': image, 'team/open': image } })
  onTestFinished(() => origin.close())
  const flags = ['--rules', `${origin.address}/team/secret=unshared`]
  const root = await guardian.directory()
  const secretFile = await makeClusterSecret(root)
  const start = (name: string, seeds: readonly string[], more: readonly string[]): Promise<AgentProcess> =>
    startAgent(guardian, {
      directory: root,
      secretFile,
      seeds,
      plainOrigins: [origin.address],
      flags: ['--data-dir', path.join(root, name), ...more],
    })
  const first = await start('first', [], flags)
  const second = await start('second', [first.clusterAddress], both ? flags : [])
  const agents = [first, second] as const
  onTestFinished(async () => void (await Promise.all(agents.map(stopAgent))))
  await Promise.all(agents.map((agent) => agentReady(agent, 2)))
  const pull = async ({ mirror }: AgentProcess, repository: string): Promise<string[]> => {
    const { blobs } = await pullImage({ hosts: [mirror], origin: origin.address, repository, reference: image.tag })
    return blobs.map(({ digest }) => digest)
  }
  return { image, origin, first, second, pull }
}

/** How often the origin sent a layer's or config's first byte. */
function timesSent({ requests }: Origin, image: Image): number[] {
  return pulledBlobs(image, 'amd64').map(
    ({ digest }) =>
      requests.filter(({ method, url, range }) => method === 'GET' && url.includes(digest) && startsAtZero(range))
        .length,
  )
}

const startsAtZero = (range: string | undefined): boolean => range === undefined || range.startsWith('bytes=0-')

async function tracesOf({ ops }: AgentProcess) {
  const metrics = await readMetrics(ops)
  const sum = (pattern: RegExp): number =>
    [...metrics].reduce((total, [series, value]) => (pattern.test(series) ? total + value : total), 0)
  return {
    kept: sum(/^shoal_store_blobs/),
    announced: sum(/^shoal_directory_calls_total\{.*role="client"/),
    given: sum(/^shoal_uploads_total/),
    fromPeers: sum(/^shoal_bytes_total\{.*source="peer"/),
  }
}

const noTrace = { kept: 0, announced: 0, given: 0, fromPeers: 0 }

test('each node fetches from the origin, keeps nothing, and neither tells nor asks the other', async () => {
  const { image, origin, first, second, pull } = await startWorld('unshared', true)
  for (const agent of [first, second])
    expect((await pull(agent, 'team/secret')).toSorted()).toEqual(
      pulledBlobs(image, 'amd64')
        .map(({ digest }) => digest)
        .toSorted(),
    )
  expect(timesSent(origin, image)).toEqual(pulledBlobs(image, 'amd64').map(() => 2))
  expect(await tracesOf(first)).toEqual(noTrace)
  expect(await tracesOf(second)).toEqual(noTrace)
})

test('who has no such rule gets nothing of it from who has, and what another repository shares is shared', async () => {
  const { image, origin, first, second, pull } = await startWorld('half shared', false)
  await pull(first, 'team/secret')
  await pull(second, 'team/secret')
  expect(timesSent(origin, image)).toEqual(pulledBlobs(image, 'amd64').map(() => 2))
  expect(await tracesOf(first)).toEqual(noTrace)
  await pull(first, 'team/open')
  expect((await tracesOf(first)).fromPeers).toBeGreaterThan(3 * MiB)
  expect(timesSent(origin, image)).toEqual(pulledBlobs(image, 'amd64').map(() => 2))
})
