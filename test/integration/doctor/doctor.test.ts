/** `shoal doctor` on real parts: nothing on a healthy node, and of each planted fault exactly its code. */
import { execFile } from 'node:child_process'
import { once } from 'node:events'
import { chmod, cp, mkdir, mkdtemp, readFile, rename, rm, utimes, writeFile } from 'node:fs/promises'
import http, { type RequestListener } from 'node:http'
import https from 'node:https'
import type { Server } from 'node:net'
import path from 'node:path'
import { promisify } from 'node:util'
import { afterAll, beforeAll, describe, expect, onTestFinished, test, vi } from 'vitest'
import { createAuthority, issueServer, parseAuthority } from '../../../agent/mirror-tls/certificates.ts'
import { readMirrorKeys } from '../../../agent/mirror-tls/mirror-keys.ts'
import {
  agentReady,
  commandFile,
  makeClusterSecret,
  readMetrics,
  startAgent,
  stopAgent,
} from '../../../cli/demo/agents.ts'
import { pushImage, type ReferenceRegistry, startRegistryProcess } from '../../../cli/demo/docker-registry.ts'
import { createGuardian } from '../../../cli/demo/guardian.ts'
import { type Image, makeImage } from '../../../cli/demo/image.ts'
import { boundAddress, type Origin, startOrigin } from '../../../cli/demo/origin.ts'
import type { FindingCode } from '../../../core/doctor/findings.ts'
import { hour, KiB, second } from '../../../core/units.ts'
import { type DoctorNode, startDoctorNode } from '../../support/doctor-node.ts'
import { lacks } from '../../support/needs.ts'

const run = promisify(execFile)
const guardian = createGuardian()
let image: Image
let registry: ReferenceRegistry
/** Open to all, and tells parts or not as it is told. */
let origin: Origin

beforeAll(async () => {
  image = await makeImage({ directory: await guardian.directory(), seed: 'doctor', layerSizesBytes: [64 * KiB] })
  registry = await startRegistryProcess(guardian)
  await pushImage(image, registry.address, 'demo/app')
  origin = await startOrigin({ repositories: { 'demo/app': image } })
})
afterAll(async () => {
  vi.unstubAllEnvs()
  await origin?.close()
  await registry?.stop()
  await guardian.close()
})

const section16 = '[plugins."io.containerd.grpc.v1.cri".registry]'
const section21 = '[plugins."io.containerd.cri.v1.images".registry]'

interface Places {
  readonly directory: string
  readonly root: string
}

/** As Debian ships them, with what README tells operators to set. */
const configs = {
  '1.6.20': ({ directory, root }: Places) =>
    `version = 2\nroot = "${directory}"\n[plugins]\n  ${section16}\n    config_path = "${root}"\n`,
  '2.1.9': ({ directory, root }: Places) =>
    `version = 3\nroot = "${directory}"\n${section21}\n  config_path = "${root}"\n`,
}

interface Fault {
  /** Every code that is found. */
  readonly codes: readonly FindingCode[]
  /** Makes the fault; flags that doctor is given then. What it changes is put back. */
  readonly plant: (node: DoctorNode) => Promise<readonly string[] | void>
  readonly exit: 0 | 1
  /** Flags of the agent that doctor is not given. */
  readonly less?: readonly string[]
}

const rewrite = (change: (text: string, node: DoctorNode) => string) => async (node: DoctorNode) => {
  const before = await readFile(node.configFile, 'utf8')
  await writeFile(node.configFile, change(before, node))
  onTestFinished(() => writeFile(node.configFile, before))
}
const hosts = (node: DoctorNode, name = '_default'): string => path.join(node.root, name, 'hosts.toml')
const rehost = (change: (text: string) => string) => async (node: DoctorNode) =>
  writeFile(hosts(node), change(await readFile(hosts(node), 'utf8')))
const given = (flags: (node: DoctorNode) => readonly string[]) => async (node: DoctorNode) => flags(node)

/** A registry on loopback, as the listener has it. */
async function serve(server: Server): Promise<string> {
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  onTestFinished(() => void server.close())
  return `127.0.0.1:${boundAddress(server).port}`
}
const plainRegistry = (listener: RequestListener) => async (): Promise<readonly string[]> => [
  '--origins',
  `http://${await serve(http.createServer(listener))}`,
]

