/** `shoal configure` and `shoal cleanup`: containerd asks this node's mirror first, and no longer. */
import { realpath, stat } from 'node:fs/promises'
import path from 'node:path'
import { codeOf, namesIn } from '../../agent/kept-file.ts'
import { openMirrorKeys } from '../../agent/mirror-tls/mirror-keys.ts'
import { ShoalError } from '../../core/errors.ts'
import type { CleanupOptions, ConfigureOptions } from './configure-options.ts'
import { emptyDirectory, giveDirectory, giveFile } from './data-directory.ts'
import { type HostsPlan, planDirectory, removeIfEmpty, restoreDirectory, writeHosts } from './hosts-directory.ts'
import { defaultDirectory, directoryNames, hostsFileName, mirrorUrl } from '../../agent/containerd/hosts-file.ts'
import { writeHostsNote } from '../../agent/containerd/hosts-note.ts'

/** What became of one directory. */
export interface HostsChange {
  readonly directory: string
  readonly result: 'configured' | 'unchanged' | 'restored' | 'emptied'
}

/**
 * All directories are read before the first is written; those that are meant no longer are put back. Rejects with
 * `CONFIG_INVALID`, `HOSTS_INVALID`, `HOSTS_FAILED`,
 * `MIRROR_KEYS_INVALID` or `STORE_DIRECTORY_INVALID`.
 */
export async function configure(options: ConfigureOptions): Promise<HostsChange[]> {
  if (options.mirrorListen.port === 0)
    throw new ShoalError('CONFIG_INVALID', 'mirrorListen has port 0: containerd needs one that stays the same')
  const keys = options.mirrorProtocol === 'https' ? await openMirrorKeys(options.dataDir) : undefined
  if (options.dataDirOwner !== undefined) await giveDirectory(options.dataDir, options.dataDirOwner)
  const mirror = { url: mirrorUrl(options), resolvesTags: options.resolveTags, secret: keys?.secret }
  const plans = []
  const directories = await directoriesToConfigure(options)
  for (const directory of directories) {
    plans.push(await naming(directory, () => planDirectory(directory, mirror, keys?.authority.cert)))
  }
  const { changes, made } = await restoreAll(await othersThan(directories, options.containerdRegistryConfigPath))
  for (const plan of plans) {
    const { directory } = plan
    const changed = await naming(directory, () => writeHosts(plan, made))
    changes.push({ directory, result: changed ? 'configured' : 'unchanged' })
  }
  await removeMade(made)
  if (keys !== undefined || options.dataDirOwner !== undefined) await noteFor(options, plans)
  return changes
}

/** So that an agent without root's rights sees whether what was written is still there. */
async function noteFor(options: ConfigureOptions, plans: readonly HostsPlan[]): Promise<void> {
  const { containerdRegistryConfigPath: root, dataDir, dataDirOwner, mirroredRegistries, resolveTags } = options
  const configured = { mirroredRegistries, resolveTags, dataDirOwner }
  const files = plans.map(({ directory }) => path.join(directory, hostsFileName))
  const note = await naming(dataDir, () => writeHostsNote(dataDir, { root, configured, files }))
  if (dataDirOwner !== undefined) await giveFile(note, dataDirOwner)
}

/**
 * Every directory that Shoal has left something in; none where there is nothing to do. Rejects with `HOSTS_FAILED` and, where the
 * data directory is to be emptied, as `emptyDirectory` does.
 */
export async function cleanup(options: CleanupOptions): Promise<HostsChange[]> {
  const changes = await restore(options.containerdRegistryConfigPath)
  if (options.emptyDataDir && (await emptyDirectory(options.dataDir)))
    changes.push({ directory: options.dataDir, result: 'emptied' })
  return changes
}

async function restore(root: string): Promise<HostsChange[]> {
  const { changes, made } = await restoreAll(await subdirectories(root))
  await removeMade(made)
  return changes
}

/** `made`: the directories that were made for what is gone. */
async function restoreAll(directories: readonly string[]): Promise<{ changes: HostsChange[]; made: Set<string> }> {
  const changes: HostsChange[] = []
  const made = new Set<string>()
  for (const directory of directories) {
    const restored = await naming(directory, () => restoreDirectory(directory))
    if (restored.changed) changes.push({ directory, result: 'restored' })
    for (const each of restored.made) made.add(each)
  }
  return { changes, made }
}

/** A directory after those in it. */
async function removeMade(made: ReadonlySet<string>): Promise<void> {
  for (const each of [...made].toSorted((a, b) => b.length - a.length)) await naming(each, () => removeIfEmpty(each))
}

/**
 * Those of the registries that are named. Where none is, all: the one for registries without a directory of their own, and
 * those that are there, since containerd asks no other where it finds one.
 */
async function directoriesToConfigure(options: ConfigureOptions): Promise<string[]> {
  const { containerdRegistryConfigPath: root, mirroredRegistries } = options
  const there = await subdirectories(root)
  if (mirroredRegistries.length === 0) return [...new Set([path.join(root, defaultDirectory), ...there])]
  return mirroredRegistries.map((registry) => {
    const [first = '', second = ''] = directoryNames(registry).map((name) => path.join(root, name))
    return there.includes(first) ? first : second
  })
}

/** Those of registries that were named before, or of all; a link to one of `directories` is none of them. */
async function othersThan(directories: readonly string[], root: string): Promise<string[]> {
  const meant = new Set(await Promise.all(directories.map(realPathOf)))
  const others = []
  for (const each of await subdirectories(root)) if (!meant.has(await realPathOf(each))) others.push(each)
  return others
}

/** Of a directory that may be made yet, its own. */
function realPathOf(directory: string): Promise<string> {
  return naming(directory, () =>
    realpath(directory).catch((error: unknown) => {
      if (codeOf(error) !== 'ENOENT') throw error
      return directory
    }),
  )
}

async function subdirectories(root: string): Promise<string[]> {
  const found = []
  for (const name of await naming(root, () => namesIn(root))) {
    const directory = path.join(root, name)
    if ((await naming(directory, () => stat(directory))).isDirectory()) found.push(directory)
  }
  return found.toSorted()
}

/** Says which directory it was. */
async function naming<Value>(directory: string, act: () => Promise<Value>): Promise<Value> {
  try {
    return await act()
  } catch (cause) {
    const isOfFiles = /^E[A-Z]+$/.test(codeOf(cause))
    if (isOfFiles) throw new ShoalError('HOSTS_FAILED', `${directory}: ${codeOf(cause)}`, { cause })
    const reason = cause instanceof Error ? cause.message.split('\n')[0] : String(cause)
    throw new ShoalError('HOSTS_INVALID', `${path.join(directory, 'hosts.toml')}: ${reason}`, { cause })
  }
}
