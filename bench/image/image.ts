/** What does bundling save: in size, until an agent is ready, and in memory while it idles? */
import { execFile } from 'node:child_process'
import { cp, readFile, rm, stat } from 'node:fs/promises'
import path from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { promisify } from 'node:util'
import type { Command } from 'commander'
import { agentReady, makeClusterSecret, startAgent, stopAgent } from '../../cli/demo/agents.ts'
import type { Guardian } from '../../cli/demo/guardian.ts'
import { MiB, second } from '../../core/units.ts'
import { makeBundle } from '../../image/image.ts'
import { medians, rounded, roundedFields, spreads } from '../figures.ts'
import { cpuSeconds, memoryBytes } from '../process-usage.ts'
import { question } from '../question.ts'

const run = promisify(execFile)
const root = path.resolve(import.meta.dirname, '../..')
const runCount = 5
/** By then what starting took is collected, and nothing has begun yet that a node at rest would not do. */
const idleMs = 3 * second

/**
 * As the image has it; the same with a smaller young generation; with Node.js's compile cache, which an earlier start has filled;
 * and what tsc makes beside npm's packages.
 */
const contenders = ['bundle', 'bundle_semi_space_1', 'bundle_compile_cache', 'packages'] as const
type Contender = (typeof contenders)[number]

interface Program {
  /** Where all of it is, besides Node.js. */
  readonly directory: string
  readonly main: string
  /** Of Node.js. Those that the command asks for unless given. */
  readonly nodeFlags?: readonly string[]
  readonly env: Readonly<Record<string, string>>
}

interface Measured extends Record<string, number> {
  readonly ready_ms: number
  readonly ready_cpu_s: number
  readonly idle_rss_mb: number
}

export function imageCommand(): Command {
  const description =
    'size, start and idle memory of the agent as one bundle, with a compile cache, and as npm packages'
  return question('image', description, measureImage)
}

async function measureImage(guardian: Guardian) {
  const bundle = await makeBundled(guardian)
  const packages = await makePackages(guardian)
  const programs: Record<Contender, Program> = {
    bundle,
    bundle_semi_space_1: { ...bundle, nodeFlags: ['--max-semi-space-size=1'] },
    bundle_compile_cache: { ...bundle, env: { NODE_COMPILE_CACHE: await guardian.directory() } },
    packages,
  }
  // The first start of each fills what caches there are, and counts for nothing.
  for (const contender of contenders) await measure(guardian, programs[contender])
  const runs: Record<Contender, Measured>[] = []
  for (let index = 0; index < runCount; index++) {
    const measured = {} as Record<Contender, Measured>
    for (const contender of contenders) measured[contender] = await measure(guardian, programs[contender])
    runs.push(measured)
  }
  return report(runs, { bundle: await sizesOf(bundle), packages: await sizesOf(packages) })
}

async function makeBundled(guardian: Guardian): Promise<Program> {
  const directory = await guardian.directory()
  await makeBundle(directory)
  return { directory, main: path.join(directory, 'shoal.mjs'), env: {} }
}

/** Without what package-lock.json has for development alone. */
async function makePackages(guardian: Guardian): Promise<Program> {
  const directory = await guardian.directory()
  const tsc = path.join(root, 'node_modules/typescript/bin/tsc')
  await run(process.execPath, [tsc, '-p', path.join(import.meta.dirname, 'tsconfig.json'), '--outDir', directory])
  const { packages } = JSON.parse(await readFile(path.join(root, 'package-lock.json'), 'utf8')) as {
    packages: Record<string, { dev?: boolean }>
  }
  const wanted = Object.keys(packages).filter((name) => name !== '' && packages[name]?.dev !== true)
  for (const name of wanted) {
    const from = path.join(root, name)
    await cp(from, path.join(directory, name), { recursive: true, filter: isOwnOf(from) })
  }
  return { directory, main: path.join(directory, 'cli/main.js'), env: {} }
}

/** A package's own node_modules may hold what is for development. */
function isOwnOf(from: string): (source: string) => boolean {
  return (source) => !source.slice(from.length).includes('/node_modules')
}

/** One start of an agent that is the only member of its cluster. */
async function measure(guardian: Guardian, { main, env, nodeFlags }: Program): Promise<Measured> {
  const directory = await guardian.directory()
  const secretFile = await makeClusterSecret(directory)
  const startedMs = performance.now()
  const agent = await startAgent(guardian, {
    directory,
    secretFile,
    seeds: [],
    plainOrigins: [],
    main,
    env,
    ...(nodeFlags && { nodeFlags }),
  })
  await agentReady(agent, 1)
  const measured = { ready_ms: performance.now() - startedMs, ready_cpu_s: await cpuSeconds(agent.process.pid) }
  await sleep(idleMs)
  const bytes = await memoryBytes(agent.process.pid)
  await stopAgent(agent)
  return { ...measured, idle_rss_mb: bytes / MiB }
}

/** Of one layer that holds it, unpacked and as registries keep it. */
async function sizesOf({ directory }: Program): Promise<Record<string, number>> {
  const packed = `${directory}.tar.gz`
  await run('tar', ['--create', '--gzip', '--file', packed, '--directory', directory, '.'])
  const { size } = await stat(packed)
  await rm(packed)
  const { stdout } = await run('du', ['--bytes', '--summarize', directory])
  return { unpacked_mb: rounded(Number.parseInt(stdout, 10) / MiB), packed_mb: rounded(size / MiB) }
}

function report(runs: readonly Record<Contender, Measured>[], size: Record<string, Record<string, number>>) {
  const of = (contender: Contender) => runs.map((measured) => roundedFields(measured[contender]))
  return {
    question: 'image',
    size,
    ...Object.fromEntries(contenders.map((contender) => [contender, medians(of(contender))])),
    spread: Object.fromEntries(contenders.map((contender) => [contender, spreads(of(contender))])),
    runs: runs.map((_, index) => Object.fromEntries(contenders.map((contender) => [contender, of(contender)[index]]))),
  }
}