const ofConfiguration: Record<string, Fault> = {
  'config_path is not set': {
    codes: ['CONFIG_PATH_UNSET'],
    exit: 1,
    plant: rewrite((text) => text.replace(/config_path.*/, '')),
  },
  'config_path is another directory': {
    codes: ['CONFIG_PATH_ELSEWHERE'],
    exit: 1,
    plant: rewrite((text) => text.replace(/config_path.*/, 'config_path = "/etc/other"')),
  },
  'registry.mirrors beside config_path': {
    codes: ['CONFIG_PATH_BESIDE_MIRRORS'],
    exit: 1,
    plant: rewrite((text) => {
      const [table = ''] = /\[plugins\..*registry\]/.exec(text) ?? []
      return `${text}\n${table.replace('registry]', 'registry.mirrors."docker.io"]')}\nendpoint = ["https://a.b"]\n`
    }),
  },
  'config.toml is no TOML': {
    codes: ['CONTAINERD_CONFIG_UNREADABLE'],
    exit: 0,
    plant: rewrite((text) => `${text}\n[[[`),
  },
  'layers are discarded': {
    codes: ['LAYERS_DISCARDED'],
    exit: 0,
    plant: rewrite((text) => {
      const isNew = text.includes('version = 3')
      const table = isNew ? section21.replace('.registry', '') : section16.replace('.registry', '.containerd')
      return `${text}\n${table}\ndiscard_unpacked_layers = true\n`
    }),
  },
  "the content directory is not containerd's": {
    codes: ['CONTENT_DIR_ELSEWHERE'],
    exit: 0,
    plant: given((node) => ['--containerd-content-dir', node.directory]),
  },
}

