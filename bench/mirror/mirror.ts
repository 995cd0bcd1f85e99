/** How fast is the mirror where nothing has to be fetched, beside docker-registry serving the same bytes in the same run? */
import { mkdir, writeFile } from 'node:fs/promises'
import path from 'node:path'
import { hash } from 'bcryptjs'
import type { Command } from 'commander'
import { nodeSecretHeader } from '../../agent/mirror-tls/node-secret.ts'
import { openMirrorKeys } from '../../agent/mirror-tls/mirror-keys.ts'
import { type AgentProcess, agentReady, startAgent } from '../../cli/demo/agents.ts'
import { pushImage, startRegistryProcess } from '../../cli/demo/docker-registry.ts'
import type { Guardian } from '../../cli/demo/guardian.ts'
import { type Image, makeImage } from '../../cli/demo/image.ts'
import { MiB } from '../../core/units.ts'
import { medians, quantile, rounded, roundedFields, spreads } from '../figures.ts'
import { question } from '../question.ts'
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

/**
 * The mirror as it runs unless told otherwise, the same for an image that its registry shows to an account only, the mirror with
 * `--mirror-protocol http`, and docker-registry, which has no TLS here either.
 */
const contenders = ['mirror', 'private_mirror', 'plain_mirror', 'docker_registry'] as const
type Per<Value> = Record<(typeof contenders)[number], Value>

interface Measured extends Record<string, number> {
  readonly blob_mb_per_s: number
  readonly manifest_p50_ms: number
  readonly manifest_p99_ms: number
}

export function mirrorCommand(): Command {
  const description =
    'a warm blob and a cached manifest through the mirror, with TLS and without, beside docker-registry; needs docker-registry and skopeo'
  return question('mirror', description, measureMirror)
}

async function measureMirror(guardian: Guardian) {
  const servers = await startServers(guardian)
  const runs: Per<Measured>[] = []
  for (let index = 0; index < runCount; index++) {
    runs.push({
      mirror: await measure(servers.mirror),
      private_mirror: await measure(servers.private_mirror),
      plain_mirror: await measure(servers.plain_mirror),
      docker_registry: await measure(servers.docker_registry),
    })
  }
  return report(runs)
}

/** docker-registry is also the mirrors' origin, and all are warm: each has served the image once. */
async function startServers(guardian: Guardian): Promise<Per<Server>> {
  const image = await makeImage({
    directory: await guardian.directory(),
    seed: 'bench mirror',
    layerSizesBytes: [layerBytes, MiB],
  })
  const { address: origin } = await startRegistryProcess(guardian)
  const { address: privateOrigin } = await startRegistryProcess(guardian, await accountOnly(guardian))
  await pushImage(image, origin, repository)
  await pushImage(image, privateOrigin, repository, account)
  const query = `?ns=${encodeURIComponent(origin)}`
  const start = async (protocol: 'http' | 'https'): Promise<AgentProcess> => {
    const directory = path.join(await guardian.directory(), protocol)
    await mkdir(directory)
    const agent = await startAgent(guardian, { directory, seeds: [], plainOrigins: [origin, privateOrigin], protocol })
    await agentReady(agent, 1)
    return agent
  }
  const agent = await start('https')
  const plainAgent = await start('http')
  const { authority, secret } = await openMirrorKeys(agent.dataDir)
  const shown = { ca: authority.cert, headers: { [nodeSecretHeader]: secret } }
  return {
    mirror: await warmServer(await connectFastClient(new URL(agent.mirror).host, shown), image, query),
    private_mirror: await warmServer(
      await connectFastClient(new URL(agent.mirror).host, { ...shown, headers: { ...shown.headers, authorization } }),
      image,
      `?ns=${encodeURIComponent(privateOrigin)}`,
    ),
    plain_mirror: await warmServer(await connectFastClient(new URL(plainAgent.mirror).host), image, query),
    docker_registry: await warmServer(await connectFastClient(origin), image, ''),
  }
}

const [user, password] = ['bench', 'bench mirror'] as const
const account = `${user}:${password}`
const authorization = `Basic ${Buffer.from(account).toString('base64')}`
/** Of bcrypt: what is measured is no password check. */
const leastCost = 4

/** The registry's configuration: nobody but the account reads or writes. */
async function accountOnly(guardian: Guardian): Promise<object> {
  const file = path.join(await guardian.directory(), 'htpasswd')
  await writeFile(file, `${user}:${await hash(password, leastCost)}`)
  return { htpasswd: { realm: 'bench', path: file } }
}

async function warmServer(client: FastClient, image: Image, query: string): Promise<Server> {
  const [platform] = image.platforms
  const blobPath = `/v2/${repository}/blobs/${platform?.layers[0]?.digest}${query}`
  const manifestPath = `/v2/${repository}/manifests/${platform?.manifest.digest}${query}`
  for (const target of [manifestPath, blobPath]) await client.get(target)
  return { client, blobPath, manifestPath }
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

function report(runs: readonly Per<Measured>[]) {
  const of = (contender: keyof Per<Measured>) => runs.map((run) => roundedFields(run[contender]))
  const ratios = runs.map(({ mirror, plain_mirror, docker_registry }) => ({
    mirror: rounded(mirror.blob_mb_per_s / docker_registry.blob_mb_per_s),
    plain_mirror: rounded(plain_mirror.blob_mb_per_s / docker_registry.blob_mb_per_s),
  }))
  return {
    question: 'mirror',
    layer_mib: layerBytes / MiB,
    ...Object.fromEntries(contenders.map((contender) => [contender, medians(of(contender))])),
    blob_rate_ratio: medians(ratios),
    spread: {
      ...Object.fromEntries(contenders.map((contender) => [contender, spreads(of(contender))])),
      blob_rate_ratio: spreads(ratios),
    },
    runs: runs.map((_, index) => Object.fromEntries(contenders.map((contender) => [contender, of(contender)[index]]))),
  }
}
