/** docs/platforms.md and the chart's values for each platform: from cli/platforms.ts, and the containerd configurations that tests start with. */
import { readFileSync } from 'node:fs'
import path from 'node:path'
import { parse, type TomlTable } from 'smol-toml'
import { stringify } from 'yaml'
import { containerdOptions } from '../agent/doctor/containerd-config.ts'
import { code, notice, table } from './markdown.ts'
import { contentDirectoryOf, type Platform, platforms, type ShippedContainerd } from './platforms.ts'

interface Fixture {
  /** What stands at its head. */
  readonly source: string
  readonly config: TomlTable
}

/** Text by path, from the root of the repository. */
export function platformPages(root: string): Readonly<Record<string, string>> {
  const read = (name: string): Fixture => readFixture(path.join(root, 'test/support/platforms', `${name}.toml`))
  const values = platforms.map((platform) => [valuesFile(platform), platformValues(platform)])
  return { 'docs/platforms.md': platformsPage(read), ...Object.fromEntries(values) }
}

function readFixture(file: string): Fixture {
  const text = readFileSync(file, 'utf8')
  const head = text.split('\n').filter((line) => line.startsWith('#'))
  return { source: head.map((line) => line.replace(/^# /, '')).join(' '), config: parse(text) }
}

const valuesFile = ({ key }: Platform): string => `charts/shoal/platforms/${key}.yaml`

/** What differs there from the chart's own values. */
function platformValues(platform: Platform): string {
  const { configFile, name, registryConfigPath, seLinuxType } = platform
  const agent = {
    config: {
      containerdContentDir: contentDirectoryOf(platform),
      ...(registryConfigPath === undefined
        ? { mirrorProtocol: 'http' }
        : { containerdRegistryConfigPath: registryConfigPath, containerdConfigFile: configFile }),
    },
    ...(registryConfigPath === undefined ? { configure: false } : {}),
    ...(seLinuxType === undefined ? {} : { podSecurityContext: { seLinuxOptions: { type: seLinuxType } } }),
  }
  return `# ${name}: docs/platforms.md. Generated from cli/platforms.ts by \`npm run generate\`; do not edit.\n${stringify({ agent })}`
}

function platformsPage(read: (name: string) => Fixture): string {
  return `${notice('cli/platforms.ts and test/support/platforms')}
# Platforms

What Shoal finds on the nodes of each platform, what it writes, and what you must set so that containerd asks it. On every platform:

- The chart's values for it are in \`charts/shoal/platforms\`: \`helm install shoal charts/shoal --values charts/shoal/platforms/k3s.yaml\`.
- Shoal writes \`hosts.toml\` files, which containerd reads at each pull, and never the configuration of containerd itself: what takes a
  restart of containerd is yours to do, when it suits you. \`shoal doctor\` says on a node what lacks ([doctor.md](doctor.md)).
- Shoal reads containerd's content directory, and needs no socket of containerd's ([containerd.md](containerd.md)).

${table(
  [
    'Platform',
    'containerd starts with',
    '`config_path`',
    'containerd discards layers',
    'SELinux',
    'Shoal writes to',
    'With nothing set, pulls go to',
    'You set',
  ],
  platforms.map((platform) => platformRow(platform, read)),
)}

${platforms.map((platform) => section(platform)).join('\n')}
## Where no agent can run

- _EKS Auto Mode_, _EKS on Fargate_, _GKE Autopilot_, _AKS virtual nodes_: there a pod may not write to directories of its node, or there is no node.
- _Windows nodes_: the chart asks for \`kubernetes.io/os: linux\`.
- Nodes with another runtime than containerd (CRI-O, Docker): the mirror answers their requests, but \`shoal configure\` does not write their
  configuration.

Such nodes may be in the same cluster: they pull from the registry, as ever, and other nodes do not wait for them.

## What this rests on

No platform of these was at hand. Real containerd 1.6, 1.7 and 2.1 start with the configurations below, as far as they can run on one
machine: every path is moved below a directory of its own, the ports of metrics and of the stream server are free ones, NRI is off and the
OOM score is not set. Then \`shoal configure\` runs, an image is pulled by CRI, and whether it came through the mirror is counted:
\`npm test -- --project e2e test/e2e/platforms\`. SELinux does not run there: that column, and what stands in no source below, is from general knowledge.

${table(['Configuration', 'Settings by'], sourceRows(read))}
`
}

function platformRow(platform: Platform, read: (name: string) => Fixture): string[] {
  const { configFile, containerds, registryConfigPath, seLinux, seLinuxType, toSet } = platform
  const shipped = containerds.map((one) => optionsOf(platform, one, read))
  const asK3s = 'as k3s'
  return [
    `[${platform.name}](#${platform.key})`,
    code(configFile),
    containerds.length === 0
      ? code(registryConfigPath ?? '')
      : oneOf(shipped.map(({ configPath }) => (configPath === undefined ? 'none' : code(configPath)))),
    containerds.length === 0
      ? asK3s
      : oneOf(shipped.map(({ discardsLayers }) => (discardsLayers ? 'once unpacked' : 'no'))),
    seLinuxType === undefined ? seLinux : `${seLinux}; pods: ${code(seLinuxType)}`,
    registryConfigPath === undefined ? 'nothing' : code(registryConfigPath),
    containerds.length === 0
      ? asK3s
      : oneOf(containerds.map(({ isMirrored }) => (isMirrored ? 'Shoal' : 'the registry'))),
    toSet?.isNeeded === true ? `[a setting](#${platform.key})` : 'nothing',
  ]
}

function oneOf(values: readonly string[]): string {
  return [...new Set(values)].join('; ')
}

function optionsOf(
  { imports = {} }: Platform,
  { fixture, series }: ShippedContainerd,
  read: (name: string) => Fixture,
) {
  const files = fixture === 'default' ? [{}] : [fixture, ...Object.values(imports)].map((name) => read(name).config)
  return containerdOptions(files, series === '2' ? '2.1' : series)
}

function section(platform: Platform): string {
  const { containerds, key, name, remarks, toSet } = platform
  const setting = toSet === undefined ? '' : `\n${toSet.what}\n\n\`\`\`${toSet.language}\n${toSet.text}\n\`\`\`\n`
  const tested = containerds.map(({ series }) => (series === '2' ? '2.1' : series)).join(', ')
  const facts = [
    `Content: ${code(contentDirectoryOf(platform))}.`,
    `Values: \`${valuesFile(platform)}\`.`,
    ...(tested === '' ? [] : [`Tested with containerd ${tested}.`]),
  ]
  return `<a id="${key}"></a>

## ${name}

${facts.join(' ')}
${setting}
${remarks.map((remark) => `- ${remark}`).join('\n')}
`
}

function sourceRows(read: (name: string) => Fixture): string[][] {
  const names = platforms.flatMap(({ containerds, imports = {}, toSet }) => [
    ...containerds.map(({ fixture }) => fixture),
    ...Object.values(imports),
    ...(toSet !== undefined && 'fixture' in toSet.effect ? [toSet.effect.fixture] : []),
  ])
  return [...new Set(names)].map((name) => [
    code(name),
    name === 'default' ? 'What `containerd config default` prints, of each containerd.' : read(name).source,
  ])
}