const faults: Record<string, Fault> = {
  'the content directory is gone': {
    codes: ['CONTENT_DIR_UNREADABLE'],
    exit: 0,
    plant: (node) => movedAside(node.contentDir),
  },
  'hosts.toml is not there': {
    codes: ['HOSTS_MISSING'],
    exit: 1,
    plant: (node) => rm(path.join(node.root, '_default'), { recursive: true }),
  },
  'hosts.toml is no TOML': { codes: ['HOSTS_INVALID'], exit: 1, plant: rehost(() => 'server = ') },
  'hosts.toml names a CA that is not there': {
    codes: ['HOSTS_INVALID'],
    exit: 1,
    plant: (node) => rm(path.join(node.root, '_default/shoal-ca.pem')),
  },
  'hosts.toml has a server only': {
    codes: ['HOSTS_WITHOUT_HOST'],
    exit: 1,
    plant: rehost(() => 'server = "https://registry-1.docker.io"\n'),
  },
  'hosts.toml has another secret': {
    codes: ['HOSTS_STALE'],
    exit: 1,
    plant: rehost((text) => text.replace(/"[0-9a-f]{64}"/, `"${'0'.repeat(64)}"`)),
  },
  'hosts.toml is for a data directory that is gone': {
    codes: ['HOSTS_STALE'],
    exit: 1,
    plant: async (node) => void (await node.shoal('configure', '--data-dir', path.join(node.directory, 'gone'))),
  },
  'the mirror has moved since': {
    codes: ['HOSTS_STALE'],
    exit: 1,
    plant: rehost((text) => text.replace(/127\.0\.0\.1:\d+/, '127.0.0.1:9')),
  },
  'nothing listens where the mirror should be, as the agent has another port': {
    // The second by the agent itself.
    codes: ['MIRROR_UNREACHED', 'HOSTS_STALE'],
    exit: 1,
    plant: async (node) => {
      const elsewhere = ['--mirror-listen', '127.0.0.1:9']
      await node.shoal('configure', ...elsewhere)
      return elsewhere
    },
  },
  'the agent is not ready': {
    codes: ['AGENT_NOT_READY'],
    exit: 1,
    plant: async () => {
      const parts = { cluster: { ready: false, reason: 'the member list agrees with no seed yet' } }
      const readyz: RequestListener = (_request, response) =>
        void response.writeHead(503).end(JSON.stringify({ ready: false, parts }))
      return ['--ops-listen', await serve(http.createServer(readyz))]
    },
  },
  'containerd is older than mirrors are': {
    codes: ['CONTAINERD_TOO_OLD'],
    exit: 1,
    plant: async ({ programs }) => {
      const program = path.join(programs, 'containerd')
      const before = await readFile(program, 'utf8')
      await writeFile(program, before.replace('1.6.20', '1.5.18'))
      onTestFinished(() => writeFile(program, before))
    },
  },
  "a seed's peers listener is not reached": {
    codes: ['PEERS_PORT_UNREACHABLE'],
    exit: 1,
    less: ['--seeds', '--cluster-secret-file'],
    plant: () => seedThatListensElsewhere('--peers-listen'),
  },
  "a seed's bulk listener is not reached": {
    codes: ['BULK_PORT_UNREACHABLE'],
    exit: 1,
    less: ['--seeds', '--cluster-secret-file'],
    plant: () => seedThatListensElsewhere('--bulk-listen'),
  },
  'where hosts.toml should be nothing can be listed': {
    codes: ['CONFIG_PATH_ELSEWHERE', 'HOSTS_UNREADABLE'],
    exit: 1,
    plant: given((node) => ['--containerd-registry-config-path', node.configFile]),
  },
  'of registries that are named one has a directory of its own': {
    codes: ['HOSTS_MISSING'],
    exit: 1,
    plant: async (node) => {
      await mkdir(path.join(node.root, 'other.corp'))
      await writeFile(hosts(node, 'other.corp'), '[host."https://mirror.corp"]\n')
      // Only those are asked for: the directory that another registry has is in nobody's way.
      const named = [registry.address, origin.address]
      await rename(path.join(node.root, '_default'), path.join(node.root, registry.address))
      return ['--mirrored-registries', named.join(',')]
    },
  },
  "a registry's own directory comes first": {
    codes: ['HOSTS_SHADOWED'],
    exit: 0,
    plant: async (node) => {
      await mkdir(path.join(node.root, 'quay.io'))
      await writeFile(hosts(node, 'quay.io'), '[host."https://mirror.corp"]\n')
    },
  },
  'everybody may read hosts.toml': { codes: ['SECRETS_READABLE'], exit: 0, plant: (node) => chmod(hosts(node), 0o644) },
  'everybody may read the cluster secret': {
    codes: ['SECRETS_READABLE'],
    exit: 0,
    plant: async (node) => {
      await chmod(node.secretFile, 0o644)
      onTestFinished(() => chmod(node.secretFile, 0o600))
    },
  },
  'the cluster secret is none': {
    codes: ['CLUSTER_SECRET_UNUSABLE'],
    exit: 1,
    plant: given((node) => ['--cluster-secret-file', path.join(node.directory, 'none')]),
  },
  'the cluster has another secret': {
    codes: ['CLUSTER_SECRET_MISMATCH'],
    exit: 1,
    plant: async (node) => {
      const file = path.join(node.directory, 'other-secret')
      await writeFile(file, 'ab'.repeat(31).concat('cd'), { mode: 0o600 })
      return ['--cluster-secret-file', file]
    },
  },
  'one of two seeds is down': {
    codes: ['SEED_UNREACHABLE'],
    exit: 0,
    plant: given(() => ['--seeds', '127.0.0.1:9']),
  },
  'the only seed is down': {
    codes: ['SEEDS_UNREACHABLE'],
    exit: 1,
    less: ['--seeds'],
    plant: given(() => ['--seeds', '127.0.0.1:9']),
  },
  'the name of the seeds is unknown': {
    codes: ['SEEDS_NAME_UNKNOWN'],
    exit: 0,
    plant: given(() => ['--seeds-dns', 'shoal.invalid:5052']),
  },
  'a registry has no address': {
    codes: ['ORIGIN_NAME_UNKNOWN'],
    exit: 1,
    plant: given(() => ['--origins', 'registry.invalid']),
  },
  'a registry is down': {
    codes: ['ORIGIN_UNREACHABLE'],
    exit: 1,
    plant: given(() => ['--origins', 'http://127.0.0.1:9']),
  },
  'a registry fails': {
    codes: ['ORIGIN_UNREACHABLE'],
    exit: 1,
    plant: plainRegistry((_request, response) => void response.writeHead(503).end()),
  },
  'a registry shows a certificate of nobody': {
    codes: ['ORIGIN_UNTRUSTED'],
    exit: 1,
    plant: async () => ['--origins', await serve(https.createServer(await foreignCertificate()))],
  },
  'a registry is at an address that is not listed': {
    codes: ['ORIGIN_FORBIDDEN'],
    exit: 1,
    plant: given(() => ['--origins', '{"host":"localhost:9","private":false}']),
  },
  'the token service of a registry is down': {
    codes: ['TOKEN_SERVICE_UNREACHABLE', 'ORIGIN_UNREACHABLE'],
    exit: 1,
    plant: async () => [
      ...(await plainRegistry((_request, response) => {
        response.writeHead(401, { 'www-authenticate': 'Bearer realm="http://127.0.0.1:9/token"' }).end()
      })()),
      '--origins',
      'http://127.0.0.1:9',
    ],
  },
  'the clock is off': {
    codes: ['CLOCK_SKEWED'],
    exit: 0,
    plant: plainRegistry((_request, response) => {
      response.writeHead(200, { date: new Date(Date.now() + hour).toUTCString() }).end()
    }),
  },
  'a registry sends no parts': {
    codes: ['ORIGIN_WITHOUT_RANGES'],
    exit: 0,
    plant: async () => {
      origin.ignoreRange(true)
      onTestFinished(() => origin.ignoreRange(false))
      return ['--image', `${origin.address}/demo/app:${image.tag}`]
    },
  },
  'the mirror does not serve an image': {
    codes: ['IMAGE_NOT_SERVED'],
    exit: 1,
    plant: given(() => ['--image', `${origin.address}/demo/none:v1`]),
  },
  'the data directory is in memory': {
    codes: ['DATA_DIR_VOLATILE'],
    exit: 0,
    plant: async (node) => {
      const directory = await mkdtemp('/dev/shm/shoal-doctor-')
      onTestFinished(() => rm(directory, { recursive: true }))
      await cp(path.join(node.agent.dataDir, 'mirror-ca.pem'), path.join(directory, 'mirror-ca.pem'))
      await cp(path.join(node.agent.dataDir, 'mirror-secret'), path.join(directory, 'mirror-secret'))
      return ['--data-dir', directory]
    },
  },
  'the data directory is deleted under the agent': {
    codes: ['DATA_DIR_UNUSABLE', 'MIRROR_KEYS_MISSING'],
    exit: 1,
    plant: (node) => movedAside(node.agent.dataDir),
  },
  'the disk is full': {
    codes: ['DISK_SPACE_LOW'],
    exit: 0,
    plant: given(() => ['--store-high-watermark-percent', '1', '--store-low-watermark-percent', '0']),
  },
  'containerd pulls past the mirror': {
    codes: ['PULLS_PASS_BY'],
    exit: 0,
    plant: async (node) => {
      const file = path.join(node.contentDir, 'blobs/sha256', 'a'.repeat(64))
      await writeFile(file, 'a layer', { mode: 0o444 })
      const laterSeconds = (Date.now() + hour) / second
      await utimes(file, laterSeconds, laterSeconds)
      onTestFinished(() => rm(file))
    },
  },
}

