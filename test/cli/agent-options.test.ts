import { describe, expect, test } from 'vitest'
import {
  agentJsonSchema,
  type AgentOptionSources,
  type OptionSources,
  optionViews,
  readAgentOptions,
  readOptions,
} from '../../cli/agent-options.ts'
import { cleanupSchema, configureSchema } from '../../cli/configure/configure-options.ts'
import { configSchema, parseConfig, parseOptions } from '../../agent/config.ts'

const files: Record<string, string> = {
  'agent.yaml': 'standalone: true\nprefetchLayers: 1\nzone: from-file\nlogLevel: warn\n',
  'agent.json': '{ "standalone": true, "origins": [{ "host": "registry.corp:5000", "plainHttp": true }] }',
  'empty.yaml': '',
  'slip.yaml': 'standalone: true\nstoreMaxByte: 5GiB\norigins:\n  - host: a.b\n    caFile: /ca.pem\n',
  'list.yaml': '- a\n- b\n',
  'shared.yaml': 'standalone: true\nresolveTags: false\nmirroredRegistries: [docker.io]\nlogLevel: warn\n',
  'node.yaml': 'standalone: true\nmirrorListen: 127.0.0.1:30020\ndataDir: /mnt/shoal\n',
  'broken.yaml': 'a: [',
}

const read = (sources: Partial<AgentOptionSources>) =>
  readAgentOptions({
    flags: {},
    env: {},
    readFile: async (path) => {
      const text = files[path]
      if (text === undefined) throw new Error(`ENOENT: ${path}`)
      return text
    },
    readPlace: async () => ({ zone: 'zone-of-node', region: 'region-of-node' }),
    ...sources,
  })

describe('precedence', () => {
  test('defaults fill what nobody gave', async () => {
    const config = await read({ flags: { standalone: true } })
    expect(config).toMatchObject({
      mirrorListen: { host: '127.0.0.1', port: 5050 },
      peersListen: { host: '0.0.0.0', port: 5051 },
      clusterListen: { host: '0.0.0.0', port: 5052 },
      opsListen: { host: '127.0.0.1', port: 5053 },
      storeMaxBytes: 64 * 1024 ** 3,
      shutdownTimeoutMs: 25_000,
      seeds: [],
      origins: [],
      region: 'default',
    })
  })

  test('a flag goes before the environment, that before the file, that before the default', async () => {
    const config = await read({
      flags: { config: 'agent.yaml', logLevel: 'debug' },
      env: { SHOAL_LOG_LEVEL: 'error', SHOAL_ZONE: 'from-env' },
    })
    expect(config).toMatchObject({ logLevel: 'debug', zone: 'from-env', prefetchLayers: 1, logFormat: 'json' })
  })

  test('zone and region that nobody gave are those of the Node, where one is named', async () => {
    const env = { SHOAL_STANDALONE: 'true', SHOAL_NODE_NAME: 'n1' }
    expect(await read({ env })).toMatchObject({ zone: 'zone-of-node', region: 'region-of-node' })
    expect(await read({ env, flags: { zone: 'mine' } })).toMatchObject({ zone: 'mine', region: 'region-of-node' })
    expect(await read({ env, readPlace: async () => ({}) })).toMatchObject({ region: 'default' })
    expect((await read({ flags: { standalone: true } })).zone).toBeUndefined()
  })

  test('the environment may name the file; an empty variable says nothing', async () => {
    expect(await read({ env: { SHOAL_CONFIG: 'agent.yaml', SHOAL_ZONE: '' } })).toMatchObject({ zone: 'from-file' })
    expect(await read({ flags: { standalone: true }, env: { SHOAL_CONFIG: '' } })).toMatchObject({ standalone: true })
  })

  test('a flag can take back what the environment switched on', async () => {
    const reading = read({ flags: { standalone: 'false' }, env: { SHOAL_STANDALONE: 'true' } })
    await expect(reading).rejects.toThrow('clusterSecretFile is missing')
  })
})

