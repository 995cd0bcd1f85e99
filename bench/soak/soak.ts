/**
 * Does anything go wrong, or grow, that a short test does not see? Agents whose stores are too small for what is pulled, clients that
 * come and go, and one agent that is stopped, killed or hung again and again.
 */
import { once } from 'node:events'
import { mkdir, readdir } from 'node:fs/promises'
import path from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import type { Command } from 'commander'
import { within } from '../../agent/system/within.ts'
import { type AgentProcess, agentReady, makeClusterSecret, readMetrics, startAgent } from '../../cli/demo/agents.ts'
import type { Guardian } from '../../cli/demo/guardian.ts'
import { type Image, makeImage } from '../../cli/demo/image.ts'
import { startOrigin } from '../../cli/demo/origin.ts'
import { pullImage } from '../../cli/demo/pull.ts'
import type { Random } from '../../core/ports.ts'
import { createRandom } from '../../core/random.ts'
import { KiB, MiB, minute, second } from '../../core/units.ts'
import { memoryBytes } from '../process-usage.ts'
import { question, wholeNumber } from '../question.ts'

const images = 60
const layerSizesBytes = [40 * KiB, 700 * KiB, 2 * MiB]
/** A quarter of what all images take. */
const storeBytes = 40 * MiB
/** One pull in so many is broken off. */
const breakOffOneIn = 8
const restMs = 0.15 * second
const lifeMs = 25 * second
/** By then all others have taken it for dead. */
const hangMs = 8 * second
const lookMs = 20 * second
/** By then a reader whom peers starve has long turned to the origin. */
const hungMs = 60 * second

export function soakCommand(): Command {
  return question(
    'soak',
    'Agents with full stores, under clients that come and go, and one that dies or hangs',
    measureSoak,
  )
    .option('--minutes <number>', 'how long', wholeNumber, 10)
    .option('--agents <number>', 'members, of which the last dies or hangs again and again', wholeNumber, 4)
    .option('--seed <text>', 'who pulls what', '1')
}

interface SoakOptions {
  readonly minutes: number
  readonly agents: number
  readonly seed: string
}

interface Soak {
  readonly origin: string
  readonly images: ReadonlyMap<string, Image>
  readonly agents: AgentProcess[]
  /** Those that are dying, dead, or not ready yet: there containerd goes to the registry. */
  readonly down: Set<AgentProcess>
  readonly start: (number: number) => Promise<AgentProcess>
  readonly endsMs: number
  /** `bans` are those of agents that have died. */
  readonly counts: Record<'pulls' | 'brokenOff' | 'failed' | 'hung' | 'restarts' | 'hangs' | 'bans', number>
  slowestMs: number
  /** The most of each agent so far. */
  readonly most: { rssMib: number; descriptors: number }[]
}

async function measureSoak(guardian: Guardian, { agents: count, minutes, seed }: SoakOptions) {
  const soak = await startSoak(guardian, count, minutes)
  const random = createRandom(seed)
  // The first one, whom all others know, has twice as many clients.
  const clients = [0, ...soak.agents.keys()].map((at, number) => pullOn(soak, at, random.fork(`client ${number}`)))
  await Promise.all([...clients, fallIllAgainAndAgain(soak), watch(soak)])
  const ofLiving = await Promise.all(soak.agents.map(bansOf))
  const { brokenOff, failed, hangs, hung, pulls, restarts } = soak.counts
  return {
    question: 'soak',
    minutes,
    agents: count,
    pulls,
    broken_off: brokenOff,
    restarts,
    hangs,
    failed,
    hung,
    slowest_s: Math.round(soak.slowestMs / 100) / 10,
    bans: ofLiving.reduce((sum, each) => sum + each, soak.counts.bans),
    rss_mib_max: soak.most.map(({ rssMib }) => Math.round(rssMib)),
    descriptors_max: soak.most.map(({ descriptors }) => descriptors),
  }
}

async function startSoak(guardian: Guardian, count: number, minutes: number): Promise<Soak> {
  const made = new Map<string, Image>()
  for (let number = 0; number < images; number++)
    made.set(
      `soak/app-${number}`,
      await makeImage({ directory: await guardian.directory(), seed: `soak ${number}`, layerSizesBytes }),
    )
  const { address } = await startOrigin({ repositories: Object.fromEntries(made) })
  const root = await guardian.directory()
  const secretFile = await makeClusterSecret(root)
  const agents: AgentProcess[] = []
  const start = async (number: number): Promise<AgentProcess> => {
    const directory = path.join(root, `node-${number}`)
    await mkdir(directory, { recursive: true })
    const seeds = number === 0 ? [] : [agents[0]!.clusterAddress]
    const flags = ['--store-max-bytes', String(storeBytes)]
    return startAgent(guardian, { directory, secretFile, seeds, plainOrigins: [address], flags })
  }
  for (let number = 0; number < count; number++) agents.push(await start(number))
  await Promise.all(agents.map((agent) => agentReady(agent, count)))
  return {
    origin: address,
    images: made,
    agents,
    down: new Set(),
    start,
    endsMs: performance.now() + minutes * minute,
    counts: { pulls: 0, brokenOff: 0, failed: 0, hung: 0, restarts: 0, hangs: 0, bans: 0 },
    slowestMs: 0,
    most: agents.map(() => ({ rssMib: 0, descriptors: 0 })),
  }
}