/** In a cluster of its own; others are told that it has that listener at 127.0.0.1. */
async function seedThatListensElsewhere(listener: string): Promise<readonly string[]> {
  const directory = await guardian.directory()
  const secretFile = await makeClusterSecret(directory)
  const flags = [listener, '127.0.0.2:0']
  const seed = await startAgent(guardian, { directory, secretFile, seeds: [], plainOrigins: [], flags })
  onTestFinished(() => stopAgent(seed))
  await agentReady(seed, 1)
  return ['--seeds', seed.clusterAddress, '--cluster-secret-file', secretFile]
}

async function movedAside(directory: string): Promise<void> {
  await rename(directory, `${directory}.aside`)
  onTestFinished(() => rename(`${directory}.aside`, directory))
}

async function foreignCertificate(): Promise<{ cert: string; key: string }> {
  const { cert, key } = await createAuthority()
  return issueServer(await parseAuthority(cert + key), ['127.0.0.1'], new Date())
}

const isHere = !lacks('docker-registry', 'skopeo')

async function nodeOf(version: keyof typeof configs): Promise<DoctorNode> {
  const origins = [registry.address, origin.address]
  const node = await startDoctorNode(guardian, { version, config: configs[version], origins })
  vi.stubEnv('PATH', `${node.programs}:${process.env['PATH']}`)
  return node
}

/** What is found while the fault is there. */
async function found(node: DoctorNode, { plant, less }: Pick<Fault, 'plant' | 'less'>): Promise<Omit<Fault, 'plant'>> {
  onTestFinished(async () => {
    await rm(node.root, { recursive: true })
    await node.shoal('configure')
  })
  const flags = (await plant(node)) ?? []
  const { code, findings } = await node.doctor(flags, less)
  if (code !== 0 && code !== 1) throw new Error(`doctor ended with ${code}`)
  return { exit: code, codes: findings.map((each) => each.code) }
}

