/** The `shoal` command: its subcommands, how it fails, and how it ends. */
import { readFile } from 'node:fs/promises'
import { setTimeout } from 'node:timers/promises'
import { Command, CommanderError, type Help, InvalidArgumentError } from 'commander'
import { type AgentConfig, configSchema } from '../agent/config.ts'
import { duration } from '../agent/config-values.ts'
import type { ProbedImage } from '../agent/doctor/image.ts'
import { systemClock } from '../agent/system/clock.ts'
import { within } from '../agent/system/within.ts'
import { ShoalError } from '../core/errors.ts'
import { examineNode, findingsJson, findingsText, isHealthy } from './doctor.ts'
import { explainImage, explanationText } from './explain.ts'
import { type ImageReference, parseImageReference } from './image-reference.ts'
import { flagsOf, type OptionSources, type Place, readAgentOptions, readOptions } from './agent-options.ts'
import { cleanup, configure, type HostsChange } from './configure/configure.ts'
import { cleanupSchema, configureSchema } from './configure/configure-options.ts'
import { awaitDaemonSet, type ObjectName } from './kubernetes/await-daemonset.ts'
import { clusterApi } from '../agent/kubernetes/cluster-api.ts'
import { readNodePlace } from './kubernetes/node-place.ts'
import { untaintReadyNodes, type UntaintOptions } from './kubernetes/untaint.ts'

/** How `shoal` ends; also in docs/options.md. A second signal ends it with 128 + the signal's number. */
export const exitCodes = {
  stopped: 0,
  /** It failed while it ran, or did not stop in time. */
  failed: 1,
  /** Wrong flags, options or secret files: nothing was started. */
  usage: 2,
} as const

export interface Running {
  /** Takes over the options that may change while it runs. */
  adjust(config: AgentConfig): void
  stop(): Promise<void>
}

/** What the command needs from the world; a test gives its own. */
export interface Surroundings {
  readonly env: Readonly<Record<string, string | undefined>>
  readonly version: string
  readonly print: (text: string) => void
  readonly printError: (text: string) => void
  /** Signals by name, in the order they come. */
  readonly onSignal: (listener: (signal: 'SIGTERM' | 'SIGINT' | 'SIGHUP') => void) => void
  /** Ends the process at once. */
  readonly exit: (code: number) => void
  readonly runAgent: (config: AgentConfig) => Promise<Running>
}

/** Runs one command line (without the first two words of `process.argv`); resolves to the exit code. */
export async function runCommand(args: readonly string[], surroundings: Surroundings): Promise<number> {
  const course: Course = { code: exitCodes.stopped, logLevel: levelAskedFor(args, surroundings.env) }
  const program = shoalCommand(surroundings, course)
  try {
    await program.parseAsync([...args], { from: 'user' })
    return course.code
  } catch (error) {
    return fail(error, course, surroundings)
  }
}

/** What becomes of a command line. */
interface Course {
  code: number
  /** As far as it is known yet: what the command line and the environment say, then what the options do. */
  logLevel: string | undefined
}

function shoalCommand(surroundings: Surroundings, course: Course): Command {
  const program = new Command('shoal')
    .description('Peer-to-peer image distribution for Kubernetes nodes')
    .exitOverride()
    .configureOutput({ writeOut: surroundings.print, writeErr: surroundings.printError })
  program
    .command('version')
    .description('Print the version')
    .action(() => surroundings.print(`${surroundings.version}\n`))
  const agent = program
    .command('agent')
    .description('Run the agent of this node')
    .configureHelp({ formatItem: indentedItem })
    .addHelpText('after', `\n${agentHelp}`)
    .action(async (flags: OptionSources['flags']) => {
      course.code = await agentCommand(flags, surroundings, course)
    })
  for (const flag of flagsOf(configSchema)) agent.addOption(flag)
  const doctor = program
    .command('doctor')
    .description('Say whether this node pulls through Shoal, and what to do where it does not')
    .option('--explain <image>', 'Instead, say which rule decides about an image, and with which result', readImage)
    .option('--image <image>', 'An image to ask the mirror for, and its registry for a part of a layer', readImage)
    .option('--json', 'As JSON')
    .configureHelp({ formatItem: indentedItem })
    .addHelpText('after', `\n${doctorHelp}`)
    .action(async (flags: DoctorFlags) => {
      course.code = await doctorCommand(flags, surroundings)
    })
  for (const flag of flagsOf(doctorSchema)) doctor.addOption(flag)
  const configuring = program
    .command('configure')
    .description("Have this node's containerd ask the mirror first: writes hosts.toml files, and keeps what was there")
    .configureHelp({ formatItem: indentedItem })
    .action(async (flags: OptionSources['flags']) => {
      tell(await configure(await readOptions(configureSchema, sourcesOf(flags, surroundings))), surroundings)
    })
  for (const flag of flagsOf(configureSchema)) configuring.addOption(flag)
  const cleaning = program
    .command('cleanup')
    .description("Undo configure: containerd's directory is then as it was before")
    .configureHelp({ formatItem: indentedItem })
    .action(async (flags: OptionSources['flags']) => {
      tell(await cleanup(await readOptions(cleanupSchema, sourcesOf(flags, surroundings))), surroundings)
    })
  for (const flag of flagsOf(cleanupSchema)) cleaning.addOption(flag)
  addChartCommands(program, surroundings)
  return program
}

