/**
 * `npm start`: eight agents on this machine pull one image at the same moment, and the origin sends it about once.
 * Needs no root and no containerd.
 */
import path from 'node:path'
import { Command, InvalidArgumentError } from 'commander'
import { MiB } from '../../core/units.ts'
import { type AgentProcess, startCluster, stopAgent } from './agents.ts'
import { type Guardian, createGuardian } from './guardian.ts'
import { type Image, fiveUnequalLayers, makeImage, pulledBlobs, totalBytes } from './image.ts'
import { type Origin, startOrigin } from './origin.ts'
import { type NodeOutcome, type Rollout, startRollout } from './rollout.ts'
import { createScreen, megabytes, plainLine, tableLines } from './table.ts'

interface DemoOptions {
  readonly nodes: number
  readonly imageMb: number
  readonly linkMbit?: number
  readonly json?: true
}

/** What `--json` prints. */
interface Summary {
  readonly nodes: number
  readonly image_bytes: number
  readonly origin_bytes: number
  /** Of one copy of the image. */
  readonly origin_bytes_ratio: number
  readonly separate_pulls_bytes: number
  readonly seconds: number
  readonly first_byte_s_max: number
  readonly rss_mib_max: number
  readonly per_node: readonly NodeOutcome[]
}

const repository = 'demo/app'
const imageArchitecture = 'amd64'

const program = new Command('npm start --')
  .description('Eight agents pull one image at the same moment; the origin sends it about once.')
  .option('--nodes <count>', 'how many agents', wholeNumber(1, 64), 8)
  .option('--image-mb <MiB>', 'size of the image', wholeNumber(1, 16_384), 128)
  .option('--link-mbit <Mbit/s>', 'rate of the origin; links between agents stay unlimited', wholeNumber(1, 100_000))
  .option('--json', 'print one JSON object, and nothing else, on standard output')
  .action(run)
await program.parseAsync()

async function run(options: DemoOptions): Promise<void> {
  const guardian = createGuardian()
  const agents: AgentProcess[] = []
  let interrupted = false
  const tearDown = async () => {
    await Promise.all(agents.map(stopAgent))
    await guardian.close()
  }
  for (const [signal, code] of [
    ['SIGINT', 130],
    ['SIGTERM', 143],
  ] as const) {
    process.once(signal, () => {
      interrupted = true
      void tearDown().finally(() => process.exit(code))
    })
  }
  try {
    const summary = await demonstrate(options, guardian, agents)
    process.stdout.write(options.json ? `${JSON.stringify(summary)}\n` : summaryText(summary))
    await tearDown()
    process.exit(0)
  } catch (error) {
    // What fails while it is being torn down is no news.
    if (interrupted) return
    await tearDown()
    process.stderr.write(`The demo failed: ${error instanceof Error ? error.message : String(error)}\n`)
    process.exit(1)
  }
}

async function demonstrate(options: DemoOptions, guardian: Guardian, agents: AgentProcess[]): Promise<Summary> {
  const say = (text: string) => void (options.json ? process.stderr : process.stdout).write(`${text}\n`)
  say(`Making an image of ${options.imageMb} MiB from the files of this machine …`)
  const image = await makeDemoImage(guardian, options.imageMb)
  const origin = await startOrigin({
    repositories: { [repository]: image },
    ...(options.linkMbit !== undefined && { rateBytesPerSecond: (options.linkMbit * 1e6) / 8 }),
  })
  say(`Starting ${options.nodes} agents; each but the first is told the address of one …`)
  agents.push(...(await startCluster(guardian, options.nodes, { plainOrigins: [origin.address] })))
  say(`All pull ${origin.address}/${repository}:${image.tag} now${linkNote(options)}.\n`)
  const rollout = startRollout({ agents, origin: origin.address, repository, reference: image.tag })
  const stopShowing = options.json ? () => undefined : show(rollout)
  const outcomes = await rollout.done.finally(stopShowing)
  return summarize(image, origin, outcomes)
}

function linkNote({ linkMbit }: DemoOptions): string {
  return linkMbit === undefined
    ? ''
    : ` (the origin is limited to ${linkMbit} Mbit/s; without root, links between agents are not)`
}

async function makeDemoImage(guardian: Guardian, imageMb: number): Promise<Image> {
  const checkout = path.join(import.meta.dirname, '../..')
  return makeImage({
    directory: await guardian.directory(),
    seed: 'demo',
    layerSizesBytes: fiveUnequalLayers(imageMb * MiB),
    sources: [path.join(checkout, 'node_modules'), '/usr/lib', '/usr/share'],
  })
}

/** Draws until the returned function is called, which draws the end. */
function show(rollout: Rollout): () => void {
  const terminal = process.stdout.isTTY
  const drawTable = createScreen(process.stdout)
  const draw = () => {
    if (terminal) drawTable(tableLines(rollout.view(), rollout.elapsedSeconds()))
    else process.stdout.write(`${plainLine(rollout.view(), rollout.elapsedSeconds())}\n`)
  }
  const timer = setInterval(draw, terminal ? 100 : 1000)
  return () => {
    clearInterval(timer)
    draw()
  }
}

function summarize(image: Image, origin: Origin, outcomes: readonly NodeOutcome[]): Summary {
  const imageBytes = totalBytes(pulledBlobs(image, imageArchitecture))
  const largest = (of: (outcome: NodeOutcome) => number) => Math.max(...outcomes.map(of))
  return {
    nodes: outcomes.length,
    image_bytes: imageBytes,
    origin_bytes: origin.bytesSent(),
    origin_bytes_ratio: origin.bytesSent() / imageBytes,
    separate_pulls_bytes: imageBytes * outcomes.length,
    seconds: largest(({ seconds }) => seconds),
    first_byte_s_max: largest(({ firstByteSeconds }) => firstByteSeconds),
    rss_mib_max: largest(({ memoryBytes }) => memoryBytes) / MiB,
    per_node: outcomes,
  }
}

function summaryText(summary: Summary): string {
  const saved = 1 - summary.origin_bytes / summary.separate_pulls_bytes
  const lines = [
    `Every digest on all ${summary.nodes} nodes is right.`,
    `Origin sent      ${megabytes(summary.origin_bytes)} = ${summary.origin_bytes_ratio.toFixed(3)} × the image of ${megabytes(summary.image_bytes)}`,
    `Without Shoal    ${megabytes(summary.separate_pulls_bytes)} for ${summary.nodes} separate pulls: ${(saved * 100).toFixed(1)} % less`,
    `Slowest node     ${summary.seconds.toFixed(2)} s; first layer byte after at most ${(summary.first_byte_s_max * 1000).toFixed(0)} ms`,
    `Agents' memory   ${summary.rss_mib_max.toFixed(0)} MiB at most`,
  ]
  return `\n${lines.join('\n')}\n`
}

function wholeNumber(min: number, max: number): (text: string) => number {
  return (text) => {
    const value = Number(text)
    if (Number.isInteger(value) && value >= min && value <= max) return value
    throw new InvalidArgumentError(`Expected a whole number from ${min} to ${max}.`)
  }
}
