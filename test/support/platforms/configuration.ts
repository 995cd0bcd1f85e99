/** The configuration that a platform ships, changed as little as it takes to run beside others on one machine. */
import { execFile } from 'node:child_process'
import { mkdir, readFile, writeFile } from 'node:fs/promises'
import path from 'node:path'
import { promisify } from 'node:util'
import { parse, stringify, type TomlTable, type TomlValue } from 'smol-toml'
import { isTable } from '../../../agent/containerd/hosts-file.ts'
import { mergeTables } from '../../../agent/doctor/containerd-config.ts'
import type { Platform, ShippedContainerd } from '../../../cli/platforms.ts'
import type { ContainerdPlace } from '../containerd/containerd.ts'
import type { ContainerdBinary } from '../containerd/versions.ts'

const run = promisify(execFile)

/** Added to what ships, or in its place. */
export type Change = { readonly fixture: string } | { readonly toml: string } | undefined

/**
 * Every absolute path is moved below `place.directory`. What is of the machine is not taken: root, state and sockets are where tests have
 * them, the stream server has any port and metrics have none, NRI and the OOM score are left alone.
 */
export async function writeConfiguration(
  { imports = {} }: Platform,
  { fixture }: ShippedContainerd,
  change: Change,
  binary: ContainerdBinary,
  place: ContainerdPlace,
): Promise<void> {
  const { directory } = place
  for (const [file, imported] of Object.entries(imports))
    await writeMoved(path.join(directory, file), moved(await readFixture(imported), directory))
  const isReplaced = change !== undefined && 'fixture' in change
  const shipped = await readFixture(isReplaced ? change.fixture : fixture, binary)
  const wanted = change !== undefined && 'toml' in change ? mergeTables(shipped, parse(change.toml)) : shipped
  const config = mergeTables(moved(wanted, directory), ofTheMachine(place))
  await writeMoved(place.configFile, config)
}

/** With the specs that it names, which containerd reads at its start. */
async function writeMoved(file: string, config: TomlTable): Promise<void> {
  for (const spec of stringsAt(config, 'base_runtime_spec')) await writeIn(spec, '{"ociVersion":"1.0.2"}')
  await writeIn(file, stringify(config))
}

async function readFixture(name: string, binary?: ContainerdBinary): Promise<TomlTable> {
  if (name === 'default' && binary !== undefined)
    return parse((await run(binary.containerd, ['config', 'default'])).stdout)
  return parse(await readFile(path.join(import.meta.dirname, `${name}.toml`), 'utf8'))
}

function ofTheMachine({ directory, socket }: ContainerdPlace): TomlTable {
  return {
    root: `${directory}/root`,
    state: `${directory}/state`,
    oom_score: 0,
    grpc: { address: socket },
    ttrpc: { address: `${socket}.ttrpc` },
    metrics: { address: '' },
    plugins: {
      'io.containerd.internal.v1.opt': { path: `${directory}/opt` },
      'io.containerd.nri.v1.nri': { disable: true },
    },
  }
}

/** A list of directories, too. */
function moved(value: TomlTable, directory: string): TomlTable {
  const move = (each: TomlValue): TomlValue => {
    if (typeof each === 'string') return each.replaceAll(/(?<=^|:)(?=\/(?!\/))/g, directory)
    if (Array.isArray(each)) return each.map(move)
    return isTable(each) ? moved(each, directory) : each
  }
  const entries = Object.entries(value).map(([key, each]) => [key, key === 'stream_server_port' ? '0' : move(each)])
  return Object.fromEntries(entries)
}

function stringsAt(value: TomlTable, name: string): string[] {
  return Object.entries(value).flatMap(([key, each]) => {
    if (isTable(each)) return stringsAt(each, name)
    return key === name && typeof each === 'string' && each !== '' ? [each] : []
  })
}

async function writeIn(file: string, text: string): Promise<void> {
  await mkdir(path.dirname(file), { recursive: true })
  await writeFile(file, text)
}