/** What the chart runs beside agents, configure and cleanup. */
function addChartCommands(program: Command, surroundings: Surroundings): void {
  program
    .command('stay')
    .description(
      'Do nothing until told to stop: what a pod of a DaemonSet does when its init containers have done the work',
    )
    .action(() => firstSignal(surroundings))
  program
    .command('await-daemonset')
    .description(
      'Wait until a DaemonSet has a ready pod on every node that it is for, by the service account of this pod',
    )
    .requiredOption('--daemonset <namespace/name>', 'Which one', readObjectName)
    .requiredOption('--timeout <time>', 'How long, as 5m', readDuration)
    .option('--or-go-on', 'Succeed also when the time is over')
    .action(async ({ daemonset, timeout, orGoOn }: AwaitFlags) => {
      const components = {
        get: clusterApi(surroundings).get,
        clock: systemClock,
        pause: setTimeout,
        print: surroundings.print,
      }
      const options = { ...daemonset, timeoutMs: timeout, mustBeDone: orGoOn !== true }
      await awaitDaemonSet(components, options)
    })
  program
    .command('untaint')
    .description(
      'Take a taint off the nodes whose agent is ready, by the service account of this pod, until told to stop',
    )
    .requiredOption('--service <namespace/name>', 'The headless Service of the agents', readObjectName)
    .requiredOption('--taint <key>', 'With which nodes are registered')
    .action(async (options: UntaintOptions) => {
      const stop = new AbortController()
      void firstSignal(surroundings).then(() => stop.abort())
      const pause = (ms: number) => setTimeout(ms, undefined, { signal: stop.signal }).catch(() => {})
      const isStopped = () => stop.signal.aborted
      await untaintReadyNodes({ api: clusterApi(surroundings), pause, print: surroundings.print, isStopped }, options)
    })
}

interface AwaitFlags {
  readonly daemonset: ObjectName
  readonly timeout: number
  readonly orGoOn?: true
}

function readObjectName(text: string): ObjectName {
  const [, namespace, name] = /^([a-z0-9-]+)\/([a-z0-9.-]+)$/.exec(text) ?? []
  if (namespace === undefined || name === undefined) throw new InvalidArgumentError('Expected <namespace>/<name>.')
  return { namespace, name }
}

function readDuration(text: string): number {
  const parsed = duration.safeParse(text)
  if (!parsed.success) throw new InvalidArgumentError('Expected a time, as 5m.')
  return parsed.data
}

function tell(changes: readonly HostsChange[], { print }: Surroundings): void {
  for (const { result, directory } of changes) print(`${result} ${directory}\n`)
}

type DoctorFlags = OptionSources['flags'] & {
  readonly explain?: ImageReference
  readonly image?: ImageReference
  readonly json?: true
}

const configuredSchema = configureSchema.pick({ mirroredRegistries: true, resolveTags: true, dataDirOwner: true })
/** Where the agent looks doctor does too, so it takes the same options; and of configure's, what it then says of configure. */
const doctorSchema = configSchema.extend(configuredSchema.shape)

const doctorHelp = `Give it the options that the agent has. Run as root it sees most; docs/doctor.md says what it may find.
Exit codes: ${exitCodes.stopped} nothing of severity error was found, ${exitCodes.failed} something was, ${exitCodes.usage} wrong options.
`

function readImage(text: string): ImageReference {
  const image = parseImageReference(text)
  if (image === undefined)
    throw new InvalidArgumentError('Expected an image, as alpine or registry.corp:5000/team/app:v1.')
  return image
}

async function doctorCommand(
  { explain, image, json, ...flags }: DoctorFlags,
  surroundings: Surroundings,
): Promise<number> {
  const config = await readFrom(flags, surroundings)
  if (explain !== undefined) {
    const explanation = explainImage(explain, config)
    surroundings.print(json === true ? `${JSON.stringify(explanation, null, 2)}\n` : explanationText(explanation))
    return exitCodes.stopped
  }
  const configured = await readOptions(configuredSchema, sourcesOf(flags, surroundings))
  const findings = await examineNode(config, { configured, image: image && probedImage(image) })
  surroundings.print(json === true ? findingsJson(findings) : findingsText(findings))
  return isHealthy(findings) ? exitCodes.stopped : exitCodes.failed
}