describe.skipIf(!isHere)('containerd 1.6.20', () => {
  let node: DoctorNode
  beforeAll(async () => void (node = await nodeOf('1.6.20')))

  test('nothing is found on a healthy node', async () => {
    const { code, findings } = await node.doctor(['--image', `${registry.address}/demo/app:${image.tag}`])
    expect({ code, findings }).toEqual({ code: 0, findings: [] })
    // As an operator runs it.
    const { stdout } = await run(process.execPath, [commandFile, 'doctor', ...node.flags])
    expect(stdout).toBe('This node pulls through Shoal: nothing wrong was found.\n')
  })

  test.each(Object.entries({ ...ofConfiguration, ...faults }))('%s', async (_name, { codes, exit, ...fault }) => {
    expect(await found(node, fault)).toEqual({ codes, exit })
  })

  test('a list in config_path is split', async () => {
    const plant = rewrite((text, { root }) => text.replace(/config_path.*/, `config_path = "${root}:/etc/docker"`))
    expect(await found(node, { plant })).toEqual({ codes: [], exit: 0 })
  })

  test('the agent sees for itself that hosts.toml is stale: it is not ready, logs it and counts it', async () => {
    const { ops, logFile } = node.agent
    const look = async (): Promise<{ status: number; gauge: number | undefined }> => {
      await fetch(`${ops}/doctor`)
      const gauge = (await readMetrics(ops)).get('shoal_doctor_finding{code="HOSTS_STALE"}')
      return { status: (await fetch(`${ops}/readyz`)).status, gauge }
    }
    expect(await look()).toEqual({ status: 200, gauge: 0 })
    await rehost((text) => text.replace(/"[0-9a-f]{64}"/, `"${'0'.repeat(64)}"`))(node)
    expect(await look()).toEqual({ status: 503, gauge: 1 })
    const readyz = (await (await fetch(`${ops}/readyz`)).json()) as { parts: { doctor: object } }
    expect(readyz.parts.doctor).toMatchObject({ ready: false, details: [{ code: 'HOSTS_STALE', severity: 'error' }] })
    expect(await readFile(logFile, 'utf8')).toMatch(/"part":"doctor","code":"HOSTS_STALE"/)
    await node.shoal('configure')
    expect(await look()).toEqual({ status: 200, gauge: 0 })
  })

  test('what an agent has not been given, as in a container, it does not judge; doctor there takes it for missing', async () => {
    const plant = async (): Promise<void> => {
      await movedAside(node.root)
      await movedAside(node.configFile)
    }
    const codes = ['CONFIG_PATH_UNSET', 'HOSTS_MISSING', 'CONTENT_DIR_ELSEWHERE']
    expect(await found(node, { plant })).toEqual({ codes, exit: 1 })
    const { findings } = (await (await fetch(`${node.agent.ops}/doctor`)).json()) as { findings: object[] }
    expect(findings).toEqual([])
    expect((await fetch(`${node.agent.ops}/readyz`)).status).toBe(200)
  })

  test("containerd's release is known from its requests", async () => {
    const { secret, authority } = await readMirrorKeys(node.agent.dataDir)
    const headers = { 'user-agent': 'containerd/1.7.24~ds1', 'shoal-node-secret': secret }
    const [response] = await once(https.get(`${node.agent.mirror}/v2/`, { ca: authority.cert, headers }), 'response')
    ;(response as http.IncomingMessage).resume()
    const report = (await (await fetch(`${node.agent.ops}/doctor`)).json()) as { containerdVersion: string }
    expect(report.containerdVersion).toBe('1.7.24')
  })
})

describe.skipIf(!isHere)('containerd 2.1.9', () => {
  let node: DoctorNode
  beforeAll(async () => void (node = await nodeOf('2.1.9')))

  test('nothing is found on a healthy node', async () => {
    expect(await node.doctor()).toEqual({ code: 0, findings: [] })
  })

  test.each(Object.entries(ofConfiguration))('%s', async (_name, { codes, exit, ...fault }) => {
    expect(await found(node, fault)).toEqual({ codes, exit })
  })

  test('a list in config_path is not split', async () => {
    const plant = rewrite((text, { root }) => text.replace(/config_path.*/, `config_path = "${root}:/etc/docker"`))
    expect(await found(node, { plant })).toEqual({ codes: ['CONFIG_PATH_LIST'], exit: 1 })
  })

  test('the agent is down, and then somebody else has its port', async () => {
    await stopAgent(node.agent)
    expect(await found(node, { plant: async () => {} })).toEqual({ codes: ['AGENT_DOWN'], exit: 1 })
    for (const squatter of [http.createServer(), https.createServer(await foreignCertificate())]) {
      const heard: unknown[] = []
      squatter.on('request', (request) => heard.push(request))
      squatter.listen(Number(new URL(node.agent.mirror).port), '127.0.0.1')
      await once(squatter, 'listening')
      const { code, findings } = await node.doctor()
      squatter.close()
      squatter.closeAllConnections()
      expect(code).toBe(1)
      expect(findings.map((each) => each.code)).toEqual(['AGENT_DOWN', 'MIRROR_SQUATTED'])
      // No header with a secret leaves for it.
      expect(heard).toEqual([])
    }
  })
})