describe('values', () => {
  const standalone = { flags: { standalone: true } }

  test('lists are repeated flags, commas or JSON', async () => {
    const flags = { clusterSecretFile: '/secret', seeds: ['10.0.0.1:5052,10.0.0.2:5052', '[::1]:5052'] }
    expect((await read({ flags })).seeds).toEqual([
      { host: '10.0.0.1', port: 5052 },
      { host: '10.0.0.2', port: 5052 },
      { host: '::1', port: 5052 },
    ])
    const json = await read({ ...standalone, env: { SHOAL_ORIGIN_PATTERNS: '["*.a.com", "*.b.com"]' } })
    expect(json.originPatterns).toEqual(['*.a.com', '*.b.com'])
  })

  test('an origin is a host, a URL or an object', async () => {
    const origins = [
      'registry.corp:5000',
      'http://127.0.0.1:5000',
      '{"host":"x.io","caFiles":["/ca.pem"],"private":false}',
    ]
    expect((await read({ flags: { standalone: true, origins } })).origins).toEqual([
      { host: 'registry.corp:5000', plainHttp: false, caFiles: [], private: true },
      { host: '127.0.0.1:5000', plainHttp: true, caFiles: [], private: true },
      { host: 'x.io', plainHttp: false, caFiles: ['/ca.pem'], private: false },
    ])
    expect((await read({ flags: { config: 'agent.json' } })).origins).toMatchObject([{ plainHttp: true }])
  })

  test('a rule is a pattern and an action, as text or as an object', async () => {
    const rules = ['a.b/**=unshared,c.d=pass', '{"pattern":"e.f/x:v*","action":"refuse"}']
    expect((await read({ flags: { standalone: true, rules } })).rules).toEqual([
      { pattern: 'a.b/**', action: 'unshared' },
      { pattern: 'c.d', action: 'pass' },
      { pattern: 'e.f/x:v*', action: 'refuse' },
    ])
  })

  test.each([
    ['50GiB', 50 * 1024 ** 3],
    ['1.5 MiB', 1.5 * 1024 ** 2],
    ['1048576', 1048576],
    ['0', 0],
  ])('the size %s is %d bytes', async (text, bytes) => {
    expect((await read({ ...standalone, env: { SHOAL_STORE_MAX_BYTES: text } })).storeMaxBytes).toBe(bytes)
  })

  test.each([
    ['30s', 30_000],
    ['1500ms', 1500],
    ['2m', 120_000],
    ['400', 400],
  ])('the time %s is %d ms', async (text, ms) => {
    expect((await read({ ...standalone, env: { SHOAL_SHUTDOWN_TIMEOUT_MS: text } })).shutdownTimeoutMs).toBe(ms)
  })
})

