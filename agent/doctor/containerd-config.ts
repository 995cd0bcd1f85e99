/** containerd's configuration as containerd reads it: imports merged in, and of each version the tables that it knows. */
import { glob, readFile, stat } from 'node:fs/promises'
import path from 'node:path'
import { parse, type TomlTable, type TomlValue } from 'smol-toml'
import type { ContainerdConfig, ContainerdOptions } from '../../core/doctor/facts.ts'
import { isAtLeast } from '../../core/doctor/versions.ts'
import { limits } from '../../core/limits.ts'
import { isTable, textsOf } from '../containerd/hosts-file.ts'
import { reasonOf } from './reasons.ts'

export interface ReadContainerdConfig {
  readonly config: ContainerdConfig
  /** When any of its files was changed last; ms since 1970. */
  readonly changedMs: number
}

interface LoadedFile {
  readonly table: TomlTable
  readonly changedMs: number
}

/** A file that is not there is read as an empty one: containerd then goes by its defaults. */
export async function readContainerdConfig(file: string, version: string | undefined): Promise<ReadContainerdConfig> {
  try {
    const files = await loadWithImports(file, version)
    const changedMs = Math.max(0, ...files.map((loaded) => loaded.changedMs))
    const options = containerdOptions(
      files.map(({ table }) => table),
      version,
    )
    return { config: { kind: 'read', file, ...options }, changedMs }
  } catch (error) {
    return { config: { kind: 'unreadable', file, reason: reasonOf(error) }, changedMs: 0 }
  }
}

/** In the order in which they are merged: each file before what it imports, and nothing twice. */
async function loadWithImports(first: string, version: string | undefined): Promise<LoadedFile[]> {
  const loaded = new Map<string, LoadedFile>()
  const pending = [first]
  for (let file = pending.shift(); file !== undefined; file = pending.shift()) {
    if (loaded.has(file)) continue
    if (loaded.size === limits.doctorImportsMax) throw new RangeError('it imports too many files')
    const one = await load(file, file === first)
    loaded.set(file, one)
    for (const pattern of textsOf(one.table['imports']))
      pending.push(...(await matching(path.dirname(file), pattern, version)))
  }
  return [...loaded.values()]
}

async function load(file: string, mayBeMissing: boolean): Promise<LoadedFile> {
  try {
    const [text, { mtimeMs }] = await Promise.all([readFile(file, 'utf8'), stat(file)])
    return { table: parse(text), changedMs: mtimeMs }
  } catch (error) {
    const reason = reasonOf(error)
    if (mayBeMissing && reason === 'ENOENT') return { table: {}, changedMs: 0 }
    throw mayBeMissing ? error : new Error(`it imports ${file}: ${reason}`, { cause: error })
  }
}

/** 1.6 takes a pattern that is not absolute as one below its working directory, and that of a service is `/`. */
async function matching(directory: string, pattern: string, version: string | undefined): Promise<string[]> {
  if (!pattern.includes('*')) return [path.resolve(directory, pattern)]
  const base = isAtLeast(version, 1, 7) === false ? '/' : directory
  const found: string[] = []
  for await (const file of glob(path.resolve(base, pattern))) found.push(file)
  return found.toSorted()
}

/** What files say together that were read in this order. `version` is containerd's own, where it is known. */
export function containerdOptions(tables: readonly TomlTable[], version: string | undefined): ContainerdOptions {
  const schema = Number(tables[0]?.['version'] ?? 1)
  // 1.x takes a plugin's table from the last file that has one, whole.
  const mergesDeeply = isAtLeast(version, 2, 0) ?? schema >= 3
  const merge = mergesDeeply ? mergeTables : replaceTables
  const plugins = tables.map(({ plugins: each }) => tableOf(each)).reduce(merge, {})
  const section = sectionOf(schema)
  // 2.x takes its own tables from a file of version 2, too: AKS ships such a one.
  const cri = mergeTables(tableOf(plugins[section]), mergesDeeply ? tableOf(plugins[sectionOf(3)]) : {})
  const registry = tableOf(cri['registry'])
  // Up to version 2 some of it stands one table further down.
  const images = schema >= 3 ? cri : { ...cri, ...tableOf(cri['containerd']) }
  return {
    section,
    configPath: textOf(registry['config_path']),
    hasMirrors: isFilled(registry['mirrors']),
    discardsLayers: images['discard_unpacked_layers'] === true,
    pullsLocally: asksForLocalPull(images, registry),
    root: textOf(tables.findLast(({ root }) => textOf(root) !== undefined)?.['root']) ?? '/var/lib/containerd',
  }
}

/** What the tables of the CRI plugin are called in each version of the file. */
function sectionOf(schema: number): string {
  if (schema >= 3) return 'io.containerd.cri.v1.images'
  return schema === 2 ? 'io.containerd.grpc.v1.cri' : 'cri'
}

/** Options that the transfer service does not know, so that 2.1 and newer pull without it (facts/protocols.md §1.1). */
function asksForLocalPull(images: TomlTable, registry: TomlTable): boolean {
  return (
    images['use_local_image_pull'] === true ||
    images['discard_unpacked_layers'] === true ||
    images['disable_snapshot_annotations'] === false ||
    images['image_pull_with_sync_fs'] === true ||
    Number(images['max_concurrent_downloads'] ?? 3) !== 3 ||
    ['configs', 'mirrors', 'auths'].some((name) => isFilled(registry[name]))
  )
}

function replaceTables(one: TomlTable, other: TomlTable): TomlTable {
  return { ...one, ...other }
}

export function mergeTables(one: TomlTable, other: TomlTable): TomlTable {
  const merged: TomlTable = { ...one }
  for (const [name, value] of Object.entries(other)) {
    const before = merged[name]
    merged[name] = isTable(before) && isTable(value) ? mergeTables(before, value) : value
  }
  return merged
}

function tableOf(value: TomlValue | undefined): TomlTable {
  return isTable(value) ? value : {}
}

function isFilled(value: TomlValue | undefined): boolean {
  return Object.keys(tableOf(value)).length > 0
}

function textOf(value: TomlValue | undefined): string | undefined {
  return typeof value === 'string' && value !== '' ? value : undefined
}
