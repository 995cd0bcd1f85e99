/** What does a node at rest cost, that merely holds many blobs? */
import { createHash } from 'node:crypto'
import { mkdir, writeFile } from 'node:fs/promises'
import path from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import type { Command } from 'commander'
import { type AgentProcess, agentReady, makeClusterSecret, readMetrics, startAgent } from '../../cli/demo/agents.ts'
import type { Guardian } from '../../cli/demo/guardian.ts'
import { untilTrue } from '../../cli/demo/until.ts'
import { KiB, minute, second } from '../../core/units.ts'
import { rounded } from '../figures.ts'
import { cpuSeconds } from '../process-usage.ts'
import { question, wholeNumber } from '../question.ts'

const fileBytes = 4 * KiB
/** By then all that was found has been announced to its hosts. */
const settledMs = minute + 10 * second

export function idleCommand(): Command {
  return question('idle', 'CPU of agents of which one holds many blobs, and nobody pulls', measureIdle)
    .option('--blobs <number>', "files in one node's containerd", wholeNumber, 3000)
    .option('--agents <number>', 'members', wholeNumber, 3)
}

interface IdleOptions {
  readonly blobs: number
  readonly agents: number
}

async function measureIdle(guardian: Guardian, { blobs, agents: count }: IdleOptions) {
  const root = await guardian.directory()
  const contentDir = path.join(root, 'content')
  await fillContent(contentDir, blobs)
  const secretFile = await makeClusterSecret(root)
  const agents: AgentProcess[] = []
  for (let number = 0; number < count; number++) {
    const directory = path.join(root, `node-${number}`)
    await mkdir(directory)
    const seeds = agents.slice(0, 1).map(({ clusterAddress }) => clusterAddress)
    const flags = number === 0 ? ['--containerd-content-dir', contentDir] : []
    agents.push(await startAgent(guardian, { directory, secretFile, seeds, plainOrigins: [], flags }))
  }
  await Promise.all(agents.map((agent) => agentReady(agent, count)))
  const [holder, ...others] = agents as [AgentProcess, ...AgentProcess[]]
  const isHeld = async () => (await readMetrics(holder.ops)).get('shoal_store_blobs{state="complete"}') === blobs
  await untilTrue('what the first agent holds', isHeld)
  await sleep(settledMs)
  const before = await Promise.all(agents.map(cpuOf))
  await sleep(minute)
  const after = await Promise.all(agents.map(cpuOf))
  const [ofHolder = 0, ...ofOthers] = after.map((seconds, index) => rounded(seconds - (before[index] ?? 0)))
  return {
    question: 'idle',
    blobs,
    agents: others.length + 1,
    holder_cpu_s_per_min: ofHolder,
    others_cpu_s_per_min: ofOthers,
  }
}

function cpuOf({ process: { pid } }: AgentProcess): Promise<number> {
  return cpuSeconds(pid)
}

async function fillContent(directory: string, blobs: number): Promise<void> {
  const target = path.join(directory, 'blobs/sha256')
  await mkdir(target, { recursive: true })
  for (let number = 0; number < blobs; number++) {
    const bytes = Buffer.alloc(fileBytes, `blob ${number}, `)
    // As containerd has what is finished.
    await writeFile(path.join(target, createHash('sha256').update(bytes).digest('hex')), bytes, { mode: 0o444 })
  }
}