function probedImage({ origin, repository, tag, digest }: ImageReference): ProbedImage {
  return { origin, repository, reference: digest ?? tag ?? 'latest' }
}

function readFrom(flags: OptionSources['flags'], surroundings: Surroundings): Promise<AgentConfig> {
  const readPlace = (nodeName: string) => placeOf(nodeName, surroundings)
  return readAgentOptions({ ...sourcesOf(flags, surroundings), readPlace })
}

function sourcesOf(flags: OptionSources['flags'], { env }: Surroundings): OptionSources {
  return { flags, env, readFile: (path) => readFile(path, 'utf8') }
}

/** An agent that does not know where it is shares with all alike: better than none. */
async function placeOf(nodeName: string, { env, printError }: Surroundings): Promise<Place> {
  try {
    return await readNodePlace(clusterApi({ env }).get, nodeName)
  } catch (error) {
    printError(`shoal: zone and region stay unknown: ${error instanceof Error ? error.message : String(error)}\n`)
    return {}
  }
}

/** The flag on a line of its own, its description below: flags here are too long for two columns. */
function indentedItem(term: string, _termWidth: number, description: string, help: Help): string {
  const text = help.boxWrap(description, (help.helpWidth ?? 80) - 6)
  return `  ${term}\n${text.replaceAll(/^/gm, '      ')}`
}

const agentHelp = `A flag goes before its [VARIABLE], that before the config file, that before the default.
Lists are comma-separated, JSON, or the flag given several times.
SIGHUP has a running agent read the config file again; each option says whether it may change so.
Exit codes: ${exitCodes.stopped} stopped, ${exitCodes.failed} failed, ${exitCodes.usage} wrong options.
`

async function agentCommand(
  flags: OptionSources['flags'],
  surroundings: Surroundings,
  course: Course,
): Promise<number> {
  const read = () => readFrom(flags, surroundings)
  // Before all else: to the first process of a container a signal that nobody listens for does nothing.
  const stopped = firstSignal(surroundings)
  const config = await Promise.race([read(), stopped])
  if (config === undefined) return exitCodes.stopped
  course.logLevel = config.logLevel
  const starting = surroundings.runAgent(config)
  let reloaded = Promise.resolve()
  surroundings.onSignal((signal) => {
    // One after the other: what was read last is to count last.
    if (signal === 'SIGHUP') reloaded = reloaded.then(() => reload(starting, read, surroundings))
  })
  await Promise.race([starting, stopped])
  await stopped
  return stopWithin(starting, config.shutdownTimeoutMs, surroundings)
}

/** Options that are wrong change nothing. */
async function reload(
  starting: Promise<Running>,
  read: () => Promise<AgentConfig>,
  { printError }: Surroundings,
): Promise<void> {
  try {
    const agent = await starting
    agent.adjust(await read())
  } catch (error) {
    printError(`shoal: ${error instanceof Error ? error.message : String(error)}\n`)
  }
}

const signalNumbers = { SIGINT: 2, SIGTERM: 15 } as const

/** Resolves at the first signal; the second one ends the process at once. */
function firstSignal({ onSignal, exit }: Surroundings): Promise<void> {
  return new Promise((resolve) => {
    let seen = 0
    onSignal((signal) => {
      if (signal === 'SIGHUP') return
      seen += 1
      if (seen === 1) resolve()
      else exit(128 + signalNumbers[signal])
    })
  })
}

/** One that is still starting is stopped once it has, within the same time. */
async function stopWithin(
  starting: Promise<Running>,
  timeoutMs: number,
  { printError }: Surroundings,
): Promise<number> {
  const stopping = starting.then((agent) => agent.stop())
  if (await within(stopping, timeoutMs)) return exitCodes.stopped
  printError(`shoal: did not stop within ${timeoutMs} ms; running responses were cut off\n`)
  return exitCodes.failed
}

/** Says what went wrong; the stack only where somebody asked for it. */
function fail(error: unknown, { logLevel }: Course, { printError }: Surroundings): number {
  if (error instanceof CommanderError) return error.exitCode === 0 ? exitCodes.stopped : exitCodes.usage
  printError(`shoal: ${error instanceof Error ? error.message : String(error)}\n`)
  const showsStack = logLevel === 'debug' || logLevel === 'trace'
  if (showsStack && error instanceof Error) printError(`${error.stack}\n`)
  return isUsageError(error) ? exitCodes.usage : exitCodes.failed
}

/** For what fails before the options are read, and for commands that have no such option. */
function levelAskedFor(args: readonly string[], env: Surroundings['env']): string | undefined {
  return /--log-level[= ](\w+)/.exec(args.join(' '))?.[1] ?? env['SHOAL_LOG_LEVEL']
}

function isUsageError(error: unknown): boolean {
  return error instanceof ShoalError && (error.code === 'CONFIG_INVALID' || error.code === 'SECRET_INVALID')
}
