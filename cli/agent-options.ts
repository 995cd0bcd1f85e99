/** Where the options of the commands come from: a flag before the environment, that before the config file, that before the default. */
import { Option } from 'commander'
import { parse } from 'yaml'
import { z } from 'zod'
import { unknownOption } from '../agent/config-faults.ts'
import {
  type AgentConfig,
  configSchema,
  optionNotes,
  type OptionNotes,
  type OptionSchema,
  parseConfig,
  parseOptions,
} from '../agent/config.ts'
import { ShoalError } from '../core/errors.ts'
import { cleanupSchema, configureSchema } from './configure/configure-options.ts'

/** What one option is, and what it is called in each place. */
export interface OptionView extends OptionNotes {
  readonly name: string
  readonly flag: string
  readonly env: string
  /** As text; undefined where the schema has none. */
  readonly default?: string
  /** Bounds or choices, as text. */
  readonly allowed?: string
}

const environmentPrefix = 'SHOAL_'

/** Where the config file is named; the only option that can not be in it. */
export const fileOption = {
  flag: '--config',
  env: `${environmentPrefix}CONFIG`,
  description: 'A YAML or JSON file with options, by their camel-case names.',
} as const

/** What the help and the documentation say of an option that may change while the agent runs. */
export const liveNote = 'May change while the agent runs, by the config file and SIGHUP.'

/** The schema of the config file, as JSON Schema 2020-12. */
export function agentJsonSchema(): z.core.JSONSchema.BaseSchema {
  return jsonSchemaOf(configSchema)
}

/** Of what is given, with what the notes say of each option in it. */
export function jsonSchemaOf(
  schema: z.ZodType,
  target: 'draft-2020-12' | 'draft-7' = 'draft-2020-12',
): z.core.JSONSchema.BaseSchema {
  return z.toJSONSchema(schema, {
    target,
    io: 'input',
    override: ({ zodSchema, jsonSchema }) => {
      const notes = optionNotes.get(zodSchema)
      if (notes !== undefined) Object.assign(jsonSchema, { description: notes.description, examples: notes.examples })
    },
  })
}

/** Every option of `schema`, in its order. */
export function optionViews(schema: OptionSchema): OptionView[] {
  const properties = jsonSchemaOf(schema).properties ?? {}
  return Object.entries(schema.shape).map(([name, option]) =>
    viewOption(name, optionNotes.get(option), properties[name]),
  )
}

function viewOption(
  name: string,
  notes: OptionNotes | undefined,
  schema: z.core.JSONSchema._JSONSchema | undefined,
): OptionView {
  if (notes === undefined || typeof schema !== 'object') throw new TypeError(`Option ${name} is not described`)
  const words = name.replaceAll(/[A-Z]/g, (letter) => `-${letter.toLowerCase()}`)
  const allowed = schema.enum?.join(', ') ?? bounds(schema)
  return {
    ...notes,
    name,
    flag: `--${words}`,
    env: environmentPrefix + words.replaceAll('-', '_').toUpperCase(),
    ...(schema.default === undefined ? {} : { default: showValue(schema.default) }),
    ...(allowed === undefined ? {} : { allowed }),
  }
}

function bounds({ minimum, maximum }: z.core.JSONSchema.BaseSchema): string | undefined {
  return minimum === undefined || maximum === undefined ? undefined : `${minimum} to ${maximum}`
}

/** A value as a flag would give it. */
export function showValue(value: unknown): string {
  if (!Array.isArray(value)) return String(value)
  return value.some((item) => typeof item === 'object') ? JSON.stringify(value) : value.join(',')
}

/** The flags of a command, grouped and described for its help. */
export function flagsOf(schema: OptionSchema): Option[] {
  const file = new Option(`${fileOption.flag} <file>`, `${fileOption.description} [${fileOption.env}]`)
  return [file, ...optionViews(schema).map(flagOf)]
}

function flagOf(view: OptionView): Option {
  const value = view.value ?? (view.text === 'switch' ? 'true|false' : 'choice')
  const option = new Option(`${view.flag} ${view.text === 'switch' ? `[${value}]` : `<${value}>`}`, describe(view))
  if (view.text === 'list') option.argParser((text: string, before?: string[]) => [...(before ?? []), text])
  return option.helpGroup(`${view.group}:`)
}

function describe(view: OptionView): string {
  const allowed = view.allowed === undefined ? '' : ` (${view.allowed})`
  const otherwise = view.otherwise ?? (view.default === '' ? 'none' : view.default)
  const live = view.live === true ? ` ${liveNote}` : ''
  return `${view.description}${live}${allowed} [${view.env}] (default: ${otherwise})`
}

export interface OptionSources {
  /** By camel-case name, as commander gives them. */
  readonly flags: Readonly<Record<string, string | boolean | readonly string[] | undefined>>
  readonly env: Readonly<Record<string, string | undefined>>
  /** Reads the config file; rejects as `node:fs` does. */
  readonly readFile: (path: string) => Promise<string>
}

export interface AgentOptionSources extends OptionSources {
  /** Zone and region of a Kubernetes Node, as far as they can be had. */
  readonly readPlace: (nodeName: string) => Promise<Place>
}

export interface Place {
  readonly zone?: string
  readonly region?: string
}

interface Given {
  readonly value: unknown
  readonly from: string
}

/** Of all commands: they share the config file and the environment, so each passes over what only another one knows. */
const schemas: readonly OptionSchema[] = [configSchema, configureSchema, cleanupSchema]