describe('faults are named with their place', () => {
  const standalone = { SHOAL_STANDALONE: 'true' }
  const cases: [string, Partial<OptionSources>, string][] = [
    [
      'a slip in the file',
      { flags: { config: 'slip.yaml' } },
      'unknown option storeMaxByte (did you mean storeMaxBytes?)',
    ],
    [
      'a slip in an origin',
      { flags: { config: 'slip.yaml' } },
      'unknown option origins.0.caFile (did you mean caFiles?) (from slip.yaml)',
    ],
    [
      'a slip in a variable',
      { env: { ...standalone, SHOAL_SEED: 'a:1' } },
      'unknown option SHOAL_SEED (did you mean SHOAL_SEEDS?)',
    ],
    ['a name far from any', { env: { ...standalone, SHOAL_QUUX: '1' } }, 'unknown option SHOAL_QUUX.'],
    [
      'a port that is none',
      { env: { ...standalone, SHOAL_MIRROR_LISTEN: '127.0.0.1:70000' } },
      'mirrorListen (from SHOAL_MIRROR_LISTEN): expected a port from 0 to 65535',
    ],
    [
      'an address without a port',
      { env: { ...standalone, SHOAL_OPS_LISTEN: '5053' } },
      'opsListen (from SHOAL_OPS_LISTEN): expected host:port',
    ],
    [
      'a number that is none',
      { env: { ...standalone, SHOAL_PREFETCH_LAYERS: 'two' } },
      'prefetchLayers (from SHOAL_PREFETCH_LAYERS): Invalid input: expected number, received string',
    ],
    [
      'a number out of bounds',
      { flags: { standalone: true, prefetchLayers: '17' } },
      'prefetchLayers (from --prefetch-layers): Too big',
    ],
    [
      'a size with an unknown unit',
      { env: { ...standalone, SHOAL_STORE_MAX_BYTES: '5GB' } },
      'expected a number with a unit, as 50GiB',
    ],
    [
      'a level that is none',
      { env: { ...standalone, SHOAL_LOG_LEVEL: 'loud' } },
      'logLevel (from SHOAL_LOG_LEVEL): Invalid option',
    ],
    [
      'JSON that breaks off',
      { env: { ...standalone, SHOAL_ORIGINS: '[{' } },
      'SHOAL_ORIGINS: begins as JSON and is none',
    ],
    ['a file that is not there', { flags: { config: 'no.yaml' } }, 'The config file no.yaml can not be read'],
    ['a file that is no mapping', { flags: { config: 'list.yaml' } }, 'The config file list.yaml is not a mapping'],
    [
      'a file that is not YAML',
      { flags: { config: 'broken.yaml' } },
      'The config file broken.yaml is neither YAML nor JSON',
    ],
    [
      'a rule without an action',
      { env: { ...standalone, SHOAL_RULES: 'a.b/c' } },
      'rules.0 (from SHOAL_RULES): expected <pattern>=<action>',
    ],
    [
      'a pattern that is none',
      { env: { ...standalone, SHOAL_RULES: 'a.b//c=pass' } },
      'rules.0.pattern (from SHOAL_RULES): expected <registry>',
    ],
    [
      'an action that is none',
      { env: { ...standalone, SHOAL_RULES: 'a.b=drop' } },
      'rules.0.action (from SHOAL_RULES): Invalid option',
    ],
    [
      'content kept to itself by its tag',
      { env: { ...standalone, SHOAL_RULES: 'a.b/c:v1=unshared' } },
      'unshared takes no tag',
    ],
    [
      'a slip in a rule',
      { env: { ...standalone, SHOAL_RULES: '{"patern":"a.b","action":"pass"}' } },
      'unknown option rules.0.patern (did you mean pattern?)',
    ],
    ['no secret', { flags: { config: 'empty.yaml' } }, 'clusterSecretFile is missing'],
    ['a border of zones without one', { env: { ...standalone, SHOAL_BORDER: 'zone' } }, 'border zone needs zone'],
    [
      'programs of providers without their config',
      { env: { ...standalone, SHOAL_CREDENTIAL_PROVIDER_BIN_DIR: '/bin' } },
      'credentialProviderBinDir needs credentialProviderConfig',
    ],
    ['standalone with seeds', { env: { ...standalone, SHOAL_SEEDS: 'a:1' } }, 'standalone excludes seeds'],
    [
      'watermarks upside down',
      { env: { ...standalone, SHOAL_STORE_LOW_WATERMARK_PERCENT: '90' } },
      'storeLowWatermarkPercent must be below',
    ],
  ]
  test.each(cases)('%s', async (_name, sources, words) => {
    const failure = read(sources)
    await expect(failure).rejects.toThrow(words)
    await expect(failure).rejects.toMatchObject({ name: 'ShoalError', code: 'CONFIG_INVALID' })
  })

  test('all of them at once', async () => {
    const failure = read({ env: { ...standalone, SHOAL_OPS_LISTEN: 'x', SHOAL_LOG_FORMAT: 'x' } })
    await expect(failure).rejects.toThrow(/opsListen.*logFormat/)
  })
})

