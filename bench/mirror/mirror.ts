/** How fast is the mirror where nothing has to be fetched, beside docker-registry serving the same bytes in the same run? */
import { mkdir } from 'node:fs/promises'
import path from 'node:path'
import { Command } from 'commander'
import { agentReady, startAgent } from '../../cli/demo/agents.ts'
import { pushImage, startRegistryProcess } from '../../cli/demo/docker-registry.ts'
import { type Guardian, createGuardian } from '../../cli/demo/guardian.ts'
import { type Image, makeImage } from '../../cli/demo/image.ts'
import { pullImage } from '../../cli/demo/pull.ts'
import { MiB } from '../../core/units.ts'
import { medians, quantile, rounded, roundedFields, spreads } from '../figures.ts'
import { type FastClient, connectFastClient } from './fast-client.ts'

const repository = 'bench/app'
const layerBytes = 256 * MiB
/** So that one timing is far above the noise of a scheduler tick. */
const blobReadsPerRun = 4
const manifestReadsPerRun = 1000
const runCount = 5

interface Server {
  readonly client: FastClient
  readonly blobPath: string
  readonly manifestPath: string
}

interface Measured extends Record<string, number> {
  readonly blob_mb_per_s: number
  readonly manifest_p50_ms: number
  readonly manifest_p99_ms: number
}

export function mirrorCommand(): Command {
  return new Command('mirror')
    .description(
      'a warm blob and a cached manifest through the mirror, beside docker-registry; needs docker-registry and skopeo',
    )
    .option('--json', 'print one JSON object')
    .action(async ({ json }: { json?: true }) => {
      const result = await measureMirror()
      process.stdout.write(`${JSON.stringify(result, undefined, json ? undefined : 2)}\n`)
    })
}

async function measureMirror() {
  const guardian = createGuardian()
  const interrupted = () => void guardian.close().finally(() => process.exit(130))
  process.once('SIGINT', interrupted).once('SIGTERM', interrupted)
  try {
    const { mirror, registry } = await startServers(guardian)
    const runs: { mirror: Measured; registry: Measured }[] = []
    for (let index = 0; index < runCount; index++) {
      runs.push({ mirror: await measure(mirror), registry: await measure(registry) })
    }
    return report(runs)
  } finally {
    await guardian.close()
  }
}

/** docker-registry is also the mirror's origin, and both are warm: each has served the image once. */
async function startServers(guardian: Guardian): Promise<{ mirror: Server; registry: Server }> {
  const image = await makeImage({
    directory: await guardian.directory(),
    seed: 'bench mirror',
    layerSizesBytes: [layerBytes, MiB],
  })
  const { address: origin } = await startRegistryProcess(guardian)
  await pushImage(image, origin, repository)
  const directory = path.join(await guardian.directory(), 'agent')
  await mkdir(directory)
  const agent = await startAgent(guardian, { directory, seeds: [], plainOrigins: [origin] })
  await agentReady(agent, 1)
  for (const host of [agent.mirror, `http://${origin}`]) {
    await pullImage({ hosts: [host], origin, repository, reference: image.tag })
  }
  return {
    mirror: await serverAt(new URL(agent.mirror).host, image, `?ns=${encodeURIComponent(origin)}`),
    registry: await serverAt(origin, image, ''),
  }
}

async function serverAt(address: string, image: Image, query: string): Promise<Server> {
  const [platform] = image.platforms
  return {
    client: await connectFastClient(address),
    blobPath: `/v2/${repository}/blobs/${platform?.layers[0]?.digest}${query}`,
    manifestPath: `/v2/${repository}/manifests/${platform?.manifest.digest}${query}`,
  }
}

async function measure({ client, blobPath, manifestPath }: Server): Promise<Measured> {
  const latencies: number[] = []
  for (let index = 0; index < manifestReadsPerRun; index++) latencies.push((await timed(client, manifestPath)).ms)
  let bytes = 0
  let ms = 0
  for (let index = 0; index < blobReadsPerRun; index++) {
    const read = await timed(client, blobPath)
    bytes += read.bytes
    ms += read.ms
  }
  return {
    blob_mb_per_s: bytes / 1e3 / ms,
    manifest_p50_ms: quantile(latencies, 0.5),
    manifest_p99_ms: quantile(latencies, 0.99),
  }
}

async function timed(client: FastClient, target: string): Promise<{ bytes: number; ms: number }> {
  const startedMs = performance.now()
  const bytes = await client.get(target)
  return { bytes, ms: performance.now() - startedMs }
}

function report(runs: readonly { mirror: Measured; registry: Measured }[]) {
  const ofMirror = runs.map(({ mirror }) => roundedFields(mirror))
  const ofRegistry = runs.map(({ registry }) => roundedFields(registry))
  const ratios = runs.map(({ mirror, registry }) => ({ ratio: rounded(mirror.blob_mb_per_s / registry.blob_mb_per_s) }))
  return {
    question: 'mirror',
    layer_mib: layerBytes / MiB,
    mirror: medians(ofMirror),
    docker_registry: medians(ofRegistry),
    blob_rate_ratio: medians(ratios).ratio,
    spread: {
      mirror: spreads(ofMirror),
      docker_registry: spreads(ofRegistry),
      blob_rate_ratio: spreads(ratios).ratio,
    },
    runs: runs.map((_, index) => ({ mirror: ofMirror[index], docker_registry: ofRegistry[index] })),
  }
}