/** The agent's options from all sources. Rejects with `CONFIG_INVALID`, naming each fault and where it is. */
export async function readAgentOptions(sources: AgentOptionSources): Promise<AgentConfig> {
  const given = await gather(configSchema, sources)
  await addPlace(given, sources)
  return parseConfig(inputOf(given), (name) => given.get(name)?.from)
}

/** What nobody gave of zone and region comes from the Node, where that is named. */
async function addPlace(given: Map<string, Given>, { readPlace }: AgentOptionSources): Promise<void> {
  const nodeName = given.get('nodeName')?.value
  if (typeof nodeName !== 'string' || (given.has('zone') && given.has('region'))) return
  const from = `the labels of Node ${nodeName}`
  const place = Object.entries(await readPlace(nodeName)).map(([name, value]) => [name, { value, from }] as const)
  for (const [name, found] of place) if (!given.has(name)) given.set(name, found)
}

/** Those of another command. Rejects as above. */
export async function readOptions<Schema extends OptionSchema>(
  schema: Schema,
  sources: OptionSources,
): Promise<z.output<Schema>> {
  const given = await gather(schema, sources)
  return parseOptions(schema, inputOf(given), (name) => given.get(name)?.from)
}

async function gather(schema: OptionSchema, sources: OptionSources): Promise<Map<string, Given>> {
  refuseUnknownVariables(sources.env)
  const file =
    typeof sources.flags['config'] === 'string' ? sources.flags['config'] : inEnvironment(fileOption, sources)
  const given = file === undefined ? new Map<string, Given>() : await fromFile(file, sources.readFile)
  for (const view of optionViews(schema)) {
    const better = fromFlag(view, sources) ?? fromEnvironment(view, sources)
    if (better !== undefined) given.set(view.name, better)
  }
  const foreign = schemas.flatMap((other) => Object.keys(other.shape)).filter((name) => !(name in schema.shape))
  for (const name of foreign) given.delete(name)
  return given
}

function inputOf(given: ReadonlyMap<string, Given>): Record<string, unknown> {
  return Object.fromEntries([...given].map(([name, { value }]) => [name, value]))
}

function fromFlag(view: OptionView, { flags }: OptionSources): Given | undefined {
  const given = flags[view.name]
  if (given === undefined) return undefined
  if (typeof given === 'boolean') return { value: given, from: view.flag }
  const value =
    typeof given === 'string' ? readText(view, given, view.flag) : given.flatMap((text) => readList(text, view.flag))
  return { value, from: view.flag }
}

function fromEnvironment(view: OptionView, sources: OptionSources): Given | undefined {
  const text = inEnvironment(view, sources)
  return text === undefined ? undefined : { value: readText(view, text, view.env), from: view.env }
}

/** An empty variable says nothing. */
function inEnvironment(option: Pick<OptionView, 'env'>, { env }: OptionSources): string | undefined {
  const text = env[option.env]
  return text === '' ? undefined : text
}

/** Text that is no value of its kind is passed on as it is, for the schema to say what it expected. */
function readText(view: OptionView, text: string, from: string): unknown {
  switch (view.text) {
    case 'plain':
      return text
    case 'number':
      return /^\d+$/.test(text) ? Number(text) : text
    case 'switch':
      return text === 'true' ? true : text === 'false' ? false : text
    case 'list':
      return readList(text, from)
  }
}

/** Not the bracket of an IPv6 address. */
const beginsAsJson = /^\s*(\{|\[\s*["{\]])/

function readList(text: string, from: string): unknown[] {
  if (!beginsAsJson.test(text))
    return text
      .split(',')
      .map((item) => item.trim())
      .filter((item) => item !== '')
  try {
    const json: unknown = JSON.parse(text)
    return Array.isArray(json) ? json : [json]
  } catch (cause) {
    throw new ShoalError('CONFIG_INVALID', `${from}: begins as JSON and is none`, { cause })
  }
}

async function fromFile(path: string, read: OptionSources['readFile']): Promise<Map<string, Given>> {
  const text = await read(path).catch((cause: unknown) => {
    throw new ShoalError('CONFIG_INVALID', `The config file ${path} can not be read: ${String(cause)}`, { cause })
  })
  const content = parseFile(path, text)
  return new Map(Object.entries(content).map(([name, value]) => [name, { value, from: path }]))
}

function parseFile(path: string, text: string): object {
  try {
    // YAML 1.2 takes JSON as it is.
    const content: unknown = parse(text) ?? {}
    if (isMapping(content)) return content
  } catch (cause) {
    throw new ShoalError('CONFIG_INVALID', `The config file ${path} is neither YAML nor JSON: ${String(cause)}`, {
      cause,
    })
  }
  throw new ShoalError('CONFIG_INVALID', `The config file ${path} is not a mapping of options`)
}

function isMapping(value: unknown): value is object {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}

/** Kubernetes sets these for every Service of the namespace, also for one that is called shoal. */
const serviceVariable = /_SERVICE_(HOST|PORT)(_|$)|_PORT(_\d+_(TCP|UDP|SCTP)(_|$)|$)/

function refuseUnknownVariables(env: OptionSources['env']): void {
  const known = [fileOption.env, ...schemas.flatMap(optionViews).map((view) => view.env)]
  const unknown = Object.keys(env).filter(
    (name) => name.startsWith(environmentPrefix) && !known.includes(name) && !serviceVariable.test(name),
  )
  if (unknown.length === 0) return
  throw new ShoalError('CONFIG_INVALID', unknown.map((name) => unknownOption(name, name, known)).join('; '))
}
