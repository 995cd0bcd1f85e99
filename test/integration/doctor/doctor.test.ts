/** `shoal doctor` on real parts: nothing on a healthy node, and of each planted fault exactly its code. */
import { execFile } from 'node:child_process'
import { chmod, mkdir, readFile, rm, writeFile } from 'node:fs/promises'
import path from 'node:path'
import { promisify } from 'node:util'
import { afterAll, beforeAll, describe, expect, onTestFinished, test, vi } from 'vitest'
import { type ReferenceRegistry, startRegistryProcess } from '../../../cli/demo/docker-registry.ts'
import { createGuardian } from '../../../cli/demo/guardian.ts'
import type { FindingCode } from '../../../core/doctor/findings.ts'
import { type DoctorNode, startDoctorNode } from '../../support/doctor-node.ts'
import { lacks } from '../../support/needs.ts'

const run = promisify(execFile)
const main = path.join(import.meta.dirname, '../../../cli/main.ts')
const guardian = createGuardian()
let registry: ReferenceRegistry

beforeAll(async () => {
  registry = await startRegistryProcess(guardian)
})
afterAll(async () => {
  await registry?.stop()
  await guardian.close()
})

const section16 = '[plugins."io.containerd.grpc.v1.cri".registry]'
const section21 = '[plugins."io.containerd.cri.v1.images".registry]'

/** As Debian ships them, with what README tells operators to set. */
const configs = {
  '1.6.20': (root: string) => `version = 2\n[plugins]\n  ${section16}\n    config_path = "${root}"\n`,
  '2.1.9': (root: string) => `version = 3\n${section21}\n  config_path = "${root}"\n`,
}

interface Fault {
  /** Every code that is found, with severities that make the exit code. */
  readonly codes: readonly FindingCode[]
  readonly code: 0 | 1
  readonly plant: (node: DoctorNode) => Promise<void>
  /** Flags that make the fault. */
  readonly flags?: (node: DoctorNode) => readonly string[]
}

const rewrite = (change: (text: string, node: DoctorNode) => string) => async (node: DoctorNode) => {
  await writeFile(node.configFile, change(await readFile(node.configFile, 'utf8'), node))
}
const hosts = (node: DoctorNode, name = '_default'): string => path.join(node.root, name, 'hosts.toml')

