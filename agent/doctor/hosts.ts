/** The directories in which containerd looks for mirrors, and what it finds there. */
import { readFile } from 'node:fs/promises'
import path from 'node:path'
import type { TomlTable } from 'smol-toml'
import type { HostsDirectory, HostsState } from '../../core/doctor/facts.ts'
import {
  defaultDirectory,
  directoryNames,
  hostsFileName,
  isHostsFileOfShoal,
  isSameEndpoint,
  isTable,
  parseHostsFile,
  textsOf,
} from '../containerd/hosts-file.ts'
import { type HostsNote, identityOf } from '../containerd/hosts-note.ts'
import { namesIn } from '../kept-file.ts'
import { askMirror, type MirrorEntry } from './ask-mirror.ts'
import { reasonOf } from './reasons.ts'

export interface HostsQuestion {
  /** `config_path`. */
  readonly root: string
  /** Those that are to be pulled through the mirror; none: all. */
  readonly registries: readonly string[]
  readonly mirror: string
  /** The path and query by which containerd would ask for a manifest, if one is to be asked for. */
  readonly manifestPath?: string | undefined
  /** The CA of this node's data directory. */
  readonly agentCa: string | undefined
}

export async function lookIntoHosts(question: HostsQuestion): Promise<HostsDirectory[]> {
  const { root, registries } = question
  let there: string[]
  try {
    there = await namesIn(root)
  } catch (error) {
    const state = { kind: 'unreadable', reason: reasonOf(error) } as const
    return [{ directory: root, file: root, registries: registries.join(', ') || everyRegistry, expected: true, state }]
  }
  return Promise.all(directoriesOf(registries, there).map((each) => look(each, question)))
}

/** Those that `shoal configure` has written, whoever may read them. */
export async function lookIntoWritten(note: HostsNote, question: HostsQuestion): Promise<HostsDirectory[]> {
  return Promise.all(
    Object.entries(note.files).map(async ([file, identity]) => {
      const directory = path.dirname(file)
      const name = path.basename(directory)
      const state = await stateOf(file, question)
      return {
        directory,
        file,
        registries: name === defaultDirectory ? everyRegistry : name,
        expected: true,
        state: state.kind === 'unreadable' ? await stateByIdentity(file, identity) : state,
      }
    }),
  )
}

async function stateByIdentity(file: string, identity: string): Promise<HostsState> {
  try {
    return { kind: (await identityOf(file)) === identity ? 'as written' : 'replaced' }
  } catch (error) {
    return { kind: 'unreadable', reason: reasonOf(error) }
  }
}

interface Lookup {
  /** Undefined where containerd finds none. */
  readonly name: string | undefined
  readonly registries: string
  readonly expected: boolean
}

const everyRegistry = 'all registries'

/** Hidden ones, and those that no registry can have, are passed over. */
const registryDirectory = /^[A-Za-z0-9][A-Za-z0-9.-]*(?::\d+|_\d+_)?$/

/** Where each registry ends up; where all are meant, also those that have a directory of their own. */
export function directoriesOf(registries: readonly string[], there: readonly string[]): Lookup[] {
  if (registries.length === 0) {
    const own = there.filter((name) => registryDirectory.test(name)).toSorted()
    const everything = { registries: everyRegistry, expected: true, name: find([defaultDirectory], there) }
    return [everything, ...own.map((name) => ({ name, registries: name, expected: false }))]
  }
  return registries.map((registry) => ({
    name: find([...directoryNames(registry), defaultDirectory], there),
    registries: registry,
    expected: true,
  }))
}

function find(names: readonly string[], there: readonly string[]): string | undefined {
  return names.find((name) => there.includes(name))
}

async function look({ name, registries, expected }: Lookup, question: HostsQuestion): Promise<HostsDirectory> {
  const directory = path.join(question.root, name ?? defaultDirectory)
  const file = path.join(directory, hostsFileName)
  const state: HostsState = name === undefined ? { kind: 'no directory' } : await stateOf(file, question)
  return { directory, file, registries, expected, state }
}

async function stateOf(file: string, question: HostsQuestion): Promise<HostsState> {
  let text: string
  try {
    text = await readFile(file, 'utf8')
  } catch (error) {
    const reason = reasonOf(error)
    return ['ENOENT', 'ENOTDIR'].includes(reason) ? { kind: 'no file' } : { kind: 'unreadable', reason }
  }
  try {
    return await stateByText(text, path.dirname(file), question)
  } catch (error) {
    return { kind: 'invalid', reason: reasonOf(error) }
  }
}

async function stateByText(text: string, directory: string, question: HostsQuestion): Promise<HostsState> {
  const { host } = parseHostsFile(text)
  const hosts = isTable(host) ? Object.entries(host) : []
  if (hosts.length === 0) return { kind: 'no host' }
  const named = hosts.find(([url]) => isSameEndpoint(url, question.mirror))
  const [url, entry] = named ?? hosts[0] ?? []
  if (url === undefined || (named === undefined && !isHostsFileOfShoal(text))) return { kind: 'other hosts' }
  const mirror = await entryOf(url, isTable(entry) ? entry : {}, directory)
  const shown = isSameUrl(url, question.mirror) ? question.mirror : url
  const answer = await askMirror(mirror, '/v2/', question.agentCa)
  const { manifestPath } = question
  if (manifestPath === undefined || answer.kind !== 'answered') return { kind: 'mirror', url: shown, answer }
  return { kind: 'mirror', url: shown, answer, image: await askMirror(mirror, manifestPath, question.agentCa) }
}

/** Under another name of loopback it is the same one; under another scheme it is not. */
function isSameUrl(one: string, other: string): boolean {
  return isSameEndpoint(one, other) && URL.parse(one)?.protocol === URL.parse(other)?.protocol
}

/** Throws where a CA is not there: containerd then fails the pull. */
async function entryOf(url: string, { ca, header }: TomlTable, directory: string): Promise<MirrorEntry> {
  const files = textsOf(ca).map((name) => path.resolve(directory, name))
  const pems = await Promise.all(files.map(readCa))
  const headers = Object.entries(isTable(header) ? header : {}).map(([name, value]) => [name, textsOf(value)])
  return { url, ca: pems.length === 0 ? undefined : pems.join('\n'), headers: Object.fromEntries(headers) }
}

async function readCa(file: string): Promise<string> {
  try {
    return await readFile(file, 'utf8')
  } catch (error) {
    throw new Error(`it names the CA ${file}: ${reasonOf(error)}`, { cause: error })
  }
}
