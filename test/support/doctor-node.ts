/** A node on files and loopback, with a real agent, a real seed and a real registry, for `shoal doctor` to look at. */
import { mkdir, writeFile } from 'node:fs/promises'
import path from 'node:path'
import { type AgentProcess, agentReady, makeClusterSecret, startAgent } from '../../cli/demo/agents.ts'
import type { Guardian } from '../../cli/demo/guardian.ts'
import { runCommand } from '../../cli/program.ts'
import type { Finding } from '../../core/doctor/findings.ts'

export interface DoctorNode {
  readonly directory: string
  readonly agent: AgentProcess
  readonly seed: AgentProcess
  /** containerd's config.toml. */
  readonly configFile: string
  /** containerd's `config_path`. */
  readonly root: string
  /** containerd's content directory, which the agent reads. */
  readonly contentDir: string
  readonly secretFile: string
  /** A directory for PATH, with a `containerd` that says its version. */
  readonly programs: string
  /** The agent's own flags. */
  readonly flags: readonly string[]
  /** Runs `shoal COMMAND` with this node's options, and with whatever flags come after them. */
  shoal(command: string, ...flags: readonly string[]): Promise<{ code: number; out: string; err: string }>
  /** What doctor finds, by `--json`, with `more` flags than the agent has, and without those named `less`. */
  doctor(more?: readonly string[], less?: readonly string[]): Promise<{ code: number; findings: readonly Finding[] }>
}

export interface DoctorNodeOptions {
  /** What `containerd --version` says on this node. */
  readonly version: string
  /** The text of config.toml, for a `config_path`. */
  readonly config: (at: { readonly directory: string; readonly root: string }) => string
  /** `host:port` of registries that speak plain HTTP. */
  readonly origins: readonly string[]
}

export async function startDoctorNode(guardian: Guardian, options: DoctorNodeOptions): Promise<DoctorNode> {
  const directory = await guardian.directory()
  const [root, configFile] = [path.join(directory, 'certs.d'), path.join(directory, 'config.toml')]
  const programs = await containerdThatSays(directory, options.version)
  await writeFile(configFile, options.config({ directory, root }))
  const contentDir = path.join(directory, 'io.containerd.content.v1.content')
  await mkdir(path.join(contentDir, 'blobs/sha256'), { recursive: true })
  const secretFile = await makeClusterSecret(directory)
  const start = async (name: string, seeds: readonly string[]): Promise<AgentProcess> => {
    const own = path.join(directory, name)
    await mkdir(own)
    const flags = [
      `--containerd-registry-config-path=${root}`,
      `--containerd-config-file=${configFile}`,
      `--containerd-content-dir=${contentDir}`,
    ]
    const common = { directory: own, secretFile, seeds, plainOrigins: options.origins, protocol: 'https' as const }
    return startAgent(guardian, { ...common, flags: name === 'seed' ? [] : flags })
  }
  const seed = await start('seed', [])
  const agent = await start('node', [seed.clusterAddress])
  await agentReady(agent, 2)

  const flags = agentFlags(agent)
  const ofConfigure = [`--containerd-registry-config-path=${root}`, ...pick(flags, configureFlags)]

  const shoal: DoctorNode['shoal'] = (command, ...more) =>
    runShoal([command, ...(command === 'doctor' ? flags : ofConfigure), ...more])
  const doctor: DoctorNode['doctor'] = async (more = [], less = []) => {
    const { code, out, err } = await runShoal(['doctor', '--json', ...without(flags, less), ...more])
    if (out === '') throw new Error(`doctor said nothing: ${err}`)
    return { code, findings: (JSON.parse(out) as { findings: Finding[] }).findings }
  }
  await shoal('configure')
  return { directory, agent, seed, configFile, root, contentDir, secretFile, programs, flags, shoal, doctor }
}

/** The command in this process: a start of its own takes a second of CPU. */
async function runShoal(words: readonly string[]): ReturnType<DoctorNode['shoal']> {
  const seen = { out: '', err: '' }
  const code = await runCommand(words, {
    env: {},
    version: '0',
    print: (text) => void (seen.out += text),
    printError: (text) => void (seen.err += text),
    onSignal: () => {},
    exit: () => {},
    runAgent: () => Promise.reject(new Error('no agent is started here')),
  })
  return { code, ...seen }
}

const configureFlags = ['--data-dir', '--mirror-listen', '--mirror-protocol']

/** With which it was started. */
export function agentFlags({ process: child }: AgentProcess): string[] {
  const words = child.spawnargs
  return words.slice(words.indexOf('agent') + 1)
}

function pick(flags: readonly string[], names: readonly string[]): string[] {
  return names.flatMap((name) => [name, flags[flags.indexOf(name) + 1] ?? ''])
}

function without(flags: readonly string[], names: readonly string[]): string[] {
  return flags.filter((flag, index) => !names.includes(flag) && !names.includes(flags[index - 1] ?? ''))
}

async function containerdThatSays(directory: string, version: string): Promise<string> {
  const programs = path.join(directory, 'bin')
  await mkdir(programs)
  const script = `#!/bin/sh\necho "containerd github.com/containerd/containerd ${version} 0"\n`
  await writeFile(path.join(programs, 'containerd'), script, { mode: 0o755 })
  return programs
}