const faults: Record<string, Fault> = {
  'config_path is not set': {
    codes: ['CONFIG_PATH_UNSET'],
    code: 1,
    plant: rewrite((text) => text.replace(/config_path.*/, '')),
  },
  'config_path is another directory': {
    codes: ['CONFIG_PATH_ELSEWHERE'],
    code: 1,
    plant: rewrite((text) => text.replace(/config_path.*/, 'config_path = "/etc/other"')),
  },
  'registry.mirrors beside config_path': {
    codes: ['CONFIG_PATH_BESIDE_MIRRORS'],
    code: 1,
    plant: rewrite((text) => {
      const [registryTable = ''] = /\[plugins\..*registry\]/.exec(text) ?? []
      return `${text}\n${registryTable.replace('registry]', 'registry.mirrors."docker.io"]')}\nendpoint = ["https://a.b"]\n`
    }),
  },
  'config.toml is no TOML': {
    codes: ['CONTAINERD_CONFIG_UNREADABLE'],
    code: 0,
    plant: rewrite((text) => `${text}\n[[[`),
  },
  'layers are discarded': {
    codes: ['LAYERS_DISCARDED'],
    code: 0,
    plant: rewrite((text) => {
      const table = text.includes('version = 3')
        ? section21.replace('.registry', '')
        : section16.replace('.registry', '.containerd')
      return `${text}\n${table}\ndiscard_unpacked_layers = true\n`
    }),
  },
  'hosts.toml is not there': {
    codes: ['HOSTS_MISSING'],
    code: 1,
    plant: (node) => rm(path.join(node.root, '_default'), { recursive: true }),
  },
  'hosts.toml is no TOML': {
    codes: ['HOSTS_INVALID'],
    code: 1,
    plant: (node) => writeFile(hosts(node), 'server = '),
  },
  'hosts.toml names a CA that is not there': {
    codes: ['HOSTS_INVALID'],
    code: 1,
    plant: (node) => rm(path.join(node.root, '_default/shoal-ca.pem')),
  },
  'hosts.toml has a server only': {
    codes: ['HOSTS_WITHOUT_HOST'],
    code: 1,
    plant: (node) => writeFile(hosts(node), 'server = "https://registry-1.docker.io"\n'),
  },
  'hosts.toml has another secret': {
    codes: ['HOSTS_STALE'],
    code: 1,
    plant: async (node) =>
      writeFile(hosts(node), (await readFile(hosts(node), 'utf8')).replace(/"[0-9a-f]{64}"/, `"${'0'.repeat(64)}"`)),
  },
  'the mirror has moved since': {
    codes: ['HOSTS_STALE'],
    code: 1,
    plant: async (node) =>
      writeFile(hosts(node), (await readFile(hosts(node), 'utf8')).replace(/127\.0\.0\.1:\d+/, '127.0.0.1:9')),
  },
  "a registry's own directory comes first": {
    codes: ['HOSTS_SHADOWED'],
    code: 0,
    plant: async (node) => {
      await mkdir(path.join(node.root, 'quay.io'))
      await writeFile(hosts(node, 'quay.io'), '[host."https://mirror.corp"]\n')
    },
  },
  'everybody may read hosts.toml': {
    codes: ['SECRETS_READABLE'],
    code: 0,
    plant: (node) => chmod(hosts(node), 0o644),
  },
  "the content directory is not containerd's": {
    codes: ['CONTENT_DIR_ELSEWHERE'],
    code: 0,
    plant: async () => {},
    flags: (node) => ['--containerd-content-dir', node.directory],
  },
  'the content directory is not there': {
    codes: ['CONTENT_DIR_UNREADABLE'],
    code: 0,
    plant: rewrite((text, node) => text.replace('version', `root = "${node.directory}"\nversion`)),
    flags: (node) => ['--containerd-content-dir', path.join(node.directory, 'io.containerd.content.v1.content')],
  },
}

describe.skipIf(lacks('docker-registry')).each(Object.entries(configs))('containerd %s', (version, config) => {
  let node: DoctorNode
  beforeAll(async () => {
    node = await startDoctorNode(guardian, { version, config, origins: [registry.address] })
    vi.stubEnv('PATH', `${node.programs}:${process.env['PATH']}`)
  })

  afterAll(() => vi.unstubAllEnvs())

  async function restoring(): Promise<void> {
    const kept = await readFile(node.configFile, 'utf8')
    onTestFinished(async () => {
      await rm(node.root, { recursive: true })
      await writeFile(node.configFile, kept)
      await node.shoal('configure')
    })
  }

  test('nothing is found on a healthy node', async () => {
    expect(await node.doctor()).toEqual({ code: 0, findings: [] })
    // As an operator runs it.
    const { stdout } = await run(process.execPath, [main, 'doctor', ...node.flags])
    expect(stdout).toBe('This node pulls through Shoal: nothing wrong was found.\n')
  })

  test.each(Object.entries(faults))('%s', async (_name, { codes, code, plant, flags = () => [] }) => {
    await restoring()
    await plant(node)
    const found = await node.doctor(...flags(node))
    expect({ code: found.code, codes: found.findings.map((each) => each.code) }).toEqual({ code, codes })
  })

  test('config_path is a list', async () => {
    await restoring()
    await rewrite((text, { root }) => text.replace(/config_path.*/, `config_path = "${root}:/etc/docker/certs.d"`))(
      node,
    )
    const codes = (await node.doctor()).findings.map((each) => each.code)
    expect(codes).toEqual(version === '1.6.20' ? [] : ['CONFIG_PATH_LIST'])
  })
})
