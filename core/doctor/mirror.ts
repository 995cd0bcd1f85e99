/** Does containerd find the mirror by its hosts.toml, and is it this node's agent that answers there? */
import type { AgentAnswer, Facts, HostsDirectory, HostsState, MirrorAnswer, NodeSettings } from './facts.ts'
import { finding, type Finding } from './findings.ts'

type MirrorFacts = Pick<Facts, 'hosts' | 'agent' | 'keys' | 'settings'>

export function judgeMirror({ hosts, agent, keys, settings }: MirrorFacts): Finding[] {
  const directories = hosts ?? []
  const isDown = agent !== undefined && agent.kind !== 'answered'
  return [
    ...(agent === undefined ? [] : judgeAgent(agent, settings)),
    ...directories.flatMap((each) => judgeHosts(each, isDown, settings)),
    ...judgeKeys(keys, directories, settings),
  ]
}

function judgeAgent(agent: AgentAnswer, { ops, node }: NodeSettings): Finding[] {
  if (agent.kind !== 'answered') return [finding('AGENT_DOWN', { address: ops, reason: agent.reason, node })]
  return agent.notReady === undefined ? [] : [finding('AGENT_NOT_READY', { address: ops, reason: agent.notReady })]
}

function judgeHosts(at: HostsDirectory, isDown: boolean, settings: NodeSettings): Finding[] {
  const { directory, file, registries, state } = at
  const { root, mirror, flags } = settings
  switch (state.kind) {
    case 'no directory':
      return [finding('HOSTS_MISSING', { root, registries, mirror, flags })]
    case 'no file':
    case 'other hosts':
      return at.expected
        ? [finding('HOSTS_MISSING', { root, registries, mirror, flags })]
        : [finding('HOSTS_SHADOWED', { directory, registries, flags })]
    case 'no host':
      return [finding('HOSTS_WITHOUT_HOST', { file, flags })]
    case 'invalid':
      return [finding('HOSTS_INVALID', { file, reason: state.reason, flags })]
    case 'unreadable':
      return [finding('HOSTS_UNREADABLE', { file, reason: state.reason, flags })]
    case 'as written':
      return []
    case 'replaced':
      return [finding('HOSTS_STALE', { file, reason: 'it is not what `shoal configure` wrote there', flags })]
    case 'mirror':
      return judgeEntry(file, state, isDown, settings)
  }
}

function judgeEntry(
  file: string,
  { url, answer }: Extract<HostsState, { kind: 'mirror' }>,
  isDown: boolean,
  settings: NodeSettings,
): Finding[] {
  const { mirror, flags } = settings
  const stale = (reason: string): Finding[] => [finding('HOSTS_STALE', { file, reason, flags })]
  if (url !== mirror) return stale(`it names ${url}, and the mirror is at ${mirror}`)
  if (answer.kind === 'answered' && answer.status === 403) return stale('its secret is another one')
  if (answer.kind === 'untrusted' && answer.isAgent !== false) return stale('its CA is another one')
  return judgeAnswer(answer, isDown, settings)
}

function judgeAnswer(answer: MirrorAnswer, isDown: boolean, { mirror, mirrorPort: port }: NodeSettings): Finding[] {
  const squatted = (reason: string): Finding[] => [finding('MIRROR_SQUATTED', { mirror, reason, port })]
  const unreached = (reason: string): Finding[] =>
    isDown ? squatted(reason) : [finding('MIRROR_UNREACHED', { mirror, reason, port })]
  switch (answer.kind) {
    case 'untrusted':
      return squatted("its certificate is not of this node's CA")
    case 'no TLS':
      return squatted('it speaks no TLS')
    case 'refused':
      return isDown ? [] : unreached('the connection is refused')
    case 'failed':
      return unreached(answer.reason)
    case 'answered':
      if (answer.status !== 200) return unreached(`it answers ${answer.status}`)
      return isDown ? squatted('it answers while the agent does not') : []
  }
}

/** They matter where hosts.toml has pinned them. */
function judgeKeys(keys: Facts['keys'], hosts: readonly HostsDirectory[], settings: NodeSettings): Finding[] {
  const arePinned = hosts.some(({ state }) => isPinned(state))
  if (keys === undefined || keys.ok || !arePinned) return []
  const { dataDirectory: directory, flags } = settings
  return [finding('MIRROR_KEYS_MISSING', { directory, reason: keys.reason, flags })]
}

function isPinned(state: HostsState): boolean {
  return state.kind === 'as written' || (state.kind === 'mirror' && isAnswered(state.answer))
}

function isAnswered(answer: MirrorAnswer): boolean {
  return answer.kind === 'answered' && answer.status === 200
}
