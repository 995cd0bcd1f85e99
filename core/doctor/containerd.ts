/** Does containerd read the directory that `shoal configure` writes? (facts/protocols.md §1.1) */
import { limits } from '../limits.ts'
import type { ContainerdFacts, ContainerdConfig, ContentDirectory, NodeSettings } from './facts.ts'
import { finding, type Finding } from './findings.ts'
import { isAtLeast } from './versions.ts'

type ReadConfig = Extract<ContainerdConfig, { kind: 'read' }>

/** Where 2.x has it, and nobody before. */
const sectionOf2 = 'io.containerd.cri.v1.images'

/** What 2.2 and newer take where nothing is set: a list, which they do not split. */
const defaultList = '/etc/containerd/certs.d:/etc/docker/certs.d'

export function judgeContainerd(facts: ContainerdFacts, settings: NodeSettings): Finding[] {
  const { config } = facts
  const version = judgeVersion(facts)
  if (config.kind === 'unreadable') return [...version, finding('CONTAINERD_CONFIG_UNREADABLE', config)]
  return [...version, ...judgeConfigPath(config, facts.version, settings), ...judgeProcess(facts, config)]
}

function judgeVersion({ version }: ContainerdFacts): Finding[] {
  const isSupported = isAtLeast(version, 1, 6)
  if (isSupported === undefined) return [finding('CONTAINERD_VERSION_UNKNOWN', {})]
  return isSupported ? [] : [finding('CONTAINERD_TOO_OLD', { version: String(version) })]
}

function judgeConfigPath(config: ReadConfig, version: string | undefined, { root, flags }: NodeSettings): Finding[] {
  const { file, section } = config
  const found = config.configPath ?? (isAtLeast(version, 2, 2) === true ? defaultList : '')
  const at = { file, section, root, found, version: version ?? 'of an unknown version' }
  if (found === '') return [finding('CONFIG_PATH_UNSET', at)]
  if (config.hasMirrors) return [finding('CONFIG_PATH_BESIDE_MIRRORS', at)]
  const entries = found.split(':')
  const isNew = isAtLeast(version, 2, 1) ?? section === sectionOf2
  const isSplit = config.pullsLocally || !isNew
  if (entries.length > 1 && !isSplit) return [finding('CONFIG_PATH_LIST', at)]
  if (entries.some((entry) => isSameDirectory(entry, root))) return []
  const [directory = found] = entries
  return [finding('CONFIG_PATH_ELSEWHERE', { ...at, directory, flags })]
}

function judgeProcess({ process }: ContainerdFacts, { file, discardsLayers }: ReadConfig): Finding[] {
  return [
    ...(process !== undefined && process.changedMs > process.startedMs + limits.doctorStartMs
      ? [finding('CONTAINERD_NOT_RESTARTED', { file })]
      : []),
    ...(discardsLayers ? [finding('LAYERS_DISCARDED', { file })] : []),
  ]
}

/** `contentRoot`: where containerd keeps its content, by its configuration. */
export function judgeContent({ directory, answer }: ContentDirectory, contentRoot: string | undefined): Finding[] {
  if (contentRoot !== undefined && !isSameDirectory(contentRoot, directory))
    return [finding('CONTENT_DIR_ELSEWHERE', { directory, found: contentRoot })]
  return answer.ok ? [] : [finding('CONTENT_DIR_UNREADABLE', { directory, reason: answer.reason })]
}

/** Whatever slashes there are more than it takes: containerd, as every system call, passes over them. */
function isSameDirectory(one: string, other: string): boolean {
  const [a, b] = [one, other].map((directory) => directory.split('/').filter(Boolean).join('/'))
  return a === b
}
