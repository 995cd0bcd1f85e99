/**
 * Agents of two versions in one cluster, as a rolling upgrade has them. The other version is this one, with other numbers in
 * the names of all its protocols: what it would say differently does not matter, since nobody listens to it.
 */
import { cp, readFile, writeFile } from 'node:fs/promises'
import path from 'node:path'
import { afterAll, beforeAll, expect, onTestFinished, test } from 'vitest'
import { type AgentProcess, agentReady, makeClusterSecret, startAgent, stopAgent } from '../../../cli/demo/agents.ts'
import { createGuardian } from '../../../cli/demo/guardian.ts'
import { makeImage, pulledBlobs, totalBytes } from '../../../cli/demo/image.ts'
import { startOrigin } from '../../../cli/demo/origin.ts'
import { pullImage } from '../../../cli/demo/pull.ts'
import { MiB } from '../../../core/units.ts'
import { makeBundle } from '../../../image/image.ts'

/** Peers' handshake, control stream and DHT; directory, members and small content. */
const protocols = ['/shoal/noise/2', '/shoal/control/2', '/shoal/kad/2', '/shoal/cluster/2'] as const

const guardian = createGuardian()
afterAll(() => guardian.close())
let root: string
let secretFile: string

beforeAll(async () => {
  root = await guardian.directory()
  secretFile = await makeClusterSecret(root)
  await makeBundle(path.join(root, 'this'))
  await cp(path.join(root, 'this'), path.join(root, 'other'), { recursive: true })
  const file = path.join(root, 'other/shoal.mjs')
  const code = await readFile(file, 'utf8')
  const absent = protocols.filter((protocol) => !code.includes(protocol))
  if (absent.length > 0) throw new Error(`no such protocols: ${absent.join(', ')}`)
  await writeFile(
    file,
    protocols.reduce((text, protocol) => text.replaceAll(protocol, protocol.replace('2', '3')), code),
  )
})

async function start(version: 'this' | 'other', origin: string, seeds: readonly AgentProcess[]): Promise<AgentProcess> {
  const directory = await guardian.directory()
  const main = path.join(root, version, 'shoal.mjs')
  const addresses = seeds.map(({ clusterAddress }) => clusterAddress)
  const agent = await startAgent(guardian, { directory, secretFile, seeds: addresses, plainOrigins: [origin], main })
  onTestFinished(() => stopAgent(agent))
  return agent
}

test('each version is a cluster of its own, ready and served by the registry, until all have changed', async () => {
  const image = await makeImage({ directory: await guardian.directory(), seed: 'versions', layerSizesBytes: [4 * MiB] })
  const origin = await startOrigin({ repositories: { app: image } })
  onTestFinished(() => origin.close())
  const imageBytes = totalBytes(pulledBlobs(image, 'amd64'))
  const copiesSentFor = async ({ mirror }: AgentProcess): Promise<number> => {
    const before = origin.bytesSent()
    await pullImage({ hosts: [mirror], origin: origin.address, repository: 'app', reference: image.tag })
    return (origin.bytesSent() - before) / imageBytes
  }
  const old = await start('this', origin.address, [])
  await agentReady(old, 1)
  // The first to change finds no seed of its version.
  const first = await start('other', origin.address, [old])
  await agentReady(first, 1)
  const second = await start('other', origin.address, [old, first])
  await agentReady(second, 2)
  await agentReady(old, 1)

  expect(await copiesSentFor(old)).toBeGreaterThanOrEqual(1)
  expect(await copiesSentFor(first)).toBeGreaterThanOrEqual(1)
  expect(await copiesSentFor(second)).toBeLessThan(0.01)
})