test('variables that Kubernetes sets for a Service called shoal are no options', async () => {
  const env = {
    SHOAL_STANDALONE: 'true',
    SHOAL_SERVICE_HOST: '10.96.0.9',
    SHOAL_SERVICE_PORT_METRICS: '5053',
    SHOAL_PORT: 'tcp://10.96.0.9:5053',
    SHOAL_AGENT_PORT_5053_TCP_ADDR: '10.96.0.9',
  }
  expect(await read({ env })).toMatchObject({ standalone: true })
})

describe('each option', () => {
  test.each(
    [configSchema, configureSchema].flatMap((schema) => optionViews(schema)).map((view) => [view.name, view] as const),
  )('%s says what it is', (_name, view) => {
    expect(view.description).toMatch(/^(\p{Lu}|containerd).*\.$/su)
    expect(view.default ?? view.otherwise).toBeDefined()
    expect(view.examples.length).toBeGreaterThan(0)
  })

  test('takes its own examples', () => {
    for (const view of optionViews(configSchema)) {
      for (const example of view.examples) {
        const base = {
          ...(view.name !== 'standalone' && { clusterSecretFile: '/secret' }),
          ...(view.name === 'seedsDnsServers' && { seedsDns: 'agents.local:5052' }),
          ...(view.name === 'credentialProviderBinDir' && { credentialProviderConfig: '/providers.yaml' }),
        }
        expect(() => parseConfig({ ...base, [view.name]: example }), view.name).not.toThrow()
      }
    }
  })

  test('of configure takes its own examples', () => {
    for (const { name, examples } of optionViews(configureSchema))
      for (const example of examples)
        expect(() => parseOptions(configureSchema, { [name]: example }), name).not.toThrow()
  })

  test('is in the JSON schema, which refuses others', () => {
    const schema = agentJsonSchema()
    expect(Object.keys(schema.properties ?? {})).toEqual(optionViews(configSchema).map((view) => view.name))
    expect(schema.additionalProperties).toBe(false)
  })
})

const ofConfigure = (sources: Partial<OptionSources>) =>
  readOptions(configureSchema, { flags: {}, env: {}, readFile: async (path) => files[path] ?? '', ...sources })

test('one file serves all commands: each passes over what only another knows', async () => {
  const env = { SHOAL_CONFIG: 'shared.yaml' }
  expect(await read({ env })).toMatchObject({ standalone: true, logLevel: 'warn' })
  expect(await ofConfigure({ env })).toMatchObject({ resolveTags: false, mirroredRegistries: ['docker.io'] })
  const ofCleanup = readOptions(cleanupSchema, { flags: {}, env, readFile: async (path) => files[path] ?? '' })
  expect(await ofCleanup).toMatchObject({
    containerdRegistryConfigPath: '/etc/containerd/certs.d',
    emptyDataDir: false,
  })
})

describe('the options of configure', () => {
  test("come from flags, variables, and of the agent's file what both know", async () => {
    const env = { SHOAL_CONFIG: 'node.yaml', SHOAL_RESOLVE_TAGS: 'false', SHOAL_STANDALONE: 'true' }
    expect(await ofConfigure({ flags: { mirroredRegistries: ['docker.io,a.b:5000'] }, env })).toEqual({
      containerdRegistryConfigPath: '/etc/containerd/certs.d',
      mirroredRegistries: ['docker.io', 'a.b:5000'],
      resolveTags: false,
      dataDir: '/mnt/shoal',
      mirrorListen: { host: '127.0.0.1', port: 30020 },
      mirrorProtocol: 'https',
    })
  })

  test.each([
    [
      { containerdRegistryConfigPath: '/a:/b' },
      'containerdRegistryConfigPath (from --containerd-registry-config-path): ',
    ],
    [{ containerdRegistryConfigPath: 'certs.d' }, 'expected one absolute path'],
    [{ config: 'slip.yaml' }, 'unknown option storeMaxByte'],
  ])('%j is refused', async (flags, complaint) => {
    await expect(ofConfigure({ flags })).rejects.toThrow(complaint)
  })
})