function isOver({ endsMs }: Soak): boolean {
  return performance.now() >= endsMs
}

async function pullOn(soak: Soak, at: number, random: Random): Promise<void> {
  const repositories = [...soak.images.keys()]
  while (!isOver(soak)) {
    const agent = soak.agents[at]!
    const repository = repositories[random.below(repositories.length)]!
    const breaksOff = random.below(breakOffOneIn) === 0
    const startedMs = performance.now()
    try {
      if (await within(pullOnce(soak, agent, repository, breaksOff), hungMs)) soak.counts.pulls++
      else noteHung(soak, repository)
    } catch (error) {
      if (error instanceof ClientHasGone) soak.counts.brokenOff++
      else if (!soak.down.has(agent)) noteFailure(soak, error)
    }
    // Who pulls from the one that falls ill waits as long as that.
    if (at < soak.agents.length - 1) soak.slowestMs = Math.max(soak.slowestMs, performance.now() - startedMs)
    await sleep(restMs)
  }
}

class ClientHasGone extends Error {}

async function pullOnce(
  { images: made, origin }: Soak,
  agent: AgentProcess,
  repository: string,
  breaksOff: boolean,
): Promise<void> {
  const reference = made.get(repository)!.tag
  let isFirst = true
  await pullImage({
    hosts: [agent.mirror],
    origin,
    repository,
    reference,
    onBytes() {
      if (breaksOff && !isFirst) throw new ClientHasGone()
      isFirst = false
    },
  })
}

function noteFailure({ counts }: Soak, error: unknown): void {
  counts.failed++
  say(`a pull failed: ${String(error)}`)
}

/** The client goes on with another: were all to wait, nothing would be seen any more. */
function noteHung({ counts }: Soak, repository: string): void {
  counts.hung++
  say(`a pull of ${repository} hangs`)
}

async function fallIllAgainAndAgain(soak: Soak): Promise<void> {
  const illnesses = [
    (one: AgentProcess) => restart(soak, one, 'SIGTERM'),
    (one: AgentProcess) => restart(soak, one, 'SIGKILL'),
    (one: AgentProcess) => hang(soak, one),
  ]
  for (let turn = 0; soak.endsMs - performance.now() > lifeMs; turn++) {
    await sleep(lifeMs)
    await illnesses[turn % illnesses.length]!(soak.agents.at(-1)!)
  }
}

async function restart({ agents, counts, down, start }: Soak, dying: AgentProcess, signal: NodeJS.Signals) {
  counts.bans += await bansOf(dying)
  down.add(dying)
  const ended = once(dying.process, 'exit')
  dying.process.kill(signal)
  await ended
  const number = agents.indexOf(dying)
  const again = await start(number)
  down.add(again)
  agents[number] = again
  await agentReady(again, agents.length)
  down.delete(again)
  counts.restarts++
}

/** Its connections stay, and nothing more comes of them, until it goes on as if no time had passed. */
async function hang({ agents, counts, down }: Soak, one: AgentProcess): Promise<void> {
  down.add(one)
  one.process.kill('SIGSTOP')
  await sleep(hangMs)
  one.process.kill('SIGCONT')
  await agentReady(one, agents.length)
  down.delete(one)
  counts.hangs++
}

async function watch(soak: Soak): Promise<void> {
  const { agents, counts, most } = soak
  while (!isOver(soak)) {
    await sleep(Math.min(lookMs, Math.max(0, soak.endsMs - performance.now())))
    const rows = await Promise.all(agents.map((agent) => lookAt(agent).catch(() => undefined)))
    for (const [at, row] of rows.entries()) {
      most[at]!.rssMib = Math.max(most[at]!.rssMib, row?.rssMib ?? 0)
      most[at]!.descriptors = Math.max(most[at]!.descriptors, row?.descriptors ?? 0)
    }
    const told = rows.map((row) =>
      row === undefined ? 'down' : `${Math.round(row.rssMib)} MiB, ${row.descriptors} fd`,
    )
    say(`${counts.pulls} pulls, ${counts.failed} failed, ${counts.restarts} restarts; ${told.join('; ')}`)
  }
}

async function lookAt({ process: { pid } }: AgentProcess): Promise<{ rssMib: number; descriptors: number }> {
  const descriptors = (await readdir(`/proc/${pid}/fd`)).length
  return { rssMib: (await memoryBytes(pid)) / MiB, descriptors }
}

async function bansOf({ ops }: AgentProcess): Promise<number> {
  return (await readMetrics(ops)).get('shoal_bans_total') ?? 0
}

function say(text: string): void {
  process.stderr.write(`soak: ${text}\n`)
}
